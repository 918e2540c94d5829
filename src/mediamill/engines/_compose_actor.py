"""One element on the canvas: where its box lies, how motion moves it, and its picture brought there."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mediamill.core import looks
from mediamill.core._composition_timing import Span
from mediamill.core.compositions import degrees, factor, length
from mediamill.core.matting import Masks
from mediamill.engines._compose_canvas import Raw
from mediamill.engines._compose_pixels import Patch
from mediamill.engines._look import (
    EASINGS,
    MOTIONS,
    REST,
    Moment,
    Picture,
    Pose,
    apply_blur,
    apply_pieces,
    apply_reveal,
)

_MAX_SCALE = 100.0
_FAR = 1e5
"""Pixels from the canvas at which an element is put at most; beyond it nothing can be seen anyway."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on the canvas, in pixels."""

    left: float
    top: float
    width: float
    height: float

    @property
    def tuple(self) -> tuple[float, float, float, float]:
        return self.left, self.top, self.width, self.height


@dataclass(frozen=True, slots=True)
class Stage:
    """What all elements share. people: see `compositions.Render`."""

    width: int
    height: int
    rate: int
    people: Masks | None = None

    @property
    def size(self) -> tuple[int, int]:
        return self.width, self.height


@dataclass(frozen=True, slots=True)
class Layer:
    """An element as it is at one frame, ready to be laid on the canvas. turning: the mode that takes the place of
    `blend`, and how far it has."""

    what: Patch | Raw
    opacity: float
    blend: str
    turning: tuple[str, float] | None = None


def box_of(element: Mapping[str, Any], stage: Stage) -> Box:
    """Where the element's box lies."""
    width = min(max(0.0, length(element["width"], stage.width)), _FAR)
    height = min(max(0.0, length(element["height"], stage.height)), _FAR)
    ratio = element["aspect_ratio"]
    if ratio is not None:
        width, height = min(width, height * ratio), min(height, width / ratio)
    left = length(element["x"], stage.width) - length(element["x_anchor"], width)
    top = length(element["y"], stage.height) - length(element["y_anchor"], height)
    return Box(min(max(left, -_FAR), _FAR), min(max(top, -_FAR), _FAR), width, height)


def fitted(size: tuple[float, float], box: Box, *, even: bool = False) -> Box:
    """Where something of that size lies when it is scaled to fit into a box and stands in its middle: whole pixels.

    even: sides and corner on even pixels, as 4:2:0 has it.
    """
    if box.width <= 0 or box.height <= 0:
        return Box(box.left, box.top, 0, 0)
    scale = min(box.width / size[0], box.height / size[1])
    step = 2 if even else 1
    width, height = (max(step, round(side * scale / step) * step) for side in size)
    left = round((box.left + (box.width - width) / 2) / step) * step
    top = round((box.top + (box.height - height) / 2) / step) * step
    return Box(left, top, width, height)


def zoom(element: Mapping[str, Any]) -> float:
    """How much larger than its box the element is shown at most, so that its picture is fine enough."""
    still = max(abs(factor(element["x_scale"])), abs(factor(element["y_scale"])))
    moving = 1.25 if any(motion["type"].startswith("ken_burns") for motion in element.get("motion", ())) else 1.0
    return min(max(1.0, still * moving), 4.0)


def standing(element: Mapping[str, Any], box: Box, stage: Stage) -> NDArray[np.float64] | None:
    """Its own scale and turns about its anchor; None when it has none."""
    pivot = (
        length(element["x_anchor"], box.width) / box.width if box.width else 0.5,
        length(element["y_anchor"], box.height) / box.height if box.height else 0.5,
    )
    pose = Pose(
        scale_x=min(max(factor(element["x_scale"]), -_MAX_SCALE), _MAX_SCALE),
        scale_y=min(max(factor(element["y_scale"]), -_MAX_SCALE), _MAX_SCALE),
        rotate=degrees(element["z_rotation"]) % 360,
        rotate_x=degrees(element["x_rotation"]) % 360,
        rotate_y=degrees(element["y_rotation"]) % 360,
        pivot=pivot,
    )
    return None if pose == replace(REST, pivot=pivot) else pose.matrix(box.tuple, stage.size)


def posed(motions: Sequence[Mapping[str, Any]], at_s: float, moment: Moment) -> Pose:
    """Where all motions together put an element at one instant."""
    pose = REST
    for motion in motions:
        found = moved(motion, at_s, moment)
        if found is not REST:
            pose = found if pose is REST else pose * found
    return pose


