"""What is done to an element's own picture: colour controls, tables of colour, overlay, corners, border and shadow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mediamill.core.compositions import colour, length
from mediamill.core.errors import BadMedia, LimitExceeded
from mediamill.engines._look_base import (
    Moment,
    Picture,
    blurred,
    clipped,
    four,
    grained,
    on_colours,
    radius,
    table,
    times,
    to_mask,
)

_CUBE_BYTES = 32 << 20
_CUBE_SIDE = 129
_LUMA = np.array([0.2126, 0.7152, 0.0722])


@dataclass(frozen=True, slots=True)
class Controls:
    """The colour controls of an element, ready to use."""

    curve: NDArray[np.uint8] | None
    matrix: NDArray[np.float32] | None
    sharpness: float
    blur: float
    noise: float
    vignette: float

    @property
    def none(self) -> bool:
        """Whether they leave a picture as it is."""
        return (
            self.curve is None
            and self.matrix is None
            and not (self.sharpness or self.blur or self.noise or self.vignette)
        )

    @property
    def moving(self) -> bool:
        """Whether they differ from frame to frame."""
        return self.noise > 0


def controls(element: Mapping[str, Any]) -> Controls:
    """The controls that an element asks for, within their scales."""

    def share(name: str, low: float) -> float:
        return min(max(float(element.get(name, 0)) / 100, low), 1.0)

    bright, contrast, exposure = (share(name, -1) for name in ("brightness", "contrast", "exposure"))
    curve = None
    if bright or contrast or exposure:
        level = np.arange(256) / 255
        level = (level**2.2 * 4**exposure) ** (1 / 2.2)  # exposure works on light: two stops each way
        gain = 1 + contrast if contrast < 0 else 1 / max(0.02, 1 - contrast)
        curve = table(255 * ((level - 0.5) * gain + 0.5 + bright * 0.5))
    saturation = share("saturation", -1)
    turn = math.radians(float(element.get("hue_rotate", 0)) % 360)
    matrix = _hues(1 + saturation, turn) if saturation or turn else None
    return Controls(
        curve=curve,
        matrix=matrix,
        sharpness=share("sharpness", 0),
        blur=share("blur", 0),
        noise=share("noise", 0),
        vignette=share("vignette", 0),
    )


def _hues(saturation: float, turn: float) -> NDArray[np.float32]:
    """Colours further from grey, and turned about the grey axis with luma kept (as in SVG's feColorMatrix)."""
    grey = np.tile(_LUMA, (3, 1))
    cos, sin = math.cos(turn), math.sin(turn)
    across = np.array([[-0.2126, -0.7152, 0.9278], [0.143, 0.140, -0.283], [-0.7874, 0.7152, 0.0722]])
    turned = grey + cos * (np.eye(3) - grey) + sin * across
    more = grey + saturation * (np.eye(3) - grey)
    return np.asarray(more @ turned, np.float32)


def controlled(picture: Picture, wished: Controls, moment: Moment) -> Picture:
    """The picture with its colours set; it is left as it was."""
    if wished.curve is not None or wished.matrix is not None:
        picture = on_colours(picture, lambda straight: _recoloured(straight, wished))
    height = picture.shape[0]
    if wished.blur:
        picture = blurred(picture, wished.blur * 0.04 * height)
    if wished.sharpness:
        soft = cv2.GaussianBlur(picture, (0, 0), max(0.8, height / 700))
        amount = 2.5 * wished.sharpness
        picture = clipped(cv2.addWeighted(picture, 1 + amount, soft, -amount, 0), picture)
    if wished.noise:
        picture = clipped(grained(picture, moment, 0.25 * wished.noise), picture)
    if wished.vignette:
        dark = to_mask(_corners(*picture.shape[:2]), -255 * wished.vignette, 255)
        keep = four(dark)
        cv2.insertChannel(np.full_like(dark, 255), keep, 3)
        picture = times(picture, keep)
    return picture


def _recoloured(straight: Picture, wished: Controls) -> Picture:
    if wished.matrix is not None:
        turned = cv2.transform(cv2.cvtColor(straight, cv2.COLOR_RGBA2RGB), wished.matrix)
        straight = cv2.cvtColor(turned, cv2.COLOR_RGB2RGBA)
    return cv2.LUT(straight, wished.curve) if wished.curve is not None else straight


def _corners(height: int, width: int) -> NDArray[Any]:
    """0 in the middle, rising to 1 in the corners."""
    far = np.clip((radius(height, width) - 0.35) / 0.65, 0, 1)
    return np.asarray(far * far * (3 - 2 * far), np.float32)


def cube(path: Path, intensity: float) -> NDArray[np.float32]:
    """The table of a .cube file as (blue, green, red, 3) in 0..1, mixed with what leaves colours alone.

    Raises BadMedia, LimitExceeded. Source: Adobe's Cube LUT specification 1.0.
    """
    if path.stat().st_size > _CUBE_BYTES:
        raise LimitExceeded("The table of colours is too large.")
    side, values, low, high, flat = 0, [], [0.0] * 3, [1.0] * 3, False
    try:
        for line in path.read_text("utf-8", "replace").splitlines():
            words = line.split()
            if not words or words[0].startswith("#") or words[0] == "TITLE":
                continue
            if words[0] in ("LUT_3D_SIZE", "LUT_1D_SIZE"):
                side, flat = int(words[1]), words[0] == "LUT_1D_SIZE"
            elif words[0] in ("DOMAIN_MIN", "DOMAIN_MAX"):
                (low if words[0] == "DOMAIN_MIN" else high)[:] = map(float, words[1:4])
            elif words[0][0] in "+-.0123456789":
                values.append([float(word) for word in words[:3]])
    except (ValueError, IndexError) as error:
        raise BadMedia("The table of colours is no .cube file.") from error
    least, most = (2, 65536) if flat else (2, _CUBE_SIDE)
    if not least <= side <= most or len(values) != (side if flat else side**3) or any(len(v) != 3 for v in values):
        raise BadMedia("The table of colours is no .cube file, or is cut short.")
    if low != [0.0] * 3 or high != [1.0] * 3:
        raise BadMedia("A table of colours must be made for values from 0 to 1.")
    numbers = np.clip(np.nan_to_num(np.array(values, np.float32)), 0, 1)
    if flat:
        steps = np.linspace(0, 1, 33)
        one = [np.interp(steps, np.linspace(0, 1, side), numbers[:, part]) for part in range(3)]
        blue, green, red = np.meshgrid(one[2], one[1], one[0], indexing="ij")
        found = np.stack([red, green, blue], axis=-1).astype(np.float32)
        side = 33
    else:
        found = numbers.reshape(side, side, side, 3)
    steps = np.linspace(0, 1, side, dtype=np.float32)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    plain = np.stack([red, green, blue], axis=-1)
    return np.asarray(plain + (found - plain) * np.float32(intensity), np.float32)


def write_cube(values: NDArray[np.float32], target: Path) -> None:
    """A .cube file of our own making, for ffmpeg."""
    rows = "\n".join(f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in values.reshape(-1, 3).tolist())
    target.write_text(f"LUT_3D_SIZE {values.shape[0]}\n{rows}\n", encoding="ascii")


def through_cube(picture: Picture, values: NDArray[np.float32]) -> Picture:
    """The colours as the table has them, between its points by three straight lines."""
    return on_colours(picture, lambda straight: _looked_up(straight, values))


def _looked_up(straight: Picture, values: NDArray[np.float32]) -> Picture:
    side = values.shape[0]
    out = np.empty_like(straight)
    out[:, :, 3] = 255
    for top in range(0, straight.shape[0], 64):  # strips: eight corners of a whole picture are gigabytes
        part = straight[top : top + 64, :, :3].astype(np.float32) * ((side - 1) / 255)
        at = np.minimum(part.astype(np.intp), side - 2)
        share = part - at
        mixture = np.zeros(part.shape, np.float32)
        for corner in range(8):
            r, g, b = corner & 1, corner >> 1 & 1, corner >> 2
            weight = np.ones(part.shape[:2], np.float32)
            for channel, step in enumerate((r, g, b)):
                weight *= share[:, :, channel] if step else 1 - share[:, :, channel]
            mixture += weight[:, :, None] * values[at[:, :, 2] + b, at[:, :, 1] + g, at[:, :, 0] + r]
        out[top : top + 64, :, :3] = np.rint(mixture * 255)
    return out


@dataclass(frozen=True, slots=True)
class Frame:
    """Corners, border, overlay and shadow of an element, in pixels of its box on the canvas."""

    overlay: tuple[int, int, int, int] | None
    radius: float
    border: tuple[int, int, int, int] | None
    border_width: float
    shadow: tuple[int, int, int, int] | None
    shadow_blur: float
    shadow_x: float
    shadow_y: float

    @property
    def margins(self) -> tuple[int, int, int, int]:
        """How far it reaches beyond the picture: left, top, right, bottom."""
        if self.shadow is None:
            return 0, 0, 0, 0
        soft = math.ceil(self.shadow_blur * 1.5)
        x, y = self.shadow_x, self.shadow_y
        return (
            max(0, math.ceil(soft - x)), max(0, math.ceil(soft - y)),
            max(0, math.ceil(soft + x)), max(0, math.ceil(soft + y)),
        )  # fmt: skip

    @property
    def none(self) -> bool:
        return self.overlay is None and self.radius <= 0 and self.border is None and self.shadow is None


def frame(element: Mapping[str, Any], box: tuple[float, float], canvas: tuple[int, int]) -> Frame:
    """The frame that an element asks for. Percentages of radius and border are of the box's shorter side."""

    most = float(max(canvas))  # a shadow further away is nowhere to be seen

    def pixels(name: str, of: float) -> float:
        return min(max(length(element[name], of), -most), most)

    def named(name: str) -> tuple[int, int, int, int] | None:
        return colour(element[name]) if element[name] is not None else None

    short = min(box)
    wide = pixels("border_width", short)
    return Frame(
        overlay=named("color_overlay"),
        radius=min(max(0.0, length(element["border_radius"], short)), short / 2),
        border=named("border_color") if wide > 0 else None,
        border_width=max(0.0, min(wide, short / 2)),
        shadow=named("shadow_color"),
        shadow_blur=max(0.0, pixels("shadow_blur", canvas[1])),
        shadow_x=pixels("shadow_x", canvas[0]),
        shadow_y=pixels("shadow_y", canvas[1]),
    )


def framed(picture: Picture, wished: Frame, scale: float = 1.0) -> tuple[Picture, int, int]:
    """The picture in its frame, and how many pixels were added at its left and top. scale: picture by canvas pixels."""
    if wished.overlay is not None:
        picture = overlaid(picture, wished.overlay)
    height, width = picture.shape[:2]
    corner = wished.radius * scale
    if corner > 0:
        picture = times(picture, four(rounded(width, height, 0, corner)))
    if wished.border is not None:
        picture = painted(picture, ring(width, height, corner, wished.border_width * scale), wished.border)
    if wished.shadow is None:
        return picture, 0, 0
    left, top, right, bottom = (math.ceil(side * scale) for side in wished.margins)
    picture = cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    return shadowed(
        picture, wished.shadow, wished.shadow_blur * scale, wished.shadow_x * scale, wished.shadow_y * scale
    ), left, top  # fmt: skip


def shadowed(picture: Picture, of: tuple[int, int, int, int], blur: float, x: float, y: float) -> Picture:
    """The picture over its own shadow; there must be room for it."""
    alpha = cv2.extractChannel(picture, 3)
    there = np.array([[1, 0, x], [0, 1, y]], np.float64)
    alpha = cv2.warpAffine(alpha, there, (alpha.shape[1], alpha.shape[0]), flags=cv2.INTER_LINEAR)
    if blur > 0:
        alpha = blurred(alpha, blur / 2)
    below = _flat(alpha, of)
    keep = four(cv2.bitwise_not(cv2.extractChannel(picture, 3)))
    return cv2.add(picture, times(below, keep))


def overlaid(picture: Picture, of: tuple[int, int, int, int]) -> Picture:
    """A colour over what of a picture is there; its alpha stays."""
    covered = _flat(cv2.extractChannel(picture, 3), (*of[:3], 255))
    return cv2.addWeighted(picture, 1 - of[3] / 255, covered, of[3] / 255, 0)


def painted(picture: Picture, mask: NDArray[Any], of: tuple[int, int, int, int]) -> Picture:
    """A colour in the shape of a mask over the picture."""
    above = _flat(mask, of)
    return cv2.add(times(picture, four(cv2.bitwise_not(cv2.extractChannel(above, 3)))), above)


def _flat(mask: NDArray[Any], of: tuple[int, int, int, int]) -> Picture:
    """One colour in the shape of a mask."""
    alpha = of[3] / 255
    parts = [cv2.convertScaleAbs(mask, alpha=part / 255 * alpha) for part in of[:3]]
    return cv2.merge([*parts, cv2.convertScaleAbs(mask, alpha=alpha)])


def ring(width: int, height: int, corner: float, wide: float) -> NDArray[Any]:
    """A mask of a line along the inside of a rectangle with round corners."""
    return cv2.subtract(rounded(width, height, 0, corner), rounded(width, height, wide, max(0.0, corner - wide)))


def rounded(width: int, height: int, inset: float, corner: float) -> NDArray[Any]:
    """A mask of a rectangle with round corners, its edges smooth. inset: how far it lies inside."""
    x = np.abs(np.arange(width, dtype=np.float32) + 0.5 - width / 2)[None, :]
    y = np.abs(np.arange(height, dtype=np.float32) + 0.5 - height / 2)[:, None]
    far_x, far_y = x - (width / 2 - inset - corner), y - (height / 2 - inset - corner)
    outside = np.hypot(np.maximum(far_x, 0), np.maximum(far_y, 0)) + np.minimum(np.maximum(far_x, far_y), 0) - corner
    return np.asarray(np.clip(0.5 - outside, 0, 1) * 255 + 0.5, np.uint8)
