"""Firing under a clock that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from tests.support.schedules import CALLER, Bench, Clock, instants

from mediamill.core.errors import Conflict, Invalid, NotFound
from mediamill.core.schedules import NewSchedule, ScheduleFilter
from mediamill.core.tasks import Cursor, Page, State
from mediamill.store import pool as pools


@pytest_asyncio.fixture
async def pool(dsn: str) -> AsyncIterator[asyncpg.Pool[Any]]:
    opened = await pools.open_pool(dsn, most=6)
    await opened.execute("INSERT INTO projects (id, name) VALUES ('default', 'd') ON CONFLICT DO NOTHING")
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> Clock:
    """Half a minute past a full one, about now: times to live are counted by the database's own clock."""
    return Clock(datetime.now(UTC).replace(second=30, microsecond=0))


@pytest_asyncio.fixture
async def bench(pool: asyncpg.Pool[Any], clock: Clock) -> Bench:
    return Bench(pool, clock)


# --- instants ---------------------------------------------------------------------------------------------------------


async def test_each_instant_fires_once_at_its_time(bench: Bench, clock: Clock) -> None:
    start = clock.time
    every, fifth = await bench.schedule(), await bench.schedule("*/5 * * * *", zone="Asia/Kolkata")

    await bench.go(20 * 60)

    assert await bench.fired(every) == instants("* * * * *", "UTC", start, clock.time)
    assert await bench.fired(fifth) == instants("*/5 * * * *", "Asia/Kolkata", start, clock.time)


async def test_a_firing_says_what_the_contract_promises(bench: Bench, clock: Clock) -> None:
    schedule = await bench.schedule(
        zone="Europe/Madrid",
        external_id="mine",
        settings={"tags": ["a"], "metadata": {"n": 1}, "max_attempts": 5, "priority": 7},
    )
    await bench.go(120)

    first, second = await bench.all()

    due = clock.time.replace(second=0) - timedelta(minutes=1)
    assert first.created_at == first.origin.due_at == due
    said = first.extra["prompt"]
    assert said["payload"] == {
        "type": "IMPERATIVE",
        "timestamp": f"{due:%Y-%m-%dT%H:%M:00.000Z}",
        "timezone": "Europe/Madrid",
        "scheduleId": schedule.token,
        "externalId": "mine",
        "upcoming": [f"{due + timedelta(minutes=n):%Y-%m-%dT%H:%M:00.000Z}" for n in range(1, 11)],
    }
    assert second.extra["prompt"]["payload"]["lastTimestamp"] == said["payload"]["timestamp"]
    assert said["schedule"]["cron"] == "* * * * *"
    assert said["function"] == "trigger"
    assert {"a", f"task:{schedule.uuid}"} < set(first.origin.tags)
    assert any(tag.startswith("account:") for tag in first.origin.tags)
    assert (first.metadata, first.max_attempts, first.priority) == ({"n": 1}, 5, 7)


async def test_loops_side_by_side_fire_each_instant_once(pool: asyncpg.Pool[Any], clock: Clock) -> None:
    benches = [Bench(pool, clock) for _ in range(3)]
    start = clock.time
    for _ in range(40):
        await benches[0].schedule()

    for _ in range(10):
        clock.go(60)
        await asyncio.gather(*(bench.loop.round() for bench in benches))

    assert await benches[0].fired() == sorted(instants("* * * * *", "UTC", start, clock.time) * 40)


async def test_the_nap_ends_with_the_next_instant(bench: Bench, clock: Clock) -> None:
    assert await bench.loop.round() == 5.0

    await bench.schedule()
    clock.go(28)

    assert await bench.loop.round() == 2.0


async def test_a_wake_ends_the_nap(bench: Bench) -> None:
    class Sleepy(Clock):
        async def sleep(self, seconds: float) -> None:
            asleep.set()
            await asyncio.Event().wait()

    asleep = asyncio.Event()
    bench = Bench(bench.pool, Sleepy(bench.clock.time))
    running = asyncio.create_task(bench.loop.run())
    await asyncio.wait_for(asleep.wait(), 60)
    await bench.schedule()
    bench.clock.go(40)
    bench.loop.wake()

    async def fired() -> None:
        while not await bench.fired():
            await asyncio.sleep(0.01)

    await asyncio.wait_for(fired(), 60)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


