"""ProRes 4444 of pictures that are mostly black and clear: only what is not is coded.

A ProRes picture is made of slices, a row of up to eight macroblocks each, that know nothing of one another, and a table
of their lengths. So the slices with something in them are put below each other on a small canvas, coded by ffmpeg's own
encoder, and laid out again; all others are the same few bytes, coded once. Slices are shared among a few threads, each
with an encoder of its own. The result is the one that the encoder makes of whole pictures, slice by slice.

Source: SMPTE RDD 36, sections 5.1 to 5.3.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, cast

from mediamill.core.errors import ToolFailed
from mediamill.engines import _frames

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Planes = Sequence[NDArray[Any]]

OPTIONS: Mapping[str, str] = {
    # With one step for the whole film the encoder need not try many for every slice: a fifth of the processor time,
    # the same faithfulness, and fewer bytes.
    **{"profile": "4444", "alpha_bits": "8", "flags": "+qscale", "global_quality": "118", "mbs_per_slice": "8"},
}
_MB = 16
_WIDEST = 8 * _MB
_ROWS = (32, 8)
"""Slices on a canvas: many at once as far as they fill it, then few, for an empty place is coded all the same."""
_THREADS = 3
_BLACK, _GREY = 16, 128
_PIXELS = "yuva444p10le"


@dataclass(frozen=True, slots=True)
class _Shape:
    """A picture's slices of one width: the macroblocks of a row where they begin, and their places in the table,
    (rows, columns)."""

    width: int
    columns: NDArray[np.intp]
    places: NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class _Busy:
    """A picture to be coded: its planes, those of colours at its own size and ten bits deep, and by shape the rows and
    columns of the slices that have anything in them; `made` are slices and their places."""

    planes: Planes
    slots: list[Any]
    made: list[tuple[int, bytes]] = field(default_factory=list)


class Coder:
    """Implements _frames.Coder for "yuva420p"."""

    demuxer: ClassVar[str] = "mov"

    def __init__(self) -> None:
        self._empty: list[bytes] = []
        self._before = b""
        self._film: _Film | None = None

    def steps(self, size: tuple[int, int], rate: Fraction | None, colours: Mapping[str, str]) -> Sequence[_frames.Step]:
        self._film = _Film(size, rate, colours)
        self._before, self._empty = _black(size, colours)
        shapes = _shapes(size)
        look = _Look(size, shapes)
        workers = [_Worker(shapes, share) for share in range(_THREADS)]

        def first(frame: _frames.Frame) -> None:
            frame.note = look(frame.made.planes)

        return first, *(_codes(worker) for worker in workers)

    def packed(self, frame: _frames.Frame) -> bytes:
        assert self._film is not None
        slices = list(self._empty)
        for place, data in frame.note.made:
            slices[place] = data
        table = struct.pack(f">{len(slices)}H", *map(len, slices))
        length = _PICTURE_HEAD + len(table) + sum(map(len, slices))
        picture = struct.pack(">BIHB", _PICTURE_HEAD << 3, length, len(slices), 3 << 4)
        whole = struct.pack(">I4s", 8 + len(self._before) + length, b"icpf")
        return self._film.packed(b"".join((whole, self._before, picture, table, *slices)), frame.time_s)

    def rest(self) -> bytes:
        return self._film.rest() if self._film is not None else b""


_PICTURE_HEAD = 8


class _Film:
    """Coded pictures as QuickTime fragments, for ffmpeg to read: that container says that there is transparency."""

    def __init__(self, size: tuple[int, int], rate: Fraction | None, colours: Mapping[str, str]) -> None:
        import av

        self._made: list[bytes] = []
        flags = {"movflags": "empty_moov+frag_every_frame+default_base_moof"}
        self._container = av.open(self, "w", format="mov", options=flags)
        self._base = 1 / rate if rate is not None else Fraction(1, _frames.TICKS)
        self._stream: Any = self._container.add_stream("prores_ks", rate=rate or 25, options={**OPTIONS, **colours})
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = _PIXELS
        self._stream.time_base = self._stream.codec_context.time_base = self._base
        self._stream.codec_context.thread_count = 1

    def write(self, data: bytes) -> int:
        """What libav has to say."""
        self._made.append(bytes(data))
        return len(data)

    def packed(self, data: bytes, time_s: float) -> bytes:
        import av

        packet = av.Packet(data)
        packet.pts = packet.dts = round(time_s / self._base)
        packet.time_base = self._base
        packet.stream = self._stream
        packet.is_keyframe = True
        self._container.mux(packet)
        return self._said()

    def rest(self) -> bytes:
        self._container.close()
        return self._said()

    def _said(self) -> bytes:
        made, self._made = b"".join(self._made), []
        return made


def _codes(worker: _Worker) -> _frames.Step:
    def code(frame: _frames.Frame) -> None:
        frame.note.made.extend(worker(frame.note))

    return code


def _black(size: tuple[int, int], colours: Mapping[str, str]) -> tuple[bytes, list[bytes]]:
    """The head of a frame of this size, and the slices of a clear one."""
    canvas = _Canvas(*size, colours)
    for plane, level in zip(canvas.planes, (_BLACK, _GREY, _GREY, 0), strict=True):
        plane.fill(level << 2)
    data = canvas.coded()
    at = 8 + struct.unpack_from(">H", data, 8)[0]
    return data[8:at], _slices(data)


def _slices(data: bytes) -> list[bytes]:
    """A coded frame's slices, in their order."""
    at = 8 + struct.unpack_from(">H", data, 8)[0]
    count = struct.unpack_from(">H", data, at + 5)[0]
    at += data[at] >> 3
    lengths = struct.unpack_from(f">{count}H", data, at)
    at += 2 * count
    slices = []
    for length in lengths:
        slices.append(data[at : at + length])
        at += length
    return slices


