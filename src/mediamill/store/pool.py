"""The pool of connections, with the codecs the queries rely on, and one way to bring the schema up to date."""

from __future__ import annotations

import asyncio
import json
import logging
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
from pgqueuer.queries import Queries

from mediamill.core.errors import DatabaseAway

_MIGRATION_LOCK = 0x6D65646961  # "media"; one starter at a time brings the schema up to date
_NEWEST = "SELECT EXISTS (SELECT FROM _pogo_migration WHERE migration_id = $1)"


_AWAY = (asyncpg.PostgresConnectionError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)


async def _prepare(connection: Any) -> None:
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=json.loads)


async def _connect(*args: Any, **given: Any) -> asyncpg.Connection[Any]:
    """A connection of a pool. Raises DatabaseAway: whoever asks the pool learns so that it is worth trying again."""
    try:
        made: asyncpg.Connection[Any] = await asyncpg.connect(*args, **given)
    except (OSError, TimeoutError, *_AWAY) as error:
        raise DatabaseAway from error
    return made


async def open_pool(dsn: str, *, least: int = 1, most: int = 8, synced: bool = True) -> asyncpg.Pool[Any]:
    """A pool whose `jsonb` arguments are JSON text and whose `jsonb` results are Python values.

    synced=False is for what may be forgotten in a power cut: its commits do not wait for the disk.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=least,
        max_size=most,
        init=_prepare,
        connect=_connect,
        command_timeout=60,
        server_settings={
            "application_name": "mediamill",
            "timezone": "UTC",
            **({} if synced else {"synchronous_commit": "off"}),
        },
    )


async def connect(dsn: str) -> asyncpg.Connection[Any]:
    """One connection outside any pool, for LISTEN."""
    connection = await asyncpg.connect(dsn, server_settings={"application_name": "mediamill", "timezone": "UTC"})
    await _prepare(connection)
    return connection


def migrations() -> Path:
    """The folder of numbered migrations."""
    return Path(str(resources.files("mediamill.store") / "migrations"))


async def is_current(connection: asyncpg.Connection[Any]) -> bool:
    """Whether the newest migration is in, by one cheap query (a warm start must not import the migrator)."""
    newest = max(path.stem for path in migrations().glob("[0-9]*.sql"))
    if not await connection.fetchval("SELECT to_regclass('_pogo_migration') IS NOT NULL"):
        return False
    return bool(await connection.fetchval(_NEWEST, newest))


async def migrate(dsn: str) -> bool:
    """Bring the schema (ours and the queue's) up to date; safe to call from many starters. True if it changed."""
    connection = await asyncpg.connect(dsn)
    try:
        if await is_current(connection):
            return False
        await connection.execute("SELECT pg_advisory_lock($1)", _MIGRATION_LOCK)
        if await is_current(connection):
            return False
        from pogo_core.util import migrate as migrator

        queue = Queries.from_asyncpg_connection(connection)
        if await queue.schema_is_installed():
            await queue.apply_upgrade()
        else:
            await queue.install()
            await queue.optimize_autovacuum()
        await migrator.apply(
            connection, migrations(), schema_name="public", logger=logging.getLogger("mediamill.migrate")
        )
        return True
    finally:
        await asyncio.shield(connection.close())