# --- missed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "limit", "minutes_ago"),
    [
        ("none", 100, [0]),
        ("last", 100, [0]),
        ("all", 100, [*range(30)]),
        ("all", 4, [*range(5)]),
    ],
)
async def test_what_was_missed_is_made_up_for_by_the_policy(
    bench: Bench, clock: Clock, policy: Any, limit: int, minutes_ago: list[int]
) -> None:
    schedule = await bench.schedule(missed=policy, missed_limit=limit)

    clock.go(30 * 60)  # nobody looks
    await bench.go(0)

    latest = clock.time.replace(second=0)
    assert await bench.fired(schedule) == sorted(latest - timedelta(minutes=n) for n in minutes_ago)
    assert (await bench.service.get(CALLER, schedule.id)).next_at == latest + timedelta(minutes=1)


@pytest.mark.parametrize(("policy", "count"), [("none", 0), ("last", 1), ("all", 3)])
async def test_an_hourly_rule_after_three_hours_down(bench: Bench, clock: Clock, policy: Any, count: int) -> None:
    clock.time = clock.time.replace(minute=10)
    await bench.schedule("0 * * * *", missed=policy)

    clock.go(3 * 3600)
    await bench.go(0)

    hour = clock.time.replace(minute=0, second=0)
    assert await bench.fired() == sorted(hour - timedelta(hours=n) for n in range(count))


async def test_years_of_downtime_cost_no_more_than_what_is_made_up_for(bench: Bench, clock: Clock) -> None:
    schedule = await bench.schedule(missed="all", missed_limit=50)

    clock.go(5 * 365 * 86400)
    await asyncio.wait_for(bench.go(0), 60)

    assert len(await bench.fired(schedule)) == 51


# --- overlap ----------------------------------------------------------------------------------------------------------


async def test_queue_lets_one_wait_for_its_turn(bench: Bench) -> None:
    await bench.schedule()
    await bench.go(120)
    first, second = await bench.all()
    assert (first.origin.hold, second.origin.hold) == (None, "turn")
    assert await bench.queued() == [first.id]

    await bench.finish(await bench.take(first.id))

    assert await bench.queued() == [second.id]
    assert (await bench.tasks.get("default", second.id)).origin.hold is None


async def test_who_waits_in_vain_until_the_next_is_due_expires(bench: Bench, pool: asyncpg.Pool[Any]) -> None:
    await bench.schedule()
    await bench.go(120)
    _, second = await bench.all()
    assert second.origin.ttl_s == 60

    late = "UPDATE tasks SET expires_at = clock_timestamp(), ttl_s = 59.997406 WHERE id = $1"
    await pool.execute(late, second.id)
    await bench.go(60)

    first, second, third = await bench.all()
    assert [task.state for task in (first, second, third)] == [State.QUEUED, State.FAILED, State.QUEUED]
    assert second.error is not None
    assert second.error.code == "expired"
    assert "60 s" in second.error.message
    assert third.origin.hold == "turn"


async def test_skip_lets_a_firing_go_by(bench: Bench) -> None:
    await bench.schedule(overlap="skip")
    await bench.go(180)

    [first] = await bench.all()
    await bench.finish(await bench.take(first.id))
    await bench.go(60)

    assert [task.state for task in await bench.all()] == [State.SUCCEEDED, State.QUEUED]


async def test_cancel_ends_the_earlier_and_goes_on_with_the_newest(bench: Bench) -> None:
    await bench.schedule(overlap="cancel")
    await bench.go(60)
    [first] = await bench.all()
    running = await bench.take(first.id)

    await bench.go(120)

    first, second, third = await bench.all()
    assert first.cancel_requested
    assert second.state is State.CANCELLED
    assert third.origin.hold == "turn"
    await bench.finish(running, State.CANCELLED)
    assert await bench.queued() == [third.id]


