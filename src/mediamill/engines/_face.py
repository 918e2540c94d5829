"""Faces in pictures: where they are, 468 points of each, and the outline of the eyes with their irises.

Three networks of MediaPipe's, run by LiteRT: one finds faces, one lays a mesh over a face, one looks closely at an eye.
A face that was found is followed by its own mesh, which is quicker and steadier than to find it anew. All points are
in pixels of the picture, x to the right and y down; depth is in the same unit, away from the camera.
Source: Bazarevsky et al., BlazeFace (2019); Kartynnik et al., Real-time facial surface geometry (2019); Ablavatski et
al., Real-time pupil tracking (2020); the graphs of MediaPipe 0.10 for the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from mediamill import models
from mediamill.core.ports import Missing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Points = NDArray[np.float32]
    Pixels = NDArray[np.uint8]

MODELS = ("face_detection_short_range", "face_landmark", "iris_landmark")
FAR = "face_detection_full_range"
MOST_FACES = 4
_LEAST_SCORE = 0.5
_FAR_SIDE, _LEAST_FAR_SCORE = 192, 0.65
"""Of nine in ten pictures of people, at any distance, it is surer than that. Of a hundred cuts of cats, cups and
machines it is sure by 0.62 at most."""
_LEAST_PRESENCE = 0.5
_SAME = 0.4
"""Share of the smaller box that two boxes of one face have in common."""
_SEARCH_EVERY = 12
"""Frames between looks for further faces; when there is none, every third frame is looked at."""
_ROOM = 1.5
"""A face's square against the box of its points, and against the detector's."""
_EYE_ROOM = 2.3
# Corners of the eyes in the mesh, as they stand in the picture: (left end, right end).
EYES = ((33, 133), (362, 263))
_SIDES = (234, 454)
_BROW, _CHIN = 10, 152


@dataclass(frozen=True, slots=True)
class Square:
    """A square of the picture, turned by `turn` radians around its middle."""

    x: float
    y: float
    side: float
    turn: float = 0.0


@dataclass(frozen=True, slots=True)
class Eye:
    """An eye. `lids` are 16 points around its opening, `iris` its middle, `corners` (2, 2)."""

    lids: Points
    iris: Points
    radius: float
    corners: Points

    @property
    def width(self) -> float:
        """From corner to corner."""
        return float(math.dist(self.corners[0], self.corners[1]))

    @property
    def axis(self) -> Points:
        """The unit vector from corner to corner."""
        across = self.corners[1] - self.corners[0]
        made: Points = across / max(self.width, 1e-6)
        return made

    @property
    def openness(self) -> float:
        """Height of the opening by its width: some 0.3 for an open eye, below 0.15 for a shut one."""
        axis = self.axis
        down = self.lids @ [-axis[1], axis[0]]
        along = self.lids @ axis
        return float((down.max() - down.min()) / max(1e-6, along.max() - along.min()))


@dataclass(frozen=True, slots=True)
class Face:
    """A face. `points` is (468, 3). yaw: how far it is turned to the picture's right, radians; pitch: down."""

    points: Points
    eyes: tuple[Eye, Eye]
    square: Square

    @property
    def yaw(self) -> float:
        left, right = self.points[list(_SIDES)]
        return math.atan2(float(right[2] - left[2]), max(1e-6, math.dist(left[:2], right[:2])))

    @property
    def pitch(self) -> float:
        top, bottom = self.points[[_BROW, _CHIN]]
        return math.atan2(float(top[2] - bottom[2]), max(1e-6, math.dist(top[:2], bottom[:2])))


def missing() -> Missing | None:
    """Why no face can be read here, or None."""
    import importlib.util

    if importlib.util.find_spec("ai_edge_litert") is None:
        return Missing(reason="ai-edge-litert is not installed.", remedy="Install ai-edge-litert.")
    return models.missing(*MODELS)


Take = Callable[["Square", int], "NDArray[np.float32]"]
"""A square of the picture as (side, side, 3) RGB in [0, 1]."""


