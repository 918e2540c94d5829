"""The one conversion that every picture engine ends with: a raster file into the wished format."""

from __future__ import annotations

import importlib.util
import io
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from mediamill.core.errors import ToolFailed
from mediamill.core.ports import Conversion, Missing, Report
from mediamill.engines import _animation, _avif_course, _ffmpeg, _webp_course
from mediamill.engines._av import PROTOCOLS
from mediamill.engines._expected import SHORT_S, Course, expecting
from mediamill.engines._picture import MAX_PIXELS, Still, Vips, Wishes, has_alpha, reading
from mediamill.engines._picture_read import read
from mediamill.engines._picture_write import WEBP_METHOD, WEBP_QUALITY, check_sides, tells, write
from mediamill.engines._processor import slowness, used_s

_KEYS = frozenset({"resize", "strip"})
_MORE_KEYS: Mapping[str, frozenset[str]] = {
    "image/jpeg": frozenset({"quality", "background"}),
    "image/webp": frozenset({"quality", "lossless"}),
    "image/avif": frozenset({"quality", "lossless"}),
    "image/jxl": frozenset({"quality", "lossless"}),
    "image/gif": frozenset({"loop"}),
    "image/jp2": frozenset({"quality"}),
    "application/pdf": frozenset({"quality", "background"}),
    "image/bmp": frozenset({"background"}),
    "image/x-portable-pixmap": frozenset({"background"}),
    "image/x-portable-graymap": frozenset({"background"}),
    "image/x-portable-bitmap": frozenset({"background"}),
}

_LINED = frozenset({"image/png", "image/jpeg", "image/tiff"})
_LINED_FROM_S = 0.1
_SAMPLED: Mapping[str, float] = {"image/webp": 1.06, "image/avif": 0.92}
"""Pictures whose time hangs on what they show, and what a pixel of a sample takes beside one of the whole: edges of
tiles cost time, and little memory saves it. With photos."""
_SAMPLED_FROM_S = 0.3
_SAMPLED_SHARE, _LEAST_TILES, _TILE_PX = 0.015, 32, 64
_GOLDEN = (math.sqrt(5) - 1) / 2
_AHEAD_PX = 120
"""Lines that libvips has read and not yet encoded: 0 to 240, with pictures of 2000 and 4000."""
_READ_S, _READ_MP_S = 0.015, 0.006
_PLAIN_MP_S, _CLEAR_MP_S, _SHOWN_S, _MOST_SHOWN = 0.05, 0.1, 0.035, 4
"""Of a WebP, until its pixels are there: for a megapixel of one colour, for one that may be see-through, and for a
megabyte of source, of which a pixel has up to so many bytes."""
_WRITTEN_S: Mapping[str, float] = {
    "image/jpeg": 0.012,
    "image/png": 0.09,
    "image/webp": 0.1,
    "image/avif": 0.2,
    "image/gif": 0.034,
    "image/tiff": 0.12,
    "image/jp2": 0.4,
}
"""Processor seconds for a megabyte of source, for a megapixel of it that libvips has still to decode however few bytes
that is, and for a megapixel of result; with photos of 6 and 24 megapixels."""


def keys(target_mime: str) -> frozenset[str]:
    """The settings keys that act on pictures of a type."""
    return _KEYS | _MORE_KEYS.get(target_mime, frozenset())


def missing() -> Missing | None:
    """Why pictures cannot be converted here, or None."""
    absent = [name for name in ("PIL", "pyvips", "numpy") if importlib.util.find_spec(name) is None]
    if absent:
        return Missing(reason=f"{', '.join(absent)} is not installed.", remedy="Install Mediamill's own packages.")
    return None


def convert(
    work: Conversion, wanted: Wishes, *, source: Path, mime: str, target: Path, target_mime: str
) -> Mapping[str, Any]:
    """`source` into `target`, moving where both can; the paths and types may be those of a step in between."""
    began_s = used_s()
    with reading():
        if _animation.animated(source, mime, target_mime):
            return {"frames": _animation.convert(source, mime, target, target_mime, wanted, work.report)}
        still = read(source, mime, wanted.resize, target_mime)
        work.report("encode", 0.0)
        encode(work.report, still, source, target, target_mime, wanted, began_s)
    return {}


