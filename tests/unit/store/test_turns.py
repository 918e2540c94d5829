"""Of a schedule's tasks one is at work: also beside those that somebody has put off, and when those are due."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import asyncpg
import pytest_asyncio
from tests.support.schedules import CALLER, PING, Bench, Clock

from mediamill.core.dispatch import Accept, Take
from mediamill.core.schedules import Schedule
from mediamill.core.tasks import NewTask, Origin, State, Task
from mediamill.store import pool as pools


@pytest_asyncio.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool[Any]]:
    opened = await pools.open_pool(dsn, most=10)
    await opened.execute("INSERT INTO projects (id, name) VALUES ('default', 'd') ON CONFLICT DO NOTHING")
    yield opened
    await opened.close()


@pytest_asyncio.fixture
async def bench(pool: asyncpg.Pool[Any]) -> Bench:
    return Bench(pool, Clock(datetime.now(UTC).replace(second=30, microsecond=0)))


async def put_off(bench: Bench, schedule: Schedule, seconds: float = 3600.0, priority: int = 0) -> str:
    """A task of the schedule that somebody starts by hand for later."""
    return await by_hand(bench, schedule, priority, datetime.now(UTC) + timedelta(seconds=seconds))


async def by_hand(
    bench: Bench,
    schedule: Schedule,
    priority: int = 0,
    at: datetime | None = None,
    hold: Literal["runner"] | None = None,
) -> str:
    """A task of the schedule that somebody starts."""
    origin = Origin(identifier="prompt", schedule_id=schedule.id, hold=hold)
    new = NewTask(kind=PING.kind, origin=origin, not_before=at, priority=priority)
    [found] = await bench.tasks.accept([Accept(new=new, project_id="default", queue=PING.queue, label="")])
    assert not isinstance(found, BaseException)
    return found[0]


async def make_due(bench: Bench, *ids: str) -> None:
    """The time of those that were put off has come."""
    await bench.pool.execute("UPDATE tasks SET not_before = now() WHERE id = ANY($1::text[])", list(ids))


async def read(bench: Bench, id: str) -> Task:
    return await bench.tasks.get("default", id)


async def test_what_is_put_off_keeps_no_firing_and_nobody_waiting(bench: Bench) -> None:
    schedule = await bench.schedule()
    later = await put_off(bench, schedule)

    now = await bench.service.run_now(CALLER, schedule.id)
    assert now.origin.hold is None
    await bench.finish(await bench.take(now.id))
    await bench.go(60)

    fired = next(task for task in await bench.all() if task.origin.due_at is not None)
    assert (fired.state, fired.origin.hold) == (State.QUEUED, None)
    assert (await read(bench, later)).state is State.DELAYED


async def test_a_firing_that_cancels_the_earlier_leaves_what_is_put_off(bench: Bench) -> None:
    schedule = await bench.schedule(overlap="cancel")
    later = await put_off(bench, schedule)
    await bench.go(60)
    first = next(task for task in await bench.all() if task.origin.due_at is not None)
    assert await bench.take(first.id) is not None

    await bench.go(60)

    assert (await read(bench, first.id)).cancel_requested
    assert (await read(bench, later)).state is State.DELAYED


async def test_what_becomes_due_while_another_is_at_work_waits_for_its_turn(bench: Bench) -> None:
    schedule = await bench.schedule()
    later, first = await put_off(bench, schedule), await by_hand(bench, schedule)
    running = await bench.take(first)
    await make_due(bench, later)

    assert await bench.take(later) is None

    task = await read(bench, later)
    assert (task.state, task.origin.hold, task.attempt) == (State.QUEUED, "turn", 0)
    assert await bench.queued() == [first]
    await bench.finish(running)
    assert await bench.queued() == [later]
    taken = await bench.take(later)
    assert taken.task.attempt == 1
    await bench.finish(taken)


async def test_a_date_that_has_passed_is_no_way_round_the_turn(bench: Bench) -> None:
    schedule = await bench.schedule()
    first, past = await by_hand(bench, schedule), await by_hand(bench, schedule, at=datetime(2020, 1, 1, tzinfo=UTC))
    running = await bench.take(first)

    assert await bench.take(past) is None

    await bench.finish(running)
    assert (await bench.take(past)).task.attempt == 1


async def test_of_those_that_become_due_at_once_one_goes(bench: Bench) -> None:
    schedule, other = await bench.schedule(), await bench.schedule()
    ids = [await put_off(bench, schedule) for _ in range(6)]
    beside = await put_off(bench, other)
    await make_due(bench, *ids, beside)
    jobs = {row["payload"].decode(): row["id"] for row in await bench.pool.fetch("SELECT id, payload FROM pgqueuer")}

    def take(*wanted: str) -> Any:
        return bench.tasks.take([Take(task_id=id, job_id=jobs[id], worker="w1") for id in wanted])

    # Two workers take several each, and others one.
    parts = await asyncio.gather(take(*ids[:2], beside), take(*ids[2:4]), take(ids[4]), take(ids[5]))

    taken = [one for part in parts for one in part if one is not None]
    assert len(taken) == 2
    assert beside in {one.task.id for one in taken}
    done = []
    at_work = next(one for one in taken if one.task.id != beside)
    while at_work is not None:
        done.append(at_work.task.id)
        await bench.finish(at_work)
        queued = await bench.queued()
        assert len(queued) == (1 if len(done) < len(ids) else 0) + 1  # with the other schedule's
        left = [id for id in queued if id != beside]
        at_work = await bench.take(left[0]) if left else None
    assert sorted(done) == sorted(ids)


async def test_of_those_that_wait_the_higher_priority_goes_first(bench: Bench) -> None:
    schedule = await bench.schedule()
    first, low, high, low_too = [await by_hand(bench, schedule, priority) for priority in (0, 1, 50, 1)]

    order = []
    for _ in range(4):
        [next_] = await bench.queued()
        order.append(next_)
        await bench.finish(await bench.take(next_))

    assert order == [first, high, low, low_too]


async def test_of_those_that_nobody_ran_one_goes_when_somebody_does(bench: Bench) -> None:
    schedule = await bench.schedule("0 0 1 1 *")
    ids = [await by_hand(bench, schedule, hold="runner") for _ in range(3)]
    loose = await by_hand(bench, await bench.schedule("0 0 1 1 *"), hold="runner")
    assert await bench.queued() == []

    await bench.go(0)

    assert sorted(await bench.queued()) == sorted([ids[0], loose])
    await bench.finish(await bench.take(ids[0]))
    assert set(await bench.queued()) == {ids[1], loose}
