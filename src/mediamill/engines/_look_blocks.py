"""Effects that make a picture of blocks or of printed dots."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import cv2
import numpy as np

from mediamill.engines._look_base import (
    CACHED_SIZES,
    Effect,
    Field,
    Moment,
    Picture,
    Settings,
    axes,
    blurred,
    clipped,
    graded,
    inked,
    luma,
    on_colours,
    table,
    toned,
)


def block_size(picture: Picture, intensity: float) -> int:
    """The side of a mosaic's block in pixels: a 27th of the height at full intensity."""
    return max(2, round(int(picture.shape[0]) / 27 * intensity))


def _means(picture: Picture, side: int) -> Picture:
    """The mean of each block; the last row and column of blocks may be cut."""
    height, width = picture.shape[:2]
    rows, columns = -(-height // side), -(-width // side)
    padded = cv2.copyMakeBorder(picture, 0, rows * side - height, 0, columns * side - width, cv2.BORDER_REPLICATE)
    return cv2.resize(padded, (columns, rows), interpolation=cv2.INTER_AREA)


def _blocks(means: Picture, side: int, like: Picture) -> Picture:
    height, width = like.shape[:2]
    full = (means.shape[1] * side, means.shape[0] * side)
    return np.ascontiguousarray(cv2.resize(means, full, interpolation=cv2.INTER_NEAREST)[:height, :width])


def mosaic(picture: Picture, _: Moment, intensity: float, __: Settings) -> Picture:
    """Squares of one colour each."""
    side = block_size(picture, intensity)
    return _blocks(_means(picture, side), side, picture)


def mosaic_blur(picture: Picture, moment: Moment, intensity: float, settings: Settings) -> Picture:
    """Squares that run into each other."""
    side = block_size(picture, intensity)
    return clipped(blurred(mosaic(picture, moment, intensity, settings), side * 0.34), picture)


FEW = 4
FEW_LEVELS = table(np.floor(np.arange(256) / 256 * FEW) / (FEW - 1) * 255)


def mosaic_posterize(picture: Picture, _: Moment, intensity: float, __: Settings) -> Picture:
    """Squares in few colours, as on an early home computer."""
    side = block_size(picture, intensity)

    def paint(colours: Picture) -> Picture:
        return _blocks(toned(_means(colours, side), FEW_LEVELS), side, colours)

    return on_colours(picture, paint)


def cell_size(picture: Picture) -> float:
    """Of a halftone, from dot to dot in pixels."""
    return max(4.0, int(picture.shape[0]) / 84)


SHARPNESS = 8.0
"""Levels of tone from paper to ink across the edge of a dot: 256 through this."""


@lru_cache(CACHED_SIZES)
def _screen(height: int, width: int, degrees: float, cell: float) -> Field:
    """How dark a tone must be for ink at each pixel, in levels, evenly spread: dots on a turned grid."""
    x, y = axes(height, width)
    turn = math.radians(degrees)
    across = (x * (width * math.cos(turn)) + y * (height * math.sin(turn))) * (2 * math.pi / cell)
    down = (y * (height * math.cos(turn)) - x * (width * math.sin(turn))) * (2 * math.pi / cell)
    spot = (np.cos(across) + np.cos(down)) / 4 + 0.5
    grid = np.linspace(0, 2 * math.pi, 200, endpoint=False)
    known = np.sort(((np.cos(grid)[:, None] + np.cos(grid)[None, :]) / 4 + 0.5).ravel())[::40]
    share = np.interp(spot, known, np.linspace(0, 1, known.size))
    # White must stay free of ink and black of paper, so the first and the last dots come a little inside.
    room = 128 / SHARPNESS
    return np.asarray(np.rint(room + share * (255 - 2 * room)), np.uint8)


@lru_cache(CACHED_SIZES)
def _screens(height: int, width: int, cell: float) -> Picture:
    """The screens of the three inks, at the printer's angles, which keep them from beating."""
    inks = [_screen(height, width, degrees, cell) for degrees in (15.0, 75.0, 0.0)]
    out = cv2.merge([*inks, np.full((height, width), 128, np.uint8)])
    out.setflags(write=False)
    return out


def cc_halftone(picture: Picture, _: Moment) -> Picture:
    """Printed in cyan, magenta and yellow dots."""
    cell = cell_size(picture)
    even = blurred(picture, cell / 3)
    return cv2.addWeighted(even, SHARPNESS, _screens(*picture.shape[:2], cell), -SHARPNESS, 128)


def _one_ink(ink: tuple[int, int, int]) -> Effect:
    paper = np.array([252, 249, 240])
    inks = table(*(np.interp(np.arange(256), [0, 255], [low, high]) for low, high in zip(ink, paper, strict=True)))

    def paint(picture: Picture, _: Moment) -> Picture:
        """Printed in dots of one ink on paper."""
        cell = cell_size(picture)
        grey = blurred(luma(picture), cell / 3)
        dots = cv2.addWeighted(grey, SHARPNESS, _screen(*picture.shape[:2], 45.0, cell), -SHARPNESS, 128)
        return inked(dots, inks)

    return graded(paint)


EFFECTS: Mapping[str, Effect] = {
    "mosaic": mosaic,
    "mosaic_blur": mosaic_blur,
    "mosaic_posterize": mosaic_posterize,
    "cc_halftone": graded(cc_halftone),
    "cc_halftone_red": _one_ink((206, 24, 38)),
    "cc_halftone_green": _one_ink((16, 132, 62)),
    "cc_halftone_blue": _one_ink((28, 58, 178)),
}
