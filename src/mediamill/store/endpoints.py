"""Webhook endpoints, with the secrets that sign what they are sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import asyncpg

from mediamill.core.errors import LimitReached, NotFound
from mediamill.core.ids import ProjectId
from mediamill.core.webhooks import MOST_ENDPOINTS, TEST, Endpoint, EndpointState, NewEndpoint
from mediamill.store.deliveries import SHELVE, WOKEN
from mediamill.store.text import clean

_COUNT = "SELECT count(*) FROM endpoints WHERE project_id = $1"
_ADD = """
INSERT INTO endpoints (id, project_id, dialect, name, url, origin, topics, types, secret, only_of)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING *
"""
_GET = "SELECT * FROM endpoints WHERE project_id = $1 AND id = $2"
_LIST = "SELECT * FROM endpoints WHERE project_id = $1 ORDER BY created_at DESC, id DESC"
_CHANGE = """
UPDATE endpoints SET
    name = coalesce($3, name), url = coalesce($4, url), topics = coalesce($5, topics), types = coalesce($6, types),
    only_of = coalesce($8, only_of),
    state = coalesce($7, state), reason = CASE WHEN $7::text IS NULL THEN reason END, updated_at = clock_timestamp()
WHERE project_id = $1 AND id = $2 RETURNING *
"""
_RESUME = """
UPDATE deliveries SET state = 'pending', next_attempt_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE endpoint_id = $1 AND state = 'disabled'
"""
_ROTATE = """
UPDATE endpoints SET old_secret = CASE WHEN $4::float8 > 0 THEN secret END,
    old_until = clock_timestamp() + $4::float8 * interval '1 second', secret = $3, updated_at = clock_timestamp()
WHERE project_id = $1 AND id = $2 RETURNING id
"""
_SEALED_BY_ANOTHER = """
SELECT id, secret, old_secret FROM endpoints
WHERE substring(secret FOR $2) <> $1 OR substring(old_secret FOR $2) <> $1 ORDER BY id
"""
_RESEAL = """
UPDATE endpoints SET secret = coalesce($3, secret), old_secret = coalesce($5, old_secret)
WHERE id = $1 AND secret = $2 AND old_secret IS NOT DISTINCT FROM $4 RETURNING id
"""
_TEST = """
WITH told AS (INSERT INTO events (project_id, type) VALUES ($1, $3) RETURNING id)
INSERT INTO deliveries (project_id, endpoint_id, lane, event_id, type) SELECT $1, $2, $2, id, $3 FROM told RETURNING id
"""
_FORGET = (
    "DELETE FROM delivery_attempts a USING deliveries d WHERE d.endpoint_id = $1 AND a.delivery_id = d.id",
    "DELETE FROM deliveries WHERE endpoint_id = $1",
)


def _endpoint(row: Mapping[str, Any]) -> Endpoint:
    return Endpoint(
        id=row["id"],
        project_id=ProjectId(row["project_id"]),
        dialect=row["dialect"],
        name=row["name"],
        url=row["url"],
        topics=row["topics"],
        types=row["types"],
        state=EndpointState(row["state"]),
        reason=row["reason"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


class Endpoints:
    """The endpoint table."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def create(self, project_id: str, id: str, new: NewEndpoint, secret: bytes) -> Endpoint:
        """A new endpoint. Raises LimitReached."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 1))", f"endpoints {project_id}")
            if await connection.fetchval(_COUNT, project_id) >= MOST_ENDPOINTS:
                raise LimitReached(f"A project may have {MOST_ENDPOINTS} endpoints.", 60)
            row = await connection.fetchrow(
                _ADD,
                id,
                project_id,
                new.dialect,
                clean(new.name),
                clean(new.url),
                new.origin,
                list(new.topics),
                list(new.types),
                secret,
                list(new.only_of) if new.only_of is not None else None,
            )
        assert row is not None  # what is inserted comes back
        return _endpoint(row)

    async def get(self, project_id: str, id: str) -> Endpoint:
        """One endpoint. Raises NotFound."""
        row = await self._pool.fetchrow(_GET, project_id, clean(id))
        if row is None:
            raise NotFound("endpoint", id)
        return _endpoint(row)

    async def list(self, project_id: str) -> list[Endpoint]:
        """A project's endpoints, newest first."""
        return [_endpoint(row) for row in await self._pool.fetch(_LIST, project_id)]

    async def change(
        self,
        project_id: str,
        id: str,
        *,
        name: str | None = None,
        url: str | None = None,
        topics: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        state: EndpointState | None = None,
        only_of: Sequence[str] | None = None,
    ) -> Endpoint:
        """Change what is not None. What waits for an endpoint rests while it is not active. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                _CHANGE,
                project_id,
                clean(id),
                clean(name) if name is not None else None,
                clean(url) if url is not None else None,
                list(topics) if topics is not None else None,
                list(types) if types is not None else None,
                state.value if state is not None else None,
                list(only_of) if only_of is not None else None,
            )
            if row is None:
                raise NotFound("endpoint", id)
            if state is EndpointState.ACTIVE:
                await connection.execute(_RESUME, id)
                await connection.execute("SELECT pg_notify($1, '')", WOKEN)
            elif state is not None:
                await connection.execute(SHELVE, id)
        return _endpoint(row)

    async def rotate(self, project_id: str, id: str, secret: bytes, overlap_s: float) -> None:
        """Sign with another secret from now on, and with the old one beside it for a while. Raises NotFound."""
        if await self._pool.fetchval(_ROTATE, project_id, clean(id), secret, overlap_s) is None:
            raise NotFound("endpoint", id)

    async def reseal(self, mark: bytes, again: Callable[[bytes, str], bytes | None]) -> int:
        """Seal anew what does not begin with `mark`; how many endpoints that were."""
        done = 0
        for row in await self._pool.fetch(_SEALED_BY_ANOTHER, mark, len(mark)):
            old = row["old_secret"]
            fresh = again(row["secret"], row["id"]), again(old, row["id"]) if old is not None else None
            written = await self._pool.fetchval(_RESEAL, row["id"], row["secret"], fresh[0], old, fresh[1])
            done += written is not None and fresh != (None, None)
        return done

    async def delete(self, project_id: str, id: str) -> None:
        """Forget an endpoint and what was, or was to be, delivered to it. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            gone = await connection.fetchval(
                "DELETE FROM endpoints WHERE project_id = $1 AND id = $2 RETURNING id", project_id, clean(id)
            )
            if gone is None:
                raise NotFound("endpoint", id)
            for statement in _FORGET:
                await connection.execute(statement, gone)

    async def test(self, project_id: str, id: str) -> int:
        """Make an event that goes to this endpoint only; the id of its delivery. Raises NotFound."""
        endpoint = await self.get(project_id, id)
        async with self._pool.acquire() as connection, connection.transaction():
            made: int = await connection.fetchval(_TEST, project_id, endpoint.id, TEST)
            await connection.execute("SELECT pg_notify($1, '')", WOKEN)
        return made
