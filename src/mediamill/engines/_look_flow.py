"""Transitions in which pictures flow: they are bent, blurred, burnt or broken while one becomes the other."""

from __future__ import annotations

import math
from collections.abc import Mapping
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
    blurred,
    clipped,
    clouds,
    coarse,
    enlarged,
    fine,
    inked,
    masked,
    mixed,
    moved,
    opaque,
    radius,
    random,
    screened,
    smooth,
    threshold,
    times,
    to_mask,
)


def swirl(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """Both are twisted round the middle, most at half time, while one fades into the other."""
    height, width = a.shape[:2]
    x, y = coarse(height, width)
    right, down = x - width / 2, y - height / 2
    away = np.hypot(right, down) / (0.55 * math.hypot(width, height))
    angle = np.clip(1 - away, 0, 1) ** 2 * (1 - abs(2 * p - 1)) * 2.2 * math.pi
    cosine, sine = np.cos(angle), np.sin(angle)
    maps = fine(right * cosine - down * sine + width / 2, right * sine + down * cosine + height / 2, height, width)
    return moved(mixed(a, b, smooth(0.2, 0.8, p)), *maps, beyond=cv2.BORDER_REFLECT)


def water_drop(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """Rings run outwards from the middle over the first picture, and the second shows behind their front."""
    height, width = a.shape[:2]
    x, y = coarse(height, width)
    right, down = x - width / 2, y - height / 2
    away = np.hypot(right, down) / math.hypot(width, height) * 2
    front = p * 1.35
    behind = front - away
    wave = np.sin(behind * 42) * np.exp(-((behind / 0.22) ** 2)) * (1 - p) ** 0.5
    push = wave * 0.04 * height / np.maximum(np.hypot(right, down), 1)
    maps = fine(x + right * push, y + down * push, height, width)
    mask = threshold(radius(height, width), front - 0.3, 0.25)
    out = moved(masked(a, b, mask), *maps, beyond=cv2.BORDER_REFLECT)
    # Crests catch the light.
    light = to_mask(enlarged(wave, height, width), 70, 0)
    flash = cv2.merge([light, light, light, np.zeros_like(light)])
    if opaque(out):
        return cv2.add(out, flash, dst=flash)
    return clipped(cv2.add(out, times(flash, alpha4(out))), out)


def dreamy(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """Both sway like seen through rising heat, in a soft glow, while one fades into the other."""
    height, width = a.shape[:2]
    x, y = coarse(height, width)
    strength = math.sin(math.pi * p)
    sway = 0.022 * height * strength
    phase = 2 * math.pi * p
    maps = fine(
        x + sway * np.sin(y / height * 9 + phase) * 0.6, y + sway * np.cos(x / width * 11 + phase), height, width
    )
    out = moved(mixed(a, b, smooth(0, 1, p)), *maps, beyond=cv2.BORDER_REFLECT)
    return clipped(mixed(out, screened(out, blurred(out, 0.018 * height)), 0.55 * strength), out)


def cross_zoom(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """A rush into the first picture, blurred by its speed, that comes to rest in the second."""
    height, width = a.shape[:2]
    speed = math.sin(math.pi * p) ** 1.5
    picture = mixed(a, b, smooth(0.35, 0.65, p))
    # Half the size is enough for what is in motion; towards both ends the whole one takes over.
    small = cv2.resize(picture, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
    step = 1 + 0.045 * speed
    for _pass in range(4):
        small = cv2.addWeighted(small, 0.5, _zoomed(small, step), 0.5, 0)
        step *= step
    sharp = smooth(0.25, 0.0, speed)
    out = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return _zoomed(mixed(out, picture, sharp), 1 + 0.5 * speed * (0.5 if p < 0.5 else 1.0))


def _zoomed(picture: Picture, scale: float) -> Picture:
    """Larger about its middle, to a fraction of a pixel."""
    height, width = picture.shape[:2]
    matrix = np.array([[scale, 0, (1 - scale) * (width - 1) / 2], [0, scale, (1 - scale) * (height - 1) / 2]])
    return cv2.warpAffine(picture, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def color_phase(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """Red turns first, then green, then blue."""
    shares = [smooth(start, end, p) for start, end in ((0.0, 0.6), (0.2, 0.8), (0.4, 1.0))]
    shares.append(p)
    parts = zip(cv2.split(a), cv2.split(b), shares, strict=True)
    out = cv2.merge([cv2.addWeighted(one, 1 - share, other, share, 0) for one, other, share in parts])
    return clipped(out, out)


@lru_cache(CACHED_SIZES)
def _burn_order(height: int, width: int) -> Field:
    field = 0.26 * clouds(height, width, 3, 5) + 0.08 * clouds(height, width, 14, 6) + 0.66 * radius(height, width)
    field -= field.min()
    return np.asarray(field / max(float(field.max()), 1e-6), np.float32)


@lru_cache(1)
def _burn_tables() -> tuple[Picture, Picture]:
    """What is left of the picture, and the ember on it, by the distance to the fire in levels."""
    away = np.arange(256) / 255
    left = np.interp(away, [0.0, 0.25, 0.5, 1.0], [0.0, 0.04, 0.3, 1.0])
    tint = [np.interp(away, [0, 0.3, 1], [0, blue, 1]) for blue in (1.0, 0.7, 0.5)]
    scorch = np.stack([*(left * part * 255 for part in tint), np.full(256, 255.0)], axis=1)
    fire = [np.interp(away, at, levels) for at, levels in (
        ([0, 0.12, 0.3, 0.42], [255, 255, 120, 0]),
        ([0, 0.1, 0.22, 0.34], [245, 190, 35, 0]),
        ([0, 0.06, 0.14], [190, 70, 0]),
    )]  # fmt: skip
    ember = np.stack([*fire, np.zeros(256)], axis=1)
    return (
        np.rint(scorch).astype(np.uint8).reshape(1, 256, 4),
        np.rint(ember).astype(np.uint8).reshape(1, 256, 4),
    )


def burn(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """Fire eats a hole into the first picture from the middle, with a charred, glowing rim."""
    field = _burn_order(*a.shape[:2])
    rim, soft = 0.16, 0.006
    level = p * (1 + rim + soft) - rim - soft
    away = to_mask(field, 255 / rim, -255 * level / rim)
    scorch, ember = _burn_tables()
    flicker = min(1.0, 6 * p, 6 * (1 - p))
    charred = times(a, inked(away, scorch))
    glow = inked(away, np.rint(ember * flicker).astype(np.uint8))
    burning = cv2.add(charred, glow) if opaque(a) else cv2.min(cv2.add(charred, times(glow, alpha4(a))), alpha4(a))
    return masked(burning, b, threshold(field, level, soft))


def glitch_memories(a: Picture, b: Picture, p: float, moment: Moment) -> Picture:
    """Blocks of both pictures jump about with their colours apart, more of the second the later."""
    height, width = a.shape[:2]
    chance = random(moment, 31)
    out = a.copy()
    rows, columns = 9, 16
    wild = math.sin(math.pi * p)
    share = smooth(0.15, 0.85, p)
    second = chance.random((rows, columns)) < share
    jump = chance.random((rows, columns)) < 0.45 * wild
    shift_x = (chance.random((rows, columns)) - 0.5) * 0.35 * width * wild
    shift_y = (chance.random((rows, columns)) - 0.5) * 0.12 * height * wild
    for row, column in np.ndindex(rows, columns):
        top, bottom = height * row // rows, height * (row + 1) // rows
        left, right = width * column // columns, width * (column + 1) // columns
        if not jump[row, column] and not second[row, column]:
            continue
        source = b if second[row, column] else a
        x, y = left, top
        if jump[row, column]:
            x = int(min(max(left + shift_x[row, column], 0), width - (right - left)))
            y = int(min(max(top + shift_y[row, column], 0), height - (bottom - top)))
        out[top:bottom, left:right] = source[y : y + bottom - top, x : x + right - left]
    apart = round(0.014 * width * wild * (0.4 + chance.random()))
    if apart:
        red, blue = np.roll(out[:, :, 0], apart, axis=1), np.roll(out[:, :, 2], -apart, axis=1)
        out = cv2.merge([red, out[:, :, 1], blue, out[:, :, 3]])
        return clipped(out, out)
    return out


@lru_cache(CACHED_SIZES)
def _hatch_order(height: int, width: int) -> Field:
    """Pen strokes one way, then the other way, then the gaps: when each pixel is drawn over."""
    x, y = axes(height, width)
    chance = np.random.default_rng(17)
    wide = max(2.0, height / 60)
    field = 0.86 + 0.14 * clouds(height, width, 40, 3)
    for lean, start in ((1.0, 0.0), (-1.0, 0.34)):
        across = (x * width + lean * y * height) / math.sqrt(2)
        along = (x * width - lean * y * height) / math.sqrt(2)
        across = across - across.min()
        along = (along - along.min()) / max(float(np.ptp(along)), 1e-6)
        line = np.floor(across / wide).astype(np.int32)
        # Strokes begin at chance; every other runs the other way.
        begin = chance.random(int(line.max()) + 1).astype(np.float32)
        run = np.where(line % 4 == 0, along, 1 - along)
        drawn = start + 0.3 * begin[line] + 0.22 * run
        inked = (across % (2 * wide)) < wide
        field = np.where(inked, np.minimum(field, drawn), field)
    return np.asarray(field, np.float32)


def crosshatch(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    """The second picture is drawn over the first in strokes that cross."""
    soft = 0.03
    return masked(a, b, threshold(_hatch_order(*a.shape[:2]), p * (1 + soft) - soft, soft))


SQUARES = 9


@lru_cache(CACHED_SIZES)
def _square_order(height: int, width: int) -> Field:
    """Squares open from their middles, those at the upper left first; what is left between them looks like wire."""
    x, y = axes(height, width)
    side = height / SQUARES
    across, down = x * width / side, y * height / side
    inner = np.maximum(np.abs(across % 1 - 0.5), np.abs(down % 1 - 0.5)) * 2
    order = (np.floor(across) / (width / side) + np.floor(down) / SQUARES) / 2
    return np.asarray(0.5 * np.clip(order, 0, 1) + 0.5 * np.where(inner < 0.86, inner * 0.55, inner), np.float32)


def squares_wire(a: Picture, b: Picture, p: float, _: Moment) -> Picture:
    soft = 0.01
    return masked(a, b, threshold(_square_order(*a.shape[:2]), p * (1 + soft) - soft, soft))


TRANSITIONS: Mapping[str, Transition] = {
    "swirl": swirl,
    "water_drop": water_drop,
    "dreamy": dreamy,
    "cross_zoom": cross_zoom,
    "color_phase": color_phase,
    "burn": burn,
    "glitch_memories": glitch_memories,
    "crosshatch": crosshatch,
    "squares_wire": squares_wire,
}
