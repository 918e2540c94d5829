"""Coded pictures as a Matroska stream, for ffmpeg to read from a pipe and put into a file with `-c copy`.

ffmpeg's own muxer is not to be had without a file of libav's in between, and none of them takes a second stream as the
transparency of the first. One track, every picture in a cluster of its own, no length and no index: ffmpeg makes those.
Names and numbers are those of RFC 9559.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

TICK_NS = 1_000
"""What times are counted in: fine enough for every rate's own ticks to be found again."""

_MATRICES = {"bt709": 1, "bt470bg": 5, "smpte170m": 6}  # ISO/IEC 23091-2, as libav's names are
_RANGES = {"tv": 1, "pc": 2}
_UNKNOWN_LENGTH = b"\x01" + b"\xff" * 7
_FOREGOING = -1
"""The picture that one refers to: ffmpeg asks only whether there is any."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A film's pictures. `alpha`: whether they have transparency, coded apart."""

    codec: str
    size: tuple[int, int]
    rate: Fraction | None
    colours: Mapping[str, str]
    alpha: bool = False


def head(track: Track) -> bytes:
    """What stands before the first picture."""
    ebml = _group(0x1A45DFA3, _text(0x4282, "matroska"), _number(0x4287, 4), _number(0x4285, 2))
    info = _group(0x1549A966, _number(0x2AD7B1, TICK_NS), _text(0x4D80, "mediamill"), _text(0x5741, "mediamill"))
    colours = [_number(0x55B9, _RANGES.get(track.colours.get("color_range", ""), 0))]
    if track.colours.get("colorspace") in _MATRICES:
        colours.append(_number(0x55B1, _MATRICES[track.colours["colorspace"]]))
    for element, name in ((0x55BB, "color_primaries"), (0x55BA, "color_trc")):
        if track.colours.get(name) == "bt709":
            colours.append(_number(element, 1))
    width, height = track.size
    video = _group(
        0xE0,
        *(_number(0xB0, width), _number(0xBA, height), _number(0x53C0, int(track.alpha)), _number(0x9A, 2)),
        _group(0x55B0, *colours),
    )
    entry = [
        *(_number(0xD7, 1), _number(0x73C5, 1), _number(0x83, 1), _number(0x88, 0), _number(0x9C, 0)),
        _text(0x22B59C, "und"),
        *([_number(0x23E383, round(1_000_000_000 / track.rate))] if track.rate is not None else []),
        *([_number(0x55EE, 1)] if track.alpha else []),
        _text(0x86, track.codec),
        video,
    ]
    tracks = _group(0x1654AE6B, _group(0xAE, *entry))
    return b"".join((ebml, (0x18538067).to_bytes(4, "big"), _UNKNOWN_LENGTH, info, tracks))


def picture(data: bytes, time_s: float, *, key: bool, alpha: bytes | None = None) -> bytes:
    """One coded picture, with its transparency. `key`: whether it stands for itself."""
    block = [_element(0xA1, struct.pack(">BhB", 0x81, 0, 0) + data)]
    if alpha is not None:
        block.append(_group(0x75A1, _group(0xA6, _number(0xEE, 1), _element(0xA5, alpha))))
    if not key:
        block.append(_element(0xFB, _FOREGOING.to_bytes(1, "big", signed=True)))
    at = round(time_s * 1_000_000_000 / TICK_NS)
    return _group(0x1F43B675, _number(0xE7, at), _group(0xA0, *block))


def _element(name: int, data: bytes) -> bytes:
    size = len(data)
    length = next(n for n in range(1, 9) if size < (1 << 7 * n) - 1)
    return name.to_bytes(-(-name.bit_length() // 8), "big") + (size | 1 << 7 * length).to_bytes(length, "big") + data


def _group(name: int, *children: bytes) -> bytes:
    return _element(name, b"".join(children))


def _number(name: int, value: int) -> bytes:
    return _element(name, value.to_bytes(max(1, -(-value.bit_length() // 8)), "big"))


def _text(name: int, value: str) -> bytes:
    return _element(name, value.encode())
