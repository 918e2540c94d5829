"""Tasks that were not started within the time they had for it: they end, unstarted."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import asyncpg

from mediamill.store.stopping import expire

_MOST = 300
_NEXT = """
SELECT expires_at FROM tasks
WHERE expires_at IS NOT NULL AND state IN ('waiting', 'ingesting', 'delayed', 'queued') AND attempt = 0
ORDER BY expires_at LIMIT 1
"""


class Expiry:
    """Ends what is too late to start."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def expire(self) -> int:
        """End what should have been started by now; how many."""
        ended = 0
        while True:
            async with self._pool.acquire() as connection, connection.transaction():
                found = await expire(connection, most=_MOST)
            ended += len(found)
            if len(found) < _MOST:
                return ended

    async def next_expiry(self) -> datetime | None:
        """When the next task is too late."""
        found: datetime | None = await self._pool.fetchval(_NEXT)
        return found
