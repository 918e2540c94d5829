"""Words with times made into captions that can be read: the rules of broadcasters, as pure functions.

Two lines of 42 letters, at most 17 letters a second where there is room and 20 where there is little, five sixths of a
second to seven seconds, two frames between one caption and the next, a new one for a new speaker, cut where a clause
ends rather than inside it. Source: Netflix, Timed Text Style Guide, general requirements; BBC, Subtitle Guidelines;
EBU-TT-D's limits lie outside these.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mediamill.core.speech import Turn, Word

LINE = 42
EASY_CPS, MOST_CPS = 17.0, 20.0
SHORTEST_S, LONGEST_S = 5 / 6, 7.0
GAP_S = 2 / 24
"""Two frames of cinema; in faster films they are less."""
DELAY_S = 0.7
"""The latest a caption may come after its first word, when the one before needs the time."""
_FLASH_S = 0.25
"""Shorter is not seen at all: words piled on one instant are set one after another, be they late."""
_CHAIN_S = 0.5
"""A gap shorter than this reads as a flicker: the first caption stays until two frames before the second."""
_LINGER_S = 0.3
_SILENCE_S = 1.5
"""A pause in which a caption must not stand."""

_SENTENCE = re.compile(r"[.?!…。？！][\"'”’)\]]*$")
_CLAUSE = re.compile(r"[,;:،、；：–—][\"'”’)\]]*$")
_BEFORE_WORDS = """
and but or so because that which who when while if although than as of in on at to for with from by about into through
over under between und aber oder weil dass et mais ou que car y pero porque
"""
_BEFORE = frozenset(_BEFORE_WORDS.split())
"""Words that begin something: a line is better cut before them."""
_HOLDS_WORDS = """
a an the my your his her its our their this these those not no very is are was were be been to of in on at for with from
by and or but i you he she we they der die das ein eine le la les un une des el los las una
"""
_HOLDS = frozenset(_HOLDS_WORDS.split())
"""Words that lean on the next: a line is worse cut after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """One or two lines and when they show."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


def width(text: str) -> int:
    """Letters as a reader meets them: East Asian ones count twice, marks set on others not at all."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) != 0 for letter in text)


def captions(turns: Sequence[Turn], duration_s: float | None = None) -> list[Caption]:
    """The turns as captions: every word once, in order, never two at a time."""
    groups: list[list[Word]] = []
    for piece in _runs(turns):
        groups += _grouped(piece)
    return _timed(groups, duration_s)


def _runs(turns: Sequence[Turn]) -> list[list[Word]]:
    """The words of each stretch that may share captions: one speaker, no long silence."""
    made: list[list[Word]] = []
    speaker: int | None = None
    for turn in turns:
        for word in turn.timed():
            for part in _parts(word):
                last = made[-1][-1] if made else None
                if last is None or speaker != turn.speaker or part.start_s - last.end_s >= _SILENCE_S:
                    made.append([])
                    speaker = turn.speaker
                made[-1].append(part)
    return made


def _parts(word: Word) -> list[Word]:
    """The word without signs that are no letters, in parts that fit a line, which share its time."""
    texts: list[str] = []
    for text in "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in word.text).split():
        held = ""
        for letter in text:
            if held and width(held + letter) > LINE:
                texts.append(held)
                held = ""
            held += letter
        texts.append(held)
    step_s = (word.end_s - word.start_s) / max(1, len(texts))
    return [
        Word(start_s=word.start_s + at * step_s, end_s=word.start_s + (at + 1) * step_s, text=text)
        for at, text in enumerate(texts)
    ]


def _grouped(words: Sequence[Word]) -> list[list[Word]]:
    """The words of each caption: the cuts that cost least in all, by dynamic programming."""
    count = len(words)
    run = _Run(words)
    best = [0.0] + [float("inf")] * count
    back = [0] * (count + 1)
    for end in range(1, count + 1):
        pause_s = 0.0
        for start in range(end - 1, -1, -1):
            if end - start > 1:
                if not run.fits(start, end):
                    break
                pause_s = max(pause_s, words[start + 1].start_s - words[start].end_s)
            cost = best[start] + run.cost(start, end, pause_s)
            if cost < best[end]:
                best[end], back[end] = cost, start
    cuts = [count]
    while cuts[-1]:
        cuts.append(back[cuts[-1]])
    cuts.reverse()
    return [list(words[a:b]) for a, b in pairwise(cuts)]


