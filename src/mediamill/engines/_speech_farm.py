"""Recognisers as programs of their own, each given one piece of the sound after another until all are heard.

A recogniser says a line of JSON with its process id as it begins, and `true` once it is loaded. From then on it reads
lines, [first sample, last sample] of a file of 16 kHz mono, and answers each with a line. It is our own program running
somebody's C++ over somebody's bytes: when it dies, the tool failed, not the worker.
"""

from __future__ import annotations

import json
import os
import selectors
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mediamill.core.errors import ToolFailed
from mediamill.core.speech import Listening, Word
from mediamill.engines._speech_sound import RATE_HZ
from mediamill.engines._speech_voice import Span

_TICK_S = 0.1
_DOUBT_S = 3.0
"""Seconds of speech after which a recogniser's own speed counts for as much as the expected one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Farm:
    """How to start recognisers, how many, and what to expect of one until the first of them tell: seconds of processor
    time to load, and a second of speech; each piece counts as so much longer, however short it is."""

    name: str
    program: str
    arguments: Sequence[str | Path]
    processes: int
    load_s: float
    speed: float
    piece_s: float
    threads: int = 1


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def hear(work: Listening, farm: Farm, pieces: Sequence[Span], begun: float) -> list[Any]:
    """The answer for each piece. `begun` is how far the work has come before.

    The longest go first, so that no recogniser is left with one when the others are through. Raises ToolFailed when a
    recogniser dies or babbles.
    """
    waiting = sorted(range(len(pieces)), key=lambda at: pieces[at].length_s)
    found: dict[int, Any] = {}
    progress = _Progress(work, farm, pieces, begun)
    argv: list[str | Path] = [sys.executable, "-P", farm.program, *farm.arguments]
    env = {
        # The libraries are wherever this process found them, which need not be where a fresh Python looks.
        "PYTHONPATH": os.pathsep.join(place for place in sys.path if place),
        "OMP_NUM_THREADS": str(farm.threads),
        "OPENBLAS_NUM_THREADS": "1",
    }
    with ExitStack() as running, selectors.DefaultSelector() as ready:
        crew: list[_Recogniser] = []
        for _ in range(min(len(pieces), farm.processes)):
            program = running.enter_context(
                work.tools.spawn(argv, name=farm.name, stdin=True, stdout=True, env=env, cwd=work.scratch)
            )
            assert program.stdin is not None
            assert program.stdout is not None
            one = _Recogniser(program.stdin, program.stdout)
            crew.append(one)
            ready.register(program.stdout, selectors.EVENT_READ, one)
            one.give(waiting.pop(), pieces)
        while len(found) < len(pieces):
            for key, _ in ready.select(_TICK_S):
                one = key.data
                for answer in one.answers():
                    if not one.loaded:
                        one.begin(answer)
                        continue
                    found[one.piece] = answer
                    one.heard_s += pieces[one.piece].length_s + farm.piece_s
                    if waiting:
                        one.give(waiting.pop(), pieces)
                    else:
                        one.idle = True
                        ready.unregister(one.stdout)
            progress.tick(crew)
    return [found[at] for at in range(len(pieces))]


@dataclass(slots=True, eq=False)
class _Recogniser:
    """A process, the piece it is at, and what it has used: processor seconds in all, and of them for loading and until
    it got this piece."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    piece: int = 0
    said: bytes = b""
    pid: int = 0
    loaded: bool = False
    load_s: float = 0.0
    used_s: float = 0.0
    since_s: float = 0.0
    heard_s: float = 0.0
    """Seconds of speech that it is through with."""
    idle: bool = False

    def begin(self, said: Any) -> None:
        """It has begun, or has loaded. Raises ToolFailed for anything else it may have said."""
        if self.pid and said is True:
            self.loaded = True
            self.look()
            self.load_s = self.since_s = self.used_s
        elif not self.pid and isinstance(said, int) and said > 1:
            self.pid = said
        else:
            raise unreadable()

    def give(self, piece: int, pieces: Sequence[Span]) -> None:
        self.look()
        self.piece, self.since_s = piece, self.used_s
        asked = [round(pieces[piece].start_s * RATE_HZ), round(pieces[piece].end_s * RATE_HZ)]
        self.stdin.write(json.dumps(asked).encode() + b"\n")

    def look(self) -> None:
        """See what it has used, which no load of this machine alters. It cannot say so itself while it listens."""
        if self.pid:
            with suppress(OSError):  # it has died, which its pipe tells
                self.used_s = max(self.used_s, time.clock_gettime(_clock(self.pid)))

    def answers(self) -> list[Any]:
        """The lines that are whole by now. Raises EOFError when it has died."""
        block = os.read(self.stdout.fileno(), 1 << 16)
        if not block:
            raise EOFError
        *lines, self.said = (self.said + block).split(b"\n")
        try:
            return [json.loads(line) for line in lines]
        except ValueError as error:
            raise unreadable() from error


