"""One task, from taken to finished: inputs to the slot, the kind in its child, outputs to the blobs.

This is one of the three places that catch: whatever goes wrong here becomes the record of an attempt.
"""

from __future__ import annotations

import asyncio
import shutil
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import structlog

from mediamill import tracing
from mediamill.core import formats
from mediamill.core.dispatch import FILE_JOB, Finish, Take, Taken, Tick, Unwritable
from mediamill.core.errors import BadMedia, Cancelled, Failed, Interrupted, NotFound
from mediamill.core.files import File, NewFile, safe_name
from mediamill.core.tasks import MOST_BYTES, Failure, State, backoff_s
from mediamill.worker._ends import unforeseen
from mediamill.worker.carrier import Carrier
from mediamill.worker.children import Children, Done, Job, OutputFile, Slot
from mediamill.worker.early import Early
from mediamill.worker.live import Live
from mediamill.worker.messages import Answered, Call
from mediamill.worker.reuse import Reuse
from mediamill.worker.rules import Rules

log = structlog.get_logger()

_FETCHES = 32
"""Sources fetched at once by one worker."""
_PROBE_S = 60.0
_LOT_S = 1.0
"""For jobs that are done at one go; one that holds the others up so long is found out by doing each alone."""
_STAGE_NAME = 40
_NOTHING = "ping"
"""The kind to run when only the facts of an input are wanted."""


class Blobs(Protocol):
    """The bytes, as much of them as the worker needs."""

    async def adopt(self, file: Any, path: Path, *, sha256: str | None = None) -> Any: ...
    async def copy(self, key: str) -> str: ...
    async def lend(self, key: str, target: Path, *, link: bool) -> None: ...
    async def delete(self, keys: Sequence[str]) -> None: ...


