"""Tasks that wait for an upload which was announced: they have no queue entry until its bytes have come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mediamill import queue
from mediamill.store.notices import wake

# A file whose bytes come meanwhile waits here for us, or is seen to be ready: either way nobody is forgotten.
_AWAITED = """
SELECT f.id FROM tasks t CROSS JOIN jsonb_array_elements(t.inputs) AS i JOIN files f ON f.id = i ->> 'file'
WHERE t.id = ANY($1::text[]) AND f.state = 'awaiting' FOR SHARE OF f
"""
_WAITING_FOR = """
SELECT t.id FROM tasks t WHERE t.hold = 'upload' AND EXISTS (
    SELECT FROM jsonb_array_elements(t.inputs) AS i WHERE i ->> 'file' = ANY($1::text[]))
"""
_RELEASE = """
UPDATE tasks t SET hold = NULL, updated_at = clock_timestamp()
WHERE t.id = ANY($1::text[]) AND t.hold = 'upload' AND t.state IN ('queued', 'ingesting', 'delayed') AND NOT EXISTS (
    SELECT FROM jsonb_array_elements(t.inputs) AS i JOIN files f ON f.id = i ->> 'file' WHERE f.state = 'awaiting')
RETURNING t.id, t.queue, t.priority, t.inputs, greatest(0, extract(epoch FROM t.not_before - now())) AS delay_s
"""


async def settle(connection: Any, tasks: Sequence[str]) -> None:
    """Let those of some new tasks go whose uploads have come while they were written."""
    await connection.fetch(_AWAITED, list(tasks))
    await _release(connection, tasks)


async def came(connection: Any, files: Sequence[str]) -> None:
    """Let tasks go that waited for files which have come, or never will: of those the work itself will tell."""
    waiting = [row["id"] for row in await connection.fetch(_WAITING_FOR, list(files))]
    if waiting:
        await _release(connection, waiting)


async def _release(connection: Any, tasks: Sequence[str]) -> None:
    released = await connection.fetch(_RELEASE, list(tasks))
    await queue.enqueue(
        connection,
        [
            queue.Entry(
                "io" if any("file" not in source for source in row["inputs"]) else row["queue"],
                row["id"],
                row["priority"],
                float(row["delay_s"] or 0),
            )
            for row in released
        ],
    )
    await wake(connection, [row["id"] for row in released])
