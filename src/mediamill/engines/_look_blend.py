"""The blend modes, by the formulas of W3C Compositing and Blending Level 1, section 10, on premultiplied pictures.

    co = cs (1 - ab) + cb (1 - as) + as ab B(Cb, Cs)        ao = as + ab - as ab

with c premultiplied and C straight colours. Each B is put in saturating arithmetic on bytes without a branch: where a
formula has two cases, one of the terms saturates to 0 in each.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import cv2
import numpy as np

from mediamill.engines._look_base import Blend, Picture, alpha4, four, screened, straight, times


def over(base: Picture, top: Picture) -> Picture:
    """The top picture laid over the base, as `none` does."""
    return cv2.add(times(base, cv2.bitwise_not(alpha4(top))), top)


def _hard_light(b: Picture, s: Picture) -> Picture:
    return screened(times(b, cv2.add(s, s)), cv2.subtract(s, cv2.bitwise_not(s)))


def _overlay(b: Picture, s: Picture) -> Picture:
    return _hard_light(s, b)


def _color_dodge(b: Picture, s: Picture) -> Picture:
    # Dividing by 1 instead of 0 saturates all but black, as the formula wants.
    return cv2.divide(b, cv2.LUT(s, _AWAY), scale=255)


def _color_burn(b: Picture, s: Picture) -> Picture:
    return cv2.bitwise_not(cv2.divide(cv2.bitwise_not(b), cv2.LUT(s, _SOME), scale=255))


_SOME = np.maximum(np.arange(256), 1).astype(np.uint8)
_AWAY = np.ascontiguousarray(_SOME[::-1])
_B = np.arange(256) / 255
_ROOT = np.where(_B <= 0.25, ((16 * _B - 12) * _B + 4) * _B, np.sqrt(_B))
_DARKER = np.rint(255 * _B * (1 - _B)).astype(np.uint8)
_LIGHTER = np.rint(255 * (_ROOT - _B)).astype(np.uint8)


def _soft_light(b: Picture, s: Picture) -> Picture:
    back = cv2.bitwise_not(s)
    darker = times(cv2.LUT(b, _DARKER), cv2.subtract(back, s))
    return cv2.add(cv2.subtract(b, darker), times(cv2.LUT(b, _LIGHTER), cv2.subtract(s, back)))


STRAIGHT: Mapping[str, Blend] = {
    "multiply": times,
    "screen": screened,
    "overlay": _overlay,
    "darken": lambda b, s: cv2.min(b, s),
    "lighten": lambda b, s: cv2.max(b, s),
    "color_dodge": _color_dodge,
    "color_burn": _color_burn,
    "hard_light": _hard_light,
    "soft_light": _soft_light,
    "difference": lambda b, s: cv2.absdiff(b, s),
}
"""B of each mode, on straight colours; the alpha of the outcome means nothing."""

ON_OPAQUE: Mapping[str, Blend] = {
    "multiply": lambda b, s: times(b, cv2.add(s, cv2.bitwise_not(alpha4(s)))),
    "screen": screened,
    "darken": lambda b, s: cv2.min(b, over(b, s)),
    "lighten": lambda b, s: cv2.max(b, over(b, s)),
}
"""The whole formula where ab is 1, of those for which it needs no straight colours."""


def _blending(mode: str) -> Blend:
    def blend(base: Picture, top: Picture) -> Picture:
        """Only where the top picture shows is there anything to do."""
        left, above, width, height = cv2.boundingRect(cv2.extractChannel(top, 3))
        if width == 0:
            return base.copy()
        if (height, width) == top.shape[:2]:
            return _blended(mode, base, top)
        at = (slice(above, above + height), slice(left, left + width))
        out = base.copy()
        out[at] = _blended(mode, np.ascontiguousarray(base[at]), np.ascontiguousarray(top[at]))
        return out

    return blend


def _blended(mode: str, base: Picture, top: Picture) -> Picture:
    base_alpha, top_alpha = cv2.extractChannel(base, 3), cv2.extractChannel(top, 3)
    base_solid, top_solid = (cv2.minMaxLoc(alpha)[0] == 255 for alpha in (base_alpha, top_alpha))
    known = ON_OPAQUE.get(mode) if base_solid and not top_solid else None
    if known is not None:
        out = known(base, top)
    else:
        out = STRAIGHT[mode](base if base_solid else straight(base), top if top_solid else straight(top))
    if known is not None or (base_solid and top_solid):
        cv2.insertChannel(base_alpha, out, 3)
        return out
    shares = four(top_alpha if base_solid else cv2.multiply(top_alpha, base_alpha, scale=1 / 255))
    out = times(out, shares)
    if not top_solid:
        out = cv2.add(out, times(base, cv2.bitwise_not(four(top_alpha))))
    if not base_solid:
        out = cv2.add(out, times(top, cv2.bitwise_not(four(base_alpha))))
    alpha = cv2.add(top_alpha, cv2.multiply(base_alpha, cv2.bitwise_not(top_alpha), scale=1 / 255))
    out = cv2.min(out, four(alpha))
    cv2.insertChannel(alpha, out, 3)
    return out


BLENDS: Mapping[str, Blend] = MappingProxyType({"none": over, **{mode: _blending(mode) for mode in STRAIGHT}})
"""The ten of the contract, and `difference` for the motion of that name."""
