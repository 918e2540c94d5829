"""Effects of light, of focus, of weather and of time."""

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
    Mask,
    Moment,
    Picture,
    Settings,
    alpha4,
    axes,
    blurred,
    cast,
    clipped,
    curve,
    four,
    graded,
    masked,
    mixed,
    on_colours,
    opaque,
    radius,
    screened,
    shrunk,
    small_size,
    table,
    times,
    to_mask,
    toned,
    zoomed,
)

LENS_RADIUS = 0.022
"""Of the largest disc of light, as a share of the height."""
CURVE = 3.0
_LEVELS = np.arange(256, dtype=np.float32) / 255
_POWERS = np.stack([*[_LEVELS**CURVE] * 3, _LEVELS], axis=1).astype(np.float32).reshape(1, 256, 4)
"""Light of each level of red, green and blue; alpha is a share already."""


@lru_cache(CACHED_SIZES)
def _disc(size: float) -> Field:
    """What a lens with a round aperture makes of a point, its rim a little brighter."""
    reach = math.ceil(size)
    away = np.hypot(*np.mgrid[-reach : reach + 1, -reach : reach + 1]).astype(np.float32)
    kernel = np.clip(size + 0.5 - away, 0, 1) * (1 + 0.35 * (away / max(size, 1)) ** 4)
    return np.asarray(kernel / kernel.sum(), np.float32)


def _out_of_focus(picture: Picture, size: float) -> Picture:
    """Blurred as by a lens: lights grow to discs instead of fading. size: radius of a disc in pixels."""
    height, width = picture.shape[:2]
    step = max(1.0, size / 5)
    small = (max(1, round(width / step)), max(1, round(height / step)))
    # Light adds up before the film's curve: a high power of it lets a lamp outshine its neighbours.
    part: Field = cv2.LUT(shrunk(picture, *small), _POWERS)
    part = cv2.filter2D(part, -1, _disc(round(size / step, 1)), borderType=cv2.BORDER_REPLICATE)
    solid = cv2.convertScaleAbs(cv2.extractChannel(part, 3), alpha=255)
    levels = cv2.convertScaleAbs(cv2.pow(np.maximum(part, 0), 1 / CURVE), alpha=255)
    cv2.insertChannel(solid, levels, 3)
    out = cv2.resize(levels, (width, height), interpolation=cv2.INTER_CUBIC)
    return clipped(out, picture)


def camera_lens_blur(picture: Picture, _: Moment, intensity: float, __: Settings) -> Picture:
    """The whole picture out of focus, lights as discs."""
    size = max(1.0, LENS_RADIUS * picture.shape[0] * intensity)
    return mixed(picture, _out_of_focus(picture, size), min(1.0, intensity * 8))


@lru_cache(CACHED_SIZES)
def _subject(height: int, width: int) -> Mask:
    """Where one stands who is filmed: the head and shoulders in the middle; 0 is sharp, 255 out of focus."""
    x, y = axes(height, width)
    across = (x - 0.5) * width / height / (0.34 + 0.16 * np.clip((y - 0.35) / 0.65, 0, 1))
    down = np.where(y < 0.5, (y - 0.5) / 0.46, 0)
    return to_mask((np.hypot(across, down)).astype(np.float32), 255 / 0.55, -255 * 0.75 / 0.55)


def camera_lens_blur_bg(picture: Picture, _: Moment, intensity: float, settings: Settings) -> Picture:
    """What is behind the subject out of focus. settings["matte"]: the subject's mask (height, width), 255 sharp;
    without it the subject is taken to stand in the middle, and with a settings["matte_share"] below 1 partly so."""
    matte = settings.get("matte")
    if matte is None:
        behind = _subject(*picture.shape[:2])
    else:
        behind = cv2.bitwise_not(np.asarray(matte, np.uint8))
        behind = mixed(_subject(*picture.shape[:2]), behind, settings.get("matte_share", 1.0))
    size = max(1.0, LENS_RADIUS * picture.shape[0] * intensity)
    return masked(picture, _out_of_focus(picture, size), cv2.convertScaleAbs(behind, alpha=min(1.0, intensity * 8)))


def box_blur(picture: Picture, _: Moment, intensity: float, __: Settings) -> Picture:
    """The mean of a square round each pixel, done twice."""
    reach = 0.016 * picture.shape[0] * intensity
    half = max(1, round(reach))
    size = (2 * half + 1, 2 * half + 1)
    once = cv2.blur(picture, size, borderType=cv2.BORDER_REPLICATE)
    return mixed(picture, cv2.blur(once, size, borderType=cv2.BORDER_REPLICATE), min(1.0, reach))


LIGHTS = table(curve((0, 0), (0.35, 0.03), (0.7, 0.48), (1, 1)))