def encode(
    report: Report, still: Still, source: Path, target: Path, target_mime: str, wanted: Wishes, began_s: float
) -> None:
    """Write a picture, with the reading that is put off until then, and report on it; `began_s`: `used_s()` when the
    task began."""
    check_sides(still, target_mime)  # before anything that was put off is done
    done_s = used_s() - began_s
    megapixels = still.pixels.width * still.pixels.height / 1e6
    written_s = _WRITTEN_S.get(target_mime, 0.02) * megapixels
    expected_s = max(0.0, _READ_S * source.stat().st_size / 1e6 - done_s) + written_s
    if tells(target_mime) and written_s > _SAMPLED_FROM_S:
        slow = slowness()
        megabytes = source.stat().st_size / 1e6
        read_s = _READ_S * megabytes + _READ_MP_S * megapixels if _lazy(still) else 0.0
        plain_s = _PLAIN_MP_S + _CLEAR_MP_S * _clear(still)
        written_s = plain_s * megapixels + _SHOWN_S * min(megabytes, _MOST_SHOWN * megapixels)
        course = Course(report, "encode", done_s=done_s, now_s=read_s * slow, later_s=written_s * slow)
        _while_telling(course, still, target, target_mime, wanted)
        return
    telling: AbstractContextManager[None]
    if target_mime in _SAMPLED and written_s > _SAMPLED_FROM_S:
        still = Still(pixels=still.pillow(), icc=still.icc, exif=still.exif, xmp=still.xmp)
        expected_s = _sampled_s(still.pixels, target, target_mime, wanted)
        watching = target_mime == "image/avif" and still.pixels.mode == "RGB" and not wanted.lossless
        done_s = used_s() - began_s
        telling = (
            _avif_course.watching(report, still.pixels, expected_s, done_s=done_s)
            if watching
            else expecting(report, "encode", expected_s, done_s=done_s)
        )
    elif expected_s > _LINED_FROM_S and target_mime in _LINED and not wanted.small and _lazy(still):
        telling = nullcontext()
        _by_lines(report, still.pixels, done_s / (done_s + expected_s))
    elif expected_s > SHORT_S:
        telling = expecting(report, "encode", expected_s * slowness(), done_s=done_s)
    else:
        telling = nullcontext()
    with telling:
        write(still, target, target_mime, wanted)


def _while_telling(course: Course, still: Still, target: Path, target_mime: str, wanted: Wishes) -> None:
    """Write a picture of a type whose coder tells how far it is."""

    def telling(picture: Any) -> Callable[[int], None]:
        if not wanted.lossless:
            quality = WEBP_QUALITY if wanted.quality is None else wanted.quality
            return _webp_course.Lossy(course, picture, quality, clear_s=_clear_s(picture))
        told, times = _told_of_sample(picture, target, target_mime, wanted)
        return _webp_course.Lossless(course, told, times)

    with course.looking():
        still = Still(pixels=still.pillow(), icc=still.icc, exif=still.exif, xmp=still.xmp)
        write(still, target, target_mime, wanted, telling)


