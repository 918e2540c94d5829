"""The loop that fires schedules, ends tasks that nobody started in time, and lets go those that were held."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from mediamill import cron
from mediamill.core.errors import Rejected
from mediamill.core.firings import Due, Runner
from mediamill.core.schedules import Schedule
from mediamill.scheduling.clock import Clock
from mediamill.scheduling.plan import plan, ready

log = structlog.get_logger()

BATCH = 300
"""Schedules that are fired in one transaction."""
_LONGEST_NAP_S = 5.0
_SOON = timedelta(seconds=_LONGEST_NAP_S + 2)
_SHORTEST_NAP_S = 0.05
"""While another server is firing what is due: should it die, we do."""
_SET_BACK_S = 1.0
"""A clock that has fallen behind by this much was set, and not merely adjusted."""


class Fired(Protocol):
    """What a round of firing came to."""

    @property
    def tasks(self) -> int: ...
    @property
    def more(self) -> bool: ...


class Store(Protocol):
    """The schedule table."""

    async def fire(self, now: datetime, most: int, plan: Callable[[Schedule, str | None], Due]) -> Fired: ...
    async def coming(self, after: datetime, until: datetime) -> Sequence[tuple[str, str, datetime]]: ...
    async def next_due(self) -> datetime | None: ...
    async def replan(self, now: datetime, after: Callable[[str, str], datetime | None]) -> int: ...
    async def overtaken(self) -> Sequence[tuple[str, str]]: ...
    async def offer(self, identifiers: Sequence[str]) -> int: ...
    async def pass_on(self) -> int: ...


class Expiry(Protocol):
    """Tasks that have a time to be started in."""

    async def expire(self) -> int: ...
    async def next_expiry(self) -> datetime | None: ...


class Loop:
    """Run it in each worker; `wake` when schedules were changed."""

    def __init__(
        self,
        *,
        store: Store,
        expiry: Expiry,
        clock: Clock,
        runner: Runner,
        offered: Callable[[], Collection[str]],
        cancel: Callable[[str, str], Awaitable[Any]],
    ) -> None:
        """offered: the identifiers that this worker runs; cancel: stops a task by (project, id)."""
        self._store = store
        self._expiry = expiry
        self._clock = clock
        self._runner = runner
        self._offered = offered
        self._cancel = cancel
        self._woken = asyncio.Event()
        self._seen: tuple[datetime, float] | None = None

    def wake(self) -> None:
        """Something changed: look at once."""
        self._woken.set()

    async def run(self) -> None:
        """Fire for ever; a database that is away is asked again, with patience."""
        patience_s = 0.1
        while True:
            self._woken.clear()
            try:
                nap_s = await self.round()
                patience_s = 0.1
            except Exception:
                # Whatever keeps us from it (the database restarts, the network is away) must not end the loop.
                log.exception("schedules not fired", again_in_s=patience_s)
                nap_s, patience_s = patience_s, min(_LONGEST_NAP_S, patience_s * 2)
            await self._nap(nap_s)

    async def round(self) -> float:
        """Do what is due. Returns how long to nap."""
        now = await self._clock.now()
        if self._set_back(now):
            wrong = await self._store.replan(now, lambda rule, zone: cron.after(rule, zone, now))
            if wrong:
                log.warning("schedules planned anew", count=wrong)

        def planned(schedule: Schedule, account_id: str | None) -> Due:
            return plan(schedule, account_id, now, self._runner, offered)

        fired, offered = 0, frozenset(self._offered())
        while True:
            done = await self._store.fire(now, BATCH, planned)
            fired += done.tasks
            if not done.more:
                break
        if fired:
            log.info("schedules fired", tasks=fired)
        for project_id, id in await self._store.overtaken():
            try:
                await self._cancel(project_id, id)
            except Rejected as error:
                log.info("not cancelled", task=id, why=str(error))  # it has ended meanwhile
        await self._store.offer(sorted(offered))
        await self._store.pass_on()
        await self._expiry.expire()
        await self._make_ready(now)
        due = [at for at in (await self._store.next_due(), await self._expiry.next_expiry()) if at is not None]
        if not due:
            return _LONGEST_NAP_S
        left_s = (min(due) - await self._clock.now()).total_seconds()
        return min(_LONGEST_NAP_S, max(_SHORTEST_NAP_S if min(due) <= now else 0.0, left_s))

    async def _make_ready(self, now: datetime) -> None:
        """Work out now what those that are due soon will need, so that many of one minute do not wait for it."""
        coming = await self._store.coming(now, now + _SOON)
        for n, (rule, zone, at) in enumerate(coming):
            if n % 20 == 19:
                await asyncio.sleep(0)  # a millisecond each, and others want to go on
            ready(rule, zone, at)

    def _set_back(self, now: datetime) -> bool:
        """Whether plans may be wrong: nothing is known of the time before we came, or the clock was set back."""
        passed_s = self._clock.passed_s()
        seen, self._seen = self._seen, (now, passed_s)
        if seen is None:
            return True
        return (now - seen[0]).total_seconds() < passed_s - seen[1] - _SET_BACK_S

    async def _nap(self, seconds: float) -> None:
        if seconds <= 0:
            return
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        woken = asyncio.ensure_future(self._woken.wait())
        try:
            await asyncio.wait({sleeping, woken}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleeping.cancel()
            woken.cancel()