def moved(motion: Mapping[str, Any], at_s: float, moment: Moment) -> Pose:
    """Where one motion puts an element."""
    share, then = eased_share(motion, at_s, moment)
    return REST if share is None else MOTIONS[motion["type"]](share, then)


def eased_share(motion: Mapping[str, Any], at_s: float, moment: Moment) -> tuple[float | None, Moment]:
    """How far a motion has come, eased, and the moment within its window; None where it does nothing.

    Before its entrance an element is away, and after its exit. Loops go on until the element ends.
    """
    since_s, window_s = at_s - motion["time"], float(motion["duration"])
    which = looks.MOTIONS[motion["type"]].direction(reversed=motion["reversed"], scope=motion["scope"])
    if which == "loop" or motion["loop"]:
        if since_s < 0:
            return (None if which == "loop" else 0.0), moment
        since_s %= window_s
    then = replace(moment, t=min(max(since_s, 0.0), window_s), length_s=window_s)
    eased = EASINGS[motion["easing"]](min(max(since_s / window_s, 0.0), 1.0))
    return (1 - eased if which == "out" else eased), then


class Actor(ABC):
    """One element that can be seen. Frames are asked for in order."""

    def __init__(self, element: Mapping[str, Any], span: Span, stage: Stage) -> None:
        self.element = element
        self.span = span
        self.stage = stage
        self.box = box_of(element, stage)
        self._still = standing(element, self.box, stage)
        self._motions = [motion for motion in element["motion"] if motion["scope"] == "element"]
        self._opacity = element["opacity"] / 100
        self._blend = element["blend_mode"]
        self._shown: tuple[Hashable, Patch | None] | None = None

    @property
    @abstractmethod
    def content(self) -> Box:
        """Where its picture lies, without turns and motion."""

    @abstractmethod
    def drawn(self, frame: int) -> tuple[Raw | Picture, tuple[int, int], Hashable]:
        """Its picture at that frame, how many pixels of it lie left of and above its content, and a key that stays
        the same as long as the picture does; None for a key that never comes again."""

    @property
    def drawn_size(self) -> tuple[int, int]:
        """Pixels that the picture has for its content."""
        return round(self.content.width), round(self.content.height)

    def close(self) -> None:  # noqa: B027 - few have something to close
        """No more will be asked for."""

    @property
    def lead(self) -> int:
        """How many frames before one that is shown are needed for it."""
        return 0

    def remember(self, frame: int) -> Any:  # noqa: B027 - few look back
        """That frame may not be shown, but one after it may look back at it."""

    def moment(self, frame: int) -> Moment:
        """That frame as looks see it."""
        return Moment(
            t=max(0.0, frame / self.stage.rate - self.span.start_s),
            frame=frame,
            rate=float(self.stage.rate),
            length_s=max(0.0, self.span.end_s - self.span.start_s),
            seed=self.span.number,
        )

    def layer(self, frame: int) -> Layer | None:
        """The element at that frame; None when nothing of it can be seen."""
        moment = self.moment(frame)
        pose = posed(self._motions, frame / self.stage.rate, moment)
        opacity = self._opacity * min(max(pose.opacity, 0.0), 1.0)
        if pose.hidden or opacity <= 0 or self.content.width < 1 or self.content.height < 1:
            return None
        blend = pose.blend or self._blend
        seen, pad, key = self.drawn(frame)
        if isinstance(seen, Raw):
            if self._still is None and replace(pose, opacity=1.0, blend=None) == REST and blend == "none":
                return Layer(seen, opacity, blend)
            seen = seen.picture()
        pose = replace(pose, opacity=1.0, blend=None)
        whole = None if key is None or pose.glitch else (key, pose)
        if self._shown is None or whole is None or self._shown[0] != whole:
            self._shown = whole, self._brought(seen, pad, pose, moment)
        patch = self._shown[1]
        return None if patch is None else Layer(patch, opacity, blend)

    def _brought(self, picture: Picture, pad: tuple[int, int], pose: Pose, moment: Moment) -> Patch | None:
        """The picture where it is to stand."""
        content, (wide, high) = self.content, self.drawn_size
        scale_x, scale_y = content.width / wide, content.height / high
        if pose is not REST and pose != REST:
            picture, pad = self._bent(picture, pad, pose, moment)
        matrix = pose.matrix(content.tuple, self.stage.size) if pose != REST else None
        if self._still is not None:
            matrix = self._still if matrix is None else matrix @ self._still
        left, top = content.left - pad[0] * scale_x, content.top - pad[1] * scale_y
        if matrix is None and scale_x == 1 and scale_y == 1:
            return Patch(picture, round(left), round(top)).clipped(*self.stage.size)
        there = np.array([[scale_x, 0, left], [0, scale_y, top], [0, 0, 1]])
        return warped(picture, there if matrix is None else matrix @ there, self.stage.size)

    def _bent(
        self, picture: Picture, pad: tuple[int, int], pose: Pose, moment: Moment
    ) -> tuple[Picture, tuple[int, int]]:
        """Everything of a pose that no matrix does."""
        picture = apply_reveal(picture, pose)
        per_pixel = self.drawn_size[1] / self.content.height
        blur = pose.blur * self.stage.height * per_pixel
        room = pose.room
        more_x = math.ceil(room * picture.shape[1] + 3 * blur)
        more_y = math.ceil(room * picture.shape[0] + 3 * blur)
        if more_x or more_y:
            # What flies far beyond the canvas is not worth its pixels.
            more_x, more_y = min(more_x, self.stage.width), min(more_y, self.stage.height)
            picture = cv2.copyMakeBorder(
                picture, more_y, more_y, more_x, more_x, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0)
            )
        picture = apply_pieces(picture, pose, moment)
        if pose.blur > 0:
            picture = apply_blur(picture, pose, round(self.stage.height * per_pixel))
        return picture, (pad[0] + more_x, pad[1] + more_y)


