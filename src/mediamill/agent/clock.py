"""How long a run has worked. Its waiting for tasks does not count, and takes no seat from others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mediamill.core.prompts import STAGE_WAITS


class Clock:
    """The time of one attempt, after `used_s` of earlier ones. `report` is told the stage, as a worker's tick."""

    def __init__(self, seats: asyncio.Semaphore, report: Callable[[str, float], None], *, used_s: float = 0.0) -> None:
        self._seats = seats
        self._report = report
        self._used_s = used_s
        self._since: float | None = None
        self._changed = asyncio.Event()
        self._stage, self._fraction = "", 0.0

    @property
    def spent_s(self) -> float:
        """Work so far, over all attempts."""
        return self._used_s + (time.monotonic() - self._since if self._since is not None else 0.0)

    def at(self, stage: str, fraction: float) -> None:
        """Say where the run is."""
        self._stage, self._fraction = stage, max(self._fraction, fraction)
        self._report(stage, self._fraction)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work from when there is a seat."""
        await self._sit()
        try:
            yield
        finally:
            self._rise()

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Within `working`: wait for something that others do."""
        self._rise()
        self._report(STAGE_WAITS, self._fraction)
        try:
            yield
        except asyncio.CancelledError:
            raise  # at once: whoever is stopped needs no seat
        except BaseException:
            await self._sit()
            raise
        await self._sit()
        self._report(self._stage, self._fraction)

    async def over(self, limit_s: float) -> None:
        """Return when the work has taken that long."""
        while (left_s := limit_s - self.spent_s) > 0:
            self._changed.clear()
            try:
                async with asyncio.timeout(left_s if self._since is not None else None):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _sit(self) -> None:
        await self._seats.acquire()
        self._since = time.monotonic()
        self._changed.set()

    def _rise(self) -> None:
        if self._since is not None:
            self._used_s, self._since = self.spent_s, None
            self._seats.release()
            self._changed.set()
