"""Transcription by Whisper models, run by faster-whisper on this machine's processors: one that the operator supplies,
and the smallest for English, which `mediamill models fetch` brings."""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from mediamill import models, processors
from mediamill.core.errors import ToolFailed
from mediamill.core.ports import Missing
from mediamill.core.speech import Listening, Quality, Transcriber, Transcript, Turn, Word
from mediamill.engines import _speech_farm, _speech_local, _speech_turns, _speech_voice, _speech_whisper
from mediamill.engines._processor import slowness
from mediamill.engines._speech_farm import Farm
from mediamill.engines._speech_voice import Span

MODEL = "MEDIAMILL_STT_MODEL"
LONGEST_S = 28.0
"""A Whisper model hears windows of 30 s, however little is in one: a piece should fill one, and not just miss it."""
JOIN_S = 3.0
_LOAD_S, _SPEED, _PIECE_S = 1.5, 0.3, 15.0
"""Processor seconds to load a small model; those of each processor for a second of speech; and how much longer each
piece counts than it is."""
_FILES = ("model.bin", "config.json", "tokenizer.json")
TINY = ("whisper_tiny_en", "whisper_tiny_en_config", "whisper_tiny_en_tokenizer", "whisper_tiny_en_vocabulary")
_TINY_IMPORT_S, _TINY_LOAD_S, _TINY_SPEED, _TINY_PIECE_S = 0.3, 0.3, 0.056, 8.0
"""Processor seconds to import what loads it; and as above for the tiny one, of which each process loads the model for
itself and works in one thread."""
_TINY_DOUBT_S = 100.0
_TINY_SHORTEST_S = 12.0
"""Words are heard better among others, and shorter pieces cost nearly as much."""
_TINY_PROCESSES = 4
"""Each takes 320 MB, of a task's 4 GB."""


def folder() -> Path | None:
    """The folder of weights that the operator named, if it is one."""
    named = os.environ.get(MODEL)
    if not named:
        return None
    path = Path(named)
    return path if path.is_dir() else None


class Whisper(Transcriber):
    """The operator's."""

    name = "whisper"
    rank: ClassVar[int] = 50
    licence = "MIT AND Apache-2.0"
    quality: ClassVar[Quality] = "full"
    boosts: ClassVar[bool] = True

    def missing(self) -> Missing | None:
        remedy = f"Set {MODEL} to a folder of weights that faster-whisper reads: docs/how-to/speech.md."
        found = folder()
        if found is None:
            return Missing(reason="no Whisper weights are named.", remedy=remedy)
        absent = [name for name in _FILES if not (found / name).is_file()]
        if absent:
            return Missing(reason=f"{found.name} has no {', '.join(absent)}.", remedy=remedy)
        return _lacking(self)

    def cost_s(self, speech_s: float) -> float:
        return _LOAD_S + _SPEED * processors.count() * speech_s

    def transcribe(self, work: Listening) -> Transcript:
        scene = _speech_local.listen(work, self.cost_s)
        pieces = scene.pieces(wanted_s=LONGEST_S, longest_s=LONGEST_S, join_s=JOIN_S)
        threads = processors.count()
        farm = Farm(
            name=self.name,
            program=_speech_whisper.__file__,
            arguments=_arguments(work, scene.sound.path, folder() or Path(), threads, work.language),
            processes=1,
            threads=threads,
            load_s=_LOAD_S,
            speed=_SPEED * threads,
            piece_s=_PIECE_S,
        )
        return _transcript(self, work, scene, pieces, farm)


