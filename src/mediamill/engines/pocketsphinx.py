"""English dictation by CMU PocketSphinx, with the model that comes in its package: offline, on any machine, a draft.

The sound is cut where nobody speaks, and the pieces are decoded by several processes.
"""

from __future__ import annotations

import math
from typing import ClassVar

from mediamill import processors
from mediamill.core.ports import Missing
from mediamill.core.speech import Listening, Quality, Transcriber, Transcript
from mediamill.engines import _speech_farm, _speech_local, _speech_sphinx, _speech_turns, _speech_voice
from mediamill.engines._processor import slowness
from mediamill.engines._speech_farm import Farm

LONGEST_S = 15.0
"""Longer utterances are decoded no better, and one process would work while others wait."""
SHORTEST_S = 4.0
"""Up to this, pieces are joined: words are heard better among others."""
_LOAD_S, _SPEED, _PIECE_S = 0.37, 0.14, 0.35
"""Processor seconds to load, and to go through a second of speech for the first time; and how much longer each piece
counts than it is."""
_LATER, _LATER_S = 0.21, 0.025
"""What going through that which was found then takes, twice, when a piece has ended: a share of the time that it took
to find, and seconds of its own."""
_REMEDY = "Install pocketsphinx, where there is none for this Python that of another: docs/how-to/speech.md."


class PocketSphinx(Transcriber):
    """See the module."""

    name = "pocketsphinx"
    rank: ClassVar[int] = 90
    licence = "BSD-2-Clause AND BSD-3-Clause AND MIT"
    quality: ClassVar[Quality] = "draft"
    languages: ClassVar[frozenset[str] | None] = frozenset({"en"})

    def missing(self) -> Missing | None:
        if _speech_sphinx.package() is None:
            return Missing(reason="pocketsphinx is not installed.", remedy=_REMEDY)
        return _speech_turns.unchosen(self.name) or _speech_voice.missing()

    def cost_s(self, speech_s: float) -> float:
        processes = processors.count()
        pieces = math.ceil(speech_s / _wanted_s(speech_s, processes))
        return slowness() * (_LOAD_S + (1 + _LATER) * _SPEED * (speech_s + _PIECE_S * pieces) + _LATER_S * pieces)

    def transcribe(self, work: Listening) -> Transcript:
        scene = _speech_local.listen(work, self.cost_s)
        processes = processors.count()
        wanted_s = _wanted_s(sum(span.length_s for span in scene.spans), processes)
        pieces = scene.pieces(wanted_s=wanted_s, longest_s=LONGEST_S)
        farm = Farm(
            name=self.name,
            program=_speech_sphinx.__file__,
            arguments=[scene.sound.path],
            processes=processes,
            load_s=_LOAD_S,
            speed=_SPEED,
            piece_s=_PIECE_S,
            block_s=_speech_sphinx.BLOCK_S,
            later=_LATER,
            later_s=_LATER_S,
        )
        answers = _speech_farm.hear(work, farm, pieces, scene.course)
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


def _wanted_s(speech_s: float, processes: int) -> float:
    """How long pieces should be: no more is joined than leaves every processor some, at pauses there are anyway."""
    return min(LONGEST_S, max(SHORTEST_S, speech_s / (2 * processes)))


PROVIDES = (PocketSphinx(),)
