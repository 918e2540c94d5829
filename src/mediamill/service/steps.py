"""Following a run of a prompt: its steps as they begin and end, and the letters of answers as they come."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from mediamill.core.access import Caller
from mediamill.core.steps import Chunk, Step
from mediamill.core.tasks import Task
from mediamill.service.watch import Watch

_IDLE_S = 15.0
_MOST_WAITING = 1000


class Store(Protocol):
    """The table of steps."""

    async def list(self, task_id: str) -> Sequence[Step]: ...
    async def heard(self, task_id: str, number: int) -> str | None: ...


class Tasks(Protocol):
    """What is asked of the verbs on tasks."""

    async def get(self, caller: Caller, id: str) -> Task: ...


class Letters:
    """Fans out letters of answers. `told` is fed by the store's listener."""

    def __init__(self) -> None:
        self._listening: defaultdict[str, set[asyncio.Queue[Chunk]]] = defaultdict(set)

    def told(self, payload: str) -> None:
        """A notice: "task number offset text"."""
        task_id, _, rest = payload.partition(" ")
        if task_id in self._listening:
            number, offset, text = rest.split(" ", 2)
            chunk = Chunk(task_id=task_id, number=int(number), offset=int(offset), text=text)
            for queue in self._listening[task_id]:
                if queue.full():
                    queue.get_nowait()  # a slow reader sees a gap, and asks for what fills it
                queue.put_nowait(chunk)

    @contextmanager
    def of(self, task_id: str) -> Iterator[asyncio.Queue[Chunk]]:
        """The letters of a run from now on."""
        queue: asyncio.Queue[Chunk] = asyncio.Queue(_MOST_WAITING)
        self._listening[task_id].add(queue)
        try:
            yield queue
        finally:
            self._listening[task_id].discard(queue)
            if not self._listening[task_id]:
                del self._listening[task_id]


class Steps:
    """Verbs on steps."""

    def __init__(self, *, store: Store, tasks: Tasks, watch: Watch, letters: Letters) -> None:
        self._store = store
        self._tasks = tasks
        self._watch = watch
        self._letters = letters

    async def list(self, caller: Caller, id: str) -> Sequence[Step]:
        """What a run has done, in order; nothing for a task of another kind. Raises NotFound."""
        await self._tasks.get(caller, id)
        return await self._store.list(id)

    async def follow(self, caller: Caller, id: str) -> AsyncIterator[Step | Chunk | Task | None]:
        """Each step when it begins and when it ends, letters of answers as they come, and the task once it has ended.

        A run that is under way is told from its beginning. None: nothing has happened for a while. Letters that were
        lost on the way leave a gap in their offsets; the end of their step says all of it. Raises NotFound.
        """
        told: dict[int, tuple[int, str]] = {}
        heard: dict[int, int] = {}
        with self._letters.of(id) as letters, self._watch.task(id) as changed:
            while True:
                changed.clear()
                task = await self._tasks.get(caller, id)
                for step in await self._store.list(id):
                    if told.get(step.number) != (step.attempt, step.state):
                        told[step.number] = (step.attempt, step.state)
                        heard.pop(step.number, None)
                        yield step
                        if step.state == "begun":
                            heard[step.number] = 0
                if task.state.final:
                    yield task
                    return
                for number in list(heard):
                    if (chunk := await self._missed(id, number, heard)) is not None:
                        yield chunk
                if self._watch.over:
                    return
                async for chunk in self._until(changed, letters):
                    if chunk is None:
                        yield None
                    elif chunk.number in heard:
                        gap = chunk.offset > heard[chunk.number]
                        if gap and (missed := await self._missed(id, chunk.number, heard)) is not None:
                            yield missed
                        if (fresh := _fresh(chunk, heard)) is not None:
                            yield fresh

    async def _until(self, changed: asyncio.Event, letters: asyncio.Queue[Chunk]) -> AsyncIterator[Chunk | None]:
        """Letters until something else changes; None when nothing does."""
        quiet = False
        change, letter = asyncio.ensure_future(changed.wait()), asyncio.ensure_future(letters.get())
        try:
            while True:
                done, _ = await asyncio.wait({change, letter}, timeout=_IDLE_S, return_when=asyncio.FIRST_COMPLETED)
                if letter in done:
                    yield letter.result()
                    letter = asyncio.ensure_future(letters.get())
                if change in done:
                    return
                if not done:
                    quiet = True  # said once nobody takes letters here, or one that came meanwhile would be lost
                    return
        finally:
            change.cancel()
            letter.cancel()
            await asyncio.gather(change, letter, return_exceptions=True)
        if quiet:
            yield None

    async def _missed(self, id: str, number: int, heard: dict[int, int]) -> Chunk | None:
        """What a step had said before we listened."""
        said = await self._store.heard(id, number)
        if said is None or len(said) <= heard[number]:
            return None
        chunk = Chunk(task_id=id, number=number, offset=heard[number], text=said[heard[number] :])
        heard[number] = len(said)
        return chunk


def _fresh(chunk: Chunk, heard: dict[int, int]) -> Chunk | None:
    """The part of a chunk that was not heard before."""
    before = max(0, heard[chunk.number] - chunk.offset)
    if before >= len(chunk.text):
        return None
    heard[chunk.number] = chunk.offset + len(chunk.text)
    return Chunk(task_id=chunk.task_id, number=chunk.number, offset=chunk.offset + before, text=chunk.text[before:])
