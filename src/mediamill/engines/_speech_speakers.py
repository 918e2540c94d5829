"""Who speaks when, told by the sound of voices alone: a light diarisation, without a model.

Each stretch of speech is a cloud of cepstral coefficients; two stretches are one voice when a single Gaussian describes
both about as well as two do (the Bayesian information criterion), and the most alike are put together first. When in
doubt it is one speaker. Source: Chen and Gopalakrishnan, Speaker, environment and channel change detection and
clustering via the Bayesian information criterion, 1998.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from mediamill.core.speech import Turn
from mediamill.engines._speech_sound import RATE_HZ
from mediamill.engines._speech_voice import Span

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COEFFICIENTS = 16
_FRAME, _HOP, _FFT, _BANDS = 400, 160, 512, 26
_PENALTY = 2.0
"""Of BIC's cost of a second Gaussian. Frames of speech are far from independent, so the textbook's 1 sees a new voice
in every sentence."""
_EVIDENCE = 300
"""Frames that a stretch may count for at most. No voice is a Gaussian, so that with enough of it, anything would be
told from anything, if only for the words it says."""
_PENALTY_OF_A_CUT = 1.0
_LOOK_S = 3.0
"""How far a cut looks to both sides: two voices that take turns every few seconds are each heard alone in it."""
_SURE_S = 1.5
"""A shorter stretch says too little of a voice: it goes to the nearest of the others."""
_LEAST_VOICE_S = 2.0
"""A voice heard for less than this in all is more likely a fault of ours."""
_MOST = 160
"""Stretches that are compared with each other; the rest goes to the nearest cluster."""
_STEP_S = 0.25


@dataclass(frozen=True, slots=True)
class Cloud:
    """The count, sum and sum of squares of the frames of a stretch: enough for its Gaussian, and it adds up."""

    count: int
    total: NDArray[np.float64]
    squares: NDArray[np.float64]

    def __add__(self, other: Cloud) -> Cloud:
        return Cloud(self.count + other.count, self.total + other.total, self.squares + other.squares)

    def heard_for(self, frames: int) -> Cloud:
        """The same cloud, counting for no more than so many frames."""
        if self.count <= frames:
            return self
        share = frames / self.count
        return Cloud(frames, self.total * share, self.squares * share)

    def spread(self) -> float:
        """count · log |covariance| / 2."""
        import numpy as np

        mean = self.total / self.count
        covariance = self.squares / self.count - np.outer(mean, mean) + 1e-3 * np.eye(len(mean))
        return float(self.count * np.linalg.slogdet(covariance)[1] / 2)


def cloud(frames: NDArray[np.float32]) -> Cloud:
    """The Cloud of (n, COEFFICIENTS) frames."""
    import numpy as np

    wide = frames.astype(np.float64)
    return Cloud(len(wide), wide.sum(axis=0), wide.T @ wide)


def gap(one: Cloud, other: Cloud, penalty: float | None = None) -> float:
    """How much better two Gaussians are than one, above their cost: positive for two voices."""
    import numpy as np

    one, other = one.heard_for(_EVIDENCE), other.heard_for(_EVIDENCE)
    both = one + other
    cost = (COEFFICIENTS + COEFFICIENTS * (COEFFICIENTS + 1) / 2) / 2 * np.log(both.count)
    return float(both.spread() - one.spread() - other.spread() - (_PENALTY if penalty is None else penalty) * cost)


@cache
def _mel() -> NDArray[np.float32]:
    """(_FFT // 2 + 1, _BANDS) triangles from 60 Hz to 7.6 kHz, evenly spaced in mel."""
    import numpy as np

    def hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(700.0 * (10.0 ** (mel / 2595.0) - 1.0))

    low, high = (2595.0 * np.log10(1.0 + f / 700.0) for f in (60.0, 7600.0))
    edges = hertz(np.linspace(low, high, _BANDS + 2))
    bins = np.arange(_FFT // 2 + 1) * RATE_HZ / _FFT
    rise = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    bank: NDArray[np.float64] = np.maximum(0.0, np.minimum(rise, fall))
    return bank.astype(np.float32)


@cache
def _cosines() -> NDArray[np.float32]:
    import numpy as np

    at = np.pi / _BANDS * (np.arange(_BANDS)[:, None] + 0.5) * np.arange(1, COEFFICIENTS + 1)
    table: NDArray[np.float64] = np.cos(at) * np.sqrt(2.0 / _BANDS)
    return table.astype(np.float32)


def cepstra(sound: NDArray[np.int16]) -> NDArray[np.float32]:
    """(n, COEFFICIENTS) mel cepstra, 100 a second, without the loudness and without the quietest fifth of the frames,
    which is room rather than voice."""
    import numpy as np

    count = 1 + (len(sound) - _FRAME) // _HOP
    if count < 1:
        return np.zeros((0, COEFFICIENTS), np.float32)
    wave = sound.astype(np.float32) / 32768
    wave = np.append(wave[:1], wave[1:] - 0.97 * wave[:-1])
    frames = np.lib.stride_tricks.sliding_window_view(wave, _FRAME)[::_HOP][:count] * np.hamming(_FRAME)
    power = np.abs(np.fft.rfft(frames, _FFT)).astype(np.float32) ** 2
    bands = np.log(power @ _mel() + 1e-9)
    loudness = bands.mean(axis=1)
    made: NDArray[np.float32] = (bands @ _cosines())[loudness >= np.quantile(loudness, 0.2)]
    return made


def _parted(sound: NDArray[np.int16], span: Span) -> list[Span]:
    """The span, cut wherever the voice may change without a pause; what is one voice after all is joined later."""
    import numpy as np

    samples = span.samples(sound)
    step, width, least = round(_STEP_S * RATE_HZ), round(_LOOK_S / _STEP_S), round(_SURE_S / _STEP_S)
    pieces = [cloud(cepstra(samples[at : at + step])) for at in range(0, len(samples) - step + 1, step)]
    if len(pieces) < 2 * least:
        return [span]
    change = np.full(len(pieces), -np.inf)
    for at in range(least, len(pieces) - least + 1):
        before, after = (_sum(part) for part in (pieces[max(0, at - width) : at], pieces[at : at + width]))
        change[at] = gap(before, after, _PENALTY_OF_A_CUT)
    made: list[Span] = []
    begin_s = span.start_s
    for at in np.flatnonzero(change > 0).tolist():
        if change[at] == change[max(0, at - least) : at + least + 1].max():
            cut_s = span.start_s + at * _STEP_S
            made.append(Span(begin_s, cut_s))
            begin_s = cut_s
    return [*made, Span(begin_s, span.end_s)]


def _sum(clouds: Sequence[Cloud]) -> Cloud:
    first, *rest = clouds
    for one in rest:
        first = first + one
    return first


def voices(
    sound: NDArray[np.int16],
    spans: Sequence[Span],
    progress: Callable[[float], None] = lambda _: None,
    expected: int | None = None,
) -> list[tuple[Span, int]]:
    """The spans, cut where needed, each with a number for its voice: from 0, in the order in which they are heard.

    expected: more voices than that are not told apart.
    """
    parts: list[Span] = []
    for at, span in enumerate(spans):
        parts += _parted(sound, span)
        progress(0.8 * (at + 1) / len(spans))
    clouds = [cloud(cepstra(part.samples(sound))) for part in parts]
    by_length = sorted(range(len(parts)), key=lambda at: -clouds[at].count)
    sure = [at for at in by_length if parts[at].length_s >= _SURE_S and clouds[at].count > 2 * COEFFICIENTS][:_MOST]
    groups = _together([(clouds[at], [at]) for at in sure], expected)
    heard = [group for group in groups if group[0].count >= _LEAST_VOICE_S * 80] or groups[:1]
    number: dict[int, int] = {}
    for voice, (_, members) in enumerate(heard):
        number.update(dict.fromkeys(members, voice))
    told: list[tuple[Span, int]] = []
    order: dict[int, int] = {}
    for at, part in enumerate(parts):
        if at not in number:
            number[at] = _nearest(clouds[at], [group[0] for group in heard])
        told.append((part, order.setdefault(number[at], len(order))))
    progress(1.0)
    return told


def _together(groups: list[tuple[Cloud, list[int]]], most: int | None = None) -> list[tuple[Cloud, list[int]]]:
    """Merge the two most alike until no two are alike enough, and there are no more than `most`."""
    import numpy as np

    groups = list(groups)
    between = np.full((len(groups), len(groups)), np.inf)
    for i in range(1, len(groups)):
        between[i, :i] = between[:i, i] = _gaps(groups[i][0], [group[0] for group in groups[:i]])
    while len(groups) > 1:
        i, j = sorted(int(at) for at in np.unravel_index(between.argmin(), between.shape))
        if between[i, j] >= 0 and (most is None or len(groups) <= most):
            break
        groups[i] = groups[i][0] + groups[j][0], groups[i][1] + groups[j][1]
        del groups[j]
        between = np.delete(np.delete(between, j, axis=0), j, axis=1)
        between[i, :] = between[:, i] = _gaps(groups[i][0], [group[0] for group in groups])
        between[i, i] = np.inf
    return sorted(groups, key=lambda group: -group[0].count)


def _gaps(one: Cloud, others: Sequence[Cloud]) -> NDArray[np.float64]:
    """`gap` of one cloud to each of many, at once."""
    import numpy as np

    one = one.heard_for(_EVIDENCE)
    capped = [other.heard_for(_EVIDENCE) for other in others]
    counts = np.array([one.count + other.count for other in capped], np.float64)
    means = np.stack([one.total + other.total for other in capped]) / counts[:, None]
    squares = np.stack([one.squares + other.squares for other in capped]) / counts[:, None, None]
    spreads = squares - means[:, :, None] * means[:, None, :] + 1e-3 * np.eye(COEFFICIENTS)
    both = counts * np.linalg.slogdet(spreads)[1] / 2
    cost = (COEFFICIENTS + COEFFICIENTS * (COEFFICIENTS + 1) / 2) / 2 * np.log(counts)
    alone = one.spread() + np.array([other.spread() for other in capped])
    made: NDArray[np.float64] = both - alone - _PENALTY * cost
    return made


def _nearest(one: Cloud, others: Sequence[Cloud]) -> int:
    if one.count == 0 or len(others) < 2:
        return 0
    return min(range(len(others)), key=lambda at: gap(one, others[at]))


def attributed(turns: Sequence[Turn], heard: Sequence[tuple[Span, int]]) -> list[Turn]:
    """The turns with their speakers, parted where one turn's words are said by two."""
    made: list[Turn] = []
    for turn in turns:
        if not turn.words:
            made.append(replace(turn, speaker=_speaker(turn.start_s, turn.end_s, heard)))
            continue
        runs: list[tuple[int, list[int]]] = []
        for at, word in enumerate(turn.words):
            voice = _speaker(word.start_s, word.end_s, heard)
            if runs and runs[-1][0] == voice:
                runs[-1][1].append(at)
            else:
                runs.append((voice, [at]))
        for voice, members in runs:
            if len(runs) == 1:
                made.append(replace(turn, speaker=voice))
                continue
            words = tuple(turn.words[at] for at in members)
            made.append(
                replace(
                    turn,
                    speaker=voice,
                    words=words,
                    start_s=words[0].start_s,
                    end_s=words[-1].end_s,
                    text=" ".join(word.text for word in words),
                )
            )
    return made


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
