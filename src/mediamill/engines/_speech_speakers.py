"""Who speaks when.

Ten seconds at a time, a network tells who of up to three talks when. Speech is parted into phrases at pauses and where
that changes; another network tells what the voice of each phrase is like, and the most alike are put together, rather
if the first took them for one, and rather not if it took them for two. When in doubt it is one speaker. After Bredin,
pyannote.audio 2.1 speaker diarization pipeline, 2023, whose windows are embedded whole: phrases do not mix two voices
where the first network does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

from mediamill import processors
from mediamill.core.speech import Turn, Word
from mediamill.engines._speech_sound import RATE_HZ
from mediamill.engines._speech_turns import ENDS
from mediamill.engines._speech_voice import Span
from mediamill.engines._speech_voiceprint import BEGINS_S, FRAMES, HOP, WINDOW, Likeness, Talking

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Frames = NDArray[np.bool_]

_STEP = 300
"""Frames from one window to the next: each moment is heard in two, with what is before it and with what is after."""
_FRAME_S = HOP / RATE_HZ
_TURN, _APART = 8, 15
"""Frames that somebody talks for before and after a change; and from one change to the next, at least."""
_LONGEST_S = 4.0
"""Of a phrase: enough to tell a voice by, and a change that was overheard spoils no more."""
_ALIKE = 0.39
"""The mean product of the voices of two groups of phrases from which on they are one. Phrases of one person have 0.4 to
0.9, those of two 0 to 0.4."""
_SAME, _OTHER = 0.1, -0.2
"""What is added for two phrases that the first network takes for one speaker's, or for two speakers'."""
_SURE_S = 1.0
"""A shorter phrase says too little of a voice to make groups by: it goes to the likest."""
_LEAST_VOICE_S = 1.5
"""A voice heard for less than this in all is more likely a fault of ours."""
_MOST = 2000
"""Phrases that are compared with each other, the longest; the rest goes to the likest."""
_STRAY, _STRAY_S, _STRAY_WORD_S = 0.5, 2.0, 0.3
"""Of a sentence, and in seconds: what is held for another speaker's, and is not, for people end their sentences
themselves; and where it is not known where sentences end."""
_TALKING_S, _LOAD_S, _LIKENESS_S = 0.033, 0.28, 0.012
"""Processor seconds for a window, to load the second network, and for a second of speech."""


@dataclass(slots=True, eq=False)
class _Phrase:
    """A stretch of speech, in frames of the whole sound."""

    begin: int
    end: int
    locals: dict[int, int] = field(default_factory=dict)
    """Who talks most in it, by the numbers of each window."""
    like: NDArray[np.float32] | None = None
    voice: int | None = None

    @property
    def length_s(self) -> float:
        return (self.end - self.begin) * _FRAME_S

    def tied(self, other: _Phrase) -> float:
        """What is added to how alike both are, for what the windows hold them for."""
        shared = self.locals.keys() & other.locals.keys()
        ties = [_SAME if self.locals[at] == other.locals[at] else _OTHER for at in shared]
        return sum(ties) / max(1, len(ties))


def voices(
    sound: NDArray[np.int16],
    spans: Sequence[Span],
    progress: Callable[[float], None] = lambda _: None,
    expected: int | None = None,
) -> list[tuple[Span, int]]:
    """Who speaks when within the spans, in order, each with a number: from 0, in the order in which they are heard.
    `progress` gets fractions of this work.

    expected: more voices than that are not told apart. Raises ToolFailed.
    """
    one = [(span, 0) for span in spans]
    if expected == 1:
        return one
    windows, alone = _windows(sound, spans, progress)
    phrases = _phrases(windows, _spoken(spans, len(alone)) & (alone > 0))
    if len(phrases) < 2:
        return one
    _liken(sound, phrases, alone == 1, progress, len(windows) * _TALKING_S)
    _name(phrases, expected)
    order: dict[int, int] = {}
    told = [
        (
            Span(phrase.begin * _FRAME_S + BEGINS_S, phrase.end * _FRAME_S + BEGINS_S),
            order.setdefault(phrase.voice, len(order)),
        )
        for phrase in phrases
        if phrase.voice is not None
    ]
    return told or one


def _spoken(spans: Sequence[Span], frames: int) -> Frames:
    import numpy as np

    made = np.zeros(frames, bool)
    for span in spans:
        made[round(span.start_s / _FRAME_S) : round(span.end_s / _FRAME_S)] = True
    return made


def _windows(
    sound: NDArray[np.int16], spans: Sequence[Span], progress: Callable[[float], None]
) -> tuple[Mapping[int, Frames], NDArray[np.int64]]:
    """(FRAMES, LOCALS) of each window in which somebody talks, by its number; and how many talk at once in each frame
    of the sound, as the windows say in the mean."""
    import numpy as np

    # The last window reaches the end.
    count = 1 + max(0, -(-(len(sound) - WINDOW) // (_STEP * HOP)))
    frames = (count - 1) * _STEP + FRAMES
    spoken = _spoken(spans, frames)
    wanted = [at for at in range(count) if spoken[at * _STEP : at * _STEP + FRAMES].any()]
    speech_s = sum(span.length_s for span in spans)
    all_s = len(wanted) * _TALKING_S + _LOAD_S + speech_s * _LIKENESS_S
    talking, windows = Talking(), {}
    said, looks = np.zeros(frames, np.int64), np.zeros(frames, np.int64)
    with ThreadPoolExecutor(processors.count()) as threads:
        answers = threads.map(lambda at: talking(sound[at * _STEP * HOP :][:WINDOW]), wanted)
        for done, (at, heard) in enumerate(zip(wanted, answers, strict=True), 1):
            windows[at] = heard
            said[at * _STEP : at * _STEP + FRAMES] += heard.sum(axis=1)
            looks[at * _STEP : at * _STEP + FRAMES] += 1
            progress(done * _TALKING_S / all_s)
    return windows, (2 * said + looks) // np.maximum(1, 2 * looks)


def _phrases(windows: Mapping[int, Frames], spoken: Frames) -> list[_Phrase]:
    """The stretches of speech, parted where the speakers change and where they are long."""
    import numpy as np

    cuts = np.zeros(len(spoken), bool)
    for at, heard in windows.items():
        who = heard @ np.array([1, 2, 4])
        edges = [0, *(np.flatnonzero(np.diff(who)) + 1).tolist(), FRAMES]
        for begin, middle, end in zip(edges, edges[1:], edges[2:], strict=False):
            if min(middle - begin, end - middle) >= _TURN and who[begin] and who[middle]:
                cuts[at * _STEP + middle] = True
    made: list[_Phrase] = []
    for begin, end in np.flatnonzero(np.diff(spoken, prepend=False, append=False)).reshape(-1, 2).tolist():
        bounds = [begin]
        for cut in (np.flatnonzero(cuts[begin:end]) + begin).tolist():
            if cut - bounds[-1] >= _APART:
                bounds.append(cut)
        for first, last in pairwise([*bounds, end]):
            parts = -(-(last - first) // round(_LONGEST_S / _FRAME_S))
            steps = [first + (last - first) * part // parts for part in range(parts + 1)]
            made += [_Phrase(*ends) for ends in pairwise(steps)]
    for phrase in made:
        for at in range(max(0, (phrase.begin - FRAMES) // _STEP), phrase.end // _STEP + 1):
            shared = windows.get(at, spoken[:0])[max(0, phrase.begin - at * _STEP) : max(0, phrase.end - at * _STEP)]
            if len(shared) >= _TURN and (most := shared.sum(axis=0)).max() > 0.6 * len(shared):
                phrase.locals[at] = int(most.argmax())
    return made


def _liken(
    sound: NDArray[np.int16],
    phrases: Sequence[_Phrase],
    alone: Frames,
    progress: Callable[[float], None],
    done_s: float,
) -> None:
    """Find out what the voice of each phrase is like. alone: where one talks and no other."""
    all_s = done_s + _LOAD_S + sum(phrase.length_s for phrase in phrases) * _LIKENESS_S
    likeness = Likeness()
    done_s += _LOAD_S

    def like(phrase: _Phrase) -> NDArray[np.float32] | None:
        begin = round((phrase.begin * _FRAME_S + BEGINS_S) * RATE_HZ)
        return likeness(sound[begin : begin + (phrase.end - phrase.begin) * HOP], alone[phrase.begin : phrase.end])

    with ThreadPoolExecutor(processors.count()) as threads:
        for phrase, made in zip(phrases, threads.map(like, phrases), strict=True):
            phrase.like = made
            done_s += phrase.length_s * _LIKENESS_S
            progress(done_s / all_s)


def _name(phrases: Sequence[_Phrase], expected: int | None) -> None:
    """Number the voices, those that talk most first."""
    import numpy as np

    known = sorted((phrase for phrase in phrases if phrase.like is not None), key=lambda phrase: -phrase.length_s)
    sure = [phrase for phrase in known if phrase.length_s >= _SURE_S][:_MOST] or known[:1]
    groups = sorted(_together(sure, expected), key=_length_s, reverse=True)
    heard = [group for group in groups if _length_s(group) >= _LEAST_VOICE_S] or groups[:1]
    if not heard:
        return
    centres = np.stack([sum(one.like * one.length_s for one in group if one.like is not None) for group in heard])
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    near: dict[int, list[_Phrase]] = {}
    for voice, group in enumerate(heard):
        for phrase in group:
            phrase.voice = voice
            for at in phrase.locals:
                near.setdefault(at, []).append(phrase)
    for phrase in known:
        if phrase.voice is None:
            likely = centres @ phrase.like
            ties: dict[int, list[float]] = {}
            for other in {id(one): one for at in phrase.locals for one in near.get(at, ())}.values():
                assert other.voice is not None
                ties.setdefault(other.voice, []).append(phrase.tied(other))
            for voice, held in ties.items():
                likely[voice] += sum(held) / len(held)
            phrase.voice = int(likely.argmax())


def _length_s(phrases: Sequence[_Phrase]) -> float:
    return sum(phrase.length_s for phrase in phrases)


def _together(found: Sequence[_Phrase], most: int | None) -> Iterator[list[_Phrase]]:
    """The phrases in groups of one speaker, no more than `most`: the two most alike are joined until none are."""
    import numpy as np

    if not found:
        return
    likes = np.stack([phrase.like for phrase in found if phrase.like is not None])
    alike = likes @ likes.T
    heard: dict[int, list[int]] = {}
    for number, phrase in enumerate(found):
        for at in phrase.locals:
            heard.setdefault(at, []).append(number)
    for one, other in {pair for numbers in heard.values() for pair in combinations(numbers, 2)}:
        alike[one, other] += found[one].tied(found[other])
        alike[other, one] = alike[one, other]
    np.fill_diagonal(alike, -np.inf)
    groups: dict[int, list[_Phrase]] = {number: [phrase] for number, phrase in enumerate(found)}
    nearest = alike.argmax(axis=1)
    while len(groups) > 1:
        one = int(alike[np.arange(len(found)), nearest].argmax())
        other = int(nearest[one])
        if alike[one, other] < _ALIKE and (most is None or len(groups) <= most):
            break
        share = _length_s(groups[one]) / (_length_s(groups[one]) + _length_s(groups[other]))
        alike[one] = alike[:, one] = share * alike[one] + (1 - share) * alike[other]
        alike[other] = alike[:, other] = alike[one, one] = -np.inf
        groups[one] += groups.pop(other)
        moved = np.union1d(np.flatnonzero((nearest == one) | (nearest == other)), [one, other])
        nearest[moved] = alike[moved].argmax(axis=1)
    yield from groups.values()


def attributed(turns: Sequence[Turn], heard: Sequence[tuple[Span, int]]) -> list[Turn]:
    """The turns with their speakers, parted where one turn's words are said by two."""
    made: list[Turn] = []
    for turn in turns:
        if not turn.words:
            made.append(replace(turn, speaker=_speaker(turn.start_s, turn.end_s, heard)))
            continue
        runs: list[tuple[int, list[Word]]] = []
        for word in turn.words:
            voice = _speaker(word.start_s, word.end_s, heard)
            if runs and runs[-1][0] == voice:
                runs[-1][1].append(word)
            else:
                runs.append((voice, [word]))
        runs = _whole(runs, sentence=turn.text.endswith(ENDS))
        if len(runs) == 1:
            made.append(replace(turn, speaker=runs[0][0]))
            continue
        for voice, words in runs:
            text = " ".join(word.text for word in words)
            start_s, end_s = words[0].start_s, words[-1].end_s
            made.append(replace(turn, speaker=voice, words=tuple(words), start_s=start_s, end_s=end_s, text=text))
    return made


