"""A scene on its canvas, frame after frame. What is rendered and what is previewed both come from here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from mediamill.core._composition_timing import Cut, Span, Timeline, rank, timeline
from mediamill.core.compositions import Composition, Material, Render
from mediamill.core.errors import LimitExceeded
from mediamill.engines import _av, _compose_gif
from mediamill.engines import _compose_style as style
from mediamill.engines._compose_actor import Actor, Layer, Stage
from mediamill.engines._compose_canvas import Canvas, Pixels, Planes, Raw
from mediamill.engines._compose_film import Pools
from mediamill.engines._compose_media import Clip, Picked, check_span, still
from mediamill.engines._compose_pixels import Buffer, Patch
from mediamill.engines._compose_text import Lettered
from mediamill.engines._look import TRANSITIONS, Moment, Picture

_FEW_CLIPS = 4
"""Up to so many are decoded by several threads each."""
_CLIPS_AT_ONCE = 20
"""Clips that are decoded at the same time: each is a process with a handful of threads, of which a task has 256."""
_COLOURED = 2
"""Frames of a GIF before one that is asked for: where nothing changes it keeps their colours."""


class Scene:
    """The scene. Frames are asked for in order; `seek` begins anew somewhere else."""

    def __init__(self, work: Render) -> None:
        self._work = work
        scene = work.scene
        # 4:2:0 has no odd sides; house rule: rounded down.
        planar = scene.format not in ("gif", "png", "jpg") and not scene.alpha
        even = scene.format not in ("gif", "png", "jpg")
        width, height = (side - side % 2 if even else side for side in (scene.width_px, scene.height_px))
        self.timeline: Timeline = timeline(scene, [_length_s(one, work.materials) for one in scene.elements])
        self.stage = Stage(width, height, scene.rate, work.people)
        ground = None
        if scene.background_url is not None:
            ground = _covering(still(work.materials[scene.background_url], (4 * width, 4 * height)), width, height)
        made: Callable[[int, int, tuple[int, int, int, int], Any], Canvas]
        made = Planes if planar and not _blends(scene) else Pixels
        colour = scene.background
        if not scene.alpha and scene.format not in ("gif", "png"):
            red, green, blue = (round(part * colour[3] / 255) for part in colour[:3])
            colour = (red, green, blue, 255)
        self.canvas: Canvas = made(width, height, colour, ground)
        self._pools = Pools([self.canvas.pool])
        self._actors: dict[int, Actor] = {}
        self._spans = {
            span.number: span for span in self.timeline.spans if scene.elements[span.number]["type"] != "audio"
        }
        self._rank = {number: rank(scene, number) for number in self._spans}
        self._coming = sorted(self._spans.values(), key=lambda span: span.first)
        self._active: set[int] = set()
        self._next = 0
        self._until = self.timeline.frames
        self._cubes: dict[tuple[str, float], tuple[Any, Path]] = {}

    def __enter__(self) -> Scene:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Stop all decoders."""
        for actor in self._actors.values():
            actor.close()
        self._actors.clear()

    def seek(self, frame: int, until: int | None = None) -> None:
        """The next frame asked for is this one. until: none from there on will be asked for."""
        self.close()
        self._until = self.timeline.frames if until is None else until
        self._next = 0
        self._active.clear()
        self._prepare(frame)
        for actor in self._actors.values():
            for earlier in range(max(actor.span.first, frame - actor.lead), frame):
                actor.remember(earlier)

    def frames(self, first: int, after: int) -> Iterator[Buffer]:
        """These frames, one after the other, in the format of the canvas."""
        self.seek(first, after)
        for frame in range(first, after):
            yield self.frame(frame)

    def frame(self, frame: int) -> Buffer:
        """One frame, the caller's to keep or to give back to the canvas' pool."""
        self._prepare(frame)
        for number in self._active:
            if self._actors[number].lead:  # hidden or not, it is looked back at when it is to be seen
                self._actors[number].remember(frame)
        self.canvas.begin()
        shown: list[tuple[Layer | tuple[Raw, Raw, float], Actor | None]] = []
        for thing in self._stacked(frame):
            found = self._cut(thing, frame) if isinstance(thing, Cut) else self._alone(thing, frame)
            if found is None:
                continue
            shown.append(found)
            if self._hides_all(found[0]):
                break
        for what, actor in reversed(shown):
            if isinstance(what, tuple):
                assert isinstance(self.canvas, Planes)
                self.canvas.mix(*what)
            elif isinstance(what.what, Patch):
                self.canvas.draw(what.what, what.opacity, what.blend, what.turning)
            elif self.canvas.place(what.what, what.opacity):
                assert isinstance(actor, Clip)
                actor.taken()
        return self.canvas.finish()

    def picture(self, frame: int) -> Picture:
        """One frame as RGBA, wherever it lies: as its format can show it."""
        gif = _compose_gif.Shown() if self._work.scene.format == "gif" else None
        first = frame if gif is None else max(0, frame - _COLOURED)
        self.seek(first, frame + 1)
        for number in range(first, frame + 1):
            buffer = self.frame(number)
            made = self.canvas.picture(buffer)
            made = made.copy() if gif is None else gif(made)
            self.canvas.pool.give(buffer)
        return made

    def _stacked(self, frame: int) -> list[int | Cut]:
        """What is to be seen, the front first."""
        cuts = [cut for cut in self.timeline.cuts if cut.first <= frame < cut.after]
        paired = {number for cut in cuts for number in (cut.going, cut.coming)}
        ranked: list[tuple[tuple[int, int], int | Cut]] = [(cut.rank, cut) for cut in cuts]
        ranked += [(self._rank[number], number) for number in self._active if number not in paired]
        ranked.sort(key=lambda one: one[0], reverse=True)
        return [thing for _, thing in ranked]

    def _alone(self, number: int, frame: int) -> tuple[Layer, Actor] | None:
        actor = self._actors[number]
        layer = actor.layer(frame)
        return None if layer is None else (layer, actor)

    def _cut(self, cut: Cut, frame: int) -> tuple[Layer | tuple[Raw, Raw, float], Actor | None] | None:
        share = cut.share(frame)
        pair = [self._actors.get(number) for number in (cut.going, cut.coming)]
        layers = [
            actor.layer(frame) if actor is not None and actor.span.first <= frame < actor.span.after else None
            for actor in pair
        ]
        if isinstance(self.canvas, Planes) and cut.type == "cross_dissolve" and all(map(self._fills, layers)):
            first, second = (layer.what for layer in layers if layer is not None)
            assert isinstance(first, Raw)
            assert isinstance(second, Raw)
            return (first, second, share), None
        one, other = (self._by_itself(layer) for layer in layers)
        moment = Moment(
            t=(frame - cut.first) / self.stage.rate,
            frame=frame,
            rate=float(self.stage.rate),
            length_s=(cut.after - cut.first) / self.stage.rate,
            seed=cut.going,
        )
        made = TRANSITIONS[cut.type](one, other, share, moment)
        blends = [layer.blend for layer in layers if layer is not None] or ["none"]
        turning = None if blends[0] == blends[-1] else (blends[-1], share)
        return Layer(Patch(made, 0, 0), 1.0, blends[0], turning), None

    def _fills(self, layer: Layer | None) -> bool:
        """Whether it is a bare frame of the canvas' size."""
        if layer is None or not isinstance(layer.what, Raw) or layer.opacity < 1 or layer.blend != "none":
            return False
        raw = layer.what
        return (raw.left, raw.top, raw.width, raw.height) == (0, 0, *self.stage.size)

    def _hides_all(self, what: Layer | tuple[Raw, Raw, float]) -> bool:
        if isinstance(what, tuple) or self._fills(what):
            return True
        patch = what.what
        mixes = what.blend != "none" or what.turning is not None
        if not isinstance(patch, Patch) or what.opacity < 1 or mixes:
            return False
        high, wide = patch.pixels.shape[:2]
        covers = patch.left <= 0 and patch.top <= 0
        covers = covers and patch.left + wide >= self.stage.width and patch.top + high >= self.stage.height
        return covers and patch.opaque

    def _by_itself(self, layer: Layer | None) -> Picture:
        """A layer on a transparent canvas."""
        out = np.zeros((self.stage.height, self.stage.width, 4), np.uint8)
        if layer is None:
            return out
        raw = layer.what
        patch = raw if isinstance(raw, Patch) else Patch(raw.picture(), raw.left, raw.top)
        seen = patch.clipped(*self.stage.size)
        if seen is None:
            return out
        high, wide = seen.pixels.shape[:2]
        if layer.opacity >= 1 and (high, wide) == out.shape[:2]:
            return seen.pixels
        part = seen.pixels if layer.opacity >= 1 else cv2.convertScaleAbs(seen.pixels, alpha=layer.opacity)
        out[seen.top : seen.top + high, seen.left : seen.left + wide] = part
        return out

    def _prepare(self, frame: int) -> None:
        """The actors of this frame and of those soon to come, and no others."""
        for number in [number for number in self._active if self._spans[number].after <= frame]:
            self._active.discard(number)
        for number in [number for number, actor in self._actors.items() if actor.span.after <= frame]:
            self._actors.pop(number).close()
        soon = min(frame + self.stage.rate, self._until - 1)
        coming: list[Span] = []
        while self._next < len(self._coming) and self._coming[self._next].first <= soon:
            span = self._coming[self._next]
            self._next += 1
            if span.after > frame:
                coming.append(span)
        # Clips first: while they are decoded, the rest is drawn.
        for filmed in (True, False):
            for span in coming:
                if (self._work.scene.elements[span.number]["type"] == "video") is filmed:
                    self._actors[span.number] = self._actor(span)
            if filmed:
                self._open(frame)
        for number, actor in self._actors.items():
            if actor.span.first <= frame:
                self._active.add(number)

    def _open(self, frame: int) -> None:
        """Begin to decode the clips that do not yet."""
        clips = [actor for actor in self._actors.values() if isinstance(actor, Clip)]
        if len(clips) > _CLIPS_AT_ONCE:
            raise LimitExceeded(f"More than {_CLIPS_AT_ONCE} clips of the scene are to be seen at one time.")
        threads = 0 if len(clips) <= _FEW_CLIPS else 1
        for clip in clips:
            if not clip.opened:
                clip.open(frame, self._until, threads)

    def _actor(self, span: Span) -> Actor:
        element = self._work.scene.elements[span.number]
        if element["type"] == "text":
            return Lettered(element, span, self.stage)
        material = self._work.materials[element["source_url"]]
        values, file = self._cube(element)
        if element["type"] == "image":
            return Picked(element, span, self.stage, material, cube=values)
        return Clip(element, span, self.stage, material, tools=self._work.tools, pools=self._pools, cube=file)

    def _cube(self, element: Mapping[str, Any]) -> tuple[Any, Path | None]:
        url, intensity = element["lut_url"], float(element["lut_intensity"])
        if url is None or intensity <= 0:
            return None, None
        if (url, intensity) not in self._cubes:
            values = style.cube(self._work.materials[url].path, intensity / 100)
            file = self._work.scratch / f"colours-{len(self._cubes)}.cube"
            style.write_cube(values, file)
            self._cubes[url, intensity] = values, file
        return self._cubes[url, intensity]


def _length_s(element: Mapping[str, Any], materials: Mapping[str, Material]) -> float | None:
    """How long an element's file is; None for those without one, and for those that are left out."""
    if element["type"] not in ("video", "audio") or not element["visible"]:
        return None
    material = materials[element["source_url"]]
    length_s = _av.read(material.path, material.mime).duration_s if material.mime in _av.DEMUXERS else None
    check_span(element, length_s)
    return length_s


def _blends(scene: Composition) -> bool:
    """Whether anything mixes with what is behind it, which takes red, green and blue."""
    return any(
        element.get("blend_mode", "none") != "none"
        or any(motion["type"] in ("overlay", "difference") for motion in element.get("motion", ()))
        for element in scene.elements
    )


def _covering(picture: Picture, width: int, height: int) -> Picture:
    """A picture scaled and cut to fill a canvas."""
    high, wide = picture.shape[:2]
    scale = max(width / wide, height / high)
    size = max(width, round(wide * scale)), max(height, round(high * scale))
    grown = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    return np.ascontiguousarray(grown[top : top + height, left : left + width])
