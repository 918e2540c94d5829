"""Scenes to try looks on, drawn from nothing: a lake at sunset, a town at night, and a figure before a green screen."""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from mediamill.engines import _look
from mediamill.engines._look import Moment

Picture: TypeAlias = NDArray[Any]
"""(height, width, 4) of uint8: RGBA, colours premultiplied by alpha."""


def solid(colours: NDArray[Any]) -> Picture:
    """An opaque picture of colours in 0..255."""
    height, width = colours.shape[:2]
    out = np.full((height, width, 4), 255, np.uint8)
    out[:, :, :3] = np.rint(np.clip(colours, 0, 255))
    return out


def _between(share: NDArray[Any], *colours: tuple[int, int, int]) -> NDArray[Any]:
    """Colours along a line, for shares in 0..1."""
    at = np.linspace(0, 1, len(colours))
    return np.stack([np.interp(share, at, channel) for channel in np.array(colours, float).T], axis=-1)


def _ridge(width: int, level: float, rough: float, seed: int) -> NDArray[Any]:
    """The outline of hills, as shares of the height."""
    chance = np.random.default_rng(seed)
    x = np.linspace(0, 1, width)
    out = np.full(width, level)
    for octave in range(1, 7):
        count = 2**octave + 1
        out += np.interp(x, np.linspace(0, 1, count), chance.uniform(-1, 1, count)) * rough / 1.7**octave
    return out


