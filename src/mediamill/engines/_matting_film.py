"""A film without its background, by any network that makes masks. The picture's own planes go on, untouched but for the
colours along the edge: nothing is turned into RGB and back but the small picture that the network sees."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mediamill.core.errors import NoSubject
from mediamill.core.matting import FilmCut, FilmFormat
from mediamill.engines import _frames, _matting, _matting_colours, _vp9_alpha

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Indices = NDArray[np.signedinteger[Any]]

Network = Callable[["NDArray[np.float32]"], "NDArray[np.float32]"]
"""(height, width, 3) RGB of 0 to 1 → (height, width) of 0 to 1."""
Size = tuple[int, int]
"""Width and height."""

CODERS: Mapping[FilmFormat, Callable[[], _frames.Coder]] = {"webm": _vp9_alpha.Coder}
ENCODERS: Mapping[FilmFormat, tuple[str, ...]] = {
    # With one step for the whole film the encoder need not try many for every slice: a fifth of the processor time,
    # the same faithfulness, and fewer bytes.
    "mov": ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le", "-alpha_bits", "8", "-q:v", "1"),
}
_MATRICES = {
    "bt709": ((1.1644, 0.0, 1.7927), (1.1644, -0.2132, -0.5329), (1.1644, 2.1124, 0.0)),
    "smpte170m": ((1.1644, 0.0, 1.5960), (1.1644, -0.3918, -0.8130), (1.1644, 2.0172, 0.0)),
}
_BLACK, _GREY = 16, 128


def cut(
    work: FilmCut,
    network: Network,
    size: Callable[[int, int], Size],
    *,
    sure: float = _matting.SURE,
    quick: bool = False,
) -> dict[str, Any]:
    """Write the target. `size`: what the network wants to see a picture of that width and height as. quick: a look
    takes no longer than other steps. Raises NoSubject when no picture of the film has anything in front, and what
    pumping does."""
    _, video = _frames.film(work.source, work.source_mime)
    given = "yuva420p" if video.alpha else "yuv420p"
    matrix = video.matrix or ("bt709" if video.rgb or video.height_px >= 720 else "smpte170m")
    look = Look(network, sure)
    job = _frames.Job(
        source=work.source,
        mime=work.source_mime,
        target=work.target,
        container=work.format,
        encoder=ENCODERS.get(work.format, ()),
        coder=CODERS[work.format]() if work.format in CODERS else None,
        given=given,
        made="yuva420p",
        tools=work.tools,
        report=work.report,
    )
    edges = Edges(video.width_px, video.height_px)
    see = See(size(video.width_px, video.height_px), matrix, edges)
    pumped = _frames.pump(job, steps(see, look, edges, Lay(edges), quick=quick))
    if not look.seen:
        work.target.unlink(missing_ok=True)
        raise NoSubject("No picture of the film has anything in it that could be told from the background.")
    return {"frames": pumped.frames, "frames_with_subject": look.seen, **pumped.details}


def steps(see: See, look: Look, edges: Edges, lay: Lay, *, quick: bool) -> list[_frames.Step]:
    """By threads. A slow network is to have one of its own: nothing is faster than it."""
    return [_frames.in_turn(see, look, edges), lay] if quick else [see, look, edges, lay]


class See:
    """The first step: small pictures, one as the network wants it and one for the filter. Every step leaves what the
    next needs in the note."""

    def __init__(self, size: Size, matrix: str, edges: Edges) -> None:
        import numpy as np

        self._size, self._edges = size, edges
        weights = np.array(_MATRICES.get(matrix, _MATRICES["bt709"]), np.float64) / 255
        self._rgb = np.column_stack([weights, -weights @ (_BLACK, _GREY, _GREY)]).astype(np.float32)

    def __call__(self, frame: _frames.Frame) -> None:
        import cv2
        import numpy as np

        planes = frame.given.planes[:3]
        small = _smaller(planes, self._size)
        coded = cv2.merge(small).astype(np.float32)
        rgb = np.asarray(cv2.transform(coded, self._rgb), np.float32)
        frame.note = np.clip(rgb, 0, 1, out=rgb), small[0] * np.float32(1 / 219), self._edges.guide(planes)


class Look:
    """The second step: the mask of each picture, held steady. Nothing but the network, and what needs the mask before,
    for no film is faster than its slowest step."""

    def __init__(self, network: Network, sure: float = _matting.SURE) -> None:
        self._network, self._sure = network, sure
        self._steady = _matting.Steady()
        self.seen = 0

    def __call__(self, frame: _frames.Frame) -> None:
        rgb, light, guide = frame.note
        mask, hold = self._steady(_matting.without_specks(self._network(rgb)), light)
        frame.note = mask, hold, guide
        self.seen += _matting.has_subject(mask, self._sure)


@dataclass(frozen=True, slots=True)
class _Matte:
    """A picture's matte in tiles, `_TILE` pixels of the filter's size wide and high. solid: of each, whether it is so
    where it is not `edge`: those that the matte's edge may go through, as (down, across) indices. entered: the same of
    those that the edge has come into, and `were`: whether they were solid. slopes: the matte of `edge` as a function
    of the colours, and how much of it is held, (5, height, width) from tile `top`, `left` on; the memory is `room`."""

    solid: NDArray[np.bool_]
    edge: tuple[Indices, ...]
    entered: tuple[Indices, ...]
    were: NDArray[np.bool_]
    top: int = 0
    left: int = 0
    slopes: NDArray[np.float32] | None = None
    held: bool = False
    room: NDArray[np.float32] | None = None


class Edges:
    """The third step: how the matte follows from the colours, worked out at a middling size (see _matting), and only
    around where the edge is: of most of a picture the mask says by itself that it is clear or solid."""

    def __init__(self, width: int, height: int) -> None:
        import numpy as np

        # Thirds, so that a tile has a whole number of the picture's pixels, and of the halved colours'.
        thirds = max(3, round(3 * max(width, height) / _matting.WORK_PX))
        self.scale = thirds / 3
        self.side = _TILE // 3 * thirds
        """Pixels of the picture in a tile."""
        self._size = max(1, round(width / self.scale)), max(1, round(height / self.scale))
        self.down, self.across = -(-height // self.side), -(-width // self.side)
        self._radius = max(2, round(max(self._size) / 128))
        self._windows = _matting.Windows()
        self._gain, self._less = map(np.float32, _matting.stretched())
        self._since = np.zeros((self.down, self.across), np.int32)
        self._solid = np.zeros((self.down, self.across), bool)
        self.rooms: queue.SimpleQueue[NDArray[np.float32]] = queue.SimpleQueue()
        """Where planes were that the next step is done with."""

    def __call__(self, frame: _frames.Frame) -> None:
        import cv2
        import numpy as np

        given, hold, guide = frame.note
        mask = _matting.firm(np.asarray(cv2.resize(given, self._size, interpolation=cv2.INTER_LINEAR), np.float32))
        mask = self._padded(mask)
        matte = frame.note = self._tiles(mask)
        if not len(matte.edge[0]):
            return
        # A tile more than is asked for, around what the filter's windows and the sampling look at beyond it.
        top, below = max(0, int(matte.edge[0].min()) - 1), min(self.down, int(matte.edge[0].max()) + 2)
        left, right = max(0, int(matte.edge[1].min()) - 1), min(self.across, int(matte.edge[1].max()) + 2)
        part = slice(top * _TILE, below * _TILE), slice(left * _TILE, right * _TILE)
        mask *= self._gain
        mask += self._less
        height, width = (below - top) * _TILE, (right - left) * _TILE
        room = self._taken()
        found = self._windows(mask[part], [plane[part] for plane in guide], self._radius, room)
        # With what lies beyond the rim, which is what lies at it.
        reach, at = 2 * _REACH, self._windows.room(height, width, self._radius)
        wide = room[at : at + 5 * (height + reach) * (width + reach)].reshape(5, height + reach, width + reach)
        for plane, made in zip((found[3], *found[1:3], found[0]), wide, strict=False):
            cv2.copyMakeBorder(plane, *(_REACH,) * 4, cv2.BORDER_REPLICATE, dst=made)
        if hold is not None:
            hold = self._padded(cv2.resize(hold, self._size, interpolation=cv2.INTER_LINEAR))[part]
            cv2.copyMakeBorder(hold, *(_REACH,) * 4, cv2.BORDER_REPLICATE, dst=wide[4])
        frame.note = replace(matte, top=top, left=left, slopes=wide, held=hold is not None, room=room)

    def guide(self, planes: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
        """A picture at the filter's size."""
        return [self._padded(plane) for plane in _smaller(planes, self._size, self.scale)]

    def _tiles(self, mask: NDArray[np.float32]) -> _Matte:
        import cv2
        import numpy as np

        # The mean of a square is 0 or 1 where all of it is; its neighbours are looked at for the filter's two windows.
        halves = self.across * 2, self.down * 2
        shares = np.asarray(cv2.resize(mask, halves, interpolation=cv2.INTER_AREA), np.float32)
        around = np.ones((3, 3), np.uint8)
        unsure = (cv2.dilate(shares, around) > _NONE) & (cv2.erode(shares, around) < 1 - _NONE)
        live = np.asarray(unsure, bool).reshape(self.down, 2, self.across, 2).any(axis=(1, 3))
        # What was held there fades before the mask alone speaks.
        since = np.where(live, _FADES, np.maximum(self._since - 1, 0))
        entered = np.nonzero((since > 0) & (self._since == 0))
        matte = _Matte(shares[::2, ::2] > 0.5, np.nonzero(since > 0), entered, self._solid[entered])
        self._since, self._solid = since.astype(np.int32), matte.solid
        return matte

    def _padded(self, plane: Any) -> Any:
        """A plane of the filter's size with its last pixels repeated, or left out, to whole tiles."""
        import cv2

        height, width = self.down * _TILE, self.across * _TILE
        down, across = max(0, height - plane.shape[0]), max(0, width - plane.shape[1])
        if down or across:
            plane = cv2.copyMakeBorder(plane, 0, down, 0, across, cv2.BORDER_REPLICATE)
        return plane[:height, :width]

    def _taken(self) -> NDArray[np.float32]:
        import numpy as np

        try:
            return self.rooms.get_nowait()
        except queue.Empty:
            height, width, reach = self.down * _TILE, self.across * _TILE, 2 * _REACH
            size = self._windows.room(height, width, self._radius) + 5 * (height + reach) * (width + reach)
            return np.empty(size, np.float32)


