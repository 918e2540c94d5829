"""How far libwebp is with a picture, by what it says and by what that took.

It looks at all blocks of 16 by 16 pixels, which takes as long whatever they show; then codes them, which hangs on that;
then writes down the signs it has found, without a word meanwhile. These lie in memory until then: so that is how many
there are. Lossless, it takes another way with each picture: there, some of its tiles are written first, and each step
takes as much more as there is more of it.
"""

from __future__ import annotations

import bisect
import ctypes
import itertools
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from mediamill.engines._expected import Course
from mediamill.engines._processor import slowness, used_s

_TAKEN_S, _LOOKED_S = 10e-9, 2e-6
"""Processor seconds to take over a pixel, and to look at a block."""
_QUALITIES = (40, 80, 95)
_FLAT, _CHANGING, _ROUGH = 4.4, (0.3, 1.3, 2.7), (2.45, 2.85, 3.35)
"""What coding a block takes, in looks at it: one of one colour; how much more where anything changes, and for the
logarithm of the change from pixel to pixel, at these qualities. By 42 pictures, photos to drawings: half of them within
5 %, nine of ten within 11 %, before any of it is coded."""
_SIGNED, _SIGNED_ROUGH, _SMOOTH = (0.0, 0.22, 1.4), (0.77, 1.16, 1.7), 1.6
"""And writing the signs: where anything changes, and for the root of the change above that."""
_BLOCK_PX = 16
_SIGN, _PAGE = 2.4e-3, 130
"""What a byte of signs takes to be written, in looks at a block; and how much memory is taken for them at a time, in
bytes for each block of the picture."""
_ENDED = 1.15
"""Writing the signs, and what is done after that: the file."""
_LEAST = 0.2
"""Of what was expected of that which a picture shows is believed at least."""
_LOOKS_DOUBT, _DOUBT, _SIGNS_DOUBT = 19, 2.0, 4
"""Steps of the looks, and of the coding, after which what they took counts for as much as what was expected; and from
which on the signs found are believed."""
_MOST = 1.6
"""How many times as long as expected looks are believed to take: threads of other libraries may go on for a while."""
_LOOKS, _CODES = 19, 39
"""libwebp's per cent at which these steps are over: the first two go by blocks, 20 of a hundred each."""
_STEPS = 20


