"""HEIC photos: one HEVC still by FFmpeg's x265, in the boxes of ISO/IEC 23008-12 that readers of HEIF ask for."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediamill.core.errors import ToolFailed
from mediamill.core.ports import Report, Tools
from mediamill.engines import _ffmpeg
from mediamill.engines._colour import flat
from mediamill.engines._picture import Wishes

MIME = "image/heic"
_LEAST_PX = 16
_WHOLE_PX, _TILE_PX = 1024, 512
"""Larger pictures are made of tiles as phones' are: several are coded at once, and each tells how far the work is."""
_THREADS, _UNDER_WAY = 4, 3.8
"""Tiles at a time, and how many's worth of work is done beside those that ffmpeg has written."""
_FPS = 25
_CRF_AT_0, _CRF_AT_100 = 43, 6
"""x265's scale at the ends of ours: 60 comes to 21, as large as an AVIF of quality 60 and as good."""


def crf(quality: int) -> int:
    """x265's constant rate factor for a quality of 0 to 100."""
    return round(_CRF_AT_0 + (_CRF_AT_100 - _CRF_AT_0) * quality / 100)


def write(picture: Any, target: Path, wishes: Wishes, *, scratch: Path, tools: Tools, report: Report) -> None:
    """A Pillow picture in sRGB as HEIC, see-through parts filled. Raises ToolFailed, LimitExceeded."""
    rgb = flat(picture, wishes.background).convert("RGB")
    quality = 60 if wishes.quality is None else wishes.quality
    if max(rgb.size) <= _WHOLE_PX:
        coded = _coded(rgb)
        config, [still] = _hevc(coded.tobytes(), coded.size, 1, quality, scratch, tools, report)
        target.write_bytes(_file(config, still, coded.size, rgb.size))
        return
    across, down = (-(-side // _TILE_PX) for side in rgb.size)
    config, tiles = _hevc(
        _tiles(rgb, across, down), (_TILE_PX, _TILE_PX), across * down, quality, scratch, tools, report
    )
    target.write_bytes(_grid_file(config, tiles, (across, down), rgb.size))


def _coded(rgb: Any) -> Any:
    """The picture with even sides of at least a coding block, its last row and column repeated."""
    width, height = (max(_LEAST_PX, side + side % 2) for side in rgb.size)
    return rgb if (width, height) == rgb.size else _widened(rgb, width, height)


def _widened(rgb: Any, width: int, height: int) -> Any:
    """With its last row and column repeated to the right and below."""
    from PIL import Image

    made = Image.new("RGB", (width, height))
    made.paste(rgb.getpixel((rgb.width - 1, rgb.height - 1)), (0, 0, width, height))
    right, below = rgb.crop((rgb.width - 1, 0, *rgb.size)), rgb.crop((0, rgb.height - 1, *rgb.size))
    made.paste(right.resize((width, rgb.height)), (0, 0))
    made.paste(below.resize((rgb.width, height)), (0, 0))
    made.paste(rgb, (0, 0))
    return made


def _tiles(rgb: Any, across: int, down: int) -> bytes:
    """All tiles, each as a picture of its own, line by line."""
    import numpy as np

    pixels = np.asarray(_widened(rgb, across * _TILE_PX, down * _TILE_PX))
    return pixels.reshape(down, _TILE_PX, across, _TILE_PX, 3).swapaxes(1, 2).tobytes()


def _hevc(
    rgb: bytes, size: tuple[int, int], count: int, quality: int, scratch: Path, tools: Tools, report: Report
) -> tuple[bytes, list[bytes]]:
    """(decoder configuration, intra pictures) of so many pictures of that size, which is even."""
    made = scratch / "still.mp4"
    x265 = (
        f"crf={crf(quality)}:keyint=1:bframes=0:rc-lookahead=0:qcomp=1:wpp=0:info=0:log-level=error"
        f":pools=none:frame-threads={min(count, _THREADS)}"
    )
    argv: list[str | Path] = [
        *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-y", "-v", "warning"),
        *("-progress", "pipe:1", "-stats_period", "0.1", "-nostats"),
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-r", str(_FPS), "-i", "pipe:0"),
        *("-vf", "scale=out_color_matrix=bt601:out_range=pc:flags=accurate_rnd,format=yuv420p"),
        *("-color_range", "pc", "-colorspace", "smpte170m", "-color_primaries", "bt709", "-color_trc", "iec61966-2-1"),
        *("-c:v", "libx265", "-preset", "medium", "-tag:v", "hvc1", "-x265-params", x265),
        *("-f", "mp4", _ffmpeg.url(made)),
    ]

    def told(stage: str, fraction: float | None = None) -> None:
        left = 1 - (fraction or 0.0)
        report(stage, 1 - left + min(_UNDER_WAY / count, left * 0.6))

    progress = _ffmpeg.Progress(told, count / _FPS)
    try:
        tools.run(argv, name="ffmpeg", stdin=rgb, on_line=progress, cwd=scratch)
    except ToolFailed as error:
        raise _ffmpeg.named(error, MIME, "picture") from error
    data = made.read_bytes()
    at = data.index(b"hvcC") - 4
    config = data[at + 8 : at + struct.unpack_from(">I", data, at)[0]]
    body = next(body for kind, body in _boxes(data) if kind == b"mdat")
    at = data.index(b"stsz") + 8  # after its version and flags: one size for all, or 0 and the size of each
    same, number = struct.unpack_from(">II", data, at)
    sizes = [same] * number if same else struct.unpack_from(f">{number}I", data, at + 8)
    ends = list(itertools.accumulate(sizes))
    return config, [body[end - length : end] for length, end in zip(sizes, ends, strict=True)]


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
    properties = [*_decoded(config, coded), *([_aperture(coded, shown)] if coded != shown else [])]
    item = _Item(kind=b"hvc1", body=still, properties=range(1, len(properties) + 1))
    return _heif([item], properties, primary=1)


def _grid_file(config: bytes, tiles: Sequence[bytes], grid: tuple[int, int], shown: tuple[int, int]) -> bytes:
    """Tiles and the item that is made of them, as phones write photos: ISO/IEC 23008-12, 6.6.2.3."""
    across, down = grid
    properties = [*_decoded(config, (_TILE_PX, _TILE_PX)), _extent(shown)]
    items = [_Item(kind=b"hvc1", body=tile, properties=(1, 2, 3, 4), hidden=True) for tile in tiles]
    sides = struct.pack(">BBBBII", 0, 1, down - 1, across - 1, *shown)  # 1: in 32 bits
    items.append(_Item(kind=b"grid", body=sides, properties=(5, 3, 4)))
    parts = struct.pack(f">HH{len(tiles)}H", len(items), len(tiles), *range(1, len(items)))
    return _heif(items, properties, primary=len(items), links=_full(b"iref", _box(b"dimg", parts)))


def _decoded(config: bytes, coded: tuple[int, int]) -> list[bytes]:
    return [
        _box(b"hvcC", config),
        _extent(coded),
        _full(b"pixi", b"\x03\x08\x08\x08"),
        _box(b"colr", struct.pack(">4sHHHB", b"nclx", 1, 13, 6, 0x80)),
    ]


def _extent(size: tuple[int, int]) -> bytes:
    return _full(b"ispe", struct.pack(">II", *size))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    """`properties`: by their numbers, from 1 on."""

    kind: bytes
    body: bytes
    properties: Sequence[int]
    hidden: bool = False


def _heif(items: Sequence[_Item], properties: Sequence[bytes], *, primary: int, links: bytes = b"") -> bytes:
    def linked(item: _Item) -> bytes:
        # Whoever does not understand how to decode or cut it must not show it; the rest may be passed over.
        must = [number | 0x80 * (properties[number - 1][4:8] in (b"hvcC", b"clap")) for number in item.properties]
        return bytes([len(must), *must])

    def meta(offset: int) -> bytes:
        places, entries, at = b"", b"", offset
        for number, item in enumerate(items, 1):
            places += struct.pack(">HHHII", number, 0, 1, at, len(item.body))
            entries += _full(b"infe", struct.pack(">HH4sB", number, 0, item.kind, 0), version=2, flags=int(item.hidden))
            at += len(item.body)
        owned = b"".join(struct.pack(">H", number) + linked(item) for number, item in enumerate(items, 1))
        return _full(
            b"meta",
            _full(b"hdlr", struct.pack(">I4s12xB", 0, b"pict", 0)),
            _full(b"pitm", struct.pack(">H", primary)),
            _full(b"iloc", b"\x44\x00", struct.pack(">H", len(items)), places),
            _full(b"iinf", struct.pack(">H", len(items)), entries),
            links,
            _box(b"iprp", _box(b"ipco", *properties), _full(b"ipma", struct.pack(">I", len(items)), owned)),
        )

    head = _box(b"ftyp", b"heic\0\0\0\0mif1heic")
    return head + meta(len(head) + len(meta(0)) + 8) + _box(b"mdat", *(item.body for item in items))