def _whole(runs: list[tuple[int, list[Word]]], *, sentence: bool) -> list[tuple[int, list[Word]]]:
    """The runs of words, of which those that stray are joined to the longer neighbour."""

    def length_s(run: tuple[int, list[Word]]) -> float:
        return run[1][-1].end_s - run[1][0].start_s

    runs = list(runs)
    most_s = min(_STRAY_S, _STRAY * sum(map(length_s, runs))) if sentence else _STRAY_WORD_S
    while len(runs) > 1:
        at = min(range(len(runs)), key=lambda at: length_s(runs[at]))
        if length_s(runs[at]) > most_s:
            break
        sides = [side for side in (at - 1, at + 1) if 0 <= side < len(runs)]
        voice = runs[max(sides, key=lambda side: length_s(runs[side]))][0]
        runs[at] = voice, runs[at][1]
        joined: list[tuple[int, list[Word]]] = []
        for voice, words in runs:
            if joined and joined[-1][0] == voice:
                joined[-1] = voice, joined[-1][1] + words
            else:
                joined.append((voice, words))
        runs = joined
    return runs


def _speaker(start_s: float, end_s: float, heard: Sequence[tuple[Span, int]]) -> int:
    """The voice that is heard longest in a stretch; the nearest one where none is."""
    if not heard:
        return 0
    overlap: dict[int, float] = {}
    for span, voice in heard:
        shared = min(end_s, span.end_s) - max(start_s, span.start_s)
        if shared > 0:
            overlap[voice] = overlap.get(voice, 0.0) + shared
    if overlap:
        return max(overlap, key=lambda voice: overlap[voice])
    middle_s = (start_s + end_s) / 2
    return min(heard, key=lambda part: min(abs(part[0].start_s - middle_s), abs(part[0].end_s - middle_s)))[1]
