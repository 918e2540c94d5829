"""What every look works on: a picture, the moment it is shown, and the small tools that all of them use.

A picture is never changed in place. Arrays that depend on the size alone are kept in small caches, as a film asks for
the same ones on every frame.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

# OpenCV's stubs return arrays of any number, so these say the type in words.
Picture: TypeAlias = NDArray[Any]
"""(height, width, 4) of uint8: RGBA, colours premultiplied by alpha, C-contiguous."""
Mask: TypeAlias = NDArray[Any]
"""(height, width) of uint8: 0 keeps the first, 255 takes the second."""
Field: TypeAlias = NDArray[Any]
"""(height, width) of float32"""

CACHED_SIZES = 6
"""A film has one canvas and some element sizes. A 1080p field of float32 is 8 MB."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a look is asked for.

    t: seconds since the start of the element (effects), of the transition's window, or of the motion's window.
    frame: the number of the frame on the timeline. length_s: of that element or window, 0 when unknown.
    earlier(seconds): the element's picture that long before this frame, without its effects; None before its start.
    seed: tells two elements with the same look apart. The same moment gives the same picture, in every process.
    """

    t: float = 0.0
    frame: int = 0
    rate: float = 30.0
    length_s: float = 0.0
    earlier: Callable[[float], Picture | None] | None = None
    seed: int = 0


Settings: TypeAlias = Mapping[str, Any]
Effect: TypeAlias = Callable[[Picture, Moment, float, Settings], Picture]
Transition: TypeAlias = Callable[[Picture, Picture, float, Moment], Picture]
Blend: TypeAlias = Callable[[Picture, Picture], Picture]


def random(moment: Moment, salt: int, every: float = 0.0) -> np.random.Generator:
    """Chance that is the same for the same frame. every: seconds for which it stays the same; 0 = one frame."""
    step = int(moment.t / every + 1e-6) if every > 0 else moment.frame
    return np.random.default_rng((moment.seed & 0xFFFFFFFF, salt, max(step, 0)))


def smooth(low: float, high: float, x: float) -> float:
    """0 below `low`, 1 above `high`, an S between."""
    share = min(max((x - low) / (high - low), 0.0), 1.0)
    return share * share * (3 - 2 * share)


def opaque(picture: Picture) -> bool:
    """Whether nothing shines through."""
    if not picture.flags.c_contiguous or sys.byteorder != "little":
        return cv2.minMaxLoc(cv2.extractChannel(picture, 3))[0] == 255
    # Alpha is the highest byte of four: the least of the numbers tells whether it is 255 everywhere.
    return bool(picture.view(np.uint32).min() >= 0xFF000000)


def alpha4(picture: Picture) -> Picture:
    """The alpha of a picture in all four channels."""
    alpha = cv2.extractChannel(picture, 3)
    return cv2.merge([alpha, alpha, alpha, alpha])


def four(mask: Mask) -> Picture:
    """A mask in all four channels."""
    return cv2.merge([mask, mask, mask, mask])


def times(first: Picture, second: Picture) -> Picture:
    """Product of two pictures, 255 counting as one."""
    return cv2.multiply(first, second, scale=1 / 255)


def mixed(first: Picture, second: Picture, share: float) -> Picture:
    """`share` of the second, the rest of the first; exactly either at 0 and 1."""
    if share <= 0:
        return first
    if share >= 1:
        return second
    return cv2.addWeighted(first, 1 - share, second, share, 0)


def masked(first: Picture, second: Picture, mask: Mask) -> Picture:
    """The second where the mask is 255, the first where it is 0, and a mixture on the soft edge."""
    edge = cv2.inRange(mask, 1, 254)
    _, top, width, height = cv2.boundingRect(edge)
    rows = slice(top, top + height)
    wide = cv2.countNonZero(edge) * 12 > mask.size
    if wide:
        # Whole rows, as parts of rows would have to be copied; the sum is right for 0 and 255, too.
        new, old = four(mask[rows]), four(cv2.bitwise_not(mask[rows]))
        cv2.multiply(second[rows], new, dst=new, scale=1 / 255)
        cv2.multiply(first[rows], old, dst=old, scale=1 / 255)
        cv2.add(new, old, dst=new)
        if new.shape == first.shape:
            return new
    out = cv2.copyTo(second, cv2.inRange(mask, 255, 255), first.copy())
    if wide:
        out[rows] = new
    if wide or width == 0:
        return out
    where = np.flatnonzero(edge.view(np.bool_))
    weight = mask.reshape(-1)[where].astype(np.uint16)[:, None]
    old, new = (picture.reshape(-1, 4)[where].astype(np.uint16) for picture in (first, second))
    out.reshape(-1, 4)[where] = (old * (255 - weight) + new * weight + 127) // 255
    return out


def to_mask(field: Field, gain: float, offset: float) -> Mask:
    """field * gain + offset, in levels of 0 to 255."""
    return cv2.addWeighted(field, gain, field, 0, offset, dtype=cv2.CV_8U)


def threshold(field: Field, level: float, soft: float) -> Mask:
    """255 where the field is below the level, 0 where it is `soft` above it and more."""
    return to_mask(field, -255 / soft, 255 * (level / soft + 1))


def clipped(picture: Picture, like: Picture) -> Picture:
    """Colours cut at alpha, as premultiplied ones must be, where the picture can shine through."""
    return picture if opaque(like) else cv2.min(picture, alpha4(picture))


def straight(picture: Picture) -> Picture:
    """The same with colours that are not multiplied by alpha; the colour of nothing is black."""
    out = cv2.divide(picture, alpha4(picture), scale=255)
    cv2.insertChannel(cv2.extractChannel(picture, 3), out, 3)
    return out


def premultiplied(picture: Picture, alpha: Mask) -> Picture:
    """Straight colours times this alpha, which becomes the picture's."""
    scaled = times(picture, four(alpha))
    cv2.insertChannel(alpha, scaled, 3)
    return scaled