class _Run:
    """Words that may share captions, with what is asked of every stretch of them worked out once."""

    def __init__(self, words: Sequence[Word]) -> None:
        self._words = words
        texts = [word.text for word in words]
        # Where each word would end, had everything one line; a stretch is as wide as the difference.
        self._ends = [0]
        self._begins = []
        for at, text in enumerate(texts):
            self._begins.append(self._ends[-1] + (at > 0 and not (_solid(texts[at - 1][-1]) and _solid(text[0]))))
            self._ends.append(self._begins[-1] + width(text))
        self._sentences = [0]
        for text in texts:
            self._sentences.append(self._sentences[-1] + (_SENTENCE.search(text) is not None))
        self._cuts = [_cut(one.text, other.text, other.start_s - one.end_s) for one, other in pairwise(words)]

    def _width(self, start: int, end: int) -> int:
        return self._ends[end] - self._begins[start]

    def fits(self, start: int, end: int) -> bool:
        """Whether the words from `start` up to `end` go into one caption."""
        if self._words[end - 1].end_s - self._words[start].start_s > LONGEST_S:
            return False
        if self._width(start, end) <= LINE:
            return True
        # As much as possible goes into the first line; the rest must go into the second.
        first = bisect_right(self._ends, self._begins[start] + LINE) - 1
        return first > start and self._width(first, end) <= LINE

    def cost(self, start: int, end: int, pause_s: float) -> float:
        """What a caption of these words costs a reader; `pause_s` is the longest pause in it."""
        words = self._words
        last = end == len(words)
        begin_s = words[start].start_s
        room_s = (words[end - 1].end_s + 1.0 if last else words[end].start_s) - begin_s - GAP_S
        length = self._width(start, end)
        cost = 1.0 if last else 1.0 + self._cuts[end - 1]
        cost += 4.0 * max(0.0, SHORTEST_S - room_s)
        cost += 0.5 * max(0.0, length / max(room_s, 0.05) - EASY_CPS)
        cost += 1.5 * max(0.0, pause_s - 0.4)
        # A sentence that ends in the middle of a caption gives away what comes next.
        cost += 0.8 * (self._sentences[end - 1] - self._sentences[start])
        return cost + (0.4 if length < 12 and end - start < 3 else 0.0)


def _cut(before: str, after: str, pause_s: float) -> float:
    """What a cut between two words costs."""
    if _SENTENCE.search(before):
        return 0.0
    if _CLAUSE.search(before):
        cost = 0.3
    elif before.lower() in _HOLDS:
        cost = 4.0
    elif after.lower() in _BEFORE:
        cost = 1.4
    else:
        cost = 2.4
    return cost * max(0.2, 1.0 - pause_s / 0.5)


def _joined(texts: Sequence[str]) -> str:
    """Words as a line: spaces between them, but not between those of scripts that use none."""
    made = ""
    for text in texts:
        made += text if not made or (_solid(made[-1]) and _solid(text[0])) else f" {text}"
    return made


def _solid(letter: str) -> bool:
    """Whether a letter is of a script without spaces: Chinese and Japanese, not Korean."""
    return unicodedata.east_asian_width(letter) in "WF" and not "\uac00" <= letter <= "\ud7a3"


def _lines(texts: Sequence[str]) -> tuple[str, ...]:
    """The words as one line, or as two cut where it hurts least. They must fit."""
    whole = _joined(texts)
    if width(whole) <= LINE:
        return (whole,)
    found: list[tuple[float, tuple[str, str]]] = []
    for at in range(1, len(texts)):
        above, below = _joined(texts[:at]), _joined(texts[at:])
        if width(above) <= LINE and width(below) <= LINE:
            # Of lines cut equally well, the more even; then the one with the shorter line above the picture's middle.
            uneven = abs(width(above) - width(below)) / LINE + (0.1 if width(above) > width(below) else 0.0)
            found.append((_cut(texts[at - 1], texts[at], 0.0) + 1.5 * uneven, (above, below)))
    return min(found)[1]


def _timed(groups: Sequence[Sequence[Word]], duration_s: float | None) -> list[Caption]:
    made: list[Caption] = []
    free_s = 0.0
    for at, group in enumerate(groups):
        lines = _lines([word.text for word in group])
        letters = sum(map(width, lines))
        start_s = max(group[0].start_s, free_s)
        spoken_s = min(group[-1].end_s, start_s + LONGEST_S)
        easy_s = max(start_s + SHORTEST_S, start_s + letters / EASY_CPS, spoken_s + _LINGER_S)
        least_s = max(start_s + SHORTEST_S, start_s + letters / MOST_CPS, spoken_s)
        if at + 1 < len(groups):
            next_s = groups[at + 1][0].start_s - GAP_S
            if easy_s > next_s - _CHAIN_S and next_s > least_s:
                end_s = next_s
            else:
                end_s = min(easy_s, max(next_s, min(least_s, next_s + DELAY_S)))
        else:
            # The film ends when it ends, but what is said last must be seen.
            end_s = easy_s if duration_s is None else min(easy_s, max(duration_s, start_s + SHORTEST_S))
        end_s = max(min(end_s, start_s + LONGEST_S), start_s + _FLASH_S)
        start_ms, end_ms = round(start_s * 1000), round(end_s * 1000)
        made.append(Caption(start_s=start_ms / 1000, end_s=end_ms / 1000, lines=lines))
        free_s = end_ms / 1000 + GAP_S
    return made


def as_vtt(found: Sequence[Caption]) -> str:
    """A WebVTT file."""
    return "\n".join(["WEBVTT\n", *(_cue(one, ".", _escaped) for one in found)])


def as_srt(found: Sequence[Caption]) -> str:
    """A SubRip file; of none, a blank line."""
    return "\n".join(f"{number}\n{_cue(one, ',', _arrowless)}" for number, one in enumerate(found, 1)) or "\n"


def _escaped(line: str) -> str:
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _arrowless(line: str) -> str:
    return line.replace("-->", "→")  # SubRip has no escapes, and its readers look for this anywhere


def _cue(one: Caption, point: str, write: Callable[[str], str]) -> str:
    times = f"{stamp(one.start_s, point)} --> {stamp(one.end_s, point)}"
    return "\n".join([times, *map(write, one.lines)]) + "\n"


def stamp(instant_s: float, point: str) -> str:
    """HH:MM:SS.mmm with the decimal point of the format."""
    seconds, ms = divmod(round(instant_s * 1000), 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{ms:03}"
