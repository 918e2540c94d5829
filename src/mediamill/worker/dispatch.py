"""From the queue to the hands: one loop a queue, as many jobs at once as there are slots.

PGQueuer keeps the queue; the loop is ours, because its own asks again only every 0.1 s once it is full, which leaves
a slot idle longer than a small picture takes (docs/why/queue.md). Ours asks the moment a slot is free.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import Any

import structlog
from pgqueuer.models import Job
from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.queries import Queries
from pgqueuer.types import QueueEntrypoint, QueueManagerId

log = structlog.get_logger()

_IDLE_S = 5.0
"""The longest nap: jobs of a worker that died come back by being asked for, without any notice."""


class Dispatcher:
    """Takes jobs of one queue and calls `execute(task_id, job_id)` for each, at most `slots` at once."""

    def __init__(
        self,
        *,
        queue: str,
        slots: int,
        queries: Queries,
        execute: Callable[[str, int], Coroutine[Any, Any, None]],
        heartbeat_s: float,
        batch: int = 128,
    ) -> None:
        self.queue = queue
        self.slots = slots
        self._queries = queries
        self._execute = execute
        self._heartbeat = timedelta(seconds=heartbeat_s)
        self._batch = batch
        self._id = QueueManagerId(uuid.uuid4())
        self._entrypoints = {QueueEntrypoint(queue): EntrypointExecutionParameter(concurrency_limit=0)}
        self._running: dict[int, asyncio.Task[None]] = {}
        # While more is waiting than fits, ask for a lot at a time: asking costs the same for one as for many.
        self._lot = max(1, slots // 4)
        self._backlog = False
        self._wake = asyncio.Event()
        self._stopping = False

    @property
    def busy(self) -> int:
        """Jobs under way."""
        return len(self._running)

    def notice(self) -> None:
        """Something came into some queue, or a slot is free."""
        self._wake.set()

    async def run(self) -> None:
        """Dispatch until `stop`; a database that is away is asked again, with patience."""
        heart = asyncio.create_task(self._beat())
        patience_s = 0.1
        try:
            while not self._stopping:
                self._wake.clear()
                try:
                    nap_s = await self._once()
                    patience_s = 0.1
                except Exception:
                    # Whatever keeps us from the queue (the database restarts, the network is away) must not end us.
                    log.exception("queue unreachable", queue=self.queue, again_in_s=patience_s)
                    nap_s, patience_s = patience_s, min(5.0, patience_s * 2)
                if nap_s > 0 and not self._stopping:
                    await self._nap(nap_s)
        finally:
            await self._join(heart)

    async def _nap(self, nap_s: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(nap_s):
                await self._wake.wait()

    async def stop(self) -> None:
        """Take no more jobs; those under way go on."""
        self._stopping = True
        self._wake.set()

    async def idle(self) -> None:
        """Wait for the jobs under way."""
        while self._running:
            await asyncio.wait(list(self._running.values()))

    async def _join(self, heart: asyncio.Task[None]) -> None:
        try:
            await self.idle()  # beating on, so that nobody takes them from us meanwhile
        finally:
            heart.cancel()
            await asyncio.gather(heart, return_exceptions=True)

    async def _once(self) -> float:
        """Fill the free slots. Returns how long to nap when there is nothing more to do."""
        free = self.slots - len(self._running)
        if free < (self._lot if self._backlog else 1):
            return _IDLE_S
        wanted = min(free, self._batch)
        jobs = await self._queries.dequeue(
            batch_size=wanted,
            entrypoints=self._entrypoints,
            queue_manager_id=self._id,
            global_concurrency_limit=None,
            heartbeat_timeout=self._heartbeat,
        )
        for job in jobs:
            self._start(job)
        self._backlog = len(jobs) == wanted
        if self._backlog:
            return 0.0 if len(self._running) < self.slots else _IDLE_S
        due = await self._queries.next_deferred_eta(list(self._entrypoints))
        return min(_IDLE_S, self._heartbeat.total_seconds() / 4, max(0.001, due.total_seconds()) if due else _IDLE_S)

    def _start(self, job: Job) -> None:
        if job.id in self._running:
            return  # our own heartbeat was late; the work goes on
        task = asyncio.create_task(self._execute((job.payload or b"").decode(), job.id))
        self._running[job.id] = task

        def ended(task: asyncio.Task[Any]) -> None:
            if self._running.get(job.id) is task:
                del self._running[job.id]
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("job broke", job=job.id, exc_info=error)
            self._wake.set()

        task.add_done_callback(ended)

    async def _beat(self) -> None:
        """Tell the queue that our jobs live, three times within the limit."""
        while True:
            await asyncio.sleep(self._heartbeat.total_seconds() / 3)
            if self._running:
                try:
                    await self._queries.update_heartbeat(list(self._running))  # type: ignore[arg-type]  # ids are ints
                except Exception:
                    log.exception("heartbeat failed", queue=self.queue)
