"""Forgetting what ended long ago: events with their deliveries first, then tasks with all that hangs on them.

A task goes with its whole run, never alone, and only once nobody waits to be told of it. Files have their own lifetimes
(`service/chores.py`). Each statement takes a bounded number of rows, so that no lock and no transaction lasts long.
"""

from __future__ import annotations

from typing import Any

import asyncpg

_LOT = 1000
_EVENTS = """
WITH old AS (
    SELECT e.id FROM events e
    WHERE e.created_at < now() - $1::float8 * interval '1 second'
      AND NOT EXISTS (SELECT FROM deliveries d WHERE d.event_id = e.id AND d.state = 'pending')
    LIMIT $2
), told AS (
    DELETE FROM deliveries d USING old WHERE d.event_id = old.id RETURNING d.id
), log AS (
    DELETE FROM delivery_attempts a USING told WHERE a.delivery_id = told.id
), gone AS (
    DELETE FROM events e USING old WHERE e.id = old.id
)
SELECT count(*) FROM old
"""
# By each project's index of states, which begins with the oldest. The newest event of a task is as old as its end.
_RUNS = """
WITH untold AS MATERIALIZED (SELECT run_id FROM deliveries WHERE state = 'pending' AND run_id IS NOT NULL)
SELECT DISTINCT found.run_id FROM projects p
CROSS JOIN unnest(ARRAY['succeeded', 'failed', 'cancelled']) AS w (word)
CROSS JOIN LATERAL (
    SELECT t.run_id FROM tasks t
    WHERE t.project_id = p.id AND t.state = w.word AND t.created_at < now() - $1::float8 * interval '1 second'
      AND NOT EXISTS (
          SELECT FROM tasks o
          WHERE o.run_id = t.run_id
            AND (o.finished_at IS NULL OR o.finished_at >= now() - $1::float8 * interval '1 second'
                 OR EXISTS (SELECT FROM deliveries d WHERE d.task_id = o.id AND d.state = 'pending'))
      )
      AND t.run_id NOT IN (SELECT run_id FROM untold)
    ORDER BY t.created_at, t.id LIMIT $2
) AS found
LIMIT $2
"""
_TASKS = """
WITH gone AS (
    DELETE FROM tasks WHERE run_id = ANY($1::text[]) RETURNING id, project_id, tags, created_at
), runs AS (
    DELETE FROM runs WHERE id = ANY($1::text[])
), tried AS (
    DELETE FROM attempts a USING gone WHERE a.task_id = gone.id
), stepped AS (
    DELETE FROM steps s USING gone WHERE s.task_id = gone.id
), tagged AS (
    DELETE FROM task_tags t USING gone
    WHERE t.project_id = gone.project_id AND t.tag = ANY(gone.tags) AND t.created_at = gone.created_at
      AND t.task_id = gone.id
), asked AS (  -- those without an end of their own live for a day, which no history is shorter than
    DELETE FROM idempotency i USING gone WHERE i.expires_at IS NOT NULL AND i.task_id = gone.id
)
SELECT count(*) FROM gone
"""


_MINE = "SELECT pg_try_advisory_xact_lock(hashtextextended('retention', 2))"


class Retention:
    """What is kept, and for how long."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def forget(self, older_s: float) -> int:
        """Forget a lot of what ended that many seconds ago: how many events and tasks went. 0 too while another worker
        is at it."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await connection.fetchval(_MINE):
                return 0
            events: int = await connection.fetchval(_EVENTS, older_s, _LOT)
            if events:
                return events
            runs = [row["run_id"] for row in await connection.fetch(_RUNS, older_s, _LOT)]
            tasks: int = await connection.fetchval(_TASKS, runs) if runs else 0
            return tasks
