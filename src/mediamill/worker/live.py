"""A task in a worker's hands: how it is stopped, and the stages it has been through."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mediamill.core.dispatch import Taken, Tick
from mediamill.core.errors import Cancelled
from mediamill.core.tasks import Task

T = TypeVar("T")

_STAGES = 100
"""Stages of one attempt that are kept with their times."""
_STAGE_NAME = 40
_AGAIN_S = 0.5


@dataclass(slots=True)
class Live:
    """A task in our hands. `stop` ends its work; the flags say whether a caller or our own leaving asked for that.
    `fence` is there once it is taken."""

    stop: Callable[[], Awaitable[None]] | None = None
    cancelled: bool = False
    leaving: bool = False
    began_s: float = 0.0
    fence: uuid.UUID | None = None
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


@dataclass(frozen=True, slots=True)
class Attempt:
    """A task that we have taken, with our hands on it. `tick` says how far it is; never blocks."""

    taken: Taken
    live: Live
    tick: Callable[[Tick], None]

    @property
    def task(self) -> Task:
        """What is asked."""
        return self.taken.task

    def moved(self, stage: str, fraction: float) -> None:
        """Note how far it is."""
        stage = "".join(filter(str.isprintable, stage))[:_STAGE_NAME]  # a child's word, and a child may be hostile
        self.live.entered(stage)
        self.tick(
            Tick(
                task_id=self.task.id,
                fence=self.taken.fence,
                stage=stage,
                progress=min(1.0, max(0.0, fraction)),
                stages=tuple(self.live.stages),
            )
        )
