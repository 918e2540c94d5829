"""What was answered to a POST with an Idempotency-Key, so that a repeat is answered alike and does nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from mediamill.core.errors import Conflict, IdempotencyMismatch
from mediamill.store.text import indexed

_CLAIM = """
INSERT INTO replies (project_id, scope, key, body_hash) VALUES ($1, $2, $3, $4)
ON CONFLICT (project_id, scope, key) DO UPDATE SET claimed_at = clock_timestamp(), body_hash = EXCLUDED.body_hash,
    status = 0, body = NULL
WHERE replies.claimed_at < now() - interval '24 hours'
   OR (replies.status = 0 AND replies.claimed_at < now() - interval '2 minutes' AND replies.body_hash = $4)
RETURNING true
"""
_OLD = """
DELETE FROM replies WHERE (project_id, scope, key) IN (
    SELECT project_id, scope, key FROM replies WHERE claimed_at < now() - interval '24 hours'
    ORDER BY claimed_at LIMIT 20 FOR UPDATE SKIP LOCKED
)
"""
_FIND = "SELECT body_hash, status, body FROM replies WHERE project_id = $1 AND scope = $2 AND key = $3"
_KEEP = "UPDATE replies SET status = $4, body = $5 WHERE project_id = $1 AND scope = $2 AND key = $3"
_RELEASE = "DELETE FROM replies WHERE project_id = $1 AND scope = $2 AND key = $3 AND status = 0"
_LOOKS_S = (0.02, 0.05, 0.1, 0.2, 0.5)
"""Between looks at a request that is still at work; the last over and over."""
_MOST_LOOKS = 40
"""Some twenty seconds: within the patience of clients."""
_MOST_SCOPE = 400
"""Bytes of a scope, which is a path as somebody wrote it; beside them there is room for a key."""


class Replies:
    """The table of replies. Each is remembered for a day."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def claim(self, project_id: str, scope: str, key: str, body_hash: bytes) -> bytes | None:
        """The body that was answered before; None when this request is the first, and is to `keep` or `release`.

        A repeat that comes while the first request is still at work waits for its answer, some twenty seconds at most.
        Raises IdempotencyMismatch for another body, Conflict where that answer does not come in time.
        """
        place = _place(project_id, scope, key)
        for looks in range(_MOST_LOOKS):
            if looks:  # without a connection in hand: the request that is waited for needs one
                await asyncio.sleep(_LOOKS_S[min(looks, len(_LOOKS_S)) - 1])
            if await self._pool.fetchval(_CLAIM, *place, body_hash):
                await self._pool.execute(_OLD)
                return None
            row = await self._pool.fetchrow(_FIND, *place)
            if row is not None and row["body_hash"] != body_hash:
                raise IdempotencyMismatch("This idempotency key was used before with another request.")
            if row is not None and row["status"] != 0:
                found: bytes = row["body"]
                return found
        raise Conflict("A request with this idempotency key is still at work.")

    async def keep(self, project_id: str, scope: str, key: str, status: int, body: bytes) -> None:
        """Remember what was answered."""
        await self._pool.execute(_KEEP, *_place(project_id, scope, key), status, body)

    async def release(self, project_id: str, scope: str, key: str) -> None:
        """Forget the claim: the request came to nothing, and may be sent again."""
        await self._pool.execute(_RELEASE, *_place(project_id, scope, key))


def _place(project_id: str, scope: str, key: str) -> tuple[str, str, str]:
    return project_id, indexed(scope, _MOST_SCOPE), indexed(key)