def taken_from(rgb: Pixels) -> Take:
    """Squares of a picture (height, width, 3); black beyond its edges."""
    import cv2
    import numpy as np

    planes = cv2.split(rgb)

    def take(square: Square, side: int) -> NDArray[np.float32]:
        seen = cv2.merge([_turned(np.asarray(plane, np.uint8), square, side, 0) for plane in planes])
        return np.asarray(seen, np.float32) / np.float32(255)

    return take


class Finder:
    """Finds faces that take a fifteenth of a square or more, from farther off than a Reader does: nothing of them but
    their middles."""

    def __init__(self, threads: int = 1) -> None:
        self._find = _network(FAR, threads)

    def __call__(self, take: Take, square: Square) -> list[tuple[float, float]]:
        """(x, y) of each, in pixels of the picture, the surest first; a face may be there more than once."""
        import numpy as np

        boxes, scores = self._find(take(square, _FAR_SIDE) * 2 - 1)
        cells = _FAR_SIDE // 4
        sure = 1 / (1 + np.exp(-np.clip(scores.reshape(-1), -80, 80)))
        found = []
        for at in np.argsort(-sure).tolist():
            if sure[at] < _LEAST_FAR_SCORE:
                break
            down, across = divmod(at, cells)
            x, y = (float(pixels) / _FAR_SIDE for pixels in boxes.reshape(-1, 16)[at, :2])
            left, top = square.x - square.side / 2, square.y - square.side / 2
            found.append(
                (left + (x + (across + 0.5) / cells) * square.side, top + (y + (down + 0.5) / cells) * square.side)
            )
        return found


class Reader:
    """Reads the faces of the pictures of one film, in order.

    A picture's meshes are looked for where those of the one before were; its eyes only need its own meshes. So one
    thread may look for the meshes of the next picture while another reads the eyes of this one. `threads`: of each
    network.
    """

    def __init__(self, threads: int = 2) -> None:
        self._find = _network(MODELS[0], threads)
        self._mesh = _network(MODELS[1], threads)
        self._iris = _network(MODELS[2], threads)
        self._squares: list[Square] = []
        self._number = 0

    def read(self, take: Take, width: int, height: int) -> list[Face]:
        """The faces of the next picture, the largest first."""
        return [self.face(take, points) for points in self.meshes(take, width, height)]

    def alone(self, rgb: Pixels) -> list[Points]:
        """The meshes of a picture (height, width, 3) that has nothing to do with the one before."""
        self._squares, self._number = [], 0
        return self.meshes(taken_from(rgb), rgb.shape[1], rgb.shape[0])

    def meshes(self, take: Take, width: int, height: int) -> list[Points]:
        """The meshes of the next picture's faces, the largest first."""
        look = self._number % (_SEARCH_EVERY if self._squares else 3) == 0
        self._number += 1
        kept = [points for square in self._squares if (points := self._meshed(take, square)) is not None]
        found = [(_around(points), points) for points in kept]
        if look or (self._squares and not found):
            for square in self._search(take, width, height):
                if len(found) < MOST_FACES and not any(_same(square, other) for other, _ in found):
                    points = self._meshed(take, square)
                    if points is not None and not any(_same(_around(points), other) for other, _ in found):
                        found.append((_around(points), points))
        found.sort(key=lambda one: -one[0].side)
        self._squares = [square for square, _ in found]
        return [points for _, points in found]

    def face(self, take: Take, points: Points) -> Face:
        """A mesh with its eyes, in a picture that it was found in."""
        eyes = tuple(self._eye(take, points[list(ends), :2], mirrored=at == 1) for at, ends in enumerate(EYES))
        return Face(points, (eyes[0], eyes[1]), _around(points))

    def _search(self, take: Take, width: int, height: int) -> list[Square]:
        """Where faces may be: in the whole picture, then in squares of it, since the network sees only near ones."""
        whole = Square(width / 2, height / 2, float(max(width, height)))
        found = self._look(take, whole)
        if found:
            return found
        for share in (1.0, 0.5):
            side = min(width, height) * share
            if side < 96:
                break
            for x in _middles(width, side):
                for y in _middles(height, side):
                    found += self._look(take, Square(x, y, side))
            if found:
                break
        return _distinct(found)

    def _look(self, take: Take, square: Square) -> list[Square]:
        import numpy as np

        boxes, scores = self._find(take(square, 128) * 2 - 1)
        raw = boxes.reshape(896, 16)
        sure = 1 / (1 + np.exp(-np.clip(scores.reshape(896), -80, 80)))
        found = []
        anchors = _anchors()
        for at in np.argsort(-sure)[:40].tolist():
            if sure[at] < _LEAST_SCORE:
                break
            # (x, y, width, height, then six points), in pixels of 128 around the anchor
            middle = raw[at, :2] / 128 + anchors[at]
            eyes = raw[at, 4:8].reshape(2, 2) / 128 + anchors[at]
            size = float(raw[at, 2:4].max()) / 128
            across = eyes[1] - eyes[0]
            left, top = square.x - square.side / 2, square.y - square.side / 2
            found.append(
                Square(
                    left + float(middle[0]) * square.side,
                    top + float(middle[1]) * square.side,
                    size * square.side * _ROOM,
                    math.atan2(float(across[1]), float(across[0])),
                )
            )
        return _distinct(found)

    def _meshed(self, take: Take, square: Square) -> Points | None:
        """The mesh of a face, None where there is none."""
        import numpy as np

        mesh, presence = self._mesh(take(square, 192))
        if 1 / (1 + math.exp(-max(-80.0, min(80.0, float(presence.reshape(-1)[0]))))) < _LEAST_PRESENCE:
            return None
        points = mesh.reshape(468, 3) / 192
        placed = np.empty((468, 3), np.float32)
        placed[:, :2] = _placed(points[:, :2], square)
        placed[:, 2] = points[:, 2] * square.side
        return placed

    def _eye(self, take: Take, corners: Points, *, mirrored: bool) -> Eye:
        """The network knows the eye at the picture's left; the other is shown to it in a mirror."""
        across = corners[1] - corners[0]
        middle = corners.mean(axis=0)
        side = float(_extent(corners)) * _EYE_ROOM
        square = Square(float(middle[0]), float(middle[1]), side, math.atan2(float(across[1]), float(across[0])))
        seen = take(square, 64)
        lids, iris = self._iris(seen[:, ::-1] if mirrored else seen)
        outline = lids.reshape(71, 3)[:16, :2] / 64
        rim = iris.reshape(5, 3)[:, :2] / 64
        if mirrored:
            outline[:, 0], rim[:, 0] = 1 - outline[:, 0], 1 - rim[:, 0]
        rim = _placed(rim, square)
        radius = sum(math.dist(rim[0], point) for point in rim[1:]) / 4
        return Eye(_placed(outline, square), rim[0], radius, corners)


