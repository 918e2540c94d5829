"""Transcription by a Whisper model that the operator supplies, run by faster-whisper on this machine's processors."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any, ClassVar

from mediamill import processors
from mediamill.core.ports import Missing
from mediamill.core.speech import Listening, Quality, Transcriber, Transcript, Turn
from mediamill.engines import _speech_farm, _speech_local, _speech_turns, _speech_voice, _speech_whisper
from mediamill.engines._speech_farm import Farm
from mediamill.engines._speech_voice import Span

MODEL = "MEDIAMILL_STT_MODEL"
LONGEST_S = 28.0
"""A Whisper model hears windows of 30 s, however little is in one: a piece should fill one, and not just miss it."""
JOIN_S = 3.0
_LOAD_S, _SPEED = 1.5, 0.3
"""Processor seconds to load a small model; those of each processor for a second of speech."""
_FILES = ("model.bin", "config.json", "tokenizer.json")


def folder() -> Path | None:
    """The folder of weights that the operator named, if it is one."""
    named = os.environ.get(MODEL)
    if not named:
        return None
    path = Path(named)
    return path if path.is_dir() else None


class Whisper(Transcriber):
    """See the module."""

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
        if importlib.util.find_spec("faster_whisper") is None:
            return Missing(reason="faster-whisper is not installed.", remedy="Install faster-whisper.")
        return _speech_turns.unchosen(self.name) or _speech_voice.missing()

    def cost_s(self, speech_s: float) -> float:
        return _LOAD_S + _SPEED * processors.count() * speech_s

    def transcribe(self, work: Listening) -> Transcript:
        scene = _speech_local.listen(work, self.cost_s)
        pieces = scene.pieces(wanted_s=LONGEST_S, longest_s=LONGEST_S, join_s=JOIN_S)
        threads = processors.count()
        farm = Farm(
            name=self.name,
            program=_speech_whisper.__file__,
            arguments=[scene.sound.path, folder() or "", work.language or "", str(threads), ", ".join(work.boost)],
            processes=1,
            threads=threads,
            load_s=_LOAD_S,
            speed=_SPEED * threads,
            piece_s=15.0,
        )
        answers = _speech_farm.hear(work, farm, pieces, scene.course)
        turns = scene.turns(
            turn for answer, piece in zip(answers, pieces, strict=True) for turn in _turns(answer, piece)
        )
        languages = dict.fromkeys(str(answer["language"]) for answer in answers)
        return Transcript(
            turns=turns,
            languages=tuple(languages) if turns else (),
            engine=self.name,
            quality=self.quality,
            duration_s=scene.sound.duration_s,
        )


def _turns(answer: Any, piece: Span) -> list[Turn]:
    try:
        made = []
        for turn in answer["turns"]:
            words = tuple(_speech_farm.words(turn["words"], piece))
            sure = [word.confidence for word in words if word.confidence is not None]
            made.append(
                Turn(
                    start_s=words[0].start_s if words else piece.start_s + float(turn["start"]),
                    end_s=words[-1].end_s if words else min(piece.start_s + float(turn["end"]), piece.end_s),
                    text=str(turn["text"]),
                    words=words,
                    confidence=sum(sure) / len(sure) if sure else None,
                )
            )
        return made
    except (KeyError, ValueError, TypeError) as error:
        raise _speech_farm.unreadable() from error


PROVIDES = (Whisper(),)
