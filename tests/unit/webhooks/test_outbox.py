"""What the change of a task leaves to be told: written with the change itself, or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from tests.support.hooks import Hooks, hooks
from tests.support.records import PROJECT, Bench, bench

from mediamill.core.tasks import State
from mediamill.core.webhooks import DeliveryPage, EndpointState, Span, event_id, read_id

pytestmark = pytest.mark.usefixtures("records")


@pytest_asyncio.fixture
async def records(dsn: str) -> AsyncIterator[Bench]:
    async with bench(dsn) as found:
        yield found


@pytest_asyncio.fixture
async def told(dsn: str) -> AsyncIterator[Hooks]:
    async with hooks(dsn) as found:
        yield found


async def rows(told: Hooks) -> list[dict[str, Any]]:
    return [dict(row) for row in await told.pool.fetch("SELECT * FROM deliveries ORDER BY id")]


async def test_a_finish_leaves_its_deliveries(records: Bench, told: Hooks) -> None:
    endpoint = await told.endpoint("https://example.org/", ["task.succeeded"])
    id = await records.accept()
    assert await rows(told) == []
    taken = await records.take(id)
    assert taken is not None

    assert await records.finish(taken)

    [row] = await rows(told)
    assert (row["endpoint_id"], row["type"], row["task_id"]) == (endpoint.id, "task.succeeded", id)
    assert row["state"] == "pending"


async def test_a_change_that_is_taken_back_tells_nobody(told: Hooks) -> None:
    await told.endpoint("https://example.org/")

    async with told.pool.acquire() as connection:
        change = connection.transaction()
        await change.start()
        await connection.execute("INSERT INTO events (project_id, type) VALUES ($1, 'task.created')", PROJECT)
        assert await connection.fetchval("SELECT count(*) FROM deliveries") == 1
        await change.rollback()

    assert await rows(told) == []


@pytest.mark.parametrize("end", [State.SUCCEEDED, State.FAILED, State.CANCELLED])
async def test_an_address_that_a_task_names_hears_of_its_end_only(records: Bench, told: Hooks, end: State) -> None:
    id = await records.accept(extra={"webhook_url": "https://Example.org:8443/hook?x=1"})
    taken = await records.take(id)
    assert taken is not None
    assert await rows(told) == []

    assert await records.finish(taken, end)

    [row] = await rows(told)
    assert (row["url"], row["lane"]) == ("https://Example.org:8443/hook?x=1", "task example.org:8443")
    assert (row["endpoint_id"], row["type"]) == (None, f"task.{end}")


@pytest.mark.parametrize("url", ["", "x", 7, None, {"a": 1}, "http://", "ftp://example.org/", "http://" + "x" * 5000])
async def test_whatever_a_task_names_it_still_ends(records: Bench, told: Hooks, url: Any) -> None:
    taken = await records.take(await records.accept(extra={"webhook_url": url}))
    assert taken is not None

    assert await records.finish(taken)

    assert len(await rows(told)) == (1 if isinstance(url, str) and len(url) > 100 else 0)


async def test_a_paused_endpoint_gets_nothing_new_and_later_what_it_missed(told: Hooks) -> None:
    endpoint = await told.endpoint("https://example.org/")
    [before] = await told.tell()
    await told.endpoints.change(PROJECT, endpoint.id, state=EndpointState.PAUSED)
    [meanwhile] = await told.tell()
    assert [row["state"] for row in await rows(told)] == ["disabled"]

    await told.endpoints.change(PROJECT, endpoint.id, state=EndpointState.ACTIVE)
    count, last = await told.deliveries.span(PROJECT, endpoint.id, Span(missed=True), 100)

    assert (count, last) == (1, read_id("evt_", meanwhile))
    assert [event_id(row["event_id"]) for row in await rows(told)] == [before, meanwhile]
    assert {row["state"] for row in await rows(told)} == {"pending"}


async def test_a_span_names_events_by_id_instant_and_type(told: Hooks) -> None:
    endpoint = await told.endpoint("https://example.org/", ["task.created", "task.failed"])
    created = [read_id("evt_", word) for word in await told.tell(4, "task.created")]
    [failed] = [read_id("evt_", word) for word in await told.tell(1, "task.failed")]
    await told.tell(1, "task.succeeded")
    await told.pool.execute("UPDATE deliveries SET state = 'delivered'")
    since = await told.pool.fetchval("SELECT created_at FROM events WHERE id = $1", failed)

    async def again(**span: Any) -> list[int]:
        before = len(await rows(told))
        await told.deliveries.span(PROJECT, endpoint.id, Span(**span), 100)
        found = [row["event_id"] for row in (await rows(told))[before:]]
        await told.pool.execute("UPDATE deliveries SET state = 'delivered'")
        return found

    assert await again(first=created[1], last=created[2]) == created[1:3]
    assert await again(since=since) == [failed]
    assert await again(types=["task.failed"]) == [failed]
    assert await again() == [*created, failed]
    assert await again(missed=True) == []
    [replayed, *_], _ = await told.deliveries.list(PROJECT, DeliveryPage())
    assert replayed.replay_of is not None


async def test_old_deliveries_are_forgotten_and_their_events_kept(told: Hooks) -> None:
    endpoint = await told.endpoint("https://example.org/")
    await told.tell(3)
    await told.pool.execute("UPDATE deliveries SET state = 'delivered' WHERE id < (SELECT max(id) FROM deliveries)")
    await told.pool.execute("UPDATE deliveries SET updated_at = now() - interval '31 days'")

    assert await told.deliveries.prune(30) == 2

    assert [row["state"] for row in await rows(told)] == ["pending"]
    assert (await told.deliveries.span(PROJECT, endpoint.id, Span(), 100))[0] == 2


async def test_a_deleted_endpoint_leaves_nothing(told: Hooks) -> None:
    endpoint = await told.endpoint("https://example.org/")
    await told.tell(2)

    await told.endpoints.delete(PROJECT, endpoint.id)
    await told.tell(1)

    assert await rows(told) == []


async def test_the_ids_of_events_say_nothing_and_never_collide(told: Hooks) -> None:
    numbers = [*range(1, 2000), 2**31, 2**40 + 7, 2**63 - 1]

    words = [event_id(number) for number in numbers]

    assert len(set(words)) == len(words)
    assert [read_id("evt_", word) for word in words] == numbers
    assert all(word[4:].isalnum() and len(word) == 17 for word in words)
    for wrong in ("evt_", "evt_1", "dlv_" + words[0][4:], words[0] + "a", words[0].upper(), "evt_" + "z" * 13):
        assert read_id("evt_", wrong) is None


async def test_events_that_commit_late_are_delivered_all_the_same(told: Hooks) -> None:
    await told.endpoint("https://example.org/")
    insert = "INSERT INTO events (project_id, type) VALUES ('default', 'task.created') RETURNING id"
    async with told.pool.acquire() as slow, told.pool.acquire() as quick:
        late: asyncpg.Transaction = slow.transaction()
        await late.start()
        first = await slow.fetchval(insert)
        second = await quick.fetchval(insert)
        seen = [row["event_id"] for row in await rows(told)]
        await late.commit()

    assert first < second
    assert seen == [second]
    assert sorted(row["event_id"] for row in await rows(told)) == [first, second]
