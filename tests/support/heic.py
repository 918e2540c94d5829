"""A HEIC photo made by hand: HEVC stills from FFmpeg in the boxes of ISO/IEC 23008-12, whole or in tiles."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mediamill.engines import _ffmpeg

Pixels = NDArray[Any]


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _full(kind: bytes, *parts: bytes, version: int = 0, flags: int = 0) -> bytes:
    return _box(kind, struct.pack(">I", version << 24 | flags), *parts)


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind, data[at + 8 : at + size]
        at += size


def _hevc(pixels: Pixels, folder: Path) -> tuple[bytes, bytes]:
    """(decoder configuration, one intra picture) of RGB pixels."""
    height, width = pixels.shape[:2]
    made = folder / "still.mp4"
    argv = [_ffmpeg.binary(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}"]
    argv += ["-i", "-", "-frames:v", "1", "-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]
    argv += ["-vf", "scale=out_color_matrix=bt601:out_range=pc", "-color_range", "pc", "-colorspace", "smpte170m"]
    argv += ["-x265-params", "crf=12:info=0:log-level=none", "-tag:v", "hvc1", made]
    subprocess.run([str(word) for word in argv], input=pixels.tobytes(), check=True)
    data = made.read_bytes()
    at = data.index(b"hvcC") - 4
    config = data[at + 8 : at + struct.unpack_from(">I", data, at)[0]]
    return config, next(body for kind, body in _boxes(data) if kind == b"mdat")


def write(
    path: Path, pixels: Pixels, *, tiles: tuple[int, int] = (1, 1), quarter_turns: int = 0, icc: bytes | None = None
) -> Path:
    """Pixels (height, width, 3) uint8 as a HEIC file in `tiles` (columns, rows), shown turned anticlockwise."""
    columns, rows = tiles
    height, width = pixels.shape[0] // rows, pixels.shape[1] // columns
    parts = [
        _hevc(pixels[y * height : (y + 1) * height, x * width : (x + 1) * width], path.parent)
        for y in range(rows)
        for x in range(columns)
    ]
    whole = len(parts) == 1
    properties = [_box(b"hvcC", parts[0][0]), _ispe(width, height), _ispe(width * columns, height * rows)]
    extras = ([_box(b"irot", bytes([quarter_turns]))] if quarter_turns else []) + (
        [_box(b"colr", b"prof" + icc)] if icc else []
    )
    extra = list(range(4, 4 + len(extras)))
    payloads = [still for _, still in parts]
    kinds = [b"hvc1"] * len(parts)
    props: list[list[int]] = [[1, 2, *(extra if whole else ())] for _ in parts]
    if not whole:
        payloads.append(struct.pack(">BBBBHH", 0, 0, rows - 1, columns - 1, width * columns, height * rows))
        kinds.append(b"grid")
        props.append([3, *extra])
    path.write_bytes(_file(payloads, kinds, props, properties + extras))
    return path


def _ispe(width: int, height: int) -> bytes:
    return _full(b"ispe", struct.pack(">II", width, height))


def _file(
    payloads: Sequence[bytes], kinds: Sequence[bytes], props: Sequence[Sequence[int]], properties: Sequence[bytes]
) -> bytes:
    primary = len(payloads)
    count = struct.pack(">H", len(payloads))
    infos = [
        _full(b"infe", struct.pack(">HH4sB", item, 0, kind, 0), version=2, flags=item != primary)
        for item, kind in enumerate(kinds, start=1)
    ]
    links = b"".join(
        struct.pack(">HB", item, len(numbers)) + bytes(0x80 | n if n == 1 else n for n in numbers)
        for item, numbers in enumerate(props, start=1)
    )
    derived = b""
    if kinds[-1] == b"grid":
        tiles = range(1, primary)
        derived = _full(b"iref", _box(b"dimg", struct.pack(f">HH{len(tiles)}H", primary, len(tiles), *tiles)))

    def meta(offset: int) -> bytes:
        places, at = b"", offset
        for item, payload in enumerate(payloads, start=1):
            places += struct.pack(">HHHII", item, 0, 1, at, len(payload))
            at += len(payload)
        return _full(
            b"meta",
            _full(b"hdlr", struct.pack(">I4s12xB", 0, b"pict", 0)),
            _full(b"pitm", struct.pack(">H", primary)),
            _full(b"iloc", b"\x44\x00", count, places),
            _full(b"iinf", count, *infos),
            derived,
            _box(
                b"iprp",
                _box(b"ipco", *properties),
                _full(b"ipma", struct.pack(">I", len(props)), links),
            ),
        )

    head = _box(b"ftyp", b"heic\0\0\0\0mif1heic")
    offset = len(head) + len(meta(0)) + 8
    return head + meta(offset) + _box(b"mdat", *payloads)
