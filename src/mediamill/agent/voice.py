"""Letters of models on their way to whoever listens: a few times a second, those of all runs of this worker at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

import structlog

from mediamill.core.steps import Chunk

log = structlog.get_logger()

_PAUSE_S = 0.1
_KEPT_EVERY_S = 1.0
"""How often what was said so far is kept, for those who begin to listen later."""

Say = Callable[[Sequence[Chunk], Mapping[tuple[str, int], str]], Awaitable[None]]


class Voice:
    """Call it with letters; never blocks. What could not be told is no loss: the step's end says all of it."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._new: dict[tuple[str, int], list[str]] = {}
        self._all: dict[tuple[str, int], str] = {}
        self._kept_s = 0.0
        self._flushing: asyncio.Task[None] | None = None

    def __call__(self, task_id: str, number: int, text: str) -> None:
        self._new.setdefault((task_id, number), []).append(text)
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.get_running_loop().create_task(self._flush())

    async def close(self) -> None:
        """Say nothing more."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.gather(self._flushing, return_exceptions=True)

    def forget(self, task_id: str) -> None:
        """A run's attempt is over."""
        for key in [key for key in self._all if key[0] == task_id]:
            del self._all[key]

    async def _flush(self) -> None:
        while self._new:
            chunks = []
            new, self._new = self._new, {}
            for (task_id, number), letters in new.items():
                said = self._all.get((task_id, number), "")
                chunks.append(Chunk(task_id=task_id, number=number, offset=len(said), text="".join(letters)))
                self._all[(task_id, number)] = said + "".join(letters)
                for earlier in [key for key in self._all if key[0] == task_id and key[1] < number]:
                    del self._all[earlier]
            so_far: dict[tuple[str, int], str] = {}
            if time.monotonic() - self._kept_s >= _KEPT_EVERY_S:
                so_far, self._kept_s = {key: self._all[key] for key in new}, time.monotonic()
            try:
                await self._say(chunks, so_far)
            except Exception:
                log.exception("letters not told")
            await asyncio.sleep(_PAUSE_S)
