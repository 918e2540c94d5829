"""Recognisers as programs of their own, each given one piece of the sound after another until all are heard.

A recogniser reads lines of JSON, [first sample, last sample] of a file of 16 kHz mono, and answers each with a line of
JSON. It is our own program running somebody's C++ over somebody's bytes: when it dies, the tool failed, not the worker.
"""

from __future__ import annotations

import json
import os
import selectors
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mediamill.core.errors import ToolFailed
from mediamill.core.speech import Listening, Word
from mediamill.engines._speech_sound import RATE_HZ
from mediamill.engines._speech_voice import Span

_TICK_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Farm:
    """How to start recognisers, how many, and what to expect of one until the first answers tell: seconds to load and
    seconds a second of speech."""

    name: str
    program: str
    arguments: Sequence[str | Path]
    processes: int
    load_s: float
    speed: float
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
                answer = one.answer()
                if answer is None:
                    continue
                found[one.piece] = answer
                progress.done(one.piece, time.monotonic() - one.since_s)
                if waiting:
                    one.give(waiting.pop(), pieces)
                else:
                    ready.unregister(one.stdout)
                    crew.remove(one)
            progress.tick(crew)
    return [found[at] for at in range(len(pieces))]


@dataclass(slots=True, eq=False)
class _Recogniser:
    """A process, the piece it is at, and when it got it."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    piece: int = 0
    since_s: float = 0.0
    said: bytes = b""

    def give(self, piece: int, pieces: Sequence[Span]) -> None:
        self.piece, self.since_s, self.said = piece, time.monotonic(), b""
        asked = [round(pieces[piece].start_s * RATE_HZ), round(pieces[piece].end_s * RATE_HZ)]
        self.stdin.write(json.dumps(asked).encode() + b"\n")

    def answer(self) -> Any:
        """The answer once it is whole, else None. Raises EOFError when it has died."""
        block = os.read(self.stdout.fileno(), 1 << 16)
        if not block:
            raise EOFError
        self.said += block
        if not self.said.endswith(b"\n"):
            return None
        try:
            return json.loads(self.said)
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
    """How much of the speech has been heard. Pieces at work count by the speed seen so far."""

    def __init__(self, work: Listening, farm: Farm, pieces: Sequence[Span], begun: float) -> None:
        self._work = work
        self._farm = farm
        self._pieces = pieces
        self._total_s = sum(piece.length_s for piece in pieces)
        self._done_s = self._spent_s = 0.0
        self._begun = self._reached = begun

    def done(self, piece: int, took_s: float) -> None:
        """A piece is through."""
        self._done_s += self._pieces[piece].length_s
        self._spent_s += took_s

    def tick(self, crew: Sequence[_Recogniser]) -> None:
        """Say where the work stands."""
        now_s = time.monotonic()
        speed, load_s = (self._spent_s / self._done_s, 0.0) if self._done_s else (self._farm.speed, self._farm.load_s)
        part_s = self._done_s
        for one in crew:
            length_s = self._pieces[one.piece].length_s
            part_s += min(0.95 * length_s, max(0.0, now_s - one.since_s - load_s) / speed)
        now = self._begun + (1.0 - self._begun) * min(1.0, part_s / self._total_s)
        self._reached = max(self._reached, now)
        self._work.report("listen", self._reached)
