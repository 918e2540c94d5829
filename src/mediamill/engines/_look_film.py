"""Effects that make a picture look shot on film: its colours, its grain, its faults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import cv2
import numpy as np

from mediamill.engines._look_base import (
    CACHED_SIZES,
    Effect,
    Moment,
    Picture,
    Settings,
    blurred,
    cast,
    clouds,
    coloured,
    colours_of,
    corners,
    curve,
    dot,
    four,
    graded,
    grained,
    looked_up,
    mixed,
    on_colours,
    random,
    rounded,
    screened,
    shaded,
    shrunk,
    small_size,
    table,
    times,
    vignetted,
    with_grain,
    zoomed,
)

VINTAGE = table(
    curve((0, 0.12), (0.25, 0.32), (0.6, 0.70), (1, 0.98)),
    curve((0, 0.07), (0.25, 0.26), (0.6, 0.61), (1, 0.91)),
    curve((0, 0.13), (0.4, 0.34), (1, 0.70)),
)


def vintage(picture: Picture, moment: Moment) -> Picture:
    """A print that has yellowed: faded blacks, warm lights, tired colours, dark corners."""
    out = shaded(looked_up(colours_of(picture, 0.62), VINTAGE), corners(*picture.shape[:2], 0.3, 0.45))
    return coloured(with_grain(out, moment, 0.018, size=1.6))


POLAROID = table(
    curve((0, 0.08), (0.3, 0.34), (0.7, 0.83), (1, 1.0)),
    curve((0, 0.10), (0.3, 0.35), (0.7, 0.79), (1, 0.98)),
    curve((0, 0.17), (0.3, 0.37), (0.7, 0.68), (1, 0.84)),
)
PAPER = (246, 243, 234)


def polaroid(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """An instant print: milky blue shadows, creamy lights, soft, in its white frame with the broad lower rim."""

    def paint(colours: Picture) -> Picture:
        height, width = colours.shape[:2]
        soft = mixed(colours, blurred(colours, height / 240), 0.6)
        out = shaded(looked_up(colours_of(soft, 0.85), POLAROID), corners(height, width, 0.35, 0.62))
        out = with_grain(out, moment, 0.012, size=2.0)
        rim, foot = round(height * 0.045), round(height * 0.15)
        inside = coloured(out)[rim : height - foot, rim : width - rim]
        framed = cv2.copyMakeBorder(inside, rim, foot, rim, rim, cv2.BORDER_CONSTANT, value=(*PAPER, 255))
        return mixed(colours, framed, intensity)

    return on_colours(picture, paint)


PORTRA = table(
    curve((0, 0.045), (0.25, 0.265), (0.5, 0.555), (0.75, 0.80), (1, 0.985)),
    curve((0, 0.04), (0.25, 0.25), (0.5, 0.525), (0.75, 0.765), (1, 0.965)),
    curve((0, 0.055), (0.25, 0.245), (0.5, 0.485), (0.75, 0.71), (1, 0.90)),
)


def portra(picture: Picture, moment: Moment) -> Picture:
    """Portrait negative film: warm skin, soft contrast, muted greens and blues, fine grain."""
    return coloured(with_grain(looked_up(colours_of(picture, 0.84), PORTRA), moment, 0.012, size=1.2))


SUPER8 = table(
    curve((0, 0.06), (0.3, 0.32), (0.7, 0.84), (1, 1.0)),
    curve((0, 0.03), (0.3, 0.25), (0.7, 0.71), (1, 0.95)),
    curve((0, 0.04), (0.3, 0.19), (0.7, 0.52), (1, 0.72)),
)
SUPER8_FPS = 18.0


@lru_cache(CACHED_SIZES)
def _gate(height: int, width: int) -> Picture:
    """Light of a small projector: round corners, and darker towards them."""
    out = vignetted(four(rounded(height, width, 0.09, 0.012, 0.02)), start=0.4, edge=0.25)
    out[:, :, 3] = 255
    out.setflags(write=False)
    return out


def super8(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """Home film: it jumps in its round gate, flickers, and is grainy, soft and warm, with dust and scratches."""

    def paint(colours: Picture) -> Picture:
        height, width = colours.shape[:2]
        chance = random(moment, 41, 1 / SUPER8_FPS)
        shift = chance.normal(0, 0.0022 * height, 2)
        out = zoomed(colours, 1.015, *shift)
        flicker = np.array([1 + 0.05 * chance.standard_normal()] * 3 + [1.0])
        light = np.clip(np.rint(SUPER8 * flicker), 0, 255).astype(np.uint8)
        parts = looked_up(colours_of(blurred(out, height / 420), 0.9), light)
        out = coloured(with_grain(parts, moment, 0.045, size=max(1.2, height / 480)))
        _spoil(out, chance)
        return mixed(colours, times(out, _gate(height, width)), intensity)

    return on_colours(picture, paint)


def _spoil(out: Picture, chance: np.random.Generator) -> None:
    """Dust and scratches, painted into the picture itself."""
    height, width = out.shape[:2]
    thin = max(1, height // 540)
    for _ in range(chance.poisson(0.7)):
        x = int(chance.random() * width)
        tone = (225, 215, 190, 255) if chance.random() < 0.7 else (20, 14, 10, 255)
        cv2.line(out, (x, 0), (x + int(chance.normal(0, 0.004 * width)), height), tone, thin, cv2.LINE_AA)
    for _ in range(chance.poisson(5)):
        x, y = int(chance.random() * width), int(chance.random() * height)
        tone = (15, 10, 8, 255) if chance.random() < 0.6 else (235, 228, 210, 255)
        size = (max(1, int(chance.gamma(2, height / 700))), max(1, int(chance.gamma(2, height / 900))))
        cv2.ellipse(out, (x, y), size, chance.random() * 180, 0, 360, tone, -1, cv2.LINE_AA)
    if chance.random() < 0.35:
        start = np.array([chance.random() * width, chance.random() * height])
        bend = np.cumsum(chance.normal(0, height / 90, (9, 2)), axis=0)
        cv2.polylines(out, [np.rint(start + bend).astype(np.int32)], False, (18, 12, 10, 255), thin, cv2.LINE_AA)


FILMIC = table(
    curve((0, 0.02), (0.18, 0.13), (0.5, 0.53), (0.8, 0.87), (1, 0.97)),
    curve((0, 0.03), (0.18, 0.15), (0.5, 0.50), (0.8, 0.83), (1, 0.95)),
    curve((0, 0.065), (0.18, 0.19), (0.5, 0.475), (0.8, 0.74), (1, 0.87)),
)


def filmic(picture: Picture, moment: Moment) -> Picture:
    """Cinema print: teal shadows, warm lights that roll off softly and bleed red a little, fine grain."""
    height, width = picture.shape[:2]
    rows, columns = small_size(picture, 135)
    lights = shrunk(cv2.subtract(picture, np.full(4, float(HALO_FROM))), columns, rows)
    lights = cv2.multiply(lights, np.array((*HALATION, 0.0)), scale=1 / (255 - HALO_FROM))
    glow = cv2.resize(blurred(lights, rows / 70), (width, height), interpolation=cv2.INTER_LINEAR)
    out = looked_up(colours_of(screened(picture, glow), 0.92), FILMIC)
    return coloured(with_grain(out, moment, 0.012, size=1.4))


HALO_FROM = 205
HALATION = (95.0, 28.0, 12.0)
"""Red, green and blue that white adds round it; none below that level, in proportion above."""


def add_grain(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """Film grain alone; the intensity is its strength."""
    size = max(1.0, picture.shape[0] / 720)
    return on_colours(picture, lambda colours: grained(colours, moment, 0.06 * intensity, size=size))


def film_burn(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """The end of a reel: white-hot light with a red seam flares in from the sides and trembles."""
    rows, columns = small_size(picture)
    chance = random(moment, 43, 1 / 16)
    tremble = 1 + 0.12 * chance.standard_normal()
    t = moment.t + moment.seed % 97
    heat = np.zeros((rows, columns), np.float32)
    for side, beat, high, size in ((0.0, 1.7, 0.35, 0.5), (1.0, 2.3, 0.7, 0.42), (0.12, 1.1, 0.95, 0.36)):
        swell = 0.72 + 0.28 * math.sin(beat * t + 5 * high)
        y = high + 0.12 * math.sin(1.3 * t + 9 * side)
        heat += swell * dot(rows, columns, side, y, size * swell * tremble, 1.6)
    flames = clouds(rows * 2, columns * 2, 5, 8)
    slide = (int((0.5 + 0.5 * math.sin(0.9 * t)) * (rows - 1)), int((0.5 + 0.5 * math.sin(0.7 * t)) * (columns - 1)))
    heat *= 0.55 + 0.75 * flames[slide[0] : slide[0] + rows, slide[1] : slide[1] + columns]
    heat *= intensity
    light = np.dstack([np.clip((heat - low) / wide, 0, 1) for low, wide in ((0.10, 0.45), (0.30, 0.5), (0.62, 0.4))])
    return on_colours(picture, lambda colours: cast(colours, light))


LEAKS = (
    ((1.0, 0.42, 0.10), 0.00, 0.50, 0.70, 0.37),
    ((1.0, 0.16, 0.22), 1.02, 0.25, 0.55, 0.53),
    ((1.0, 0.72, 0.25), 0.95, 0.95, 0.48, 0.71),
    ((1.0, 0.25, 0.35), 0.10, 1.02, 0.45, 0.29),
)
"""Colour, place, size, and rounds in radians a second."""


def light_leaks(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """Light that got into the camera: soft veils of orange and red wander along the edges."""
    rows, columns = small_size(picture, 90)
    t = moment.t + moment.seed % 97
    light = np.zeros((rows, columns, 3), np.float32)
    for colour, x, y, size, speed in LEAKS:
        swell = 0.62 + 0.38 * math.sin(speed * 2.2 * t + 7 * y)
        at = (x + 0.1 * math.sin(speed * t), y + 0.2 * math.sin(1.4 * speed * t + 3 * x))
        light += dot(rows, columns, *at, size, 1.7)[:, :, None] * (np.array(colour, np.float32) * swell * 1.15)
    return on_colours(picture, lambda colours: cast(colours, light * intensity))


EFFECTS: Mapping[str, Effect] = {
    "vintage": graded(vintage),
    "polaroid": polaroid,
    "portra": graded(portra),
    "super8": super8,
    "filmic": graded(filmic),
    "add_grain": add_grain,
    "film_burn": film_burn,
    "light_leaks": light_leaks,
}
