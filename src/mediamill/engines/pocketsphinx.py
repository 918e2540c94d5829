"""English dictation by CMU PocketSphinx, with the model that comes in its package: offline, on any machine, a draft.

The sound is cut where nobody speaks, and the pieces are decoded by several processes: the library holds Python's lock.
"""

from __future__ import annotations

import importlib.util
import json
import os
import selectors
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar

from mediamill.core.errors import ToolFailed
from mediamill.core.ports import Missing
from mediamill.core.speech import Listening, Quality, Transcriber, Transcript, Word, tidy
from mediamill.engines import _speech_sound, _speech_sphinx, _speech_turns, _speech_voice
from mediamill.engines._speech_sound import RATE_HZ
from mediamill.engines._speech_voice import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LONGEST_S = 15.0
"""Longer utterances are decoded no better, and one process would work while others wait."""
SHORTEST_S = 4.0
"""Up to this, pieces are joined: words are heard better among others."""
_LEAST_VOICED = 0.3
"""Of a word's length; a word in which the detector hears nobody was invented."""
_DECODED, _DETECTED, _PARTED = 0.02, 0.04, 0.06
"""Where the work stands after each of the steps before recognition."""
_TICK_S = 0.25
_LOAD_S, _SPEED = 0.5, 0.3
"""Seconds a decoder takes to load, and to decode a second of speech, until the first pieces tell this machine's."""


class PocketSphinx(Transcriber):
    """See the module."""

    name = "pocketsphinx"
    rank: ClassVar[int] = 90
    licence = "BSD-2-Clause AND BSD-3-Clause AND MIT"
    quality: ClassVar[Quality] = "draft"
    languages: ClassVar[frozenset[str] | None] = frozenset({"en"})

    def missing(self) -> Missing | None:
        if importlib.util.find_spec("pocketsphinx") is None:
            return Missing(reason="pocketsphinx is not installed.", remedy="Install pocketsphinx.")
        return _speech_turns.unchosen(self.name) or _speech_voice.missing()

    def transcribe(self, work: Listening) -> Transcript:
        from mediamill.engines import _speech_speakers

        heard = _speech_sound.decode(work, _DECODED)
        sound = heard.read()
        voiced = _speech_voice.likelihood(sound, _part_of(work, _DECODED, _DETECTED))
        spans = _speech_voice.spans(voiced, heard.duration_s)
        voices = _speech_speakers.voices(sound, spans, _part_of(work, _DETECTED, _PARTED)) if spans else []
        # No more is joined than leaves every processor some pieces, at pauses that are there anyway.
        shared_s = sum(span.length_s for span in spans) / (2 * _processes())
        wanted_s = min(LONGEST_S, max(SHORTEST_S, shared_s))
        pieces = _speech_voice.chunks(spans, voiced, wanted_s=wanted_s, longest_s=LONGEST_S)
        words = [word for word in _words(work, heard.path, pieces) if _said(word, voiced)]
        turns = _speech_speakers.attributed(_speech_turns.turns(words), voices)
        return Transcript(
            turns=tidy(turns, heard.duration_s),
            languages=("en",) if turns else (),
            engine=self.name,
            quality=self.quality,
            duration_s=heard.duration_s,
        )


def _processes() -> int:
    return len(os.sched_getaffinity(0))


def _part_of(work: Listening, low: float, high: float) -> Callable[[float], None]:
    return lambda fraction: work.report("listen", low + (high - low) * fraction)


def _said(word: Word, voiced: NDArray[np.float32]) -> bool:
    return _speech_voice.share_voiced(voiced, word.start_s, word.end_s) >= _LEAST_VOICED


@dataclass(slots=True)
class _Decoder:
    """A process, the piece it is at, and when it got it."""

    stdin: IO[bytes]
    stdout: IO[bytes]
    piece: int = -1
    since_s: float = 0.0
    said: bytes = b""


