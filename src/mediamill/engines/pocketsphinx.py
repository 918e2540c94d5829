"""English dictation by CMU PocketSphinx, with the model that comes in its package: offline, on any machine, a draft.

The sound is cut where nobody speaks, and the pieces are decoded by several processes: the library holds Python's lock.
"""

from __future__ import annotations

import importlib.util
from typing import ClassVar

from mediamill.core.ports import Missing
from mediamill.core.speech import Listening, Quality, Transcriber, Transcript
from mediamill.engines import _speech_farm, _speech_local, _speech_sphinx, _speech_turns, _speech_voice
from mediamill.engines._speech_farm import Farm

LONGEST_S = 15.0
"""Longer utterances are decoded no better, and one process would work while others wait."""
SHORTEST_S = 4.0
"""Up to this, pieces are joined: words are heard better among others."""
_LOAD_S, _SPEED = 0.4, 0.18
"""Processor seconds to load, and a second of speech."""


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

    def cost_s(self, speech_s: float) -> float:
        loading_s = _LOAD_S * min(_speech_farm.processors(), speech_s / SHORTEST_S)
        return loading_s + 1.25 * _SPEED * speech_s  # in pieces, beside each other

    def transcribe(self, work: Listening) -> Transcript:
        scene = _speech_local.listen(work)
        processes = _speech_farm.processors()
        # No more is joined than leaves every processor some pieces, at pauses that are there anyway.
        shared_s = sum(span.length_s for span in scene.spans) / (2 * processes)
        pieces = scene.pieces(wanted_s=min(LONGEST_S, max(SHORTEST_S, shared_s)), longest_s=LONGEST_S)
        farm = Farm(
            name=self.name,
            program=_speech_sphinx.__file__,
            arguments=[scene.sound.path],
            processes=processes,
            load_s=_LOAD_S,
            speed=_SPEED,
            piece_s=0.6,
        )
        answers = _speech_farm.hear(work, farm, pieces, _speech_local.BEGUN)
        words = [
            word for answer, piece in zip(answers, pieces, strict=True) for word in _speech_farm.words(answer, piece)
        ]
        turns = scene.turns(_speech_turns.turns(words))
        return Transcript(
            turns=turns,
            languages=("en",) if turns else (),
            engine=self.name,
            quality=self.quality,
            duration_s=scene.sound.duration_s,
        )


PROVIDES = (PocketSphinx(),)
