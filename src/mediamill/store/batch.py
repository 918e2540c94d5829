"""Group commit: callers that wait at the same moment share one statement.

Single-row transactions top out near 500 a second on a laptop's disk, because each waits for its own sync; shared
ones pass 9,000. Nothing is delayed to gather company: a flush starts at once when none is under way, and whoever
comes during it goes with the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from mediamill.core.errors import DatabaseAway

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class Batcher(Generic[Item, Answer]):
    """Calls `flush(items)` for everything waiting; it answers in order, an exception object failing its own caller.

    When `flush` itself fails (and so wrote nothing), each item is tried once more by itself, so that one that cannot
    be written fails nobody else; not where the database is away, which is nobody's item's fault, and may have written
    them all. At most `width` flushes run at once, of at most `most` items each.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | BaseException]]],
        *,
        most: int = 500,
        width: int = 1,
    ) -> None:
        self._flush = flush
        self._most = most
        self._width = width
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def __call__(self, item: Item) -> Answer:
        """The answer to one item, once the batch it went with is done."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        self._start()
        return await future

    async def all(self, items: Sequence[Item]) -> list[Answer]:
        """The answers to several items; raises the first failure."""
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[Answer]] = [loop.create_future() for _ in items]
        self._waiting.extend(zip(items, futures, strict=True))
        self._start()
        return list(await asyncio.gather(*futures))

    def _start(self) -> None:
        while self._waiting and len(self._running) < self._width:
            task = asyncio.get_running_loop().create_task(self._run())
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if self._waiting:
            self._start()

    async def _run(self) -> None:
        await asyncio.sleep(0)  # let everyone who became ready in this turn of the loop come along
        batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
        if not batch:
            return
        items = [item for item, _ in batch]
        try:
            answers = await self._flush(items)
        except DatabaseAway as error:
            answers = [_alike(error) for _ in items]
        except Exception as error:
            answers = [error] if len(items) == 1 else [await self._alone(item) for item in items]
        except BaseException as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            raise
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue  # its caller gave up; the work itself is done
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def _alone(self, item: Item) -> Answer | BaseException:
        try:
            return (await self._flush([item]))[0]
        except Exception as error:
            return error  # handed to the one who waits for it


def _alike(error: DatabaseAway) -> DatabaseAway:
    """The same error anew: each of those who wait raises one of its own."""
    again = type(error)()
    again.__cause__ = error.__cause__
    return again
