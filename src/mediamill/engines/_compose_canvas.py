"""The canvas of one frame. Two of a kind: planes of 4:2:0 for films that nothing shines through, RGBA for the rest.

Where a clip fills an opaque canvas its decoded frame becomes the canvas as it is, and only the rectangles of what lies
on it are touched: that is what makes a plain film cost no more than decoding and encoding it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import cv2
import numpy as np

from mediamill.engines._compose_pixels import (
    Buffer,
    Patch,
    Pool,
    coded,
    into_planes,
    lay,
    planar_bytes,
    planes,
    to_rgba,
)
from mediamill.engines._look import BLENDS
from mediamill.engines._look_base import Picture, mixed


@dataclass(slots=True)
class Raw:
    """A decoded 4:2:0 frame with its place on the canvas; left, top and both sides are even. `fresh`: nobody else will
    look at it, so that it may be drawn on."""

    buffer: Buffer
    width: int
    height: int
    left: int = 0
    top: int = 0
    fresh: bool = False

    def picture(self) -> Picture:
        """As RGBA."""
        return to_rgba(self.buffer, self.width, self.height)


class Canvas(ABC):
    """What a frame is drawn on, from the back to the front."""

    pixel_format: str
    pool: Pool

    def __init__(self, width: int, height: int) -> None:
        self.width = width
        self.height = height

    @abstractmethod
    def begin(self) -> None:
        """A new frame: the background alone."""

    @abstractmethod
    def draw(
        self, patch: Patch, opacity: float = 1.0, blend: str = "none", turning: tuple[str, float] | None = None
    ) -> None:
        """Lay a picture on it. turning: another mode, and the share of it."""

    @abstractmethod
    def place(self, raw: Raw, opacity: float = 1.0) -> bool:
        """Lay a decoded frame on it. True when its buffer has become the canvas and is not to be used again."""

    @abstractmethod
    def finish(self) -> Buffer:
        """The frame, which is the caller's now."""

    @abstractmethod
    def picture(self, buffer: Buffer) -> Picture:
        """A finished frame as RGBA."""


