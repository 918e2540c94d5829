"""The time of a run."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

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


async def test_its_time_stands_still_while_it_waits_for_others(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    now, forward_s = loop.time, 0.0

    def wall() -> float:
        return now() + forward_s

    monkeypatch.setattr(loop, "time", wall)
    monkeypatch.setattr("mediamill.agent.clock.time", SimpleNamespace(monotonic=wall))
    clock = Clock(asyncio.Semaphore(1), lambda *_: None)
    async with clock.working():
        over = asyncio.ensure_future(clock.over(600))
        await _turns(5)
        async with clock.waiting():
            await _turns(5)
            forward_s += 3600
            await _turns(5)
            assert not over.done()
        await _turns(5)
        assert not over.done()

        forward_s += 601
        await asyncio.wait({over}, timeout=60)

        assert over.done()
        assert 601 <= clock.spent_s < 3600


async def _turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