_TILE = 12
_REACH = 2
"""Pixels of the filter's size, beyond a tile, that those at its rim are sampled from."""
_NONE = 1e-5
_FADES = 8
"""Pictures."""
_TOGETHER = 1 << 18
"""Pixels of tiles that are worked on at once: more would not stay near the processor."""


class Lay:
    """The fourth step: the planes, with the matte as their transparency.

    What Cb and Cr bring to the matte is worked out at their own, halved size. What is clear is painted black, so that
    no player that knows no transparency shows it, and no one can get it back.
    """

    def __init__(self, edges: Edges) -> None:
        import numpy as np

        self._edges, self._side = edges, edges.side
        half = self._side // 2
        # A pixel more of the colours on each side, which are enlarged once more.
        self._halved = _between(half + 2, 2 / edges.scale, -1)
        self._whole = _between(self._side, 1 / edges.scale, 0)
        self._before = np.empty((edges.down, edges.across, self._side, self._side), np.float32)
        self._rooms: dict[int, NDArray[np.float32]] = {}

    def __call__(self, frame: _frames.Frame) -> None:
        import cv2
        import numpy as np

        y, u, v = frame.given.planes[:3]
        to_y, to_u, to_v, to_a = frame.made.planes
        matte: _Matte = frame.note
        frame.note = None
        side, (height, width) = self._side, y.shape
        lines = np.repeat(matte.solid.astype(np.uint8) * np.uint8(255), side, axis=1)
        gain, less = _matting.stretched()
        self._before[matte.entered] = (matte.were * gain + less).astype(np.float32)[:, None, None]
        beyond = self._edges.down * side - height, self._edges.across * side - width
        whole = to_a if not any(beyond) else np.empty((height + beyond[0], width + beyond[1]), np.uint8)
        tiled = whole.reshape(self._edges.down, side, self._edges.across, side)
        tiled[...] = lines.reshape(self._edges.down, 1, self._edges.across, side)
        if matte.slopes is not None and matte.room is not None:
            y_whole = cv2.copyMakeBorder(y, 0, beyond[0], 0, beyond[1], cv2.BORDER_REPLICATE) if any(beyond) else y
            halves = side // 2 * self._edges.down, side // 2 * self._edges.across
            more = (1, halves[0] - u.shape[0] + 1, 1, halves[1] - u.shape[1] + 1)
            wide = [cv2.copyMakeBorder(plane, *more, cv2.BORDER_REPLICATE) for plane in (u, v)]
            most = max(1, _TOGETHER // (side * side))
            for start in range(0, len(matte.edge[0]), most):
                self._edge(matte, slice(start, start + most), y_whole, wide, tiled)
            self._edges.rooms.put(matte.room)
        if any(beyond):
            np.copyto(to_a, whole[:height, :width])
        if len(frame.given.planes) > 3:
            to_a[...] = cv2.multiply(to_a, frame.given.planes[3], scale=1 / 255)
        halved = np.asarray(cv2.resize(to_a, u.shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
        u, v = _matting_colours.own((u, v), halved)
        # Colours go on a little beyond the edge, or the encoder would smear black into it.
        kept = cv2.dilate(halved, np.ones((2 * _matting_colours.BEYOND + 1,) * 2, np.uint8))
        for plane, made in ((u, to_u), (v, to_v)):
            made.fill(_GREY)
            cv2.copyTo(plane, kept, made)
        to_y.fill(_BLACK)
        cv2.copyTo(y, _doubled(kept, y.shape), to_y)

    def _edge(self, matte: _Matte, which: slice, y: Any, colours: Sequence[Any], made: NDArray[np.uint8]) -> None:
        """The matte of some tiles."""
        import cv2

        assert matte.slopes is not None
        down, across = (indices[which] for indices in matte.edge)
        count, side, half, reach = len(down), self._side, self._side // 2 + 2, _TILE + 2 * _REACH
        small = _windows(matte.slopes, reach, _TILE)[:, down - matte.top, across - matte.left]
        coloured, *slopes = self._enlarged(small[:3], self._halved, 0)
        for slope, plane in zip(slopes, colours, strict=True):
            slope *= _windows(plane, half, half - 2)[down, across]
            coloured += slope
        doubled = self._room(2, 2 * half * count, 2 * half)
        cv2.resize(coloured.reshape(-1, half), doubled.shape[::-1], dst=doubled, interpolation=cv2.INTER_LINEAR)
        answer, *hold = self._enlarged(small[3 : 4 + matte.held], self._whole, 3)
        answer *= y.reshape(made.shape)[down, :, across]
        answer += doubled.reshape(-1, 2 * half, 2 * half)[:, 2:-2, 2:-2]
        if hold:
            before = self._before[down, across]
            before -= answer
            before *= hold[0]
            answer += before
        self._before[down, across] = answer
        flat = answer.reshape(-1, side)
        made[down, :, across] = cv2.addWeighted(flat, 1, flat, 0, 0, dtype=cv2.CV_8U).reshape(-1, side, side)

    def _enlarged(self, tiles: NDArray[np.float32], between: NDArray[np.float32], room: int) -> Any:
        """(planes, tiles, reach, reach) sampled both ways. A product of matrices is as quick as OpenCV's resize, and
        does all tiles at once."""
        import numpy as np

        (planes, many, reach, _), count = tiles.shape, between.shape[0]
        across = self._room(room, planes * many * reach, count)
        np.dot(tiles.reshape(-1, reach), between.T, out=across)
        made = self._room(room + 1, planes, many, count, count)
        return np.matmul(between, across.reshape(planes, many, reach, count), out=made)

    def _room(self, at: int, *shape: int) -> Any:
        import math

        import numpy as np

        size = math.prod(shape)
        if self._rooms.get(at, np.empty(0)).size < size:
            self._rooms[at] = np.empty(size, np.float32)
        return self._rooms[at][:size].reshape(shape)


def _between(count: int, step: float, first: int) -> NDArray[np.float32]:
    """(count, reach): how much of each pixel of a tile, and of those around it, is in one of `count` that lie `step`
    apart, the first being number `first` of the tile."""
    import numpy as np

    at = (np.arange(first, first + count) + 0.5) * step - 0.5 + _REACH
    near = 1 - np.abs(at[:, None] - np.arange(_TILE + 2 * _REACH)[None, :])
    return np.asarray(np.maximum(near, 0), np.float32)


def _windows(plane: Any, size: int, step: int) -> Any:
    """(…, down, across, size, size): squares of a plane that begin `step` apart, as views."""
    import numpy as np

    rows, columns = plane.strides[-2:]
    count = [(length - size) // step + 1 for length in plane.shape[-2:]]
    return np.lib.stride_tricks.as_strided(
        plane,
        (*plane.shape[:-2], *count, size, size),
        (*plane.strides[:-2], rows * step, columns * step, rows, columns),
        writeable=False,
    )


def _doubled(plane: Any, shape: tuple[int, ...]) -> Any:
    """Every byte four times: what OpenCV's resize takes four times as long for."""
    import cv2
    import numpy as np

    height, width = shape
    if width % 2 or height % 2:
        return cv2.resize(plane, (width, height), interpolation=cv2.INTER_NEAREST)
    made = np.empty((height // 2, 2, width // 2), np.uint16)
    np.multiply(plane, np.uint16(0x0101), out=made[:, 0], dtype=np.uint16)
    made[:, 1] = made[:, 0]
    return made.view(np.uint8).reshape(height, width)


def _smaller(
    planes: Sequence[NDArray[np.uint8]], size: tuple[int, int], scale: float | None = None
) -> list[NDArray[np.uint8]]:
    """Planes at a size (width, height): halved, which is quick, as often as it goes, then sampled. Parts of pixels
    weighed exactly come within half a level of this, at five times the time. `scale`: how many pixels of the first
    plane are one, exactly, where what is left of the last one is left out."""
    import cv2
    import numpy as np

    made = []
    for plane in planes:
        height, width = plane.shape
        left = scale and scale * width / planes[0].shape[1]
        while width % 2 == height % 2 == 0 and width >= 2 * size[0] and height >= 2 * size[1]:
            height, width = height // 2, width // 2
            plane = np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
            left = left and left / 2
        near = width <= _NEAR * size[0] and height <= _NEAR * size[1]
        kernel = cv2.INTER_LINEAR if near else cv2.INTER_AREA
        if left:
            found = cv2.resize(plane, None, fx=1 / left, fy=1 / left, interpolation=kernel)
        else:
            found = cv2.resize(plane, size, interpolation=kernel)
        made.append(np.asarray(found, np.uint8))
    return made


_NEAR = 2.5
"""So many pixels become one, at most, where one is sampled between two: beyond, too many would not be looked at."""
