"""Who speaks when."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tests.support import voices
from tests.support.voices import FOLDER, RATE_HZ, passage, recording, silence

from mediamill.core.speech import Turn, Word
from mediamill.engines import _speech_speakers, _speech_voice
from mediamill.engines._speech_voice import Span

Told = Sequence[tuple[Span, int]]


def told(*parts: voices.Samples, expected: int | None = None) -> tuple[list[Span], Told]:
    """Where somebody speaks in the parts one after another, and who."""
    sound = (np.concatenate(parts) * 32767).astype(np.int16)
    spans = _speech_voice.spans(_speech_voice.likelihood(sound), len(sound) / RATE_HZ)
    return spans, _speech_speakers.voices(sound, spans, expected=expected)


def who(heard: Told, at_s: float) -> set[int]:
    return {voice for span, voice in heard if span.start_s <= at_s < span.end_s}


def test_two_men_in_a_room_are_told_apart() -> None:
    truth = [line.split() for line in (FOLDER / "two_men.rttm").read_text().splitlines()]
    names = sorted({line[7] for line in truth})
    spoken = {name: [(float(line[3]), float(line[4])) for line in truth if line[7] == name] for name in names}

    _, heard = told(recording("two_men"))

    assert {voice for _, voice in heard} == {0, 1}
    right = wrong = 0
    for at_s in np.arange(0, 30, 0.02):
        said_by = {at for at, name in enumerate(names) if any(a <= at_s < a + long for a, long in spoken[name])}
        if len(said_by) == 1 and (given := who(heard, at_s)):
            right, wrong = right + (given == said_by), wrong + (given != said_by)
    assert wrong / (right + wrong) < 0.2  # 0.15; 0.38 if all were one man's


def test_a_speech_with_long_pauses_is_one_mans() -> None:
    _, heard = told(recording("kennedy"), silence(2.0), recording("kennedy"))

    assert {voice for _, voice in heard} == {0}


@pytest.mark.parametrize("order", [*itertools.permutations(voices.NAMES)], ids=" ".join)
@pytest.mark.parametrize("pause_s", [0.0, 0.6])
def test_three_voices_in_any_order_are_told_apart(order: Sequence[str], pause_s: float) -> None:
    _, heard = told(*(part for name in order for part in (passage(name).samples, silence(pause_s))))

    at_s = 0.0
    for number, name in enumerate(order):
        end_s = at_s + passage(name).duration_s
        for moment_s in np.arange(at_s + 0.5, end_s - 0.5, 0.1):
            assert who(heard, moment_s) <= {number}
        at_s = end_s + pause_s


def test_no_more_voices_are_told_apart_than_are_expected() -> None:
    parts = [passage(name).samples for name in voices.NAMES]

    spans, heard = told(*parts, expected=1)
    assert heard == [(span, 0) for span in spans]
    assert {voice for _, voice in told(*parts, expected=2)[1]} == {0, 1}
    assert {voice for _, voice in told(*parts, expected=9)[1]} == {0, 1, 2}


def test_how_far_it_is_never_goes_back_and_reaches_the_end() -> None:
    done: list[float] = []
    sound = (np.concatenate([passage(name).samples for name in voices.NAMES]) * 32767).astype(np.int16)

    _speech_speakers.voices(sound, [Span(0.0, 30.0)], done.append)

    assert done == sorted(done)
    assert 0 < done[0] < 0.1
    assert done[-1] == pytest.approx(1.0)


@given(
    ends=st.lists(st.floats(0, 25), max_size=8).map(sorted),
    loud=st.sampled_from([0, 1, 300, 30_000]),
    expected=st.none() | st.integers(1, 3),
)
@settings(max_examples=15)
def test_whatever_is_there_somebody_says_all_of_it(ends: list[float], loud: int, expected: int | None) -> None:
    sound: NDArray[np.int16] = np.random.default_rng(1).integers(-loud, loud + 1, 25 * RATE_HZ).astype(np.int16)
    spans = [Span(start_s, end_s) for start_s, end_s in itertools.pairwise(ends)][::2]

    heard = _speech_speakers.voices(sound, spans, expected=expected)

    assert bool(heard) == bool(spans)
    assert [span.start_s for span, _ in heard] == sorted(span.start_s for span, _ in heard)
    numbers = [voice for _, voice in heard]
    assert list(dict.fromkeys(numbers)) == list(range(len(set(numbers))))


def turn(text: str, *, each_s: float = 0.4, from_s: float = 0.0) -> Turn:
    words = tuple(
        Word(text=word, start_s=from_s + at * each_s, end_s=from_s + (at + 1) * each_s)
        for at, word in enumerate(text.split())
    )
    return Turn(start_s=from_s, end_s=words[-1].end_s, text=text, words=words)


@pytest.mark.parametrize(
    ("text", "change_s", "parts"),
    [
        ("You're the marketing expert, okay.", 1.7, [(0, "You're the marketing expert, okay.")]),
        ("You're the marketing expert, okay.", 0.5, [(1, "You're the marketing expert, okay.")]),
        ("one two three four five six", 1.0, [(0, "one two"), (1, "three four five six")]),
        ("one two three four five six", 0.7, [(0, "one two"), (1, "three four five six")]),
        (
            "one two three four five six seven eight nine ten eleven twelve.",
            2.5,
            [(0, "one two three four five six"), (1, "seven eight nine ten eleven twelve.")],
        ),
    ],
    ids=["the end of a sentence", "its beginning", "no sentence", "within a word", "two sentences for all we know"],
)
def test_a_sentence_is_one_speakers_unless_much_of_it_is_anothers(
    text: str, change_s: float, parts: list[tuple[int, str]]
) -> None:
    heard = [(Span(0.0, change_s), 0), (Span(change_s, 9.0), 1)]

    made = _speech_speakers.attributed([turn(text)], heard)

    assert [(one.speaker, one.text) for one in made] == parts
    assert [word for one in made for word in one.words] == list(turn(text).words)
    assert all((one.start_s, one.end_s) == (one.words[0].start_s, one.words[-1].end_s) for one in made)


def test_a_word_between_two_speakers_words_is_joined_to_the_longer_side() -> None:
    heard = [(Span(0.0, 0.8), 0), (Span(0.8, 1.0), 1), (Span(1.0, 9.0), 2)]

    made = _speech_speakers.attributed([turn("a b c d e f g h", each_s=0.2)], heard)

    assert [(one.speaker, one.text) for one in made] == [(0, "a b c d e"), (2, "f g h")]


def test_who_says_what_nobody_was_heard_to_say_is_whoever_is_nearest() -> None:
    heard = [(Span(0.0, 1.0), 0), (Span(5.0, 6.0), 1)]
    wordless = Turn(start_s=4.0, end_s=4.5, text="Yes.")

    made = _speech_speakers.attributed([turn("no", from_s=1.5), wordless], heard)

    assert [one.speaker for one in made] == [0, 1]
    assert _speech_speakers.attributed([wordless], [])[0].speaker == 0