async def test_what_should_have_been_cancelled_when_a_server_died_is_so_by_the_next(bench: Bench) -> None:
    async def nobody(project_id: str, id: str) -> None:
        return

    await bench.schedule(overlap="cancel")
    bench.loop._cancel = nobody
    await bench.go(120)
    assert [task.state for task in await bench.all()] == [State.QUEUED, State.QUEUED]

    other = Bench(bench.pool, bench.clock)
    await other.go(0)

    first, second = await bench.all()
    assert first.state is State.CANCELLED
    assert await bench.queued() == [first.id, second.id]
    assert await bench.take(first.id) is None


async def test_a_turn_that_nobody_passed_on_is_found(bench: Bench, pool: asyncpg.Pool[Any]) -> None:
    await bench.schedule()
    await bench.go(120)
    first, second = await bench.all()
    await pool.execute("UPDATE tasks SET state = 'succeeded', finished_at = now() WHERE id = $1", first.id)

    await bench.go(0)

    assert (await bench.queued())[-1] == second.id


# --- on and off, and other changes ------------------------------------------------------------------------------------


async def test_disabled_it_starts_nothing_and_drops_what_has_not_begun(bench: Bench, clock: Clock) -> None:
    schedule = await bench.schedule()
    await bench.go(60)
    [running] = await bench.all()
    taken = await bench.take(running.id)
    await bench.go(60)

    off = await bench.service.change(CALLER, schedule.id, {"enabled": False})
    await bench.go(180)

    assert (off.token, off.next_at, list(bench.service.upcoming(off))) == (None, None, [])
    assert [task.state for task in await bench.all()] == [State.RUNNING, State.CANCELLED]
    await bench.finish(taken)

    on = await bench.service.change(CALLER, schedule.id, {"enabled": True})
    assert on.token not in (None, schedule.token)
    assert on.next_at == clock.time.replace(second=0) + timedelta(minutes=1)
    await bench.go(60)
    assert len(await bench.all()) == 3


@pytest.mark.parametrize("enabled", [None, True])
async def test_what_is_not_said_to_be_off_is_on(bench: Bench, enabled: bool | None) -> None:
    schedule = await bench.schedule(enabled=enabled)

    assert schedule.token is not None
    assert schedule.next_at is not None


async def test_a_change_of_the_rule_or_the_zone_holds_at_once(bench: Bench, clock: Clock) -> None:
    schedule = await bench.schedule("0 9 * * *", zone="Europe/Madrid")

    moved = await bench.service.change(CALLER, schedule.id, {"zone": "America/New_York"})
    assert moved.next_at == instants("0 9 * * *", "America/New_York", clock.time, clock.time + timedelta(days=2))[0]
    assert moved.token == schedule.token

    often = await bench.service.change(CALLER, schedule.uuid, {"cron": "* * * * *"})
    assert often.next_at == clock.time.replace(second=0) + timedelta(minutes=1)
    await bench.go(60)
    assert len(await bench.fired()) == 1


async def test_a_change_of_words_leaves_the_plan(bench: Bench, clock: Clock) -> None:
    schedule = await bench.schedule()
    clock.go(45)

    changed = await bench.service.change(CALLER, schedule.id, {"title": "Other", "prompt": "Do that."})

    assert (changed.title, changed.prompt, changed.next_at) == ("Other", "Do that.", schedule.next_at)
    await bench.go(0)
    assert len(await bench.fired()) == 1


async def test_forgotten_it_starts_nothing_more(bench: Bench) -> None:
    schedule = await bench.schedule()
    await bench.go(60)

    await bench.service.remove(CALLER, schedule.id)
    await bench.go(120)

    assert [task.state for task in await bench.all()] == [State.CANCELLED]
    with pytest.raises(NotFound):
        await bench.service.get(CALLER, schedule.id)