class WhisperTiny(Transcriber):
    """The smallest: a draft, but with capitals and stops, and of real rooms as well."""

    name = "whisper-tiny"
    rank: ClassVar[int] = 80
    licence = "MIT"
    speed: ClassVar[str] = "20 to 30 times as fast as speech on 4 cores of x86-64, without a GPU"
    boosts: ClassVar[bool] = True
    languages: ClassVar[frozenset[str] | None] = frozenset({"en"})

    def missing(self) -> Missing | None:
        if models.home_of(*TINY) is None:
            parted = Missing(reason="the files of the small Whisper lie in two folders.", remedy="Move them into one.")
            return models.missing(*TINY) or parted
        return _lacking(self)

    def cost_s(self, speech_s: float) -> float:
        pieces = math.ceil(speech_s / _wanted_s(speech_s))
        load_s = _TINY_IMPORT_S + _TINY_LOAD_S * min(pieces, _processes())
        return slowness() * (load_s + _TINY_SPEED * (speech_s + _TINY_PIECE_S * pieces))

    def transcribe(self, work: Listening) -> Transcript:
        scene = _speech_local.listen(work, self.cost_s)
        wanted_s = _wanted_s(sum(span.length_s for span in scene.spans))
        pieces = scene.pieces(wanted_s=wanted_s, longest_s=LONGEST_S, join_s=JOIN_S)
        processes = min(len(pieces), _processes())
        farm = Farm(
            name="whisper",
            program=_speech_whisper.__file__,
            arguments=_arguments(work, scene.sound.path, _tiny(), 1, "en"),
            processes=processes,
            load_s=_TINY_IMPORT_S + (_TINY_LOAD_S if processes == 1 else 0.0),
            each_s=_TINY_LOAD_S if processes > 1 else 0.0,
            speed=_TINY_SPEED,
            piece_s=_TINY_PIECE_S,
            doubt_s=_TINY_DOUBT_S,
        )
        return _transcript(self, work, scene, pieces, farm)


def _tiny() -> Path:
    home = models.home_of(*TINY)
    if home is None:
        raise ToolFailed("The small Whisper model is not in the models folder any more.")
    return (home / models.manifest()[TINY[0]].file).parent


def _processes() -> int:
    return min(_TINY_PROCESSES, processors.count())


def _wanted_s(speech_s: float) -> float:
    """How long the tiny one's pieces should be: every processor has some."""
    return min(LONGEST_S, max(_TINY_SHORTEST_S, speech_s / _processes()))


def _lacking(engine: Transcriber) -> Missing | None:
    """What one whose weights are there lacks."""
    if importlib.util.find_spec("faster_whisper") is None:
        return Missing(reason="faster-whisper is not installed.", remedy="Install faster-whisper.")
    return _speech_turns.unchosen(engine.name) or _speech_voice.missing()


def _arguments(work: Listening, sound: Path, weights: Path, threads: int, language: str | None) -> list[str | Path]:
    return [sound, weights, language or "", str(threads), ", ".join(work.boost)]


def _transcript(
    engine: Transcriber, work: Listening, scene: _speech_local.Scene, pieces: Sequence[Span], farm: Farm
) -> Transcript:
    answers = _speech_farm.hear(work, farm, pieces, scene.course)
    turns = scene.turns(turn for answer, piece in zip(answers, pieces, strict=True) for turn in _turns(answer, piece))
    languages = dict.fromkeys(str(answer["language"]) for answer in answers)
    return Transcript(
        turns=turns,
        languages=tuple(languages) if turns else (),
        engine=engine.name,
        quality=engine.quality,
        duration_s=scene.sound.duration_s,
    )


def _turns(answer: Any, piece: Span) -> list[Turn]:
    """By sentences, where words are what stands between spaces; else as the model divides them."""
    made: list[Turn] = []
    held: list[Word] = []
    try:
        for turn in answer["turns"]:
            words = _speech_farm.words(turn["words"], piece)
            if " ".join(word.text for word in words) == turn["text"]:
                held += words
                continue
            made += _speech_turns.sentences(held)
            held = []
            sure = [word.confidence for word in words if word.confidence is not None]
            made.append(
                Turn(
                    start_s=words[0].start_s if words else piece.start_s + float(turn["start"]),
                    end_s=words[-1].end_s if words else min(piece.start_s + float(turn["end"]), piece.end_s),
                    text=str(turn["text"]),
                    words=tuple(words),
                    confidence=sum(sure) / len(sure) if sure else None,
                )
            )
    except (KeyError, ValueError, TypeError) as error:
        raise _speech_farm.unreadable() from error
    return made + _speech_turns.sentences(held)


PROVIDES = (Whisper(), WhisperTiny())
