"""Eyes turned to the camera by moving the iris within its lids, in films, on the processor.

Each eye's iris is moved towards where it would be if the eye looked into the camera: the middle between its corners, a
little away from where the head is turned, because the ball's middle lies behind the lids. Pixels are moved, none is
made up; only what lies between the lids changes. Shut eyes, faces seen from the side, and eyes behind glass in which no
iris is darker than what surrounds it are left alone. Figures and pictures: docs/why/gaze.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from mediamill.core.errors import NoFace
from mediamill.core.gaze import Redirecting, Redirector
from mediamill.core.ports import Missing
from mediamill.engines import _face, _ffmpeg, _frames
from mediamill.engines._face import Eye, Face, Square
from mediamill.engines._frames import Frame

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ABOVE = 0.085
"""How far above the line between the corners an iris is that looks straight ahead, in widths of the eye."""
_VERTICAL = 0.6
"""Of the way up or down that is gone: the lids follow an eye that looks up or down, and only the iris is moved."""
_FARTHEST = 1.2
"""In radii of the iris; beyond, too much of it was behind the lids to be shown."""
_BEHIND = 0.9
"""How far the ball's middle lies behind the opening, in radii of the iris."""
_GLIMPSE_S = 0.4
"""What looks like a face for no longer, and has no eyes to turn, is none: patterns do for a frame or two."""
_SHUT, _OPEN = 0.16, 0.24
_UP, _ROOM = (0.02, 0.06), (0.26, 0.34)
"""How far an iris is to go up, in widths of its eye, and how open that eye is to be for it."""
_APART = (0.12, 0.22)
"""Two eyes whose irises are to go ways so unlike, in widths of the eye, are not both seen as they are."""
_AWAY = (math.radians(24), math.radians(36))
"""Of a head turned so far nothing is left to be seen of the far eye; between the two it fades."""
_LEVEL_PITCH = math.radians(-11)
"""What the mesh's brow and chin give for a face that looks straight ahead."""
_CONTRAST = (6.0, 14.0)
"""How much darker an iris is than what surrounds it, in steps of luma, before it is believed to be one."""
_RADIUS = 6.0
"""Pixels of an iris when it is looked for; the eye is shown at that size."""
_ROUGHER, _ROUGH = 0.2, (1.3, 1.7)
"""By how much rougher than before an eye may come out; and how rough, gone its whole way, it is better left alone."""
_NEAR = 0.3
"""A way of fewer radii makes no eye so much rougher: of 441 gone on photographs, at most by 0.16."""
_ASTRAY = 1.3
"""How far from where the network has it an iris may be, in its radii."""
_LEAST_PX = 1.5
"""An iris of a smaller radius is a few pixels: to move it would be seen as noise, and where it looks is not seen."""

_X264 = (
    *("-preset", "ultrafast", "-crf", "15", "-x264-params"),
    "bframes=3:b-adapt=0:subme=1:mbtree=1:rc-lookahead=10:partitions=i4x4,i8x8:8x8dct=1:aq-mode=1:scenecut=40"
    ":no-deblock=0",
)
"""Nearer to what was given than "veryfast" at 17 in half of its processor time, for 1.7 times the bits
(docs/why/gaze.md): the networks want the processors, and what is left alone is to look as it did."""


