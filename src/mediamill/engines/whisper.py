"""Transcription by Whisper models, run by faster-whisper on this machine's processors: one that the operator supplies,
and two small ones that `mediamill models fetch` brings, of which the one that hears many languages comes first."""

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
piece counts than it is, which is about what it takes to find out its language."""
_FILES = ("model.bin", "config.json", "tokenizer.json")
_IMPORT_S = 0.3
"""Processor seconds to import what loads a model."""
_FIND_S = 1.0
"""Processor seconds to find out which language is spoken."""
_DOUBT_S = 100.0
_SHORTEST_S = 12.0
"""Words are heard better among others, and shorter pieces cost nearly as much."""
_PROCESSES = 4
"""At most. A process takes 330 to 400 MB, of a task's 4 GB."""
_SPOKEN = (
    "af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha he hi hr ht hu hy id is it "
    "ja jw ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl ps pt ro ru sa sd si sk sl "
    "sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh"
)
"""What Whisper has tokens for."""


def _files(size: str) -> tuple[str, ...]:
    """By their names in the manifest."""
    return tuple(f"whisper_{size}{part}" for part in ("", "_config", "_tokenizer", "_vocabulary"))


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
    languages: ClassVar[frozenset[str] | None] = frozenset(_SPOKEN.split())

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
            find_s=0.0 if work.language else _PIECE_S * _SPEED * threads,
            speed=_SPEED * threads,
            piece_s=_PIECE_S,
        )
        return _transcript(self, work, scene, pieces, farm)


class _Small(Transcriber):
    """One that was fetched: a draft, but with capitals and stops, and of real rooms as well. Each process loads the
    model for itself."""

    licence = "MIT"
    boosts: ClassVar[bool] = True
    models: ClassVar[tuple[str, ...]]
    load_s: ClassVar[float]
    """Processor seconds of a process to load it."""
    speed_s: ClassVar[float]
    piece_s: ClassVar[float]
    """Those for a second of speech, and how much longer each piece counts than it is."""

    def missing(self) -> Missing | None:
        if models.home_of(*self.models) is None:
            parted = Missing(reason="the files of the small Whisper lie in two folders.", remedy="Move them into one.")
            return models.missing(*self.models) or parted
        return _lacking(self)

    def cost_s(self, speech_s: float) -> float:
        pieces = math.ceil(speech_s / _wanted_s(speech_s))
        load_s = _IMPORT_S + self.load_s * min(pieces, _processes()) + self._find_s(None)
        return slowness() * (load_s + self.speed_s * (speech_s + self.piece_s * pieces))

    def transcribe(self, work: Listening) -> Transcript:
        scene = _speech_local.listen(work, self.cost_s)
        wanted_s = _wanted_s(sum(span.length_s for span in scene.spans))
        pieces = scene.pieces(wanted_s=wanted_s, longest_s=LONGEST_S, join_s=JOIN_S)
        processes, threads = min(len(pieces), _processes()), _threads()
        farm = Farm(
            name="whisper",
            program=_speech_whisper.__file__,
            arguments=_arguments(work, scene.sound.path, self._weights(), threads, self._language(work)),
            processes=processes,
            threads=threads,
            load_s=_IMPORT_S + (self.load_s if processes == 1 else 0.0),
            each_s=self.load_s if processes > 1 else 0.0,
            find_s=self._find_s(work.language),
            speed=self.speed_s,
            piece_s=self.piece_s,
            doubt_s=_DOUBT_S,
        )
        return _transcript(self, work, scene, pieces, farm)

    def _language(self, work: Listening) -> str | None:
        return work.language

    def _find_s(self, language: str | None) -> float:
        return 0.0 if language else _FIND_S

    def _weights(self) -> Path:
        home = models.home_of(*self.models)
        if home is None:
            raise ToolFailed("The small Whisper model is not in the models folder any more.")
        return (home / models.manifest()[self.models[0]].file).parent


class WhisperBase(_Small):
    """Hears many languages, and finds out which is spoken."""

    name = "whisper-base"
    rank: ClassVar[int] = 70
    speed: ClassVar[str] = "10 to 16 times as fast as speech on 4 cores of x86-64, without a GPU"
    languages: ClassVar[frozenset[str] | None] = Whisper.languages
    models: ClassVar[tuple[str, ...]] = _files("base")
    load_s: ClassVar[float] = 0.55
    speed_s: ClassVar[float] = 0.05
    piece_s: ClassVar[float] = 22.0


class WhisperTiny(_Small):
    """Hears English, and takes everything for English: where the other one is not."""

    name = "whisper-tiny"
    rank: ClassVar[int] = 80
    speed: ClassVar[str] = "20 to 30 times as fast as speech on 4 cores of x86-64, without a GPU"
    languages: ClassVar[frozenset[str] | None] = frozenset({"en"})
    models: ClassVar[tuple[str, ...]] = _files("tiny_en")
    load_s: ClassVar[float] = 0.3
    speed_s: ClassVar[float] = 0.056
    piece_s: ClassVar[float] = 8.0

    def _language(self, work: Listening) -> str | None:
        return "en"

    def _find_s(self, language: str | None) -> float:
        return 0.0


def _processes() -> int:
    return min(_PROCESSES, processors.count() // _threads())


def _threads() -> int:
    """Of each process. Two are half as good again as one, and two processes twice: but on four cores the memory of two
    is spared at a tenth of the speed."""
    return 2 if processors.count() >= 4 else 1


def _wanted_s(speech_s: float) -> float:
    """How long the pieces for a small one should be: no processor is to wait long for the last of them."""
    return min(LONGEST_S, max(_SHORTEST_S, speech_s / (_threads() * _processes())))


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
    sure = answers[0].get("sure") if turns else None
    return Transcript(
        turns=turns,
        languages=tuple(languages) if turns else (),
        language_confidence=float(sure) if isinstance(sure, int | float) else None,
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


PROVIDES = (Whisper(), WhisperBase(), WhisperTiny())