class Lossy:
    """Told libwebp's per cent of a picture in RGB or RGBA, at a quality. `clear_s`: seconds for what is see-through."""

    def __init__(self, course: Course, picture: Any, quality: float, *, clear_s: float = 0.0) -> None:
        self._course, self._clear_s = course, clear_s
        self._blocks: int = math.prod(-(-side // _BLOCK_PX) for side in picture.size)
        slow = slowness()
        self._look_s: float = _LOOKED_S * slow
        self._expected_s = self._look_s
        coding, writing = bands(picture, quality)
        self._bands: list[float] = [self._blocks / _STEPS * looks for looks in coding]
        self._writing: float = self._blocks * writing
        self._whole: float = sum(self._bands)
        self._steps: list[tuple[int, float]] = []
        self._began_s = 0.0
        self._held = 0
        taken_s = _TAKEN_S * slow * picture.width * picture.height
        course.at(taken_s, self._coding_s + self._looking_s + clear_s)

    @property
    def _looking_s(self) -> float:
        return self._look_s * self._blocks

    @property
    def _coding_s(self) -> float:
        """All that comes after the looks."""
        return (self._whole + self._writing * _ENDED) * self._look_s

    def __call__(self, percent: int) -> None:
        now_s = used_s()
        self._steps.append((percent, now_s))
        if percent < _LOOKS:
            first, begun_s = self._steps[0]
            expected_s = _LOOKS_DOUBT * self._expected_s * self._blocks / _STEPS
            looked = (percent - first + _LOOKS_DOUBT) / _STEPS * self._blocks
            self._look_s = min((now_s - begun_s + expected_s) / looked, _MOST * self._expected_s)
            left_s = self._looking_s / _STEPS
            self._course.at(left_s, (_LOOKS - percent) * left_s + self._coding_s + self._clear_s)
        elif percent < _CODES:
            self._code(percent - _LOOKS, now_s)
        else:
            self._course.at(0.0, 0.0)

    def _code(self, step: int, now_s: float) -> None:
        if step == 0:
            self._began_s, self._held = now_s, held_bytes() or 0
            first_s = self._bands[0] * self._look_s
            self._course.at(self._clear_s + first_s, max(0.0, self._coding_s - first_s))
            return
        if self._clear_s:
            # What is see-through was coded before the first step, which shows in no other way.
            self._began_s = max(self._began_s, now_s - step * 2 * self._bands[0] * self._look_s)
            self._clear_s = 0.0
        flat = self._blocks * _FLAT / _STEPS
        took, doubt = (now_s - self._began_s) / self._look_s, _DOUBT * self._whole / _STEPS
        shown = sum(self._bands[:step]) - step * flat
        # First what the picture shows is taken to be dearer than expected, or cheaper; and then the rest of it, all.
        dearer = (max(_LEAST * shown, took - step * flat) + doubt) / (shown + doubt)
        slower = (took + doubt) / (step * flat + shown * dearer + doubt)
        left_s = [(flat + (band - flat) * dearer) * slower * self._look_s for band in self._bands[step:]]
        writing_s = self._signs_s(step, shown)
        if step + 1 == _STEPS:  # it says no more before it has written all signs
            self._course.at(sum(left_s) + writing_s)
        else:
            self._course.at(left_s[0], sum(left_s[1:]) + writing_s)

    def _signs_s(self, step: int, shown: float) -> float:
        """Seconds to write the signs of all blocks. `shown`: what was to code more than were all of one colour."""
        expected_s = self._writing * self._look_s
        held = held_bytes()
        if held is None:
            return expected_s * _ENDED
        pages = (held - self._held) / self._blocks / _PAGE
        filled = pages - 0.5 if pages > 1.5 else 0.5 * step / _STEPS
        little = self._blocks * _LEAST
        times = (self._whole - self._blocks * _FLAT + little) / (shown + little * step / _STEPS)
        signs: float = filled * _PAGE * self._blocks * times
        sure = min(1.0, step / _SIGNS_DOUBT)
        return (sure * signs * _SIGN * self._look_s + (1 - sure) * expected_s) * _ENDED


class Lossless:
    """Told libwebp's per cent of a picture of which a sample was written before: `sampled` is what it said of that,
    with the seconds since its beginning, to its end at 100; `times` is how many times as large the picture is."""

    def __init__(self, course: Course, sampled: Sequence[tuple[int, float]], times: float) -> None:
        self._course = course
        self._at = [percent for percent, _ in sampled]
        self._took_s = [took_s * times for _, took_s in sampled]
        course.at(self._took_s[0], self._took_s[-1] - self._took_s[0])

    def __call__(self, percent: int) -> None:
        here = self._expected_s(percent)
        following = min(bisect.bisect_right(self._at, percent), len(self._at) - 1)
        following_s = max(here, self._took_s[following])
        self._course.at(following_s - here, self._took_s[-1] - following_s)

    def _expected_s(self, percent: int) -> float:
        return self._took_s[max(0, bisect.bisect_right(self._at, percent) - 1)]


def bands(picture: Any, quality: float) -> tuple[list[float], float]:
    """What coding takes in each twentieth of a picture's height, and writing in the whole of it, in looks at a block
    for each block. Of these, one line is looked at."""
    import numpy as np
    from PIL import Image

    down, across = max(_STEPS, picture.height // _BLOCK_PX), -(-picture.width // _BLOCK_PX)
    lines = np.asarray(picture.resize((picture.width, down), Image.Resampling.NEAREST).getchannel("G"))
    change = np.zeros((down, across * _BLOCK_PX), np.int16)
    change[:, 1 : picture.width] = np.abs(np.diff(lines.astype(np.int16)))
    mean = change.reshape(down, across, _BLOCK_PX).mean(2, dtype=np.float32)
    changing, rough, signed, signed_rough = (
        float(np.interp(quality, _QUALITIES, looks)) for looks in (_CHANGING, _ROUGH, _SIGNED, _SIGNED_ROUGH)
    )
    coding = _FLAT + changing * (mean > 0) + rough * np.log1p(mean)
    writing = signed * (mean > 0) + signed_rough * np.maximum(0, np.sqrt(mean) - _SMOOTH)
    ends = [down * step // _STEPS for step in range(_STEPS + 1)]
    return [float(coding[begin:end].mean()) for begin, end in itertools.pairwise(ends)], float(writing.mean())


class _Held(ctypes.Structure):
    """struct mallinfo2 of malloc.h, glibc from 2.33 on."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks"),
            "keepcost",
        )
    )


@cache
def _asking() -> Callable[[], Any] | None:
    asked = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if asked is not None:
        asked.restype = _Held
    return asked


def held_bytes() -> int | None:
    """Bytes that this process has been given by the C library and not given back, or None where it does not tell."""
    asked = _asking()
    if asked is None:
        return None
    held = asked()
    return int(held.uordblks + held.hblkhd)