async def test_a_change_to_and_fro_fires_no_instant_twice(bench: Bench, clock: Clock) -> None:
    schedule = await bench.schedule()
    await bench.go(60)
    clock.jump(-60)  # and the clock is set back besides
    await bench.service.change(CALLER, schedule.id, {"cron": "*/2 * * * *"})
    await bench.service.change(CALLER, schedule.id, {"cron": "* * * * *"})
    await bench.go(120)

    assert len(await bench.fired()) == len(set(await bench.fired())) == 2


# --- clocks -----------------------------------------------------------------------------------------------------------


async def test_a_clock_that_is_set_back_neither_repeats_nor_stops(bench: Bench, clock: Clock) -> None:
    await bench.schedule()
    await bench.go(60)
    clock.jump(3600)
    await bench.go(60)  # an hour ahead: it fires there
    ahead = await bench.fired()

    clock.jump(-3600)
    await bench.go(180)

    fired = await bench.fired()
    assert len(fired) == len(set(fired)) == len(ahead) + 3


async def test_a_plan_that_is_too_late_is_set_right_when_a_server_starts(
    bench: Bench, clock: Clock, pool: asyncpg.Pool[Any]
) -> None:
    schedule = await bench.schedule("0 9 * * *")
    await pool.execute("UPDATE schedules SET next_at = next_at + interval '1 year'")  # as of other rules of its zone

    await Bench(pool, clock).go(0)

    assert (await bench.service.get(CALLER, schedule.id)).next_at == schedule.next_at


async def test_a_zone_that_is_lost_lets_its_schedule_rest_and_no_other(bench: Bench, pool: asyncpg.Pool[Any]) -> None:
    lost, well = await bench.schedule(), await bench.schedule()
    await pool.execute("UPDATE schedules SET zone = 'Europe/Nowhere' WHERE id = $1", lost.id)
    bench.loop._seen = (bench.clock.time, bench.clock.passed)  # it has run before

    await bench.go(120)

    assert await bench.fired(lost) == []
    assert len(await bench.fired(well)) == 2
    assert list(bench.service.upcoming(await bench.service.get(CALLER, lost.id))) == []


# --- runners, and by hand ---------------------------------------------------------------------------------------------


async def test_what_nobody_runs_waits_for_a_worker_that_does(bench: Bench, clock: Clock) -> None:
    await bench.schedule(identifier="special")
    await bench.go(60)
    [task] = await bench.all()
    assert (task.state, task.origin.hold) == (State.WAITING, "runner")
    assert await bench.queued() == []

    await Bench(bench.pool, clock, offered=["prompt", "special"]).go(0)

    [task] = await bench.all()
    assert (task.state, task.origin.hold) == (State.QUEUED, None)
    assert await bench.queued() == [task.id]


async def test_by_hand_it_starts_beside_the_plan_and_also_while_disabled(bench: Bench) -> None:
    schedule = await bench.schedule(enabled=False)

    first = await bench.service.run_now(CALLER, schedule.id)
    second = await bench.service.run_now(CALLER, schedule.id)

    assert (first.origin.schedule_id, first.origin.due_at) == (schedule.id, None)
    assert (first.origin.hold, second.origin.hold) == (None, "turn")
    assert "upcoming" in first.extra["prompt"]["payload"]
    await bench.finish(await bench.take(first.id))
    assert await bench.queued() == [second.id]


