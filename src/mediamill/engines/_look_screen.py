"""Effects of television: tubes, tapes, aerials and broken streams."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

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
    blurred,
    coloured,
    colours_of,
    corners,
    curve,
    four,
    grain,
    mixed,
    moved,
    on_colours,
    opaque,
    random,
    rounded,
    shaded,
    times,
    vignetted,
    with_grain,
)
from mediamill.engines._look_lens import bulge, rejoined, sideways, text, text_width


def line_pitch(height: int) -> int:
    """Pixels from one scan line to the next: about 270 lines a picture, at least two pixels."""
    return max(2, round(height / 270))


@lru_cache(CACHED_SIZES)
def _lines(height: int, width: int, pitch: int, dark: float) -> Picture:
    """Light of a tube's rows: full in the first half of each pitch, `dark` in the second."""
    column = np.full((height, 1, 4), 255, np.uint8)
    column[np.arange(height) % pitch >= pitch / 2, :, :3] = round(255 * dark)
    out = np.repeat(column, width, axis=1)
    out.setflags(write=False)
    return out


def scanlines(picture: Picture, _: Moment, intensity: float, __: Settings) -> Picture:
    """Every other line dark."""
    height, width = picture.shape[:2]
    return times(picture, _lines(height, width, line_pitch(height), round(1 - 0.62 * intensity, 3)))


def _bent(picture: Picture, shift: Field) -> Picture:
    """Every row moved to the right by its own whole number of pixels, the edge repeated."""
    height, width = picture.shape[:2]
    ways = np.clip(np.rint(shift), 1 - width, width - 1).astype(int)
    most = int(np.abs(ways).max(initial=0))
    if most == 0:
        return picture.copy()
    wide = cv2.copyMakeBorder(picture, 0, 0, most, most, cv2.BORDER_REPLICATE).view(np.uint32).ravel()
    # Rows as they begin at any pixel of the wider picture, all at once.
    rows = np.lib.stride_tricks.sliding_window_view(wide, width)
    begins = np.arange(height) * (width + 2 * most) + most - ways
    return np.ascontiguousarray(rows[begins]).view(np.uint8).reshape(picture.shape)


TAPE = np.rint(curve((0, 0.07), (0.5, 0.51), (1, 0.92))).astype(np.uint8)
"""Neither black nor white come back from a tape."""


