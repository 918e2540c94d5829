"""How far libaom is with a still, by the memory it has touched: it says nothing until all is done.

It keeps the coefficients of a picture in one block of memory, square by square of 64 pixels, which the system gives it
fresh: a page of that is there only once coefficients were written to it (/proc/self/pagemap, proc(5)). The block is
found by its size, which stands before it (malloc of glibc, for what it maps). Where any of that is otherwise, nothing
is known, and what a sample took is believed. Source: av1_setup_coeff_buffer of libaom's encodetxb.c.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import struct
from collections.abc import Iterator
from typing import Any

from mediamill.core.ports import Report
from mediamill.engines._expected import Course
from mediamill.engines._processor import used_s

_SQUARE_PX, _PAGE = 64, 4096
_SQUARE_BYTES = 4 * (_SQUARE_PX**2 * 3 // 2)
_ROOM = 3 * _PAGE
"""What malloc takes more, for its own and to begin on a round address."""
_MAPPED = 2
"""The bit by which malloc knows what it has mapped."""
_LARGE_BYTES = 4 << 20
_MMAP_THRESHOLD, _MMAP_THRESHOLD_MOST = -3, 32 << 20
_DOUBT, _ENDED = 0.05, 0.09
"""The share of coding after which what it took is believed rather than what was expected; and what comes after it, as a
share of it: filters and the file."""
_BELIEVED = 0.3, 3.0
"""Of what was expected."""
_FEW, _PAINTED, _LINES_APART = 4, 0.05, 8
"""Blocks of up to so many colours, and from which share of them on libaom may code by palettes, which need no
coefficients: a tenth, and here half of that. One line of blocks of so many is looked at."""
_BLOCK_PX = 16
_NEARLY = 0.98
"""From here on, coefficients tell no more: the rest is one step."""


class _Watched(Course):
    """Of a picture that is expected to take so long."""

    def __init__(self, report: Report, picture: Any, expected_s: float, done_s: float) -> None:
        super().__init__(report, "encode", done_s=done_s, now_s=expected_s)
        self._block: _Block | None = None if painted(picture) else _Block(picture)
        self._expected_s = expected_s / (1 + _ENDED)
        self._began_coding_s: float | None = None
        self._coded = 0.0

    def say(self) -> None:
        if self._block is not None:
            try:
                self._look(self._block.coded())
            except (OSError, ValueError, struct.error):  # such files are not to be read here, or say something else
                self._block = None
        super().say()

    def _look(self, coded: float) -> None:
        if coded <= self._coded:
            return
        used = used_s()
        if self._began_coding_s is None:
            self._began_coding_s = used - coded * self._expected_s
        took_s = used - self._began_coding_s
        least_s, most_s = (times * self._expected_s for times in _BELIEVED)
        whole_s = min(max(least_s, (took_s + _DOUBT * self._expected_s) / (coded + _DOUBT)), most_s)
        self._coded = coded
        left_s, end_s = whole_s * (1 - coded), whole_s * _ENDED
        self.at(*((left_s, end_s) if coded < _NEARLY else (left_s + end_s, 0.0)))


@contextlib.contextmanager
def watching(report: Report, picture: Any, expected_s: float, *, done_s: float) -> Iterator[None]:
    """A picture in RGB is coded in the block, which is expected to take so long. Nothing else may report meanwhile."""
    tune = getattr(ctypes.CDLL(None), "mallopt", None)
    if tune is not None:
        tune(_MMAP_THRESHOLD, _LARGE_BYTES)  # else malloc may give the coefficients memory that it has had before
    try:
        with _Watched(report, picture, expected_s, done_s).looking():
            yield
    finally:
        if tune is not None:
            tune(_MMAP_THRESHOLD, _MMAP_THRESHOLD_MOST)


class _Block:
    """The coefficients of a picture that is being coded."""

    def __init__(self, picture: Any) -> None:
        import numpy as np

        self._down, self._across = (-(-side // _SQUARE_PX) for side in (picture.height, picture.width))
        rows, columns = (-(-side // 8) * 8 // _SQUARE_PX + 1 for side in (picture.height, picture.width))
        self._rows, self._columns = rows, columns
        self._bytes = rows * columns * _SQUARE_BYTES
        self._at: int | None = None
        self._weights = weights(picture)
        self._whole = float(np.sum(self._weights)) or 1.0

    def coded(self) -> float:
        """The share of the picture that is known to be coded."""
        import numpy as np

        if self._at is None:
            self._at = next((at for at, size in _mapped() if 0 <= size - self._bytes < _ROOM), None)
            if self._at is None:
                return 0.0
        with open("/proc/self/pagemap", "rb", buffering=0) as pages:
            pages.seek(self._at // _PAGE * 8)
            read = pages.read(-(-self._bytes // _PAGE) * 8)
        there = np.frombuffer(read, np.uint64) >> np.uint64(63)
        each = _SQUARE_BYTES // _PAGE
        squares = there[: self._rows * self._columns * each].reshape(-1, each).any(1)
        seen = squares.reshape(self._rows, self._columns)[: self._down, : self._across]
        return float((self._weights * seen).sum()) / self._whole


def painted(picture: Any) -> bool:
    """Whether it is of few colours, as screens and drawings are, so that coefficients tell little of its coding."""
    import numpy as np

    plane = np.asarray(picture.getchannel("G"))
    down, across = (side // _BLOCK_PX for side in plane.shape)
    lines = plane[: down * _BLOCK_PX, : across * _BLOCK_PX].reshape(down, _BLOCK_PX, across, _BLOCK_PX)[::_LINES_APART]
    blocks = np.sort(lines.transpose(0, 2, 1, 3).reshape(-1, _BLOCK_PX**2), axis=1)
    colours = 1 + np.count_nonzero(np.diff(blocks, axis=1), axis=1)
    return float(np.mean((colours > 1) & (colours <= _FEW))) > _PAINTED


def weights(picture: Any) -> Any:
    """What coding each square takes, beside the others: by how much changes in it from pixel to pixel."""
    import numpy as np

    plane = np.asarray(picture.getchannel("G"))[::4]
    change = np.abs(np.diff(plane.astype(np.int16), axis=1, append=plane[:, -1:].astype(np.int16)))
    down, across = (-(-side // _SQUARE_PX) for side in (picture.height, picture.width))
    room = np.zeros((down * _SQUARE_PX // 4, across * _SQUARE_PX), np.int16)
    room[: change.shape[0], : change.shape[1]] = change
    return np.log1p(room.reshape(down, _SQUARE_PX // 4, across, _SQUARE_PX).mean((1, 3), dtype=np.float32))


def _mapped() -> Iterator[tuple[int, int]]:
    """Where blocks lie that malloc has mapped for themselves, and how large they are."""
    with open("/proc/self/maps", encoding="ascii", errors="replace") as maps, open("/proc/self/mem", "rb", 0) as memory:
        for line in maps:
            span, rights, _, _, inode, *_ = line.split()
            at, end = (int(word, 16) for word in span.split("-"))
            while rights == "rw-p" and inode == "0" and at < end:
                (head,) = struct.unpack("<Q", os.pread(memory.fileno(), 8, at + 8))
                size = head & ~7
                if not head & _MAPPED or size % _PAGE or not 0 < size <= end - at:
                    break
                yield at, size
                at += size
