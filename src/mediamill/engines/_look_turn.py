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
    axes,
    coarse,
    enlarged,
    fine,
    four,
    moved,
    smooth,
    threshold,
    times,
    to_mask,
)
from mediamill.engines._look_blend import over

EYE = 2.2
"""How far the eye is from the screen, in canvas widths."""


def _seen(points: Field, width: int, height: int) -> Field:
    """Points in space, x and y from the middle of the canvas and z away from the eye, as they appear on it."""
    eye = EYE * width
    factor = eye / (eye + points[:, 2:])
    return np.asarray(points[:, :2] * factor + (width / 2, height / 2), np.float32)


def _stood(out: Picture, picture: Picture, corners: Field, light: float) -> None:
    """Lays a picture, stretched over four points clockwise from the upper left and darkened, over `out`."""
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
    part = cv2.warpPerspective(picture, matrix, (end - start, height), flags=cv2.INTER_LINEAR)
    out[:, start:end] = over(np.ascontiguousarray(out[:, start:end]), darkened(part, light))


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
    for facing, picture, corners in sorted(sides, key=lambda side: side[0]):
        if corners[1][0] - corners[0][0] > 0.5:
            _stood(out, picture, corners, 0.35 + 0.65 * facing)
    return out


def doorway(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """The first picture opens inwards like two wings of a door; the second comes nearer behind them."""
    height, width = a.shape[:2]
    come = smooth(0, 1, p)
    scale = 0.55 + 0.45 * come
    middle, size = np.array([width, height]) / 2, np.array([width, height]) * scale / 2
    signs = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    out = np.zeros_like(a)
    _stood(out, b, middle + signs * size, 0.25 + 0.75 * come)
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
    front_move = np.where(beyond <= 0, 0, arc - beyond)
    back_move = np.where(beyond <= 0, math.pi * roll - 2 * beyond, math.pi * roll - arc - beyond)
    columns, rows = axes(height, full)
    away = columns[:, start:end] * (full * across) + rows * (height * down)
    covered = four(threshold(np.asarray(away, np.float32), fold + roll - 1, 1.5))
    front, back = (
        times(moved(a, *fine(x + move * across, y + move * down, height, width), beyond=cv2.BORDER_CONSTANT), covered)
        for move in (front_move, back_move)
    )
    bow = np.clip(beyond / roll, 0, 1)
    below = over(np.ascontiguousarray(b[:, start:end]), front)
    inner = (x.shape[1] - 2, x.shape[0] - 2)
    under = np.pad(cv2.resize(cv2.extractChannel(back, 3), inner, interpolation=cv2.INTER_AREA), 1, mode="edge")
    dark = cv2.GaussianBlur(under.astype(np.float32) / 255, (0, 0), max(full * 0.012 / STEP, 0.5))
    light = np.where(beyond < roll, 1 - 0.75 * bow**2, 1 - 0.6 * np.exp(-np.maximum(beyond - roll, 0) / shadow * 2))
    tone = np.where(
        beyond <= 0, 0.97 - 0.25 * np.exp(np.minimum(beyond, 0) / roll), 0.72 + 0.28 * np.sin(bow * math.pi)
    )
    paper = cv2.addWeighted(back, 0.22, alpha4(back), 0.74, 0)
    cv2.insertChannel(cv2.extractChannel(back, 3), paper, 3)
    out = np.concatenate([a[:, :start], np.empty_like(below), b[:, end:]], axis=1)
    out[:, start:end] = over(_shaded(below, light * (1 - 0.5 * dark)), _shaded(paper, tone))
    return out


def _shaded(picture: Picture, light: Field) -> Picture:
    """Colours times a coarse field of light in 0..1."""
    height, width = picture.shape[:2]
    mask = four(to_mask(enlarged(light, height, width), 255, 0))
    mask[:, :, 3] = 255
    return times(picture, mask)


TRANSITIONS: Mapping[str, Transition] = {"cube": cube, "doorway": doorway, "page_turn": page_turn}