def unreadable() -> ToolFailed:
    """The error for an answer in another shape than agreed."""
    return ToolFailed("The recogniser gave an answer that cannot be read.")


def words(heard: Any, piece: Span) -> list[Word]:
    """[[text, start s, end s, confidence], …] of a piece as words of the whole."""
    try:
        return [
            Word(
                text=str(text),
                start_s=min(piece.start_s + float(start_s), piece.end_s),
                end_s=min(piece.start_s + float(end_s), piece.end_s),
                confidence=float(confidence),
            )
            for text, start_s, end_s, confidence in heard
        ]
    except (ValueError, TypeError) as error:
        raise unreadable() from error


def _clock(pid: int) -> int:
    """The clock of a process's processor time, which any other may read. Source: clock_getcpuclockid(3), Linux."""
    return ~pid << 3 | 2


class _Progress:
    """How much of the work is done, by processor time: what is used, and what is to come by the speed seen so far."""

    def __init__(self, work: Listening, farm: Farm, pieces: Sequence[Span], begun: float) -> None:
        self._work = work
        self._farm = farm
        self._pieces = pieces
        self._total_s = sum(piece.length_s + farm.piece_s for piece in pieces)
        self._begun = self._reached = begun

    def tick(self, crew: Sequence[_Recogniser]) -> None:
        """Say where the work stands."""
        for one in crew:
            one.look()
        loaded = [one for one in crew if one.loaded]
        loads_s = [one.load_s for one in loaded] or [self._farm.load_s]
        load_s = sum(loads_s) / len(loads_s)
        # A machine that loads it slowly will be slow at listening as well.
        expected = self._farm.speed * load_s / self._farm.load_s
        heard_s = sum(one.heard_s for one in loaded)
        spent_s = sum(one.since_s - one.load_s for one in loaded if not one.idle)
        spent_s += sum(one.used_s - one.load_s for one in loaded if one.idle)
        speed = (spent_s + expected * _DOUBT_S) / (heard_s + _DOUBT_S)
        used_s, to_come_s = 0.0, speed * (self._total_s - heard_s)
        seen = [one.used_s for one in crew if one.pid]
        for one in crew:
            # One that has not yet said who it is began with the others.
            one_used_s = one.used_s if one.pid or not seen else sum(seen) / len(seen)
            used_s += one_used_s
            if not one.loaded:
                to_come_s += max(0.05 * load_s, load_s - one_used_s)
            elif not one.idle:
                length_s = self._pieces[one.piece].length_s + self._farm.piece_s
                to_come_s -= min(0.95 * speed * length_s, one.used_s - one.since_s)
        if used_s > 0:
            now = self._begun + (1.0 - self._begun) * used_s / (used_s + max(0.0, to_come_s))
            self._reached = max(self._reached, now)
        self._work.report("listen", self._reached)
