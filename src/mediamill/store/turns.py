"""Whose turn it is: of a schedule's tasks one is at work, and the next has no queue entry until that one has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mediamill import queue

# The schedule's row is the lock: a firing holds it while it looks whether a task is at work and adds its own.
_LOCK = "SELECT id FROM schedules WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"
_RELEASE = """
WITH next AS (
    SELECT DISTINCT ON (t.schedule_id) t.id
    FROM tasks t
    WHERE t.hold = 'turn' AND t.schedule_id = ANY($1::text[]) AND t.state = 'queued' AND NOT EXISTS (
        SELECT FROM tasks o WHERE o.schedule_id = t.schedule_id AND o.hold IS NULL
                              AND o.state IN ('waiting', 'ingesting', 'delayed', 'queued', 'running'))
    ORDER BY t.schedule_id, t.created_at, t.id
)
UPDATE tasks t SET hold = NULL, updated_at = clock_timestamp() FROM next n WHERE t.id = n.id
RETURNING t.id, t.queue, t.priority
"""


async def pass_on(connection: Any, schedules: Sequence[str]) -> None:
    """Let the next task of each schedule go whose turn it is; called where tasks of them have just ended."""
    if not schedules:
        return
    wanted = sorted(set(schedules))
    await connection.execute(_LOCK, wanted)
    released = await connection.fetch(_RELEASE, wanted)
    await queue.enqueue(connection, [queue.Entry(row["queue"], row["id"], row["priority"]) for row in released])
