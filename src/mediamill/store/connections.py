"""Connections: what is shown of them, and their sealed secrets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import asyncpg

from mediamill.core.connections import Changes, Connection, NewConnection
from mediamill.core.errors import NotFound
from mediamill.core.ids import ConnectionId, ProjectId
from mediamill.core.tasks import Page
from mediamill.store import rows
from mediamill.store.text import clean

_SHOWN = "id, project_id, kind, name, endpoint, region, access_key_id, is_default, created_at, updated_at"
# Two that become the default at once: each clears the others and then takes the place, one after the other.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended($1, 7))"
_CLEAR = """
UPDATE connections SET is_default = false, updated_at = clock_timestamp()
WHERE project_id = $1 AND is_default AND id <> $2
"""
_ADD = f"""
INSERT INTO connections (id, project_id, kind, name, endpoint, region, access_key_id, secret, key_id, is_default)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING {_SHOWN}
"""
_GET = f"SELECT {_SHOWN} FROM connections WHERE project_id = $1 AND id = $2"
_DEFAULT = f"SELECT {_SHOWN} FROM connections WHERE project_id = $1 AND is_default"
_SEALED = f"SELECT {_SHOWN}, secret FROM connections WHERE project_id = $1 AND id = $2"
_CHANGE = f"""
UPDATE connections SET
    name = coalesce($3, name), endpoint = coalesce($4, endpoint), region = coalesce($5, region),
    access_key_id = coalesce($6, access_key_id), secret = coalesce($7, secret), key_id = coalesce($8, key_id),
    is_default = coalesce($9, is_default), updated_at = clock_timestamp()
WHERE project_id = $1 AND id = $2 RETURNING {_SHOWN}
"""
_DELETE = "DELETE FROM connections WHERE project_id = $1 AND id = $2 RETURNING id"
_SEALED_OTHERWISE = "SELECT id, secret FROM connections WHERE key_id <> $1 ORDER BY id"
# Only if it is what was opened: somebody may have stored another meanwhile.
_RESEAL = "UPDATE connections SET secret = $3, key_id = $4 WHERE id = $1 AND secret = $2"


def _connection(row: Any) -> Connection:
    return Connection(
        id=ConnectionId(row["id"]),
        project_id=ProjectId(row["project_id"]),
        kind=row["kind"],
        name=row["name"],
        endpoint=row["endpoint"],
        region=row["region"],
        access_key_id=row["access_key_id"],
        is_default=row["is_default"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


class Connections:
    """The connection table."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def create(self, id: str, project_id: str, new: NewConnection, sealed: bytes, key_id: str) -> Connection:
        """Add one; a new default takes the place of the old."""
        async with self._pool.acquire() as connection, connection.transaction():
            if new.is_default:
                await _step_aside(connection, project_id, id)
            row = await connection.fetchrow(
                _ADD,
                id,
                project_id,
                new.kind,
                clean(new.name),
                clean(new.endpoint),
                clean(new.region),
                clean(new.access_key_id),
                sealed,
                key_id,
                new.is_default,
            )
        return _connection(row)

    async def get(self, project_id: str, id: str) -> Connection:
        """One of the project's. Raises NotFound."""
        row = await self._pool.fetchrow(_GET, project_id, clean(id))
        if row is None:
            raise NotFound("connection", id)
        return _connection(row)

    async def default(self, project_id: str) -> Connection | None:
        """The project's default, if it has one."""
        row = await self._pool.fetchrow(_DEFAULT, project_id)
        return _connection(row) if row is not None else None

    async def sealed(self, project_id: str, id: str) -> tuple[Connection, bytes]:
        """One with its secret, still sealed. Raises NotFound."""
        row = await self._pool.fetchrow(_SEALED, project_id, clean(id))
        if row is None:
            raise NotFound("connection", id)
        return _connection(row), row["secret"]

    async def list(self, project_id: str, page: Page) -> tuple[Sequence[Connection], bool]:
        """One page, and whether there are more."""
        sql, arguments = rows.list_plain("connections", _SHOWN, project_id, page)
        found = [_connection(row) for row in await self._pool.fetch(sql, *arguments)]
        return rows.in_order(found, page), len(found) > page.limit

    async def change(
        self, project_id: str, id: str, changes: Changes, sealed: bytes | None, key_id: str | None
    ) -> Connection:
        """Make some of it another. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            if changes.is_default:
                await _step_aside(connection, project_id, id)
            given = (changes.name, changes.endpoint, changes.region, changes.access_key_id)
            row = await connection.fetchrow(
                _CHANGE,
                project_id,
                clean(id),
                *[clean(value) if value is not None else None for value in given],
                sealed,
                key_id,
                changes.is_default,
            )
            if row is None:
                raise NotFound("connection", id)  # and the old default stays one
        return _connection(row)

    async def delete(self, project_id: str, id: str) -> None:
        """Forget one and its secret. Raises NotFound."""
        if await self._pool.fetchval(_DELETE, project_id, clean(id)) is None:
            raise NotFound("connection", id)

    async def reseal(self, key_id: str, again: Callable[[str, bytes], bytes | None]) -> int:
        """Seal with the key of now what another has sealed; how many. `again` says None for what it cannot open."""
        done = 0
        for row in await self._pool.fetch(_SEALED_OTHERWISE, key_id):
            sealed = again(row["id"], row["secret"])
            if sealed is not None:
                await self._pool.execute(_RESEAL, row["id"], row["secret"], sealed, key_id)
                done += 1
        return done


async def _step_aside(connection: Any, project_id: str, id: str) -> None:
    await connection.execute(_LOCK, project_id)
    await connection.execute(_CLEAR, project_id, clean(id))