def _words(work: Listening, path: Path, pieces: Sequence[Span]) -> list[Word]:
    """The words of all pieces, in order. The longest pieces go first, so that no process is left with one at the end.

    Raises ToolFailed when a decoder dies.
    """
    waiting = sorted(range(len(pieces)), key=lambda at: pieces[at].length_s)
    found: dict[int, list[Word]] = {}
    progress = _Progress(work, pieces)
    argv: list[str | Path] = [sys.executable, "-P", _speech_sphinx.__file__, path]
    # The library is wherever this process found it, which need not be where a fresh Python looks.
    env = {"PYTHONPATH": os.pathsep.join(place for place in sys.path if place)}
    with ExitStack() as running, selectors.DefaultSelector() as ready:

        def give(decoder: _Decoder) -> None:
            decoder.piece, decoder.since_s = waiting.pop(), time.monotonic()
            piece = pieces[decoder.piece]
            asked = [round(piece.start_s * RATE_HZ), round(piece.end_s * RATE_HZ)]
            decoder.stdin.write(json.dumps(asked).encode() + b"\n")

        decoders: list[_Decoder] = []
        for _ in range(min(len(pieces), _processes())):
            program = running.enter_context(
                work.tools.spawn(argv, name="pocketsphinx", stdin=True, stdout=True, env=env)
            )
            assert program.stdin is not None
            assert program.stdout is not None
            decoder = _Decoder(program.stdin, program.stdout)
            decoders.append(decoder)
            ready.register(program.stdout, selectors.EVENT_READ, decoder)
            give(decoder)
        while len(found) < len(pieces):
            for key, _ in ready.select(_TICK_S):
                decoder = key.data
                block = os.read(decoder.stdout.fileno(), 1 << 16)
                if not block:
                    raise EOFError
                decoder.said += block
                if not decoder.said.endswith(b"\n"):
                    continue
                found[decoder.piece] = _timed(decoder.said, pieces[decoder.piece])
                progress.done(decoder.piece, time.monotonic() - decoder.since_s)
                decoder.said = b""
                if waiting:
                    give(decoder)
                else:
                    ready.unregister(decoder.stdout)
                    decoder.piece = -1
            progress.tick([(d.piece, d.since_s) for d in decoders if d.piece >= 0])
    return [word for at in range(len(pieces)) for word in found[at]]


def _timed(said: bytes, piece: Span) -> list[Word]:
    try:
        heard = json.loads(said)
        return [
            Word(
                text=text,
                start_s=piece.start_s + start_s,
                end_s=min(piece.start_s + end_s, piece.end_s),
                confidence=confidence,
            )
            for text, start_s, end_s, confidence in heard
        ]
    except (ValueError, TypeError) as error:
        raise ToolFailed("The recogniser gave no answer that can be read.") from error


class _Progress:
    """How much of the speech has been decoded. Pieces at work count by the speed seen so far."""

    def __init__(self, work: Listening, pieces: Sequence[Span]) -> None:
        self._work = work
        self._pieces = pieces
        self._total_s = sum(piece.length_s for piece in pieces) or 1.0
        self._done_s = self._spent_s = 0.0
        self._reached = _PARTED

    def done(self, piece: int, took_s: float) -> None:
        """A piece is through."""
        self._done_s += self._pieces[piece].length_s
        self._spent_s += took_s

    def tick(self, at_work: Sequence[tuple[int, float]]) -> None:
        """Say where the work stands."""
        now_s = time.monotonic()
        speed = self._spent_s / self._done_s if self._done_s else _SPEED
        load_s = 0.0 if self._done_s else _LOAD_S
        part_s = self._done_s
        for piece, since_s in at_work:
            length_s = self._pieces[piece].length_s
            part_s += length_s * min(0.95, max(0.0, now_s - since_s - load_s) / (speed * length_s))
        self._reached = max(self._reached, _PARTED + (1.0 - _PARTED) * min(1.0, part_s / self._total_s))
        self._work.report("listen", self._reached)


PROVIDES = (PocketSphinx(),)
