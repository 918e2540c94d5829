"""Cover pictures in Ogg files, whose only place for them is a comment: the picture block of FLAC in Base64.
Source: RFC 9639, section 8.8; the Xiph wiki on VorbisComment, "METADATA_BLOCK_PICTURE"."""

from __future__ import annotations

import base64
import struct
from pathlib import Path

from mediamill.engines import _av, _ffmpeg

MUXERS = frozenset({"ogg", "opus"})
_MIMES = {"mjpeg": "image/jpeg", "png": "image/png"}
_MOST_BYTES = 4 * 1024 * 1024
_FRONT = 3


def input_args(source: Path, mime: str, cover: _av.Text, scratch: Path) -> list[str]:
    """A further input of ffmpeg that holds the cover as metadata; none for a picture too large to carry about."""
    with _av.opened(source, mime) as container:
        [stream] = [video for video in container.streams.video if video.index == cover.index]
        data = next((bytes(packet) for packet in container.demux(stream) if packet.size), b"")
        width, height = stream.width, stream.height
    if not 0 < len(data) <= _MOST_BYTES:
        return ["-f", "ffmetadata", "-i", _ffmpeg.url(_written("", scratch))]
    kind = _MIMES[cover.codec].encode()
    block = struct.pack(">II", _FRONT, len(kind)) + kind + struct.pack(">I", 0)
    block += struct.pack(">IIIII", width, height, 24, 0, len(data)) + data
    text = base64.b64encode(block).decode().replace("=", "\\=")
    return ["-f", "ffmetadata", "-i", _ffmpeg.url(_written(f"METADATA_BLOCK_PICTURE={text}\n", scratch))]


def _written(line: str, scratch: Path) -> Path:
    path = scratch / "cover.ffmetadata"
    path.write_text(f";FFMETADATA1\n{line}", encoding="ascii")
    return path
