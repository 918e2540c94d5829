"""Words between processes that share the database, sent when the transaction commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

WAKE = "mediamill_tasks"
"""Channel: ids of tasks that changed, joined by blanks."""
CANCEL = "mediamill_cancel"
"""Channel: the id of a running task that is to stop."""

OFFER = "mediamill_schedules"
"""Channel: a schedule was made or changed, or a task waits for a runner; the identifier of what is to run it. Empty: a
task expires soon."""


async def wake(connection: Any, ids: Sequence[str]) -> None:
    """Tell listeners which tasks changed; a payload holds 8,000 bytes, an id 21."""
    for start in range(0, len(ids), 300):
        await connection.execute("SELECT pg_notify($1, $2)", WAKE, " ".join(ids[start : start + 300]))


def columns(table: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """Rows turned into the arrays that `unnest` takes."""
    return [list(column) for column in zip(*table, strict=True)]
