"""Ending tasks outside a worker's hands: cancelled with all that they asked for, or not started in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mediamill import queue
from mediamill.core.tasks import State
from mediamill.store import branches
from mediamill.store.notices import CANCEL, wake
from mediamill.store.turns import pass_on

_OPEN = "state IN ('waiting', 'ingesting', 'delayed', 'queued', 'running')"
_STOP = f"""
WITH t AS (SELECT id FROM tasks WHERE id = ANY($1::text[]) AND {_OPEN} ORDER BY id FOR UPDATE)
UPDATE tasks SET
    cancel_requested = true, updated_at = clock_timestamp(),
    state = CASE WHEN fence IS NULL THEN 'cancelled' ELSE state END,
    finished_at = CASE WHEN fence IS NULL THEN clock_timestamp() END
FROM t WHERE tasks.id = t.id
RETURNING tasks.id, project_id, run_id, place, state, schedule_id, error
"""
# Those that have ended, too: what they started may be at work.
_BELOW = "SELECT id FROM tasks WHERE caller_id = ANY($1::text[])"
_DUE = """
SELECT id FROM tasks
WHERE expires_at <= clock_timestamp() AND state IN ('waiting', 'ingesting', 'delayed', 'queued') AND attempt = 0
ORDER BY expires_at LIMIT $1
"""
_EXPIRE = """
WITH t AS (
    SELECT id FROM tasks WHERE id = ANY($1::text[]) AND expires_at <= clock_timestamp() AND attempt = 0
                           AND state IN ('waiting', 'ingesting', 'delayed', 'queued') ORDER BY id FOR UPDATE
)
UPDATE tasks SET
    state = 'failed', finished_at = clock_timestamp(), updated_at = clock_timestamp(),
    error = jsonb_build_object(
        'code', 'expired', 'family', 'limit', 'stage', NULL, 'name', 'Expired',
        'message', format('It was not started within its ttl of %s.', CASE
            WHEN jsonb_typeof(extra #> '{prompt,ttl}') = 'string' THEN extra #>> '{prompt,ttl}'
            ELSE trim_scale(round(ttl_s::numeric, 1)) || ' s' END))
FROM t WHERE tasks.id = t.id
RETURNING tasks.id, project_id, run_id, place, state, schedule_id, error
"""
_OVER = """
WITH over AS (
    UPDATE runs r SET state = e.state, error = CASE WHEN e.state = 'failed' THEN t.error END,
                      finished_at = clock_timestamp(), updated_at = clock_timestamp()
    FROM unnest($1::text[], $2::text[], $3::text[]) AS e (id, task_id, state)
    JOIN tasks t ON t.id = e.task_id
    WHERE r.id = e.id RETURNING r.id, r.project_id, r.state
)
INSERT INTO events (project_id, run_id, type) SELECT project_id, id, 'run.' || state FROM over
"""
_TELL = "INSERT INTO events (project_id, task_id, type) SELECT * FROM unnest($1::text[], $2::text[], $3::text[])"
_NOTIFY = "SELECT pg_notify($1, id) FROM unnest($2::text[]) AS t (id)"


async def stop(connection: Any, id: str) -> Sequence[str]:
    """Cancel a task with all that it asked for, at any depth: at once what is not running, while the workers are asked
    to stop the rest. The ids of what was not over."""
    stopped: list[str] = []
    schedules: set[str] = set()
    level = [id]
    while level:
        await branches.lock_runs_of(connection, level)
        rows = await connection.fetch(_STOP, level)
        stopped += [row["id"] for row in rows]
        schedules |= await _over(connection, [row for row in rows if row["state"] == State.CANCELLED])
        running = [row["id"] for row in rows if row["state"] != State.CANCELLED]
        await connection.execute(_NOTIFY, CANCEL, running)
        level = [row["id"] for row in await connection.fetch(_BELOW, level)]
    # After all tasks: who holds a schedule waits for none.
    await pass_on(connection, sorted(schedules))
    await wake(connection, stopped)
    return stopped


async def expire(connection: Any, ids: Sequence[str] | None = None, most: int = 300) -> list[str]:
    """End tasks, of these or of all, that were to have been started by now; their ids."""
    if ids is None:
        ids = [row["id"] for row in await connection.fetch(_DUE, most)]
    if not ids:
        return []
    await branches.lock_runs_of(connection, ids)
    rows = await connection.fetch(_EXPIRE, list(ids))
    await pass_on(connection, sorted(await _over(connection, rows)))
    await wake(connection, [row["id"] for row in rows])
    return [row["id"] for row in rows]


async def _over(connection: Any, rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Tasks are over: it is told, their entries go, their runs end or go on; the schedules to `pass_on`."""
    if not rows:
        return set()
    told = [(row["project_id"], row["id"], f"task.{row['state']}") for row in rows]
    await connection.execute(_TELL, *[list(column) for column in zip(*told, strict=True)])
    await queue.withdraw(connection, [row["id"] for row in rows])
    lone = [(row["run_id"], row["id"], row["state"]) for row in rows if row["place"] is None]
    if lone:
        await connection.execute(_OVER, *[list(column) for column in zip(*lone, strict=True)])
    await branches.follow(connection, [row for row in rows if row["place"] is not None])
    return {row["schedule_id"] for row in rows if row["schedule_id"] is not None}
