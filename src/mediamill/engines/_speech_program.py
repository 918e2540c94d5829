"""What the programs that hear share: they take pieces from one list and say lines as _speech_farm expects them."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from typing import Any


class Pieces:
    """The list of pieces, open, and a mouth for whoever hears them: one process of several speaks at a time, for longer
    lines than a pipe takes at once would mix."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        self._line_bytes = len(os.pread(self._file, 256, 0).split(b"\n", 1)[0]) + 1

    def say(self, said: Any) -> None:
        """A line on stdout."""
        line = memoryview(json.dumps([os.getpid(), said]).encode() + b"\n")
        fcntl.lockf(self._file, fcntl.LOCK_EX)
        while line:
            line = line[os.write(1, line) :]
        fcntl.lockf(self._file, fcntl.LOCK_UN)

    def at(self, piece: int, at_s: float) -> None:
        """Say how far this process is in a piece, and what it has used."""
        self.say({"piece": piece, "at": at_s, "used": time.process_time()})

    def left(self, sound: str) -> Iterator[tuple[int, bytes]]:
        """Number and samples of a piece, until none is left. The processes share the list's position, so that each
        piece is taken once; its lines are as long as each other."""
        with open(sound, "rb") as file:
            while line := os.read(self._file, self._line_bytes):
                piece, first, last = (int(word) for word in line.split())
                self.at(piece, 0.0)
                file.seek(2 * first)
                yield piece, file.read(2 * (last - first))

    def longest(self, sound: str) -> Iterator[bytes]:
        """The samples of all pieces, the longest first; each is still left to be taken."""
        at = 0
        with open(sound, "rb") as file:
            while line := os.pread(self._file, self._line_bytes, at):
                at += self._line_bytes
                _, first, last = (int(word) for word in line.split())
                file.seek(2 * first)
                yield file.read(2 * (last - first))


def agreed() -> Callable[[Callable[[], str]], str]:
    """What all processes that are forked later take for true: the answer of the first of them to ask, for which the
    others wait. At most 64 letters."""
    taken, put = os.pipe()
    os.write(put, bytes(64))

    def answer(find: Callable[[], str]) -> str:
        told = os.read(taken, 64).strip(b"\0") or find().encode()
        os.write(put, told.ljust(64, b"\0"))
        return told.decode()

    return answer


def fork(processes: int, work: Callable[[], None]) -> None:
    """Do the work in so many processes. When one of them dies, so does this one, in the same way."""
    started = set()
    for _ in range(processes):
        pid = os.fork()
        if pid == 0:
            work()
            os._exit(0)
        started.add(pid)
    while started:
        pid, status = os.wait()
        started.discard(pid)
        if status == 0:
            continue
        for other in started:
            os.kill(other, signal.SIGKILL)
            os.waitpid(other, 0)
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            os.kill(os.getpid(), -code)
        os._exit(abs(code))
