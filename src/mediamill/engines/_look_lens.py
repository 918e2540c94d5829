"""Effects that bend a picture or take its colours apart, and the view through a camera's finder."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache

import cv2
import numpy as np

from mediamill.engines._look_base import (
    CACHED_SIZES,
    Effect,
    Field,
    Mask,
    Moment,
    Picture,
    Settings,
    alpha4,
    coarse,
    fine,
    four,
    mixed,
    moved,
    opaque,
    times,
    vignetted,
)


def rejoined(parts: tuple[Picture, Picture, Picture]) -> Picture:
    """Red of the first picture, green of the second, blue of the third; something shows where any of them does."""
    if all(opaque(part) for part in parts):
        out = np.empty_like(parts[1])
        cv2.mixChannels(list(parts), [out], [0, 0, 5, 1, 10, 2, 7, 3])
        return out
    alpha = cv2.max(cv2.max(parts[0][:, :, 3], parts[1][:, :, 3]), parts[2][:, :, 3])
    return cv2.merge([*(part[:, :, number] for number, part in enumerate(parts)), alpha])


def taken_apart(picture: Picture, matrices: Sequence[Field], beyond: int) -> Picture:
    """Red, green and blue each moved by a matrix of its own; something shows where any of them does."""
    size = picture.shape[1::-1]
    channels = cv2.split(picture)
    rest = np.eye(2, 3)

    def placed(channel: Mask, matrix: Field) -> Mask:
        return channel if np.array_equal(matrix, rest) else cv2.warpAffine(channel, matrix, size, borderMode=beyond)

    parts = [placed(channel, matrix) for channel, matrix in zip(channels, matrices, strict=False)]
    alpha = channels[3]
    if cv2.minMaxLoc(alpha)[0] < 255:
        alphas = [placed(alpha, matrix) for matrix in matrices]
        alpha = cv2.max(cv2.max(alphas[0], alphas[1]), alphas[2])
    return cv2.merge([*parts, alpha])


def sideways(picture: Picture, right: int) -> Picture:
    """Moved to the right by whole pixels, the edge repeated."""
    if right == 0:
        return picture
    right = max(min(right, picture.shape[1] - 1), 1 - picture.shape[1])
    if right > 0:
        return cv2.copyMakeBorder(picture[:, :-right], 0, 0, right, 0, cv2.BORDER_REPLICATE)
    return cv2.copyMakeBorder(picture[:, -right:], 0, 0, 0, -right, cv2.BORDER_REPLICATE)


def rgb_split(picture: Picture, _: Moment, intensity: float, __: Settings) -> Picture:
    """Red to the left and blue to the right of green, everywhere by the same way."""
    shift = max(1, round(0.012 * picture.shape[1] * intensity))
    return rejoined((sideways(picture, -shift), picture, sideways(picture, shift)))


def chromatic_aberration(picture: Picture, _: Moment, intensity: float, __: Settings) -> Picture:
    """A poor lens: red is drawn larger than blue, so that edges are fringed away from the middle."""
    height, width = picture.shape[:2]
    matrices = []
    for scale in (1 + 0.014 * intensity, 1.0, 1 - 0.014 * intensity):
        x, y = (1 - scale) * (width - 1) / 2, (1 - scale) * (height - 1) / 2
        matrices.append(np.array([[scale, 0, x], [0, scale, y]]))
    return taken_apart(picture, matrices, cv2.BORDER_REPLICATE)


def displacement_map(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """Pushed about by a map of slow waves, as under moving water."""
    height, width = picture.shape[:2]
    x, y = coarse(height, width)
    u, v, t = x / height * 2 * math.pi, y / height * 2 * math.pi, moment.t
    reach = 0.016 * height * intensity
    right = np.sin(2.1 * v + 1.1 * t + 1.3 * np.sin(1.2 * u - 0.7 * t)) + 0.5 * np.sin(3.4 * u + 2.8 * v - 1.6 * t)
    down = np.cos(2.4 * u - 0.9 * t + 1.2 * np.sin(1.5 * v + 0.8 * t)) + 0.5 * np.sin(3.1 * v - 2.2 * u + 1.3 * t)
    maps = fine((x + reach * right).astype(np.float32), (y + reach * down).astype(np.float32), height, width)
    return moved(picture, *maps, beyond=cv2.BORDER_REFLECT_101)


@lru_cache(CACHED_SIZES)
def bulge(height: int, width: int, strength: float) -> tuple[Field, Field]:
    """The map of a wide lens: the middle is nearer, straight lines bend outwards, the corners stay in place."""
    x, y = coarse(height, width)
    right, down = (x - (width - 1) / 2), (y - (height - 1) / 2)
    away = np.hypot(right, down) / (math.hypot(width, height) / 2)
    scale = (1 + strength * away * away) / (1 + strength)
    return fine(right * scale + (width - 1) / 2, down * scale + (height - 1) / 2, height, width)


def optics_compensation(picture: Picture, _: Moment, intensity: float, __: Settings) -> Picture:
    """The barrel distortion of a wide lens."""
    return moved(picture, *bulge(*picture.shape[:2], round(0.9 * intensity, 3)))


def viewfinder(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """What a camera operator sees: frame corners, cross, thirds, the red lamp, the time code, the battery."""
    frame = finder_marks(picture, moment)
    dim = mixed(picture, vignetted(picture, start=0.55, edge=0.5), intensity)
    mark = cv2.convertScaleAbs(frame, alpha=intensity) if intensity < 1 else frame
    keep = four(cv2.bitwise_not(cv2.extractChannel(mark, 3)))
    if opaque(picture):
        return cv2.add(cv2.multiply(dim, keep, dst=keep, scale=1 / 255), mark, dst=keep)
    out = cv2.add(times(dim, keep), times(mark, alpha4(picture)))
    cv2.insertChannel(cv2.extractChannel(picture, 3), out, 3)
    return cv2.min(out, alpha4(picture))


def finder_marks(picture: Picture, moment: Moment) -> Picture:
    """The marks alone on nothing."""
    height, width = picture.shape[:2]
    out = np.zeros_like(picture)
    thick, unit = max(1, round(height / 360)), height / 100
    white, faint = (255, 255, 255, 255), (90, 90, 90, 90)
    for third in (1, 2):
        cv2.line(out, (width * third // 3, 0), (width * third // 3, height), faint, thick)
        cv2.line(out, (0, height * third // 3), (width, height * third // 3), faint, thick)
    left, top = round(5 * unit), round(5 * unit)
    right, bottom, arm = width - 1 - left, height - 1 - top, round(9 * unit)
    for x, y, across, down in ((left, top, 1, 1), (right, top, -1, 1), (left, bottom, 1, -1), (right, bottom, -1, -1)):
        cv2.line(out, (x, y), (x + across * arm, y), white, thick * 2)
        cv2.line(out, (x, y), (x, y + down * arm), white, thick * 2)
    middle, small = (width // 2, height // 2), round(2.5 * unit)
    cv2.line(out, (middle[0] - small, middle[1]), (middle[0] + small, middle[1]), white, thick)
    cv2.line(out, (middle[0], middle[1] - small), (middle[0], middle[1] + small), white, thick)
    size, line = height / 480, top + round(7 * unit)
    if moment.t % 1 < 0.5:
        cv2.circle(out, (left + round(6 * unit), line), round(1.6 * unit), (235, 30, 30, 255), -1, cv2.LINE_AA)
    text(out, "REC", (left + round(9 * unit), line + round(1.6 * unit)), size, white)
    frames = int(moment.t % 1 * moment.rate + 1e-6)
    clock = int(moment.t + 1e-6)
    code = f"{clock // 3600:02d}:{clock // 60 % 60:02d}:{clock % 60:02d}:{frames:02d}"
    wide = text_width(code, size)
    text(out, code, (middle[0] - wide // 2, bottom - round(3 * unit)), size, white)
    cell = (right - round(15 * unit), line - round(1.8 * unit))
    cv2.rectangle(out, cell, (cell[0] + round(8 * unit), cell[1] + round(4 * unit)), white, thick)
    for bar in range(3):
        x = cell[0] + round((1 + 2.3 * bar) * unit)
        low = (x + round(1.6 * unit), cell[1] + round(3.2 * unit))
        cv2.rectangle(out, (x, cell[1] + round(0.9 * unit)), low, white, -1)
    return out


def text(out: Picture, words: str, at: tuple[int, int], size: float, colour: tuple[int, int, int, int]) -> None:
    """Writes in plain strokes, as camera and recorder displays do; `at` is the lower left."""
    thick = max(1, round(size * 2))
    cv2.putText(out, words, at, cv2.FONT_HERSHEY_SIMPLEX, size, colour, thick, cv2.LINE_AA)


def text_width(words: str, size: float) -> int:
    return cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, size, max(1, round(size * 2)))[0][0]


EFFECTS: Mapping[str, Effect] = {
    "rgb_split": rgb_split,
    "chromatic_aberration": chromatic_aberration,
    "displacement_map": displacement_map,
    "optics_compensation": optics_compensation,
    "viewfinder": viewfinder,
}
