"""A worker that says it is ready is one that the others can see."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from mediamill.worker.run import Parts, Ticks, Worker


class Idle:
    """A dispatcher that nothing comes to."""

    queue, slots, busy = "io", 1, 0

    def __init__(self) -> None:
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        await self._stopped.wait()

    async def stop(self) -> None:
        self._stopped.set()


async def test_it_is_in_its_table_before_it_says_that_it_is_ready() -> None:
    told: list[str] = []

    async def seen(busy: int) -> None:
        await asyncio.sleep(0)
        told.append("seen")

    async def write(ticks: Any) -> None:
        raise AssertionError("nothing moves")

    async def listen(*_: Any) -> None:
        await asyncio.Event().wait()

    async def gone() -> None:
        told.append("gone")

    def ready() -> None:
        told.append("ready")
        worker.stop()

    worker = Worker(
        Parts(
            id="w",
            executor=cast(Any, None),
            dispatchers=cast(Any, [Idle()]),
            children=[],
            ticks=Ticks(write),
            listen=listen,
            seen=seen,
            gone=gone,
            chores=[],
            drain_s=1.0,
        )
    )
    await asyncio.wait_for(worker.run(signals=False, ready=ready), timeout=20)

    assert told == ["seen", "ready", "gone"]
