"""Time, as the loop is told it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is, and sleep."""

    async def now(self) -> datetime:
        """The instant, in UTC."""

    def passed_s(self) -> float:
        """Seconds since some fixed moment: what `now` would have gone on by, had nobody set it."""

    async def sleep(self, seconds: float) -> None:
        """Come back later."""


class SystemClock:
    """The clock of the database, so that servers whose own differ agree on what is due."""

    def __init__(self, now: Callable[[], Awaitable[datetime]]) -> None:
        self._now = now

    async def now(self) -> datetime:
        return await self._now()

    def passed_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