def _extent(points: Points) -> float:
    """The longer side of the box of some points."""
    return float((points.max(axis=0) - points.min(axis=0)).max())


def patch(planes: Sequence[Pixels], square: Square, side: int) -> NDArray[np.float32]:
    """A square of a "yuv420p" picture as (side, side, 3) RGB in [0, 1]; black beyond its edges.

    Each plane is turned by itself and only the patch is made red, green and blue: to do so with the whole picture takes
    more time than a network does.
    """
    import cv2
    import numpy as np

    luma, *chroma = planes
    # The middle of pixel n of a plane of half the size lies at 2n + ½ of the picture.
    half = Square((square.x - 0.5) / 2, (square.y - 0.5) / 2, square.side / 2, square.turn)
    seen = cv2.merge([_turned(luma, square, side, 16), *(_turned(plane, half, side, 128) for plane in chroma)])
    return np.asarray(cv2.transform(seen, np.array(_TO_RGB, np.float32)), np.float32) / np.float32(255)


_TO_RGB = (
    (1.164, 0.0, 1.596, -1.164 * 16 - 1.596 * 128),
    (1.164, -0.391, -0.813, -1.164 * 16 + (0.391 + 0.813) * 128),
    (1.164, 2.018, 0.0, -1.164 * 16 - 2.018 * 128),
)
"""Of BT.601's video range; the networks have seen all kinds of cameras."""


