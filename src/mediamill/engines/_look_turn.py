"""Transitions that turn a picture in space: what is uncovered around it is transparent, so the canvas shows there."""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np

from mediamill.engines._look_base import (
    STEP,
    Field,
    Moment,
    Picture,
    Transition,
    alpha4,
    coarse,
    enlarged,
    fine,
    four,
    moved,
    opaque,
    shrunk,
    smooth,
    threshold,
    times,
)
from mediamill.engines._look_blend import over

EYE = 2.2
"""How far the eye is from the screen, in canvas widths."""


def _seen(points: Field, width: int, height: int) -> Field:
    """Points in space, x and y from the middle of the canvas and z away from the eye, as they appear on it."""
    eye = EYE * width
    factor = eye / (eye + points[:, 2:])
    return np.asarray(points[:, :2] * factor + (width / 2, height / 2), np.float32)


def _stood(out: Picture, picture: Picture, corners: Field, light: float, *, first: bool = False) -> None:
    """Lays a picture, stretched over four points clockwise from the upper left and darkened, over `out`.

    first: nothing is there yet.
    """
    height, width = out.shape[:2]
    start = max(0, math.floor(float(corners[:, 0].min())))
    end = min(width, math.ceil(float(corners[:, 0].max())))
    if end <= start or picture.size == 0:
        return
    rows, columns = picture.shape[:2]
    flat = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
    half = np.float32(0.5)
    placed = (corners - np.array([start, 0])).astype(np.float32)
    matrix = cv2.getPerspectiveTransform(flat - half, placed - half)
    part = darkened(cv2.warpPerspective(picture, matrix, (end - start, height), flags=cv2.INTER_LINEAR), light)
    out[:, start:end] = part if first else over(out[:, start:end], part)


def darkened(picture: Picture, light: float) -> Picture:
    """The colours times `light`, the alpha as it was."""
    if light >= 1:
        return picture
    out = cv2.convertScaleAbs(picture, alpha=max(light, 0.0))
    cv2.insertChannel(cv2.extractChannel(picture, 3), out, 3)
    return out


def _upright(start: tuple[float, float], end: tuple[float, float], half: float) -> Field:
    """The corners of a wall that stands on the line between two points (x, z)."""
    (x0, z0), (x1, z1) = start, end
    return np.array([[x0, -half, z0], [x1, -half, z1], [x1, half, z1], [x0, half, z0]], np.float32)


