"""Timelines drawn with OpenCV and Skia between decoders and an encoder that are ffmpeg programs of their own."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediamill.core.compositions import Compositor, Render
from mediamill.core.errors import RangeEmpty
from mediamill.core.ports import Missing
from mediamill.engines import _ffmpeg

if TYPE_CHECKING:
    from mediamill.engines._compose_scene import Scene

_SMALL_LINES = 480
"""Height of a preview clip."""
_CELL_PX = 320
_WHOLE = 0.97
"""The share of the work that frames are; the rest is closing the file."""


class CvCompositor(Compositor):
    """See the module."""

    name = "compositor"
    licence = "Apache-2.0 AND BSD-3-Clause AND GPL-3.0-or-later"

    def missing(self) -> Missing | None:
        for module, package in (("cv2", "opencv-python-headless"), ("skia", "skia-python"), ("numpy", "numpy")):
            if importlib.util.find_spec(module) is None:
                return Missing(
                    reason=f"The package {package} is not installed.", remedy=f"Install it: pip install {package}."
                )
        return _ffmpeg.missing()

    def render(self, work: Render, target: Path) -> Mapping[str, Any]:
        work.report("probe", 0.0)
        with _scene(work) as scene:
            if work.scene.still:
                work.report("compose", 0.0)
                _write_picture(scene.picture(0), target, quick=False)
                return _facts(scene, frames=1)
            heard = _voices(work, scene)
            work.report("compose", 0.0)
            if work.scene.format == "gif":
                _gif(work, scene, target)
            else:
                _film(work, scene, target, heard)
            return {**_facts(scene, frames=scene.timeline.frames), "sounds": len(heard)}

    def frame(self, work: Render, at_s: float, target: Path) -> Mapping[str, Any]:
        with _scene(work) as scene:
            frame = _frame_at(scene, at_s)
            _write_picture(scene.picture(frame), target)
            return {**_facts(scene, frames=1), "times": [frame / scene.timeline.rate]}

    def clip(self, work: Render, start_s: float, end_s: float, target: Path) -> Mapping[str, Any]:
        with _scene(work) as scene:
            first = _frame_at(scene, start_s)
            after = min(scene.timeline.frames, max(first + 1, round(end_s * scene.timeline.rate)))
            heard = _voices(work, scene)
            small = f"scale=-2:{min(_SMALL_LINES, scene.stage.height) // 2 * 2}:flags=area"
            _film(work, scene, target, heard, part=(first, after), scaled=small)
            times = [first / scene.timeline.rate, after / scene.timeline.rate]
            return {**_facts(scene, frames=after - first), "times": times}

    def sheet(self, work: Render, count: int, target: Path) -> Mapping[str, Any]:
        import cv2
        import numpy as np

        with _scene(work) as scene:
            chosen = _telling(scene, count)
            across = min(len(chosen), max(1, round(len(chosen) ** 0.5 + 0.2)))
            down = -(-len(chosen) // across)
            wide = min(_CELL_PX, scene.stage.width)
            high = max(1, round(wide * scene.stage.height / scene.stage.width))
            sheet = np.zeros((down * high, across * wide, 4), np.uint8)
            for number, frame in enumerate(chosen):
                row, column = divmod(number, across)
                small = cv2.resize(scene.picture(frame), (wide, high), interpolation=cv2.INTER_AREA)
                sheet[row * high : (row + 1) * high, column * wide : (column + 1) * wide] = small
                work.report("compose", (number + 1) / len(chosen))
            _write_picture(sheet, target)
            return {
                "width_px": across * wide,
                "height_px": down * high,
                "times": [frame / scene.timeline.rate for frame in chosen],
            }


def _scene(work: Render) -> Scene:
    import cv2

    from mediamill.engines._compose_scene import Scene

    # The encoder and the decoders are what cores are for; two threads a call are the best of 1, 2 and 4 beside them.
    cv2.setNumThreads(2)
    return Scene(work)


def _facts(scene: Scene, *, frames: int) -> dict[str, Any]:
    width, height = scene.stage.size
    return {"width_px": width, "height_px": height, "frames": frames, "duration_s": frames / scene.timeline.rate}


def _frame_at(scene: Scene, at_s: float) -> int:
    frame = int(at_s * scene.timeline.rate + 1e-6)
    if frame >= scene.timeline.frames and at_s > scene.timeline.duration_s:
        raise RangeEmpty(f"{at_s:g} s lies beyond the end at {scene.timeline.duration_s:g} s.")
    return min(max(0, frame), scene.timeline.frames - 1)


def _telling(scene: Scene, count: int) -> list[int]:
    """Frames where something changes: just after a beginning, in the middle of a transition, just before an end; then
    the middles of what lies longest unseen."""
    last = scene.timeline.frames - 1
    wanted = {0, last}
    for cut in scene.timeline.cuts:
        wanted |= {cut.first, (cut.first + cut.after) // 2, cut.after}
    for span in scene.timeline.spans:
        wanted |= {span.first + min(scene.timeline.rate // 3, (span.after - span.first) // 2), span.after - 1}
    found = sorted(frame for frame in wanted if 0 <= frame <= last)
    if len(found) > count:
        step = (len(found) - 1) / max(1, count - 1)
        found = sorted({found[round(number * step)] for number in range(count)})
    while len(found) < min(count, last + 1):
        gap, at = max((after - before, before) for before, after in itertools.pairwise(found))
        if gap < 2:
            break
        found = sorted({*found, at + gap // 2})
    return found


def _voices(work: Render, scene: Scene) -> Sequence[Any]:
    from mediamill.engines import _compose_sound

    found = _compose_sound.voices(work.scene, scene.timeline, work.materials)
    return _compose_sound.few(found, scene.timeline.duration_s, tools=work.tools, scratch=work.scratch)


def _film(
    work: Render,
    scene: Scene,
    target: Path,
    heard: Sequence[Any],
    *,
    part: tuple[int, int] | None = None,
    scaled: str | None = None,
) -> None:
    from mediamill.engines import _compose_alpha as shine
    from mediamill.engines import _compose_encode as encode
    from mediamill.engines import _compose_sound as sound

    first, after = part or (0, scene.timeline.frames)
    rate, (width, height) = scene.timeline.rate, scene.stage.size
    format = "mp4" if part else work.scene.format
    alpha = work.scene.alpha and not part
    pixels, coding = scene.canvas.pixel_format, None
    if alpha:
        coded, pixels = (shine.yuva, "yuva420p") if format == "webm" else (shine.rgba, "rgba")
        coding = partial(coded, width=width, height=height)
    options = encode.pictures(
        format,
        pixels,
        alpha=alpha,
        pixels=width * height,
        scaled=scaled,
        hard=[(cut.first, cut.after) for cut in scene.timeline.cuts],
    )
    mixing: list[str] = []
    if heard:
        cut = (first / rate, after / rate) if part else None
        graph = sound.graph(heard, scene.timeline.duration_s, first=1, part=cut)
        mixing = ["-filter_complex", graph, "-map", "[sound]", *encode.sounds(format, alpha=alpha)]
    argv: list[str | Path] = [
        *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-y", "-v", "warning"),
        *encode.raw_input(width, height, rate, pixels),
        *sound.inputs(heard),
        *("-map", "0:v", *mixing, *options, "-map_metadata", "-1"),
        *(*encode.MUXERS[format], _ffmpeg.url(target)),
    ]

    def written(count: int) -> None:
        work.report("compose", _WHOLE * count / (after - first))

    with encode.encoder(
        argv, tools=work.tools, pool=scene.canvas.pool, cwd=work.scratch, written=written, coding=coding
    ) as writer:
        for buffer in scene.frames(first, after):
            writer.write(buffer)
    work.report("encode", 1.0)


def _gif(work: Render, scene: Scene, target: Path) -> None:
    from mediamill.engines import _compose_gif as gif

    frames, canvas = scene.timeline.frames, scene.canvas

    def written(count: int) -> None:
        work.report("compose", _WHOLE * count / frames)

    with target.open("wb") as stream, gif.Writer(stream, scene.stage.size, scene.timeline.rate, written) as writer:
        for buffer in scene.frames(0, frames):
            writer.write(canvas.picture(buffer))
            canvas.pool.give(buffer)
        writer.finish()
    work.report("encode", 1.0)


def _write_picture(picture: Any, target: Path, *, quick: bool = True) -> None:
    from mediamill.engines import _compose_still

    _compose_still.write(picture, target, quick=quick)


PROVIDES = (CvCompositor(),)
