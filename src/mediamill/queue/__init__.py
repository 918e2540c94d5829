"""Dispatch: PGQueuer's tables, enqueued in the caller's transaction. The job's payload is a task id, nothing more.

The task row is the truth; a job row only says that somebody should look at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import asyncpg
from pgqueuer.queries import Queries

QUEUES = ("cpu", "gpu", "io", "agent")
CHANNEL = "ch_pgqueuer"


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing to dispatch."""

    queue: str
    task_id: str
    priority: int = 0
    delay_s: float = 0.0
    key: str | None = None
    """By what it is found again; see `withdraw`."""


async def enqueue(connection: Any, entries: Sequence[Entry]) -> None:
    """Put entries on their queues, in the transaction of `connection`."""
    if entries:
        await Queries.from_asyncpg_connection(connection).enqueue(
            [e.queue for e in entries],
            [e.task_id.encode() for e in entries],
            [e.priority for e in entries],
            [timedelta(seconds=max(0.0, e.delay_s)) for e in entries],
            [e.key for e in entries],
        )


# Without the line in pgqueuer_log that PGQueuer itself would add: the task table says how things ended.
_DONE = "DELETE FROM pgqueuer WHERE id = ANY($1::bigint[])"


_WITHDRAW = "DELETE FROM pgqueuer WHERE dedupe_key = ANY($1::text[]) AND status IN ('queued', 'picked') RETURNING 1"


async def withdraw(connection: Any, keys: Sequence[str]) -> int:
    """Take entries off their queues by their keys, in the transaction of `connection`; how many had one."""
    return len(await connection.fetch(_WITHDRAW, list(keys))) if keys else 0


async def complete(connection: asyncpg.Connection[Any] | Any, jobs: Sequence[int]) -> None:
    """Take finished jobs off the queue, in the transaction of `connection`."""
    if jobs:
        await connection.execute(_DONE, list(jobs))
