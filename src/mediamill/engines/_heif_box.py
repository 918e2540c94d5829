"""What a HEIF file's own boxes say of its primary picture (ISO/IEC 23008-12): size, turn, alpha, without decoding."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from mediamill.core.errors import BadMedia

_META_BYTES = 4 * 1024 * 1024
_MAX_BOXES = 4096


def facts(path: Path) -> tuple[int, int, bool]:
    """(width, height, has alpha) of the primary item, as displayed. Raises BadMedia."""
    with path.open("rb") as stream:
        data = stream.read(_META_BYTES)
    try:
        return _facts(data)
    except (struct.error, IndexError, KeyError, ValueError) as error:
        raise BadMedia("The HEIC photo's header is damaged.") from error


def _facts(data: bytes) -> tuple[int, int, bool]:
    top = dict(_boxes(data))
    if data[4:8] != b"ftyp" or b"meta" not in top:
        raise BadMedia("The file is not a HEIC photo.")
    meta = dict(_boxes(top[b"meta"][4:]))
    wide_ids = meta[b"pitm"][0] > 0
    primary = struct.unpack_from(">I" if wide_ids else ">H", meta[b"pitm"], 4)[0]
    parts = list(_boxes(meta[b"iprp"]))
    properties = list(_boxes(next(body for name, body in parts if name == b"ipco")))
    size, turned, alpha = None, 0, any(kind == b"auxC" and b"lpha" in body for kind, body in properties)
    alpha = alpha or any(kind == b"auxC" and b"auxid:1" in body for kind, body in properties)
    for index in _associations(next(body for name, body in parts if name == b"ipma"), primary):
        kind, body = properties[index - 1]
        if kind == b"ispe":
            size = struct.unpack_from(">II", body, 4)
        elif kind == b"clap":
            wide, of_wide, high, of_high = struct.unpack_from(">4I", body)
            size = wide // max(1, of_wide), high // max(1, of_high)
        elif kind == b"irot":
            turned = body[0] & 3
    if size is None:
        raise BadMedia("The HEIC photo does not say its size.")
    width, height = size if turned % 2 == 0 else size[::-1]
    return width, height, alpha


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    for _ in range(_MAX_BOXES):
        if position + 8 > len(data):
            return
        size, kind = struct.unpack_from(">I4s", data, position)
        head = 8
        if size == 1:
            size, head = struct.unpack_from(">Q", data, position + 8)[0], 16
        if size == 0:
            size = len(data) - position
        if size < head:
            raise ValueError("a box smaller than its header")
        yield kind, data[position + head : position + size]
        position += size


def _associations(ipma: bytes, item: int) -> list[int]:
    """The property numbers of one item, from 1."""
    version, flags = ipma[0], ipma[3]
    count = struct.unpack_from(">I", ipma, 4)[0]
    position = 8
    for _ in range(min(count, 65536)):
        found = struct.unpack_from(">H" if version < 1 else ">I", ipma, position)[0]
        position += 2 if version < 1 else 4
        many, position = ipma[position], position + 1
        width = 2 if flags & 1 else 1
        numbers = [
            int.from_bytes(ipma[position + i * width : position + (i + 1) * width]) & (0x7FFF if width == 2 else 0x7F)
            for i in range(many)
        ]
        position += many * width
        if found == item:
            return [number for number in numbers if number]
    return []
