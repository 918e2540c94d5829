"""History that has had its day goes; what is at work, waits or is still to be told stays."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.support.records import Bench, bench

from mediamill.core.errors import NotFound
from mediamill.core.tasks import State
from mediamill.store.retention import Retention

OLD_S = 3 * 86400.0


@pytest_asyncio.fixture
async def db(dsn: str) -> AsyncIterator[Bench]:
    async with bench(dsn) as found:
        await found.pool.execute("INSERT INTO projects (id, name) VALUES ('default', 'default') ON CONFLICT DO NOTHING")
        yield found


async def ended(db: Bench, state: State = State.SUCCEEDED) -> str:
    id = await db.accept()
    taken = await db.take(id)
    assert taken is not None
    assert await db.finish(taken, state)
    return id


async def age(db: Bench, *ids: str, days: float = 4) -> None:
    """As if they had been there for so long already."""
    by = f"interval '{days} days'"
    await db.pool.execute(
        f"UPDATE tasks SET created_at = created_at - {by}, finished_at = finished_at - {by} WHERE id = ANY($1)", ids
    )
    await db.pool.execute(
        f"UPDATE events SET created_at = created_at - {by}"
        " WHERE task_id = ANY($1) OR run_id IN (SELECT run_id FROM tasks WHERE id = ANY($1))",
        ids,
    )


async def forget(db: Bench) -> None:
    while await Retention(db.pool).forget(OLD_S):
        continue


async def left(db: Bench) -> dict[str, int]:
    """Rows by table, of those that have any."""
    tables = ("tasks", "runs", "attempts", "events", "deliveries", "delivery_attempts", "task_tags", "steps")
    counts = {table: await db.pool.fetchval(f"SELECT count(*) FROM {table}") for table in tables}
    return {table: count for table, count in counts.items() if count}


async def test_nothing_is_left_of_an_old_task(db: Bench) -> None:
    old = [await ended(db, state) for state in (State.SUCCEEDED, State.FAILED, State.CANCELLED)]
    await age(db, *old)

    await forget(db)

    assert await left(db) == {}


async def test_what_is_younger_or_not_at_its_end_stays(db: Bench) -> None:
    old, young, waiting = await ended(db), await ended(db), await db.accept()
    await age(db, old)
    await db.pool.execute("UPDATE tasks SET created_at = created_at - interval '9 days' WHERE id = $1", waiting)
    await age(db, young, days=2.9)

    await forget(db)

    with pytest.raises(NotFound):
        await db.tasks.get("default", old)
    assert {id: (await db.tasks.get("default", id)).state for id in (young, waiting)} == {
        young: State.SUCCEEDED,
        waiting: State.QUEUED,
    }
    assert await db.events(young) == ["task.created", "task.started", "task.succeeded"]
    assert await db.job_of(waiting) is not None


async def test_a_task_stays_as_long_as_one_of_its_run_is_young(db: Bench) -> None:
    first, last = await ended(db), await ended(db)
    await db.pool.execute("UPDATE tasks SET run_id = 'together' WHERE id = ANY($1)", [first, last])
    await age(db, first)

    await forget(db)
    assert (await left(db))["tasks"] == 2

    await age(db, last)
    await forget(db)
    assert "tasks" not in await left(db)


@pytest.mark.parametrize("type", ["task.succeeded", "run.succeeded"])
async def test_what_is_still_to_be_told_stays_until_it_is_told(db: Bench, type: str) -> None:
    await db.pool.execute(
        "INSERT INTO endpoints (id, project_id, dialect, url, topics, types, secret)"
        " VALUES ('e', 'default', 'mill', 'https://example.org/', '{*}', ARRAY[$1], 'x')",
        type,
    )
    id = await ended(db)
    await age(db, id)

    await forget(db)
    kept = await left(db)
    assert (kept["tasks"], kept["events"], kept["deliveries"]) == (1, 1, 1)  # the other events have gone

    await db.pool.execute("UPDATE deliveries SET state = 'delivered'")
    await forget(db)
    assert await left(db) == {}


async def test_more_than_a_lot_goes_in_the_end(db: Bench) -> None:
    await db.pool.execute(
        "INSERT INTO events (project_id, type, created_at)"
        " SELECT 'default', 'task.created', now() - interval '9 days' FROM generate_series(1, 2500)"
    )

    assert await Retention(db.pool).forget(OLD_S) == 1000
    await forget(db)

    assert await left(db) == {}


async def test_one_worker_at_a_time_forgets(db: Bench) -> None:
    await age(db, await ended(db))
    async with db.pool.acquire() as other, other.transaction():
        assert await other.fetchval("SELECT pg_try_advisory_xact_lock(hashtextextended('retention', 2))")
        assert await Retention(db.pool).forget(OLD_S) == 0

    await forget(db)
    assert await left(db) == {}


async def test_an_idempotency_key_that_lives_longer_than_the_task_goes_with_it(db: Bench) -> None:
    id = await ended(db)
    await db.pool.execute(
        "INSERT INTO idempotency (project_id, scope, key, body_hash, task_id, expires_at)"
        " VALUES ('default', 's', 'k', '', $1, now() + interval '9 days')",
        id,
    )
    await age(db, id)

    await forget(db)

    assert await db.pool.fetchval("SELECT count(*) FROM idempotency") == 0
