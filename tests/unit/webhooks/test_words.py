"""What a webhook says: the task or the run as it is, in the words of the dialect that the endpoint belongs to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest_asyncio
from tests.support.hooks import Hooks, hooks
from tests.support.records import Bench, bench

from mediamill import config, dialects
from mediamill.app.wording import wording
from mediamill.core.webhooks import Due, NewEndpoint, event_id
from mediamill.store.files import Files
from mediamill.store.runs import Runs
from mediamill.store.upkeep import Upkeep
from mediamill.webhooks.post import Message

Words = Callable[[Sequence[Due]], Awaitable[Sequence[Message | None]]]


@pytest_asyncio.fixture
async def records(dsn: str) -> AsyncIterator[Bench]:
    async with bench(dsn) as found:
        yield found


@pytest_asyncio.fixture
async def told(dsn: str) -> AsyncIterator[Hooks]:
    async with hooks(dsn) as found:
        yield found


async def words(records: Bench, tmp_path: Path, **settings: Any) -> Words:
    loaded = config.load(data=tmp_path, **settings)
    runs, files, upkeep = Runs(records.pool), Files(records.pool), Upkeep(records.pool)
    found: Words = await wording(loaded, records.tasks, runs, files.get_many, upkeep)
    return found


async def said(told: Hooks, say: Words) -> list[tuple[Due, Any]]:
    """What is due, with what would be posted."""
    claimed = await told.deliveries.claim(most=100, width=100, places={}, lease_s=30)
    messages = await say(claimed)
    return [
        (due, json.loads(message.body) if message is not None else None)
        for due, message in zip(claimed, messages, strict=True)
    ]


async def test_a_task_is_told_with_links_as_the_endpoints_maker_saw_us(
    records: Bench, told: Hooks, tmp_path: Path
) -> None:
    new = NewEndpoint(url="https://example.org/", types=["*"], topics=["*"], origin="https://mill.example")
    await told.endpoints.create("default", "w1", new, b"x" * 24)
    id = await records.accept(metadata={"order": "A-17"})

    found = {due.event.type: (due, body) for due, body in await said(told, await words(records, tmp_path))}

    due, body = found["task.created"]
    assert (body["id"], body["type"]) == (event_id(due.event.id), "task.created")
    assert body["data"]["id"] == id
    assert body["data"]["metadata"] == {"order": "A-17"}
    assert body["data"]["links"]["self"] == f"https://mill.example/mill/tasks/{id}"
    assert set(body) == {"id", "type", "created_at", "data"}


async def test_the_operators_public_address_comes_before_any_other(records: Bench, told: Hooks, tmp_path: Path) -> None:
    await told.endpoint("https://example.org/", ["task.created"])
    id = await records.accept()

    [(_, body)] = await said(told, await words(records, tmp_path, public_url="https://public.example/"))

    assert body["data"]["links"]["self"] == f"https://public.example/mill/tasks/{id}"


async def test_a_runs_event_tells_of_the_run(records: Bench, told: Hooks, tmp_path: Path) -> None:
    await records.accept()
    run_id = await records.pool.fetchval("SELECT run_id FROM tasks")
    await told.endpoint("https://example.org/", ["run.succeeded"])
    await records.pool.execute(
        "INSERT INTO events (project_id, run_id, type) VALUES ('default', $1, 'run.succeeded')", run_id
    )

    [(_, body)] = await said(told, await words(records, tmp_path))

    assert (body["type"], body["data"]["id"]) == ("run.succeeded", run_id)


async def test_an_event_of_what_is_gone_tells_of_nothing(records: Bench, told: Hooks, tmp_path: Path) -> None:
    await told.endpoint("https://example.org/")
    await told.tell(1, "run.failed")
    await records.pool.execute("UPDATE events SET run_id = 'r0'")

    [(_, body)] = await said(told, await words(records, tmp_path))

    assert body["data"] is None


async def test_a_dialect_without_webhooks_of_its_own_has_them_worded_natively(
    records: Bench, told: Hooks, tmp_path: Path
) -> None:
    [plain] = [dialect.name for dialect in dialects.load() if dialect.write_event is None and dialect.name != "mill"][
        :1
    ]
    new = NewEndpoint(url="https://example.org/", types=["task.created"], topics=["task.created"], dialect=plain)
    await told.endpoints.create("default", "w1", new, b"x" * 24)
    id = await records.accept()

    [(_, body)] = await said(told, await words(records, tmp_path))

    assert (body["type"], body["data"]["id"]) == ("task.created", id)
