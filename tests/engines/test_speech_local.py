"""What stays of what was heard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediamill.core.speech import Turn, Word
from mediamill.engines import _speech_local
from mediamill.engines._speech_voice import WINDOW_S, Span


@pytest.mark.parametrize(
    ("text", "words", "left", "said"),
    [
        ("One, two, three.", "One,|two,|three.", (0, 2), "One, three."),
        ("One, two, three.", "One,|two,|three.", (1, 2), "two, three."),
        ("山の天気", "山|の|天気", (0, 2), "山天気"),
        ("it is it", "it|is|it", (1, 2), "is it"),
        ("another text", "one|two", (1,), "two"),
    ],
)
def test_a_text_without_some_words_keeps_its_spacing(text: str, words: str, left: tuple[int, ...], said: str) -> None:
    all_of_them = [Word(start_s=at, end_s=at + 1, text=word) for at, word in enumerate(words.split("|"))]

    assert _speech_local._without(text, all_of_them, left) == said


def scene(*spans: tuple[float, float], length_s: float = 10.0) -> _speech_local.Scene:
    """A sound in which somebody speaks there, with the margins that spans have."""
    voiced = np.zeros(round(length_s / WINDOW_S), np.float32)
    for start_s, end_s in spans:
        voiced[round((start_s + 0.15) / WINDOW_S) : round((end_s - 0.15) / WINDOW_S)] = 1.0
    course: Any = None
    return _speech_local.Scene(
        sound=_speech_local.Sound(path=Path(), samples=round(length_s * 16_000)),
        course=course,
        voiced=voiced,
        spans=[Span(*span) for span in spans],
        voices=[],
    )


@pytest.mark.parametrize(
    ("start_s", "end_s", "left"),
    [
        (1.2, 1.6, (1.2, 1.6)),
        (0.95, 1.15, (0.95, 1.15)),  # the soft beginning of a span
        (0.2, 0.8, None),
        (1.9, 3.9, None),  # over a pause; too little of it on either side
        (1.7, 3.9, (1.7, 2.0)),
        (1.9, 4.4, (4.0, 4.4)),
        (4.5, 4.5, (4.5, 4.5)),
        (4.95, 4.95, None),  # at one instant, behind the last word
        (8.0, 9.0, None),
    ],
)
def test_a_word_stays_where_somebody_speaks(start_s: float, end_s: float, left: tuple[float, float] | None) -> None:
    word = Word(text="what", start_s=start_s, end_s=end_s)

    turns = scene((1.0, 2.0), (4.0, 5.0)).turns([Turn(start_s=start_s, end_s=end_s, text="what", words=(word,))])

    if left is None:
        assert turns == ()
    else:
        [found] = turns[0].words
        assert (found.text, found.start_s, found.end_s) == ("what", *left)


def test_a_turn_without_words_stays_if_somebody_speaks_in_a_third_of_it() -> None:
    said = scene((1.0, 2.0), (4.0, 5.0))

    assert said.turns([Turn(start_s=0.5, end_s=5.5, text="Yes.")])
    assert not said.turns([Turn(start_s=2.0, end_s=9.0, text="Thanks for watching.")])
