"""The pixels of a composition: frames as planes of 4:2:0 (BT.709, video range) or as RGBA, and the ways between.

OpenCV's own conversions know BT.601 alone. `cv2.transform` with three channels in and out is the one of its kinds that
is vectorised: 1.2 ms for a 1080p frame, where four channels take 50.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from mediamill.engines._look_base import Picture, four, opaque

Buffer: TypeAlias = NDArray[Any]
"""One frame as it goes through a pipe: uint8, one dimension."""
Plane: TypeAlias = NDArray[Any]

_KR, _KB = 0.2126, 0.0722  # BT.709
_Y, _C = 219 / 255, 112 / 127.5 / 2
_TO_YUV = np.array(
    [
        [_Y * _KR, _Y * (1 - _KR - _KB), _Y * _KB, 16],
        [-2 * _C * _KR / (2 * (1 - _KB)), -2 * _C * (1 - _KR - _KB) / (2 * (1 - _KB)), _C, 128],
        [_C, -2 * _C * (1 - _KR - _KB) / (2 * (1 - _KR)), -2 * _C * _KB / (2 * (1 - _KR)), 128],
    ],
    np.float32,
)
"""Red, green, blue and one to luma and the two differences, all in 0..255."""


def _inverse() -> NDArray[np.float32]:
    back = np.linalg.inv(_TO_YUV[:, :3].astype(np.float64))
    return np.column_stack([back, -back @ _TO_YUV[:, 3].astype(np.float64)]).astype(np.float32)


_TO_RGB = _inverse()


class Pool:
    """Frames that are used again: fresh memory costs a millisecond a frame in page faults."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._free: list[Buffer] = []
        self._lock = Lock()

    def take(self) -> Buffer:
        """A frame with anything in it."""
        with self._lock:
            if self._free:
                return self._free.pop()
        return np.empty(self.size_bytes, np.uint8)

    def give(self, buffer: Buffer) -> None:
        """Nobody looks at it any more."""
        with self._lock:
            self._free.append(buffer)


def planar_bytes(width: int, height: int) -> int:
    """Bytes of a 4:2:0 frame; both sides are even."""
    return width * height * 3 // 2