def cube(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """Two sides of a cube that turns to the left, a little further away while it turns."""
    height, width = a.shape[:2]
    half = width / 2
    turned = smooth(0, 1, p) * math.pi / 2
    back = half + 0.35 * width * math.sin(math.pi * p)
    sides = []
    for picture, angle in ((a, -turned), (b, math.pi / 2 - turned)):
        # The middle of a side is half a width before the cube's own middle, which is `back` behind the screen.
        left, right = (
            (x * math.cos(angle) + half * math.sin(angle), x * math.sin(angle) - half * math.cos(angle) + back)
            for x in (-half, half)
        )
        wall = _upright(left, right, height / 2)
        sides.append((math.cos(angle), picture, _seen(wall, width, height)))
    out = np.zeros_like(a)
    first = True
    for facing, picture, corners in sorted(sides, key=lambda side: side[0]):
        if corners[1][0] - corners[0][0] > 0.5:
            _stood(out, picture, corners, 0.35 + 0.65 * facing, first=first)
            first = False
    return out


def doorway(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """The first picture opens inwards like two wings of a door; the second comes nearer behind them."""
    height, width = a.shape[:2]
    come = smooth(0, 1, p)
    scale = 0.55 + 0.45 * come
    middle, size = np.array([width, height]) / 2, np.array([width, height]) * scale / 2
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    out = np.zeros_like(a)
    _stood(out, b, middle + signs * size, 0.25 + 0.75 * come, first=True)
    angle = come * math.radians(108)
    light = 1 - 0.65 * come
    half = width / 2
    reach, depth = half * math.cos(angle), half * math.sin(angle) * 0.9
    for left in (True, False):
        hinge = -half if left else half
        inner = hinge + reach if left else hinge - reach
        ends = ((hinge, 0.0), (inner, depth)) if left else ((inner, depth), (hinge, 0.0))
        corners = _seen(_upright(ends[0], ends[1], height / 2), width, height)
        if corners[1][0] - corners[0][0] < 0.5:
            continue
        wing = a[:, : width // 2] if left else a[:, width // 2 :]
        _stood(out, np.ascontiguousarray(wing), corners, light)
    return out


LEAN = math.radians(22)
"""Of the fold against upright: the page is pulled at its lower right corner."""


def page_turn(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """The first picture is rolled up from the lower right corner and turned over to the left.

    The page lies flat left of the fold, goes round a cylinder that touches it there, and lies with its back on top.
    """
    height, full = a.shape[:2]
    across, down = math.cos(LEAN), math.sin(LEAN)
    roll = 0.09 * full * (0.4 + 0.6 * math.sin(math.pi * min(p * 1.1, 1)))
    corner = full * across + height * down
    shadow = 0.08 * full
    fold = corner + (-(roll + shadow) - corner) * p
    # Left of the turned corner all is the first picture, right of the shadow the second.
    flap = max(0.0, corner - fold - math.pi * roll)
    start = int(max(0.0, (fold - flap - height * down) / across - shadow))
    end = int(min(full, (fold + roll + 3 * shadow) / across))
    if start >= end:
        return b
    width = end - start
    x, y = coarse(height, width)
    x = x + start
    beyond = x * across + y * down - fold
    arc = roll * np.arcsin(np.clip(beyond / roll, 0, 1))
    back_move = np.where(beyond <= 0, math.pi * roll - 2 * beyond, math.pi * roll - arc - beyond)
    # Left of the roll the front lies as it lay; right of it there is no page, only its shadow.
    left = min(max(start, math.floor((fold - height * down) / across) - 1), end - 1)
    right = min(max(left + 1, math.ceil((fold + roll) / across) + 1), end)
    depth = enlarged(beyond, height, width)[:, left - start : right - start]
    covered = four(threshold(depth, roll - 1 - (across + down) / 2, 1.5))

    def page(move: Field, first: int) -> Picture:
        """The first picture from the column `first` to `right`, where each of its pixels has gone by `move`."""
        skipped = (first - start) // STEP  # squares that need not be enlarged
        after = min(x.shape[1], -(-(right - start) // STEP) + 2)
        wide = min(width, (after - 2) * STEP) - skipped * STEP
        to_x, to_y = ((at + move * share)[:, skipped:after] for at, share in ((x, across), (y, down)))
        maps = fine(to_x, to_y, height, wide)
        at = slice(first - start - skipped * STEP, right - start - skipped * STEP)
        bent = moved(a, *(part[:, at] for part in maps), beyond=cv2.BORDER_CONSTANT)
        bent[:, left - first :] = times(bent[:, left - first :], covered)
        return bent

    back = page(back_move, start)
    bow = np.clip(beyond / roll, 0, 1)
    below = b[:, start:end].copy()
    if left > start:
        flat = a[:, start:left]
        below[:, : left - start] = flat if opaque(flat) else over(b[:, start:left], flat)
    front = page(np.where(beyond <= 0, 0, arc - beyond), left)
    below[:, left - start : right - start] = over(b[:, left:right], front)
    inner = (x.shape[1] - 2, x.shape[0] - 2)
    seen = cv2.copyMakeBorder(cv2.extractChannel(back, 3), 0, 0, 0, end - right, cv2.BORDER_CONSTANT)
    under = np.pad(shrunk(seen, *inner), 1, mode="edge")
    dark = cv2.GaussianBlur(under.astype(np.float32) / 255, (0, 0), max(full * 0.012 / STEP, 0.5))
    light = np.where(beyond < roll, 1 - 0.75 * bow**2, 1 - 0.6 * np.exp(-np.maximum(beyond - roll, 0) / shadow * 2))
    tone = np.where(
        beyond <= 0, 0.97 - 0.25 * np.exp(np.minimum(beyond, 0) / roll), 0.72 + 0.28 * np.sin(bow * math.pi)
    )
    paper = cv2.addWeighted(back, 0.22, alpha4(back), 0.74, 0)
    cv2.insertChannel(cv2.extractChannel(back, 3), paper, 3)
    out = np.concatenate([a[:, :start], _shaded(below, light * (1 - 0.5 * dark)), b[:, end:]], axis=1)
    out[:, start:right] = over(out[:, start:right], _shaded(paper, tone, width))
    return out


def _shaded(picture: Picture, light: Field, wide: int = 0) -> Picture:
    """Colours times a coarse field of light in 0..1, which may be of a wider picture."""
    height, width = picture.shape[:2]
    levels = np.rint(np.clip(light, 0, 1) * 255).astype(np.uint8)
    mask = np.ascontiguousarray(enlarged(levels, height, wide or width)[:, :width])
    out = cv2.merge([mask, mask, mask, np.full_like(mask, 255)])
    return cv2.multiply(picture, out, dst=out, scale=1 / 255)


TRANSITIONS: Mapping[str, Transition] = {"cube": cube, "doorway": doorway, "page_turn": page_turn}
