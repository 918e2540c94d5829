"""Waiting for tasks to change, without polling: one LISTEN for the whole process, fanned out here."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager


class Watch:
    """Fans out the ids of changed tasks. `told` is fed by the store's listener."""

    def __init__(self) -> None:
        self._one: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._all: set[asyncio.Queue[str | None]] = set()
        self.over = False
        """Whether the process is leaving: nobody waits any longer."""

    def told(self, ids: Iterable[str]) -> None:
        """Some tasks changed."""
        for id in ids:
            for event in self._one.get(id, ()):
                event.set()
            for queue in self._all:
                if queue.full():
                    queue.get_nowait()  # a slow reader misses the oldest; it reads the state anew anyway
                queue.put_nowait(id)

    def wake_all(self) -> None:
        """The listener was away: everyone looks again."""
        for events in self._one.values():
            for event in events:
                event.set()

    def end(self) -> None:
        """The process is leaving: every wait and every stream ends now."""
        self.over = True
        self.wake_all()
        for queue in self._all:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    @contextmanager
    def task(self, id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the task changes; clear it before reading the state."""
        event = asyncio.Event()
        self._one[id].add(event)
        try:
            yield event
        finally:
            self._one[id].discard(event)
            if not self._one[id]:
                del self._one[id]

    async def every(self) -> AsyncIterator[str]:
        """Ids of all changed tasks, of whatever project, as they come, until the process leaves."""
        queue: asyncio.Queue[str | None] = asyncio.Queue(maxsize=1000)
        self._all.add(queue)
        try:
            while not self.over and (id := await queue.get()) is not None:
                yield id
        finally:
            self._all.discard(queue)
