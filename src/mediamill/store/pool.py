"""The pool of connections, with the codecs the queries rely on, and one way to bring the schema up to date."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from importlib import resources
from pathlib import Path
from typing import Any

import asyncpg
import structlog
from asyncpg.pool import PoolAcquireContext
from pgqueuer.queries import Queries

from mediamill.core.errors import DatabaseAway, OutcomeUnknown, StorageFull

log = structlog.get_logger()

_MIGRATION_LOCK = 0x6D65646961  # "media"; one starter at a time brings the schema up to date
_RECOVERY_S = 60.0
_NEWEST = "SELECT EXISTS (SELECT FROM _pogo_migration WHERE migration_id = $1)"


_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    # A server that has become another's standby takes nothing any more; whoever connects anew finds the other.
    asyncpg.ReadOnlySQLTransactionError,
)


class _Asked:
    """A statement on its way: where the database goes away under it, that is told as one of our own errors."""

    __slots__ = ("_connection", "_doubtful")

    def __init__(self, connection: asyncpg.Connection[Any], query: str) -> None:
        self._connection = connection
        # What goes away with its transaction is not done. What was to be kept at once may have been.
        at_once = not connection.is_closed() and not connection.is_in_transaction()
        self._doubtful = query.startswith("COMMIT") or (at_once and not query.lstrip().startswith(_WITHOUT_EFFECT))

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, asyncpg.DiskFullError):
            raise StorageFull from error  # it has undone the statement
        if isinstance(error, _AWAY):
            raise (OutcomeUnknown if self._doubtful else DatabaseAway) from error
        if isinstance(error, asyncpg.InterfaceError) and self._connection.is_closed():
            raise DatabaseAway from error  # it was before we asked
        if isinstance(error, asyncpg.InternalClientError):
            raise DatabaseAway from error  # it was told so, and its line is not cut yet: we have asked nothing


_WITHOUT_EFFECT = ("SELECT", "BEGIN", "ROLLBACK")


class _Connection(asyncpg.Connection):  # type: ignore[misc]  # asyncpg ships no types
    """A connection whose statements raise DatabaseAway, or OutcomeUnknown, when the database goes away."""

    __slots__ = ()

    async def execute(self, query: str, *args: Any, **given: Any) -> str:
        with _Asked(self, query):
            said: str = await super().execute(query, *args, **given)
            return said

    async def executemany(self, command: str, args: Any, **given: Any) -> None:
        with _Asked(self, command):
            await super().executemany(command, args, **given)

    async def fetch(self, query: str, *args: Any, **given: Any) -> Any:
        with _Asked(self, query):
            return await super().fetch(query, *args, **given)

    async def fetchrow(self, query: str, *args: Any, **given: Any) -> Any:
        with _Asked(self, query):
            return await super().fetchrow(query, *args, **given)

    async def fetchval(self, query: str, *args: Any, **given: Any) -> Any:
        with _Asked(self, query):
            return await super().fetchval(query, *args, **given)


class _Lease(PoolAcquireContext):  # type: ignore[misc]  # as above
    """A connection of the pool, for a while."""

    __slots__ = ()

    async def __aenter__(self) -> Any:
        try:
            return await super().__aenter__()
        except _AWAY as error:
            raise DatabaseAway from error

    async def __aexit__(self, *exc: Any) -> None:
        lost, error = _is_lost(self.connection), exc[1] if exc else None
        try:
            await super().__aexit__(*exc)
        except (DatabaseAway, *_AWAY):
            # It went away while it was put in order for the next: what was done with it is done.
            log.info("a connection was lost as it was given back")
        if lost and isinstance(error, asyncpg.InterfaceError):
            raise DatabaseAway from error  # of a connection that the pool has taken away, between two statements


def _is_lost(connection: Any) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


class _Pool(asyncpg.Pool):  # type: ignore[misc]  # as above
    """A pool that tells of a database that is away as `_Connection` does."""

    __slots__ = ()

    def acquire(self, *, timeout: float | None = None) -> Any:
        return _Lease(self, timeout)


async def _prepare(connection: Any) -> None:
    try:
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=str, decoder=json.loads)
    except _AWAY as error:
        raise DatabaseAway from error


async def _connect(*args: Any, **given: Any) -> asyncpg.Connection[Any]:
    """A connection of a pool. Raises DatabaseAway: whoever asks the pool learns so that it is worth trying again."""
    try:
        made: asyncpg.Connection[Any] = await asyncpg.connect(*args, **given)
    except _AWAY as error:
        raise DatabaseAway from error
    return made


async def open_pool(dsn: str, *, least: int = 1, most: int = 8, synced: bool = True) -> asyncpg.Pool[Any]:
    """A pool whose `jsonb` arguments are JSON text and whose `jsonb` results are Python values.

    What is asked of it raises DatabaseAway while the database is, and OutcomeUnknown where it went away before it said
    whether something is kept.
    synced=False is for what may be forgotten in a power cut: its commits do not wait for the disk.
    """
    return await _Pool(
        dsn,
        min_size=least,
        max_size=most,
        max_queries=50_000,
        max_inactive_connection_lifetime=300.0,
        loop=None,
        connection_class=_Connection,
        record_class=asyncpg.Record,
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


async def _patiently(dsn: str) -> asyncpg.Connection[Any]:
    """A connection to a server that may be on its way up, as after a crash."""
    deadline = time.monotonic() + _RECOVERY_S
    while True:
        try:
            return await asyncpg.connect(dsn)
        except asyncpg.CannotConnectNowError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.1)


async def migrate(dsn: str) -> bool:
    """Bring the schema (ours and the queue's) up to date; safe to call from many starters. True if it changed."""
    connection = await _patiently(dsn)
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
