"""Clips and pictures of a composition: their own picture, cropped, coloured, with effects and in its frame."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mediamill.core import looks
from mediamill.core._composition_timing import Span
from mediamill.core.compositions import Material
from mediamill.core.errors import BadMedia, LimitExceeded, NoVideo, RangeEmpty
from mediamill.core.ports import Tools
from mediamill.engines import _av
from mediamill.engines import _compose_people as people
from mediamill.engines import _compose_style as style
from mediamill.engines._compose_actor import Actor, Box, Stage, fitted, zoom
from mediamill.engines._compose_canvas import Raw
from mediamill.engines._compose_film import Film, Pools, as_rgba
from mediamill.engines._compose_pixels import Buffer, small_rgb, to_rgba
from mediamill.engines._compose_shot import Shot
from mediamill.engines._look import EFFECTS, Picture
from mediamill.engines._look_base import Mask, Moment, premultiplied

REMEMBERED_S = 1.0
"""How far back effects such as echo look."""
_MOST_PIXELS = 40_000_000
_CANVASES = 4
"""Pixels of one element's picture, also by those of the canvas: what is larger is seen in part, and less sharp."""
REMEMBERING = frozenset({"echo", "ghosting"})
STEADY = frozenset(
    {
        "sepia", "duotone", "cross_process", "bleach_bypass", "posterize", "invert", "thermal", "camera_lens_blur",
        "camera_lens_blur_bg", "box_blur", "glow", "prism", "mosaic", "mosaic_blur", "mosaic_posterize", "cc_halftone",
        "cc_halftone_red", "cc_halftone_green", "cc_halftone_blue", "rgb_split", "chromatic_aberration",
        "optics_compensation", "chroma_key",
    }
)  # fmt: skip
"""Effects that make the same of a picture at any time."""


