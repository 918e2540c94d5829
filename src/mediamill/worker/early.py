"""Results that a child shows before it is done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from mediamill.worker.slot import OutputFile

log = structlog.get_logger()


class Early:
    """Publishes what a child shows, one lot after the other."""

    def __init__(self, publish: Callable[[Sequence[OutputFile]], Awaitable[None]], task_id: str) -> None:
        self._keep = publish
        self._task_id = task_id
        self._last: asyncio.Task[None] | None = None

    def __call__(self, outputs: list[OutputFile]) -> None:
        self._last = asyncio.create_task(self._publish(outputs, self._last))

    async def settled(self) -> None:
        """Wait until all that was shown is stored: the slot's files go when it is given back."""
        if self._last is not None:
            await asyncio.wait([self._last])

    async def _publish(self, outputs: list[OutputFile], before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            await self._keep(outputs)
        except Exception:
            # Early is extra: the end of the work publishes what counts.
            log.exception("not shown early", task=self._task_id)
