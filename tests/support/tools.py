"""A process runner without a sandbox: core.ports.Tools over plain subprocess, for tests of engines."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from mediamill.core.errors import TimedOut, ToolFailed

TAIL_BYTES = 8_000


@dataclass(frozen=True, slots=True)
class Done:
    """Implements core.ports.ToolRun."""

    stdout: bytes
    stderr_tail: str


@dataclass(frozen=True, slots=True)
class Raw:
    """Implements core.ports.Piped."""

    stdin: IO[bytes] | None
    stdout: IO[bytes] | None
    pid: int


@dataclass
class PlainTools:
    """Runs what it is told and remembers it: `argvs` holds every command line."""

    argvs: list[list[str]] = field(default_factory=list)
    timeout_s: float = 60.0

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
    ) -> Done:
        words = [str(word) for word in argv]
        self.argvs.append(words)
        with subprocess.Popen(
            words,
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(env) if env is not None else None,
            cwd=cwd,
        ) as child:
            late = threading.Event()

            def stop() -> None:
                late.set()
                child.kill()

            timer = threading.Timer(timeout_s or self.timeout_s, stop)
            timer.start()
            try:
                out, err = _talk(child, stdin, on_line)
            finally:
                timer.cancel()
                timer.join()
        tail = err[-TAIL_BYTES:].decode(errors="replace")
        if late.is_set():
            raise TimedOut(f"{name} took too long.")
        if child.returncode not in ok:
            raise ToolFailed(f"{name} failed with status {child.returncode}.", tail)
        return Done(stdout=out[:stdout_limit_bytes], stderr_tail=tail)

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
    ) -> Iterator[Raw]:
        words = [str(word) for word in argv]
        self.argvs.append(words)
        with (
            tempfile.TemporaryFile() as errors,
            subprocess.Popen(
                words,
                stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                stdout=subprocess.PIPE if stdout else subprocess.DEVNULL,
                stderr=errors,
                env=dict(env) if env is not None else None,
                cwd=cwd,
                bufsize=0,
                pipesize=1 << 20,  # as the worker's
            ) as child,
        ):
            timer = threading.Timer(timeout_s or self.timeout_s, child.kill)
            timer.start()
            broken: BaseException | None = None
            try:
                yield Raw(child.stdin, child.stdout, child.pid)
            except (BrokenPipeError, EOFError) as error:
                broken = error
            except BaseException:
                child.kill()
                raise
            finally:
                timer.cancel()
                timer.join()
            for end in (child.stdin, child.stdout):
                if end is not None:
                    with suppress(BrokenPipeError):
                        end.close()
            status = child.wait()
            errors.seek(0)
            if status not in ok:
                tail = errors.read()[-TAIL_BYTES:].decode(errors="replace")
                raise ToolFailed(f"{name} failed with status {status}.", tail)
            if broken is not None:
                raise broken


def _talk(
    child: subprocess.Popen[bytes], stdin: bytes | None, on_line: Callable[[str], None] | None
) -> tuple[bytes, bytes]:
    if on_line is None:
        return child.communicate(stdin)
    assert child.stdout is not None
    assert child.stderr is not None
    errors: list[bytes] = []
    reader = threading.Thread(target=lambda stream: errors.append(stream.read()), args=(child.stderr,))
    feeder = threading.Thread(target=_feed, args=(child, stdin or b""))
    reader.start()
    feeder.start()
    lines = []
    for line in child.stdout:
        lines.append(line)
        on_line(line.decode(errors="replace").rstrip("\n"))
    feeder.join()
    reader.join()
    return b"".join(lines), b"".join(errors)


def _feed(child: subprocess.Popen[bytes], stdin: bytes) -> None:
    if child.stdin is not None:
        with contextlib.suppress(BrokenPipeError), child.stdin:  # how it ended tells why it did not read all
            child.stdin.write(stdin)
