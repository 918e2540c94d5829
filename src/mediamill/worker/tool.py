"""Start a program: the one way in which engines reach one. Implements core.ports.Tools.

Runs inside the sandboxed child, whose Landlock domain, seccomp filter and limits every program inherits; limits of the
program itself are set on its pid right after the start, which costs microseconds where a launcher costs milliseconds
(`docs/why/sandbox.md`). Nothing here is safe to use in the server itself.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mediamill.core.errors import Failed, LimitExceeded, TimedOut, ToolFailed
from mediamill.worker._talk import STDERR_TAIL_BYTES, LateError, LoudError, Talk

GRACE_S = 2.0
"""Between TERM and KILL: ffmpeg needs 0.1 s to close a file that plays."""

_NOFILE = 256
_STACKS_BYTES = 1 << 30
"""Room for thread stacks, which RLIMIT_DATA counts at 8 MiB each though hardly any of it is ever touched. Without it
ffmpeg at 1080p needs a limit of 1 GiB for 250 MB of use, and a refused allocation made x264 hang. The memory that is
really used is measured by the worker, four times a second."""
_MEMORY_WORDS = re.compile(
    r"cannot allocate memory|out of memory|bad_alloc|heap exhausted|memory allocation of|malloc of size", re.I
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one task may use. `memory_bytes` is resident memory of the whole tree above the idle child's;
    `output_bytes` bounds each file and the sum of outputs, `scratch_bytes` all that lies in the work folder at once;
    `processes` counts the child."""

    wall_s: float
    cpu_s: int
    memory_bytes: int
    output_bytes: int
    scratch_bytes: int
    processes: int


@dataclass(frozen=True, slots=True)
class Finished:
    """See core.ports.ToolRun."""

    stdout: bytes
    stderr_tail: str
    status: int


