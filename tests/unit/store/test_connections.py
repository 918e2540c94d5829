"""Connections in a fresh database, sealed by a real vault: one default, no secret in any row, keys that change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from mediamill.core.access import Caller, Role
from mediamill.core.connections import Changes, NewConnection
from mediamill.core.errors import ConnectionRequired, Invalid, NotFound
from mediamill.core.ids import KeyId, ProjectId
from mediamill.core.tasks import Cursor, Page, Source
from mediamill.service.connections import Connections
from mediamill.store import pool as pools
from mediamill.store.connections import Connections as ConnectionTable
from mediamill.store.keys import Keys
from mediamill.vault import Unopenable, Vault

ME = Caller(project_id=ProjectId("default"), key_id=KeyId("k1"), role=Role.MEMBER)
THEY = Caller(project_id=ProjectId("other"), key_id=KeyId("k2"), role=Role.MEMBER)
OLD, NEW = "00" * 32, "11" * 32
SECRET = "never in a row"


@pytest_asyncio.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool[Any]]:
    pool = await pools.open_pool(dsn)
    try:
        for project in ("default", "other"):
            await Keys(pool).project(project, project)
        yield pool
    finally:
        await pool.close()


@pytest.fixture
def table(pool: asyncpg.Pool[Any]) -> ConnectionTable:
    return ConnectionTable(pool)


@pytest.fixture
def connections(table: ConnectionTable, tmp_path: Path) -> Connections:
    return verbs(table, OLD, tmp_path)


def verbs(table: ConnectionTable, keys: str, folder: Path) -> Connections:
    return Connections(store=table, vault=Vault(keys, folder), check_url=lambda url: None)


def new(**given: Any) -> NewConnection:
    values = {
        "name": "ours",
        "endpoint": "https://s3.example.com/",
        "region": "auto",
        "access_key_id": "AKIA",
        "secret_access_key": SECRET,
    }
    return NewConnection(**{**values, **given})


async def test_what_was_kept_is_shown_without_its_secret_and_opened_with_it(connections: Connections) -> None:
    made = await connections.create(ME, new())

    access = await connections.access("default", made.id)

    assert await connections.get(ME, made.id) == made
    assert not hasattr(made, "secret_access_key")
    assert (access.endpoint, access.access_key_id, access.secret_access_key) == (
        "https://s3.example.com",
        "AKIA",
        SECRET,
    )
    assert SECRET not in repr(access)


async def test_no_row_of_the_database_holds_a_secret(connections: Connections, pool: asyncpg.Pool[Any]) -> None:
    made = await connections.create(ME, new())
    await connections.change(ME, made.id, Changes(secret_access_key=SECRET + "!"))

    row = await pool.fetchrow("SELECT * FROM connections")

    assert SECRET.encode() not in b"".join(
        value if isinstance(value, bytes) else str(value).encode() for value in row.values()
    )
    assert (await connections.access("default", made.id)).secret_access_key == SECRET + "!"


async def test_a_sealed_secret_of_one_row_does_not_open_in_another(
    connections: Connections, pool: asyncpg.Pool[Any]
) -> None:
    mine, theirs = await connections.create(ME, new()), await connections.create(THEY, new())
    await pool.execute("UPDATE connections SET secret = (SELECT secret FROM connections WHERE id = $1)", mine.id)

    with pytest.raises(Unopenable):
        await connections.access("other", theirs.id)


async def test_another_projects_connection_is_not_found(connections: Connections) -> None:
    made = await connections.create(ME, new())

    with pytest.raises(NotFound):
        await connections.get(THEY, made.id)
    with pytest.raises(NotFound):
        await connections.change(THEY, made.id, Changes(name="mine"))
    with pytest.raises(NotFound):
        await connections.delete(THEY, made.id)
    with pytest.raises(NotFound):
        await connections.access("other", made.id)
    with pytest.raises(NotFound):
        await connections.chosen(THEY, "s3://media/x", made.id, field="url")


async def test_of_many_that_become_the_default_at_once_one_is(connections: Connections) -> None:
    await asyncio.gather(*(connections.create(ME, new(name=f"n{n}", is_default=True)) for n in range(12)))
    theirs = await connections.create(THEY, new(is_default=True))
    found, more = await connections.list(ME, Page(limit=100))
    await asyncio.gather(*(connections.change(ME, one.id, Changes(is_default=True)) for one in found))
    found, _ = await connections.list(ME, Page(limit=100))

    assert not more
    assert [one.is_default for one in found].count(True) == 1
    assert (await connections.get(THEY, theirs.id)).is_default


async def test_a_change_that_finds_nothing_leaves_the_default(connections: Connections) -> None:
    made = await connections.create(ME, new(is_default=True))

    with pytest.raises(NotFound):
        await connections.change(ME, "c0", Changes(is_default=True))

    assert (await connections.get(ME, made.id)).is_default


async def test_pages_walk_each_once_in_both_directions(connections: Connections) -> None:
    made = [(await connections.create(ME, new(name=f"n{n}"))).id for n in range(7)]
    for ascending in (False, True):
        seen: list[str] = []
        page = Page(limit=3, ascending=ascending)
        while True:
            found, more = await connections.list(ME, page)
            seen += [one.id for one in found]
            if not more:
                break
            page = Page(limit=3, ascending=ascending, after=Cursor(at=found[-1].created_at, id=found[-1].id))

        assert seen == (made if ascending else made[::-1])


async def test_a_new_key_takes_over_what_an_old_one_sealed(table: ConnectionTable, tmp_path: Path) -> None:
    before, after = verbs(table, OLD, tmp_path), verbs(table, f"{NEW},{OLD}", tmp_path)
    ids = [(await before.create(ME, new())).id for _ in range(3)]

    assert await after.reseal() == 3
    assert await after.reseal() == 0

    alone = verbs(table, NEW, tmp_path)
    assert [(await alone.access("default", id)).secret_access_key for id in ids] == [SECRET] * 3
    with pytest.raises(Unopenable, match="MEDIAMILL_SECRET_KEY"):
        await before.access("default", ids[0])


async def test_what_no_key_opens_is_left_as_it_was_and_can_be_stored_anew(
    table: ConnectionTable, tmp_path: Path, pool: asyncpg.Pool[Any]
) -> None:
    made = await verbs(table, OLD, tmp_path).create(ME, new())
    sealed = await pool.fetchval("SELECT secret FROM connections")
    lost = verbs(table, NEW, tmp_path)

    assert await lost.reseal() == 0
    assert await pool.fetchval("SELECT secret FROM connections") == sealed
    await lost.change(ME, made.id, Changes(secret_access_key="another"))

    assert (await lost.access("default", made.id)).secret_access_key == "another"


async def test_bucket_urls_get_the_connection_that_is_named_or_the_default(connections: Connections) -> None:
    plain = Source(url="https://example.org/a.png")
    inside = Source(url="s3://media/a.png")
    named = await connections.create(ME, new())

    with pytest.raises(ConnectionRequired) as required:
        await connections.sources(ME, [plain, inside])
    assert required.value.field == "inputs.1.url"
    default = await connections.create(ME, new(is_default=True))
    found = await connections.sources(ME, [plain, inside, Source(url="S3://media/b", connection=named.id)])

    assert found[0] is plain
    assert [source.connection for source in found] == [None, default.id, named.id]


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"url": "https://example.org/x"}, "destination.url"),
        ({"url": "s3://media/a//b"}, "destination.url"),
        ({"url": None}, "destination"),
        ({"url": "s3://media/x", "connection": 3}, "destination"),
        ("s3://media/x", "destination"),
        ({}, "destination"),
    ],
)
async def test_what_is_no_destination_is_refused(connections: Connections, asked: Any, field: str) -> None:
    await connections.create(ME, new(is_default=True))

    with pytest.raises(Invalid) as refused:
        await connections.destination(ME, asked)

    assert refused.value.field == field


async def test_a_destination_is_kept_with_its_connection(connections: Connections) -> None:
    default = await connections.create(ME, new(is_default=True))

    found = await connections.destination(ME, {"url": "s3://media/out/", "connection": None})

    assert found == {"url": "s3://media/out/", "connection": default.id}