class Warp(Redirector):
    """See the module."""

    name: ClassVar[str] = "gaze-warp"
    rank: ClassVar[int] = 50
    licence: ClassVar[str] = "Apache-2.0"

    def missing(self) -> Missing | None:
        return _face.missing() or _ffmpeg.missing()

    def redirect(self, work: Redirecting) -> Mapping[str, Any]:
        _, video = _frames.film(work.source, work.source_mime)
        encoder: tuple[str, ...] = ("-c:v", "libx264", *_X264)
        if work.container == "webm":
            encoder = ("-c:v", "libvpx-vp9", "-crf", "24", "-b:v", "0", "-deadline", "good", "-cpu-used", "5")
        rate = float(video.frame_rate or 30)
        film = _Film(work.intensity, rate)
        pumped = _frames.pump(
            _frames.Job(
                source=work.source,
                mime=work.source_mime,
                target=work.target,
                container=work.container,
                encoder=encoder,
                size=(max(2, video.width_px // 2 * 2), max(2, video.height_px // 2 * 2)),
                tools=work.tools,
                report=work.report,
            ),
            [film.trace, _frames.in_turn(film.look, film.draw)],
        )
        if not film.redirected and film.longest < min(pumped.frames, _GLIMPSE_S * rate):
            raise NoFace("No face was found in the film.")
        told = {"frames": pumped.frames, "redirected": film.redirected, "faces": film.most}
        return {**told, **pumped.details}


@dataclass(slots=True)
class _Steady:
    """A One-Euro filter of a vector: still while it is still, quick when it moves. Source: Casiez et al., 2012."""

    cutoff_hz: float
    beta: float
    value: NDArray[np.float64] | None = None
    speed: Any = 0.0
    at_s: float = 0.0

    def __call__(self, given: NDArray[np.float64], at_s: float) -> NDArray[np.float64]:
        step_s = max(1e-3, at_s - self.at_s)
        self.at_s = at_s
        if self.value is None:
            self.value = given
            return given
        moved = (given - self.value) / step_s
        self.speed = self.speed + _share(1.0, step_s) * (moved - self.speed)
        cutoff_hz = self.cutoff_hz + self.beta * float(math.hypot(*self.speed))
        self.value = self.value + _share(cutoff_hz, step_s) * (given - self.value)
        return self.value


def _share(cutoff_hz: float, step_s: float) -> float:
    return 1 / (1 + 1 / (2 * math.pi * cutoff_hz * step_s))


@dataclass(slots=True)
class _Followed:
    """A face from picture to picture, with the filters of its eyes: where to, and how much."""

    square: Square
    seen_s: float
    moves: tuple[_Steady, _Steady] = field(default_factory=lambda: (_Steady(1.0, 4.0), _Steady(1.0, 4.0)))
    strengths: tuple[_Steady, _Steady] = field(default_factory=lambda: (_Steady(4.0, 1.0), _Steady(4.0, 1.0)))


@dataclass(frozen=True, slots=True)
class _Move:
    """An iris and by how many pixels it goes."""

    eye: Eye
    x: float
    y: float


class _Film:
    """The steps of the pump: where faces are, where their eyes look, and the moving. Of the frames so far: the most
    faces in one, how many had eyes turned, and the longest row of them with a face. `threads`: of each network."""

    def __init__(self, intensity: float, rate: float, threads: int = 1) -> None:
        self._intensity = intensity
        self._reader = _face.Reader(threads)
        self._followed: list[_Followed] = []
        self._forget_s = max(0.5, 5 / rate)
        self.most = 0
        self.redirected = 0
        self.longest = self._run = 0

    def trace(self, frame: Frame) -> None:
        """The meshes of the faces in a frame, as its note. All that needs the frame before."""
        frame.note = self._reader.meshes(_taking(frame), *_size(frame))

    def look(self, frame: Frame) -> None:
        """What is to move in a frame, as its note."""
        take = _taking(frame)
        faces = [self._reader.face(take, points) for points in frame.note]
        self.most = max(self.most, len(faces))
        self._run = self._run + 1 if faces else 0
        self.longest = max(self.longest, self._run)
        luma = frame.given.planes[0]
        moves = [move for face in faces for move in self._moves(face, luma, frame.time_s)]
        self.redirected += bool(moves)
        frame.note = moves

    def find(self, frame: Frame) -> None:
        """Both, one after the other."""
        self.trace(frame)
        self.look(frame)

    def draw(self, frame: Frame) -> None:
        """Move what is to move."""
        import numpy as np

        np.copyto(frame.made.data, frame.given.data)
        for move in frame.note:
            _moved(frame.given.planes, frame.made.planes, move)

    def _moves(self, face: Face, luma: NDArray[np.uint8], at_s: float) -> list[_Move]:
        import numpy as np

        followed = self._follow(face, at_s)
        ahead = 1 - _smooth(abs(face.yaw), *_AWAY)
        ahead *= 1 - _smooth(abs(face.pitch - _LEVEL_PITCH), *_AWAY)
        made = []
        seen = [_looked_at(eye, luma) for eye in face.eyes]
        ways = [_way(eye, face.yaw) for eye, _ in seen]
        # Eyes look together: one that is shut, or behind a hand, holds the other back, and so does one that disagrees.
        together = min(_believed(eye, contrast, way) for (eye, contrast), way in zip(seen, ways, strict=True))
        together *= ahead * (1 - _smooth(abs(float(ways[0][0] - ways[1][0])), *_APART))
        fine = min(_fine(eye, way, luma) for (eye, _), way in zip(seen, ways, strict=True)) if together > 0 else 0.0
        for at, ((eye, _), asked) in enumerate(zip(seen, ways, strict=True)):
            steady = followed.moves[at]
            # What a shut eye's iris seems to do is no reason to move it once it is open.
            held = steady.value if together <= 0.5 else None
            way = steady(asked, at_s) if held is None else held
            strength = float(followed.strengths[at](np.array([together * fine, 0.0]), at_s)[0])
            way = way * eye.width * self._intensity * min(1.0, max(0.0, strength))
            move = _along(eye, way)
            if eye.radius >= _LEAST_PX and math.hypot(move.x, move.y) > 0.05:
                made.append(move)
        return made

    def _follow(self, face: Face, at_s: float) -> _Followed:
        self._followed = [one for one in self._followed if at_s - one.seen_s <= self._forget_s]
        for one in self._followed:
            if math.dist((one.square.x, one.square.y), (face.square.x, face.square.y)) < face.square.side / 4:
                one.square, one.seen_s = face.square, at_s
                return one
        self._followed.append(_Followed(face.square, at_s))
        return self._followed[-1]


def _taking(frame: Frame) -> _face.Take:
    planes = frame.given.planes
    return lambda square, side: _face.patch(planes, square, side)


def _size(frame: Frame) -> tuple[int, int]:
    height, width = frame.given.planes[0].shape
    return width, height


def _believed(eye: Eye, contrast: float, way: NDArray[np.float64]) -> float:
    """How far an eye is one that can be turned, from 0 to 1."""
    # Lids that are half down go with an eye that looks down: its iris has no room above it.
    lowered = _smooth(-float(way[1]), *_UP) * (1 - _smooth(eye.openness, *_ROOM))
    return _smooth(eye.openness, _SHUT, _OPEN) * _smooth(contrast, *_CONTRAST) * (1 - lowered)


def _way(eye: Eye, yaw: float) -> NDArray[np.float64]:
    """From the iris to where it would look at the camera, along the eye and across it, in widths of the eye."""
    import numpy as np

    axis = eye.axis
    # The corners stay where they are; the outline that the network draws of the lids goes along with the iris.
    way = eye.corners.mean(axis=0) - eye.iris
    along = float(way @ axis) - _BEHIND * eye.radius * math.sin(yaw)
    down = (float(way @ [-axis[1], axis[0]]) - _ABOVE * eye.width) * _VERTICAL
    length = math.hypot(along, down)
    most = _FARTHEST * eye.radius
    shorter = min(1.0, most / length) if length else 1.0
    return np.array([along, down]) * shorter / max(eye.width, 1e-6)


def _along(eye: Eye, way: NDArray[np.float64]) -> _Move:
    """A way along an eye and across it, in pixels, in those of the picture."""
    (along, down), axis = way, eye.axis
    return _Move(eye, float(along * axis[0] - down * axis[1]), float(along * axis[1] + down * axis[0]))


def _fine(eye: Eye, way: NDArray[np.float64], luma: NDArray[np.uint8]) -> float:
    """The share of its way, from 0 to 1, that an eye can go without rough edges.

    What is moved is drawn out on one side and pushed together on the other. White and skin stand that; glare on
    glasses, the lids of a head turned away and pixels made large become streaks, which second derivatives tell.
    """
    import cv2
    import numpy as np

    left, top, right, bottom = _box(eye, luma.shape, 1.0)
    near = math.hypot(*way) * eye.width < _NEAR * eye.radius
    if near or eye.radius < _LEAST_PX or right - left < 4 or bottom - top < 4:
        return 1.0
    scale = min(1.0, _RADIUS / eye.radius)
    size = (max(4, round((right - left) * scale)), max(4, round((bottom - top) * scale)))
    before = np.asarray(cv2.resize(luma[top:bottom, left:right], size, interpolation=cv2.INTER_AREA), np.uint8)
    corner = np.array([left, top], np.float32)
    here = replace(eye, lids=eye.lids - corner, iris=eye.iris - corner, corners=eye.corners - corner)
    field = _field(before.shape, _along(here, way * eye.width), scale)
    if field is None or not (between := field.soft > 0.3).any():
        return 1.0
    after = before.copy()
    _apply(field, before, after, cv2.INTER_CUBIC)
    left, top, right, bottom = field.box
    was, became = (
        float(np.abs(cv2.Laplacian(seen, cv2.CV_32F, ksize=3))[top:bottom, left:right][between].mean())
        for seen in (before, after)
    )
    rougher = became / max(was, 1.0)
    return min(1.0, _ROUGHER / max(rougher - 1, 1e-3)) * (1 - _smooth(rougher, *_ROUGH))


def _looked_at(eye: Eye, luma: NDArray[np.uint8]) -> tuple[Eye, float]:
    """The eye with its iris where the picture has it, and how much darker that is than the rest of the opening.

    The network draws an averted iris too near the middle, by up to half the way (docs/why/gaze.md). The iris is taken
    to be the disc of its size, near there, that is darkest against the ring around it; only what lies between the lids
    counts. No contrast means that nothing was found.
    """
    import cv2
    import numpy as np

    left, top, right, bottom = _box(eye, luma.shape, 1.0)
    if eye.radius < _LEAST_PX or right - left < 4 or bottom - top < 3:
        return eye, 0.0
    scale = _RADIUS / eye.radius
    size = (max(4, round((right - left) * scale)), max(4, round((bottom - top) * scale)))
    seen = cv2.resize(luma[top:bottom, left:right], size, interpolation=cv2.INTER_AREA).astype(np.float32)
    opening = np.zeros(seen.shape, np.uint8)
    cv2.fillPoly(opening, [np.round((eye.lids - (left, top)) * scale).astype(np.int32)], 1)
    between = opening.astype(np.float32)
    if between.sum() < 20:
        return eye, 0.0
    # A reflection in the pupil is no part of the white.
    seen = np.minimum(seen, np.percentile(seen[opening > 0], 85)) * between
    disc, ring = _discs()
    covered = [cv2.filter2D(between, -1, kernel, borderType=cv2.BORDER_CONSTANT) for kernel in (disc, ring)]
    means = [
        cv2.filter2D(seen, -1, kernel, borderType=cv2.BORDER_CONSTANT) / np.maximum(cover, 1.0)
        for kernel, cover in zip((disc, ring), covered, strict=True)
    ]
    darker = means[1] - means[0]
    y, x = np.mgrid[: seen.shape[0], : seen.shape[1]].astype(np.float32)
    near = (eye.iris - (left, top) + 0.5) * scale - 0.5
    away = np.hypot(x - near[0], y - near[1]) / _RADIUS
    unfit = (away > _ASTRAY) | (covered[0] < 0.45 * disc.sum()) | (covered[1] < 0.12 * ring.sum()) | (opening == 0)
    # Of two as good, the one nearer to where the network has it.
    score = np.where(unfit, -1e3, darker * (1 - 0.15 * away))
    row, column = (int(at) for at in np.unravel_index(int(score.argmax()), score.shape))
    if score[row, column] <= 0:
        return eye, 0.0
    found = np.array([column + _peak(score[row], column), row + _peak(score[:, column], row)])
    iris = ((found + 0.5) / scale - 0.5 + (left, top)).astype(np.float32)
    return replace(eye, iris=iris), float(darker[row, column])


@cache
def _discs() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A disc of nine tenths of the radius that eyes are looked at with, and the ring around the whole."""
    import numpy as np

    reach = math.ceil(_RADIUS * 1.7)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    away = np.hypot(x, y) / _RADIUS
    return (away <= 0.9).astype(np.float32), ((away > 1.1) & (away <= 1.7)).astype(np.float32)


def _peak(line: NDArray[np.float32], at: int) -> float:
    """How far from its highest sample a parabola through three has its top, in samples."""
    if not 0 < at < len(line) - 1 or min(line[at - 1], line[at + 1]) < -100:
        return 0.0
    before, here, after = (float(line[n]) for n in (at - 1, at, at + 1))
    bend = before - 2 * here + after
    return 0.0 if bend >= 0 else min(0.5, max(-0.5, (before - after) / (2 * bend)))


def _box(eye: Eye, shape: tuple[int, ...], scale: float) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what an eye's move may touch, even where planes of half the size are."""
    low, high = eye.lids.min(axis=0) - eye.radius, eye.lids.max(axis=0) + eye.radius
    return (
        max(0, math.floor(low[0] * scale)),
        max(0, math.floor(low[1] * scale)),
        min(shape[1], math.ceil(high[0] * scale) + 1),
        min(shape[0], math.ceil(high[1] * scale) + 1),
    )


def _moved(planes: Sequence[NDArray[np.uint8]], made: Sequence[NDArray[np.uint8]], move: _Move) -> None:
    """Move an iris in the planes of a picture, luma first; those of colour are of half the size."""
    import cv2

    if (field := _field(planes[0].shape, move, 1.0)) is not None:
        _apply(field, planes[0], made[0], cv2.INTER_CUBIC)
    if (field := _field(planes[1].shape, move, 0.5)) is not None:
        for plane, target in zip(planes[1:], made[1:], strict=True):
            _apply(field, plane, target, cv2.INTER_LINEAR)


@dataclass(frozen=True, slots=True)
class _Field:
    """A move in planes of one size: `box` is left, top, right and bottom of what it may touch; where each pixel of it
    comes from; and how much of that is taken."""

    box: tuple[int, int, int, int]
    from_x: NDArray[np.float32]
    from_y: NDArray[np.float32]
    soft: NDArray[np.float32]


def _field(shape: tuple[int, ...], move: _Move, scale: float) -> _Field | None:
    """`scale`: the planes' size by that of the picture. None where there is too little to be moved."""
    import cv2
    import numpy as np

    left, top, right, bottom = box = _box(move.eye, shape, scale)
    if right - left < 2 or bottom - top < 2:
        return None
    # The middle of pixel n of a plane of half the size lies at 2n + ½ of the picture.
    shift = (1 - scale) / 2 / scale if scale < 1 else 0.0
    x = (np.arange(left, right, dtype=np.float32) / scale + shift)[None, :]
    y = (np.arange(top, bottom, dtype=np.float32) / scale + shift)[:, None]
    eye, far = move.eye, math.hypot(move.x, move.y)
    # Python's own numbers: NumPy's would make all that follows twice as long.
    away = np.hypot(x - (float(eye.iris[0]) + move.x), y - (float(eye.iris[1]) + move.y))
    # Slow enough a fall that no pixel is passed by another.
    fall = np.clip((away - 1.2 * eye.radius) / max(1.6 * far, 0.9 * eye.radius), 0, 1)
    weight = 1 - fall * fall * (3 - 2 * fall)
    from_x = ((x - move.x * weight) - shift) * scale
    from_y = ((y - move.y * weight) - shift) * scale
    mask = np.zeros(away.shape, np.uint8)
    outline = ((eye.lids - shift) * scale - (left, top)) * 16
    cv2.fillPoly(mask, [np.round(outline).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    soft = cv2.GaussianBlur(mask, (0, 0), max(0.4, 0.12 * eye.radius * scale)).astype(np.float32)
    # Blurred outwards too, but what lies beyond the lids stays as it is.
    soft *= mask.astype(np.float32) / (255 * 255)
    return _Field(box, from_x.astype(np.float32), from_y.astype(np.float32), soft)


def _apply(field: _Field, plane: NDArray[np.uint8], made: NDArray[np.uint8], kernel: int) -> None:
    """Move an iris in one plane."""
    import cv2
    import numpy as np

    left, top, right, bottom = field.box
    moved = cv2.remap(plane, field.from_x, field.from_y, kernel, borderMode=cv2.BORDER_REPLICATE)
    part = made[top:bottom, left:right]
    part[:] = np.round(part + field.soft * (moved.astype(np.float32) - part)).astype(np.uint8)


def _smooth(value: float, low: float, high: float) -> float:
    """0 up to `low`, 1 from `high` on, and a soft step between."""
    share = min(1.0, max(0.0, (value - low) / (high - low)))
    return share * share * (3 - 2 * share)


PROVIDES = (Warp(),)