Light = tuple[str, Job]
"""A small job and its owner."""
Coalesce = Callable[
    [Callable[[Sequence[Light]], Awaitable[Sequence[Done | Failed | None]]]],
    Callable[[Light], Awaitable[Done | None]],
]


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
        children: Mapping[str, Children],
        blobs: Blobs,
        carrier: Carrier,
        sniff: Callable[..., str | None],
        files: Callable[[str], Awaitable[File | None]],
        probed: Callable[[str, Mapping[str, Any], int], Awaitable[None]],
        unused: Callable[[Sequence[str]], Awaitable[Sequence[str]]],
        show: Callable[[str, uuid.UUID, Sequence[tuple[str, NewFile]]], Awaitable[bool]],
        call: Callable[[Call, BinaryIO | None], Awaitable[Answered]],
        reuse: Reuse,
        coalesce: Coalesce,
        scratch: Path,
        rules: Rules,
        hosts: Mapping[str, Host] | None = None,
    ) -> None:
        """unused: those of some blob keys that no file refers to. show: publishes outputs of running work; False when
        the fence is lost. call: asks an operator's service for a child. coalesce: makes of a call for many a call for
        one, which goes together with those that wait at the same time. hosts: by kind, what is done here and not in a
        child."""
        self._worker = worker
        self._take = take
        self._finish = finish
        self._tick = tick
        self._children = children
        self._blobs = blobs
        self._carrier = carrier
        self._sniff = sniff
        self._files = files
        self._probed = probed
        self._unused = unused
        self._show = show
        self._call = call
        self._reuse = reuse
        self._scratch = scratch
        self._rules = rules
        self._hosts = hosts or {}
        self._live: dict[str, Live] = {}
        self._fetching = asyncio.Semaphore(_FETCHES)
        self._together = {queue: coalesce(partial(self._all, pool)) for queue, pool in children.items()}

    async def run(self, task_id: str, job_id: int, *, queue: str) -> None:
        """Do what the queue asks for. Returns when it is recorded, or when nothing was to be done."""
        if task_id.startswith(FILE_JOB):
            await self._look(task_id.removeprefix(FILE_JOB), job_id, queue)
            return
        live = self._live[task_id] = Live()
        try:
            taken = await self._take(Take(task_id=task_id, job_id=job_id, worker=self._worker))
            if taken is None:
                return
            live.began_s = time.monotonic()
            if taken.task.cancel_requested:
                live.cancelled = True
            finish = await self._work(taken, live, queue)
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

    async def _look(self, file_id: str, job_id: int, queue: str) -> None:
        """Find the facts of a file nobody has asked anything of yet; a file that has none to find is as good."""
        file = await self._files(file_id)
        facts: Mapping[str, Any] = {}
        if file is not None and file.ready and not file.facts:
            limits = replace(self._rules.limits, wall_s=min(_PROBE_S, self._rules.limits.wall_s))
            try:
                async with self._children[queue].slot(owner=file.project_id) as slot:
                    source = await self._lend(0, file, slot, self._children[queue].sandboxed)
                    done = await slot.run(
                        Job(kind=_NOTHING, options={}, inputs=[source], limits=limits, probe=True), lambda *_: None
                    )
                    facts = next(iter(done.input_facts), {})
            except Failed as error:
                log.info("no facts", file=file_id, why=str(error))
        await self._probed(file_id, facts, job_id)

    async def cancel(self, task_id: str) -> None:
        """A caller wants a task stopped; nothing happens when it is not ours."""
        live = self._live.get(task_id)
        if live is not None:
            live.cancelled = True
            if live.stop is not None:
                await live.stop()

    async def give_back(self) -> None:
        """Stop everything and put it back on its queue: we are leaving."""
        for live in list(self._live.values()):
            live.leaving = True
            if live.stop is not None:
                await live.stop()

    async def _record(self, finish: Finish, taken: Taken) -> None:
        """Write the end, however long the database is away: the result is good as long as the fence is ours."""
        made = [file.blob_key for _, file in finish.outputs] + [file.blob_key for file in finish.inputs or ()]
        wait_s = 0.1
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
        if made and (not held or finish.state is State.FAILED):
            # Asked, not assumed: a commit whose answer was lost on the way has published them.
            await self._blobs.delete(await self._unused([key for key in made if key]))

    async def _work(self, taken: Taken, live: Live, queue: str) -> Finish:
        task = taken.task
        try:
            if live.cancelled:
                raise Cancelled("The task was cancelled.")
            if task.state is State.INGESTING:
                return await self._ingest(taken, live)
            if task.kind in self._hosts:
                return await self._host(taken, live)
            return await self._send(taken, live, await self._execute(taken, live, queue))
        except Failed as error:
            return self._failed(taken, live, error)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            return self._failed(taken, live, unforeseen(error, task, hosted=task.kind in self._hosts))

    def _failed(self, taken: Taken, live: Live, error: Failed) -> Finish:
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
        elif error.retryable and task.attempts_left > 0:
            retry_in_s = backoff_s(
                task.max_attempts - task.attempts_left, first_s=self._rules.retry_first_s, cap_s=self._rules.retry_cap_s
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

    async def _host(self, taken: Taken, live: Live) -> Finish:
        """Have it done here; nothing of a child's is used."""
        task = taken.task
        work = self._hosts[task.kind](taken, lambda stage, fraction: self._moved(taken, live, stage, fraction))
        details = await live.stoppable(_awaited(work), "run")
        return Finish(task_id=task.id, fence=taken.fence, job_id=taken.job_id, state=State.SUCCEEDED, details=details)

    async def _ingest(self, taken: Taken, live: Live) -> Finish:
        """Fetch the inputs that are URLs, and hand the task on to its queue."""
        task = taken.task
        folder = self._scratch / f"ingest-{task.id}-{task.attempt}"
        try:
            files = await live.stoppable(self._in_turn(taken, live, folder), "fetch")
        except Failed as error:
            error.stage = error.stage or "fetch"
            raise
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return Finish(
            task_id=task.id,
            fence=taken.fence,
            job_id=taken.job_id,
            state=State.QUEUED,
            inputs=files,
            lifetime_s=self._rules.lifetime_s.get(task.dialect),
        )

    def _moved(self, taken: Taken, live: Live, stage: str, fraction: float) -> None:
        stage = "".join(filter(str.isprintable, stage))[:_STAGE_NAME]  # a child's word, and a child may be hostile
        live.entered(stage)
        self._tick(
            Tick(
                task_id=taken.task.id,
                fence=taken.fence,
                stage=stage,
                progress=min(1.0, max(0.0, fraction)),
                stages=tuple(live.stages),
            )
        )

    async def _in_turn(self, taken: Taken, live: Live, folder: Path) -> list[NewFile]:
        async with self._fetching:
            return await self._fetch_all(taken, live, folder)

    async def _fetch_all(self, taken: Taken, live: Live, folder: Path) -> list[NewFile]:
        task = taken.task
        await asyncio.to_thread(folder.mkdir, parents=True)
        files: list[NewFile] = []
        wanted = [source for source in task.inputs if source.file is None]
        for n, source in enumerate(wanted):
            if source.url is None:
                raise BadMedia("An input of this task is gone.")
            path = folder / str(n)
            live.entered("fetch")

            def progress(received: int, total: int | None, done: int = n) -> None:
                part = received / total if total else 0.0
                self._moved(taken, live, "fetch", (done + min(1.0, part)) / len(wanted))

            most = min(self._rules.max_fetch_bytes, task.extra.get(MOST_BYTES, self._rules.max_fetch_bytes))
            fetched = await self._carrier.fetch(task, source, path, on_progress=progress, max_bytes=most)
            if fetched.size_bytes == 0:
                raise BadMedia("The source has no bytes.")
            name = safe_name(fetched.filename or "file")
            claimed = formats.canonical(fetched.content_type or "")
            # A web server's word on the type is weaker than a name: it says text/plain of what it does not know.
            hint = None if formats.by_filename(name) else claimed
            mime = await asyncio.to_thread(self._sniff, path, claimed=hint, filename=name)
            with path.open("rb") as file:
                stored = await self._blobs.adopt(file, path, sha256=fetched.sha256)
            files.append(
                NewFile(
                    project_id=task.project_id,
                    filename=name,
                    mime=mime or "application/octet-stream",
                    claimed_mime=claimed,
                    size_bytes=stored.size_bytes,
                    sha256=stored.sha256,
                    blob_key=stored.key,
                    dialect=task.dialect,
                )
            )
        return files

    async def _execute(self, taken: Taken, live: Live, queue: str) -> Finish:
        """Run the kind in a child and store what it made."""
        task = taken.task
        files = [source.file for source in task.inputs if source.file is not None]
        if len(files) != len(task.inputs):
            raise BadMedia("An input of this task has expired or was deleted.")
        pool = self._children[queue]
        if task.kind in self._rules.light and not files:
            job = Job(kind=task.kind, options=dict(task.options), inputs=[], limits=self._rules.limits)
            if (together := await self._together[queue]((task.project_id, job))) is not None:
                return await self._store(taken, files, together)
        key = self._reuse.key(task, files)
        if key is not None and (earlier := await self._reuse.earlier(taken, files, key)) is not None:
            return replace(earlier, media=task.extra.get("media"), lifetime_s=self._rules.kept_s(task))
        async with pool.slot(owner=task.project_id, kind=task.kind) as slot:
            live.stop = slot.kill
            early = Early(partial(self.publish, taken), task.id)
            try:
                if live.cancelled or live.leaving:
                    raise Cancelled("The task was cancelled.")
                inputs = [await self._lend(n, file, slot, pool.sandboxed) for n, file in enumerate(files)]
                done = await slot.run(
                    Job(
                        kind=task.kind,
                        options=dict(task.options),
                        inputs=inputs,
                        limits=self._rules.limits,
                        metadata={**taken.run_metadata, **(task.metadata or {})},
                        urls=self._rules.urls(task),
                        probe=any(not f.facts and formats.family(f.mime) in formats.PROBED for f in files),
                    ),
                    lambda stage, fraction: self._moved(taken, live, stage, fraction or 0.0),
                    on_shown=early,
                    on_call=self._call,
                )
            finally:
                live.stop = None
                await early.settled()
            if done.outputs:
                # Costs nothing where storing is quick: a tick is written only if the end has not come before its turn.
                self._moved(taken, live, "store", 1.0)
            return replace(await live.stoppable(self._store(taken, files, done), "storing"), reuse_key=key)

    async def _all(self, pool: Children, lot: Sequence[tuple[str, Job]]) -> list[Done | Failed | None]:
        """What small jobs, each with its owner, gave or ended with; None for those that are to be done alone."""
        answers: list[Done | Failed | None] = [None] * len(lot)
        owned: dict[str, list[int]] = {}
        for place, (owner, _) in enumerate(lot):
            owned.setdefault(owner, []).append(place)
        for owner, places in owned.items():
            async with pool.slot(owner=owner) as slot:
                try:
                    limits = replace(self._rules.limits, wall_s=_LOT_S)
                    found = await slot.run_all([lot[place][1] for place in places], limits)
                except Failed as error:
                    log.info("not done together", jobs=len(places), why=str(error))
                    continue
            for place, answer in zip(places, found, strict=True):
                answers[place] = answer
        return answers

    async def _lend(self, n: int, file: File, slot: Slot, sandboxed: bool) -> tuple[str, str, str]:
        name = f"{n}{formats.suffix(file.mime)}"
        try:
            # Linked only where Landlock keeps the child from writing to it.
            await self._blobs.lend(file.blob_key or "", slot.inputs / name, link=sandboxed)
        except NotFound:
            raise BadMedia("The bytes of an input are gone.") from None
        return name, file.mime, file.filename

    async def _store(self, taken: Taken, files: list[File], done: Done) -> Finish:
        task = taken.task
        outputs: list[tuple[str, NewFile]] = []
        try:
            for output in done.outputs:
                outputs.append((output.role, await self._keep(taken, output)))
        except BaseException:
            await self._blobs.delete([file.blob_key for _, file in outputs if file.blob_key])
            raise
        return Finish(
            task_id=task.id,
            fence=taken.fence,
            job_id=taken.job_id,
            state=State.SUCCEEDED,
            new_media=bool(task.extra.get("new_media")),
            media=task.extra.get("media"),
            details=done.details,
            outputs=outputs,
            input_facts={file.id: facts for file, facts in zip(files, done.input_facts, strict=False) if facts},
            lifetime_s=self._rules.kept_s(task),
        )

    async def _send(self, taken: Taken, live: Live, finish: Finish) -> Finish:
        """What was made, also to its destination, before it counts as done."""
        if "destination" not in taken.task.extra:
            return finish
        alone = not finish.outputs  # nothing was done but what is done now

        def sent(bytes_: int, total: int | None) -> None:
            self._moved(taken, live, "store", bytes_ / total if total and alone else 1.0)

        live.entered("store")
        try:
            return await live.stoppable(self._carrier.send(taken.task, finish, sent), "sending")
        except BaseException as error:
            await self._blobs.delete([file.blob_key for _, file in finish.outputs if file.blob_key])
            if isinstance(error, Failed):
                error.stage = "store"
            raise

    async def publish(self, taken: Taken, outputs: Sequence[OutputFile]) -> None:
        """Store what a child shows while it works, and make it known."""
        made = [(output.role, await self._keep(taken, output)) for output in outputs]
        if not await self._show(taken.task.id, taken.fence, made):
            await self._blobs.delete([file.blob_key for _, file in made if file.blob_key])

    async def _keep(self, taken: Taken, output: OutputFile) -> NewFile:
        task = taken.task
        given = None if output.input is None else task.inputs[output.input].file
        if given is not None and given.sha256:
            try:
                size_bytes, sha256, key = given.size_bytes, given.sha256, await self._blobs.copy(given.blob_key or "")
            except NotFound:
                raise BadMedia("The bytes of an input are gone.") from None
        else:
            with output.open() as file:
                stored = await self._blobs.adopt(file, output.path)
            size_bytes, sha256, key = stored.size_bytes, stored.sha256, stored.key
        return NewFile(
            project_id=task.project_id,
            filename=safe_name(output.filename),
            mime=output.mime,
            claimed_mime=output.mime,
            size_bytes=size_bytes,
            sha256=sha256,
            blob_key=key,
            facts=output.facts,
            public=bool(task.extra.get("public", False)),
            dialect=task.dialect,
        )


async def _awaited(work: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
    return await work
