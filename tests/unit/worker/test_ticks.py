"""Progress on its way to the store."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence

import pytest
from tests.support.children import until

from mediamill.core.dispatch import Tick
from mediamill.worker import run as module
from mediamill.worker.run import Ticks


class Store:
    """Where it is written; some of it while the database is away."""

    def __init__(self) -> None:
        self.written: list[list[float]] = []
        self.away = False

    async def __call__(self, ticks: Sequence[Tick]) -> None:
        self.written.append([tick.progress for tick in ticks])
        if self.away:
            raise ConnectionError


def tick(fence: uuid.UUID, progress: float) -> Tick:
    return Tick(task_id="t", fence=fence, stage="work", progress=progress, stages=[])


async def test_the_first_is_written_at_once_and_of_those_that_follow_the_newest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_TICK_S", 3600.0)
    store, fence = Store(), uuid.uuid4()
    ticks = Ticks(store)
    running = asyncio.create_task(ticks.run())

    ticks(tick(fence, 0.1))
    await until(lambda: store.written or None)
    running.cancel()
    for progress in (0.2, 0.3, 0.4):
        ticks(tick(fence, progress))
    again = asyncio.create_task(ticks.run())
    await until(lambda: len(store.written) == 2 or None)
    again.cancel()

    assert store.written == [[0.1], [0.4]]


async def test_what_ends_meanwhile_is_not_written_and_a_database_that_is_away_ends_nothing() -> None:
    store, short, long = Store(), uuid.uuid4(), uuid.uuid4()
    store.away = True
    ticks = Ticks(store)
    ticks(tick(short, 0.1))
    ticks.forget(short)
    running = asyncio.create_task(ticks.run())

    ticks(tick(long, 0.5))
    await until(lambda: store.written or None)
    ticks(tick(long, 0.6))
    await until(lambda: len(store.written) == 2 or None)
    running.cancel()

    assert store.written == [[0.5], [0.6]]
