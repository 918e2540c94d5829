"""A worker that says it is ready is one that the others can see, and one that is told to leave leaves."""

from __future__ import annotations

import asyncio
import re
from typing import Any, cast

import pytest

from mediamill.worker import run as module
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


class Unrecorded(Idle):
    """A dispatcher whose work cannot be written, so that it never ends."""

    def __init__(self) -> None:
        super().__init__()
        self.ended = False

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended = True


class Executor:
    """What gives work back."""

    async def give_back(self) -> None:
        """Nothing can be."""


class Log:
    """What a worker warns of, each with the coroutines that it names."""

    def __init__(self) -> None:
        self.warnings: list[tuple[str, list[str]]] = []

    def info(self, *_: Any, **__: Any) -> None:
        """Nothing that is looked at."""

    def warning(self, said: str, *, waits_for: list[str], **_: Any) -> None:
        self.warnings.append((said, waits_for))


def parts(dispatcher: Any, **given: Any) -> Parts:
    async def write(ticks: Any) -> None:
        raise AssertionError("nothing moves")

    async def listen(*_: Any) -> None:
        await asyncio.Event().wait()

    async def nothing(*_: Any) -> None:
        return None

    made: dict[str, Any] = {"seen": nothing, "gone": nothing, "drain_s": 1.0, **given}
    executor = cast(Any, Executor())
    fixed: dict[str, Any] = {"children": [], "ticks": Ticks(write), "listen": listen, "chores": []}
    return Parts(id="w", executor=executor, dispatchers=[dispatcher], **fixed, **made)


async def test_it_is_in_its_table_before_it_says_that_it_is_ready() -> None:
    told: list[str] = []

    async def seen(busy: int) -> None:
        await asyncio.sleep(0)
        told.append("seen")

    async def gone() -> None:
        told.append("gone")

    def ready() -> None:
        told.append("ready")
        worker.stop()

    worker = Worker(parts(Idle(), seen=seen, gone=gone))
    await asyncio.wait_for(worker.run(signals=False, ready=ready), timeout=60)

    assert told == ["seen", "ready", "gone"]


async def test_one_that_is_told_to_leave_while_the_database_is_away_leaves_and_says_for_what_it_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Log()
    monkeypatch.setattr(module, "log", log)
    monkeypatch.setattr(module, "_GIVE_BACK_S", 0.01)
    stuck = Unrecorded()
    worker = Worker(parts(stuck, drain_s=0.01))

    await asyncio.wait_for(worker.run(signals=False, ready=worker.stop), timeout=60)

    assert stuck.ended
    assert [said for said, _ in log.warnings] == [
        "worker stops what has not ended",
        "worker left before its work was recorded",
    ]
    for _, chains in log.warnings:
        assert any(re.fullmatch(r"Unrecorded\.run:\d+ > Event\.wait:\d+", chain) for chain in chains), chains