# --- keeping ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"zone": "+05:30"}, "zone"),
        ({"overlap": "wait"}, "overlap"),
        ({"missed": "some"}, "missed"),
        ({"missed_limit": 0}, "missed_limit"),
        ({"missed_limit": 1001}, "missed_limit"),
        ({"identifier": ""}, "identifier"),
        ({"title": "x" * 1001}, "title"),
        ({"settings": {"colour": 1}}, "settings.colour"),
        ({"settings": {"max_attempts": 11}}, "settings.max_attempts"),
        ({"settings": {"max_attempts": "3"}}, "settings.max_attempts"),
        ({"settings": {"ttl_s": -1}}, "settings.ttl_s"),
        ({"settings": {"tags": ["x"] * 2 + [""]}}, "settings.tags.1"),
    ],
)
async def test_what_cannot_be_is_refused_and_nothing_is_kept(bench: Bench, given: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        await bench.service.create(CALLER, NewSchedule(**{"cron": "* * * * *", "prompt": "x", **given}))

    assert refused.value.field == field
    assert await bench.service.all(CALLER) == []
    schedule = await bench.schedule()
    with pytest.raises(Invalid):
        await bench.service.change(CALLER, schedule.id, given)
    assert await bench.service.get(CALLER, schedule.id) == schedule


async def test_one_key_is_one_schedule(bench: Bench) -> None:
    new = NewSchedule(cron="0 9 * * *", prompt="x", dedup_key="k")
    first, fresh = await bench.service.upsert(CALLER, new)
    same, again = await bench.service.upsert(CALLER, NewSchedule(cron="0 8 * * *", prompt="y", dedup_key="k"))

    assert (fresh, again) == (True, False)
    assert (same.id, same.cron, same.prompt) == (first.id, "0 8 * * *", "y")
    with pytest.raises(Conflict):
        await bench.service.create(CALLER, new)
    other = await bench.schedule()
    with pytest.raises(Conflict):
        await bench.service.change(CALLER, other.id, {"dedup_key": "k"})


async def test_one_key_asked_for_by_many_at_once_is_one_schedule(bench: Bench) -> None:
    new = NewSchedule(cron="0 9 * * *", prompt="x", dedup_key="k")

    found = await asyncio.gather(*(bench.service.upsert(CALLER, new) for _ in range(12)))

    assert len({schedule.id for schedule, _ in found}) == 1
    assert [fresh for _, fresh in found].count(True) == 1


async def test_a_schedule_is_found_by_each_of_its_names(bench: Bench) -> None:
    schedule = await bench.schedule()

    for name in (schedule.id, schedule.uuid, schedule.uuid.upper(), schedule.token):
        assert (await bench.service.get(CALLER, str(name))).id == schedule.id
    for name in ("s1", "sched_1", "00000000-0000-4000-8000-000000000000", "\0", "é" * 300):
        with pytest.raises(NotFound):
            await bench.service.get(CALLER, name)


async def test_lists_are_walked_page_by_page_both_ways(bench: Bench) -> None:
    made = [await bench.schedule(enabled=n % 2 == 0, artist_id=f"a{n % 3}") for n in range(7)]
    newest = [schedule.id for schedule in reversed(made)]

    first = await bench.service.list(CALLER, Page(limit=3))
    last = first.items[-1]
    place = Cursor(at=last.created_at, id=last.id)
    second = await bench.service.list(CALLER, Page(limit=3, after=place))
    back = await bench.service.list(CALLER, Page(limit=2, before=place))

    assert [one.id for one in first.items] == newest[:3]
    assert first.more
    assert [one.id for one in second.items] == newest[3:6]
    assert [one.id for one in back.items] == newest[:2]
    assert [one.id for one in (await bench.service.list(CALLER, Page(limit=9, ascending=True))).items] == newest[::-1]
    assert [one.id for one in await bench.service.all(CALLER)] == newest
    assert await bench.service.count(CALLER, ScheduleFilter(active=True)) == 4
    assert len(await bench.service.all(CALLER, ScheduleFilter(artist_id="a0", active=False))) == 1
    assert len(await bench.service.all(CALLER, ScheduleFilter(uuid=made[2].uuid))) == 1


async def test_what_is_made_up_for_waits_as_long_as_it_takes_and_the_latest_until_the_next_is_due(
    bench: Bench, clock: Clock
) -> None:
    clock.time = clock.time.replace(minute=10)
    await bench.schedule("0 * * * *", missed="all")

    clock.go(4 * 3600)
    await bench.go(0)

    found = await bench.all()
    assert [task.origin.hold for task in found] == [None, "turn", "turn", "turn"]
    assert [task.origin.ttl_s for task in found] == [None, None, None, 3600 - 10 * 60 - 30]
