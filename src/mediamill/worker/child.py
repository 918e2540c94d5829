"""A warm child: confined once, it does one job after another until its worker hangs up.

Everything that reads a caller's bytes happens here. The worker trusts nothing this process says beyond its form.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import gc
import importlib
import os
import resource
import signal
import socket
import stat
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec

from mediamill import sandbox
from mediamill.core import errors
from mediamill.core.errors import BadMedia, Failed, Invalid, LimitExceeded, MediamillError, OutOfSpace, ToolFailed
from mediamill.core.ports import Engines, Report
from mediamill.kinds import Context, Input, Kind, Output
from mediamill.worker.messages import (
    Answered,
    Broke,
    Call,
    Finished,
    Frames,
    Job,
    Lot,
    Made,
    Message,
    Ready,
    Reported,
    Setup,
    Shown,
    ToolEnded,
    ToolStarted,
    Unfit,
    frame,
)
from mediamill.worker.tool import Finished as ToolFinished
from mediamill.worker.tool import Limits, ToolRunner

REPORT_EVERY_S = 0.05

_NOFILE = 1024
_THRIFTY_ABOVE_BYTES = 48 << 20
"""Size from which a child gives back what a job has left free: 30 MB of four warm children's 250, measured."""
_PAGE_BYTES = resource.getpagesize()


def main(setup: Setup, connection: socket.socket, stderr: int, folder: Path) -> None:
    """Become the child of one slot and serve; returns when the worker hangs up. The caller has just forked."""
    try:
        _settle(stderr, folder)
        sandbox.enter(
            read=[folder / "in", *map(Path, setup.readable)],
            write=[folder / "work"],
            listable=map(Path, setup.listable),
            programs=map(Path, setup.programs),
        )
        child = Child(connection, folder, entry(setup.engines), entry(setup.kinds))
    except (OSError, ImportError, AttributeError) as error:
        connection.sendall(frame(Unfit(reason=f"{type(error).__name__}: {error}")))
        raise
    child.serve()


