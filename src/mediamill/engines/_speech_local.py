"""What the transcribers share before and after the recogniser: decode, find the voices, tell them apart, and put
together what was heard."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mediamill.core.speech import Listening, Turn, Word, tidy
from mediamill.engines import _speech_sound, _speech_voice
from mediamill.engines._speech_course import Course
from mediamill.engines._speech_sound import Sound
from mediamill.engines._speech_voice import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DECODING_S, _DETECTING_S, _TELLING_S = (0.04, 0.0008), (0.07, 0.0035), (0.3, 0.024)
"""Processor seconds of each of the steps before recognition: to begin, and for a second of sound or of speech."""
_SPOKEN = 0.8
"""Of a sound's length, until it is known where somebody speaks in it."""
_LEAST_VOICED, _LEAST_WORD_S, _INSTANT_S = 0.3, 0.12, 0.05
"""Of a word's length; of a long one, s; and what is no length, s. A word where nobody is heard was invented."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A sound, where somebody speaks in it, and which voice that is."""

    sound: Sound
    course: Course
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
        kept = {at: heard for at, word in enumerate(turn.words) if (heard := self._heard(word)) is not None}
        words = tuple(kept.values())
        if words == turn.words:
            return turn
        if not kept:
            return None
        text = turn.text if len(kept) == len(turn.words) else _without(turn.text, turn.words, kept)
        return replace(turn, words=words, text=text, start_s=words[0].start_s, end_s=words[-1].end_s)

    def _heard(self, word: Word) -> Word | None:
        """A word, if somebody says it. One that a recogniser has stretched over a pause is where the voice is."""
        if self._voiced(word):
            return word
        parts = _speech_voice.within(self.spans, word.start_s, word.end_s)
        longest = max(parts, key=lambda part: part.length_s, default=None)
        if longest is None or longest.length_s < _LEAST_WORD_S:
            return None
        return replace(word, start_s=longest.start_s, end_s=longest.end_s)

    def _voiced(self, part: Turn | Word) -> bool:
        length_s = part.end_s - part.start_s
        if length_s < _INSTANT_S:
            # Recognisers crowd words that they have no time for at one instant, as they do words that nobody said.
            return _speech_voice.heard_at(self.voiced, part.start_s)
        shared = _speech_voice.within(self.spans, part.start_s, part.end_s)
        return sum(one.length_s for one in shared) >= _LEAST_VOICED * length_s


def _without(text: str, words: Sequence[Word], kept: Collection[int]) -> str:
    """A text with only those of its words, which stay as far from each other as they were: not all languages have
    spaces between them."""
    made, at = "", 0
    for number, word in enumerate(words):
        found = text.find(word.text, at)
        if found < 0:
            return " ".join(words[number].text for number in kept)
        if number in kept:
            made += text[at:found] + word.text
        at = found + len(word.text)
    return made.strip()


def listen(work: Listening, cost_s: Callable[[float], float]) -> Scene:
    """Everything there is to know of a sound before its words. No spans where nobody speaks. `cost_s` tells how many
    seconds of this machine's processor time so many of speech then take.

    Raises NoSound, BadMedia, LimitExceeded or ToolFailed.
    """
    from mediamill.engines import _speech_speakers

    course = Course(work)
    apart = work.apart and work.speakers != 1
    speech_s = telling_s = later_s = 0.0

    def expect(spoken_s: float) -> None:
        nonlocal speech_s, telling_s, later_s
        if spoken_s != speech_s or not later_s:
            telling_s = course.slowness * _of(_TELLING_S, spoken_s) if apart else 0.0
            speech_s, later_s = spoken_s, cost_s(spoken_s)

    def decoding(done: float, length_s: float) -> None:
        expect(_SPOKEN * length_s)
        decoding_s, detecting_s = (course.slowness * _of(cost, length_s) for cost in (_DECODING_S, _DETECTING_S))
        course.at("decode", (1 - done) * decoding_s + detecting_s + telling_s + later_s, done * decoding_s)

    def detecting(done: float) -> None:
        expect(_SPOKEN * sound.duration_s)
        to_come_s = (1 - done) * course.slowness * _of(_DETECTING_S, sound.duration_s)
        course.at("listen", to_come_s + telling_s + later_s)

    def telling(done: float) -> None:
        course.at("listen", (1 - done) * telling_s + later_s)

    sound = _speech_sound.decode(work, decoding)
    samples = sound.read()
    detecting(0.0)
    voiced = _speech_voice.likelihood(samples, detecting)
    spans = _speech_voice.spans(voiced, sound.duration_s)
    expect(sum(span.length_s for span in spans))
    voices = _speech_speakers.voices(samples, spans, telling, work.speakers) if spans and apart else []
    return Scene(sound=sound, course=course, voiced=voiced, spans=spans, voices=voices)


def _of(costs: tuple[float, float], length_s: float) -> float:
    begin_s, second_s = costs
    return begin_s + second_s * length_s