@dataclass(slots=True)
class Piped:
    """A running program that the caller feeds or reads. Both pipes are unbuffered; close `stdin` to say the end."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    pid: int


class ToolRunner:
    """Implements core.ports.Tools for one task. `deadline` is an instant of time.monotonic()."""

    def __init__(
        self,
        *,
        limits: Limits,
        scratch: Path,
        deadline: float,
        on_started: Callable[[int], None] | None = None,
        on_ended: Callable[[int], None] | None = None,
    ) -> None:
        self._limits = limits
        self._scratch = scratch
        self._deadline = deadline
        self._on_started = on_started
        self._on_ended = on_ended
        self._cpu_before_s = _cpu_s()

    def run(
        self,
        argv: Sequence[str | Path],
        *,
        name: str,
        stdin: bytes | None = None,
        stdout_limit_bytes: int = 1_000_000,
        on_line: Callable[[str], None] | None = None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        ok: Sequence[int] = (0,),
        timeout_s: float | None = None,
    ) -> Finished:
        """See core.ports.Tools. With `on_line` the lines are handed over and not kept: `stdout` is then empty."""
        deadline = self._until(timeout_s)
        with self._started(
            argv,
            name=name,
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            talk = Talk(process, stdin or b"", stdout_limit_bytes, on_line)
            try:
                talk.until(deadline)
            except LateError:
                _stop(process)
                raise self._late(name, timeout_s, talk.tail()) from None
            except LoudError:
                _kill(process.pid)
                process.wait()
                raise _with_tail(LimitExceeded(f"{name} wrote more than it may."), talk.tail()) from None
            except BaseException:
                _kill(process.pid)
                process.wait()
                raise
            status = process.wait()
            self._judge(name, status, ok, talk.tail())
            return Finished(bytes(talk.stdout), talk.tail(), status)

    @contextmanager
    def spawn(
        self,
        argv: Sequence[str | Path],
        *,
        name: str,
        stdin: bool = False,
        stdout: bool = False,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        ok: Sequence[int] = (0,),
        timeout_s: float | None = None,
        pipe_bytes: int = 1 << 20,
    ) -> Iterator[Piped]:
        """A running program with raw pipes, for frames. Leaving the block closes them, waits and judges the end.

        An exception in the block kills the program; a BrokenPipeError or EOFError that its death caused is replaced by
        the reason of that death. Raises what `run` raises.
        """
        deadline = self._until(timeout_s)
        pipe, none = subprocess.PIPE, subprocess.DEVNULL
        with (
            tempfile.TemporaryFile(dir=self._scratch) as errors,
            self._started(
                argv,
                name=name,
                env=env,
                cwd=cwd,
                stdin=pipe if stdin else none,
                stdout=pipe if stdout else none,
                stderr=errors,
                pipe_bytes=pipe_bytes,
            ) as process,
        ):
            with _alarm(process, deadline) as late:
                try:
                    yield Piped(process.stdin, process.stdout, process.pid)
                    _close_ends(process)
                    status = process.wait()
                except (BrokenPipeError, EOFError):
                    # Its end is the reason: give it the moment it needs to say so, then speak of that.
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(timeout=GRACE_S)
                    _kill(process.pid)
                    status = process.wait()
                    if late.is_set():
                        raise self._late(name, timeout_s, _tail_of(errors)) from None
                    self._judge(name, status, ok, _tail_of(errors))
                    raise
            if late.is_set():
                raise self._late(name, timeout_s, _tail_of(errors))
            self._judge(name, status, ok, _tail_of(errors))

    def _until(self, timeout_s: float | None) -> float:
        return self._deadline if timeout_s is None else min(self._deadline, time.monotonic() + timeout_s)

    @contextmanager
    def _started(
        self,
        argv: Sequence[str | Path],
        *,
        name: str,
        env: Mapping[str, str] | None,
        cwd: Path | None,
        pipe_bytes: int | None = None,
        **streams: Any,
    ) -> Iterator[subprocess.Popen[bytes]]:
        if time.monotonic() >= self._deadline:
            raise TimedOut("The task ran out of time.")
        try:
            process = subprocess.Popen(  # noqa: S603 - an argv list, made by engines, never by callers
                [os.fspath(word) for word in argv],
                cwd=self._scratch if cwd is None else cwd,
                env=self._environment(env),
                process_group=0,
                bufsize=0,
                pipesize=pipe_bytes or -1,
                **streams,
            )
        except (OSError, ValueError) as error:  # not there, not executable, a NUL in an argument
            raise ToolFailed(f"{name} cannot be started.") from error
        try:
            self._limit(process.pid)
            if self._on_started is not None:
                self._on_started(process.pid)
            yield process
        finally:
            _kill(process.pid)  # the leader is mostly gone by now; what it left behind in its group goes too
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()
            if self._on_ended is not None:
                self._on_ended(process.pid)

    def _environment(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        kept = {key: os.environ[key] for key in ("PATH", "FONTCONFIG_FILE", "FONTCONFIG_PATH") if key in os.environ}
        scratch = str(self._scratch)
        return {
            "HOME": scratch,
            "TMPDIR": os.environ.get("TMPDIR", scratch),
            "LANG": "C.UTF-8",
            **kept,
            **(extra or {}),
        }

    def _limit(self, pid: int) -> None:
        """Tighten what the program inherited. RLIMIT_DATA rather than RLIMIT_AS: it counts memory that can be written,
        not the terabyte that a Haskell or JavaScript runtime reserves, nor mapped input files."""
        data_bytes = self._limits.memory_bytes + _STACKS_BYTES
        cpu_s = max(1, self._limits.cpu_s - int(_cpu_s() - self._cpu_before_s))
        wanted = (
            (resource.RLIMIT_DATA, data_bytes, data_bytes),
            (resource.RLIMIT_CPU, cpu_s, cpu_s + 1),  # SIGXCPU, then SIGKILL for one that ignores it
            (resource.RLIMIT_FSIZE, self._limits.output_bytes, self._limits.output_bytes),
            (resource.RLIMIT_NOFILE, _NOFILE, _NOFILE),
            (resource.RLIMIT_CORE, 0, 0),
        )
        with suppress(ProcessLookupError):  # already over
            for which, soft, hard in wanted:
                _, most = resource.prlimit(pid, which)
                if most != resource.RLIM_INFINITY:
                    soft, hard = min(soft, most), min(hard, most)
                resource.prlimit(pid, which, (soft, hard))

    def _judge(self, name: str, status: int, ok: Sequence[int], tail: str) -> None:
        if status in ok:
            return
        if -status == signal.SIGXCPU or (-status == signal.SIGKILL and self._cpu_spent()):
            raise _with_tail(LimitExceeded(f"{name} used more than {self._limits.cpu_s} s of processor time."), tail)
        if -status == signal.SIGXFSZ:
            raise _with_tail(
                LimitExceeded(f"{name} wrote a file of more than {self._limits.output_bytes} bytes."), tail
            )
        if _MEMORY_WORDS.search(tail):
            raise _with_tail(LimitExceeded(f"{name} wanted more memory than it may have."), tail)
        if status < 0:
            raise ToolFailed(f"{name} crashed ({signal_name(-status)}).", tail)
        raise ToolFailed(f"{name} failed (exit status {status}).", tail)

    def _cpu_spent(self) -> bool:
        return _cpu_s() - self._cpu_before_s >= self._limits.cpu_s

    def _late(self, name: str, timeout_s: float | None, tail: str) -> Failed:
        if time.monotonic() >= self._deadline or timeout_s is None:
            return _with_tail(
                TimedOut(f"{name} was stopped: the task ran longer than {self._limits.wall_s:g} s."), tail
            )
        return _with_tail(TimedOut(f"{name} ran longer than {timeout_s:g} s."), tail)


@contextmanager
def _alarm(process: subprocess.Popen[bytes], deadline: float) -> Iterator[threading.Event]:
    """Stops the program at the deadline; what is entered with is set then."""
    late = threading.Event()

    def stop() -> None:
        late.set()
        _stop(process)

    timer = threading.Timer(max(deadline - time.monotonic(), 0), stop)
    timer.daemon = True
    timer.start()
    try:
        yield late
    finally:
        timer.cancel()
        timer.join()


def _close_ends(process: subprocess.Popen[bytes]) -> None:
    for end in (process.stdin, process.stdout):
        if end is not None:
            with suppress(BrokenPipeError):
                end.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the group to end, and insist after a moment."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=GRACE_S)
    _kill(process.pid)


def _kill(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _cpu_s() -> float:
    mine, theirs = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return mine.ru_utime + mine.ru_stime + theirs.ru_utime + theirs.ru_stime


def _tail_of(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - STDERR_TAIL_BYTES))
    return file.read().decode("utf-8", "replace")


def _with_tail(error: Failed, tail: str) -> Failed:
    error.stderr_tail = tail
    return error


def signal_name(number: int) -> str:
    """As SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
