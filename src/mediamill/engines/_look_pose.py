"""Where a motion puts an element and what it does to its pixels, and the drawing of what no matrix can do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mediamill.engines._look_base import (
    Moment,
    Picture,
    blurred,
    clipped,
    clouds,
    coarse,
    enlarged,
    fine,
    four,
    opaque,
    random,
    times,
    to_mask,
)

Box = tuple[float, float, float, float]
"""left, top, width, height in pixels of the canvas"""

WHOLE = (0.0, 0.0, 1.0, 1.0)
MIDDLE = (0.5, 0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """How an element stands at one instant, against how it would stand without motion. The defaults change nothing.

    dx, dy: moved by shares of the canvas, right and down. scale_x, scale_y, rotate: about `pivot`, a point of the
    element's box in shares of it; degrees, clockwise. rotate_x, rotate_y: out of the screen; the top goes away with a
    positive rotate_x, the right side with a positive rotate_y. blur: one standard deviation as a share of the canvas
    height. reveal: left, top, right and bottom of the part of the box that shows. blend: replaces the element's mode.
    bright: share of the way to white. breakup and pieces: "explode" or "evaporate", and how far, 0 whole to 1 gone.
    glitch: how far rows and colours are torn apart. shimmer: where a band of light stands, 0 before and 1 past the box.
    """

    dx: float = 0.0
    dy: float = 0.0
    scale_x: float = 1.0
    scale_y: float = 1.0
    rotate: float = 0.0
    rotate_x: float = 0.0
    rotate_y: float = 0.0
    pivot: tuple[float, float] = MIDDLE
    opacity: float = 1.0
    blur: float = 0.0
    reveal: tuple[float, float, float, float] = WHOLE
    blend: str | None = None
    bright: float = 0.0
    breakup: str | None = None
    pieces: float = 0.0
    glitch: float = 0.0
    shimmer: float | None = None

    def __mul__(self, other: Pose) -> Pose:
        """Both motions at once."""
        mine, theirs = self.reveal, other.reveal
        breaks = self if self.pieces >= other.pieces else other
        return Pose(
            dx=self.dx + other.dx,
            dy=self.dy + other.dy,
            scale_x=self.scale_x * other.scale_x,
            scale_y=self.scale_y * other.scale_y,
            rotate=self.rotate + other.rotate,
            rotate_x=self.rotate_x + other.rotate_x,
            rotate_y=self.rotate_y + other.rotate_y,
            pivot=other.pivot if self.pivot == MIDDLE else self.pivot,
            opacity=self.opacity * other.opacity,
            blur=math.hypot(self.blur, other.blur),
            reveal=(
                max(mine[0], theirs[0]), max(mine[1], theirs[1]), min(mine[2], theirs[2]), min(mine[3], theirs[3])
            ),
            blend=self.blend or other.blend,
            bright=1 - (1 - self.bright) * (1 - other.bright),
            breakup=breaks.breakup,
            pieces=breaks.pieces,
            glitch=max(self.glitch, other.glitch),
            shimmer=other.shimmer if self.shimmer is None else self.shimmer,
        )  # fmt: skip

    @property
    def hidden(self) -> bool:
        """Nothing of the element can be seen."""
        left, top, right, bottom = self.reveal
        gone = self.opacity <= 0 or right <= left or bottom <= top or self.pieces >= 1
        return gone or abs(self.scale_x) < 1e-4 or abs(self.scale_y) < 1e-4

    @property
    def flat(self) -> bool:
        """The pixels stay as they are: no apply_… is needed, and the element lies in the plane of the screen."""
        return self == replace(
            REST, dx=self.dx, dy=self.dy, scale_x=self.scale_x, scale_y=self.scale_y, rotate=self.rotate,
            pivot=self.pivot, opacity=self.opacity, blend=self.blend,
        )  # fmt: skip

    @property
    def room(self) -> float:
        """How far pieces fly beyond the box at most, as a share of its size: pad the picture by this before
        `apply_pieces`, on each side."""
        if self.pieces <= 0:
            return 0.1 * self.glitch
        return 0.6 if self.breakup == "explode" else 0.35

    def matrix(self, box: Box, canvas: tuple[int, int]) -> NDArray[np.float64]:
        """The 3 x 3 matrix that takes points of the canvas where the element stood to where it stands now.

        box: of the element on the canvas. canvas: width, height. The eye is 1.2 canvas diagonals before the pivot.
        """
        width, height = canvas
        px, py = box[0] + self.pivot[0] * box[2], box[1] + self.pivot[1] * box[3]
        a, b, c = (math.radians(angle) for angle in (self.rotate_x, self.rotate_y, self.rotate))
        about_x = np.array([[1, 0, 0], [0, math.cos(a), 0], [0, -math.sin(a), 1]])
        about_y = np.array([[math.cos(b), 0, 0], [0, 1, 0], [math.sin(b), 0, 1]])
        about_z = np.array([[math.cos(c), -math.sin(c), 0], [math.sin(c), math.cos(c), 0], [0, 0, 1]])
        # Depth is nil before the first turn, so the third columns of these do not count, and z'' = z' + what x adds.
        turned = about_x @ about_y @ about_z @ np.diag([self.scale_x, self.scale_y, 0.0])
        eye = 1.2 * math.hypot(width, height)
        perspective = np.array([turned[0], turned[1], turned[2] / eye]) + np.diag([0.0, 0.0, 1.0])
        there = np.array([[1.0, 0, px + self.dx * width], [0, 1, py + self.dy * height], [0, 0, 1]])
        back = np.array([[1.0, 0, -px], [0, 1, -py], [0, 0, 1]])
        return np.asarray(there @ perspective @ back, np.float64)


REST = Pose()


def apply_pieces(picture: Picture, pose: Pose, moment: Moment) -> Picture:
    """Everything of a pose that changes pixels in ways of its own: breaking up, glitch, shimmer, brightness."""
    if pose.pieces > 0:
        picture = BREAKUPS[pose.breakup or "explode"](picture, min(pose.pieces, 1.0), moment)
    if pose.glitch > 0:
        picture = _torn(picture, pose.glitch, moment)
    if pose.shimmer is not None and 0 < pose.shimmer < 1:
        picture = _lit(picture, pose.shimmer)
    if pose.bright > 0:
        white = cv2.merge([cv2.extractChannel(picture, 3)] * 4)
        share = min(pose.bright, 1.0)
        picture = clipped(cv2.addWeighted(picture, 1 - share, white, share, 0), picture)
    return picture


def apply_blur(picture: Picture, pose: Pose, canvas_height: int) -> Picture:
    """The picture out of focus. It spreads by about three `blur`: pad the picture first for a soft edge."""
    return blurred(picture, pose.blur * canvas_height)


def apply_reveal(picture: Picture, pose: Pose) -> Picture:
    """The part of the picture that shows, the rest transparent; the edge stands on a fraction of a pixel."""
    if pose.reveal == WHOLE:
        return picture
    height, width = picture.shape[:2]
    left, top, right, bottom = pose.reveal
    across = _span(width, left, right)
    down = _span(height, top, bottom)
    mask = np.minimum(across[None, :], down[:, None])
    return times(picture, four(np.ascontiguousarray(mask)))


def _span(size: int, start: float, end: float) -> NDArray[np.uint8]:
    """Which of `size` pixels lie between two shares, in 0..255."""
    at = np.arange(size)
    return np.asarray(np.rint(np.clip(np.minimum(at + 1 - start * size, end * size - at), 0, 1) * 255), np.uint8)


def _exploded(picture: Picture, gone: float, moment: Moment) -> Picture:
    """Flat pieces that fly out from the middle, turn small and fade."""
    height, width = picture.shape[:2]
    rows = 10
    columns = max(4, min(20, round(rows * width / max(height, 1))))
    chance = np.random.default_rng((moment.seed & 0xFFFFFFFF, 11))
    reach, delay = chance.random((rows, columns)), chance.random((rows, columns))
    out = np.zeros_like(picture)
    ys, xs = (np.linspace(0, size, count + 1).astype(int) for size, count in ((height, rows), (width, columns)))
    for row, column in np.argwhere(delay >= -1)[np.argsort(-reach, axis=None)]:
        part = picture[ys[row] : ys[row + 1], xs[column] : xs[column + 1]]
        if part.size == 0:
            continue
        share = min(max(gone * 1.25 - delay[row, column] * 0.25, 0.0), 1.0)
        middle_x, middle_y = (xs[column] + xs[column + 1]) / 2, (ys[row] + ys[row + 1]) / 2
        far = share * (0.25 + 0.75 * reach[row, column])
        x = middle_x + (middle_x - width / 2 + (chance.random() - 0.5) * width * 0.3) * far
        y = middle_y + (middle_y - height / 2 + (chance.random() - 0.5) * height * 0.3) * far
        _paste(out, part, x, y, 1 - 0.75 * share, 1 - share**2)
    return out


def _paste(out: Picture, part: Picture, x: float, y: float, scale: float, opacity: float) -> None:
    """Lays a part with its middle at (x, y) over `out`, which changes."""
    if opacity <= 0.004:
        return
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    part = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
    left, top = round(x - size[0] / 2), round(y - size[1] / 2)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + size[0], out.shape[1]), min(top + size[1], out.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    seen = cv2.convertScaleAbs(part[y0 - top : y1 - top, x0 - left : x1 - left], alpha=opacity)
    below = out[y0:y1, x0:x1]
    below[:] = cv2.add(times(below, four(cv2.bitwise_not(cv2.extractChannel(seen, 3)))), seen)


def _evaporated(picture: Picture, gone: float, moment: Moment) -> Picture:
    """Turns to smoke from the top down: wisps rise and thin out."""
    height, width = picture.shape[:2]
    x, y = coarse(height, width, _FINE)
    # The noise is smooth enough for a fourth of its points, and what lies around is as its edge.
    at = (np.clip(np.rint(line), 0, size - 1).astype(int) for line, size in ((y[:, 0], height), (x[0], width)))
    noise = clouds(height, width, 10, moment.seed % 7)[np.ix_(*at)]
    fall = np.clip(y / max(1, height - 1), 0, 1) * np.float32(0.9)
    amount = np.clip((gone * 1.75 - fall - noise * 0.35) / 0.5, 0, 1).astype(np.float32)
    rise = amount * amount * (0.25 + 0.5 * noise) * height * 0.5
    sway = amount * (noise - 0.5) * height * 0.35
    maps = fine(x + sway, y + rise, height, width, _FINE)
    out = cv2.remap(picture, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(0, 0, 0, 0))
    return times(out, four(to_mask(enlarged(amount, height, width, _FINE), -255, 255)))


_FINE = 4


BREAKUPS: dict[str, Callable[[Picture, float, Moment], Picture]] = {"explode": _exploded, "evaporate": _evaporated}


def _torn(picture: Picture, amount: float, moment: Moment) -> Picture:
    """Rows in bands thrown sideways, red and blue apart."""
    height, width = picture.shape[:2]
    chance = random(moment, 13)
    out = picture.copy()
    top = 0
    while top < height:
        band = max(1, int(height * (0.02 + 0.12 * chance.random())))
        if chance.random() < 0.35 + 0.5 * amount:
            shift = int((chance.random() - 0.5) * 0.2 * amount * width)
            out[top : top + band] = _shifted(picture[top : top + band], shift)
        top += band
    apart = max(1, round(0.03 * amount * width))
    red, blue = _shifted(out, apart), _shifted(out, -apart)
    alpha = cv2.max(cv2.max(red[:, :, 3], blue[:, :, 3]), out[:, :, 3])
    return cv2.merge([red[:, :, 0], out[:, :, 1], blue[:, :, 2], alpha])


def _shifted(picture: Picture, right: int) -> Picture:
    """Moved sideways, with nothing where it came from."""
    out = np.zeros_like(picture)
    width = picture.shape[1]
    right = min(max(right, -width), width)
    if right >= 0:
        out[:, right:] = picture[:, : width - right]
    else:
        out[:, :right] = picture[:, -right:]
    return out


def _lit(picture: Picture, at: float) -> Picture:
    """A slanting band of light on the picture."""
    height, width = picture.shape[:2]
    full = width + 0.5 * height
    half = 0.14 * full
    # It depends on x + y / 2 alone: a line of steps of a half, of which each row is a part.
    away = (np.arange(2 * width + height, dtype=np.float32) / 2 - (at * (full + 2 * half) - half)) / half
    line = (np.exp(-(away * away) * 2.5) * 190).astype(np.uint8)
    glow = np.lib.stride_tricks.as_strided(line, (height, width), (1, 2), writeable=False)
    glow = np.ascontiguousarray(glow)
    if opaque(picture):
        return cv2.add(picture, cv2.merge([glow, glow, glow, np.zeros_like(glow)]))
    light = times(cv2.merge([cv2.extractChannel(picture, 3)] * 4), four(glow))
    cv2.insertChannel(np.zeros((height, width), np.uint8), light, 3)
    return clipped(cv2.add(picture, light), picture)
