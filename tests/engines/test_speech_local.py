"""What stays of what was heard."""

from __future__ import annotations

import pytest

from mediamill.core.speech import Word
from mediamill.engines import _speech_local


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

    assert _speech_local._without(text, all_of_them, [all_of_them[at] for at in left]) == said
