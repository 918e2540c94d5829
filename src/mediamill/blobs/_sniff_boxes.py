"""Containers that say what they are further in: MP4 boxes, EBML, zip and OLE2 directories. Every read is bounded."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_MAX_BOXES = 64  # at each of four levels
_MAX_DIRECTORY_BYTES = 4 * 1024 * 1024
_MAX_OLE_SECTORS = 256


def length(file: BinaryIO) -> int:
    """Bytes in the file."""
    return file.seek(0, os.SEEK_END)


def read_at(file: BinaryIO, offset: int, size: int) -> bytes:
    """Up to `size` bytes from `offset`; b"" for an offset no file has, which damaged containers name."""
    if not 0 <= offset < 1 << 62:
        return b""
    file.seek(offset)
    return file.read(size)


@dataclass(frozen=True, slots=True)
class Box:
    """One box of ISO 14496-12 4.2."""

    kind: bytes
    body: int
    end: int

    @classmethod
    def at(cls, file: BinaryIO, offset: int) -> Box | None:
        head = read_at(file, offset, 16)
        if len(head) < 8:
            return None
        size, body = int.from_bytes(head[:4], "big"), offset + 8
        if size == 1:
            size, body = int.from_bytes(head[8:16], "big"), offset + 16
        elif size == 0:
            size = length(file) - offset
        return cls(head[4:8], body, offset + size) if offset + size >= body else None


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    for _ in range(_MAX_BOXES):
        box = Box.at(file, start) if start < end else None
        if box is None:
            return
        yield box
        start = box.end


_HEIC = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1", b"mif2"))
_AVIF = frozenset((b"avif", b"avis"))
_SOUND = frozenset((b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "))


def mp4(file: BinaryIO, head: bytes) -> str | None:
    """By brand (mp4ra.org), the major one first; None for raw photos, "" when there is no box after all."""
    size = int.from_bytes(head[:4], "big")
    if size < 16 or size % 4 or size > 4096:
        return ""
    major, others = head[8:12], {head[i : i + 4] for i in range(16, min(size, len(head)), 4)}
    if major in _AVIF or (major in (b"mif1", b"msf1", b"mif2") and others & _AVIF):
        return "image/avif"
    if major in _HEIC:
        return "image/heic"
    if major == b"qt  ":
        return "video/quicktime"
    if major.startswith((b"3gp", b"3g2", b"3gs", b"3ge", b"3gr")):
        return "video/3gpp"
    if major in (b"jp2 ", b"jpx ", b"jpm "):
        return "image/jp2"
    if major == b"crx ":  # Canon raw
        return None
    if major in _SOUND or _tracks(file) == {b"soun"}:
        return "audio/mp4"
    return "video/mp4"


def _tracks(file: BinaryIO) -> set[bytes]:
    """The media kinds (vide, soun, …) of an MP4's tracks, text and hints left out. Reads headers only."""
    kinds = set()
    movie = next((box for box in _boxes(file, 0, length(file)) if box.kind == b"moov"), None)
    for track in _boxes(file, movie.body, movie.end) if movie else ():
        media = (
            next((b for b in _boxes(file, track.body, track.end) if b.kind == b"mdia"), None)
            if (track.kind == b"trak")
            else None
        )
        handler = next((b for b in _boxes(file, media.body, media.end) if b.kind == b"hdlr"), None) if media else None
        if handler:
            kinds.add(read_at(file, handler.body + 8, 4))  # after version, flags and pre_defined: 8.4.3
    return kinds & {b"vide", b"soun", b"pict", b"auxv"}


def ebml(file: BinaryIO, head: bytes) -> str | None:
    """WebM or Matroska by DocType (RFC 8794 11.2.4), looked for in the EBML header only."""
    at = head.find(b"\x42\x82", 4, 256)
    if at < 0:
        return None
    size = head[at + 2] & 0x7F  # a doc type is shorter than 127 letters: one length byte
    name = head[at + 3 : at + 3 + size].rstrip(b"\0")
    return {b"webm": "video/webm", b"matroska": "video/x-matroska"}.get(name)


