"""Talking with a program: its input fed, what it says read, its end awaited."""

from __future__ import annotations

import os
import selectors
import subprocess
import time
from collections.abc import Callable
from typing import Any

STDERR_TAIL_BYTES = 8192
_CHUNK = 65536


class LateError(Exception):
    """The deadline is over."""


class LoudError(Exception):
    """More came on stdout than may."""


class Talk:
    """Feed, read and wait for one program without threads, until it has ended and its pipes are dry."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        stdin: bytes,
        limit_bytes: int,
        on_line: Callable[[str], None] | None,
    ) -> None:
        self._process = process
        self._rest = memoryview(stdin)
        self._limit_bytes = limit_bytes
        self._on_line = on_line
        self.stdout = bytearray()
        self._stderr = bytearray()

    def tail(self) -> str:
        """The last of stderr as text."""
        return self._stderr[-STDERR_TAIL_BYTES:].decode("utf-8", "replace")

    def until(self, deadline: float) -> None:
        """Raises LateError past the deadline, LoudError past the limit of stdout."""
        process = self._process
        with selectors.DefaultSelector() as waiting:
            for stream, event in (
                (process.stdin, selectors.EVENT_WRITE),
                (process.stdout, selectors.EVENT_READ),
                (process.stderr, selectors.EVENT_READ),
            ):
                if stream is not None:
                    os.set_blocking(stream.fileno(), False)
                    waiting.register(stream, event)
            ended = os.pidfd_open(process.pid)
            try:
                waiting.register(ended, selectors.EVENT_READ)
                while ended in waiting.get_map():
                    left_s = deadline - time.monotonic()
                    if left_s <= 0:
                        raise LateError
                    for key, _ in waiting.select(left_s):
                        if key.fileobj == ended:
                            waiting.unregister(ended)
                        elif not self._move(key.fileobj):
                            waiting.unregister(key.fileobj)
            finally:
                os.close(ended)
        # What it wrote last is in the pipes. A grandchild may hold them open, so: until dry, not until closed.
        for stream in (process.stdout, process.stderr):
            while stream is not None and self._move(stream, dry=False):
                pass
        if self._on_line is not None and self.stdout:
            self._lines(last=True)

    def _move(self, stream: Any, *, dry: bool = True) -> bool:
        """Move some bytes; False at the end of the stream. `dry` is the answer when there is nothing to read yet."""
        try:
            if self._process.stdin is not None and stream is self._process.stdin:
                self._rest = self._rest[os.write(stream.fileno(), self._rest[:_CHUNK]) :]
                if not self._rest:
                    stream.close()
                return bool(self._rest)
            chunk = os.read(stream.fileno(), _CHUNK)
        except BlockingIOError:
            return dry
        except BrokenPipeError:  # it does not want the rest of its input; its exit status tells whether that is fine
            stream.close()
            return False
        if stream is self._process.stderr:
            self._stderr += chunk
            del self._stderr[: -2 * STDERR_TAIL_BYTES]
        else:
            self.stdout += chunk
            if self._on_line is not None:
                self._lines(last=False)
            if len(self.stdout) > self._limit_bytes:
                raise LoudError
        return bool(chunk)

    def _lines(self, *, last: bool) -> None:
        *whole, rest = bytes(self.stdout).split(b"\n")
        self.stdout = bytearray(b"" if last else rest)
        for line in [*whole, rest] if last and rest else whole:
            assert self._on_line is not None
            self._on_line(line.rstrip(b"\r").decode("utf-8", "replace"))
