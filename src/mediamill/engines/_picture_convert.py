"""The one conversion that every picture engine ends with: a raster file into the wished format."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mediamill.core.errors import ToolFailed
from mediamill.core.ports import Conversion, Missing
from mediamill.engines import _animation, _ffmpeg
from mediamill.engines._av import PROTOCOLS
from mediamill.engines._picture import MAX_PIXELS, Wishes, reading
from mediamill.engines._picture_read import read
from mediamill.engines._picture_write import write

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
    with reading():
        if _animation.animated(source, mime, target_mime):
            return {"frames": _animation.convert(source, mime, target, target_mime, wanted, work.report)}
        write(read(source, mime, wanted.resize, target_mime), target, target_mime, wanted)
    return {}


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
