"""What goes when: a lane for each receiver, so that one that is dead or slow takes no other's place.

Woken when events are written and when the next rung of a ladder is reached; between the two nothing is asked. Any
number of these may run beside each other, in any number of processes: a delivery is lent to one at a time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

import structlog

from mediamill import tracing
from mediamill.core.webhooks import DeliveryState, Done, Due, Outcome
from mediamill.webhooks.post import MOST_PATIENCE_S, Message, Postman

log = structlog.get_logger()

LANE_WIDTH = 8
"""Attempts under way to one receiver at first; each good answer makes room for one more."""
WIDEST_LANE = 64
SLOTS = 512
"""Attempts under way in all; each has a socket, and 1,024 files are what many systems allow."""
FAILING_SLOTS = 128
"""Of these, how many receivers may have that did not answer well last time."""
LEASE_BEYOND_S = 10.0
"""How long beyond its timeout an attempt may be under way before it counts as lost with its process."""
_LONGEST_SLEEP_S = 300.0
_AFTER_FAULT_S = 1.0
_MOST_REMEMBERED = 10_000


class Store(Protocol):
    """The deliveries."""

    async def claim(
        self, *, most: int, width: int, places: Mapping[str, int], lease_s: float, now: datetime | None = None
    ) -> list[Due]: ...
    async def next_in_s(self, now: datetime | None = None) -> float | None: ...
    async def disable(self, endpoint_id: str, reason: str) -> None: ...


class Dispatcher:
    """Claims what is due and has it posted.

    words: the message of each, or None where the dialect has no words for the event or the thing is gone.
    end: writes how an attempt ended. clock: None uses the database's own.
    """

    def __init__(
        self,
        *,
        store: Store,
        words: Callable[[Sequence[Due]], Awaitable[Sequence[Message | None]]],
        postman: Postman,
        end: Callable[[Done], Awaitable[None]],
        clock: Callable[[], datetime] | None = None,
        slots: int = SLOTS,
        lane_width: int = LANE_WIDTH,
    ) -> None:
        self._store = store
        self._words = words
        self._postman = postman
        self._end = end
        self._clock = clock
        self._slots = slots
        self._lane_width = lane_width
        self._lease_s = max(postman.timeout_s, MOST_PATIENCE_S) + LEASE_BEYOND_S
        self._news = asyncio.Event()
        self._busy: Counter[str] = Counter()
        self._widths: dict[str, int] = {}
        self._failing: set[str] = set()
        self._held: dict[str, float] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._stopping = False
        self.idle = asyncio.Event()
        """Set whenever nothing is under way and nothing is due."""

    def notice(self) -> None:
        """There may be something to do."""
        self._news.set()

    def leave(self) -> None:
        """Claim nothing more: `run` returns once what it has just claimed is on its way."""
        self._stopping = True
        self._news.set()

    async def stop(self) -> None:
        """Claim nothing more, and let what is under way end."""
        self.leave()
        if self._running:
            await asyncio.wait(self._running, timeout=self._lease_s)

    async def run(self) -> None:
        """Deliver until stopped."""
        while not self._stopping:
            self._news.clear()
            quiet = not self._running  # asked first: what ends while we look leaves its place to another
            try:
                if await self._send_off():
                    continue
                if quiet:
                    self.idle.set()
                wait_s = await self._store.next_in_s(self._now())
            except Exception:
                log.exception("webhooks not dispatched", again_in_s=_AFTER_FAULT_S)
                wait_s = _AFTER_FAULT_S
            await self._sleep(wait_s)

    async def _sleep(self, wait_s: float | None) -> None:
        held_s = min((until - self._monotonic() for until in self._held.values()), default=_LONGEST_SLEEP_S)
        wait_s = min(_LONGEST_SLEEP_S if wait_s is None else wait_s, max(held_s, 0.0), _LONGEST_SLEEP_S)
        if self._clock is not None:
            wait_s = _LONGEST_SLEEP_S  # its time does not pass by itself: whoever turns the clock calls notice
        try:
            async with asyncio.timeout(wait_s):
                await self._news.wait()
        except TimeoutError:
            return

    async def _send_off(self) -> bool:
        """Claim what there is room for and start it; whether there was anything."""
        free = self._slots - len(self._running)
        if free <= 0:
            return False
        claimed = await self._store.claim(
            most=free, width=self._lane_width, places=self._places(), lease_s=self._lease_s, now=self._now()
        )
        if not claimed:
            return False
        self.idle.clear()
        for due, message in zip(claimed, await self._worded(claimed), strict=True):
            self._busy[due.lane] += 1
            task = asyncio.get_running_loop().create_task(self._deliver(due, message))
            self._running.add(task)
            task.add_done_callback(self._ended)
        return True

    async def _worded(self, claimed: Sequence[Due]) -> list[Message | None]:
        try:
            return list(await self._words(claimed))
        except Exception:
            log.exception("events not worded", count=len(claimed))
            if len(claimed) == 1:
                return [None]
            # One that cannot be worded must not keep back the others it came with.
            return [message for due in claimed for message in await self._worded([due])]

    def _places(self) -> dict[str, int]:
        """Lanes that have not all of their width free, and what they have."""
        now = self._monotonic()
        for lane in [lane for lane, until in self._held.items() if until <= now]:
            del self._held[lane]
        places = {lane: self._width(lane) - count for lane, count in self._busy.items()}
        failing_left = FAILING_SLOTS - sum(self._busy[lane] for lane in self._failing)
        for lane in self._failing:
            places[lane] = 1 if failing_left > 0 and not self._busy[lane] else 0
            failing_left -= places[lane]
        for lane in self._held:
            places[lane] = 0
        return places

    async def _deliver(self, due: Due, message: Message | None) -> None:
        was_failing = due.lane in self._failing
        try:
            done = await self._done(due, message)
            await self._end(done)
            if done.outcome.disable is not None and due.endpoint_id is not None:
                log.warning("endpoint disabled", endpoint=due.endpoint_id, reason=done.outcome.disable)
                await self._store.disable(due.endpoint_id, done.outcome.disable)
        except Exception:
            # Not written, so it is lent out again once the lease is over; a receiver may hear it twice.
            log.exception("delivery not ended", delivery=due.id)
        finally:
            self._leave(due.lane, was_failing)

    async def _done(self, due: Due, message: Message | None) -> Done:
        if not due.active or due.url is None:
            return Done(id=due.id, number=due.number, outcome=Outcome(state=DeliveryState.DISABLED))
        if message is None:
            error = "There are no words for this event in the endpoint's dialect."
            return Done(id=due.id, number=due.number, outcome=Outcome(state=DeliveryState.FAILED), error=error)
        done = await self._postman.post(due, message)
        if (sent := done.attempt) is not None:
            tracing.posted(
                due.event.type, trace=message.trace, took_s=sent.took_s, status=sent.status, error=sent.error
            )
        if max(len(self._failing), len(self._widths)) >= _MOST_REMEMBERED:
            self._failing.clear()
            self._widths.clear()
        if done.outcome.state is DeliveryState.DELIVERED:
            self._failing.discard(due.lane)
            self._widths[due.lane] = min(self._width(due.lane) + 1, max(WIDEST_LANE, self._lane_width))
        else:
            self._widths.pop(due.lane, None)
            if due.lane not in self._failing:
                # Once for all that wait behind it; each attempt is in its delivery's own log.
                log.info(
                    "webhook not answered well",
                    lane=due.lane,
                    delivery=due.id,
                    status=sent.status if sent else None,
                    error=sent.error if sent else None,
                )
            self._failing.add(due.lane)
        if done.outcome.hold_s:
            self._held[due.lane] = self._monotonic() + done.outcome.hold_s
        return done

    def _width(self, lane: str) -> int:
        return self._widths.get(lane, self._lane_width)

    def _leave(self, lane: str, was_failing: bool) -> None:
        # There may be more for whoever had to wait for this place; anything else is told by notice or the clock.
        full = self._busy[lane] >= self._width(lane) - 1 or len(self._running) >= self._slots
        waited = full or was_failing or lane in self._failing
        self._busy[lane] -= 1
        if not self._busy[lane]:
            del self._busy[lane]
        if waited:
            self._news.set()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not self._running:
            self._news.set()

    def _now(self) -> datetime | None:
        return self._clock() if self._clock is not None else None

    def _monotonic(self) -> float:
        return self._clock().timestamp() if self._clock is not None else asyncio.get_running_loop().time()