def vhs(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """A worn tape: smeared colour beside its edges, soft and rimmed brightness, rows that jitter, a torn foot."""

    def paint(colours: Picture) -> Picture:
        height, width = colours.shape[:2]
        chance = random(moment, 61)
        y = np.arange(height)
        shift = np.repeat(chance.normal(0, 0.0008 * width, -(-height // 3)), 3)[:height]
        roll = (moment.t * 0.22 + 0.3) % 1.3 - 0.15
        wave = np.exp(-(((y / height - roll) / 0.03) ** 2))
        foot = np.clip((y / height - 0.955) / 0.045, 0, 1)
        shift = shift + wave * 0.012 * width * np.sin(y * 0.9) + foot * foot * 0.09 * width
        bent = _bent(colours, np.asarray(shift, np.float32))
        luma, red, blue = cv2.split(cv2.cvtColor(cv2.cvtColor(bent, cv2.COLOR_RGBA2RGB), cv2.COLOR_RGB2YCrCb))
        # The tape has some 40 colours a line where it has 240 shades, and the colour comes late, and a little strong.
        red, blue = (_smeared(part, width // 40 * 2, round(0.006 * width)) for part in (red, blue))
        red, blue = (cv2.addWeighted(part, 1.15, part, 0, -0.15 * 128 + tint) for part, tint in ((red, 0), (blue, 2)))
        soft = cv2.GaussianBlur(luma, (0, 0), max(0.6, width / 900), sigmaY=0.3)
        wide = cv2.blur(soft, (max(3, width // 110), 1))
        luma = cv2.LUT(cv2.addWeighted(soft, 1.55, wide, -0.55, 0), TAPE)
        luma = _tape_noise(luma, chance, np.clip(0.028 + 0.35 * wave + 0.6 * foot, 0, 0.6))
        rgb = cv2.cvtColor(cv2.merge([luma, red, blue]), cv2.COLOR_YCrCb2RGB)
        lines = _lines(height, width, line_pitch(height), 0.88)
        return mixed(colours, times(cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA), lines), intensity)

    return on_colours(picture, paint)


def _smeared(part: Picture, count: int, late: int) -> Picture:
    """A channel with `count` steps a line, moved to the right."""
    height, width = part.shape
    small = cv2.resize(part, (max(2, count), max(2, height // 2)), interpolation=cv2.INTER_AREA)
    full = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    return sideways(full, late)


def _tape_noise(luma: Mask, chance: np.random.Generator, strength: Field) -> Mask:
    """Streaks along the rows, of a strength for each row."""
    height, width = luma.shape
    tile = grain("mono")
    rows = chance.integers(0, tile.shape[0], height)
    start = int(chance.integers(0, tile.shape[1] // 2))
    count = min(max(2, width // 3), tile.shape[1] // 2)
    part = tile[rows, start : start + count, 0].astype(np.float32)
    streaks = cv2.resize((part - 128) * (strength * 255 / 40).astype(np.float32)[:, None], (width, height))
    return cv2.add(luma, streaks, dtype=cv2.CV_8U)


def vhs_overlay(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """A recorder's display over the picture: PLAY, the counter, the date, and tracking noise that runs through."""
    height, width = picture.shape[:2]
    marks = np.zeros_like(picture)
    size, edge = height / 340, round(height * 0.08)
    line = edge + round(height * 0.05)
    clock = int(moment.t + 1e-6)
    counter = f"{clock // 3600}:{clock // 60 % 60:02d}:{clock % 60:02d}"
    x = text_width("PLAY", size) + edge + round(height * 0.03)
    tall = round(height * 0.05)
    arrow = np.array([[x, line], [x, line - tall], [x + round(tall * 0.85), line - tall // 2]], np.int32)
    late = max(1, round(height / 300))
    for shift, colour in ((late, (70, 10, 130, 150)), (0, (244, 246, 240, 255))):
        text(marks, "PLAY", (edge + shift, line), size, colour)
        cv2.fillPoly(marks, [arrow + np.array([shift, 0], np.int32)], colour, cv2.LINE_AA)
        text(marks, "SP", (edge + shift, height - edge), size, colour)
        at = (width - edge - text_width(counter, size) + shift, height - edge)
        text(marks, counter, at, size, colour)
    chance = random(moment, 67)
    roll = (moment.t * 0.17 + 0.35) % 1.2 - 0.1
    for _band in range(26):
        y = round((roll + chance.normal(0, 0.018)) * height)
        start, long = int(chance.random() * width), int(chance.gamma(2, width / 40))
        tone = int(150 + 105 * chance.random())
        cv2.line(marks, (start, y), (start + long, y), (tone, tone, tone, tone), max(1, height // 360))
    marks = cv2.convertScaleAbs(marks, alpha=intensity) if intensity < 1 else marks
    shift = np.zeros(height, np.float32)
    rows = np.arange(height) / height
    shift += np.exp(-(((rows - roll) / 0.02) ** 2)) * 0.012 * width * intensity
    bent = _bent(picture, shift) if -0.05 < roll < 1.05 else picture
    keep = four(cv2.bitwise_not(cv2.extractChannel(marks, 3)))
    if opaque(picture):
        return cv2.add(cv2.multiply(bent, keep, dst=keep, scale=1 / 255), marks, dst=keep)
    out = cv2.add(times(bent, keep), times(marks, alpha4(picture)))
    cv2.insertChannel(cv2.extractChannel(bent, 3), out, 3)
    return cv2.min(out, alpha4(out))


@lru_cache(CACHED_SIZES)
def _glass(height: int, width: int) -> Picture:
    """Light of a tube: its rows, upright stripes of red, green and blue, round corners, darker towards them."""
    wide = max(1, round(height / 540))
    stripe = np.arange(width) // wide % 3
    row = np.full((1, width, 4), 255, np.uint8)
    for number in range(3):
        row[0, stripe != number, number] = 205
    out = times(np.repeat(row, height, axis=0), _lines(height, width, line_pitch(height), 0.6))
    out = times(vignetted(out, start=0.5, edge=0.45), four(rounded(height, width, 0.07, 0.004, 0.006)))
    out[:, :, 3] = 255
    out.setflags(write=False)
    return out


def crt(picture: Picture, _: Moment, intensity: float, __: Settings) -> Picture:
    """A picture tube: bulging glass with black corners, coloured stripes, scan lines, and light that bleeds."""

    def paint(colours: Picture) -> Picture:
        height, width = colours.shape[:2]
        bright = cv2.addWeighted(colours, 1.05, blurred(colours, height / 60), 0.26, 0)
        out = moved(times(bright, _glass(height, width)), *_tube(height, width), beyond=cv2.BORDER_CONSTANT)
        return mixed(colours, out, intensity)

    return on_colours(picture, paint)


@lru_cache(CACHED_SIZES)
def _tube(height: int, width: int) -> tuple[Picture, Picture]:
    """The map of bulging glass: the middles of the edges stay in place, the corners are drawn in."""
    x, y = bulge(height, width, 0.16)
    stretch = 1.16 / (1 + 0.16 * (width**2 / (width**2 + height**2)))
    return (x - width / 2) * stretch + width / 2, (y - height / 2) * stretch + height / 2


@lru_cache(CACHED_SIZES)
def _old_tube(height: int, width: int) -> Mask:
    """Light of an old tube: coarse rows, very round corners, dark towards them."""
    lines = cv2.extractChannel(_lines(height, width, line_pitch(height), 0.74), 0)
    out = cv2.multiply(lines, corners(height, width, 0.45, 0.3), scale=1 / 255)
    out = np.asarray(cv2.multiply(out, rounded(height, width, 0.16, 0.006, 0.012), scale=1 / 255), np.uint8)
    out.setflags(write=False)
    return out


ROOM_LIGHT = 14
"""Black is never black in a lit room."""


def television(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """An old set with a poor aerial: snow, a double picture, a bar that rolls, and a frame that does not quite hold."""

    def paint(colours: Picture) -> Picture:
        height, width = colours.shape[:2]
        chance = random(moment, 71)
        rows = np.arange(height) / height
        sway = 0.004 * width * np.sin(rows * 9 + moment.t * 5) + chance.normal(0, 0.0016 * width, height)
        jump = 0.05 * width if chance.random() < 0.08 else 0.0
        out = _bent(colours, np.asarray(sway + jump * np.exp(-((rows - chance.random()) ** 2) / 0.01), np.float32))
        parts = colours_of(mixed(out, sideways(out, round(0.028 * width)), 0.28), 0.35)
        parts = with_grain(parts, moment, 0.10, size=max(1.0, height / 400))
        bar = (moment.t * 0.35) % 1.4 - 0.2
        light = 1 - 0.30 * np.exp(-(((rows - bar) / 0.10) ** 2)) + 0.12 * np.exp(-(((rows - bar - 0.2) / 0.06) ** 2))
        column = np.rint(np.clip(light * 255, 0, 255)).astype(np.uint8)
        parts = shaded(parts, np.repeat(column[:, None], width, axis=1))
        parts = shaded([cv2.add(one, cast(Any, ROOM_LIGHT), dst=one) for one in parts], _old_tube(height, width))
        return mixed(colours, coloured(parts), intensity)

    return on_colours(picture, paint)


GLITCH_HOLD_S = 0.08


def glitch(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """A broken signal: bands torn sideways, colours apart, some blocks out of place, anew a dozen times a second."""
    height, width = picture.shape[:2]
    chance = random(moment, 73, GLITCH_HOLD_S)
    wild = intensity * (0.55 + 0.45 * chance.random())
    shift = np.zeros(height, np.float32)
    for _band in range(7):
        top, tall = chance.random(), 0.015 + 0.10 * chance.random() ** 2
        rows = slice(int(top * height), int((top + tall) * height) + 1)
        shift[rows] = (chance.random() - 0.5) * 0.22 * wild * width
    out = _bent(picture, np.rint(shift))
    for _block in range(6):
        tall, wide = max(1, int(height * 0.05 * chance.random())), max(1, int(width * 0.22 * chance.random()))
        y, x = int(chance.random() * (height - tall)), int(chance.random() * (width - wide))
        v, u = int(chance.random() * (height - tall)), int(chance.random() * (width - wide))
        if chance.random() < wild:
            out[y : y + tall, x : x + wide] = picture[v : v + tall, u : u + wide]
    apart = max(1, round(0.011 * width * wild))
    return rejoined((sideways(out, apart), out, sideways(out, -apart)))


def compression_glitch(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """A stream with lost packets: coarse blocks with the seams of the code, some held from before or shifted."""

    def paint(colours: Picture) -> Picture:
        height, width = colours.shape[:2]
        # The real thing: a picture packed far too hard. Half the size makes blocks of 16 pixels.
        half = max(1, round(height / 540))
        small = cv2.resize(colours, (max(8, width // half), max(8, height // half)), interpolation=cv2.INTER_AREA)
        quality = max(1, round(16 - 13 * intensity))
        bgr = cv2.cvtColor(small, cv2.COLOR_RGBA2BGR)
        packed = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        coarse = cv2.cvtColor(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGBA)
        chance = random(moment, 79, 0.12)
        block = 16 if coarse.shape[0] >= 160 else 8
        rows, columns = coarse.shape[0] // block, coarse.shape[1] // block
        lost = coarse.copy()
        for _run in range(round(16 * intensity)):
            row, column = int(chance.random() * rows), int(chance.random() * columns)
            long = 1 + int(chance.gamma(2, columns / 14))
            y, x = row * block, column * block
            end = min((column + long) * block, coarse.shape[1])
            v = min(max(y + int(chance.normal(0, 2)) * block, 0), coarse.shape[0] - block)
            u = min(max(x + int(chance.normal(0, 3)) * block, 0), coarse.shape[1] - (end - x))
            part = coarse[v : v + block, u : u + end - x]
            if chance.random() < 0.35:
                part = np.broadcast_to(coarse[y : y + block, x : x + 1], part.shape)
            elif chance.random() < 0.3:
                part = part[:, :, [1, 2, 0, 3]]
            lost[y : y + block, x:end] = part
        return cv2.resize(lost, (width, height), interpolation=cv2.INTER_NEAREST)

    return on_colours(picture, lambda colours: mixed(colours, paint(colours), min(1.0, 0.35 + intensity)))


EFFECTS: Mapping[str, Effect] = {
    "vhs": vhs,
    "vhs_overlay": vhs_overlay,
    "crt": crt,
    "television": television,
    "glitch": glitch,
    "compression_glitch": compression_glitch,
    "scanlines": scanlines,
}