def on_colours(picture: Picture, paint: Callable[[Picture], Picture]) -> Picture:
    """`paint` applied to straight colours; alpha stays. `paint` gets RGBA and may return anything as alpha."""
    if not opaque(picture):
        return premultiplied(paint(straight(picture)), cv2.extractChannel(picture, 3))
    out = paint(picture)
    out = out if out is not picture else picture.copy()
    if not opaque(out):
        cv2.insertChannel(_solid(*picture.shape[:2]), out, 3)
    return out


def table(*curves: NDArray[Any]) -> NDArray[np.uint8]:
    """A table for cv2.LUT from three curves of 256 values in 0..255, or one for all; alpha stays."""
    three = curves * 3 if len(curves) == 1 else curves
    stacked = np.stack([*(np.clip(np.rint(curve), 0, 255) for curve in three), np.arange(256)], axis=1)
    return stacked.astype(np.uint8).reshape(1, 256, 4)


@lru_cache(CACHED_SIZES)
def axes(height: int, width: int) -> tuple[Field, Field]:
    """x and y of every pixel's middle from 0 to 1, as arrays that broadcast: (1, width) and (height, 1)."""
    x = (np.arange(width, dtype=np.float32) + 0.5) / width
    y = (np.arange(height, dtype=np.float32) + 0.5) / height
    return x[None, :], y[:, None]


STEP = 8