def glow(picture: Picture, _: Moment) -> Picture:
    """Lights shine beyond their edges."""
    rows, columns = small_size(picture, 270)
    lights = toned(shrunk(picture, columns, rows), LIGHTS)
    near, far = blurred(lights, rows / 90), blurred(lights, rows / 22)
    light = screened(far, cv2.convertScaleAbs(near, alpha=0.6))
    return screened(picture, cv2.resize(light, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR))


GHOSTS = (
    (0.35, 0.030, (1.0, 0.75, 0.35), 0.30),
    (0.62, 0.016, (0.45, 1.0, 0.60), 0.45),
    (0.85, 0.050, (0.40, 0.65, 1.0), 0.22),
    (1.30, 0.095, (0.85, 0.45, 1.0), 0.16),
    (1.55, 0.022, (1.0, 0.55, 0.30), 0.40),
    (1.85, 0.130, (0.35, 0.80, 1.0), 0.14),
)
"""Place on the line from the sun through the middle, where 1 is the middle; radius; colour; strength."""


def _within(middle: float, reach: float, size: int) -> slice:
    """The pixels of an axis that lie within a reach."""
    start = min(max(math.floor(middle - reach), 0), size)
    return slice(start, min(max(math.ceil(middle + reach) + 1, start), size))


def lens_flare(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """A low sun in the upper left, its rays and streak, and its reflections across the picture."""
    rows, columns = small_size(picture, 216)
    t = moment.t
    sun = (0.22 + 0.02 * math.sin(0.5 * t), 0.24 + 0.012 * math.cos(0.4 * t))
    x, y = axes(rows, columns)
    across, down = (x - sun[0]) * columns / rows, y - sun[1]
    away, angle = np.hypot(across, down), np.arctan2(down, across)
    rays = 0.75 + 0.25 * np.sin(angle * 9 + 0.3 * t) * np.sin(angle * 4 - 1)
    core = np.exp(-((away / 0.035) ** 2)) * 1.6 + 0.5 * rays * np.exp(-away / 0.16)
    light = core[:, :, None] * np.array([1.0, 0.9, 0.68], np.float32)
    streak = np.exp(-((down / 0.008) ** 2)) * np.exp(-((across / 0.55) ** 2)) * 0.5
    light = light + streak[:, :, None] * np.array([0.55, 0.75, 1.0], np.float32)
    ring = np.exp(-(((away - 0.30) / 0.018) ** 2)) * 0.10
    light = light + np.dstack([ring, np.roll(ring, 2, axis=1), np.roll(ring, 4, axis=1)])
    for place, size, colour, strength in GHOSTS:
        gx, gy = (at + (0.5 - at) * place for at in sun)
        # No ghost reaches further than 1.08 of its size.
        rows_ = _within(gy * rows, 1.08 * size * rows, rows)
        columns_ = _within(gx * columns, 1.08 * size * rows, columns)
        off = np.hypot((x[:, columns_] - gx) * columns / rows, y[rows_] - gy) / size
        inner = np.clip(off, 0, 1)
        spot = np.clip((1.08 - off) / 0.16, 0, 1) * (0.45 + 0.55 * inner * inner * inner)
        light[rows_, columns_] += spot[:, :, None] * (np.array(colour, np.float32) * strength)
    return on_colours(picture, lambda colours: cast(colours, light * intensity))


STROBE_HZ = 3.0
"""Not more: flashes between 3 and 30 a second can harm viewers (WCAG 2.3.1, three flashes)."""


def strobe_light(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """A flash gun in a dark room, three times a second: white, then the picture, then dusk until the next."""
    phase = moment.t * STROBE_HZ % 1
    flash = max(0.0, 1 - phase / 0.22)
    dusk = min(1.0, max(0.0, (phase - 0.1) / 0.3)) * 0.62

    def paint(colours: Picture) -> Picture:
        return cv2.convertScaleAbs(colours, alpha=1 - (dusk - flash * 0.6) * intensity, beta=215 * flash * intensity)

    return on_colours(picture, paint)


FLAKES = ((260, 0.0022, 0.10, 0.55), (130, 0.0042, 0.17, 0.75), (46, 0.0085, 0.28, 0.85))
"""Of each depth: how many, radius, fall in heights a second, how white."""


def snow(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """Flakes of three depths fall and sway; the near ones are large, fast and out of focus."""
    height, width = picture.shape[:2]
    rows, columns = small_size(picture, 540)
    mask: Mask = np.zeros((rows, columns), np.uint8)
    for depth, (count, size, fall, white) in enumerate(FLAKES):
        chance = np.random.default_rng((moment.seed & 0xFFFFFFFF, 53, depth))
        number = round(count * intensity * width / height / 1.78)
        x, y, pace, beat, grow = chance.random((5, max(number, 1)))
        t = moment.t
        at_y = (y + t * fall * (0.75 + 0.5 * pace)) % 1.1 - 0.05
        at_x = (x + 0.02 * np.sin((0.6 + beat) * t * 1.7 + 6.28 * pace) + 0.03 * fall * t) % 1.04 - 0.02
        layer: Mask = np.zeros_like(mask)
        for fx, fy, fr in zip(at_x * columns, at_y * rows, size * rows * (0.7 + 0.6 * grow), strict=True):
            tone = round(255 * white)
            cv2.circle(layer, (int(fx * 16), int(fy * 16)), max(8, int(fr * 16)), tone, -1, cv2.LINE_AA, 4)
        layer = cv2.GaussianBlur(layer, (0, 0), 0.35 + size * rows * 0.45)
        mask = cv2.max(mask, layer)
    full = four(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR))
    flakes, alpha = full, 255.0
    if opaque(picture):
        faded = cv2.convertScaleAbs(picture, alpha=1 - 0.12 * intensity, beta=alpha * 0.10 * intensity)
    else:
        there = alpha4(picture)
        flakes = times(there, full)
        faded = cv2.addWeighted(picture, 1 - 0.12 * intensity, there, 0.10 * intensity, 0)
    cv2.insertChannel(cv2.extractChannel(picture, 3), faded, 3)
    cv2.multiply(faded, cv2.bitwise_not(full), dst=faded, scale=1 / 255)
    out = cv2.add(faded, flakes, dst=faded)
    if not opaque(out):
        cv2.insertChannel(cv2.extractChannel(picture, 3), out, 3)
    return clipped(out, picture)


def _earlier(picture: Picture, moment: Moment, seconds: float) -> Picture:
    """The picture some time ago; the present one where there was none yet."""
    before = moment.earlier(seconds) if moment.earlier is not None else None
    return picture if before is None or before.shape != picture.shape else before


ECHOES = 4
ECHO_S = 0.1


def echo(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """What was to be seen up to 0.4 s ago still shines, larger and fainter the longer ago."""
    out = picture
    for number in range(ECHOES, 0, -1):
        before = _earlier(picture, moment, number * ECHO_S)
        before = zoomed(before, 1 + 0.045 * number * intensity)
        cv2.convertScaleAbs(before, dst=before, alpha=intensity * 0.86**number)
        out = cv2.max(out, before, dst=before)
    return clipped(out, out)


GHOST_S = (0.12, 0.24)


def ghosting(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
    """Two earlier pictures hang over this one, and a faint double stands beside it, as with a poor aerial."""
    out = picture
    for number, seconds in enumerate(GHOST_S):
        out = mixed(out, _earlier(picture, moment, seconds), (0.42 - 0.14 * number) * intensity)
    shift = max(1, round(0.022 * picture.shape[1]))
    beside = cv2.copyMakeBorder(picture[:, :-shift], 0, 0, shift, 0, cv2.BORDER_REPLICATE)
    return mixed(out, beside, 0.26 * intensity)


def prism(picture: Picture, _: Moment, intensity: float, __: Settings) -> Picture:
    """Seen through cut glass: round a clear middle the picture is repeated in three colours."""
    height, width = picture.shape[:2]
    reach, scale = round(0.075 * height * intensity), 1 + 0.06 * intensity
    size = round(width * scale), round(height * scale)
    larger = cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)
    # As far as the copies move, what is left of the larger one comes first, then its mirror.
    left, top = reach - (size[0] - width) // 2, reach - (size[1] - height) // 2
    larger = larger[max(0, -top) : height + 2 * reach - top, max(0, -left) : width + 2 * reach - left]
    left, top = max(0, left), max(0, top)
    right, below = width + 2 * reach - left - larger.shape[1], height + 2 * reach - top - larger.shape[0]
    larger = cv2.copyMakeBorder(larger, top, below, left, right, cv2.BORDER_REFLECT)
    parts = []
    for turn in (90, 210, 330):
        x = reach - round(reach * math.cos(math.radians(turn)))
        y = reach + round(reach * math.sin(math.radians(turn)))
        parts.append(larger[y : y + height, x : x + width])
    split = np.empty_like(picture)
    if opaque(picture):
        cv2.mixChannels([*parts, picture], [split], [0, 0, 5, 1, 10, 2, 15, 3])
    else:
        alpha = cv2.max(cv2.max(*(cv2.extractChannel(part, 3) for part in parts[:2])), cv2.extractChannel(parts[2], 3))
        cv2.mixChannels([*parts, alpha], [split], [0, 0, 5, 1, 10, 2, 12, 3])
    outside = to_mask(radius(height, width), 255 / 0.3, -255 * 0.22 / 0.3)
    return clipped(masked(picture, mixed(picture, split, min(1.0, 0.5 + intensity)), outside), picture)


EFFECTS: Mapping[str, Effect] = {
    "camera_lens_blur": camera_lens_blur,
    "camera_lens_blur_bg": camera_lens_blur_bg,
    "box_blur": box_blur,
    "glow": graded(glow),
    "lens_flare": lens_flare,
    "strobe_light": strobe_light,
    "snow": snow,
    "echo": echo,
    "ghosting": ghosting,
    "prism": prism,
}
