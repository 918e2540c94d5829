"""What a file is, by its bytes.

A binary signature always wins over what a caller or a name says. A claim chooses only where the bytes leave a choice:
among text types, a zip-based type or plain zip, Ogg audio by codec or by container, MP4 with sound only, OpenType with
TrueType outlines. Every read is bounded, nothing is unpacked and no parser of another's is run, so this is safe to do
in the server process.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from mediamill.blobs import _sniff_boxes as boxes
from mediamill.blobs import _sniff_frames as frames
from mediamill.blobs import _sniff_text as text
from mediamill.core import formats

HEAD_BYTES = 64 * 1024

_ZIP_BASED = frozenset(
    (
        "application/zip",
        "application/epub+zip",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "application/vnd.oasis.opendocument.text",
        "application/vnd.oasis.opendocument.spreadsheet",
        "application/vnd.oasis.opendocument.presentation",
    )
)

# Found type -> the types a claim may turn it into.
_MAY_BE: dict[str, frozenset[str]] = {mime: frozenset(("application/zip",)) for mime in _ZIP_BASED} | {
    "audio/opus": frozenset(("audio/ogg",)),  # RFC 7845 9: Opus in Ogg is audio/ogg; .opus is the narrower word
    "audio/mp4": frozenset(("video/mp4",)),  # an .mp4 that holds sound only is still one
    "font/ttf": frozenset(("font/otf",)),  # OpenType 1.9: .otf may hold TrueType outlines, not the other way round
}


def sniff(source: BinaryIO | Path | bytes, *, claimed: str | None = None, filename: str | None = None) -> str | None:
    """The canonical MIME type of the bytes, or None when they are nothing Mediamill knows.

    claimed: a MIME type or bare name from the caller; it beats `filename`. Do not pass a web server's text/plain or
    application/octet-stream as a claim: they mean "do not know". An open file is read from its start and left where it
    stood. Raises only what the file's own read raises.
    """
    if isinstance(source, bytes):
        return _sniff(io.BytesIO(source), claimed, filename)
    if isinstance(source, Path):
        with source.open("rb") as file:
            return _sniff(file, claimed, filename)
    position = source.tell()
    try:
        return _sniff(source, claimed, filename)
    finally:
        source.seek(position)


def _sniff(file: BinaryIO, claimed: str | None, filename: str | None) -> str | None:
    claim = formats.canonical(claimed) if claimed else None
    if claim is None and filename:
        named = formats.by_filename(filename)
        claim = named.mime if named else None
    file.seek(0)
    head = file.read(HEAD_BYTES)
    found, known = _binary(file, head, claim)
    if known:
        return claim if found is not None and claim in _MAY_BE.get(found, ()) else found
    return text.sniff_text(head, whole=len(head) < HEAD_BYTES, claim=claim)


def _binary(file: BinaryIO, head: bytes, claim: str | None) -> tuple[str | None, bool]:
    """(type, True) when a signature fits; the type is None for signatures of formats that are none of ours."""
    for offset, magic, answer in _MAGIC:
        if head.startswith(magic, offset):
            found = answer if isinstance(answer, str) else answer(file, head)
            if found != "":
                return found, True
    for probe in _PROBES:
        found = probe(file, head, claim)
        if found:
            return found, True
    return None, False


Answer = str | Callable[[BinaryIO, bytes], str | None]
"""A type, or a look further in: a type, None for a known stranger, "" for a signature that was chance."""


def _riff(file: BinaryIO, head: bytes) -> str | None:
    return {b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo", b"WEBP": "image/webp"}.get(head[8:12])


def _form(file: BinaryIO, head: bytes) -> str | None:
    return "audio/aiff" if head[8:12] in (b"AIFF", b"AIFC") else None


def _bmp(file: BinaryIO, head: bytes) -> str:
    header_bytes = int.from_bytes(head[14:18], "little")
    fits = header_bytes in (12, 16, 40, 52, 56, 64, 108, 124) and len(head) >= 26
    return "image/bmp" if fits else ""


def _ico(file: BinaryIO, head: bytes) -> str:
    """A first entry whose picture lies inside: 00 00 01 00 alone also starts a Targa and an MPEG picture."""
    count = int.from_bytes(head[4:6], "little")
    size, offset = int.from_bytes(head[14:18], "little"), int.from_bytes(head[18:22], "little")
    fits = 0 < count <= 1024 and head[9:10] == b"\0" and size > 0 and offset >= 6 + 16 * count
    return "image/x-icon" if fits and offset + size <= boxes.length(file) else ""


def _sfnt(file: BinaryIO, head: bytes) -> str:
    """A table directory: four versions bytes are too common to be a signature (Access databases start with them)."""
    tables = int.from_bytes(head[4:6], "big")
    fits = 0 < tables <= 256 and re.fullmatch(rb"[\x20-\x7e]{4}", head[12:16]) is not None
    return ("font/otf" if head.startswith(b"OTTO") else "font/ttf") if fits else ""


def _netpbm(file: BinaryIO, head: bytes) -> str:
    """The digit, then width and height with comments between: "P1 is late" is a sentence."""
    if re.match(rb"P[1-6](?:\s|#[^\n]*\n)+\d+(?:\s|#[^\n]*\n)+\d+(?:\s|#|$)", head[:4096]) is None:
        return ""
    kind = {0: "image/x-portable-pixmap", 1: "image/x-portable-bitmap", 2: "image/x-portable-graymap"}
    return kind[(head[1] - ord("0")) % 3]


def _webvtt(file: BinaryIO, head: bytes) -> str:
    after = head.removeprefix(b"\xef\xbb\xbf")[6:7]
    return "text/vtt" if after in (b"", b" ", b"\t", b"\n", b"\r") else ""  # WebVTT 4.1


_MAGIC: tuple[tuple[int, bytes, Answer], ...] = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"RIFF", _riff),
    (0, b"RF64", _riff),  # EBU Tech 3306, WAV past 4 GiB
    (0, b"RIFX", _riff),  # the same with big-endian numbers
    (0, b"GIF87a", "image/gif"),
    (0, b"GIF89a", "image/gif"),
    (0, b"II*\0", "image/tiff"),
    (0, b"MM\0*", "image/tiff"),
    (0, b"II+\0\x08\0\0\0", "image/tiff"),  # BigTIFF
    (0, b"MM\0+\0\x08\0\0", "image/tiff"),
    (0, b"BM", _bmp),
    (0, b"\0\0\x01\0", _ico),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (0, b"\xff\x4f\xff\x51", "image/jp2"),  # a bare codestream: SOC, then SIZ
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (0, b"\xff\x0a", "image/jxl"),
    (4, b"ftyp", boxes.mp4),
    (0, b"P", _netpbm),
    (0, b"fLaC", "audio/flac"),
    (0, b"OggS", frames.ogg),
    (0, b"FORM", _form),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c", frames.asf),
    (0, b"\x1a\x45\xdf\xa3", boxes.ebml),
    (0, b"\0\0\x01\xba", "video/mpeg"),  # ISO 13818-1 2.5.3.3, pack header
    (0, b"\0\0\x01\xb3", "video/mpeg"),  # ISO 13818-2 6.2.2.1, sequence header of a bare stream
    (0, b"FLV\x01", "video/x-flv"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", boxes.ole2),
    (0, b"{\\rtf", "application/rtf"),
    (0, b"PK\x03\x04", boxes.zipped),
    (0, b"PK\x05\x06", "application/zip"),  # an empty one
    (0, b"\x1f\x8b\x08", "application/gzip"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"\0\x01\0\0", _sfnt),
    (0, b"true", _sfnt),  # Apple's TrueType
    (0, b"OTTO", _sfnt),
    (0, b"wOFF", "font/woff"),
    (0, b"wOF2", "font/woff2"),
    (0, b"WEBVTT", _webvtt),
    (0, b"\xef\xbb\xbfWEBVTT", _webvtt),
)

Probe = Callable[[BinaryIO, bytes, str | None], str | None]


def _tar(file: BinaryIO, head: bytes, claim: str | None) -> str | None:
    """The header's checksum, which covers old archives without "ustar" as well (POSIX.1-2017 pax, ustar format)."""
    block = head[:512]
    if len(block) < 512 or not block[0]:
        return None
    field = block[148:156].strip(b"\0 ")
    if re.fullmatch(rb"[0-7]{1,7}", field) is None:
        return None
    return "application/x-tar" if int(field, 8) == sum(block) - sum(block[148:156]) + 8 * 0x20 else None


