"""Captions of any words at all: what a viewer may rely on, and that no word is lost."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from mediamill.core.captions import (
    DELAY_S,
    GAP_S,
    LINE,
    LONGEST_S,
    MOST_CPS,
    SHORTEST_S,
    Caption,
    as_srt,
    as_vtt,
    captions,
    width,
)
from mediamill.core.speech import Turn, Word

MS = 0.0011
"""Times are written in whole milliseconds."""


@st.composite
def speech(draw: st.DrawFn) -> list[Turn]:
    """People talking, quickly at times, but not faster than can be read: each word takes its share of 19 letters a
    second or more, and nobody says less than a second at a time."""
    at_s = draw(st.floats(0, 100))
    turns = []
    for speaker in draw(st.lists(st.integers(0, 2), min_size=1, max_size=5)):
        texts = draw(st.lists(st.from_regex(r"[a-zA-Z']{1,14}[,.?]?", fullmatch=True), min_size=6, max_size=60))
        words = []
        for text in texts:
            length_s = (len(text) + 1) * draw(st.floats(0.053, 0.2))
            words.append(Word(start_s=at_s, end_s=at_s + length_s, text=text))
            at_s += length_s + draw(st.sampled_from([0.0, 0.0, 0.0, 0.05, 0.3, 0.7, 2.0]))
        at_s += 0.3
        turns.append(turn(words, speaker))
    return turns


@st.composite
def anything(draw: st.DrawFn) -> list[Turn]:
    """What a careless service or a hostile document may hold: any letters, any times that run forward."""
    at_s = 0.0
    turns = []
    for speaker in draw(st.lists(st.integers(0, 3), max_size=4)):
        words = []
        for text in draw(st.lists(st.text(min_size=1, max_size=120), min_size=1, max_size=30)):
            at_s += draw(st.sampled_from([0.0, 0.0, 0.1, 30.0]))
            length_s = draw(st.sampled_from([0.0, 0.001, 0.3, 20.0]))
            words.append(Word(start_s=at_s, end_s=at_s + length_s, text=text))
            at_s += length_s
        turns.append(turn(words, speaker))
    return turns


def turn(words: Sequence[Word], speaker: int) -> Turn:
    text = " ".join(word.text for word in words)
    return Turn(start_s=words[0].start_s, end_s=words[-1].end_s, text=text, words=tuple(words), speaker=speaker)


def letters(texts: Sequence[str]) -> str:
    """What can be seen of some texts."""
    return re.sub(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]", "", "".join(texts))


def said(one: Caption, turns: Sequence[Turn]) -> list[tuple[int, Word]]:
    """The words that a caption's time covers, with their speakers."""
    return [
        (part.speaker, word)
        for part in turns
        for word in part.words
        if one.start_s <= (word.start_s + word.end_s) / 2 <= one.end_s
    ]


@settings(max_examples=150, deadline=None)
@given(speech())
def test_speech_becomes_captions_that_can_be_read(turns: list[Turn]) -> None:
    made = captions(turns)

    for one in made:
        shown_s = one.end_s - one.start_s
        assert SHORTEST_S - MS <= shown_s <= LONGEST_S + MS
        assert sum(map(width, one.lines)) / shown_s <= MOST_CPS * 1.02
    for one, other in itertools.pairwise(made):
        assert other.start_s - one.end_s >= GAP_S - MS


@settings(max_examples=100, deadline=None)
@given(speech())
def test_a_caption_shows_with_its_words_and_never_two_speakers(turns: list[Turn]) -> None:
    words = iter([(part.speaker, word) for part in turns for word in part.words])
    for one in captions(turns):
        mine = [next(words) for _ in " ".join(one.lines).split()]

        assert " ".join(word.text for _, word in mine) == " ".join(one.lines)
        assert len({speaker for speaker, _ in mine}) == 1
        assert mine[0][1].start_s - MS <= one.start_s <= mine[0][1].start_s + DELAY_S + GAP_S + MS
        assert one.end_s >= mine[-1][1].end_s - DELAY_S - MS


@settings(max_examples=150, deadline=None)
@given(anything())
def test_whatever_comes_no_letter_is_lost_and_lines_and_order_hold(turns: list[Turn]) -> None:
    made = captions(turns)

    assert letters([line for one in made for line in one.lines]) == letters([w.text for t in turns for w in t.words])
    for one in made:
        assert 1 <= len(one.lines) <= 2
        assert all(line and width(line) <= LINE for line in one.lines)
        assert 0 <= one.start_s < one.end_s <= one.start_s + LONGEST_S + MS
    for one, other in itertools.pairwise(made):
        assert other.start_s - one.end_s >= GAP_S - MS


@settings(max_examples=100, deadline=None)
@given(anything())
def test_the_files_hold_a_cue_for_each_caption_and_nothing_that_looks_like_one(turns: list[Turn]) -> None:
    made = captions(turns)

    vtt, srt = as_vtt(made), as_srt(made)

    stamp = r"(?m)^\d\d:\d\d:\d\d{0}\d\d\d --> \d\d:\d\d:\d\d{0}\d\d\d$"
    assert vtt.startswith("WEBVTT\n")
    assert len(re.findall(stamp.replace("{0}", r"\."), vtt)) == len(made) == vtt.count("-->")
    assert len(re.findall(stamp.replace("{0}", ","), srt)) == len(made) == srt.count("-->")
    assert "<" not in vtt


def test_nothing_said_is_a_file_without_cues() -> None:
    assert captions([]) == []
    assert as_vtt([]) == "WEBVTT\n"
    assert as_srt([]) == "\n"