class Planes(Canvas):
    """4:2:0 in BT.709, both sides even. `ground`: a picture of the canvas' size behind everything."""

    pixel_format = "yuv420p"

    def __init__(self, width: int, height: int, colour: tuple[int, int, int, int], ground: Picture | None) -> None:
        super().__init__(width, height)
        self.pool = Pool(planar_bytes(width, height))
        self._ground = self.pool.take()
        red, green, blue = (round(part * colour[3] / 255) for part in colour[:3])
        for plane, value in zip(planes(self._ground, width, height), coded(red, green, blue), strict=True):
            plane[:] = value
        self._buffer: Buffer | None = None
        if ground is not None:
            into_planes(_over(ground, (red, green, blue, 255)), self._ground)

    def begin(self) -> None:
        self._buffer = None

    def draw(
        self, patch: Patch, opacity: float = 1.0, blend: str = "none", turning: tuple[str, float] | None = None
    ) -> None:
        seen = patch.clipped(self.width, self.height)
        if seen is None or opacity <= 0:
            return
        found = seen.coded()
        y, u, v = planes(self._own(), self.width, self.height)
        rows, columns = found.y.shape
        at = slice(found.top, found.top + rows), slice(found.left, found.left + columns)
        half = (
            slice(found.top // 2, (found.top + rows) // 2),
            slice(found.left // 2, (found.left + columns) // 2),
        )
        if found.opaque and opacity >= 1:
            y[at], u[half], v[half] = found.y, found.u, found.v
            return
        lay(y[at], found.y, found.keep, opacity)
        lay(u[half], found.u, found.keep_half, opacity)
        lay(v[half], found.v, found.keep_half, opacity)

    def place(self, raw: Raw, opacity: float = 1.0) -> bool:
        if opacity <= 0:
            return False
        whole = (raw.left, raw.top, raw.width, raw.height) == (0, 0, self.width, self.height)
        if whole and opacity >= 1:
            if raw.fresh:
                if self._buffer is not None:
                    self.pool.give(self._buffer)
                self._buffer = raw.buffer
                return True
            np.copyto(self._taken(), raw.buffer)
            return False
        if whole:
            below = self._buffer if self._buffer is not None else self._ground
            cv2.addWeighted(raw.buffer, opacity, below, 1 - opacity, 0, self._taken())
            return False
        self._part(raw, opacity)
        return False

    def _part(self, raw: Raw, opacity: float) -> None:
        x0, y0 = max(0, raw.left), max(0, raw.top)
        x1, y1 = min(self.width, raw.left + raw.width), min(self.height, raw.top + raw.height)
        if x0 >= x1 or y0 >= y1:
            return
        mine = planes(self._own(), self.width, self.height)
        theirs = planes(raw.buffer, raw.width, raw.height)
        for step, below, above in zip((1, 2, 2), mine, theirs, strict=True):
            into = below[y0 // step : y1 // step, x0 // step : x1 // step]
            left, top = (x0 - raw.left) // step, (y0 - raw.top) // step
            part = above[top : top + into.shape[0], left : left + into.shape[1]]
            if opacity >= 1:
                into[:] = part
            else:
                cv2.addWeighted(part, opacity, into, 1 - opacity, 0, into)

    def mix(self, first: Raw, second: Raw, share: float) -> None:
        """A cross dissolve of two frames that fill the canvas."""
        cv2.addWeighted(first.buffer, 1 - share, second.buffer, share, 0, self._taken())

    def finish(self) -> Buffer:
        buffer = self._own()
        self._buffer = None
        return buffer

    def picture(self, buffer: Buffer) -> Picture:
        return to_rgba(buffer, self.width, self.height)

    def _taken(self) -> Buffer:
        """The frame, whatever is in it."""
        if self._buffer is None:
            self._buffer = self.pool.take()
        return self._buffer

    def _own(self) -> Buffer:
        """The frame with the ground in it."""
        if self._buffer is None:
            np.copyto(self._taken(), self._ground)
        return self._taken()


class Pixels(Canvas):
    """RGBA, premultiplied."""

    pixel_format = "rgba"

    def __init__(self, width: int, height: int, colour: tuple[int, int, int, int], ground: Picture | None) -> None:
        super().__init__(width, height)
        self.pool = Pool(width * height * 4)
        self._buffer = self.pool.take()
        red, green, blue = (round(part * colour[3] / 255) for part in colour[:3])
        self._ground = np.empty((height, width, 4), np.uint8)
        self._ground[:] = red, green, blue, colour[3]
        if ground is not None:
            self._ground = _over(ground, (red, green, blue, colour[3]))

    @property
    def _pixels(self) -> Picture:
        return self._buffer.reshape(self.height, self.width, 4)

    def begin(self) -> None:
        np.copyto(self._pixels, self._ground)

    def draw(
        self, patch: Patch, opacity: float = 1.0, blend: str = "none", turning: tuple[str, float] | None = None
    ) -> None:
        seen = patch.clipped(self.width, self.height)
        if seen is None or opacity <= 0:
            return
        rows, columns = seen.pixels.shape[:2]
        below = self._pixels[seen.top : seen.top + rows, seen.left : seen.left + columns]
        if blend != "none" or turning is not None:
            top = seen.pixels if opacity >= 1 else cv2.convertScaleAbs(seen.pixels, alpha=opacity)
            behind = np.ascontiguousarray(below)
            made = BLENDS[blend](behind, top)
            if turning is not None:
                made = mixed(made, BLENDS[turning[0]](behind, top), turning[1])
            below[:] = made
        elif opacity >= 1 and seen.opaque:
            below[:] = seen.pixels
        else:
            lay(below, seen.pixels, seen.keep, opacity)

    def place(self, raw: Raw, opacity: float = 1.0) -> bool:
        self.draw(Patch(raw.picture(), raw.left, raw.top), opacity)
        return False

    def finish(self) -> Buffer:
        buffer, self._buffer = self._buffer, self.pool.take()
        return buffer

    def picture(self, buffer: Buffer) -> Picture:
        return buffer.reshape(self.height, self.width, 4)


def _over(picture: Picture, colour: tuple[int, int, int, int]) -> Picture:
    """A picture on a premultiplied colour."""
    out = np.empty_like(picture)
    out[:] = colour
    patch = Patch(picture, 0, 0)
    lay(out, picture, patch.keep, 1.0)
    return out
