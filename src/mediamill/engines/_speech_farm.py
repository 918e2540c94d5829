"""Recognisers as a program of their own, each process of which hears one piece of the sound after another.

The program gets the file of pieces and how many processes may hear at once. It says a line of JSON, [process id,
what], whenever there is something to say: "begun" at once; {"loading": share of that work, in [0, 1]}, if there is
more than one step of it; "loaded" when the model is there; and from then on each of its processes {"piece": number,
"at": seconds of the piece it has been through, "used": seconds of processor time it has used in all}, from 0 on and
as often as it can, and {"piece": number, "heard": answer}. Where several processes hear, they are forked from the one
that has loaded the model; where each must load it for itself, they say "begun" and "loaded" as well. It is our own
program running somebody's C++ over somebody's bytes: when it dies, the tool failed, not the worker.
"""

from __future__ import annotations

import json
import math
import os
import selectors
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from mediamill.core.errors import ToolFailed
from mediamill.core.speech import Listening, Word
from mediamill.engines._processor import program_s, used_s
from mediamill.engines._speech_course import Course
from mediamill.engines._speech_sound import RATE_HZ
from mediamill.engines._speech_voice import Span

MOST_PID = 1 << 22
"""Linux numbers processes up to here."""
_TICK_S = 0.03
_LATER_DOUBT_S, _BEGIN_DOUBT = 0.7, 2
"""Processor seconds of going through pieces after which what comes then counts for as much as what was expected of it;
and the number of pieces whose beginnings do. Beginnings say little of what follows them: there, any word may come."""
_SOME = 0.05
"""Of what was expected of a step is still to come, however long it has taken."""
_LITTLE_S = 1.5
"""Of a piece is no window more, for those that go by windows."""
_LINE = "{:8} {:11} {:11}\n"
"""Number, first and last sample of a piece. All lines are as long, so that of a shared file each process takes one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Farm:
    """How to start recognisers, how many, and what to expect until they tell, on a machine of slowness 1: seconds of
    processor time to load, and for a second of speech; each piece counts as so much longer, however short it is.

    `each_s`: processor seconds that each of several processes takes to load for itself; `find_s`: those that one of
    them, while the others wait, takes to find something out before the first piece. `doubt_s`: seconds of
    speech after which a recogniser's own speed counts for as much as the expected one: many where pieces differ
    much, for the cheapest end first. For those that tell how far they are, a block at a time: `block_s`, how far it
    is from one time to the next; `later`, what they do when they have been through a piece, as a share of the time
    that this took, and `later_s`, what of that is always there. Those without blocks may tell the end of each
    window of a piece that they look at: what is left of it is then expected to take as much as a piece of that
    length.
    """

    name: str
    program: str
    arguments: Sequence[str | Path]
    processes: int
    load_s: float
    speed: float
    piece_s: float
    each_s: float = 0.0
    find_s: float = 0.0
    doubt_s: float = 2.0
    block_s: float = math.inf
    later: float = 0.0
    later_s: float = 0.0
    threads: int = 1

    @property
    def by_blocks(self) -> bool:
        """Whether they tell how far they are a block at a time."""
        return self.block_s < math.inf


def hear(work: Listening, farm: Farm, pieces: Sequence[Span], course: Course) -> list[Any]:
    """The answer for each piece.

    The longest go first, so that no process is left with one when the others are through. Raises ToolFailed when the
    program dies or babbles.
    """
    if not pieces:
        return []
    listed = work.scratch / "pieces"
    with listed.open("w", encoding="ascii") as file:
        for number in sorted(range(len(pieces)), key=lambda number: -pieces[number].length_s):
            piece = pieces[number]
            file.write(_LINE.format(number, round(piece.start_s * RATE_HZ), round(piece.end_s * RATE_HZ)))
    processes = min(len(pieces), farm.processes)
    argv: list[str | Path] = [sys.executable, "-P", farm.program, listed, str(processes), *farm.arguments]
    env = {
        # The libraries are wherever this process found them, which need not be where a fresh Python looks.
        "PYTHONPATH": os.pathsep.join(place for place in sys.path if place),
        "OMP_NUM_THREADS": str(farm.threads),
        "OPENBLAS_NUM_THREADS": "1",
        # Threads that wait would turn round and round, and keep from the processors what they wait for: beside other
        # work, a minute of sound took whisper 100 s of processor time, and 16 so.
        "OMP_WAIT_POLICY": "passive",
    }
    with (
        work.tools.spawn(argv, name=farm.name, stdout=True, env=env, cwd=work.scratch) as program,
        selectors.DefaultSelector() as ready,
    ):
        assert program.stdout is not None
        ready.register(program.stdout, selectors.EVENT_READ)
        crew = Crew(farm, [piece.length_s for piece in pieces], course)
        lines = _Lines(program.stdout)
        began_s = used_s()
        while len(crew.found) < len(pieces):
            if ready.select(_TICK_S):
                for pid, said in lines.read():
                    crew.hear(pid, said)
            crew.look()
            # This process has some work with each piece as well.
            own = 1 + (used_s() - began_s) / max(1.0, crew.used_s)
            course.at("listen", crew.to_come_s * own, crew.used_s)
    return [crew.found[number] for number in range(len(pieces))]


class _Lines:
    """What the program says."""

    def __init__(self, stdout: IO[bytes]) -> None:
        self._stdout = stdout
        self._rest = b""

    def read(self) -> list[tuple[int, Any]]:
        """The lines that are whole by now. Raises EOFError when it has died, ToolFailed for what is no line."""
        block = os.read(self._stdout.fileno(), 1 << 16)
        if not block:
            raise EOFError
        *lines, self._rest = (self._rest + block).split(b"\n")
        try:
            said = [json.loads(line) for line in lines]
            return [(_natural(pid, MOST_PID), what) for pid, what in said]
        except (ValueError, TypeError) as error:
            raise unreadable() from error


@dataclass(slots=True, eq=False)
class _Recogniser:
    """A process and the piece it is at."""

    pid: int
    used_s: float = 0.0
    """Seconds of processor time, of which it says itself what it had used where it says it is."""
    piece: int | None = None
    at_s: float = 0.0
    """How far it is in its piece."""
    at_used_s: float = 0.0
    """What it had used when it was there."""
    through_s: float = 0.0
    """What going through its piece has taken until there."""
    loading_s: float = 0.0
    """What it is expected to take to load for itself, while it does."""

    def look(self) -> None:
        """See what it has used, which no load of this machine alters. It cannot say so itself while it listens."""
        with suppress(OSError):  # it has ended
            self.used_s = max(self.used_s, program_s(self.pid))


class Crew:
    """The processes of the program, and how much of their work is done."""

    def __init__(self, farm: Farm, lengths_s: Sequence[float], course: Course) -> None:
        self.found: dict[int, Any] = {}
        self._farm = farm
        self._lengths_s = lengths_s
        self._course = course
        self._crew: dict[int, _Recogniser] = {}
        self._loaded = (0.0, 0.0)
        """The share of loading that is done, and the processor seconds it took."""
        self._first = self._later = (0.0, 0.0)
        """Seconds of speech that they have been through without beginnings, and of processor time that this took; those
        of going through whole pieces, and of what came after that."""
        self._begun = (0, 0.0)
        """How many pieces they have begun, and what going through the first block of each took."""

    def hear(self, pid: int, said: Any) -> None:
        """What one of them says. Raises ToolFailed for anything that is not agreed."""
        loading = said.get("loading") if isinstance(said, dict) else None
        if said == "begun" and not self._crew:
            self._crew[pid] = _Recogniser(pid)
        elif said == "begun" and self._to_begin and pid not in self._crew:
            self._crew[pid] = _Recogniser(pid, loading_s=self._farm.each_s * self._course.slowness)
        elif said == "loaded" and pid in self._crew and self._crew[pid].loading_s:
            self._load_own(self._crew[pid])
        elif (said == "loaded" or loading is not None) and pid in self._crew and self._loaded[0] < 1:
            self._load(self._crew[pid], 1.0 if loading is None else _seconds(loading))
        elif self._loaded[0] == 1 and isinstance(said, dict):
            one = self._crew.setdefault(pid, _Recogniser(pid))
            piece = _natural(said.get("piece"), len(self._lengths_s) - 1)
            if piece in self.found:
                raise unreadable()
            if "heard" in said:
                self._end(one, piece, said["heard"])
            else:
                self._through(one, piece, _seconds(said.get("at")), _seconds(said.get("used")))
        else:
            raise unreadable()

    def look(self) -> None:
        """See what they have used."""
        for one in self._crew.values():
            one.look()

    @property
    def used_s(self) -> float:
        """Processor seconds of all."""
        return sum(one.used_s for one in self._crew.values())

    @property
    def to_come_s(self) -> float:
        """Processor seconds that are to come, by the speed seen so far."""
        first, later = self._speeds()
        begin_s, always_s = self._begin_s, self._farm.later_s * self._course.slowness
        share, took_s = self._loaded
        loading_s = (1 - share) * self._farm.load_s * self._course.slowness
        to_come_s = max(_SOME * loading_s, loading_s - (self.used_s - took_s)) if share < 1 else 0.0
        to_come_s += self._to_begin * self._farm.each_s * self._course.slowness
        to_come_s += sum(max(_SOME * one.loading_s, one.loading_s - one.used_s) for one in self._crew.values())
        to_come_s += self._to_find_s
        taken = {one.piece: one for one in self._crew.values() if one.piece is not None}
        for number, length_s in enumerate(self._lengths_s):
            if number in self.found:
                continue
            one = taken.get(number)
            if one is None:
                to_come_s += (1 + later) * self._of_first(length_s, first, begin_s) + always_s
                continue
            # What it is at, up to where it tells next: however long that takes, what follows is still to come.
            if not self._farm.by_blocks:
                rest_s = length_s - one.at_s
                now_s = self._of_first(rest_s, first, begin_s) if rest_s > _LITTLE_S else first * rest_s
            elif one.at_s == 0:
                now_s = self._of_first(min(self._farm.block_s, length_s), first, begin_s)
                rest_s = first * max(0.0, length_s - self._farm.block_s)
                to_come_s += rest_s + later * (now_s + rest_s) + always_s
            elif one.at_s < length_s:
                rest_s = first * (length_s - one.at_s)
                now_s = first * min(self._farm.block_s, length_s - one.at_s)
                to_come_s += rest_s - now_s + later * (one.through_s + rest_s) + always_s
            else:
                now_s = later * one.through_s + always_s
            to_come_s += max(_SOME * now_s, now_s - (one.used_s - one.at_used_s))
        return to_come_s

    @property
    def _to_begin(self) -> int:
        """How many processes are still to be forked that load for themselves."""
        return max(0, self._farm.processes + 1 - len(self._crew)) if self._farm.each_s else 0

    @property
    def _to_find_s(self) -> float:
        """Processor seconds until the first piece is begun, beside loading."""
        find_s = self._farm.find_s * self._course.slowness
        if not find_s or self.found or any(one.piece is not None for one in self._crew.values()):
            return 0.0
        spent_s = sum(one.used_s - one.at_used_s for one in self._crew.values() if not one.loading_s)
        return max(_SOME * find_s, find_s - spent_s) if self._loaded[0] == 1 else find_s

    def _load_own(self, one: _Recogniser) -> None:
        one.look()
        self._course.took(self._farm.each_s, one.used_s)
        one.loading_s, one.at_used_s = 0.0, one.used_s

    def _load(self, one: _Recogniser, share: float) -> None:
        one.look()
        before, took_s = self._loaded
        if not before <= share <= 1:
            raise unreadable()
        self._course.took((share - before) * self._farm.load_s, one.used_s - took_s)
        self._loaded = share, one.used_s
        one.at_used_s = one.used_s

    def _through(self, one: _Recogniser, piece: int, at_s: float, used_s: float) -> None:
        length_s = self._lengths_s[piece]
        if one.piece is None:
            one.piece, one.at_s, one.through_s = piece, 0.0, 0.0
            one.at_used_s = used_s
        elif one.piece != piece or at_s < one.at_s or used_s < one.at_used_s:
            raise unreadable()
        at_s = min(at_s, length_s)
        # Without blocks, what a piece takes is known when it has ended.
        if self._farm.by_blocks and at_s > one.at_s == 0:
            self._begun = self._begun[0] + 1, self._begun[1] + used_s - one.at_used_s
        elif self._farm.by_blocks and at_s > one.at_s:
            self._first = self._first[0] + at_s - one.at_s, self._first[1] + used_s - one.at_used_s
        one.through_s += used_s - one.at_used_s
        one.at_s, one.at_used_s, one.used_s = at_s, used_s, max(one.used_s, used_s)

    def _end(self, one: _Recogniser, piece: int, answer: Any) -> None:
        if one.piece not in (piece, None):
            raise unreadable()
        one.look()
        length_s, spent_s = self._lengths_s[piece], one.used_s - one.at_used_s
        if one.at_s > 0 and self._farm.by_blocks:  # it tells how far it is
            spent_s = max(0.0, spent_s - self._farm.later_s * self._course.slowness)
            self._later = self._later[0] + one.through_s, self._later[1] + spent_s
        else:
            whole_s = one.through_s + spent_s
            self._first = self._first[0] + length_s + self._farm.piece_s, self._first[1] + whole_s
        self.found[piece] = answer
        one.piece, one.at_s, one.through_s, one.at_used_s = None, 0.0, 0.0, one.used_s

    @property
    def _begin_s(self) -> float:
        """Processor seconds to go through the first block of a piece."""
        expected_s = (self._farm.block_s + self._farm.piece_s) * self._farm.speed * self._course.slowness
        begun, spent_s = self._begun
        return (spent_s + expected_s * _BEGIN_DOUBT) / (begun + _BEGIN_DOUBT)

    def _of_first(self, length_s: float, first: float, begin_s: float) -> float:
        """Processor seconds to go through a piece, or through its first block."""
        if self._farm.by_blocks:
            return begin_s + first * max(0.0, length_s - self._farm.block_s)
        return first * (length_s + self._farm.piece_s)

    def _speeds(self) -> tuple[float, float]:
        """Processor seconds to go through a second of speech, and what comes after a piece as a share of that."""
        expected = self._farm.speed * self._course.slowness
        heard_s, spent_s = self._first
        first = (spent_s + expected * self._farm.doubt_s) / (heard_s + self._farm.doubt_s)
        through_s, spent_s = self._later
        doubt_s = _LATER_DOUBT_S * self._course.slowness
        return first, (spent_s + self._farm.later * doubt_s) / (through_s + doubt_s)


def _natural(value: Any, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise unreadable()
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise unreadable()
    return float(value)


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
