"""Animations, frame by frame: GIF, WebP, APNG and AVIF sequences into GIF, WebP or their own format."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mediamill.core.errors import BadMedia
from mediamill.core.ports import Report
from mediamill.engines._colour import to_srgb
from mediamill.engines._picture import MAX_ANIMATION_PIXELS, MAX_HELD_PIXELS, Wishes, check_size, eight_bit, has_alpha
from mediamill.engines._picture_read import TURNS, open_pillow, orientation, resized
from mediamill.engines._picture_write import AVIF_QUALITY, AVIF_SPEED, WEBP_METHOD, WEBP_QUALITY, paletted

_SOURCES = frozenset({"image/gif", "image/webp", "image/png", "image/avif"})
_TARGETS = frozenset({"image/gif", "image/webp"})
_WRITERS = {"image/gif": "GIF", "image/webp": "WEBP", "image/png": "PNG", "image/avif": "AVIF"}
_MOST_PIXELS = {"image/gif": 4 * MAX_HELD_PIXELS, "image/png": MAX_HELD_PIXELS}
"""These writers keep every frame: a byte a pixel, or four."""
_UNSAID_MS = 100
"""What browsers make of a frame that says 0 or 10 ms."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a first walk over all frames found: when each ends, and whether anything is see-through."""

    durations_ms: tuple[int, ...]
    see_through: bool


def animated(source: Path, mime: str, target_mime: str) -> bool:
    """Whether the file moves and the target would move as well; stills of an animation are its first frame."""
    if mime not in _SOURCES or (target_mime not in _TARGETS and target_mime != mime):
        return False
    with open_pillow(source, mime) as image:
        return bool(getattr(image, "is_animated", False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is done to every frame after it was scaled and brought to sRGB, and the size and look of what comes out."""

    frame: Callable[[Any], Any]
    size: tuple[int, int]
    see_through: bool


def convert(
    source: Path,
    mime: str,
    target: Path,
    target_mime: str,
    wishes: Wishes,
    report: Report,
    change: Change | None = None,
) -> int:
    """Write the animation; returns the number of frames. Raises BadMedia, LimitExceeded."""
    with open_pillow(source, mime) as image:
        return _convert(image, mime, target, target_mime, wishes, report, change)


def _convert(
    image: Any, mime: str, target: Path, target_mime: str, wishes: Wishes, report: Report, change: Change | None
) -> int:
    first = 1 if getattr(image, "default_image", False) else 0  # an APNG's still for readers that know no better
    count = image.n_frames - first
    most = _MOST_PIXELS.get(target_mime, MAX_ANIMATION_PIXELS)
    check_size(image.width, image.height, count, most)
    turned = orientation(image)
    size = wishes.resize.fit(*(image.size[::-1] if turned in (5, 6, 7, 8) else image.size))
    check_size(size[0], size[1], count, most)
    survey = _survey(image, first, count)
    icc = image.info.get("icc_profile")
    keeps = (
        icc
        if change is None and (target_mime in ("image/webp", "image/avif") or mime == target_mime == "image/png")
        else None
    )
    frames = _frames(image, first, count, turned, size)
    if icc and not keeps:
        frames = (to_srgb(frame, icc) for frame in frames)
    if change is not None:
        check_size(*change.size, count, most)
        survey = replace(survey, see_through=survey.see_through or change.see_through)
        frames = map(change.frame, frames)
    if target_mime == "image/gif":
        frames = (paletted(frame) for frame in frames)
    start = next(frames)
    rest: Iterable[Any] = _counted(frames, count, report)
    if target_mime == "image/png":
        rest = list(rest)  # its writer walks them twice
    loop = _plays(image, mime) if wishes.loop is None else wishes.loop
    options = _options(target_mime, wishes, survey, loop, cross=mime != target_mime)
    if keeps:
        options["icc_profile"] = keeps
    start.save(target, _WRITERS[target_mime], save_all=True, append_images=rest, **options)
    return int(count)


def _survey(image: Any, first: int, count: int) -> Survey:
    durations, see_through = [], False
    for index in range(first, first + count):
        image.seek(index)
        image.load()
        durations.append(round(float(image.info.get("duration") or 0)))
        if not see_through and has_alpha(image):
            see_through = image.convert("RGBA").getchannel("A").getextrema()[0] < 255
    if not durations:
        raise BadMedia("The animation has no frames.")
    return Survey(durations_ms=tuple(durations), see_through=see_through)


def _frames(image: Any, first: int, count: int, turned: int, size: tuple[int, int]) -> Iterator[Any]:
    from PIL import Image

    for index in range(first, first + count):
        image.seek(index)
        frame = eight_bit(image).copy()
        if turned in TURNS:
            frame = frame.transpose(Image.Transpose(TURNS[turned]))
        if frame.size != size:
            frame = resized(frame, size)
        frame.info = {}
        yield frame


def _counted(frames: Iterator[Any], count: int, report: Report) -> Iterator[Any]:
    for index, frame in enumerate(frames, start=2):
        yield frame
        report("work", min(1.0, index / count))


def _plays(image: Any, mime: str) -> int:
    """How often an animation plays, 0 for ever. A GIF's field counts repeats, and none means once."""
    loop = image.info.get("loop")
    if mime == "image/gif":
        return 1 if loop is None else 0 if loop == 0 else int(loop) + 1
    return int(loop or 0)


def _options(target_mime: str, wishes: Wishes, survey: Survey, loop: int, *, cross: bool) -> dict[str, Any]:
    durations = [each if each > 10 or not cross else _UNSAID_MS for each in survey.durations_ms]
    if target_mime == "image/gif":
        options: dict[str, Any] = {"duration": _hundredths(durations), "optimize": not survey.see_through}
        if loop != 1:
            options["loop"] = max(0, loop - 1)
        # Deltas cannot make a pixel see-through again, so such frames are cleared and drawn whole.
        return {**options, "disposal": 2 if survey.see_through else 1}
    if target_mime == "image/webp":
        quality = wishes.quality or (75 if wishes.lossless else WEBP_QUALITY)
        options = {"quality": quality, "method": WEBP_METHOD, "lossless": wishes.lossless, "loop": loop}
        return {**options, "duration": durations, "background": (0, 0, 0, 0)}
    if target_mime == "image/avif":
        quality = 100 if wishes.lossless else wishes.quality or AVIF_QUALITY
        return {"quality": quality, "speed": AVIF_SPEED, "duration": durations, "max_threads": 1}
    level = 9 if wishes.same_format else 1  # else a step on the way to JPEG XL
    return {"duration": durations, "loop": loop, "compress_level": level, "default_image": False}


def _hundredths(durations_ms: list[int]) -> list[int]:
    """Durations in whole hundredths of a second that end when the given ones do: errors do not add up."""
    made, exact, spent = [], 0, 0
    for duration in durations_ms:
        exact += duration
        rounded = max(20 if duration else 0, round((exact - spent) / 10) * 10)
        made.append(rounded)
        spent += rounded
    return made
