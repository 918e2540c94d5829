"""The embedded PostgreSQL for tests that need a database and no processes: migrated once, and emptied between tests.

A database that is emptied is ready in a tenth of the time that a fresh copy takes. One that a test has bent (another
table, another function, more rows than are quickly deleted) is dropped, and the next test gets a copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from mediamill.store import pool
from mediamill.store.embedded import Embedded

_TEMPLATE = "mill_template"
_LARGE = 1 << 20
"""Bytes of a table from which on deleting its rows is no longer the quick way."""

_SHAPE = """
SELECT md5(string_agg(line, ';' ORDER BY line)) FROM (
    SELECT concat_ws(' ', oid, relname, relkind, relnatts, relchecks, relhastriggers, reloptions) AS line
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL
    SELECT concat_ws(' ', attrelid, attname, atttypid, attnotnull, attisdropped, atthasdef)
    FROM pg_attribute WHERE attrelid >= 16384 AND attnum > 0
    UNION ALL SELECT concat_ws(' ', oid, conname, conrelid, contype, conkey) FROM pg_constraint WHERE oid >= 16384
    UNION ALL SELECT concat_ws(' ', oid, tgname, tgenabled) FROM pg_trigger WHERE oid >= 16384
    UNION ALL SELECT concat_ws(' ', oid, proname, prosrc) FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg_%'
    UNION ALL SELECT setconfig::text FROM pg_db_role_setting
)
"""
_KEPT = f"""
DO $$
DECLARE name text; full_ boolean;
BEGIN
    CREATE SCHEMA kept;
    FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO full_;
        IF full_ THEN
            EXECUTE format('CREATE TABLE kept.%I AS TABLE public.%I', name, name);
        END IF;
    END LOOP;
    EXECUTE 'COMMENT ON SCHEMA kept IS ' || quote_literal(({_SHAPE}));
END $$
"""
"""Beside the template's tables: what they hold before any test, and which shape they have."""
_EMPTY = """
DO $$
DECLARE name text; full_ boolean; held oid;
BEGIN
    SET LOCAL session_replication_role = replica; -- neither triggers nor the order of foreign keys
    FOR name, held IN
        SELECT c.relname, k.oid FROM pg_class c
        LEFT JOIN pg_class k ON k.relname = c.relname AND k.relnamespace = 'kept'::regnamespace
        WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO full_;
        IF full_ THEN
            EXECUTE format('DELETE FROM public.%I', name);
        END IF;
        IF held IS NOT NULL THEN
            EXECUTE format('INSERT INTO public.%I OVERRIDING SYSTEM VALUE TABLE kept.%I', name, name);
        END IF;
    END LOOP;
    PERFORM setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false)
    FROM pg_sequences WHERE last_value IS NOT NULL;
END $$
"""
_SLOW = """
SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > $1)
"""
_ALONE = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server; `dsn(name)` speaks to one of its databases. `free` are emptied ones."""

    embedded: Embedded
    free: list[str] = field(default_factory=list)

    def dsn(self, name: str = "postgres") -> str:
        """The connection string of a database."""
        return self.embedded.dsn.replace("/postgres?", f"/{name}?")


@contextlib.contextmanager
def running() -> Iterator[Postgres]:
    """A PostgreSQL of its own, not durable, in a folder that goes away with it."""
    # A short name: the socket's path may not be longer than 107 letters.
    folder = Path(tempfile.mkdtemp(prefix="mill-"))
    try:
        with Embedded(folder, durable=False) as embedded:
            yield Postgres(embedded)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def migrate(postgres: Postgres) -> None:
    """Make the template that copies are taken of."""
    await _execute(postgres, f"CREATE DATABASE {_TEMPLATE}")
    await pool.migrate(postgres.dsn(_TEMPLATE))
    await _execute(postgres, _KEPT, _TEMPLATE)


@contextlib.asynccontextmanager
async def copy(postgres: Postgres) -> AsyncIterator[str]:
    """The connection string of a database with the whole schema and nothing else, this caller's alone until leaving."""
    if postgres.free:
        name = postgres.free.pop()
    else:
        name = f"mill_{secrets.token_hex(6)}"
        await _execute(postgres, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
    try:
        yield postgres.dsn(name)
    finally:
        if await _emptied(postgres, name):
            postgres.free.append(name)
        else:
            await _execute(postgres, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


async def _emptied(postgres: Postgres, name: str) -> bool:
    """Whether it is again as the template; False for one that is better dropped."""
    try:
        connection = await asyncpg.connect(postgres.dsn(name))
    except asyncpg.InvalidCatalogNameError:
        return False
    try:
        await connection.execute("SET search_path = public")
        await connection.execute(_ALONE.replace("$1", f"'{name}'"))
        kept = await connection.fetchval("SELECT obj_description(to_regnamespace('kept'), 'pg_namespace')")
        if kept is None or kept != await connection.fetchval(_SHAPE) or await connection.fetchval(_SLOW, _LARGE):
            return False
        await connection.execute(_EMPTY)
        return True
    finally:
        await connection.close()


async def _execute(postgres: Postgres, statement: str, name: str = "postgres") -> None:
    connection = await asyncpg.connect(postgres.dsn(name))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@functools.cache
def ready_made() -> Path:
    """A cluster with the schema in its database `postgres`, for servers that begin with it instead of making it.

    Made once by each process of the tests. It waits for no disk: what servers must survive here is being killed, never
    a loss of power. The folder that is returned holds the cluster's own; it goes away with the process.
    """
    folder = tempfile.TemporaryDirectory(prefix="mill-")
    _KEEP.append(folder)
    with Embedded(Path(folder.name), durable=False) as embedded, ThreadPoolExecutor(1) as aside:
        aside.submit(asyncio.run, pool.migrate(embedded.dsn)).result()  # a browser's loop may run in this thread
    [cluster] = Path(folder.name).glob("pg*/PG_VERSION")
    with (cluster.parent / "postgresql.conf").open("a", encoding="utf-8") as settings:
        settings.write("\nfsync = off\nfull_page_writes = off\n")
    return cluster.parent


_KEEP: list[tempfile.TemporaryDirectory[str]] = []
