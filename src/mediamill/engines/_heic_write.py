"""HEIC photos: one HEVC still by FFmpeg's x265, in the boxes of ISO/IEC 23008-12 that readers of HEIF ask for."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mediamill.core.errors import ToolFailed
from mediamill.core.ports import Tools
from mediamill.engines import _ffmpeg
from mediamill.engines._colour import flat
from mediamill.engines._picture import Wishes

MIME = "image/heic"
_LEAST_PX = 16
_CRF_AT_0, _CRF_AT_100 = 45, 8
"""x265's scale at the ends of ours: 60 comes to 23, as large as an AVIF of quality 60 and as good."""


def crf(quality: int) -> int:
    """x265's constant rate factor for a quality of 0 to 100."""
    return round(_CRF_AT_0 + (_CRF_AT_100 - _CRF_AT_0) * quality / 100)


def write(picture: Any, target: Path, wishes: Wishes, *, scratch: Path, tools: Tools) -> None:
    """A Pillow picture in sRGB as HEIC, see-through parts filled. Raises ToolFailed, LimitExceeded."""
    rgb = flat(picture, wishes.background).convert("RGB")
    coded = _coded(rgb)
    config, still = _hevc(coded, 60 if wishes.quality is None else wishes.quality, scratch, tools)
    target.write_bytes(_file(config, still, coded.size, rgb.size))


def _coded(rgb: Any) -> Any:
    """The picture with even sides of at least a coding block, its last row and column repeated."""
    from PIL import Image

    width, height = (max(_LEAST_PX, side + side % 2) for side in rgb.size)
    if (width, height) == rgb.size:
        return rgb
    made = Image.new("RGB", (width, height))
    made.paste(rgb.getpixel((rgb.width - 1, rgb.height - 1)), (0, 0, width, height))
    right, below = rgb.crop((rgb.width - 1, 0, *rgb.size)), rgb.crop((0, rgb.height - 1, *rgb.size))
    made.paste(right.resize((width, rgb.height)), (0, 0))
    made.paste(below.resize((rgb.width, height)), (0, 0))
    made.paste(rgb, (0, 0))
    return made


def _hevc(rgb: Any, quality: int, scratch: Path, tools: Tools) -> tuple[bytes, bytes]:
    """(decoder configuration, one intra picture). The coded size is even; the box of the size says what to show."""
    made = scratch / "still.mp4"
    argv: list[str | Path] = [
        *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-y", "-v", "warning"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{rgb.width}x{rgb.height}", "-i", "pipe:0", "-frames:v", "1"),
        *("-vf", "scale=out_color_matrix=bt601:out_range=pc:flags=accurate_rnd,format=yuv420p"),
        *("-color_range", "pc", "-colorspace", "smpte170m", "-color_primaries", "bt709", "-color_trc", "iec61966-2-1"),
        *("-c:v", "libx265", "-preset", "medium", "-tag:v", "hvc1"),
        *("-x265-params", f"crf={crf(quality)}:keyint=1:info=0:log-level=error:pools=1:frame-threads=1"),
        *("-f", "mp4", _ffmpeg.url(made)),
    ]
    try:
        tools.run(argv, name="ffmpeg", stdin=rgb.tobytes(), cwd=scratch)
    except ToolFailed as error:
        raise _ffmpeg.named(error, MIME, "picture") from error
    data = made.read_bytes()
    at = data.index(b"hvcC") - 4
    config = data[at + 8 : at + struct.unpack_from(">I", data, at)[0]]
    return config, next(body for kind, body in _boxes(data) if kind == b"mdat")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + size]
        at += size


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


def _aperture(coded: tuple[int, int], shown: tuple[int, int]) -> bytes:
    """What part of the coded picture is shown, from its upper left: its sides, and how far its middle is off."""
    off = (part - whole for whole, part in zip(coded, shown, strict=True))
    parts = [(part, 1) for part in shown] + [(half, 2) for half in off]
    return _box(b"clap", *(struct.pack(">iI", *part) for part in parts))


def _file(config: bytes, still: bytes, coded: tuple[int, int], shown: tuple[int, int]) -> bytes:
    """One item, whose properties are: decoder configuration, size, 8-bit colour, sRGB by BT.601 in full range, and the
    part to show where that is not all."""
    properties = [
        _box(b"hvcC", config),
        _full(b"ispe", struct.pack(">II", *coded)),
        _full(b"pixi", b"\x03\x08\x08\x08"),
        _box(b"colr", struct.pack(">4sHHHB", b"nclx", 1, 13, 6, 0x80)),
        *([_aperture(coded, shown)] if coded != shown else []),
    ]
    must = (0x81, 2, 3, 4, 0x85)[: len(properties)]  # decoder and part must be understood, the rest may be passed over
    links = struct.pack(">IHB", 1, 1, len(must)) + bytes(must)

    def meta(offset: int) -> bytes:
        return _full(
            b"meta",
            _full(b"hdlr", struct.pack(">I4s12xB", 0, b"pict", 0)),
            _full(b"pitm", struct.pack(">H", 1)),
            _full(b"iloc", b"\x44\x00", struct.pack(">HHHHII", 1, 1, 0, 1, offset, len(still))),
            _full(b"iinf", struct.pack(">H", 1), _full(b"infe", struct.pack(">HH4sB", 1, 0, b"hvc1", 0), version=2)),
            _box(b"iprp", _box(b"ipco", *properties), _full(b"ipma", links)),
        )

    head = _box(b"ftyp", b"heic\0\0\0\0mif1heic")
    return head + meta(len(head) + len(meta(0)) + 8) + _box(b"mdat", still)
