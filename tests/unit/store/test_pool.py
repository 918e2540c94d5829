"""What whoever asks the database is told when it goes away: that it was not done, or that nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from tests.support.lossy import Line, line

from mediamill.core.errors import DatabaseAway, NotFound, OutcomeUnknown, StorageFull
from mediamill.store import pool as pools
from mediamill.store.batch import Batcher

ADD = "INSERT INTO projects (id, name) VALUES ('{0}', '{0}')"
WHO = "SELECT pg_backend_pid()"
SLEEPS = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep')"


@pytest_asyncio.fixture
async def lossy(dsn: str) -> AsyncIterator[Line]:
    async with line(dsn) as found:
        yield found


@pytest_asyncio.fixture
async def pool(lossy: Line) -> AsyncIterator[asyncpg.Pool[Any]]:
    found = await pools.open_pool(lossy.dsn, most=2)
    yield found
    await found.close()


@pytest_asyncio.fixture
async def beside(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection by another way."""
    found = await asyncpg.connect(dsn)
    yield found
    await found.close()


async def there(beside: asyncpg.Connection[Any], id: str) -> bool:
    return bool(await beside.fetchval("SELECT EXISTS (SELECT FROM projects WHERE id = $1)", id))


async def end(beside: asyncpg.Connection[Any], pid: int, *, asleep: bool = False) -> None:
    """End a backend, as an operator who restarts the server does to all; asleep: once it sleeps."""
    while asleep and not await beside.fetchval(SLEEPS, pid):
        await asyncio.sleep(0)
    assert await beside.fetchval("SELECT pg_terminate_backend($1, 60000)", pid)


async def test_a_commit_whose_answer_is_lost_is_neither_told_as_done_nor_as_not_done(
    pool: asyncpg.Pool[Any], lossy: Line, beside: asyncpg.Connection[Any]
) -> None:
    lossy.lose = b"COMMIT"

    with pytest.raises(OutcomeUnknown):
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(ADD.format("a"))

    assert await there(beside, "a")


@pytest.mark.parametrize("word", ["execute", "fetch", "fetchrow", "fetchval"])
async def test_so_is_a_statement_that_commits_by_itself(pool: asyncpg.Pool[Any], lossy: Line, word: str) -> None:
    lossy.lose = b"INSERT"

    with pytest.raises(OutcomeUnknown):
        await getattr(pool, word)(ADD.format("b"))


async def test_a_question_whose_answer_is_lost_has_done_nothing(pool: asyncpg.Pool[Any], lossy: Line) -> None:
    lossy.lose = b"SELECT 17"

    with pytest.raises(DatabaseAway) as caught:
        await pool.fetchval("SELECT 17")

    assert not isinstance(caught.value, OutcomeUnknown)
    assert await pool.fetchval("SELECT 18") == 18


async def test_what_goes_away_in_mid_transaction_is_not_done(
    pool: asyncpg.Pool[Any], lossy: Line, beside: asyncpg.Connection[Any]
) -> None:
    lossy.lose = b"INSERT"

    with pytest.raises(DatabaseAway) as caught:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute(ADD.format("c"))

    assert not isinstance(caught.value, OutcomeUnknown)
    assert not await there(beside, "c")


@pytest.mark.parametrize("busy", [True, False], ids=["while it works", "between two statements"])
async def test_a_backend_that_is_ended_is_told(
    pool: asyncpg.Pool[Any], beside: asyncpg.Connection[Any], busy: bool
) -> None:
    async def work() -> None:
        async with pool.acquire() as connection, connection.transaction():
            pid = await connection.fetchval(WHO)
            await connection.execute(ADD.format("d"))
            if busy:
                ending = asyncio.create_task(end(beside, pid, asleep=True))
                try:
                    await connection.fetchval("SELECT pg_sleep(60)")
                finally:
                    await ending
            else:
                await end(beside, pid)
            while not lost(connection):
                await asyncio.sleep(0)

    with pytest.raises(DatabaseAway) as caught:
        await work()

    assert not isinstance(caught.value, OutcomeUnknown)
    assert not await there(beside, "d")
    assert await pool.fetchval("SELECT 1") == 1


async def test_a_backend_that_has_said_goodbye_is_away_before_its_line_is_cut(
    pool: asyncpg.Pool[Any], lossy: Line, beside: asyncpg.Connection[Any]
) -> None:
    lossy.holds = True

    async def work() -> None:
        async with pool.acquire() as connection:
            await end(beside, await connection.fetchval(WHO))
            while True:
                await connection.execute(ADD.format("e"))

    with pytest.raises(DatabaseAway):
        await work()
    lossy.holds = False

    assert not await there(beside, "e")
    assert await pool.fetchval("SELECT 1") == 1


async def test_what_was_done_stays_so_when_the_connection_is_lost_as_it_is_given_back(
    pool: asyncpg.Pool[Any], lossy: Line, beside: asyncpg.Connection[Any]
) -> None:
    async with pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute(ADD.format("e"))
        lossy.lose = connection.get_reset_query()[:20].encode()

    assert lossy.lost.is_set()
    assert await there(beside, "e")


async def test_an_error_of_ones_own_is_not_taken_for_another(pool: asyncpg.Pool[Any]) -> None:
    with pytest.raises(NotFound):
        async with pool.acquire() as connection, connection.transaction():
            raise NotFound("project", "f")
    with pytest.raises(asyncpg.UndefinedTableError):
        await pool.fetch("SELECT FROM nothing_of_the_name")


async def test_a_batch_whose_commit_is_lost_is_not_written_again(
    pool: asyncpg.Pool[Any], lossy: Line, beside: asyncpg.Connection[Any]
) -> None:
    async def flush(items: Any) -> Any:
        async with pool.acquire() as connection, connection.transaction():
            for _ in items:
                await connection.execute("INSERT INTO projects (id, name) VALUES (gen_random_uuid()::text, 'batch')")
        return list(items)

    batch: Batcher[int, int] = Batcher(flush)
    lossy.lose = b"COMMIT"

    answers = await asyncio.gather(*(batch(n) for n in range(3)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [OutcomeUnknown] * 3
    assert len({id(answer) for answer in answers}) == 3
    assert await beside.fetchval("SELECT count(*) FROM projects WHERE name = 'batch'") == 3


def lost(connection: Any) -> bool:
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


async def test_a_database_whose_disk_is_full_has_done_nothing_and_is_asked_again(pool: asyncpg.Pool[Any]) -> None:
    full = "DO $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$"

    with pytest.raises(StorageFull) as told:
        await pool.execute(full)

    assert not isinstance(told.value, OutcomeUnknown)
    assert await pool.fetchval("SELECT 1") == 1


async def test_a_starter_waits_for_a_database_that_is_on_its_way_up(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    connect, refusals = asyncpg.connect, [asyncpg.CannotConnectNowError("the database system is starting up")]

    async def recovering(*args: Any, **given: Any) -> Any:
        if refusals:
            raise refusals.pop()
        return await connect(*args, **given)

    monkeypatch.setattr(asyncpg, "connect", recovering)

    assert not await pools.migrate(dsn)
    assert not refusals
