"""Effects that change colours alone, each pixel by itself or nearly so."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

import cv2
import numpy as np

from mediamill.engines._look_base import (
    CACHED_SIZES,
    Effect,
    Mask,
    Moment,
    Picture,
    blurred,
    coloured,
    colours_of,
    corners,
    curve,
    graded,
    grained,
    inked,
    looked_up,
    luma,
    screened,
    shaded,
    table,
    toned,
)


def _stops(*colours: tuple[int, int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A table from black to white over evenly spaced colours."""
    at = np.linspace(0, 255, len(colours))
    return table(*(np.interp(np.arange(256), at, channel) for channel in np.array(colours, float).T))


# Brown from black to cream at one hue, about 34 degrees.
SEPIA = _stops((0, 0, 0), (62, 43, 17), (124, 92, 46), (181, 150, 103), (224, 203, 170), (255, 246, 232))


def sepia(picture: Picture, _: Moment) -> Picture:
    """Brown as old albumen prints."""
    return inked(luma(picture), SEPIA)


DUOTONE = _stops((24, 12, 92), (120, 26, 132), (238, 68, 110), (255, 156, 92), (255, 238, 190))


def duotone(picture: Picture, _: Moment) -> Picture:
    """Two inks: deep violet for the shadows, warm rose and cream for the lights."""
    return inked(luma(picture), DUOTONE)


CROSS_PROCESS = table(
    curve((0, 0), (0.25, 0.14), (0.5, 0.56), (0.75, 0.90), (1, 1)),
    curve((0, 0), (0.25, 0.19), (0.5, 0.56), (0.75, 0.87), (1, 1)),
    curve((0, 0.22), (0.5, 0.47), (1, 0.74)),
)


def cross_process(picture: Picture, _: Moment) -> Picture:
    """Slide film in the wrong bath: hard, yellow-green lights and blue shadows."""
    return coloured(looked_up(colours_of(picture, 1.18), CROSS_PROCESS))


SILVER = table(curve((0, 0), (0.25, 0.15), (0.5, 0.5), (0.75, 0.86), (1, 1)))


def bleach_bypass(picture: Picture, _: Moment) -> Picture:
    """The silver stays in the print: high contrast, little colour, a metallic look."""
    return coloured(looked_up(colours_of(picture, 0.34), SILVER))


LEVELS = 5
POSTER = table(np.floor(np.arange(256) / 256 * LEVELS) / (LEVELS - 1) * 255)


def posterize(picture: Picture, _: Moment) -> Picture:
    """Five levels of each colour."""
    return toned(picture, POSTER)


def invert(picture: Picture, _: Moment) -> Picture:
    """A negative."""
    return cv2.bitwise_not(picture)


NIGHT = _stops((0, 14, 3), (8, 72, 18), (24, 140, 40), (70, 214, 84), (190, 255, 180))
NIGHT_GAIN = np.rint(curve((0, 0.06), (0.15, 0.30), (0.5, 0.68), (1, 1))).astype(np.uint8)


LAMPS = np.clip(np.arange(256) - 185, 0, 70).astype(np.uint8)


def night_vision(picture: Picture, moment: Moment) -> Picture:
    """An image intensifier: green, bright shadows, noisy, with the light of lamps bleeding, in a round tube."""
    height, width = picture.shape[:2]
    grey = cv2.LUT(luma(picture), NIGHT_GAIN)
    shine = screened(grey, blurred(cv2.LUT(grey, LAMPS), height / 60))
    out = grained(shine, moment, 0.07, size=max(1.0, height / 640))
    return coloured(shaded(looked_up([out] * 3, NIGHT), _tube(height, width)))


@lru_cache(CACHED_SIZES)
def _tube(height: int, width: int) -> Mask:
    """Light of an intensifier: faint rows, and round."""
    lines = np.full((height, width), 255, np.uint8)
    pitch = max(2, height // 240)
    lines[np.arange(height) % pitch >= pitch / 2] = 214
    out = np.asarray(cv2.multiply(lines, corners(height, width, 0.45, 0.04), scale=1 / 255), np.uint8)
    out.setflags(write=False)
    return out


THERMAL = _stops(
    (6, 4, 40), (42, 8, 128), (118, 10, 152), (186, 32, 120), (232, 84, 40), (250, 152, 12), (255, 216, 70),
    (255, 255, 226),
)  # fmt: skip


def thermal(picture: Picture, _: Moment) -> Picture:
    """A heat camera: what is bright counts as hot, from blue over red and yellow to white."""
    return inked(blurred(luma(picture), picture.shape[0] / 320), THERMAL)


EFFECTS: Mapping[str, Effect] = {
    name: graded(paint)
    for name, paint in (
        ("sepia", sepia),
        ("duotone", duotone),
        ("cross_process", cross_process),
        ("bleach_bypass", bleach_bypass),
        ("posterize", posterize),
        ("invert", invert),
        ("night_vision", night_vision),
        ("thermal", thermal),
    )
}
