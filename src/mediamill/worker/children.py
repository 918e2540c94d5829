"""The worker's side of its children: a pool of slots, each with a folder and a warm, confined child.

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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import structlog

from mediamill import sandbox
from mediamill.core.errors import Cancelled, Failed, LimitExceeded, Misconfigured, TimedOut, WorkerLost
from mediamill.worker import _tree
from mediamill.worker._ends import as_error, signal_name
from mediamill.worker._nurse import Child, Ears, Gone, Nurse
from mediamill.worker.messages import Answered, Broke, Call, Finished, Job, Lot, Made, Setup, Shown
from mediamill.worker.tool import GRACE_S, Limits

log = structlog.get_logger()

__all__ = ["Children", "Done", "Job", "Limits", "OutputFile", "Slot"]

WATCH_EVERY_S = 0.25
IDLE_S = 10.0
"""How long a child that a heavy job has left large may wait for another one."""
LARGE_BYTES = 64 << 20
"""Resident, shared parts counted: new ones have 30 MB, those that have done pictures 50, documents 100."""
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


class Children:
    """A pool of slots. Give it a folder of its own; nothing else may live there.

    readable: folders that children may read besides the system and the interpreter (models, fonts).
    listable: folders whose entries' names, at any depth, they may see.
    programs: folders of programs that they may start besides the system's.
    preload: modules imported before children are forked, if they are there; none may start a thread.
    idle_s: how long a child above `large_bytes` is kept for the next task.
    beside: a pool whose fork server starts these children too; what that one was told holds for both.
    """

    def __init__(
        self,
        *,
        slots: int,
        folder: Path,
        engines: str = "mediamill.engines:open",
        kinds: str = "mediamill.kinds:named",
        recycle_after_tasks: int = 200,
        recycle_above_bytes: int = 400 << 20,
        warm: int | None = None,
        require_sandbox: bool = False,
        preload: Sequence[str] = (),
        readable: Sequence[Path] = (),
        listable: Sequence[Path] = (),
        programs: Sequence[Path] = (),
        environment: Mapping[str, str] | None = None,
        beside: Children | None = None,
        idle_s: float = IDLE_S,
        large_bytes: int = LARGE_BYTES,
    ) -> None:
        self._folder = folder.resolve()
        self._recycle = (recycle_after_tasks, recycle_above_bytes)
        self._warm = slots if warm is None else warm
        self._idle_s, self._large_bytes = idle_s, large_bytes
        self._require_sandbox = require_sandbox
        setup = Setup(
            engines=engines,
            kinds=kinds,
            preload=list(preload),
            readable=[str(path.resolve()) for path in readable],
            listable=[str(path.resolve()) for path in listable],
            programs=[str(path.resolve()) for path in programs],
        )
        self._nurse: Nurse = beside._nurse if beside else Nurse(setup, environment or {})
        self._nurse.pools += 1
        self._slots = [Slot(n, self._folder / f"slot-{n}", self._nurse) for n in range(slots)]
        self._free: list[Slot] = []
        self._places = asyncio.Semaphore(slots)
        self._watchers: list[asyncio.Task[None]] = []

    @property
    def sandboxed(self) -> bool:
        """Whether children are confined to their slot's files."""
        return sandbox.abi() > 0

    @property
    def warning(self) -> str | None:
        """What an operator should be told loudly, once; None when all is well."""
        if self.sandboxed:
            return None
        return (
            "This kernel has no Landlock (Linux 5.13 or later with CONFIG_SECURITY_LANDLOCK): a hostile file that "
            "takes over a converter can read whatever this user can read. Do not process strangers' files here."
        )

    async def start(self) -> None:
        """Make the folders and start the first children. Raises Misconfigured when that cannot work here."""
        if self._require_sandbox and self.warning is not None:
            raise Misconfigured("require_sandbox", self.warning)
        await asyncio.to_thread(self._make_folders)
        await self._nurse.open()
        await asyncio.gather(*(slot.warm() for slot in self._slots[: self._warm]))
        self._free = self._slots[::-1]
        self._watchers = [asyncio.create_task(self._watch()), asyncio.create_task(self._let_go())]

    async def close(self) -> None:
        """End every child and remove the folders."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        await asyncio.gather(*(slot.close() for slot in self._slots))
        self._nurse.pools -= 1
        if not self._nurse.pools:
            await self._nurse.close()

    @asynccontextmanager
    async def slot(self, owner: str = "", kind: str = "") -> AsyncIterator[Slot]:
        """A free slot, its folders empty; waits for one. kind: what for, where one that has done it is the quicker.

        owner: whose files will be read. No child ever serves two owners, so what one's hostile file did to it cannot
        reach another's; going from one to the next costs a new child, some 10 ms.
        """
        async with self._places:
            slot = self._choose(owner, kind)
            try:
                if not slot.tidied:  # the disk said no last time
                    await slot.tidy(*self._recycle)
                await slot.take(owner)
                yield slot
            finally:
                if slot.tidied and slot.rest(*self._recycle):
                    self._put_back(slot)
                else:
                    # Shielded: a caller that is being cancelled must not leave files behind for the next task.
                    await asyncio.shield(self._give_back(slot))

    def _choose(self, owner: str, kind: str) -> Slot:
        """One that served this owner last, and has done the like; else one that served none, else the one unused for
        longest."""
        for wanted in (owner, ""):
            if own := [slot for slot in reversed(self._free) if slot.owner == wanted]:
                slot = next((slot for slot in own if kind in slot.kinds), own[0])
                self._free.remove(slot)
                return slot
        return self._free.pop(0)

    async def _give_back(self, slot: Slot) -> None:
        try:
            await slot.tidy(*self._recycle)
        finally:
            self._put_back(slot)

    def _put_back(self, slot: Slot) -> None:
        slot.idle_since_s = time.monotonic()
        self._free.append(slot)

    async def _let_go(self) -> None:
        """Replace large children that nobody has wanted for a while."""
        while True:
            await asyncio.sleep(min(1.0, self._idle_s))
            since_s = time.monotonic() - self._idle_s
            for slot in [slot for slot in self._free if 0.0 < slot.idle_since_s < since_s]:
                if self._places.locked() or slot not in self._free:
                    continue  # wanted after all
                slot.idle_since_s = 0.0  # judged once
                if not slot.is_large(self._large_bytes):
                    continue
                async with self._places:  # at once: nobody holds or awaits the last one
                    self._free.remove(slot)
                    try:
                        await slot.renew(warm=slot.number < self._warm)
                    except (OSError, Misconfigured) as error:
                        log.warning("no new child", why=str(error))  # the next task starts one, or is told
                    finally:
                        self._free.insert(0, slot)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            now_s = time.monotonic()
            busy = [(slot, *found) for slot in self._slots if (found := slot.watched(now_s)) is not None]
            if not busy:
                continue
            used = await asyncio.to_thread(_tree.measure, [(child.pid, slot.work) for slot, child, _ in busy])
            for (slot, child, limits), one in zip(busy, used, strict=True):
                slot.judge(child, limits, one)

    def _make_folders(self) -> None:
        for slot in self._slots:
            _tree.remove(slot.folder, by_force=True)  # a worker that was killed could not
            _tree.make(slot.folder)
