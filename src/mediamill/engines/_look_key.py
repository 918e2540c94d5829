"""The chroma key: a range of colours becomes transparent, softly, and its shine on what is left is taken away."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import cv2
import numpy as np

from mediamill.engines._look_base import (
    Effect,
    Mask,
    Moment,
    Picture,
    Settings,
    blurred,
    opaque,
    shaded,
    straight,
)

GREEN: Mapping[str, float] = {
    "hue_min": 75.0, "hue_max": 165.0, "sat_min": 0.22, "sat_max": 1.0, "lum_min": 0.10, "lum_max": 0.92,
}  # fmt: skip
"""What is keyed without settings: a lit green screen, HSL."""

HUE_SOFT, SHARE_SOFT = 12.0, 0.08
"""How far beyond a range a pixel is still partly keyed, in degrees and in shares."""


def _inside(value: np.ndarray[tuple[int, ...], np.dtype[np.float64]], low: float, high: float, soft: float) -> Picture:
    """255 in the range, less beyond it. A range that reaches 0 or 1 has no soft edge there."""
    away = np.maximum(low - value, value - high)
    return np.asarray(np.rint(np.clip(1 - away / soft, 0, 1) * 255), np.uint8)


@lru_cache(8)
def _tables(hue_min: float, hue_max: float, sat_min: float, sat_max: float, lum_min: float, lum_max: float) -> Picture:
    """For every level of hue, lightness and saturation how far it is keyed. A hue range may pass through 0."""
    level = np.arange(256)
    wide = hue_max - hue_min
    span = wide if abs(wide) >= 360 else wide % 360
    middle = hue_min + span / 2
    hue = level * (360 / 256)
    away = np.abs((hue - middle + 180) % 360 - 180) - span / 2
    by_hue = np.rint(np.clip(1 - away / HUE_SOFT, 0, 1) * 255).astype(np.uint8)
    share = level / 255
    by_lum = _inside(share, lum_min, lum_max, SHARE_SOFT)
    by_sat = _inside(share, sat_min, sat_max, SHARE_SOFT)
    return np.stack([by_hue, by_lum, by_sat], axis=1).reshape(1, 256, 3)


def chroma_key(picture: Picture, _: Moment, intensity: float, settings: Settings) -> Picture:
    """Pixels whose hue (degrees), saturation and lightness (0 to 1, HSL) all lie in the ranges become transparent."""
    told = {name: value for name, value in settings.items() if name in GREEN and value is not None}
    key = {name: float(value) for name, value in {**GREEN, **told}.items()}
    solid = opaque(picture)
    colours = picture if solid else straight(picture)
    hls = cv2.cvtColor(cv2.cvtColor(colours, cv2.COLOR_RGBA2RGB), cv2.COLOR_RGB2HLS_FULL)
    known = _tables(**key)
    by_hue, by_lum, by_sat = (
        cv2.LUT(level, np.ascontiguousarray(known[0, :, number])) for number, level in enumerate(cv2.split(hls))
    )
    matte = cv2.min(cv2.min(by_hue, by_lum, dst=by_hue), by_sat, dst=by_hue)
    *channels, alpha = cv2.split(colours)
    primary = _primary(key)
    first, second = (channels[number] for number in range(3) if number != primary)
    excess = cv2.subtract(channels[primary], cv2.max(first, second))
    soft = _edged(matte, excess)
    # Near the key its own primary is held down to the mean of the other two: the rest is its shine.
    near = cv2.convertScaleAbs(blurred(soft, max(1.0, colours.shape[0] / 60)), alpha=3)
    spill = cv2.subtract(channels[primary], cv2.addWeighted(first, 0.5, second, 0.5, 0))
    channels[primary] = cv2.subtract(channels[primary], cv2.multiply(spill, near, dst=spill, scale=1 / 255))
    kept = cv2.bitwise_not(cv2.convertScaleAbs(soft, alpha=intensity))
    if not solid:
        kept = cv2.multiply(kept, alpha, scale=1 / 255)
    return cv2.merge([*shaded(channels, kept), kept])


def _primary(key: Mapping[str, float]) -> int:
    """Which of red, green and blue is nearest to the middle of the hues."""
    middle = key["hue_min"] + (key["hue_max"] - key["hue_min"]) % 360 / 2
    return round(middle % 360 / 120) % 3


def _edged(matte: Mask, excess: Mask) -> Mask:
    """The matte with a true edge: along it a pixel is keyed by the share of the wall's light in it.

    excess: by how much the key's primary stands out in each pixel. What it is on the bare wall is seen close by.
    """
    height = matte.shape[0]
    reach = max(1, round(height / 360))
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    within, band = cv2.erode(matte, square), cv2.dilate(matte, square)
    wide = max(2.0, height / 80)
    wall = cv2.divide(blurred(cv2.multiply(excess, matte, scale=1 / 255), wide), blurred(matte, wide), scale=255)
    share = cv2.divide(excess, wall, scale=255)
    # Where the key is no colour, as with black, its light cannot be told from that of what stands before it.
    share = cv2.copyTo(matte, cv2.inRange(wall, 0, 20), share)
    return cv2.max(within, cv2.min(band, share))


EFFECTS: Mapping[str, Effect] = {"chroma_key": chroma_key}
