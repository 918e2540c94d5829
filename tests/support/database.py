"""The embedded PostgreSQL for tests that need a database and no processes: migrated once, one copy a test."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from mediamill.store import pool
from mediamill.store.embedded import Embedded

_TEMPLATE = "mill_template"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A running server; `dsn(name)` speaks to one of its databases."""

    embedded: Embedded

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


@contextlib.asynccontextmanager
async def copy(postgres: Postgres) -> AsyncIterator[str]:
    """The connection string of a fresh database with the whole schema, dropped on leaving."""
    name = f"mill_{secrets.token_hex(6)}"
    await _execute(postgres, f"CREATE DATABASE {name} TEMPLATE {_TEMPLATE} STRATEGY FILE_COPY")
    try:
        yield postgres.dsn(name)
    finally:
        await _execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(postgres: Postgres, statement: str) -> None:
    connection = await asyncpg.connect(postgres.dsn())
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
