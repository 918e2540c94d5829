"""One job, from taken to finished: who does it, and how it ended.

This is one of the three places that catch: whatever goes wrong here becomes the record of an attempt.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import structlog

from mediamill import tracing
from mediamill.core.dispatch import FILE_JOB, Finish, Take, Taken, Tick, Unwritable
from mediamill.core.errors import Cancelled, DatabaseAway, Failed, Interrupted, StorageAway, StorageRefused
from mediamill.core.tasks import Failure, State, backoff_s
from mediamill.worker._ends import unforeseen
from mediamill.worker.live import Attempt, Live
from mediamill.worker.rules import Rules

log = structlog.get_logger()

Host = Callable[[Taken, Callable[[str, float], None]], Awaitable[Mapping[str, Any]]]
"""Does a task in the worker itself and returns its details; told to say (stage, fraction). It is stopped by being
cancelled, and raises a core `Failed` for what goes wrong."""


class Ticks(Protocol):
    """Where a tick goes; never blocks."""

    def __call__(self, tick: Tick) -> None: ...
    def forget(self, fence: uuid.UUID) -> None: ...


class Executor:
    """Executes jobs of one worker. `take` and `finish` are the coalesced calls of the store."""

    def __init__(
        self,
        *,
        worker: str,
        take: Callable[[Take], Awaitable[Taken | None]],
        finish: Callable[[Finish], Awaitable[bool]],
        tick: Ticks,
        find_facts: Callable[[str, int, str], Awaitable[None]],
        ingest: Callable[[Attempt], Awaitable[Finish]],
        in_child: Callable[[Attempt, str], Awaitable[Finish]],
        hosts: Mapping[str, Host],
        drop_unused: Callable[[Finish], Awaitable[None]],
        rules: Rules,
    ) -> None:
        """find_facts: for a job on a file (its id, the job, the queue). ingest: for a task with inputs to fetch.
        in_child: for any other (the attempt, the queue), but for kinds among `hosts`, which are done here. drop_unused:
        lets go of what an attempt has stored in vain."""
        self._worker = worker
        self._take = take
        self._finish = finish
        self._tick = tick
        self._find_facts = find_facts
        self._ingest = ingest
        self._in_child = in_child
        self._hosts = hosts
        self._drop_unused = drop_unused
        self._rules = rules
        self._live: dict[str, Live] = {}

    async def run(self, task_id: str, job_id: int, *, queue: str) -> None:
        """Do what the queue asks for. Returns when it is recorded, or when nothing was to be done."""
        if task_id.startswith(FILE_JOB):
            await self._find_facts(task_id.removeprefix(FILE_JOB), job_id, queue)
            return
        live = self._live[task_id] = Live()
        try:
            taken = await self._take(Take(task_id=task_id, job_id=job_id, worker=self._worker))
            if taken is None:
                return
            live.began_s, live.fence = time.monotonic(), taken.fence
            if taken.task.cancel_requested:
                live.cancelled = True
            finish = await self._work(Attempt(taken, live, self._tick), queue)
            self._tick.forget(taken.fence)
            finish = replace(
                finish, stages=live.stages, lone=taken.task.place is None and taken.task.origin.schedule_id is None
            )
            await self._record(finish, taken)
            code = finish.error.code if finish.error is not None else None
            tracing.attempted(taken.task, live.began_s, live.stages, state=finish.state, error=code)
        finally:
            if self._live.get(task_id) is live:
                del self._live[task_id]

    async def cancel(self, task_id: str) -> None:
        """A caller wants a task stopped; nothing happens when it is not ours."""
        live = self._live.get(task_id)
        if live is not None:
            live.cancelled = True
            if live.stop is not None:
                await live.stop()

    def held(self) -> list[tuple[str, uuid.UUID]]:
        """The tasks in our hands, each with its fence."""
        return [(id, live.fence) for id, live in self._live.items() if live.fence is not None]

    async def let_go(self, task_id: str, fence: uuid.UUID) -> None:
        """Another has taken a task from us: stop, what we would write is fenced off."""
        live = self._live.get(task_id)
        if live is not None and live.fence == fence:
            await self._leave(live)

    async def give_back(self) -> None:
        """Stop everything and put it back on its queue: we are leaving."""
        for live in list(self._live.values()):
            await self._leave(live)

    async def _leave(self, live: Live) -> None:
        live.leaving = True
        if live.stop is not None:
            await live.stop()

    async def _record(self, finish: Finish, taken: Taken) -> None:
        """Write the end, however long the database is away: the result is good as long as the fence is ours."""
        made, wait_s = finish, 0.1
        while True:
            try:
                held = await self._finish(finish)
                break
            except Unwritable as error:
                log.exception("finish cannot be written", task=finish.task_id)
                broken = Failed("The result of this task could not be recorded.")
                broken.__cause__ = error
                finish = self._failed(taken, Live(), broken)
            except Exception:
                log.exception("finish not written", task=finish.task_id, again_in_s=wait_s)
                await asyncio.sleep(wait_s)
                wait_s = min(5.0, wait_s * 2)
        if not held:
            log.warning("fenced off", task=finish.task_id, attempt=taken.task.attempt)
        if not held or finish.state is State.FAILED:
            await self._drop_unused(made)

    async def _work(self, attempt: Attempt, queue: str) -> Finish:
        taken, task, live = attempt.taken, attempt.task, attempt.live
        try:
            if live.cancelled:
                raise Cancelled("The task was cancelled.")
            if task.state is State.INGESTING:
                return await self._ingest(attempt)
            if task.kind in self._hosts:
                return await self._host(attempt)
            return await self._in_child(attempt, queue)
        except Failed as error:
            return self._failed(taken, live, error)
        except StorageRefused as error:
            return self._failed(taken, live, unforeseen(error, task, hosted=task.kind in self._hosts))
        except DatabaseAway as error:
            what = "storage of files" if isinstance(error, StorageAway) else "database"
            log.warning(f"{what} away", task=task.id, kind=task.kind)
            away = Interrupted(f"The {what} was away while this was at work.")
            return self._failed(taken, live, away, blameless=True)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            return self._failed(taken, live, unforeseen(error, task, hosted=task.kind in self._hosts))

    def _failed(self, taken: Taken, live: Live, error: Failed, *, blameless: bool = False) -> Finish:
        """blameless: whatever the number of its attempts, this one does not count."""
        task = taken.task
        if error.private:
            log.error("kind broke", task=task.id, kind=task.kind, detail=error.private)
        state, retry_in_s, given_back = State.FAILED, 0.0, False
        if live.cancelled or (isinstance(error, Cancelled) and not live.leaving):
            state, error = State.CANCELLED, Cancelled("The task was cancelled.")
        elif live.leaving and task.kind in self._hosts:
            # What it has done is kept step by step, so that its attempt counts: there is nothing to give back.
            error = Interrupted("The server was stopped while this was at work.")
            state = State.QUEUED if task.attempts_left > 0 else State.FAILED
        elif live.leaving:
            given_back = True
            state = task.state if task.state is State.INGESTING else State.QUEUED
        elif blameless:
            retry_in_s, given_back = self._rules.retry_first_s, True
            state = State.INGESTING if task.state is State.INGESTING else State.DELAYED
        elif error.retryable and task.attempts_left > 0:
            first_s = max(self._rules.retry_first_s, error.retry_first_s)
            retry_in_s = backoff_s(
                task.max_attempts - task.attempts_left, first_s=first_s, cap_s=max(first_s, self._rules.retry_cap_s)
            )
            if error.retry_in_s is not None:
                retry_in_s = error.retry_in_s
            state = State.INGESTING if task.state is State.INGESTING else State.DELAYED
        return Finish(
            task_id=task.id,
            fence=taken.fence,
            job_id=taken.job_id,
            state=state,
            error=Failure(
                code=error.code,
                family=error.family,
                message=str(error),
                stage=error.stage,
                name=error.name,
                stack=error.stack,
            ),
            log=error.stderr_tail[-8192:].replace("\0", "") or None,
            retry_in_s=retry_in_s,
            given_back=given_back,
        )

    async def _host(self, attempt: Attempt) -> Finish:
        """Have it done here; nothing of a child's is used."""
        taken, task = attempt.taken, attempt.task
        details = await attempt.live.stoppable(_awaited(self._hosts[task.kind](taken, attempt.moved)), "run")
        return Finish(task_id=task.id, fence=taken.fence, job_id=taken.job_id, state=State.SUCCEEDED, details=details)


async def _awaited(work: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
    return await work