def _tga(file: BinaryIO, head: bytes, claim: str | None) -> str | None:
    """By the footer of version 2; version 1 has no mark at all, so there a claim and a sane header must agree."""
    if len(head) < 18 or head[1] > 1 or head[2] not in (1, 2, 3, 9, 10, 11):
        return None
    if head[16] not in (8, 15, 16, 24, 32) or head[12:14] == b"\0\0" or head[14:16] == b"\0\0":
        return None
    marked = boxes.read_at(file, max(0, boxes.length(file) - 26), 26).endswith(b"TRUEVISION-XFILE.\0")
    mapped = (head[1] == 1) == (head[2] in (1, 9))
    return "image/x-tga" if marked or (claim == "image/x-tga" and mapped) else None


def _quicktime(file: BinaryIO, head: bytes, claim: str | None) -> str | None:
    """A file from before `ftyp`: known first box, and a second where the first ends (QuickTime File Format, 1.2)."""
    known = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
    if head[4:8] not in known:
        return None
    first = boxes.Box.at(file, 0)
    second = boxes.Box.at(file, first.end) if first else None
    return "video/quicktime" if second and second.kind in known else None


def _transport_stream(file: BinaryIO, head: bytes, claim: str | None) -> str | None:
    """A sync byte every 188 bytes, or every 192 after a time stamp of four (AVCHD, Blu-ray)."""
    for first, step in ((0, 188), (4, 192)):
        at = range(first, min(len(head), first + 8 * step), step)
        if len(at) >= 3 and all(head[i] == 0x47 for i in at):
            return "video/mp2t"
    return None


def _pdf_after_junk(file: BinaryIO, head: bytes, claim: str | None) -> str | None:
    """Readers accept a header in the first 1024 bytes (ISO 32000-1, annex H.3, note 13)."""
    return "application/pdf" if claim == "application/pdf" and b"%PDF-" in head[:1024] else None


_PROBES: tuple[Probe, ...] = (
    _tar,
    _quicktime,
    _transport_stream,
    frames.mpeg_audio,
    _tga,
    _pdf_after_junk,
)
