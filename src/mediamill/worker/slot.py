"""One place to do a job: its folders, and the child that waits there.

The worker keeps what a child could abuse: the clock, the measure of the whole process tree, the checks of what is
said to have been made. See `docs/why/sandbox.md` for who kills whom.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from mediamill.core.errors import Cancelled, Failed, LimitExceeded, TimedOut, WorkerLost
from mediamill.worker import _tree
from mediamill.worker._ends import as_error
from mediamill.worker._nurse import Child, Ears, Gone, Nurse
from mediamill.worker.messages import Answered, Broke, Call, Finished, Job, Lot, Made, Shown
from mediamill.worker.tool import GRACE_S, Limits, signal_name

WATCH_EVERY_S = 0.25
CRASHES = frozenset({signal.SIGABRT, signal.SIGSEGV, signal.SIGBUS, signal.SIGKILL})


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputFile:
    """One file made, in the slot's work folder until the slot is given back. `role` is "result" for the asked one.

    input: which of the job's inputs it is, if it is one of them unchanged.
    """

    path: Path
    work: Path
    mime: str
    filename: str
    role: str
    size_bytes: int
    facts: dict[str, Any]
    input: int | None = None

    def open(self) -> BinaryIO:
        """The bytes. The child that made it may still live and be hostile: it cannot swap a link in under this."""
        return os.fdopen(_tree.open_below(self.work, self.path.relative_to(self.work)), "rb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a job gave: its files, facts about the processing, facts of each input in order ({} where none known)."""

    outputs: list[OutputFile]
    details: dict[str, Any]
    input_facts: list[dict[str, Any]]


