"""Recognisers as programs of their own, each given one piece of the sound after another until all are heard.

A recogniser says a line of JSON with its process id as it begins, and `true` once it is loaded. From then on it reads
lines, [first sample, last sample] of a file of 16 kHz mono, and answers each with a line. Before that it may say how
far it is: {"at": seconds of the piece, "used": seconds of processor time it has used in all}. It is our own program
running somebody's C++ over somebody's bytes: when it dies, the tool failed, not the worker.
"""

from __future__ import annotations

import json
import math
import os
import selectors
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mediamill.core.errors import ToolFailed
from mediamill.core.speech import Listening, Word
from mediamill.engines._processor import program_s, used_s
from mediamill.engines._speech_course import Course
from mediamill.engines._speech_sound import RATE_HZ
from mediamill.engines._speech_voice import Span

_TICK_S = 0.1
_DOUBT_S, _LATER_DOUBT_S = 5.0, 8.0
"""Seconds of speech after which a recogniser's own speed counts for as much as the expected one, and that of what it
does after it has been through a piece."""
_SOME = 0.05
"""Of what was expected of a step is still to come, however long it has taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Farm:
    """How to start recognisers, how many, and what to expect of one until the first of them tell: seconds of processor
    time to load, and a second of speech; each piece counts as so much longer, however short it is.

    For those that tell how far they are: `block_s`, how far it is from one time to the next (the first such step, in
    which much is touched for the first time, counts as loading); `later`, what they do when they have been through a
    piece, as a share of the time that this took.
    """

    name: str
    program: str
    arguments: Sequence[str | Path]
    processes: int
    load_s: float
    speed: float
    piece_s: float
    block_s: float = 0.0
    later: float = 0.0
    threads: int = 1


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0))


def hear(work: Listening, farm: Farm, pieces: Sequence[Span], course: Course) -> list[Any]:
    """The answer for each piece.

    The longest go first, so that no recogniser is left with one when the others are through. Raises ToolFailed when a
    recogniser dies or babbles.
    """
    waiting = sorted(range(len(pieces)), key=lambda at: pieces[at].length_s)
    found: dict[int, Any] = {}
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
            one = _Recogniser(farm, program.stdin, program.stdout)
            crew.append(one)
            ready.register(program.stdout, selectors.EVENT_READ, one)
            one.give(waiting.pop(), pieces)
        progress = _Progress(course, farm, pieces)
        while len(found) < len(pieces):
            for key, _ in ready.select(_TICK_S):
                one = key.data
                for answer in one.answers():
                    if not one.loaded:
                        one.begin(answer)
                        continue
                    if one.told(answer):
                        continue
                    found[one.piece] = answer
                    one.end()
                    if waiting:
                        one.give(waiting.pop(), pieces)
                    else:
                        one.idle = True
                        ready.unregister(one.stdout)
            progress.tick(crew, waiting)
    return [found[at] for at in range(len(pieces))]


@dataclass(slots=True, eq=False)
class _Recogniser:
    """A process, the piece it is at, and what it has used: processor seconds in all, and of them for loading."""

    farm: Farm
    stdin: IO[bytes]
    stdout: IO[bytes]
    piece: int = 0
    length_s: float = 0.0
    said: bytes = b""
    pid: int = 0
    loaded: bool = False
    ready: bool = False
    """Loaded, and through a first block if it tells of blocks."""
    idle: bool = False
    load_s: float = 0.0
    used_s: float = 0.0
    at_s: float = 0.0
    """How far it is in its piece."""
    at_used_s: float = 0.0
    """What it had used when it was there."""
    first: tuple[float, float] = (0.0, 0.0)
    """Seconds of speech that it has been through, and of processor time that this took."""
    later: tuple[float, float] = (0.0, 0.0)
    """Seconds of speech that it has done with, and what that took after it had been through each piece."""

    def begin(self, said: Any) -> None:
        """It has begun, or has loaded. Raises ToolFailed for anything else it may have said."""
        if self.pid and said is True:
            self.loaded = True
            self.look()
            self.ready = self.farm.block_s == 0
            self.load_s = self.at_used_s = self.used_s
        elif not self.pid and isinstance(said, int) and said > 1:
            self.pid = said
        else:
            raise unreadable()

    def give(self, piece: int, pieces: Sequence[Span]) -> None:
        self.piece, self.length_s, self.at_s = piece, pieces[piece].length_s, 0.0
        asked = [round(pieces[piece].start_s * RATE_HZ), round(pieces[piece].end_s * RATE_HZ)]
        self.stdin.write(json.dumps(asked).encode() + b"\n")

    def told(self, said: Any) -> bool:
        """Whether that is how far it is. Raises ToolFailed when that cannot be."""
        if not isinstance(said, dict) or "at" not in said:
            return False
        try:
            at_s, used_s = float(said["at"]), float(said["used"])
        except (KeyError, ValueError, TypeError) as error:
            raise unreadable() from error
        if not (self.at_s <= at_s < math.inf and self.at_used_s <= used_s < math.inf):
            raise unreadable()
        self._through(min(at_s, self.length_s), used_s)
        return True

    def end(self) -> None:
        """It has answered for its piece."""
        self.look()
        if self.at_s > 0:  # it tells how far it is
            length_s, spent_s = self.later
            self.later = length_s + self.length_s, spent_s + self.used_s - self.at_used_s
            self.at_used_s = self.used_s
        else:
            self._through(self.length_s, self.used_s)

    def _through(self, at_s: float, used_s: float) -> None:
        if self.ready:
            length_s, spent_s = self.first
            self.first = length_s + self.ahead_s - (self.length_s - at_s), spent_s + used_s - self.at_used_s
        else:
            self.ready, self.load_s = True, used_s
        self.at_s, self.at_used_s = at_s, used_s
        self.used_s = max(self.used_s, used_s)

    @property
    def ahead_s(self) -> float:
        """Seconds of its piece that it has yet to go through for the first time, as they count."""
        if not self.ready:
            return max(0.0, self.length_s - self.farm.block_s)
        return self.length_s - self.at_s + (self.farm.piece_s if self.at_s == 0 else 0.0)

    def look(self) -> None:
        """See what it has used, which no load of this machine alters. It cannot say so itself while it listens."""
        if self.pid:
            with suppress(OSError):  # it has died, which its pipe tells
                self.used_s = max(self.used_s, program_s(self.pid))

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


class _Progress:
    """How much of the work is done, by processor time: what is used, and what is to come by the speed seen so far."""

    def __init__(self, course: Course, farm: Farm, pieces: Sequence[Span]) -> None:
        self._course = course
        self._farm = farm
        self._began_s = used_s()
        self._lengths_s = [piece.length_s for piece in pieces]

    def tick(self, crew: Sequence[_Recogniser], waiting: Sequence[int]) -> None:
        """Say where the work stands."""
        for one in crew:
            one.look()
        loads_s = [one.load_s for one in crew if one.ready] or [self._farm.load_s]
        load_s = sum(loads_s) / len(loads_s)
        first, later = self._speeds(crew, load_s / self._farm.load_s)
        seen = [one.used_s for one in crew if one.pid]
        crew_s, to_come_s = 0.0, 0.0
        for at in waiting:
            to_come_s += first * (self._lengths_s[at] + self._farm.piece_s) + later * self._lengths_s[at]
        for one in crew:
            # One that has not yet said who it is began with the others.
            one_used_s = one.used_s if one.pid or not seen else sum(seen) / len(seen)
            crew_s += one_used_s
            if one.idle:
                continue
            through_s, after_s = first * one.ahead_s, later * one.length_s
            if not one.ready:
                to_come_s += max(_SOME * load_s, load_s - one_used_s) + through_s + after_s
                continue
            since_s = one.used_s - one.at_used_s
            if one.at_s < one.length_s:
                to_come_s += max(_SOME * through_s, through_s - since_s) + after_s
            else:
                to_come_s += max(_SOME * after_s, after_s - since_s)
        if crew_s > 0:
            # This process has some work with each piece as well.
            own = 1 + (used_s() - self._began_s) / max(1.0, crew_s)
            self._course.at("listen", to_come_s * own, crew_s)

    def _speeds(self, crew: Sequence[_Recogniser], slowness: float) -> tuple[float, float]:
        """Processor seconds to go through a second of speech, and to do what comes after that."""
        # A machine that loads it slowly will be slow at listening as well.
        expected = self._farm.speed * slowness
        heard_s, spent_s = (sum(one.first[of] for one in crew) for of in (0, 1))
        first = (spent_s + expected * _DOUBT_S) / (heard_s + _DOUBT_S)
        heard_s, spent_s = (sum(one.later[of] for one in crew) for of in (0, 1))
        return first, (spent_s + self._farm.later * first * _LATER_DOUBT_S) / (heard_s + _LATER_DOUBT_S)
