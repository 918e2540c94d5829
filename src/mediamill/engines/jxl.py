"""JPEG XL both ways, still and moving, by FFmpeg: the one engine with libjxl that installs as a wheel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mediamill.core.ports import Conversion, Missing, Pair
from mediamill.engines import _animation, _ffmpeg, _picture_convert, heif, svg
from mediamill.engines._picture import MAX_FRAMES, Resize, Wishes, reading, wishes
from mediamill.engines._picture_read import PILLOW_FORMATS, read
from mediamill.engines._picture_write import TARGETS, THREADS, in_srgb, write

MIME = "image/jxl"
_PNG = "image/png"
QUALITY = 90
EFFORT = 4
"""5 and more cost three times as long for a few per cent; below 4 the picture suffers."""
_MOVING = frozenset({"image/gif", "image/webp", MIME})


def distance(quality: int) -> float:
    """libjxl's Butteraugli distance for a quality of 1 to 100, by cjxl's own formula; 100 is lossless."""
    if quality >= 100:
        return 0.0
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality * quality - 23 / 20 * quality + 25


class Jxl:
    """See the module. Implements core.ports.Converter."""

    name = "jxl"

    def pairs(self) -> Mapping[Pair, int]:
        sources = (*PILLOW_FORMATS, heif.MIME, svg.MIME, MIME)
        return dict.fromkeys([*((MIME, target) for target in TARGETS), *((source, MIME) for source in sources)], 10)

    def missing(self) -> Missing | None:
        return _ffmpeg.missing() or _picture_convert.missing()

    def keys(self, pair: Pair) -> frozenset[str]:
        return _picture_convert.keys(pair[1])

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        source, mime = _raster(work)
        wanted = wishes(work.settings, same_format=False)
        if work.source_mime == svg.MIME:
            wanted = replace(wanted, resize=Resize())  # drawn at its size already
        if work.target_mime != MIME:
            return _picture_convert.convert(
                work, wanted, source=source, mime=mime, target=work.target, target_mime=work.target_mime
            )
        return _encode(work, source, mime, wanted)


CONVERTER = Jxl()


def _raster(work: Conversion) -> tuple[Path, str]:
    """The source as a file that Pillow and libvips read."""
    if work.source_mime == MIME:
        frames = MAX_FRAMES + 1 if work.target_mime in _MOVING else None
        return _picture_convert.decoded(work, "jpegxl_anim,jpegxl_pipe", frames=frames), _PNG
    if work.source_mime == heif.MIME:
        return heif.to_png(work), _PNG
    if work.source_mime == svg.MIME:
        return svg.to_png(work, wishes(work.settings, same_format=False).resize), _PNG
    return work.source, work.source_mime


def _encode(work: Conversion, source: Path, mime: str, wanted: Wishes) -> Mapping[str, Any]:
    """By way of a PNG in sRGB: FFmpeg guesses a profile's primaries, and guesses P3 wrong."""
    step = work.scratch / "upright.png"
    with reading():
        moving = _animation.animated(source, mime, "image/webp")
        frames = 1
        if moving:
            frames = _animation.convert(source, mime, step, _PNG, wanted, work.report)
        else:
            write(in_srgb(read(source, mime, wanted.resize, _PNG)), step, _PNG, wanted)
    quality = 100 if wanted.lossless else wanted.quality or QUALITY
    _picture_convert.ffmpeg(
        work,
        *(
            "-f",
            "apng" if moving else "png_pipe",
            "-i",
            _ffmpeg.url(step),
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            "1:1000",
        ),
        *("-c:v", "libjxl_anim" if moving else "libjxl", "-distance", f"{distance(quality):.3f}"),
        *("-threads", str(THREADS), "-effort", str(EFFORT), "-f", "image2pipe", _ffmpeg.url(work.target)),
    )
    return {"frames": frames} if moving else {}
