"""From an event to its receivers: who is told, when again, and what keeps a bad receiver from being in the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from tests.support.hooks import Clock, Hooks, hooks, real_now
from tests.support.receiver import Post, Receiver, Reply, receiving, way_out

from mediamill.core.webhooks import LADDER_S, DeliveryPage, Due, EndpointState, event_id


@pytest_asyncio.fixture
async def bench(dsn: str) -> AsyncIterator[Hooks]:
    async with hooks(dsn) as found:
        yield found


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


async def test_an_event_goes_once_to_each_endpoint_that_wants_it(bench: Hooks, receiver: Receiver) -> None:
    await bench.endpoint(receiver.url("/all"))
    await bench.endpoint(receiver.url("/ends"), ["task.succeeded", "task.failed"])
    await bench.endpoint(receiver.url("/other-project"), project="other")

    async with way_out() as net, bench.dispatching(net):
        [created] = await bench.tell(type="task.created")
        [ended] = await bench.tell(type="task.succeeded")
        posts = await receiver.got(3)

    assert sorted((post.path, post.id) for post in posts) == sorted(
        [("/all", created), ("/all", ended), ("/ends", ended)]
    )
    assert await bench.states() == {"delivered": 3}


async def test_a_receiver_that_is_down_gets_everything_on_the_ladders_rungs(bench: Hooks, receiver: Receiver) -> None:
    endpoint = await bench.endpoint(receiver.url())
    clock = Clock(real_now())
    began = clock.at
    told = await bench.tell(20)
    clock.turn(1.0)
    await receiver.stop()

    async with way_out() as net, bench.dispatching(net, clock=clock, lane_width=20) as dispatcher:
        while (clock.at - began).total_seconds() < 86_400:
            await asyncio.wait_for(dispatcher.idle.wait(), 60)
            wait_s = await bench.deliveries.next_in_s(clock())
            assert wait_s is not None
            clock.turn(wait_s + 0.001)
            if (clock.at - began).total_seconds() >= 86_400:
                await receiver.start()
            dispatcher.idle.clear()
            dispatcher.notice()
        posts = await receiver.got(20)
        await asyncio.wait_for(dispatcher.idle.wait(), 60)

    assert sorted(post.id for post in posts) == sorted(told)
    page, _ = await bench.deliveries.list("default", DeliveryPage(endpoint_id=endpoint.id))
    one = await bench.deliveries.get("default", page[0].id)
    gaps = [
        (after.started_at - before.started_at).total_seconds()
        for before, after in zip(one.log, one.log[1:], strict=False)
    ]
    assert [round(gap) for gap in gaps] == [round(rung) for rung in LADDER_S[1 : len(gaps) + 1]]
    assert await bench.states() == {"delivered": 20}


async def test_the_ladder_ends_and_what_failed_can_be_told_again(bench: Hooks, receiver: Receiver) -> None:
    await bench.endpoint(receiver.url())
    clock = Clock(real_now())
    [told] = await bench.tell()
    clock.turn(1.0)
    receiver.answer(500, body=b"no")

    async with way_out() as net, bench.dispatching(net, clock=clock) as dispatcher:
        await asyncio.wait_for(dispatcher.idle.wait(), 60)
        while (wait_s := await bench.deliveries.next_in_s(clock())) is not None:
            clock.turn(wait_s + 0.001)
            dispatcher.idle.clear()
            dispatcher.notice()
            await asyncio.wait_for(dispatcher.idle.wait(), 60)
        assert len(receiver.posts) == len(LADDER_S)
        assert await bench.states() == {"failed": 1}
        receiver.answer(200)
        [failed], _ = await bench.deliveries.list("default", DeliveryPage())

        again = await bench.deliveries.again("default", failed.id)
        clock.turn(1.0)
        dispatcher.notice()
        posts = await receiver.got(len(LADDER_S) + 1)

    assert {post.id for post in posts} == {told}
    assert (await bench.deliveries.get("default", failed.id)).log[0].response_body == b"no"
    assert again.replay_of == failed.id


async def test_a_dead_receiver_of_a_hundred_delays_no_other(bench: Hooks, receiver: Receiver) -> None:
    silent = asyncio.Event()

    async def answers(post: Post) -> Reply:
        if post.path == "/0":
            await silent.wait()
        return Reply()

    receiver.answer_with(answers)
    for number in range(100):
        await bench.endpoint(receiver.url(f"/{number}"))

    async with way_out() as net, bench.dispatching(net, timeout_s=60):
        await bench.tell(5)
        async with asyncio.timeout(50):  # sooner than the dead one's time is over
            while (await bench.states()).get("delivered", 0) < 99 * 5:
                await asyncio.sleep(0.02)
        silent.set()

    assert sum(post.path == "/0" for post in receiver.posts) <= 8


async def test_a_receiver_that_did_not_answer_well_is_tried_by_one_attempt_at_a_time(
    bench: Hooks, receiver: Receiver
) -> None:
    most = now = 0

    async def answers(_: Post) -> Reply:
        nonlocal most, now
        now += 1
        if len(receiver.posts) > 8:
            most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return Reply(503)

    receiver.answer_with(answers)
    await bench.endpoint(receiver.url())

    async with way_out() as net, bench.dispatching(net):
        await bench.tell(8)
        await receiver.got(8)
        async with asyncio.timeout(60):
            while now:
                await asyncio.sleep(0.01)
        await bench.tell(10)
        await receiver.got(18)

    assert most == 1


async def test_410_disables_the_endpoint_and_keeps_what_waits_for_it(bench: Hooks, receiver: Receiver) -> None:
    endpoint = await bench.endpoint(receiver.url())
    receiver.answer(410)

    async with way_out() as net, bench.dispatching(net, lane_width=1):
        await bench.tell(3)
        await receiver.got(1)
        async with asyncio.timeout(60):
            while (await bench.endpoints.get("default", endpoint.id)).state is not EndpointState.DISABLED:
                await asyncio.sleep(0.01)
        await bench.tell(1)
        states = await bench.states()
        assert states["failed"] >= 1
        assert states.keys() <= {"failed", "disabled"}
        receiver.answer(200)
        before = len(receiver.posts)

        await bench.endpoints.change("default", endpoint.id, state=EndpointState.ACTIVE)
        await receiver.got(before + states.get("disabled", 0))

    assert sum((await bench.states()).values()) == 3


async def test_retry_after_is_taken_at_its_word_and_the_whole_receiver_is_left_alone(
    bench: Hooks, receiver: Receiver
) -> None:
    await bench.endpoint(receiver.url())
    clock = Clock(real_now())
    await bench.tell(2)
    clock.turn(1.0)
    receiver.answer(429, {"Retry-After": "120"})

    async with way_out() as net, bench.dispatching(net, clock=clock, lane_width=1) as dispatcher:
        await asyncio.wait_for(dispatcher.idle.wait(), 60)
        assert len(receiver.posts) == 1
        receiver.answer(200)
        clock.turn(100)
        dispatcher.idle.clear()
        dispatcher.notice()
        await asyncio.wait_for(dispatcher.idle.wait(), 60)
        assert len(receiver.posts) == 1

        clock.turn(21)
        dispatcher.notice()
        await receiver.got(3)


async def test_an_attempt_lost_with_its_process_is_made_again_under_the_same_id(
    bench: Hooks, receiver: Receiver
) -> None:
    await bench.endpoint(receiver.url())
    clock = Clock(real_now())
    [told] = await bench.tell()
    clock.turn(1.0)
    [lost] = await bench.deliveries.claim(most=10, width=8, places={}, lease_s=30, now=clock())
    assert await bench.deliveries.claim(most=10, width=8, places={}, lease_s=30, now=clock()) == []
    clock.turn(31)

    async with way_out() as net, bench.dispatching(net, clock=clock):
        [post] = await receiver.got(1)

    assert post.id == told
    one = await bench.deliveries.get("default", lost.id)
    assert (one.state, one.attempts, [attempt.number for attempt in one.log]) == ("delivered", 2, [2])


async def test_one_that_is_told_to_leave_while_it_claims_delivers_what_it_has_claimed(
    bench: Hooks, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.endpoint(receiver.url())
    claim, claimed = bench.deliveries.claim, list[Due]()

    async def told_meanwhile(**given: Any) -> list[Due]:
        found = await claim(**given)
        if found:
            dispatcher.leave()
        claimed.extend(found)
        return found

    monkeypatch.setattr(bench.deliveries, "claim", told_meanwhile)
    async with way_out() as net, bench.dispatching(net) as dispatcher:
        [told] = await bench.tell()
        [post] = await receiver.got(1)

    assert [post.id, *(event_id(due.event.id) for due in claimed)] == [told, told]
    assert await bench.states() == {"delivered": 1}


async def test_two_dispatchers_never_make_the_same_attempt(bench: Hooks, receiver: Receiver) -> None:
    await bench.endpoint(receiver.url())

    async with way_out() as net, bench.dispatching(net), bench.dispatching(net):
        for _ in range(20):
            await bench.tell(10)
        await receiver.got(200)
        async with asyncio.timeout(60):
            while (await bench.states()) != {"delivered": 200}:
                await asyncio.sleep(0.02)

    assert len(receiver.posts) == len({post.id for post in receiver.posts}) == 200


async def test_an_endpoint_removed_in_mid_post_leaves_nothing(bench: Hooks, receiver: Receiver) -> None:
    endpoint = await bench.endpoint(receiver.url())
    removed = asyncio.Event()

    async def answers(_: Post) -> Reply:
        await removed.wait()
        return Reply()

    receiver.answer_with(answers)
    async with way_out() as net, bench.dispatching(net) as dispatcher:
        await bench.tell()
        await receiver.got(1)
        await bench.endpoints.delete("default", endpoint.id)
        dispatcher.idle.clear()
        removed.set()
        await asyncio.wait_for(dispatcher.idle.wait(), 60)

    assert await bench.states() == {}
    assert await bench.pool.fetchval("SELECT count(*) FROM delivery_attempts") == 0