def _told_of_sample(
    picture: Any, target: Path, target_mime: str, wanted: Wishes
) -> tuple[list[tuple[int, float]], float]:
    """What a coder tells of some tiles of a picture, with the seconds since it began with them; and how many times as
    large as they the picture is."""
    sample = _sample(picture, _LEAST_TILES // 2)
    told: list[tuple[int, float]] = []
    begun_s = used_s()
    write(Still(pixels=sample), target, target_mime, wanted, lambda _: lambda at: told.append((at, used_s() - begun_s)))
    told.append((100, used_s() - begun_s))
    return told, picture.width * picture.height / (sample.width * sample.height)


def _clear_s(picture: Any) -> float:
    """Processor seconds that libwebp will take for what is see-through in a Pillow picture in RGB or RGBA."""
    import numpy as np
    from PIL import Image

    if picture.mode != "RGBA" or picture.getchannel("A").getextrema() == (255, 255):
        return 0.0
    alpha = picture.getchannel("A")
    across, down = (max(1, side // _TILE_PX) for side in alpha.size)
    pixels = np.asarray(alpha)[: down * _TILE_PX, : across * _TILE_PX]
    rows = [np.array_split(row, across, axis=1) for row in np.array_split(pixels, down)]
    shown = [tile for row in rows for tile in row if tile.min() != tile.max()]  # of others it takes no notice
    if not shown:
        return 0.0
    chosen = shown[:: -(-len(shown) // (_LEAST_TILES // 2))]
    sample = Image.fromarray(np.concatenate([np.resize(tile, (_TILE_PX, _TILE_PX)) for tile in chosen]))
    begun_s = used_s()
    sample.save(io.BytesIO(), "WEBP", lossless=True, method=WEBP_METHOD)
    return (used_s() - begun_s) * len(shown) / len(chosen)


def _lazy(still: Still) -> bool:
    """Whether libvips holds it: what is read when it is asked for."""
    from PIL import Image

    return not isinstance(still.pixels, Image.Image)


def _clear(still: Still) -> bool:
    """Whether it may be see-through."""
    pixels: Any = still.pixels
    return bool(pixels.hasalpha()) if _lazy(still) else has_alpha(pixels)


def _sampled_s(picture: Any, target: Path, target_mime: str, wanted: Wishes) -> float:
    """Processor seconds that writing a Pillow picture will take, by some of its tiles: it hangs on what it shows."""
    sample = _sample(picture)
    write(Still(pixels=sample.crop((0, 0, _TILE_PX, _TILE_PX))), target, target_mime, wanted)  # a library is loaded
    took_s = []
    for _ in range(2):  # a first look at memory, or others who come between, only make it longer
        began_s = used_s()
        write(Still(pixels=sample), target, target_mime, wanted)
        took_s.append(used_s() - began_s)
    times: float = picture.width * picture.height / (sample.width * sample.height)
    return min(took_s) * times / _SAMPLED[target_mime]


def _sample(picture: Any, least: int = _LEAST_TILES) -> Any:
    """Tiles from all over a picture, side by side."""
    from PIL import Image

    across, down = max(1, picture.width // _TILE_PX), max(1, picture.height // _TILE_PX)
    side = math.ceil(math.sqrt(max(least, across * down * _SAMPLED_SHARE)))
    made = Image.new(picture.mode, (side * _TILE_PX, side * _TILE_PX))
    if picture.mode == "P":
        made.putpalette(picture.getpalette("RGBA"), "RGBA")
    for number in range(side * side):
        # By the golden ratio along the lines of tiles: no two near each other, and in step with no pattern.
        at = int(number * _GOLDEN % 1 * across * down)
        left, top = at % across * _TILE_PX, at // across * _TILE_PX
        tile = picture.crop((left, top, left + _TILE_PX, top + _TILE_PX))
        made.paste(tile, (number % side * _TILE_PX, number // side * _TILE_PX))
    return made


def _by_lines(report: Report, picture: Vips, begin: float) -> None:
    """Report how many lines of a picture are encoded, from `begin` on, whenever libvips says how many it has read: it
    decodes and encodes line by line."""
    ahead, reached = _AHEAD_PX / picture.height, begin

    def read(_: object, progress: Any) -> None:
        nonlocal reached
        if progress.tpels:
            reached = max(reached, begin + (1 - begin) * (progress.npels / progress.tpels - ahead))
            report("encode", reached)

    picture.set_progress(True)
    picture.signal_connect("eval", read)


def decoded(work: Conversion, demuxers: str, *args: str, frames: int | None) -> Path:
    """What FFmpeg sees in the source as a PNG (or an APNG with up to that many frames; None: a still) in the scratch
    folder, upright, with its profile and EXIF."""
    made = work.scratch / "decoded.png"
    muxer = ["-frames:v", "1", "-f", "image2", "-update", "1"]
    if frames is not None:
        muxer = [
            "-frames:v",
            str(frames),
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            "1:1000",
            "-f",
            "apng",
            "-plays",
            "0",
        ]
    ffmpeg(
        work,
        *("-protocol_whitelist", PROTOCOLS, "-format_whitelist", demuxers, "-max_pixels", str(MAX_PIXELS)),
        *("-xerror", "-i", _ffmpeg.url(work.source), *args),
        *("-c:v", "png" if frames is None else "apng", "-compression_level", "1", "-pred", "sub"),
        *(*muxer, _ffmpeg.url(made)),
    )
    return made


def ffmpeg(work: Conversion, *args: str) -> None:
    """One run of ffmpeg on one thread; its failures worded for callers."""
    argv: list[str | Path] = [
        _ffmpeg.binary(),
        "-hide_banner",
        "-nostdin",
        "-y",
        "-v",
        "warning",
        "-threads",
        "1",
        *args,
    ]
    try:
        work.tools.run(argv, name="ffmpeg", cwd=work.scratch)
    except ToolFailed as error:
        raise _ffmpeg.named(error, work.source_mime, "picture") from error