def _turned(plane: Pixels, square: Square, side: int, beyond: int) -> Pixels:
    """A square of a plane, (side, side)."""
    import cv2
    import numpy as np

    scale = side / square.side
    left, top, fewer = 0, 0, 1
    if scale <= 0.5:  # a warp reads four pixels for each it makes: what lies between is averaged first
        # By halves, which OpenCV is ten times as quick at as at other whole numbers.
        reach, fewer = square.side * 0.75, 2 ** int(math.log2(1 / scale))
        left, top = max(0, int(square.x - reach)), max(0, int(square.y - reach))
        plane = plane[top : max(top + fewer, int(square.y + reach)), left : max(left + fewer, int(square.x + reach))]
        plane = plane[: plane.shape[0] // fewer * fewer, : plane.shape[1] // fewer * fewer]
        if not plane.size:  # beside the picture
            return np.full((side, side), beyond, np.uint8)
        for _ in range(fewer.bit_length() - 1):
            half = (plane.shape[1] // 2, plane.shape[0] // 2)
            plane = np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), np.uint8)
    cos, sin = math.cos(square.turn) / scale, math.sin(square.turn) / scale
    # From the patch to the picture: half a pixel, since a pixel's middle is what its number says.
    from_patch = np.array(
        [
            [cos, -sin, square.x - left - (cos - sin) * (side - 1) / 2 - (fewer - 1) / 2],
            [sin, cos, square.y - top - (sin + cos) * (side - 1) / 2 - (fewer - 1) / 2],
        ]
    )
    from_patch /= fewer
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    turned = cv2.warpAffine(
        plane, from_patch, (side, side), flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=beyond
    )
    return np.asarray(turned, np.uint8)


def _placed(shares: Points, square: Square) -> Points:
    """Points in shares of a square as pixels of the picture."""
    import numpy as np

    cos, sin = math.cos(square.turn) * square.side, math.sin(square.turn) * square.side
    x, y = shares[:, 0] - 0.5, shares[:, 1] - 0.5
    made = np.stack([square.x + cos * x - sin * y, square.y + sin * x + cos * y], axis=1)
    return made.astype(np.float32)


def _around(points: Points) -> Square:
    """The square in which the mesh is looked for in the next picture."""
    (left, right) = points[33, :2], points[263, :2]
    turn = math.atan2(float(right[1] - left[1]), float(right[0] - left[0]))
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    middle = (low + high) / 2
    return Square(float(middle[0]), float(middle[1]), float((high - low).max()) * _ROOM, turn)


def _same(one: Square, other: Square) -> bool:
    width = (one.side + other.side) / 2 - abs(one.x - other.x)
    height = (one.side + other.side) / 2 - abs(one.y - other.y)
    least = min(one.side, other.side)
    return width > 0 and height > 0 and min(width, least) * min(height, least) > _SAME * least * least


def _distinct(squares: Sequence[Square]) -> list[Square]:
    kept: list[Square] = []
    for square in squares:
        if not any(_same(square, other) for other in kept):
            kept.append(square)
    return kept


def _middles(length: int, side: float) -> list[float]:
    """Middles of squares that cover a length, half of each over the next."""
    count = max(1, math.ceil((length - side) / (side / 2)) + 1)
    if count == 1:
        return [length / 2]
    return [side / 2 + (length - side) * at / (count - 1) for at in range(count)]


@cache
def _anchors() -> NDArray[np.float32]:
    """(896, 2) middles of the detector's cells: 16 x 16 with two anchors each, then 8 x 8 with six."""
    import numpy as np

    made = [
        ((x + 0.5) / cells, (y + 0.5) / cells)
        for cells, each in ((16, 2), (8, 6))
        for y in range(cells)
        for x in range(cells)
        for _ in range(each)
    ]
    return np.array(made, np.float32)


def _network(name: str, threads: int) -> Callable[[NDArray[np.float32]], tuple[Any, Any]]:
    """A model as a function of one picture to its two outputs."""
    from ai_edge_litert.interpreter import Interpreter

    path = models.find(name)
    assert path is not None, "asked for before `missing` was"
    network = Interpreter(str(path), num_threads=threads)
    network.allocate_tensors()
    given = network.get_input_details()[0]["index"]
    told = [output["index"] for output in network.get_output_details()]

    def run(picture: NDArray[np.float32]) -> tuple[Any, Any]:
        network.set_tensor(given, picture[None].astype("float32"))
        network.invoke()
        return network.get_tensor(told[0]), network.get_tensor(told[1])

    return run