def entry(name: str) -> Callable[..., Any]:
    """The function that "module:function" names."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


class Child:
    """Reads jobs from the connection, does them, and says how they went."""

    def __init__(
        self,
        connection: socket.socket,
        folder: Path,
        engines: Callable[..., Engines],
        kinds: Callable[[str], Kind[Any]],
    ) -> None:
        self._connection = connection
        self._frames = Frames()
        self._folder = folder
        self._in = folder / "in"
        self._work = folder / "work"
        self._given: list[Path] = []
        self._tools = _Tools()
        self._engines = engines(self._tools)
        self._kinds = kinds
        self._statm = open("/proc/self/statm", "rb", buffering=0)  # noqa: SIM115 - read again for every job

    def serve(self) -> None:
        """Until the worker hangs up."""
        frames = self._frames
        jobs = msgspec.msgpack.Decoder(Job | list[Job])
        self._connection.sendall(frame(Ready(resident_bytes=self._memory()[0])))
        while chunk := self._connection.recv(1 << 16):
            for body in frames.feed(chunk):
                asked = jobs.decode(body)
                self._connection.sendall(self._all(asked) if isinstance(asked, list) else self._answer(asked))
                if self._memory()[0] > _THRIFTY_ABOVE_BYTES:
                    sandbox.give_back_memory()

    def _answer(self, job: Job) -> bytes:
        progress = _Progress(self._connection)
        try:
            done = self._do(job, progress)
            said = frame(done)
        except BaseException as error:
            said = frame(self._broke(error, progress.stage))
        finally:
            self._tools.runner = None
        _end_leftovers()
        return said

    def _all(self, jobs: Sequence[Job]) -> bytes:
        """Several small jobs, answered together: being woken for each would cost more than the jobs."""
        answers: list[Finished | Broke] = []
        for job in jobs:
            try:
                answers.append(self._do(job, _silent))
            except BaseException as error:
                answers.append(self._broke(error, ""))
            finally:
                self._tools.runner = None
        _end_leftovers()
        return frame(Lot(answers=answers, resident_bytes=self._memory()[0]))

    def _do(self, job: Job, progress: Report) -> Finished:
        self._limit(job.limits)
        self._tools.runner = ToolRunner(
            limits=job.limits,
            scratch=self._work,
            deadline=time.monotonic() + job.limits.wall_s,
            on_started=lambda pgid: self._connection.sendall(frame(ToolStarted(pgid))),
            on_ended=lambda pgid: self._connection.sendall(frame(ToolEnded(pgid))),
        )
        kind = self._kinds(job.kind)
        try:
            options = msgspec.convert(job.options, kind.options)
        except msgspec.ValidationError as error:
            raise Invalid("options", str(error)) from error
        inputs = [
            Input(path=self._in / path, mime=mime, filename=name, url=url)
            for (path, mime, name), url in zip(job.inputs, job.urls or repeat(None), strict=False)
        ]
        self._given = [given.path for given in inputs]
        input_facts = []
        if job.probe:
            progress("probe")
            input_facts = [self._facts(given.path, given.mime) for given in inputs]
        context = Context(
            inputs=inputs,
            scratch=self._work,
            engines=self._engines,
            report=progress,
            publish=self._publish,
            remote=self._remote,
            metadata=job.metadata,
        )
        result = kind.run(context, options)
        return Finished(
            outputs=[self._made(output) for output in result.outputs],
            details=dict(result.details),
            input_facts=input_facts,
            resident_bytes=self._memory()[0],
        )

    def _publish(self, outputs: Sequence[Output]) -> None:
        """Implements kinds.Publish."""
        self._connection.sendall(frame(Shown([self._made(output) for output in outputs])))

    def _remote(
        self,
        service: str,
        path: str,
        *,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        file: tuple[str, Path, str] | None = None,
        method: str = "POST",
        timeout_s: float = 120.0,
    ) -> Any:
        """Implements core.ports.Remote: the worker makes the call; until it answers it says nothing else to us."""
        sent = None
        if file is not None:
            field, where, mime = file
            sent = field, os.path.relpath(os.path.abspath(where), self._folder), mime
        asked = Call(service, method, path, json, dict(form) if form is not None else None, sent, timeout_s)
        self._connection.sendall(frame(asked))
        while chunk := self._connection.recv(1 << 16):
            for body in self._frames.feed(chunk):
                answer = msgspec.msgpack.decode(body, type=Answered)
                if answer.error:
                    raise getattr(errors, answer.error)(answer.message)
                return answer.value
        raise ToolFailed("The worker went away.")

    def _made(self, output: Output) -> Made:
        path = Path(os.path.abspath(output.path))
        which = self._given.index(path) if path in self._given else None
        if (which is None and not path.is_relative_to(self._work)) or not stat.S_ISREG(path.lstat().st_mode):
            raise ToolFailed("The work left something that is not a file of its own.")
        return Made(
            path=str(path.relative_to(self._work)) if which is None else "",
            mime=output.mime,
            filename=output.filename,
            role=output.role,
            facts=self._facts(path, output.mime),
            input=which,
        )

    def _facts(self, path: Path, mime: str) -> dict[str, Any]:
        """What a probe finds; nothing when it fails, because facts are extra and the work decides about the file."""
        try:
            return self._engines.probe(path, mime).known()
        except MediamillError:
            return {}
        except Exception:
            traceback.print_exc()
            return {}

    def _broke(self, error: BaseException, stage: str) -> Broke:
        private = ""
        if isinstance(error, MemoryError):
            error = LimitExceeded("The work wanted more memory than it may have.")
            gc.collect()
        elif isinstance(error, OSError) and error.errno == errno.EFBIG:
            error = LimitExceeded("The work wrote a larger file than it may.")
        elif errors.is_full(error):
            error = OutOfSpace()
        elif not isinstance(error, MediamillError):
            private = "".join(traceback.format_exception(error))
            error = ToolFailed("The work failed unexpectedly.")
        elif isinstance(error, ToolFailed) and error.__cause__ is not None:  # bad media is no news to an operator
            private = "".join(traceback.format_exception(error))
        named = next(c for c in type(error).__mro__ if getattr(errors, c.__name__, None) is c)
        kept = named if issubclass(named, Failed) else BadMedia
        return Broke(
            error=kept.__name__,
            code=error.code,
            message=str(error),
            stage=stage,
            stderr_tail=error.stderr_tail if isinstance(error, Failed) else "",
            private=private,
            resident_bytes=self._memory()[0],
        )

    def _limit(self, limits: Limits) -> None:
        """Soft limits for this job above what this process has used so far; the hard ones stay open for the next."""
        _, data_bytes = self._memory()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        for which, most in (
            (resource.RLIMIT_DATA, data_bytes + limits.memory_bytes),
            (resource.RLIMIT_CPU, int(usage.ru_utime + usage.ru_stime) + 1 + limits.cpu_s),
            (resource.RLIMIT_FSIZE, limits.output_bytes),
        ):
            _, hard = resource.getrlimit(which)
            resource.setrlimit(which, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))

    def _memory(self) -> tuple[int, int]:
        """(resident bytes, bytes of writable memory) of this process."""
        self._statm.seek(0)
        fields = self._statm.read().split()
        return int(fields[1]) * _PAGE_BYTES, int(fields[5]) * _PAGE_BYTES


class _Progress:
    """Implements core.ports.Report: the first of a stage at once, then at most twenty a second; never waits."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._next_s = 0.0
        self.stage = ""

    def __call__(self, stage: str, fraction: float | None = None) -> None:
        now_s = time.monotonic()
        if stage == self.stage and now_s < self._next_s:
            return
        self.stage = stage
        self._next_s = now_s + REPORT_EVERY_S
        said = frame(Reported(stage, fraction))
        try:
            sent = self._connection.send(said, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return  # the worker is behind: it will hear the next one
        if sent < len(said):
            self._connection.sendall(said[sent:])  # half a message would garble the next


def _silent(stage: str, fraction: float | None = None) -> None:
    """Implements core.ports.Report for jobs that are over before anybody could read of them."""


class _Tools:
    """Implements core.ports.Tools by the runner of the job at hand, so that engines can be opened once a child."""

    runner: ToolRunner | None = None

    def run(self, *args: Any, **options: Any) -> ToolFinished:
        return self._now().run(*args, **options)

    def spawn(self, *args: Any, **options: Any) -> Any:
        return self._now().spawn(*args, **options)

    def _now(self) -> ToolRunner:
        if self.runner is None:
            raise ToolFailed("No program may be started outside a task.")
        return self.runner


def _settle(stderr: int, folder: Path) -> None:
    """Own session, own streams, own environment; die with the nursery and adopt every orphan."""
    os.setsid()
    sandbox.die_with_parent()
    sandbox.adopt_orphans()
    os.umask(0o077)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (stderr, 1), (stderr, 2)):
        os.dup2(source, target)
    os.close(null)
    sys.stdout = sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    faulthandler.enable()  # where it crashed, in the tail that goes to the log
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    scratch = folder / "work"
    (scratch / "tmp").mkdir(exist_ok=True)
    os.environ |= {"HOME": str(scratch), "TMPDIR": str(scratch / "tmp")}
    tempfile.tempdir = None
    os.chdir(scratch)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _NOFILE if most == resource.RLIM_INFINITY else min(_NOFILE, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _end_leftovers() -> None:
    """Kill and reap whatever a job left running; orphans of its programs have come to us."""
    with contextlib.suppress(ChildProcessError):  # the usual way out: there are no children at all
        while True:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                for left in sandbox.children():
                    os.kill(left, signal.SIGKILL)
                os.waitpid(-1, 0)


def as_environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of the nursery and its children: nothing of the server's own, which holds its secrets."""
    passed = ("PATH", "LD_LIBRARY_PATH", "FONTCONFIG_FILE", "FONTCONFIG_PATH", "TZ", "VIPS_CONCURRENCY")
    return {
        "LANG": "C.UTF-8",
        # OpenBLAS otherwise starts a thread per core on import, in every child.
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        **{key: os.environ[key] for key in passed if key in os.environ},
        **extra,
    }


__all__ = ["Child", "Message", "as_environment", "entry", "main"]