def lake(height: int = 180, width: int = 320) -> Picture:
    """A low sun over hills, mirrored in a lake, with firs in front."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    y, x = (y + 0.5) / height, (x + 0.5) / width
    out = _between(
        np.clip(y / 0.6, 0, 1), (28, 44, 98), (92, 84, 150), (222, 120, 110), (255, 190, 96), (255, 226, 150)
    )
    away = np.hypot((x - 0.62) * width / height, y - 0.46)
    out += np.exp(-((away / 0.22) ** 2))[..., None] * np.array([90, 62, 10])
    disc = np.clip((0.062 - away) * height, 0, 1)[..., None]
    out = out * (1 - disc) + np.array([255, 246, 205]) * disc
    chance = np.random.default_rng(3)
    for _ in range(26):
        cx, cy, long = chance.uniform(0, 1), chance.uniform(0.06, 0.36), chance.uniform(0.05, 0.2)
        cloud = np.exp(-(((x - cx) / long) ** 2) - ((y - cy) / 0.013) ** 2)[..., None]
        out += cloud * np.array([62, 26, 30]) * chance.uniform(0.3, 1)
    for level, rough, colour, seed in ((0.47, 0.10, (112, 74, 112), 5), (0.53, 0.08, (62, 46, 84), 8)):
        ridge = _ridge(width, level, rough, seed)
        cover = np.clip((y - ridge[None, :]) * height, 0, 1)[..., None]
        out = out * (1 - cover) + np.array(colour) * cover
    shore = round(height * 0.62)
    mirror = out[max(0, 2 * shore - height) : shore][::-1]
    rows = mirror.shape[0]
    ripple = 0.006 * width * np.sin(np.arange(rows) * 900 / height) * np.linspace(0.3, 1.6, rows)
    for row in range(rows):
        out[shore + row] = np.roll(mirror[row], round(ripple[row]), axis=0) * 0.72 + np.array([6, 14, 30])
    firs = np.zeros((height, width), np.uint8)
    for cx, tall in ((0.05, 0.5), (0.13, 0.36), (0.20, 0.42), (0.93, 0.46), (0.86, 0.30)):
        foot, top = height * 0.99, height * (0.99 - tall)
        for step in range(7):
            low, half = top + (foot - top) * (step + 1.4) / 7, tall * height * 0.035 * (step + 1.5)
            corners = [
                [cx * width, top + (foot - top) * step / 7.5],
                [cx * width - half, low],
                [cx * width + half, low],
            ]
            cv2.fillPoly(firs, [np.rint(np.array(corners) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    share = firs[..., None] / 255
    out = out * (1 - share) + np.array([16, 22, 30]) * share
    return solid(out + chance.normal(0, 2.0, (height, width, 1)))


def town(height: int = 180, width: int = 320) -> Picture:
    """Houses with lit windows under a moon, and a street with lamps."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    y, x = (y + 0.5) / height, (x + 0.5) / width
    out = _between(y, (8, 12, 36), (22, 34, 84), (66, 60, 112), (120, 84, 110))
    away = np.hypot((x - 0.2) * width / height, y - 0.2)
    out += np.exp(-((away / 0.16) ** 2))[..., None] * np.array([40, 46, 52])
    disc = np.clip((0.07 - away) * height, 0, 1)[..., None]
    out = out * (1 - disc) + np.array([240, 240, 224]) * disc
    chance = np.random.default_rng(11)
    picture = solid(out)
    for _ in range(70):
        at = (int(chance.random() * width), int(chance.random() * height * 0.45))
        cv2.circle(picture, at, 0, (200, 210, 235, 255), -1)
    for near in (False, True):
        left = -0.03
        while left < 1.0:
            wide, tall = chance.uniform(0.08, 0.16), chance.uniform(0.22, 0.5) * (0.85 if near else 1.2)
            tone = chance.uniform(0.75, 1.25) * (np.array([34, 34, 52]) if near else np.array([50, 50, 84]))
            x0, x1 = round(left * width), round((left + wide) * width)
            y0, y1 = round((0.86 - tall) * height), round(0.86 * height)
            cv2.rectangle(picture, (x0, y0), (x1, y1), (*(int(c) for c in tone), 255), -1)
            step = max(3, height // 30)
            for wy in range(y0 + step, y1 - step, step):
                for wx in range(x0 + step // 2, x1 - step // 2, step):
                    if chance.random() < 0.42:
                        light = np.array([255, 206, 112]) * chance.uniform(0.6, 1)
                        size = max(1, step // 2 - 1)
                        cv2.rectangle(picture, (wx, wy), (wx + size, wy + size), (*(int(c) for c in light), 255), -1)
            left += wide + chance.uniform(0.0, 0.02)
    cv2.rectangle(picture, (0, round(0.86 * height)), (width, height), (30, 30, 40, 255), -1)
    signs = ((0.30, (235, 40, 70)), (0.52, (40, 200, 220)), (0.74, (90, 220, 90)))
    for cx, colour in signs:
        corner = (round(cx * width), round(0.66 * height))
        end = (corner[0] + round(0.07 * width), corner[1] + round(0.07 * height))
        cv2.rectangle(picture, corner, end, (*colour, 255), -1)
    lit = picture[:, :, :3].astype(float)
    for cx in (0.08, 0.36, 0.64, 0.92):
        lamp = np.hypot((x - cx) * width / height, y - 0.74)
        lit += np.exp(-((lamp / 0.06) ** 2))[..., None] * np.array([230, 170, 90])
        pool = np.exp(-(((x - cx) / 0.09) ** 2) - ((y - 0.92) / 0.03) ** 2)
        lit += pool[..., None] * np.array([130, 96, 56])
    return solid(lit + chance.normal(0, 2.5, (height, width, 1)))


def figure_mask(height: int = 180, width: int = 320) -> NDArray[Any]:
    """Where the figure of `green_screen` stands: 255, smooth at its edge."""
    mask = np.zeros((height, width), np.uint8)
    middle = (round(width * 8), round(height * 0.36 * 16))
    cv2.ellipse(
        mask, middle, (round(height * 0.13 * 16), round(height * 0.18 * 16)), 0, 0, 360, 255, -1, cv2.LINE_AA, 4
    )
    body = [[0.36, 1], [0.38, 0.72], [0.46, 0.6], [0.47, 0.5], [0.53, 0.5], [0.54, 0.6], [0.62, 0.72], [0.64, 1]]
    cv2.fillPoly(mask, [np.rint(np.array(body) * (width * 16, height * 16)).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask


def green_screen(height: int = 180, width: int = 320) -> Picture:
    """A figure in a red jersey before an unevenly lit green wall, whose light falls on its edge."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    y, x = (y + 0.5) / height, (x + 0.5) / width
    light = (0.72 + 0.28 * np.exp(-(((x - 0.5) / 0.6) ** 2) - ((y - 0.4) / 0.7) ** 2))[..., None]
    wall = np.array([36, 190, 62]) * light
    skin, jersey = np.array([222, 168, 138]), np.array([176, 42, 48])
    figure = np.where((y < 0.6)[..., None], skin, jersey) * (0.72 + 0.4 * (1 - np.abs(x - 0.47) * 3))[..., None]
    mask = figure_mask(height, width)
    inner = cv2.GaussianBlur(mask, (0, 0), height / 60).astype(float)[..., None] / 255
    figure = figure + (1 - inner) * np.array([-20, 70, -10])
    share = mask[..., None] / 255
    chance = np.random.default_rng(5)
    return solid(wall * (1 - share) + figure * share + chance.normal(0, 1.5, (height, width, 1)))


def sticker(height: int = 180, width: int = 320) -> Picture:
    """A part of the lake in a soft round shape on nothing: every alpha from 0 to 255 is in it."""
    y, x = np.mgrid[0:height, 0:width].astype(float)
    away = np.hypot((x + 0.5) / width - 0.5, (y + 0.5) / height - 0.5)
    share = np.clip((0.48 - away) / 0.25, 0, 1)[..., None]
    out = np.rint(lake(height, width) * share).astype(np.uint8)
    return np.ascontiguousarray(out)


def put(background: Picture, element: Picture, motion: str, p: float, moment: Moment) -> Picture:
    """A picture that stands in the middle of another, as a motion has it."""
    pose = _look.MOTIONS[motion](p, moment)
    if pose.hidden:
        return background.copy()
    height, width = background.shape[:2]
    rows, columns = element.shape[:2]
    box = ((width - columns) / 2, (height - rows) / 2, float(columns), float(rows))
    pad = round(pose.room * max(rows, columns)) + round(3 * pose.blur * height) + 2
    layer = cv2.copyMakeBorder(_look.apply_reveal(element, pose), pad, pad, pad, pad, cv2.BORDER_CONSTANT)
    layer = _look.apply_blur(_look.apply_pieces(layer, pose, moment), pose, height)
    place = np.array([[1, 0, box[0] - pad], [0, 1, box[1] - pad], [0, 0, 1]])
    layer = cv2.warpPerspective(layer, pose.matrix(box, (width, height)) @ place, (width, height))
    layer = cv2.convertScaleAbs(layer, alpha=pose.opacity)
    return _look.BLENDS[pose.blend or "none"](background, layer)


def shown(picture: Picture) -> NDArray[Any]:
    """RGB, with a chequered ground where the picture can be seen through."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width]
    ground = np.where((x // 8 + y // 8) % 2, 96, 64)[..., None]
    return np.asarray(picture[:, :, :3] + ground * (1 - picture[:, :, 3:] / 255)).clip(0, 255).astype(np.uint8)


def sample(family: str, name: str, height: int = 180, width: int = 320) -> Picture:
    """One frame of a look in the midst of its work, as the golden hashes and the page in the docs have it.

    family: effects, transitions, motions, blend_modes.
    """
    a, b = lake(height, width), town(height, width)
    if family == "transitions":
        return _look.TRANSITIONS[name](a, b, 0.4, Moment(t=0.4, frame=12, length_s=1))
    if family == "blend_modes":
        return _look.BLENDS[name](a, b if name != "none" else sticker(height, width))
    if family == "motions":
        whole = name.startswith(("loop", "ken"))
        element = b if whole else np.ascontiguousarray(cv2.resize(b, (width * 3 // 5, height * 3 // 5)))
        if name.startswith("loop"):
            element = np.ascontiguousarray(cv2.resize(b, (width // 2, height // 2)))
        return put(a, element, name, 0.4 if not whole else 0.7, Moment(t=0.65, frame=14, length_s=0))
    picture = green_screen(height, width) if name == "chroma_key" else b if name in AT_NIGHT else a

    def earlier(seconds: float) -> Picture:
        return np.roll(picture, -round(seconds * width * 0.35), axis=1)

    at = 1.03 if name == "strobe_light" else 1.2
    return _look.EFFECTS[name](picture, Moment(t=at, frame=36, length_s=4, earlier=earlier), 1.0, {})


AT_NIGHT = frozenset(
    {"camera_lens_blur", "camera_lens_blur_bg", "glow", "snow", "lens_flare", "night_vision", "crt", "rgb_split"}
)
"""Effects that show better on lights in the dark."""
