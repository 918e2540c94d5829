"""The blend modes, by the formulas of W3C Compositing and Blending Level 1, section 10, on premultiplied pictures.

    co = cs (1 - ab) + cb (1 - as) + as ab B(Cb, Cs)        ao = as + ab - as ab

with c premultiplied and C straight colours. B is kept as a table over all pairs of 8-bit values, so that a pixel is one
look-up, except where the formula itself is as cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from mediamill.engines._look_base import Blend, Picture, alpha4, opaque, times

Shares: TypeAlias = Any
"""Arrays of numbers in 0..1."""
Formula = Callable[[Shares, Shares], Shares]


def over(base: Picture, top: Picture) -> Picture:
    """The top picture laid over the base, as `none` does."""
    return cv2.add(times(base, cv2.bitwise_not(alpha4(top))), top)


def _multiply(b: Shares, s: Shares) -> Shares:
    return b * s


def _screen(b: Shares, s: Shares) -> Shares:
    return b + s - b * s


def _hard_light(b: Shares, s: Shares) -> Shares:
    return np.where(s <= 0.5, _multiply(b, 2 * s), _screen(b, 2 * s - 1))


def _overlay(b: Shares, s: Shares) -> Shares:
    return _hard_light(s, b)


def _color_dodge(b: Shares, s: Shares) -> Shares:
    lit = np.minimum(1, np.divide(b, 1 - s, out=np.ones_like(b * s), where=s < 1))
    return np.where(b == 0, 0, lit)


def _color_burn(b: Shares, s: Shares) -> Shares:
    burnt = 1 - np.minimum(1, np.divide(1 - b, s, out=np.ones_like(b * s), where=s > 0))
    return np.where(b == 1, 1, burnt)


def _soft_light(b: Shares, s: Shares) -> Shares:
    root = np.where(b <= 0.25, ((16 * b - 12) * b + 4) * b, np.sqrt(b))
    return np.where(s <= 0.5, b - (1 - 2 * s) * b * (1 - b), b + (2 * s - 1) * (root - b))


FORMULAS: Mapping[str, Formula] = {
    "multiply": _multiply,
    "screen": _screen,
    "overlay": _overlay,
    "darken": np.minimum,
    "lighten": np.maximum,
    "color_dodge": _color_dodge,
    "color_burn": _color_burn,
    "hard_light": _hard_light,
    "soft_light": _soft_light,
    "difference": lambda b, s: np.abs(b - s),
}

# The same with OpenCV's own arithmetic, on premultiplied opaque pictures.
OPAQUE: Mapping[str, Blend] = {
    "multiply": times,
    "screen": lambda b, s: cv2.bitwise_not(times(cv2.bitwise_not(b), cv2.bitwise_not(s))),
    "darken": cv2.min,
    "lighten": cv2.max,
    "difference": cv2.absdiff,
}


@lru_cache(16)
def _table(mode: str) -> NDArray[Any]:
    """B for every pair: entry base + 256 * top."""
    value = np.arange(256) / 255
    blended = FORMULAS[mode](value[None, :], value[:, None])
    return np.asarray(np.rint(np.clip(blended, 0, 1) * 255), np.uint8).reshape(-1)


@lru_cache(1)
def _straight_table() -> NDArray[Any]:
    """Straight colour of every pair: entry colour + 256 * alpha."""
    value = np.arange(256)
    colour = np.minimum(255, (value[None, :] * 255 + value[:, None] // 2) // np.maximum(value[:, None], 1))
    return np.asarray(colour, np.uint8).reshape(-1)


def _looked_up(known: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> NDArray[Any]:
    """Entry low + 256 * high of a table, for every byte."""
    pairs = cv2.merge([low.reshape(-1), high.reshape(-1)]).view("<u2")
    return np.asarray(known[pairs.reshape(-1)]).reshape(low.shape)


def _blending(mode: str) -> Blend:
    def blend(base: Picture, top: Picture) -> Picture:
        seen = cv2.extractChannel(top, 3)
        left, top_row, width, height = cv2.boundingRect(seen)
        if width == 0:
            return base.copy()
        if (height, width) != seen.shape:
            at = (slice(top_row, top_row + height), slice(left, left + width))
            out = base.copy()
            out[at] = _blended(mode, np.ascontiguousarray(base[at]), np.ascontiguousarray(top[at]))
            return out
        return _blended(mode, base, top)

    return blend


def _blended(mode: str, base: Picture, top: Picture) -> Picture:
    base_alpha = cv2.extractChannel(base, 3)
    solid = cv2.minMaxLoc(base_alpha)[0] == 255
    if solid and opaque(top):
        out = OPAQUE[mode](base, top) if mode in OPAQUE else _looked_up(_table(mode), base, top)
        cv2.insertChannel(base_alpha, out, 3)
        return out
    top_alpha4, base_alpha4 = alpha4(top), alpha4(base)
    below = base if solid else _looked_up(_straight_table(), base, base_alpha4)
    blend = _looked_up(_table(mode), below, _looked_up(_straight_table(), top, top_alpha4))
    both = top_alpha4 if solid else times(top_alpha4, base_alpha4)
    kept = times(base, cv2.bitwise_not(top_alpha4))
    out = cv2.add(kept, times(blend, both))
    if not solid:
        out = cv2.add(out, times(top, cv2.bitwise_not(base_alpha4)))
    alpha = cv2.extractChannel(over(base, top), 3)
    out = cv2.min(out, cv2.merge([alpha, alpha, alpha, alpha]))
    cv2.insertChannel(alpha, out, 3)
    return out


BLENDS: Mapping[str, Blend] = MappingProxyType({"none": over, **{mode: _blending(mode) for mode in FORMULAS}})
"""The ten of the contract, and `difference` for the motion of that name."""
