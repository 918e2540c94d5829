"""Transitions by fading and by a growing shape: every pixel is of one picture or the other, or on the soft edge."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

import cv2
import numpy as np

from mediamill.engines._look_base import (
    CACHED_SIZES,
    Field,
    Moment,
    Picture,
    Transition,
    alpha4,
    axes,
    luma,
    masked,
    mixed,
    opaque,
    radius,
    shrunk,
    smooth,
    threshold,
    times,
)  # fmt: skip


def cross_dissolve(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    return mixed(a, b, p)


@lru_cache(CACHED_SIZES)
def _paint(height: int, width: int, white: bool) -> Picture:
    """Nothing but one colour."""
    out = np.full((height, width, 4), 255, np.uint8)
    if not white:
        out[:, :, :3] = 0
    out.setflags(write=False)
    return out


def _dip(white: bool) -> Transition:
    def dip(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
        """Gone into one colour in the first half, out of it in the second."""
        picture, share = (a, smooth(0, 0.5, p)) if p < 0.5 else (b, smooth(0, 0.5, 1 - p))
        if opaque(picture):
            return mixed(picture, _paint(*picture.shape[:2], white), share)
        paint = alpha4(picture)
        if not white:
            paint[:, :, :3] = 0
        return mixed(picture, paint, share)

    return dip


def _straight_wipe(vertical: bool, backwards: bool) -> Transition:
    """A hard edge that moves; backwards = to the left or up."""

    def wipe(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
        out = a.copy()
        size = a.shape[0] if vertical else a.shape[1]
        edge = round(size * p)
        at = slice(size - edge, size) if backwards else slice(0, edge)
        if vertical:
            out[at] = b[at]
        else:
            out[:, at] = b[:, at]
        return out

    return wipe


def _barn_doors(vertical: bool) -> Transition:
    def doors(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
        """The first picture opens from the middle like two wings of a door."""
        out = a.copy()
        size = a.shape[0] if vertical else a.shape[1]
        half = round(size * p / 2)
        at = slice(size // 2 - half, min(size, -(-size // 2) + half))
        if vertical:
            out[at] = b[at]
        else:
            out[:, at] = b[:, at]
        return out

    return doors


def box_wipe(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """A rectangle that grows from the middle."""
    out = a.copy()
    height, width = a.shape[:2]
    rows, columns = round(height * p / 2), round(width * p / 2)
    at = (
        slice(height // 2 - rows, -(-height // 2) + rows if rows else height // 2),
        slice(width // 2 - columns, -(-width // 2) + columns if columns else width // 2),
    )
    out[at] = b[at]
    return out


BANDS = 7


def band_wipe(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """Level bands that come in from the left and the right in turn."""
    out = a.copy()
    height, width = a.shape[:2]
    edge = round(width * p)
    for band in range(BANDS):
        rows = slice(height * band // BANDS, height * (band + 1) // BANDS)
        columns = slice(0, edge) if band % 2 == 0 else slice(width - edge, width)
        out[rows, columns] = b[rows, columns]
    return out


def _by_order(order: Callable[[int, int], Field], soft: float) -> Transition:
    """Each pixel turns when p passes its place in the order, which runs from 0 to 1."""
    kept = lru_cache(CACHED_SIZES)(order)

    def turn(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
        field = kept(*a.shape[:2])  # rows one after the other: others take eight times as long
        return masked(a, b, threshold(field, p * (1 + soft) - soft, soft))

    return turn


def _diagonal(height: int, width: int) -> Field:
    x, y = axes(height, width)
    return (x + y) / 2


def _circle(height: int, width: int) -> Field:
    return radius(height, width)


def _clock(height: int, width: int) -> Field:
    """The angle from twelve o'clock on, clockwise."""
    x, y = axes(height, width)
    angle = np.arctan2((x - 0.5) * width, (0.5 - y) * height) / (2 * math.pi)
    return (angle % 1.0).astype(np.float32)


WINGS = 8


def _pinwheel(height: int, width: int) -> Field:
    return (_clock(height, width) * WINGS % 1.0).astype(np.float32)


BLINDS = 10


def _blinds(height: int, width: int) -> Field:
    """Upright slats, those on the left first."""
    x, _ = axes(height, width)
    field = 0.6 * (x * BLINDS % 1.0) + 0.4 * np.floor(x * BLINDS) / BLINDS
    return np.repeat(field.astype(np.float32), height, axis=0)


