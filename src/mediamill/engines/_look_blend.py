"""The blend modes, by the formulas of W3C Compositing and Blending Level 1, section 10, on premultiplied pictures.

    co = cs (1 - ab) + cb (1 - as) + as ab B(Cb, Cs)        ao = as + ab - as ab

with c premultiplied and C straight colours. Skia works these out in one pass, which is the quickest wherever something
shines through, as no straight colours are needed for it. On an opaque base some modes are as quick in OpenCV's
saturating arithmetic on bytes, and nearer to the formula by half a level.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np

from mediamill.engines import _skia
from mediamill.engines._look_base import Blend, Picture, alpha4, clipped, four, opaque, screened, times


def over(base: Picture, top: Picture) -> Picture:
    """The top picture laid over the base, as `none` does."""
    out = four(cv2.bitwise_not(cv2.extractChannel(top, 3)))
    cv2.multiply(base, out, dst=out, scale=1 / 255)
    return cv2.add(out, top, dst=out)


def _color_dodge(b: Picture, s: Picture) -> Picture:
    # Dividing by 1 instead of 0 saturates all but black, as the formula wants.
    return cv2.divide(b, _some(cv2.bitwise_not(s)), scale=255)


def _color_burn(b: Picture, s: Picture) -> Picture:
    out = cv2.bitwise_not(b)
    cv2.divide(out, _some(s.copy()), dst=out, scale=255)
    return cv2.bitwise_not(out, dst=out)


def _some(picture: Picture) -> Picture:
    """The picture, in its own place, without noughts."""
    return np.maximum(picture, 1, out=picture)  # OpenCV takes a picture of one pixel for a scalar


IN_SKIA: Mapping[str, str] = {
    "multiply": "kMultiply",
    "screen": "kScreen",
    "overlay": "kOverlay",
    "darken": "kDarken",
    "lighten": "kLighten",
    "color_dodge": "kColorDodge",
    "color_burn": "kColorBurn",
    "hard_light": "kHardLight",
    "soft_light": "kSoftLight",
    "difference": "kDifference",
}

ON_OPAQUE: Mapping[str, Blend] = {
    "multiply": times,
    "screen": screened,
    "darken": lambda b, s: cv2.min(b, s),
    "lighten": lambda b, s: cv2.max(b, s),
    "color_dodge": _color_dodge,
    "color_burn": _color_burn,
    "difference": lambda b, s: cv2.absdiff(b, s),
}
"""B of the modes that are quicker so when nothing shines through; the alpha of the outcome means nothing."""


def _difference(b: Picture, s: Picture) -> Picture:
    shared = alpha4(s)
    cv2.multiply(b, shared, dst=shared, scale=1 / 255)
    cv2.min(s, shared, dst=shared)
    rest = cv2.subtract(s, shared)
    return cv2.add(rest, cv2.subtract(b, shared, dst=shared), dst=rest)


ON_OPAQUE_BASE: Mapping[str, Blend] = {
    "multiply": lambda b, s: times(b, cv2.add(s, four(cv2.bitwise_not(cv2.extractChannel(s, 3))))),
    "screen": screened,
    "darken": lambda b, s: cv2.min(b, over(b, s)),
    "lighten": lambda b, s: cv2.max(b, over(b, s)),
    "difference": _difference,
}
"""The whole formula where ab is 1, of those for which it needs no straight colours."""


def _blending(mode: str) -> Blend:
    def blend(base: Picture, top: Picture) -> Picture:
        """Only where the top picture shows is there anything to do."""
        solid = opaque(base)
        if solid and mode in ON_OPAQUE and opaque(top):
            return _closed(ON_OPAQUE[mode](base, top))
        shows = cv2.extractChannel(top, 3)
        left, above, width, height = cv2.boundingRect(shows)
        if width == 0:
            return base.copy()
        whole = (height, width) == shows.shape
        if whole and solid and mode in ON_OPAQUE_BASE:
            return _closed(ON_OPAQUE_BASE[mode](base, top))
        at = (slice(above, above + height), slice(left, left + width))
        if not whole:
            top = np.ascontiguousarray(top[at])
        out = base.copy()
        if solid and mode in ON_OPAQUE_BASE:
            out[at] = ON_OPAQUE_BASE[mode](np.ascontiguousarray(base[at]), top)
            return _closed(out)
        _paint(mode, out, top, left, above)
        # Where Skia rounds colour and alpha each its own way, a colour may come out one level above alpha.
        return out if solid else clipped(out, out)

    return blend


def _closed(picture: Picture) -> Picture:
    """The picture, in which nothing shines through whatever its alpha was."""
    if not opaque(picture):
        cv2.insertChannel(np.full(picture.shape[:2], 255, np.uint8), picture, 3)
    return picture


def _paint(mode: str, out: Picture, top: Picture, left: int, above: int) -> None:
    """Blends the top picture into `out`, with its upper left corner at (left, above)."""
    skia = _skia.skia()

    def shape(picture: Picture) -> Any:
        return skia.ImageInfo.Make(
            picture.shape[1], picture.shape[0], skia.kRGBA_8888_ColorType, skia.kPremul_AlphaType
        )

    surface = skia.Surface.MakeRasterDirect(shape(out), out, out.strides[0])
    image = skia.Image.MakeRasterData(shape(top), skia.Data.MakeWithoutCopy(top), top.strides[0])
    paint = skia.Paint(BlendMode=getattr(skia.BlendMode, IN_SKIA[mode]))
    surface.getCanvas().drawImage(image, left, above, skia.SamplingOptions(), paint)


BLENDS: Mapping[str, Blend] = MappingProxyType({"none": over, **{mode: _blending(mode) for mode in IN_SKIA}})
"""The ten of the contract, and `difference` for the motion of that name."""
