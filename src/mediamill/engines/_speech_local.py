"""What the transcribers share before and after the recogniser: decode, find the voices, tell them apart, and put
together what was heard."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mediamill.core.speech import Listening, Turn, Word, tidy
from mediamill.engines import _speech_sound, _speech_voice
from mediamill.engines._speech_sound import Sound
from mediamill.engines._speech_voice import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DECODED, _DETECTED, BEGUN = 0.012, 0.025, 0.03
"""Where the work stands after each of the steps before recognition; they take a thirtieth of its time."""
_LEAST_VOICED = 0.3
"""Of a word's length. A word in which the detector hears nobody was invented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A sound, where somebody speaks in it, and which voice that is."""

    sound: Sound
    voiced: NDArray[np.float32]
    spans: Sequence[Span]
    voices: Sequence[tuple[Span, int]]

    def pieces(self, *, wanted_s: float, longest_s: float, join_s: float = 0.6) -> list[Span]:
        """The spans as pieces for a recogniser, see _speech_voice.chunks."""
        return _speech_voice.chunks(self.spans, self.voiced, wanted_s=wanted_s, longest_s=longest_s, join_s=join_s)

    def turns(self, heard: Iterable[Turn], *, told_apart: bool = False) -> tuple[Turn, ...]:
        """What was heard, without what nobody said. `told_apart`: the recogniser knows the speakers itself."""
        from mediamill.engines import _speech_speakers

        kept = [said for turn in heard if (said := self._said(turn)) is not None]
        return tidy(kept if told_apart else _speech_speakers.attributed(kept, self.voices), self.sound.duration_s)

    def _said(self, turn: Turn) -> Turn | None:
        if not turn.words:
            return turn if self._voiced(turn) else None
        words = tuple(word for word in turn.words if self._voiced(word))
        if len(words) == len(turn.words):
            return turn
        if not words:
            return None
        text = " ".join(word.text for word in words)
        return replace(turn, words=words, text=text, start_s=words[0].start_s, end_s=words[-1].end_s)

    def _voiced(self, part: Turn | Word) -> bool:
        return _speech_voice.share_voiced(self.voiced, part.start_s, part.end_s) >= _LEAST_VOICED


def listen(work: Listening) -> Scene:
    """Everything there is to know of a sound before its words. No spans where nobody speaks.

    Raises NoSound, BadMedia, LimitExceeded or ToolFailed.
    """
    from mediamill.engines import _speech_speakers

    sound = _speech_sound.decode(work, _DECODED)
    samples = sound.read()
    voiced = _speech_voice.likelihood(samples, _part(work, _DECODED, _DETECTED))
    spans = _speech_voice.spans(voiced, sound.duration_s)
    voices = _speech_speakers.voices(samples, spans, _part(work, _DETECTED, BEGUN), work.speakers) if spans else []
    return Scene(sound=sound, voiced=voiced, spans=spans, voices=voices)


def _part(work: Listening, low: float, high: float) -> Callable[[float], None]:
    return lambda fraction: work.report("listen", low + (high - low) * fraction)
