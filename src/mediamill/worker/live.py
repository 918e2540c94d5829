"""A task in a worker's hands: how it is stopped, and the stages it has been through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mediamill.core.errors import Cancelled

T = TypeVar("T")

_STAGES = 100
"""Stages of one attempt that are kept with their times."""
_AGAIN_S = 0.5


@dataclass(slots=True)
class Live:
    """A task in our hands. `stop` ends its work; the flags say whether a caller or our own leaving asked for that."""

    stop: Callable[[], Awaitable[None]] | None = None
    cancelled: bool = False
    leaving: bool = False
    began_s: float = 0.0
    stages: list[tuple[str, float]] = field(default_factory=list)

    async def stoppable(self, work: Coroutine[Any, Any, T], what: str) -> T:
        """What the work gives. Raises Cancelled once it is stopped."""
        doing = asyncio.ensure_future(work)

        def end() -> None:
            # More than once: before Python 3.12 a wait_for, of a library too, whose end comes at that very moment
            # swallows it (gh-86296).
            if not doing.done():
                doing.cancel()
                asyncio.get_running_loop().call_later(_AGAIN_S, end)

        async def stop() -> None:
            end()

        self.stop = stop
        try:
            if self.cancelled or self.leaving:
                end()
            return await doing
        except asyncio.CancelledError:
            if not (self.cancelled or self.leaving):
                raise
            raise Cancelled(f"The {what} was stopped.") from None
        finally:
            self.stop = None

    def entered(self, stage: str) -> None:
        """Note when a stage begins."""
        if stage and len(self.stages) < _STAGES and (not self.stages or self.stages[-1][0] != stage):
            self.stages.append((stage, round(time.monotonic() - self.began_s, 3)))