class Pictured(Actor):
    """What clips and pictures share."""

    def __init__(
        self, element: Mapping[str, Any], span: Span, stage: Stage, natural: tuple[int, int], *, even: bool
    ) -> None:
        super().__init__(element, span, stage)
        left, top, right, bottom = crop_of(element)
        kept = max(1.0, natural[0] * (1 - left - right)), max(1.0, natural[1] * (1 - top - bottom))
        self._gone = left + right >= 1 or top + bottom >= 1
        self._content = fitted(kept, self.box, even=even)
        if self._gone:
            self._content = Box(self.box.left, self.box.top, 0, 0)
        self._drawn_size = _fine_enough(self._content, kept, zoom(element), even, stage)
        self._controls = style.controls(element)
        self._frame = style.frame(element, (self._content.width, self._content.height), stage.size)
        self._effects = [effect for effect in element["effects"] if effect["intensity"] > 0]
        self._matted = stage.people is not None and any(effect["type"] in looks.MATTED for effect in self._effects)
        self._remembered: deque[tuple[int, Picture]] = deque()
        seen = self._content.width >= 1 and self._content.height >= 1
        self._remembers = seen and any(effect["type"] in REMEMBERING for effect in self._effects)
        self._moving = self._controls.moving or any(effect["type"] not in STEADY for effect in self._effects)
        self._styled: tuple[Hashable, tuple[Picture, int, int]] | None = None

    @property
    def content(self) -> Box:
        return self._content

    @property
    def drawn_size(self) -> tuple[int, int]:
        return self._drawn_size

    @property
    def lead(self) -> int:
        return math.ceil(REMEMBERED_S * self.stage.rate) if self._remembers else 0

    @property
    def plain(self) -> bool:
        """Whether its picture is shown as it comes from its file."""
        return self._controls.none and self._frame.none and not self._effects

    @abstractmethod
    def own(self, frame: int) -> Picture:
        """Its bare picture at that frame."""

    @abstractmethod
    def key(self, frame: int) -> Hashable:
        """What stays the same as long as the bare picture does; None where nobody knows."""

    def remember(self, frame: int) -> Picture:
        """Its bare picture, kept for effects that look back."""
        picture = self.own(frame)
        if self._remembers and (not self._remembered or self._remembered[-1][0] < frame):
            self._remembered.append((frame, picture))
            while self._remembered[0][0] < frame - self.lead:
                self._remembered.popleft()
        return picture

    def drawn(self, frame: int) -> tuple[Raw | Picture, tuple[int, int], Hashable]:
        picture, key = self.remember(frame), self.key(frame)
        key = None if self._moving or self._remembers else key
        if self._styled is None or key is None or self._styled[0] != key:
            self._styled = key, self._dressed(picture, frame)
        dressed, left, top = self._styled[1]
        return dressed, (left, top), key

    def _dressed(self, picture: Picture, frame: int) -> tuple[Picture, int, int]:
        moment = self.moment(frame)
        # The network knows people as they are filmed, not as earlier effects leave them.
        matte = self._matte(picture, frame) if self._matted else None
        if not self._controls.none:
            picture = style.controlled(picture, self._controls, moment)
        if self._remembers:
            moment = replace(moment, earlier=lambda seconds: self._earlier(frame, seconds))
        for effect in self._effects:
            settings: Mapping[str, Any] = effect["chroma_settings"] or {}
            if matte is not None and effect["type"] in looks.MATTED:
                settings = {"matte": matte[0], "matte_share": matte[1]}
            picture = EFFECTS[effect["type"]](picture, moment, effect["intensity"] / 100, settings)
        scale = self._drawn_size[1] / max(1.0, self._content.height)
        return style.framed(picture, self._frame, scale)

    @abstractmethod
    def _people(self, picture: Picture, frame: int) -> tuple[Mask, float] | None:
        """Where people are in it, in a size of its own, and how far that counts; None where nobody is."""

    def _matte(self, picture: Picture, frame: int) -> tuple[Mask, float] | None:
        found = self._people(picture, frame)
        if found is None:
            return None
        return np.asarray(cv2.resize(found[0], picture.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8), found[
            1
        ]

    def _earlier(self, frame: int, seconds: float) -> Picture | None:
        wanted = frame - round(seconds * self.stage.rate)
        found = None
        for known, picture in self._remembered:
            if known > wanted:
                break
            found = picture
        return found


class Clip(Pictured):
    """A video."""

    def __init__(
        self,
        element: Mapping[str, Any],
        span: Span,
        stage: Stage,
        material: Material,
        *,
        tools: Tools,
        pools: Pools,
        cube: Path | None,
    ) -> None:
        video = _av.read(material.path, material.mime).video
        if video is None:
            raise NoVideo("A clip of the scene has no pictures, only sound.")
        super().__init__(element, span, stage, (video.width_px, video.height_px), even=True)
        self._shot = Shot(
            path=material.path,
            mime=material.mime,
            video=video,
            in_s=float(element["in_point"]),
            speed=float(element["speed"]),
            rate=stage.rate,
            size=self._drawn_size,
            crop=crop_of(element),
            flip=(element["flip_horizontal"], element["flip_vertical"]),
            cube=cube,
        )
        self._pool = pools.of(self._shot.size_bytes)
        self._film = Film(self._shot, tools, self._pool)
        self._first = math.floor(span.start_s * stage.rate + 0.5)
        self._picture: tuple[int, Picture] | None = None
        self._reach = people.reach(stage.rate, self._shot.size_bytes) if self._matted else 0
        self._crowd = people.Crowd(stage.people, self._reach) if self._matted and stage.people else None
        self._ahead: deque[tuple[int, Buffer, bool]] = deque()
        self._read: int | None = None

    @property
    def opened(self) -> bool:
        """Whether it has begun to decode; a clip of which nothing is left never does."""
        return self._film.opened or self._gone or self._content.width < 2 or self._content.height < 2

    def open(self, frame: int, until: int, threads: int) -> None:
        """Begin to decode: frames from this one on will be asked for soon, those from `until` on never."""
        if not self.opened:
            first = max(self.span.first, frame - max(self.lead, self._reach)) - self._first
            after = min(self.span.after, until + self._reach) - self._first
            whole = self.span.first - self._first
            self._film.open(first, after, whole=whole, threads=threads)

    def close(self) -> None:
        while self._ahead:
            self._drop()
        self._film.close()

    def drawn(self, frame: int) -> tuple[Raw | Picture, tuple[int, int], Hashable]:
        exact = self._drawn_size == (self._content.width, self._content.height)
        if not self.plain or self._shot.alpha or not exact:
            return super().drawn(frame)
        buffer, free = self._film.at(max(self._shot.least, frame - self._first))
        width, height = self._drawn_size
        return Raw(buffer, width, height, int(self._content.left), int(self._content.top), free), (0, 0), None

    def taken(self) -> None:
        """Its frame has become the canvas."""
        self._film.taken()

    def key(self, frame: int) -> Hashable:
        return None

    def own(self, frame: int) -> Picture:
        step = max(self._shot.least, frame - self._first)
        if self._picture is None or self._picture[0] != step:
            buffer = self._film.at(step)[0] if self._crowd is None else self._among_others(step, self._crowd)
            size = self._drawn_size
            self._picture = step, as_rgba(buffer, size) if self._shot.alpha else to_rgba(buffer, *size)
        return self._picture[1]

    def _among_others(self, step: int, crowd: people.Crowd) -> Buffer:
        """The frame of that step, once those around it have been looked at for people."""
        until = min(self.span.after - 1 - self._first, step + self._reach)
        following = max(self._shot.least, step - self._reach)
        if self._read is not None:
            following = max(following, self._read + 1)
        for other in range(following, until + 1):
            buffer, free = self._film.at(other)
            if free:
                self._film.taken()
            crowd.see(other, self._small(buffer))
            self._read = other
            self._ahead.append((other, buffer, free))
            while self._ahead[0][0] < step and len(self._ahead) > 1:
                self._drop()
        while self._ahead[0][0] < step and len(self._ahead) > 1:
            self._drop()
        return self._ahead[0][1]

    def _drop(self) -> None:
        """The oldest of the frames read ahead is not needed any more."""
        _, buffer, mine = self._ahead.popleft()
        if mine:
            self._pool.give(buffer)

    def _small(self, buffer: Buffer) -> Picture:
        size = self._drawn_size
        if self._shot.alpha:
            return people.small(cv2.cvtColor(as_rgba(buffer, size), cv2.COLOR_RGBA2RGB))
        return small_rgb(buffer, *size, people.SMALL)

    def _people(self, picture: Picture, frame: int) -> tuple[Mask, float] | None:
        return None if self._crowd is None else self._crowd.matte(max(self._shot.least, frame - self._first))


class Picked(Pictured):
    """A picture."""

    def __init__(
        self, element: Mapping[str, Any], span: Span, stage: Stage, material: Material, *, cube: Any | None
    ) -> None:
        picture = still(material, (4 * stage.width, 4 * stage.height))
        super().__init__(element, span, stage, (picture.shape[1], picture.shape[0]), even=False)
        left, top, right, bottom = crop_of(element)
        high, wide = picture.shape[:2]
        x0, y0 = round(left * wide), round(top * high)
        x1, y1 = max(x0 + 1, round((1 - right) * wide)), max(y0 + 1, round((1 - bottom) * high))
        picture = picture[y0:y1, x0:x1]
        if self._gone or self._content.width < 1 or self._content.height < 1 or picture.size == 0:
            picture = np.zeros((1, 1, 4), np.uint8)
        sides = [code for code, wanted in ((1, element["flip_horizontal"]), (0, element["flip_vertical"])) if wanted]
        for code in sides:
            picture = cv2.flip(picture, code)
        if picture.shape[1::-1] != self._drawn_size:
            smaller = picture.shape[0] > self._drawn_size[1]
            picture = cv2.resize(
                picture, self._drawn_size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
            )
        picture = np.ascontiguousarray(picture)
        self._picture = style.through_cube(picture, cube) if cube is not None else picture

    def key(self, frame: int) -> Hashable:
        return 0

    def own(self, frame: int) -> Picture:
        return self._picture

    def _people(self, picture: Picture, frame: int) -> tuple[Mask, float] | None:
        assert self.stage.people is not None
        mask = self.stage.people(people.small(cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB)))
        return None if mask is None else (mask, 1.0)