def coarse(height: int, width: int, step: int = STEP) -> tuple[Field, Field]:
    """x and y in pixels in the middle of every square of `step`, and one square around: a map is worked out on these
    and enlarged with `fine`."""
    rows, columns = -(-height // step) + 2, -(-width // step) + 2
    x = (np.arange(columns, dtype=np.float32) - 0.5) * step - 0.5
    y = (np.arange(rows, dtype=np.float32) - 0.5) * step - 0.5
    return np.tile(x, (rows, 1)), np.repeat(y[:, None], columns, axis=1)


def enlarged(small: Field, height: int, width: int, step: int = STEP) -> Field:
    """A coarse field in full size."""
    rows, columns = small.shape
    small = small if small.dtype == np.uint8 else np.asarray(small, np.float32)
    full = cv2.resize(small, (columns * step, rows * step), interpolation=cv2.INTER_LINEAR)
    return full[step : step + height, step : step + width]


def fine(x: Field, y: Field, height: int, width: int, step: int = STEP) -> tuple[Field, Field]:
    """A coarse map in full size."""
    return enlarged(x, height, width, step), enlarged(y, height, width, step)


def moved(picture: Picture, x: Field, y: Field, *, beyond: int = cv2.BORDER_REPLICATE) -> Picture:
    """The picture with each pixel taken from (x, y). beyond: what is outside, a border type of OpenCV."""
    return cv2.remap(picture, x, y, cv2.INTER_LINEAR, borderMode=beyond)


def zoomed(picture: Picture, scale: float, right: float = 0.0, down: float = 0.0) -> Picture:
    """The picture larger than it is, about its middle and then moved by pixels, its edge repeated beyond it. A part of
    whole pixels is enlarged, which is within half a pixel of any share and takes half the time of a warp."""
    height, width = picture.shape[:2]
    wide, high = max(1, round(width / scale)), max(1, round(height / scale))
    left = round((width - wide) / 2 - right / scale)
    top = round((height - high) / 2 - down / scale)
    x0, y0 = min(max(left, 0), width - wide), min(max(top, 0), height - high)
    part = picture[y0 : y0 + high, x0 : x0 + wide]
    if (x0, y0) != (left, top):
        matrix = np.array([[scale, 0, (1 - scale) * (width - 1) / 2 + right],
                           [0, scale, (1 - scale) * (height - 1) / 2 + down]])  # fmt: skip
        return cv2.warpAffine(picture, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)


def shrunk(picture: Picture, width: int, height: int) -> Picture:
    """A smaller picture, each pixel the mean of what it stands for. Halves are quick to make and other shares are not,
    so that it is halved first while it is more than four times as large."""
    while (
        picture.shape[1] >= 4 * width
        and picture.shape[0] >= 4 * height
        and not (picture.shape[0] % 2 or picture.shape[1] % 2)
    ):
        half = (picture.shape[1] // 2, picture.shape[0] // 2)
        picture = cv2.resize(picture, half, interpolation=cv2.INTER_AREA)
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


def blurred(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur; a strong one is worked out on a smaller picture, which looks the same. sigma: in pixels."""
    if sigma < 0.3:
        return picture
    height, width = picture.shape[:2]
    if sigma < 2.5:
        return cv2.GaussianBlur(picture, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    step = 1 << int(math.log2(min(sigma, 16)))  # halves are quick to make
    small = shrunk(picture, max(1, width // step), max(1, height // step))
    small = cv2.GaussianBlur(small, (0, 0), sigma / step, borderType=cv2.BORDER_REPLICATE)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def luma(picture: Picture) -> Mask:
    """Brightness as the eye weighs it (BT.601), of the colours as they stand."""
    return cv2.cvtColor(picture, cv2.COLOR_RGBA2GRAY)


@lru_cache(CACHED_SIZES)
def clouds(height: int, width: int, cells: int, seed: int) -> Field:
    """Soft random field in 0..1, evenly spread: equal shares of the area lie in equal ranges of its values.

    cells: how many clouds fit in the height, the largest of them; three finer layers lie over these.
    """
    chance = np.random.default_rng((seed, cells))
    field = np.zeros((height, width), np.float32)
    for layer in range(4):
        rows = min(cells << layer, height)
        grid = chance.random((rows + 1, max(2, round(rows * width / height) + 1)), dtype=np.float32)
        field += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / (1 << layer)
    known = np.sort(cv2.resize(field, (96, 96), interpolation=cv2.INTER_NEAREST).ravel())
    share = np.interp(field.ravel(), known, np.linspace(0, 1, known.size)).astype(np.float32)
    out: Field = share.reshape(height, width)
    out.setflags(write=False)
    return out


@lru_cache(CACHED_SIZES)
def radius(height: int, width: int) -> Field:
    """Distance from the middle of each pixel, 1 in the corners; circles are round on the screen."""
    x, y = axes(height, width)
    far = np.hypot(width, height) / 2
    out: Field = np.hypot((x - 0.5) * width / far, (y - 0.5) * height / far).astype(np.float32)
    out.setflags(write=False)
    return out


@lru_cache(2)
def grain(kind: str) -> Picture:
    """A tile of noise about 128 with neutral alpha, 1024 high and 2048 wide. kind: "mono" or "colour"."""
    chance = np.random.default_rng(20)
    shape = (1024, 2048, 1 if kind == "mono" else 3)
    noise = np.clip(chance.standard_normal(shape, dtype=np.float32) * 40 + 128, 0, 255)
    tile = np.full((1024, 2048, 4), 128, np.uint8)
    tile[:, :, :3] = np.rint(noise).astype(np.uint8)
    tile.setflags(write=False)
    return tile


@lru_cache(CACHED_SIZES)
def _solid(height: int, width: int) -> Mask:
    """The alpha of what nothing shines through."""
    return np.full((height, width), 255, np.uint8)


@lru_cache(CACHED_SIZES)
def _neutral(height: int, width: int) -> Mask:
    """What grain has for alpha."""
    return np.full((height, width), 128, np.uint8)


def _grains(height: int, width: int, moment: Moment, size: float, kind: str) -> Picture:
    """The part of a tile of noise that a moment has."""
    chance = random(moment, 7)
    tile = grain(kind)
    need = (int(height / size) + 2, int(width / size) + 2)
    if need[0] > tile.shape[0] or need[1] > tile.shape[1]:
        tile = np.tile(tile, (-(-need[0] // tile.shape[0]), -(-need[1] // tile.shape[1]), 1))
    top = int(chance.integers(0, tile.shape[0] - need[0] + 1))
    left = int(chance.integers(0, tile.shape[1] - need[1] + 1))
    part = tile[top : top + need[0], left : left + need[1]]
    part = cv2.extractChannel(part, 0) if kind == "mono" else part
    return part[:height, :width] if size <= 1.01 else cv2.resize(part, (width, height))


def grained(picture: Picture, moment: Moment, strength: float, *, size: float = 1.0, kind: str = "mono") -> Picture:
    """Film grain over a picture or a grey one. strength: standard deviation, 1 = white. size: of a grain, in pixels."""
    height, width = picture.shape[:2]
    part = _grains(height, width, moment, size, "mono" if picture.ndim == 2 else kind)
    if picture.ndim == 3 and part.ndim == 2:
        part = cv2.merge([part, part, part, _neutral(height, width)])
    gain = strength * 255 / 40
    return cv2.addWeighted(picture, 1, part, gain, -128 * gain)


def with_grain(colours: Colours, moment: Moment, strength: float, *, size: float = 1.0) -> Colours:
    """The same over colours, which may be overwritten."""
    height, width = colours[0].shape[:2]
    part = _grains(height, width, moment, size, "mono")
    gain = strength * 255 / 40
    return [cv2.addWeighted(one, 1, part, gain, -128 * gain, dst=one) for one in colours]


def graded(paint: Callable[[Picture, Moment], Picture]) -> Effect:
    """An effect that changes colours alone, and of which an intensity is a share."""

    def effect(picture: Picture, moment: Moment, intensity: float, _: Settings) -> Picture:
        return on_colours(picture, lambda colours: mixed(colours, paint(colours, moment), intensity))

    return effect


Colours: TypeAlias = list[Mask]
"""Red, green and blue, each by itself: a table, noise or light costs a quarter less on them than on a picture."""


def colours_of(picture: Picture, saturation: float = 1.0) -> Colours:
    """The colours of an opaque picture, drawn towards their grey (saturation below 1) or away from it."""
    rgb = cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB)
    if saturation != 1:
        rgb = cv2.transform(rgb, saturation * np.eye(3) + (1 - saturation) * np.tile(_LUMA, (3, 1)))
    return list(cv2.split(rgb))


_LUMA = np.array([0.299, 0.587, 0.114])


def coloured(colours: Colours) -> Picture:
    """They as an opaque picture."""
    return cv2.merge([*colours, _solid(*colours[0].shape)])


def looked_up(colours: Colours, known: NDArray[Any]) -> Colours:
    """They in a `table`."""
    return [cv2.LUT(one, np.ascontiguousarray(known[0, :, number])) for number, one in enumerate(colours)]


def shaded(colours: Colours, light: Mask) -> Colours:
    """They times a light, which may be their own."""
    return [cv2.multiply(one, light, dst=one, scale=1 / 255) for one in colours]


def screened(picture: Picture, light: Picture) -> Picture:
    """Light thrown on a picture: never darker, never beyond white."""
    out = cv2.bitwise_not(picture)
    cv2.multiply(out, light, dst=out, scale=1 / 255)
    return cv2.add(out, picture, dst=out)


def curve(*points: tuple[float, float]) -> NDArray[Any]:
    """256 values in 0..255 of a smooth curve through points in 0..1, without overshoot (Fritsch and Carlson 1980)."""
    xs, ys = np.array(points).T
    step, rise = np.diff(xs), np.diff(ys)
    slope = rise / step
    tangent = np.concatenate([slope[:1], (slope[:-1] + slope[1:]) / 2, slope[-1:]])
    tangent[1:-1][slope[:-1] * slope[1:] <= 0] = 0
    for i, lean in enumerate(slope):
        if lean == 0:
            tangent[i] = tangent[i + 1] = 0
            continue
        steep = np.hypot(tangent[i] / lean, tangent[i + 1] / lean)
        if steep > 3:
            tangent[i : i + 2] *= 3 / steep
    at = np.linspace(0, 1, 256)
    k = np.clip(np.searchsorted(xs, at, side="right") - 1, 0, len(slope) - 1)
    u = (at - xs[k]) / step[k]
    value = (
        (2 * u**3 - 3 * u**2 + 1) * ys[k]
        + (u**3 - 2 * u**2 + u) * step[k] * tangent[k]
        + (3 * u**2 - 2 * u**3) * ys[k + 1]
        + (u**3 - u**2) * step[k] * tangent[k + 1]
    )
    return np.asarray(np.clip(value, 0, 1) * 255)


def toned(picture: Picture, known: NDArray[Any]) -> Picture:
    """Colours looked up in a `table`."""
    channels: list[Any] = list(cv2.split(picture))
    return cv2.merge([*looked_up(channels[:3], known), channels[3]])


@lru_cache(CACHED_SIZES)
def corners(height: int, width: int, start: float, edge: float) -> Mask:
    """The light of `vignetted`."""
    far = np.clip((radius(height, width) - start) / (1 - start), 0, 1)
    light = 1 - (1 - edge) * far * far * (3 - 2 * far)
    mask: Mask = np.rint(light * 255).astype(np.uint8)
    mask.setflags(write=False)
    return mask


@lru_cache(CACHED_SIZES)
def _vignette(height: int, width: int, start: float, edge: float) -> Picture:
    mask = four(corners(height, width, start, edge))
    mask[:, :, 3] = 255
    mask.setflags(write=False)
    return mask


def inked(grey: Mask, known: NDArray[Any]) -> Picture:
    """An opaque picture of a grey one, its levels looked up in a `table`."""
    channels = [cv2.LUT(grey, np.ascontiguousarray(known[0, :, number])) for number in range(3)]
    return cv2.merge([*channels, np.full_like(grey, 255)])


def vignetted(picture: Picture, *, start: float = 0.35, edge: float = 0.35) -> Picture:
    """Dark towards the corners. start: radius at which it begins; edge: light in the corners, in 0..1."""
    return times(picture, _vignette(*picture.shape[:2], start, edge))


@lru_cache(CACHED_SIZES)
def rounded(height: int, width: int, corner: float, inset: float, soft: float) -> Mask:
    """A rectangle with round corners, 255 inside. All in shares of the height."""
    x, y = axes(height, width)
    across = np.abs(x - 0.5) * width / height - (width / height / 2 - inset - corner)
    down = np.abs(y - 0.5) - (0.5 - inset - corner)
    away = np.hypot(np.maximum(across, 0), np.maximum(down, 0)) + np.minimum(np.maximum(across, down), 0) - corner
    return to_mask(away.astype(np.float32), -255 / soft, 127.5)


def dot(height: int, width: int, x: float, y: float, size: float, power: float = 2.0) -> Field:
    """A soft round spot: 1 at (x, y), in shares of the picture, and falling to 0.37 at `size` shares of its height."""
    columns, rows = axes(height, width)
    away = ((columns - x) * (width / height)) ** 2 + (rows - y) ** 2
    return np.asarray(np.exp(-((away / size**2) ** (power / 2))), np.float32)


def small_size(picture: Picture, rows: int = 180) -> tuple[int, int]:
    """Height and width of a small picture for soft light."""
    height, width = picture.shape[:2]
    rows = min(rows, height)
    return rows, max(1, round(rows * width / height))


def cast(picture: Picture, light: Field) -> Picture:
    """Soft light, (rows, columns, 3) in 0..1 of any size, thrown on a picture."""
    levels = np.zeros((*light.shape[:2], 4), np.float32)
    levels[:, :, :3] = light
    small = np.rint(np.clip(levels, 0, 1) * 255).astype(np.uint8)
    return screened(picture, cv2.resize(small, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC))