def _shapes(size: tuple[int, int]) -> list[_Shape]:
    """Rows are made of the widest slices; what is left of them, of ever narrower ones."""
    import numpy as np

    across, down = (-(-side // _MB) for side in size)
    columns: dict[int, list[tuple[int, int]]] = {}
    at, place, width = 0, 0, _WIDEST // _MB
    while at < across:
        while width > across - at:
            width //= 2
        columns.setdefault(width, []).append((at, place))
        at, place = at + width, place + 1
    rows = np.arange(down)[:, None] * place
    return [
        _Shape(width * _MB, np.array([at for at, _ in found]), rows + np.array([place for _, place in found]))
        for width, found in columns.items()
    ]


class _Look:
    """Finds the slices that have anything in them, and makes of the colours as many samples as there are pixels."""

    def __init__(self, size: tuple[int, int], shapes: Sequence[_Shape]) -> None:
        from av.video.reformatter import VideoReformatter

        self._shapes = shapes
        self._right, self._below = (-side % _MB for side in size)
        self._scale = VideoReformatter()

    def __call__(self, planes: Planes) -> _Busy:
        import cv2
        import numpy as np

        if self._right or self._below:
            whole = []
            for plane, scale in zip(planes, (1, 2, 2, 1), strict=True):
                right, below = self._right // scale, self._below // scale
                padded = cv2.copyMakeBorder(plane, 0, below, 0, right, cv2.BORDER_REPLICATE)
                whole.append(np.asarray(padded, np.uint8))
            planes = whole
        y, u, v, alpha = planes
        filled = _filled(y, _BLACK, _MB) | _filled(alpha, 0, _MB)
        filled |= _filled(u, _GREY, _MB // 2) | _filled(v, _GREY, _MB // 2)
        slots = []
        for shape in self._shapes:
            wide = shape.width // _MB
            busy = np.stack([filled[:, left : left + wide].any(1) for left in shape.columns], 1)
            slots.append(np.nonzero(busy))
        return _Busy([y, self._spread(u), self._spread(v), alpha], slots)

    def _spread(self, colour: NDArray[np.uint8]) -> NDArray[np.uint16]:
        """By libav, which takes a third of the time for a plane alone that it takes for it among others."""
        import av
        import numpy as np
        from av.video.reformatter import Interpolation

        height, width = colour.shape
        given = av.VideoFrame(width, height, "gray")
        samples = np.frombuffer(cast(bytes, given.planes[0]), np.uint8)
        samples[: height * given.planes[0].line_size].reshape(height, -1)[:, :width] = colour
        size = 2 * width, 2 * height
        made = self._scale.reformat(given, *size, "gray10le", interpolation=Interpolation.BICUBIC).planes[0]
        wide = np.frombuffer(cast(bytes, made), np.uint16)[: size[1] * made.line_size // 2]
        return wide.reshape(size[1], -1)[:, : size[0]]


def _filled(plane: NDArray[np.uint8], level: int, side: int) -> NDArray[np.bool_]:
    """Which macroblocks of a plane, of so many samples a side, are not all of one level."""
    import numpy as np

    height, width = plane.shape
    eights = np.ascontiguousarray(plane).view(np.uint64).reshape(height // side, side, width // side, side // 8)
    other = np.bitwise_or.reduce(eights ^ np.uint64(level * 0x0101010101010101), axis=1)
    return np.asarray(other.any(2))


class _Canvas:
    """An encoder, and the picture that it codes, 10 bits a sample."""

    def __init__(self, width: int, height: int, colours: Mapping[str, str]) -> None:
        import av
        import numpy as np

        self._context: Any = av.CodecContext.create("prores_ks", "w")
        self._context.width, self._context.height, self._context.pix_fmt = width, height, _PIXELS
        self._context.time_base = Fraction(1, 25)
        self._context.thread_count = 1
        self._context.options = {**OPTIONS, **colours}
        self._frame, self._coded = av.VideoFrame(width, height, _PIXELS), 0
        self.planes: list[NDArray[np.uint16]] = []
        for plane in self._frame.planes:
            samples = np.frombuffer(cast(bytes, plane), np.uint16)[: height * plane.line_size // 2]
            self.planes.append(samples.reshape(height, -1)[:, :width])

    def lay(self, slices: Sequence[NDArray[np.uint16]]) -> None:
        """Slices below one another: of each plane, (how many, rows, columns)."""
        for one, plane in zip(slices, self.planes, strict=True):
            plane[: len(one) * _MB].reshape(one.shape)[...] = one

    def coded(self) -> bytes:
        import av

        self._frame.pts = self._coded
        self._coded += 1
        try:
            return b"".join(map(bytes, self._context.encode(self._frame)))
        except av.FFmpegError as error:
            raise ToolFailed("The film's pictures could not be coded.", str(error)) from error


def _deep(plane: NDArray[Any]) -> NDArray[np.uint16]:
    """Ten bits a sample."""
    import numpy as np

    if plane.dtype == np.uint16:
        return plane
    deep = plane.astype(np.uint16)  # by itself: numpy takes thrice as long for both at once
    return np.left_shift(deep, 2, out=deep)


def _windows(plane: NDArray[Any], width: int) -> NDArray[Any]:
    """Every slice that a plane could have, by its row and the macroblock where it begins; views, not copies."""
    import numpy as np

    down, across = plane.strides
    shape = plane.shape[0] // _MB, (plane.shape[1] - width) // _MB + 1, _MB, width
    return np.lib.stride_tricks.as_strided(plane, shape, (down * _MB, across * _MB, down, across), writeable=False)


class _Worker:
    """Codes its share of a picture's slices."""

    def __init__(self, shapes: Sequence[_Shape], share: int) -> None:
        self._shapes, self._share = shapes, share
        self._canvases = [[_Canvas(shape.width, rows * _MB, {}) for rows in _ROWS] for shape in shapes]

    def __call__(self, busy: _Busy) -> list[tuple[int, bytes]]:
        made: list[tuple[int, bytes]] = []
        for shape, canvases, (rows, columns) in zip(self._shapes, self._canvases, busy.slots, strict=True):
            each = -(-len(rows) // _THREADS)
            mine = slice(self._share * each, (self._share + 1) * each)
            rows, columns = rows[mine], columns[mine]
            lefts, places = shape.columns[columns], shape.places[rows, columns].tolist()
            whole = [_deep(_windows(plane, shape.width)[rows, lefts]) for plane in busy.planes]
            at = 0
            while at < len(rows):
                canvas, most = next(
                    (canvas, most)
                    for canvas, most in zip(canvases, _ROWS, strict=True)
                    if len(rows) - at >= most or most == _ROWS[-1]
                )
                canvas.lay([plane[at : at + most] for plane in whole])
                # What is left over of the canvas belongs to nobody.
                made += zip(places[at : at + most], _slices(canvas.coded()), strict=False)
                at += most
        return made