def _heart(height: int, width: int) -> Field:
    """How large a heart must be to reach each pixel. Source: (x² + y² - 1)³ = x² y³, worked out along each ray."""
    x, y = axes(height, width)
    across, up = (x - 0.5) * width / height, 0.5 - y - 0.04
    ray, away = np.arctan2(up, across), np.hypot(across, up)
    angles = np.linspace(-math.pi, math.pi, 721)
    cosine, sine = np.cos(angles), np.sin(angles)
    low, high = np.zeros_like(angles), np.full_like(angles, 2.0)
    for _ in range(30):
        middle = (low + high) / 2
        inside = (middle**2 - 1) ** 3 - middle**5 * cosine**2 * sine**3 < 0
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    needed = away / np.interp(ray, angles, low)
    # The size grows by p²: the heart stays readable for longer before it fills the corners.
    return np.asarray(np.sqrt(needed / max(float(needed.max()), 1e-6)), np.float32)


def gradient_wipe(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """The dark parts of the first picture go first, the light ones last."""
    size = (-(-a.shape[1] // 4), -(-a.shape[0] // 4))
    small = shrunk(luma(a), *size)
    small = cv2.equalizeHist(cv2.GaussianBlur(small, (0, 0), 2.5))
    field = cv2.resize(small, (a.shape[1], a.shape[0]), interpolation=cv2.INTER_CUBIC)
    soft = 0.18
    known = threshold(np.arange(256, dtype=np.float32) / 255, p * (1 + soft) - soft, soft)
    return masked(a, b, cv2.LUT(field, known))


BLADES = 6


def iris(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """The blades of a camera's aperture open, turning as they go."""
    height, width = a.shape[:2]
    reach = p * math.hypot(width, height) / 2 / math.cos(math.pi / BLADES)
    turn = -math.pi / 2 + (1 - p) * math.pi / 3
    angles = turn + np.arange(BLADES) * 2 * math.pi / BLADES
    corners = np.stack([width / 2 + reach * np.cos(angles), height / 2 + reach * np.sin(angles)], axis=1)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, np.rint(corners * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    out = masked(a, b, mask)
    # Each blade lies on the next: a line from a corner outwards along the edge before it.
    shade = np.zeros((height, width), np.uint8)
    for corner, before in zip(corners, np.roll(corners, 1, axis=0), strict=True):
        end = corner + (corner - before) / max(reach, 1e-6) * max(width, height)
        cv2.line(shade, _fixed(corner), _fixed(end), 90, max(1, height // 300), cv2.LINE_AA, 4)
        cv2.line(shade, _fixed(before), _fixed(corner), 120, max(1, height // 200), cv2.LINE_AA, 4)
    fade = min(1.0, 8 * p, 8 * (1 - p))
    dark = cv2.convertScaleAbs(shade, alpha=fade)
    cut = cv2.merge([dark, dark, dark, np.zeros_like(dark)])
    if opaque(out):
        return cv2.subtract(out, cut, dst=cut)
    return cv2.subtract(out, times(cut, alpha4(out)))


def _fixed(point: Field) -> tuple[int, int]:
    """A point for OpenCV's lines, in sixteenths of a pixel."""
    x, y = np.clip(np.rint(point * 16), -(2**19), 2**19)
    return int(x), int(y)


TRANSITIONS: Mapping[str, Transition] = {
    "cross_dissolve": cross_dissolve,
    "dip_to_black": _dip(False),
    "dip_to_white": _dip(True),
    "wipe_left": _straight_wipe(False, True),
    "wipe_right": _straight_wipe(False, False),
    "wipe_up": _straight_wipe(True, True),
    "wipe_down": _straight_wipe(True, False),
    "diagonal_wipe": _by_order(_diagonal, 0.02),
    "barn_doors_horizontal": _barn_doors(False),
    "barn_doors_vertical": _barn_doors(True),
    "box_wipe": box_wipe,
    "band_wipe": band_wipe,
    "gradient_wipe": gradient_wipe,
    "iris": iris,
    "circle_open": _by_order(_circle, 0.06),
    "angular": _by_order(_clock, 0.004),
    "pinwheel": _by_order(_pinwheel, 0.02),
    "window_slice": _by_order(_blinds, 0.01),
    "heart": _by_order(_heart, 0.006),
}