def crop_of(element: Mapping[str, Any]) -> tuple[float, float, float, float]:
    """Shares cut off the left, top, right and bottom."""
    left, top, right, bottom = (float(element[f"crop_{edge}"]) for edge in ("left", "top", "right", "bottom"))
    return left, top, right, bottom


def _fine_enough(
    content: Box, natural: tuple[float, float], larger: float, even: bool, stage: Stage
) -> tuple[int, int]:
    """Pixels to work with: those of the content, more where it is shown larger and the source has them."""
    if content.width < 1 or content.height < 1:
        return 2, 2
    scale = min(larger, max(1.0, natural[0] / content.width))
    most = min(_MOST_PIXELS, max(1_000_000, _CANVASES * stage.width * stage.height))
    scale = min(scale, math.sqrt(most / (content.width * content.height)))
    if scale == 1:
        return round(content.width), round(content.height)
    step = 2 if even else 1
    return (
        max(step, round(content.width * scale / step) * step),
        max(step, round(content.height * scale / step) * step),
    )


def still(material: Material, most: tuple[int, int]) -> Picture:
    """A picture file as premultiplied RGBA in sRGB, upright, no larger than `most`."""
    from mediamill.engines._colour import to_srgb
    from mediamill.engines._picture import Resize, reading
    from mediamill.engines._picture_read import PILLOW_FORMATS, read

    if material.mime not in PILLOW_FORMATS:
        raise BadMedia("A picture of the scene is not a picture that can be drawn.")
    with reading():
        wished = Resize(max_width=most[0], max_height=most[1])
        found = read(material.path, material.mime, wished, "image/jpeg")
        image = found.pillow()
        if found.icc:
            image = to_srgb(image, found.icc)
        straight = np.array(image.convert("RGBA"))
    if straight.shape[0] * straight.shape[1] > 4 * _MOST_PIXELS:
        raise LimitExceeded("A picture of the scene has too many pixels.")
    return premultiplied(straight, np.ascontiguousarray(straight[:, :, 3]))


def check_span(element: Mapping[str, Any], length_s: float | None) -> None:
    """Raises RangeEmpty for a part that begins beyond the end of its source."""
    if length_s is not None and element["in_point"] >= length_s:
        raise RangeEmpty(f"in_point, {element['in_point']:g} s, lies beyond the end of its source at {length_s:g} s.")


__all__ = ["Clip", "Moment", "Picked", "check_span", "still"]