_OPEN_DOCUMENT = {
    b"application/vnd.oasis.opendocument.text",
    b"application/vnd.oasis.opendocument.spreadsheet",
    b"application/vnd.oasis.opendocument.presentation",
    b"application/epub+zip",
}
_MAIN_PARTS = (
    (b"word/document", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"xl/workbook.xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/presentation", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
)


def zipped(file: BinaryIO, head: bytes) -> str:
    """Office Open XML, OpenDocument, EPUB or plain zip, by entry names and the first `mimetype` entry."""
    names = set()
    for name, offset in _entries(file):
        if name == b"mimetype" and name not in names and (declared := _stored(file, offset, 100)) in _OPEN_DOCUMENT:
            return declared.decode()
        names.add(name)
    if b"[Content_Types].xml" in names:  # ECMA-376 part 2, 7.2.3.1: every package has it
        for start, mime in _MAIN_PARTS:
            if any(name.startswith(start) for name in names):
                return mime
    return "application/epub+zip" if b"META-INF/container.xml" in names else "application/zip"


def _entries(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """(name, offset of the local header) from the central directory, its first 4 MiB. APPNOTE 4.3.12, 4.3.16."""
    size = length(file)
    start = max(0, size - 22 - 65535)
    tail = read_at(file, start, 22 + 65535)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + 22:
        return
    end = start + at
    directory_bytes, offset = struct.unpack("<II", tail[at + 12 : at + 20])
    if at >= 76 and tail.startswith(b"PK\x06\x07", at - 20) and tail.startswith(b"PK\x06\x06", at - 76):
        # Zip64: a locator of 20 bytes and a record of 56 stand before the end record (4.3.14, 4.3.15)
        end -= 76
        directory_bytes, offset = struct.unpack("<QQ", tail[at - 36 : at - 20])
    moved = end - directory_bytes - offset  # bytes put before the archive shift every offset
    rows = read_at(file, offset + moved, min(directory_bytes, _MAX_DIRECTORY_BYTES))
    at = 0
    while rows.startswith(b"PK\x01\x02", at) and len(rows) >= at + 46:
        name_bytes, extra_bytes, comment_bytes = struct.unpack("<HHH", rows[at + 28 : at + 34])
        local = int.from_bytes(rows[at + 42 : at + 46], "little")
        yield rows[at + 46 : at + 46 + name_bytes], local + moved
        at += 46 + name_bytes + extra_bytes + comment_bytes


def _stored(file: BinaryIO, offset: int, most: int) -> bytes:
    """The first bytes of an entry, inflated if it must be; b"" when it cannot be read."""
    head = read_at(file, offset, 30)
    if len(head) < 30 or not head.startswith(b"PK\x03\x04"):
        return b""
    method, size = int.from_bytes(head[8:10], "little"), int.from_bytes(head[18:22], "little")
    skip = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
    data = read_at(file, offset + 30 + skip, min(size or 4 * most, 4 * most))
    if method == 8:
        try:
            data = zlib.decompressobj(wbits=-15).decompress(data, most)
        except zlib.error:
            return b""
    return data[:most].strip()


_OLE_STREAMS = {
    "WordDocument": "application/msword",
    "Workbook": "application/vnd.ms-excel",
    "Book": "application/vnd.ms-excel",  # Excel 5 and 95
    "PowerPoint Document": "application/vnd.ms-powerpoint",
}


def ole2(file: BinaryIO, head: bytes) -> str | None:
    """doc, xls or ppt by the streams at the root; those of embedded objects lie deeper and do not count. MS-CFB 2."""
    shift = int.from_bytes(head[30:32], "little")
    if len(head) < 512 or shift not in (9, 12):
        return None
    sector_bytes = 1 << shift
    fat_sectors = struct.unpack("<109I", head[76:512])
    sector = int.from_bytes(head[48:52], "little")
    directory = bytearray()
    for _ in range(_MAX_OLE_SECTORS):
        if sector >= 0xFFFF_FFFA:  # end of chain, free and the like
            break
        directory += read_at(file, (sector + 1) << shift, sector_bytes)
        fat, slot = divmod(sector, sector_bytes // 4)
        if fat >= len(fat_sectors) or fat_sectors[fat] >= 0xFFFF_FFFA:
            break
        entry = read_at(file, ((fat_sectors[fat] + 1) << shift) + 4 * slot, 4)
        sector = int.from_bytes(entry, "little") if len(entry) == 4 else 0xFFFF_FFFE
    return next((_OLE_STREAMS[name] for name in _root_names(bytes(directory)) if name in _OLE_STREAMS), None)


def _root_names(directory: bytes) -> Iterator[str]:
    """Names right under the root: its child, then left and right siblings as a tree. MS-CFB 2.6."""
    left = [struct.unpack("<I", directory[76:80])[0]] if len(directory) >= 128 else []
    seen = set()
    while left:
        index = left.pop()
        row = directory[128 * index : 128 * index + 128]
        if index in seen or len(row) < 128:
            continue
        seen.add(index)
        name_bytes = int.from_bytes(row[64:66], "little")
        yield row[: max(0, min(name_bytes, 64) - 2)].decode("utf-16-le", "replace")
        left += struct.unpack("<II", row[68:76])