def planes(buffer: Buffer, width: int, height: int) -> tuple[Plane, Plane, Plane]:
    """Views of luma and the two differences."""
    luma = width * height
    quarter = luma // 4
    return (
        buffer[:luma].reshape(height, width),
        buffer[luma : luma + quarter].reshape(height // 2, width // 2),
        buffer[luma + quarter : luma + 2 * quarter].reshape(height // 2, width // 2),
    )


def to_rgba(buffer: Buffer, width: int, height: int) -> Picture:
    """A 4:2:0 frame as a picture."""
    y, u, v = planes(buffer, width, height)
    full = [cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR) for plane in (u, v)]
    return cv2.cvtColor(cv2.transform(cv2.merge([y, *full]), _TO_RGB), cv2.COLOR_RGB2RGBA)


def small_rgb(buffer: Buffer, width: int, height: int, longest: int) -> Picture:
    """A 4:2:0 frame as red, green and blue, with no side above `longest`."""
    scale = min(1.0, longest / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    parts = [
        cv2.resize(plane, size, interpolation=cv2.INTER_AREA if plane.shape[1] > size[0] else cv2.INTER_LINEAR)
        for plane in planes(buffer, width, height)
    ]
    return np.asarray(cv2.transform(cv2.merge(parts), _TO_RGB), np.uint8)


def into_planes(picture: Picture, buffer: Buffer) -> None:
    """A picture of even sides as a 4:2:0 frame; what is transparent becomes black."""
    height, width = picture.shape[:2]
    y, u, v = planes(buffer, width, height)
    coded = to_coded(picture)
    cv2.extractChannel(coded, 0, y)
    half = cv2.resize(coded, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    cv2.extractChannel(half, 1, u)
    cv2.extractChannel(half, 2, v)


def to_coded(picture: Picture) -> Picture:
    """Luma and the two differences of a picture's colours, all of them at its size."""
    return np.asarray(cv2.transform(cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB), _TO_YUV), np.uint8)


def coded(red: int, green: int, blue: int) -> tuple[int, int, int]:
    """One colour as luma and differences."""
    found = np.rint(_TO_YUV @ np.array([red, green, blue, 1], np.float32))
    return int(found[0]), int(found[1]), int(found[2])


@dataclass(frozen=True, slots=True)
class Coded:
    """A patch ready to be laid on planes: its premultiplied values, and what is kept of what lies below (0 to 255)."""

    left: int
    top: int
    y: Plane
    u: Plane
    v: Plane
    keep: Plane
    keep_half: Plane
    opaque: bool


@dataclass(slots=True)
class Patch:
    """A picture with its place on the canvas. What it was turned into is kept as long as it is shown unchanged."""

    pixels: Picture
    left: int
    top: int
    _coded: Coded | None = field(default=None, repr=False)
    _keep: Picture | None = field(default=None, repr=False)
    _opaque: bool | None = None

    def clipped(self, width: int, height: int) -> Patch | None:
        """What of it lies on the canvas."""
        rows, columns = self.pixels.shape[:2]
        x0, y0 = max(0, self.left), max(0, self.top)
        x1, y1 = min(width, self.left + columns), min(height, self.top + rows)
        if x0 >= x1 or y0 >= y1:
            return None
        if (x0, y0, x1, y1) == (self.left, self.top, self.left + columns, self.top + rows):
            return self
        part = self.pixels[y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left]
        return Patch(np.ascontiguousarray(part), x0, y0)

    @property
    def opaque(self) -> bool:
        if self._opaque is None:
            self._opaque = bool(opaque(self.pixels))
        return self._opaque

    @property
    def keep(self) -> Picture:
        """What is kept of what lies below, in all four channels."""
        if self._keep is None:
            self._keep = four(cv2.bitwise_not(cv2.extractChannel(self.pixels, 3)))
        return self._keep

    def coded(self) -> Coded:
        """As planes; its edges are made even with transparent pixels."""
        if self._coded is None:
            self._coded = _coded(self)
        return self._coded


def _coded(patch: Patch) -> Coded:
    rows, columns = patch.pixels.shape[:2]
    left, top = patch.left & ~1, patch.top & ~1
    pads = patch.top - top, (patch.top + rows) % 2, patch.left - left, (patch.left + columns) % 2
    pixels = patch.pixels
    if any(pads):
        pixels = cv2.copyMakeBorder(pixels, *pads, borderType=cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    rows, columns = pixels.shape[:2]
    half = columns // 2, rows // 2
    solid = not any(pads) and patch.opaque
    full = to_coded(pixels)
    small = cv2.resize(full, half, interpolation=cv2.INTER_AREA)
    y, u, v = cv2.extractChannel(full, 0), cv2.extractChannel(small, 1), cv2.extractChannel(small, 2)
    keep = cv2.bitwise_not(cv2.extractChannel(pixels, 3))
    keep_half = cv2.resize(keep, half, interpolation=cv2.INTER_AREA)
    if not solid:  # the offsets of the coding are premultiplied too
        y = cv2.subtract(y, cv2.convertScaleAbs(keep, alpha=16 / 255))
        offset = cv2.convertScaleAbs(keep_half, alpha=128 / 255)
        u, v = cv2.subtract(u, offset), cv2.subtract(v, offset)
    return Coded(left=left, top=top, y=y, u=u, v=v, keep=keep, keep_half=keep_half, opaque=solid)


def lay(below: Plane, above: Plane, keep: Plane, opacity: float) -> None:
    """Premultiplied values over others, which change."""
    if opacity < 1:
        keep = cv2.convertScaleAbs(keep, alpha=opacity, beta=255 * (1 - opacity))
        above = cv2.convertScaleAbs(above, alpha=opacity)
    cv2.multiply(below, keep, below, scale=1 / 255)
    cv2.add(below, above, below)
