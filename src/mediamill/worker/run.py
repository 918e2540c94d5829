"""A worker process: dispatchers, children, progress, heartbeat, chores; and how it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from mediamill.core.dispatch import Tick
from mediamill.worker.children import Children
from mediamill.worker.dispatch import Dispatcher
from mediamill.worker.execute import Executor

log = structlog.get_logger()

_SHORT_S = 0.02
"""Work that ends sooner than this after it first told of itself has no progress written: its end says more."""
_TICK_S, _TICKS_S, _FEW = 0.1, 0.25, 16
"""Between one writing of progress and the next, where few tasks are at work and where many are."""
_SEEN_EVERY_S = 5.0
_CHORES_EVERY_S = 60.0
_GIVE_BACK_S = 30.0
_MOST_NAMED = 50


class Ticks:
    """Progress on its way to the store: the newest tick of each task, written at once after a silence, and some times a
    second after that."""

    def __init__(self, write: Callable[[Sequence[Tick]], Awaitable[None]]) -> None:
        self._write = write
        self._newest: dict[uuid.UUID, Tick] = {}
        self._some = asyncio.Event()

    def __call__(self, tick: Tick) -> None:
        """Note where a task stands; never blocks."""
        self._newest[tick.fence] = tick
        self._some.set()

    def forget(self, fence: uuid.UUID) -> None:
        """This attempt's end is being written, which says more."""
        self._newest.pop(fence, None)

    async def run(self) -> None:
        """Write what is new, for ever."""
        while True:
            await self._some.wait()
            await asyncio.sleep(_SHORT_S)
            self._some.clear()
            ticks, self._newest = list(self._newest.values()), {}
            if not ticks:
                continue
            try:
                await self._write(ticks)
            except Exception:
                log.exception("progress not written")  # the next tick says more anyway
            await asyncio.sleep((_TICK_S if len(ticks) <= _FEW else _TICKS_S) - _SHORT_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a worker is made of."""

    id: str
    executor: Executor
    dispatchers: Sequence[Dispatcher]
    children: Sequence[Children]
    ticks: Ticks
    listen: Callable[[Callable[[str], None], Callable[[str], None]], Awaitable[None]]
    """(on_queue, on_cancel): listen for ever, calling on_queue("") whenever listening begins anew."""
    seen: Callable[[int], Awaitable[None]]
    gone: Callable[[], Awaitable[None]]
    chores: Sequence[Callable[[], Awaitable[None]]]
    drain_s: float


def new_worker_id() -> str:
    """Names this process among all that ever were."""
    return f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:6]}"


class Worker:
    """Run it until `stop` or a signal."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stop = asyncio.Event()
        self._cancels: set[asyncio.Task[None]] = set()

    def stop(self) -> None:
        """Leave in good order: no new work, time to end for what runs, the rest back on its queue."""
        self._stop.set()

    async def run(self, *, signals: bool = True, ready: Callable[[], None] | None = None) -> None:
        """Work until told to leave."""
        parts = self._parts
        loop = asyncio.get_running_loop()
        if signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, self.stop)
        for pool in parts.children:
            await pool.start()
            if pool.warning:
                log.warning("no sandbox", detail=pool.warning)
                break
        await self._announce()  # before anybody is told that we are ready
        background = [
            asyncio.create_task(parts.ticks.run()),
            asyncio.create_task(self._listen()),
            asyncio.create_task(self._say_alive()),
            asyncio.create_task(self._chores()),
        ]
        loops = [asyncio.create_task(dispatcher.run()) for dispatcher in parts.dispatchers]
        log.info("worker ready", worker=parts.id, queues={d.queue: d.slots for d in parts.dispatchers})
        if ready is not None:
            ready()
        try:
            stopping = asyncio.create_task(self._stop.wait())
            await asyncio.wait([stopping, *loops], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            await self._drain(loops)
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            with contextlib.suppress(Exception):
                await parts.gone()
            await asyncio.gather(*(pool.close() for pool in parts.children))
        late = [one for one in loops if not one.done()]
        if late:
            # What they did cannot be written, for the database is away; whoever is there when it is back does it again.
            log.warning("worker left before its work was recorded", worker=parts.id, waits_for=_waits())
            for one in late:
                one.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        for one in loops:
            if one not in late:
                one.result()  # a loop that broke says why

    async def _drain(self, loops: Sequence[asyncio.Task[None]]) -> None:
        for dispatcher in self._parts.dispatchers:
            await dispatcher.stop()
        busy = sum(dispatcher.busy for dispatcher in self._parts.dispatchers)
        log.info("worker leaving", worker=self._parts.id, busy=busy, drain_s=self._parts.drain_s)
        _, late = await asyncio.wait(loops, timeout=self._parts.drain_s)
        if late:
            log.warning("worker stops what has not ended", worker=self._parts.id, waits_for=_waits())
            await self._parts.executor.give_back()
            await asyncio.wait(late, timeout=_GIVE_BACK_S)

    async def _listen(self) -> None:
        """Hear of new jobs and of cancels."""

        def on_queue(payload: str) -> None:
            # The queue tells of every change; what came off it is no news here.
            if payload and '"insert"' not in payload:
                return
            for dispatcher in self._parts.dispatchers:
                dispatcher.notice()

        def on_cancel(task_id: str) -> None:
            task = asyncio.get_running_loop().create_task(self._parts.executor.cancel(task_id))
            self._cancels.add(task)
            task.add_done_callback(self._cancels.discard)

        await self._parts.listen(on_queue, on_cancel)

    async def _say_alive(self) -> None:
        while True:
            await asyncio.sleep(_SEEN_EVERY_S)
            await self._announce()

    async def _announce(self) -> None:
        try:
            await self._parts.seen(sum(dispatcher.busy for dispatcher in self._parts.dispatchers))
        except Exception:
            log.exception("not announced")  # it works all the same, and says so again soon

    async def _chores(self) -> None:
        while True:
            await asyncio.sleep(_CHORES_EVERY_S)
            for chore in self._parts.chores:
                try:
                    await chore()
                except Exception:
                    log.exception("chore failed", chore=getattr(chore, "__qualname__", str(chore)))


def _waits() -> list[str]:
    """What each of the loop's other tasks is at: for whoever asks why a worker leaves late."""
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    return sorted(filter(None, map(waits_for, rest)))[:_MOST_NAMED]


def waits_for(task: asyncio.Task[Any]) -> str:
    """The task's coroutines, each with its line, from the outermost to the one that waits."""
    found: list[str] = []
    at: Any = task.get_coro()
    while (frame := getattr(at, "cr_frame", None)) is not None:
        found.append(f"{at.__qualname__}:{frame.f_lineno}")
        at = at.cr_await
    return " > ".join(found)