class Slot:
    """One place to do a job. Put inputs into `inputs`; everything in both folders goes when the slot is given back."""

    def __init__(self, number: int, folder: Path, nurse: Nurse) -> None:
        self.folder = folder
        self.inputs = folder / "in"
        self.work = folder / "work"
        self._seal = _tree.Seal(self.inputs, self.work)
        self._nurse = nurse
        self._child: Child | None = None
        self._verdict: Failed | None = None
        self._limits: Limits | None = None
        self._began_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self.number = number
        self.owner = ""
        self.kinds: set[str] = set()
        """What its child has done, and so has loaded what it takes for."""
        self.tasks = 0
        self.tidied = True
        self.idle_since_s = 0.0

    async def run(
        self,
        job: Job,
        on_report: Callable[[str, float | None], None],
        *,
        on_shown: Callable[[list[OutputFile]], None] | None = None,
        on_call: Callable[[Call, BinaryIO | None], Awaitable[Answered]] | None = None,
    ) -> Done:
        """Do a job. Raises the core Failed that it ended with: TimedOut after `wall_s`, WorkerLost when the child
        died, LimitExceeded when a limit ended it, Cancelled after `kill`. Cancelling the caller kills the child."""
        ears = Ears(
            report=on_report,
            shown=None if on_shown is None else lambda said: on_shown(self._outputs(said, job)),
            call=None if on_call is None else functools.partial(self._called, on_call),
        )
        said, child = await self._have_done(job, job.limits, ears)
        if isinstance(said, Broke):
            raise as_error(said, child.take_tail())
        if isinstance(said, Finished):
            return self._checked(said, job, job.limits)
        raise WorkerLost("The process doing the work answered another question.")

    async def run_all(self, jobs: Sequence[Job], limits: Limits) -> list[Done | Failed]:
        """Do several small jobs without inputs, in `limits` together; what each gave or ended with, in order. Raises as
        `run` does when they have no answers, whichever of them is to blame."""
        said, _ = await self._have_done(jobs, limits, Ears(report=lambda stage, fraction: None))
        if not isinstance(said, Lot) or len(said.answers) != len(jobs):
            raise WorkerLost("The process doing the work answered another question.")
        return [
            as_error(answer, "") if isinstance(answer, Broke) else self._checked(answer, job, limits)
            for job, answer in zip(jobs, said.answers, strict=True)
        ]

    async def _called(self, on_call: Callable[[Call, BinaryIO | None], Awaitable[Answered]], call: Call) -> Answered:
        """Hand a child's question on, with the file it names if that is one of its own."""
        if call.file is None:
            return await on_call(call, None)
        try:
            descriptor = _tree.open_below(self.folder, Path(call.file[1]))
        except OSError:
            return Answered(None, "ToolFailed", "The process doing the work named a file that is not its own.")
        with os.fdopen(descriptor, "rb") as file:
            return await on_call(call, file)

    async def _have_done(
        self, asked: Job | Sequence[Job], limits: Limits, ears: Ears
    ) -> tuple[Finished | Broke | Lot, Child]:
        if self._verdict is None:
            child = await self._living()
        if self._verdict is not None:
            raise self._verdict
        loop = asyncio.get_running_loop()
        self.kinds.update(job.kind for job in ([asked] if isinstance(asked, Job) else asked))
        self._limits, self._began_s = limits, time.monotonic()
        self._timer = loop.call_later(limits.wall_s, self._out_of_time, child, limits)
        said: Finished | Broke | Lot | Gone | None = None
        try:
            said = await child.do(asked, ears)
        finally:
            self._timer.cancel()
            self._limits = None
            self.tasks += 1
            if said is None:  # our caller is being cancelled, or the message could not be sent
                child.kill()
        if isinstance(said, Gone):
            raise self._epitaph(said, child, limits)
        if self._verdict is not None:  # killed in the very moment it finished
            await asyncio.shield(child.gone)
            raise self._verdict
        return said, child

    async def kill(self) -> None:
        """Cancel: the child and all it started are gone when this returns, and `run` raises Cancelled."""
        self._end(Cancelled("The task was cancelled."))
        if self._child is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GRACE_S):
                    await asyncio.shield(self._child.gone)

    def _end(self, verdict: Failed) -> None:
        self._verdict = self._verdict or verdict
        if self._child is not None:
            self._child.kill()

    def _out_of_time(self, child: Child, limits: Limits, *, grace: bool = True) -> None:
        if child.groups and grace:
            # The child sends its program TERM just now, and has a better word on it than we would.
            again = functools.partial(self._out_of_time, child, limits, grace=False)
            self._timer = asyncio.get_running_loop().call_later(GRACE_S + 0.5, again)
            return
        self._end(TimedOut(f"The task ran longer than {limits.wall_s:g} s."))

    async def _living(self) -> Child:
        if self._child is None or self._child.gone.done():
            self._child = await self._nurse.start(self.folder)
        elif self._child.serves:
            return self._child
        try:
            await self._child.ready()
        except WorkerLost:
            if self._verdict is not None:
                raise self._verdict from None
            raise
        return self._child

    def _epitaph(self, gone: Gone, child: Child, limits: Limits) -> Failed:
        """Why the child died, as well as can be told."""
        signalled = -gone.status if gone.status is not None and gone.status < 0 else 0
        error: Failed
        if self._verdict is not None:
            error = self._verdict
        elif signalled == signal.SIGXCPU:
            error = LimitExceeded("The task used more processor time than it may.")
        elif signalled == signal.SIGXFSZ:
            error = LimitExceeded(f"The task wrote a file of more than {limits.output_bytes} bytes.")
        elif signalled in CRASHES and gone.peak_bytes >= child.resident_bytes + 0.8 * limits.memory_bytes:
            # A library that is refused memory rarely says so before it falls over.
            error = LimitExceeded("The task wanted more memory than it may have.")
        elif signalled:
            error = WorkerLost(f"The process doing the work died ({signal_name(signalled)}).")
        else:
            error = WorkerLost("The process doing the work went away.")
        error.stage = error.stage or child.stage or None
        error.stderr_tail = error.stderr_tail or child.take_tail()
        return error

    def _checked(self, said: Finished, job: Job, limits: Limits) -> Done:
        outputs = self._outputs(said, job)
        if sum(output.size_bytes for output in outputs) > limits.output_bytes:
            raise LimitExceeded(f"The outputs are larger than {limits.output_bytes} bytes together.")
        return Done(outputs=outputs, details=said.details, input_facts=said.input_facts)

    def _outputs(self, said: Finished | Shown, job: Job) -> list[OutputFile]:
        return [self._output(made, job) for made in said.outputs]

    def _output(self, made: Made, job: Job) -> OutputFile:
        try:
            folder, path = self.work, made.path
            if made.input is not None:
                folder, path = self.inputs, dict(enumerate(job.inputs))[made.input][0]
            descriptor = _tree.open_below(folder, Path(path))
        except (OSError, KeyError) as error:
            raise WorkerLost("The process doing the work named a file it did not make.") from error
        try:
            size_bytes = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        return OutputFile(
            path=folder / path,
            work=folder,
            mime=made.mime,
            filename=made.filename,
            role=made.role,
            size_bytes=size_bytes,
            facts=made.facts,
            input=made.input,
        )

    def watched(self, now_s: float) -> tuple[Child, Limits] | None:
        """The child and limits of a job that has been running long enough to be worth measuring."""
        if self._child is None or self._limits is None or now_s - self._began_s < WATCH_EVERY_S:
            return None
        return self._child, self._limits

    def judge(self, child: Child, limits: Limits, used: _tree.Used) -> None:
        """End the job when its whole tree uses more than it may."""
        if child is not self._child or limits is not self._limits:
            return  # another job by now
        if used.processes > limits.processes:
            self._end(LimitExceeded(f"The task started more than {limits.processes} processes."))
        elif used.resident_bytes > child.resident_bytes + limits.memory_bytes:
            self._end(LimitExceeded("The task wanted more memory than it may have."))
        elif used.scratch_bytes > limits.scratch_bytes:
            self._end(LimitExceeded(f"The task's files took more than {limits.scratch_bytes} bytes."))

    def rest(self, recycle_after_tasks: int, recycle_above_bytes: int) -> bool:
        """Whether it is ready for the next job as it is; the usual case after small work."""
        child = self._child
        if (
            child is None
            or self._verdict is not None
            or child.killed
            or child.gone.done()
            or self.tasks >= recycle_after_tasks
            or child.resident_bytes > recycle_above_bytes
            or not self._seal.holds()
        ):
            return False
        child.take_tail()
        return True

    async def tidy(self, recycle_after_tasks: int, recycle_above_bytes: int) -> None:
        """Make ready for the next job: empty folders, no verdict, a fresh child when this one is due."""
        self.tidied = False
        child = self._child
        if child is not None:
            dead = child.killed or child.gone.done()
            if dead or self.tasks >= recycle_after_tasks or child.resident_bytes > recycle_above_bytes:
                await self._bury()
            else:
                child.take_tail()
        self._verdict = None
        if not self._seal.holds():
            try:
                await asyncio.to_thread(_tree.wipe, self.folder)
            except PermissionError:
                await self._bury()
                await asyncio.to_thread(_tree.wipe, self.folder, by_force=True)
        self.tidied = True
        if self._child is None and self._nurse.is_open:
            self._child = await self._nurse.start(self.folder)  # by the next job it is ready

    def is_large(self, large_bytes: int) -> bool:
        """Whether its child holds more memory than one should that waits."""
        return self._child is not None and bool(self.tasks) and _tree.resident_bytes(self._child.pid) > large_bytes

    async def renew(self, *, warm: bool) -> None:
        """End its child, and have a new one if it is to be warm."""
        await self._bury()
        if warm and self._nurse.is_open:
            self._child = await self._nurse.start(self.folder)

    async def take(self, owner: str) -> None:
        """Now for this owner: a child that has read another's files is replaced first."""
        if self.owner != owner and self.tasks:
            await self._bury()
        self.owner = owner

    async def warm(self) -> None:
        """Have a child that waits."""
        await self._living()

    async def close(self) -> None:
        await self._bury()
        await asyncio.to_thread(_tree.remove, self.folder, by_force=True)

    async def _bury(self) -> None:
        if self._child is not None:
            self._child.kill()
            await asyncio.shield(self._child.gone)
            self._child, self.owner, self.tasks = None, "", 0
            self.kinds.clear()
