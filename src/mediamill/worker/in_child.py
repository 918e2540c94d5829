"""A task's kind in a child: inputs lent to a slot, outputs stored, and sent where the caller wants them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import BinaryIO, Protocol

from mediamill.core import formats
from mediamill.core.dispatch import Finish
from mediamill.core.errors import BadMedia, Cancelled, Failed, NotFound
from mediamill.core.files import File
from mediamill.worker.carrier import Carrier
from mediamill.worker.children import Children
from mediamill.worker.early import Early
from mediamill.worker.live import Attempt
from mediamill.worker.messages import Answered, Call, Job
from mediamill.worker.outputs import Outputs
from mediamill.worker.reuse import Reuse
from mediamill.worker.rules import Rules
from mediamill.worker.slot import Slot
from mediamill.worker.together import Together


class Blobs(Protocol):
    """The bytes."""

    async def lend(self, key: str, target: Path, *, link: bool) -> None: ...


async def lend(blobs: Blobs, file: File, n: int, slot: Slot, *, link: bool) -> tuple[str, str, str]:
    """Put a file into a slot, as its input `n`; what a job says of it. Raises BadMedia.

    link: only where Landlock keeps the child from writing to it.
    """
    name = f"{n}{formats.suffix(file.mime)}"
    try:
        await blobs.lend(file.blob_key or "", slot.inputs / name, link=link)
    except NotFound:
        raise BadMedia("The bytes of an input are gone.") from None
    return name, file.mime, file.filename


@dataclass(frozen=True, slots=True, kw_only=True)
class InChild:
    """Does tasks in children. call: asks an operator's service for one."""

    children: Mapping[str, Children]
    together: Together
    blobs: Blobs
    outputs: Outputs
    carrier: Carrier
    call: Callable[[Call, BinaryIO | None], Awaitable[Answered]]
    reuse: Reuse
    rules: Rules

    async def __call__(self, attempt: Attempt, queue: str) -> Finish:
        """Do the work, or find it done; and send what was made. Raises the core Failed that it ended with."""
        return await self._send(attempt, await self._made(attempt, queue))

    async def _made(self, attempt: Attempt, queue: str) -> Finish:
        taken, task = attempt.taken, attempt.task
        files = [source.file for source in task.inputs if source.file is not None]
        if len(files) != len(task.inputs):
            raise BadMedia("An input of this task has expired or was deleted.")
        if task.kind in self.rules.light and not files:
            job = Job(kind=task.kind, options=dict(task.options), inputs=[], limits=self.rules.limits)
            if (together := await self.together(queue, task.project_id, job)) is not None:
                return await self.outputs.store(taken, files, together)
        key = self.reuse.key(task, files)
        if key is not None and (earlier := await self.reuse.earlier(taken, files, key)) is not None:
            return replace(earlier, media=task.extra.get("media"), lifetime_s=self.rules.kept_s(task))
        return replace(await self._worked(attempt, files, self.children[queue]), reuse_key=key)

    async def _worked(self, attempt: Attempt, files: list[File], pool: Children) -> Finish:
        taken, task, live = attempt.taken, attempt.task, attempt.live
        async with pool.slot(owner=task.project_id, kind=task.kind) as slot:
            live.stop = slot.kill
            early = Early(partial(self.outputs.publish, taken), task.id)
            try:
                if live.cancelled or live.leaving:
                    raise Cancelled("The task was cancelled.")
                link = pool.sandboxed
                job = Job(
                    kind=task.kind,
                    options=dict(task.options),
                    inputs=[await lend(self.blobs, file, n, slot, link=link) for n, file in enumerate(files)],
                    limits=self.rules.limits,
                    metadata={**taken.run_metadata, **(task.metadata or {})},
                    urls=self.rules.urls(task),
                    probe=any(not f.facts and formats.family(f.mime) in formats.PROBED for f in files),
                )
                done = await slot.run(
                    job,
                    lambda stage, fraction: attempt.moved(stage, fraction or 0.0),
                    on_shown=early,
                    on_call=self.call,
                )
            finally:
                live.stop = None
                await early.settled()
            if done.outputs:
                # Costs nothing where storing is quick: a tick is written only if the end has not come before its turn.
                attempt.moved("store", 1.0)
            return await live.stoppable(self.outputs.store(taken, files, done), "storing")

    async def _send(self, attempt: Attempt, finish: Finish) -> Finish:
        """What was made, also to its destination, before it counts as done."""
        if "destination" not in attempt.task.extra:
            return finish
        alone = not finish.outputs  # nothing was done but what is done now

        def sent(bytes_: int, total: int | None) -> None:
            attempt.moved("store", bytes_ / total if total and alone else 1.0)

        attempt.live.entered("store")
        try:
            return await attempt.live.stoppable(self.carrier.send(attempt.task, finish, sent), "sending")
        except BaseException as error:
            await self.outputs.drop(finish.outputs)
            if isinstance(error, Failed):
                error.stage = "store"
            raise
