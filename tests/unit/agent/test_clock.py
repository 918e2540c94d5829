"""The time of a run."""

from __future__ import annotations

import asyncio

import pytest

from mediamill.agent.clock import Clock


@pytest.mark.parametrize("turns", range(6))
async def test_a_watch_over_the_time_ends_when_it_is_stopped_in_the_very_moment_of_a_change(turns: int) -> None:
    clock = Clock(asyncio.Semaphore(1), lambda *_: None)
    async with clock.working():
        over = asyncio.ensure_future(clock.over(3600))
        await _turns(5)
        async with clock.waiting():
            await _turns(turns)

            over.cancel()
            await asyncio.wait({over}, timeout=10)

            assert over.cancelled()


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