def warped(picture: Picture, matrix: NDArray[np.float64], canvas: tuple[int, int]) -> Patch | None:
    """The picture brought onto the canvas by a matrix from its pixels to the canvas'; None when it ends up outside."""
    high, wide = picture.shape[:2]
    corners = matrix @ np.array([[0, wide, wide, 0], [0, 0, high, high], [1, 1, 1, 1]], np.float64)
    if (corners[2] < 0.05).any() or not np.isfinite(corners).all():  # behind the eye
        return None
    xs, ys = corners[0] / corners[2], corners[1] / corners[2]
    x0, y0 = max(0, math.floor(xs.min()) - 1), max(0, math.floor(ys.min()) - 1)
    x1, y1 = min(canvas[0], math.ceil(xs.max()) + 1), min(canvas[1], math.ceil(ys.max()) + 1)
    if x0 >= x1 or y0 >= y1:
        return None
    picture, shrunk = _shrunk(picture, xs, ys)
    middle, back = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]]), np.array([[1, 0, -0.5], [0, 1, -0.5], [0, 0, 1]])
    onto = back @ np.array([[1.0, 0, -x0], [0, 1, -y0], [0, 0, 1]]) @ matrix @ shrunk @ middle
    size = x1 - x0, y1 - y0
    flat = abs(onto[2, 0]) < 1e-12 and abs(onto[2, 1]) < 1e-12
    border: dict[str, Any] = {"borderMode": cv2.BORDER_CONSTANT, "borderValue": (0, 0, 0, 0)}
    if flat:
        made = cv2.warpAffine(picture, onto[:2] / onto[2, 2], size, flags=cv2.INTER_LINEAR, **border)
    else:
        made = cv2.warpPerspective(picture, onto, size, flags=cv2.INTER_LINEAR, **border)
    return Patch(made, x0, y0)


def _shrunk(picture: Picture, xs: Any, ys: Any) -> tuple[Picture, NDArray[np.float64]]:
    """The picture made smaller beforehand where it is to become much smaller: else pixels are skipped and it
    flickers; and the matrix from its pixels to those it had."""
    high, wide = picture.shape[:2]
    across = max(math.hypot(xs[1] - xs[0], ys[1] - ys[0]), math.hypot(xs[2] - xs[3], ys[2] - ys[3])) / wide
    down = max(math.hypot(xs[3] - xs[0], ys[3] - ys[0]), math.hypot(xs[2] - xs[1], ys[2] - ys[1])) / high
    if across >= 0.7 and down >= 0.7:
        return picture, np.eye(3)
    to = max(1, round(wide * min(1.0, across))), max(1, round(high * min(1.0, down)))
    small = cv2.resize(picture, to, interpolation=cv2.INTER_AREA)
    return small, np.diag([wide / to[0], high / to[1], 1.0])
