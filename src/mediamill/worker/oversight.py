"""Whether the tasks in a worker's hands are its own still, and still wanted.

It is told of cancels by a connection that may be away just then, and of a takeover by nobody: a worker that was frozen,
or was away from the database for longer than a heart may pause, works on at what another has taken from it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence

import structlog

from mediamill.worker.execute import Executor

log = structlog.get_logger()

Held = tuple[str, uuid.UUID]
"""A task, and the fence it was taken with."""


class Oversight:
    """Asks the store every so often, and at once after `look`. strays: of held tasks, those to stop, and whether for a
    cancel; the others have been taken over."""

    def __init__(
        self,
        *,
        executor: Executor,
        strays: Callable[[Sequence[Held]], Awaitable[Sequence[tuple[Held, bool]]]],
        every_s: float,
    ) -> None:
        self._executor = executor
        self._strays = strays
        self._every_s = every_s
        self._told = asyncio.Event()

    def look(self) -> None:
        """Something may have been missed."""
        self._told.set()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            self._told.clear()
            try:
                await self.once()
            except Exception:
                log.exception("tasks not looked after")  # the database is away, and what it could say can wait
            try:
                async with asyncio.timeout(self._every_s):
                    await self._told.wait()
            except TimeoutError:
                continue

    async def once(self) -> None:
        """Stop what is not ours any more, or not wanted."""
        held = self._executor.held()
        if not held:
            return
        for (task_id, fence), cancelled in await self._strays(held):
            if cancelled:
                await self._executor.cancel(task_id)
            else:
                await self._executor.let_go(task_id, fence)
