"""What keeps the tables in order: who is at work, what has had its day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

_SEEN = """
INSERT INTO workers (id, host, pid, queues, slots, busy, version, runners) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE SET seen_at = now(), busy = EXCLUDED.busy
"""
_LIVE = """
SELECT id, host, pid, queues, slots, busy, version, started_at, seen_at FROM workers
WHERE seen_at > now() - $1::float8 * interval '1 second' ORDER BY started_at
"""
_RUNNERS = """
SELECT r.runner, bool_or(w.seen_at > now() - $1::float8 * interval '1 second') AS live
FROM workers w CROSS JOIN unnest(w.runners) AS r (runner) GROUP BY 1
"""
_PRUNE = (
    "DELETE FROM workers WHERE seen_at < now() - interval '1 day'",
    "DELETE FROM idempotency WHERE created_at < now() - interval '1 day' AND expires_at IS NULL",
    "DELETE FROM idempotency WHERE expires_at < now()",
    "DELETE FROM results WHERE created_at < now() - interval '30 days'",
    # The queue's own log is for its dashboards; ours read the task table.
    "DELETE FROM pgqueuer_log WHERE created < now() - interval '1 hour'",
)
_DEPTH = "SELECT entrypoint, status::text, count(*) AS n FROM pgqueuer GROUP BY 1, 2"
_STATES = """
SELECT w.word AS state, count(*) AS n FROM projects p
CROSS JOIN unnest(ARRAY['waiting', 'ingesting', 'delayed', 'queued', 'running']) AS w (word)
JOIN tasks t ON t.project_id = p.id AND t.state = w.word  -- the few among many, by their index
GROUP BY 1
"""
_KEEP = "INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"


class Upkeep:
    """Housekeeping and figures."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def seen(
        self,
        id: str,
        *,
        host: str,
        pid: int,
        queues: Sequence[str],
        slots: int,
        busy: int,
        version: str,
        runners: Sequence[str] = (),
    ) -> None:
        """A worker lives."""
        await self._pool.execute(_SEEN, id, host, pid, list(queues), slots, busy, version, list(runners))

    async def runners(self, within_s: float) -> dict[str, bool]:
        """The runners that workers of the last day had, each with whether one that has it was heard of lately."""
        return {row["runner"]: row["live"] for row in await self._pool.fetch(_RUNNERS, within_s)}

    async def gone(self, id: str) -> None:
        """A worker has left."""
        await self._pool.execute("DELETE FROM workers WHERE id = $1", id)

    async def workers(self, within_s: float) -> list[dict[str, Any]]:
        """Workers that were heard of lately."""
        return [dict(row) for row in await self._pool.fetch(_LIVE, within_s)]

    async def prune(self) -> None:
        """Remove rows that have had their day."""
        for statement in _PRUNE:
            await self._pool.execute(statement)

    async def depth(self) -> dict[str, int]:
        """Queue entries by "queue status"."""
        return {f"{row['entrypoint']} {row['status']}": row["n"] for row in await self._pool.fetch(_DEPTH)}

    async def unfinished(self) -> dict[str, int]:
        """Unfinished tasks by state."""
        return {row["state"]: row["n"] for row in await self._pool.fetch(_STATES)}

    async def alive(self) -> None:
        """Raises what goes wrong when the database is asked something."""
        await self._pool.fetchval("SELECT 1", timeout=3)

    async def secret(self, name: str, fresh: bytes) -> bytes:
        """The install's secret of that name: `fresh` the first time, the same ever after, on every server."""
        await self._pool.execute(_KEEP, name, fresh)
        value: bytes = await self._pool.fetchval("SELECT value FROM secrets WHERE name = $1", name)
        return value
