"""Where people are in a clip, held steady: each frame goes by those around it, the same ones in a film and a preview.

A network that sees one frame at a time finds somebody in one and nobody in the next, and its edges tremble. So a frame
has the mask of its own where somebody is found in it, else what lies between its neighbours'; what stands still is
averaged over five frames; and how far masks count at all follows from the share of frames with people in the second
around, so that people and the middle of the picture never take turns from frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from mediamill.core.matting import Masks
from mediamill.engines._look_base import Mask, Picture, smooth

_REACH_S = 0.5
_AHEAD_BYTES = 96 << 20
"""Of frames that are kept until those after them have been looked at."""
_NEAR = 2
"""Frames before and after that are averaged where nothing moves."""
_STILL = 5.6
"""Change of brightness, in levels, over a few pixels together, that is noise (see `_matting.Steady`)."""
_FEW, _MANY = 0.1, 0.4
"""Share of frames with somebody in them below which there is nobody, and above which there is."""
SMALL = 512
"""Longer side of the pictures in which people are looked for."""
_SIDES = 256, 256
"""Of masks, as the network for people has them."""


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a frame showed: where people are (None where nobody is), and its brightness at the mask's size."""

    mask: Mask | None
    light: Mask


def reach(rate: int, size_bytes: int) -> int:
    """How many frames on each side are looked at."""
    return min(max(1, round(_REACH_S * rate)), max(_NEAR, _AHEAD_BYTES // max(1, size_bytes)))


def small(picture: Picture) -> Picture:
    """A picture of three channels, no larger than a network will look at closely."""
    high, wide = picture.shape[:2]
    scale = SMALL / max(high, wide)
    if scale >= 1:
        return picture
    size = max(1, round(wide * scale)), max(1, round(high * scale))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


class Crowd:
    """The people of one clip. Its frames are shown to it in order, each once; those around a frame before its matte is
    asked for."""

    def __init__(self, masks: Masks, reach: int) -> None:
        self._masks = masks
        self._reach = reach
        self._seen: dict[int, _Seen] = {}
        self._last: tuple[Picture, _Seen] | None = None

    def see(self, step: int, rgb: Picture) -> None:
        """The frame of that step, small."""
        if self._last is None or not np.array_equal(self._last[0], rgb):
            mask = self._masks(rgb)
            if mask is not None:
                mask = np.asarray(cv2.resize(mask, _SIDES, interpolation=cv2.INTER_LINEAR), np.uint8)
            light = cv2.resize(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), _SIDES, interpolation=cv2.INTER_AREA)
            self._last = rgb, _Seen(mask, np.asarray(cv2.blur(light, (5, 5)), np.uint8))
        self._seen[step] = self._last[1]
        for old in [known for known in self._seen if known < step - 2 * self._reach]:
            del self._seen[old]

    def matte(self, step: int) -> tuple[Mask, float] | None:
        """Where people are at that step, in a size of its own, and how far that counts; None where nobody is."""
        share = self._share(step)
        if share <= 0:
            return None
        own = self._seen[step].light
        total, weights = np.zeros(own.shape, np.float32), np.zeros(own.shape, np.float32)
        for other in range(step - _NEAR, step + _NEAR + 1):
            if other not in self._seen or (mask := self._mask(other, step)) is None:
                continue
            near = np.float32(1 - abs(other - step) / (_NEAR + 1))
            if other == step:
                weight = np.full(own.shape, near, np.float32)
            else:
                moved = cv2.absdiff(self._seen[other].light, own).astype(np.float32) * np.float32(1 / _STILL)
                weight = near * np.exp(-(moved * moved))
            total += weight * mask
            weights += weight
        if not weights.any():
            return None
        return np.asarray(np.rint(total / np.maximum(weights, 1e-6)), np.uint8), share

    def _share(self, step: int) -> float:
        """How far there is anybody, by the frames around, the nearest counting most."""
        found = whole = 0.0
        for other in range(step - self._reach, step + self._reach + 1):
            if (seen := self._seen.get(other)) is not None:
                weight = 1 - abs(other - step) / (self._reach + 1)
                whole += weight
                found += weight * (seen.mask is not None)
        return smooth(_FEW, _MANY, found / whole) if whole else 0.0

    def _mask(self, step: int, about: int) -> Mask | None:
        """The mask of a step: its own, else between its neighbours', no further from `about` than is looked."""
        own = self._seen[step].mask
        if own is not None:
            return own
        before = after = None
        for away in range(1, 2 * self._reach + 1):
            if before is None and step - away >= about - self._reach:
                before = self._found(step - away, away)
            if after is None and step + away <= about + self._reach:
                after = self._found(step + away, away)
        if before is None or after is None:
            one = before or after
            return None if one is None else one[0]
        share = before[1] / (before[1] + after[1])
        return np.asarray(cv2.addWeighted(before[0], 1 - share, after[0], share, 0), np.uint8)

    def _found(self, step: int, away: int) -> tuple[Mask, int] | None:
        seen = self._seen.get(step)
        return None if seen is None or seen.mask is None else (seen.mask, away)
