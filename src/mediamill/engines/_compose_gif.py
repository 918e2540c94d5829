"""Compositions as GIF: each frame has colours of its own, and draws nothing but what has changed.

ffmpeg's one palette for a whole film, dithered, kept 0.88 to 0.96 of a moving frame's light (SSIM). Here the 255
colours of a frame are those of the pixels that changed, found where light counts more than colour, as in the eye; what
stands still keeps its colours, neither flickers nor takes bytes. Frames depend on two pictures each, so that several
are coded at the same time.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mediamill import processors
from mediamill.engines._look_base import Picture, opaque, straight

_COLOURS = 255
"""One of the 256 says that what is below stays."""
_CHROMA = 0.4
"""How much less a difference of colour counts than one of light."""
_ROUNDS = 3
_SAMPLE = 8000
"""Different colours that palettes are found by."""
_AT_ONCE = 4
_AT_ONCE_PIXELS = 16_000_000
"""Of frames that are coded at the same time; each takes some twenty bytes a pixel."""
_PIXELS = 1 << 20
"""Looked at together."""
_ROWS = 1024
_PLACE_BYTES = 10
"""What Pillow puts before the packed numbers: a place without colours."""
_LIGHT = np.array(
    [[0.2126, 0.7152, 0.0722], [-0.1146 * _CHROMA, -0.3854 * _CHROMA, 0.5 * _CHROMA],
     [0.5 * _CHROMA, -0.4542 * _CHROMA, -0.0458 * _CHROMA]], np.float32,
)  # fmt: skip
"""Red, green and blue to light and two differences (BT.709), in which distances are as they are seen."""
_MIDDLE = 64
_SHIFTED = np.column_stack([_LIGHT, np.array([0, _MIDDLE, _MIDDLE], np.float32)])
"""The same with differences that are not below nought."""
_BACK = np.linalg.inv(_LIGHT.astype(np.float64)).astype(np.float32)

Numbers = NDArray[Any]


def shown(picture: Picture) -> Picture:
    """A premultiplied picture as a GIF may show it: straight, and each pixel wholly there or not at all."""
    if opaque(picture):
        return picture.copy()
    out = straight(picture)
    there = (cv2.extractChannel(picture, 3) > 127).view(np.uint8) * np.uint8(255)
    cv2.insertChannel(there, out, 3)
    return np.asarray(cv2.bitwise_and(out, out, mask=there), np.uint8)


class Shown:
    """What a player shows of a film whose frames it is given in order, premultiplied."""

    def __init__(self) -> None:
        self._before: Picture | None = None
        self._seen: Picture | None = None

    def __call__(self, picture: Picture) -> Picture:
        """This frame, straight; to be read until the next."""
        following = shown(picture)
        if self._before is None or self._seen is None or _gone(self._before, following):
            self._before, self._seen = np.zeros_like(following), np.zeros_like(following)
        changed = _changed(self._before, following)
        if changed.any():
            numbers, colours = _reduced(following[changed][:, :3])
            self._seen[changed] = np.column_stack([colours, np.full(len(colours), 255, np.uint8)])[numbers]
        self._before = following
        return self._seen


@dataclass(frozen=True, slots=True)
class _Block:
    """A frame as it is stored. clears: nothing of it stays."""

    left: int
    top: int
    indices: Numbers
    table: bytes
    clears: bool
    hundredths: int


class Writer:
    """Takes pictures in order. `finish` writes what is left. written: told how many are."""

    def __init__(
        self, stream: IO[bytes], size: tuple[int, int], rate: int, written: Callable[[int], None] | None = None
    ) -> None:
        self._stream = stream
        self._written = written
        self._rate = rate
        self._count = 0
        self._before: Picture = np.zeros((size[1], size[0], 4), np.uint8)
        self._last: tuple[Picture, Picture] | None = None
        most = max(1, min(_AT_ONCE, _AT_ONCE_PIXELS // (size[0] * size[1]), processors.count()))
        self._threads = ThreadPoolExecutor(most)
        self._waiting = most + 1
        self._under_way: deque[Future[bytes]] = deque()
        stream.write(b"GIF89a" + struct.pack("<HHBBB", *size, 0x70, 0, 0))
        stream.write(b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00")

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)

    def write(self, picture: Picture) -> None:
        """The next frame, premultiplied; it may be used again when this returns."""
        following = shown(picture)
        gone = self._last is not None and _gone(self._last[1], following)
        self._code(gone)
        if gone:
            self._before = np.zeros_like(following)
        self._last = self._before, following
        self._before = following

    def finish(self) -> None:
        """All of it."""
        self._code(False)
        while self._under_way:
            self._store()
        self._stream.write(b"\x3b")

    def _code(self, clears: bool) -> None:
        """Have the frame coded that came last, as it is known now what must become of it."""
        if self._last is None:
            return
        first, after = (round(number * 100 / self._rate) for number in (self._count, self._count + 1))
        self._count += 1
        self._under_way.append(self._threads.submit(_coded, *self._last, clears, after - first))
        while len(self._under_way) > self._waiting:
            self._store()

    def _store(self) -> None:
        self._stream.write(self._under_way.popleft().result())
        if self._written is not None:
            self._written(self._count - len(self._under_way))


def _gone(before: Picture, picture: Picture) -> bool:
    """Whether anything that was there is not, so that all is drawn anew."""
    return bool(((before > 0) & (picture == 0))[:, :, 3].any())


def _changed(before: Picture, picture: Picture) -> NDArray[np.bool_]:
    """Which pixels are drawn over those before."""
    changed = picture.view(np.uint32)[:, :, 0] != before.view(np.uint32)[:, :, 0]
    changed &= picture[:, :, 3] > 0
    return np.asarray(changed, bool)


def _coded(before: Picture, picture: Picture, clears: bool, hundredths: int) -> bytes:
    """One frame over the one before."""
    changed = _changed(before, picture)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    if clears or not rows.size:
        box = (0, 0, *picture.shape[:2]) if clears else (0, 0, 1, 1)
    else:
        box = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    part = slice(box[0], box[2]), slice(box[1], box[3])
    drawn = changed[part]
    indices = np.full(drawn.shape, _COLOURS, np.uint8)
    colours: Numbers = np.zeros((0, 3), np.uint8)
    if rows.size:
        found, colours = _reduced(picture[part][drawn][:, :3])
        indices[drawn] = found
    table = np.zeros((_COLOURS + 1, 3), np.uint8)
    table[: len(colours)] = colours
    return _stored(_Block(int(box[1]), int(box[0]), indices, table.tobytes(), clears, hundredths))


def _reduced(pixels: Numbers) -> tuple[Numbers, Numbers]:
    """For each pixel the number of its colour, and the colours."""
    counts = np.zeros(1 << 22, np.int64)
    for _, keys in _keys(pixels):
        found = np.bincount(keys)
        counts[: len(found)] += found
    bins = np.flatnonzero(counts)
    if len(bins) <= _COLOURS:
        packed = pixels @ np.array([65536, 256, 1], np.int32)
        exact, numbers = np.unique(packed, return_inverse=True)
        if len(exact) <= _COLOURS:
            return numbers, np.stack([exact >> 16, exact >> 8 & 255, exact & 255], axis=1).astype(np.uint8)
    points = np.stack([bins >> 14, bins >> 7 & 127, bins & 127], axis=1).astype(np.float32)
    centres = _palette(points, counts[bins].astype(np.float64))
    table = np.zeros(len(counts), np.uint8)
    for at, near in _nearest(points, centres):
        table[bins[at]] = near
    numbers = np.empty(len(pixels), np.uint8)
    for at, keys in _keys(pixels):
        numbers[at] = table[keys]
    moved = centres - np.array([0, _MIDDLE, _MIDDLE], np.float32)
    back = np.stack([(moved * row).sum(axis=1) for row in _BACK], axis=1)
    return numbers, np.clip(np.rint(back), 0, 255).astype(np.uint8)


def _keys(pixels: Numbers) -> Iterator[tuple[slice, Numbers]]:
    """One number for each pixel, the same for those that look alike, for some pixels after others."""
    for first in range(0, len(pixels), _PIXELS):
        at = slice(first, first + _PIXELS)
        seen = cv2.transform(np.ascontiguousarray(pixels[at]).reshape(1, -1, 3), _SHIFTED)
        some = np.asarray(seen, np.int32)[0]
        yield at, some[:, 0] << 14 | some[:, 1] << 7 | some[:, 2]


def _palette(points: Numbers, weights: Numbers) -> Numbers:
    """The colours of which the others are nearest: median cut, then means of what is nearest to each, some rounds."""
    from PIL import Image

    step = -(-len(points) // _SAMPLE)
    some, heavy = points[::step], weights[::step]
    repeated = np.repeat(some, np.clip(np.rint(heavy / max(1.0, heavy.mean())), 1, 50).astype(int), axis=0)
    cut = Image.fromarray(repeated.astype(np.uint8).reshape(1, -1, 3)).quantize(
        _COLOURS, method=Image.Quantize.MEDIANCUT
    )
    found = cut.getpalette() or []
    centres = np.array(found[: 3 * _COLOURS], np.float32).reshape(-1, 3)
    for _ in range(_ROUNDS):
        near = np.concatenate([part for _, part in _nearest(some, centres)])
        share = np.bincount(near, heavy, len(centres))
        means = np.stack([np.bincount(near, heavy * some[:, axis], len(centres)) for axis in range(3)], axis=1)
        centres = np.where(share[:, None] > 0, means / np.maximum(share, 1)[:, None], centres).astype(np.float32)
    return centres


def _nearest(points: Numbers, centres: Numbers) -> Iterator[tuple[slice, Numbers]]:
    """Which centre is nearest to each point, for some points after others. Products of matrices so thin are quicker
    without the library for them, whose threads wait for each other."""
    across = np.ascontiguousarray(centres.T)
    half = (centres * centres).sum(axis=1) / 2
    for first in range(0, len(points), _ROWS):
        at = slice(first, first + _ROWS)
        some = points[at]
        found, part = some[:, 0:1] * across[0] - half, some[:, 1:2] * across[1]
        found += part
        np.multiply(some[:, 2:3], across[2], out=part)
        found += part
        yield at, found.argmax(axis=1)


def _stored(block: _Block) -> bytes:
    """With its colours and its place, packed."""
    from PIL import Image
    from PIL.GifImagePlugin import getdata

    height, width = block.indices.shape
    packed = b"".join(getdata(Image.fromarray(block.indices)))[_PLACE_BYTES:]
    control = struct.pack("<BHBB", (2 if block.clears else 1) << 2 | 1, block.hundredths, _COLOURS, 0)
    place = struct.pack("<HHHHB", block.left, block.top, width, height, 0x87)
    return b"\x21\xf9\x04" + control + b"\x2c" + place + block.table + packed
