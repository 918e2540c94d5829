"""Recipes for sheets, archives and fonts, and the bench they are converted on."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from tests.support.tools import PlainTools

from mediamill.core import formats
from mediamill.core.ports import Conversion, Converter


def convert(
    converter: Converter, source: Path, given: str, wanted: str, scratch: Path, **settings: Any
) -> tuple[Path, Mapping[str, Any]]:
    """The file made of `source`, and the details. given, wanted: bare names or MIME types."""
    source_mime, target_mime = formats.canonical(given), formats.canonical(wanted)
    assert source_mime is not None
    assert target_mime is not None
    assert (source_mime, target_mime) in converter.pairs()
    room = scratch / f"room-{len(list(scratch.iterdir()))}"
    room.mkdir()
    target = room / f"result{formats.suffix(target_mime)}"
    details = converter.convert(
        Conversion(
            source=source,
            source_mime=source_mime,
            target=target,
            target_mime=target_mime,
            settings=settings,
            scratch=room,
            tools=PlainTools(),
            report=lambda stage, fraction=None: None,
        )
    )
    return target, details


MOMENT = datetime(2024, 2, 29, 13, 45, 10)  # noqa: DTZ001 - spreadsheets have no zones
TABLE: list[list[Any]] = [
    ["id", "name", "price", "paid", "on", "at", "clock", "lasts", "code", "none"],
    [1, "Zoë <&> \"q\"", 1.25, True, date(2024, 2, 29), MOMENT, time(1, 2, 3),
     timedelta(hours=30), "007", None],
    [2, "日本語 🎉", -3, False, date(1999, 12, 31), MOMENT - timedelta(days=9000), time(23, 59, 59),
     timedelta(hours=100, minutes=5), "=1+1", None],
    [3, "two\nlines", 123456789012345, True, date(2024, 1, 1), MOMENT + timedelta(seconds=1), time(12),
     timedelta(days=2), "+49 30", "end"],
]  # fmt: skip


def xlsx(path: Path, tables: Mapping[str, list[list[Any]]] | None = None) -> Path:
    """A workbook as openpyxl writes it. Text that looks like a formula stays text."""
    from openpyxl import Workbook  # type: ignore[import-untyped]  # ships no types

    book = Workbook()
    book.remove(book.active)
    for title, rows in (tables or {"First": TABLE, "Second Ünit": [["a", "b"], [1, 2]]}).items():
        sheet = book.create_sheet(title)
        for at, row in enumerate(rows, 1):
            for column, value in enumerate(row, 1):
                cell = sheet.cell(at, column)
                cell.value = value
                if isinstance(value, str):
                    cell.data_type = "s"
    book.save(path)
    return path


def xls(path: Path) -> Path:
    """The BIFF8 workbook of `xls-recipe`: written by hand, because the one library that could is long unkept."""
    cells = b""
    rows: list[list[Any]] = [["id", "name", "price", "paid", "on"], [1, "Zoë", 1.25, True, 45351.0]]
    for at, row in enumerate(rows):
        for column, value in enumerate(row):
            place = struct.pack("<HHH", at, column, 1 if value == 45351.0 else 0)
            if isinstance(value, str):
                text = value.encode("utf-16-le")
                cells += _record(0x204, place + struct.pack("<HB", len(value), 1) + text)  # LABEL
            elif isinstance(value, bool):
                cells += _record(0x205, place + struct.pack("<BB", value, 0))  # BOOLERR
            else:
                cells += _record(0x203, place + struct.pack("<d", value))  # NUMBER
    begin, end = struct.pack("<HHHHII", 0x600, 0x10, 0, 0, 0, 0), _record(0x0A, b"")
    sheet = _record(0x809, begin) + _record(0x200, struct.pack("<IIHHH", 0, 2, 0, 5, 0)) + cells + end
    globals_begin = _record(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 0))
    font = _record(0x31, struct.pack("<HHHHHBBBBBB", 200, 0, 0x7FFF, 400, 0, 0, 0, 0, 0, 5, 0) + b"Arial")
    formats_ = b"".join(
        _record(0xE0, struct.pack("<HHHBBBBIIH", 0, number, 0, 0, 0, 0, 0, 0, 0, 0)) for number in (0, 14)
    )
    title = "Blad Å".encode("utf-16-le")
    bound = struct.pack("<BBBB", 0, 0, 6, 1) + title
    codepage = _record(0x42, struct.pack("<H", 1200))
    before = len(globals_begin + codepage + font * 4 + formats_) + 4 + 4 + len(bound) + len(end)
    stream = globals_begin + codepage + font * 4 + formats_
    stream += _record(0x85, struct.pack("<I", before) + bound) + end + sheet
    path.write_bytes(_compound("Workbook", stream.ljust(4096, b"\0")))
    return path


def _record(kind: int, body: bytes) -> bytes:
    return struct.pack("<HH", kind, len(body)) + body


def _compound(name: str, stream: bytes) -> bytes:
    """An OLE2 file with one stream of at least 4,096 bytes. Source: [MS-CFB]."""
    free, last, fat = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
    sectors = -(-len(stream) // 512)
    header = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, last, 0, last, 0) + struct.pack("<I", 0) + b"\xff" * 432
    chain = [fat, last, *range(3, 2 + sectors), last]
    table = struct.pack(f"<{len(chain)}I", *chain) + struct.pack("<I", free) * (128 - len(chain))

    def entry(title: str, kind: int, child: int, start: int, size: int) -> bytes:
        text = title.encode("utf-16-le") + b"\0\0" if title else b""
        return (
            text.ljust(64, b"\0")
            + struct.pack("<HBBIII", len(text), kind, 1, free, free, child)
            + bytes(36)
            + struct.pack("<IQ", start, size)
        )

    folder = entry("Root Entry", 5, 1, last, 0) + entry(name, 2, free, 2, len(stream))
    folder += 2 * entry("", 0, free, 0, 0)
    return header + table + folder + stream.ljust(sectors * 512, b"\0")


TREE: dict[str, bytes | None] = {
    "empty folder": None,
    "docs": None,
    "docs/naïve 日本.txt": "grüße\n".encode(),
    "docs/deep/er/data.bin": bytes(range(256)) * 500,
    "nothing": b"",
}
MODIFIED_S = 1_700_000_001  # odd on purpose: DOS times count in twos


def archive(path: Path, mime: str, tree: Mapping[str, bytes | None] = TREE) -> Path:
    """An archive of `tree`; None is a folder. Files are executable and dated."""
    if mime == "application/zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
            for name, data in tree.items():
                info = zipfile.ZipInfo(name + ("/" if data is None else ""), (2023, 11, 14, 22, 13, 20))
                info.external_attr = (0o40755 if data is None else 0o100755) << 16
                info.extra = struct.pack("<HHBi", 0x5455, 5, 1, MODIFIED_S)
                made.writestr(info, data or b"", zipfile.ZIP_DEFLATED)
    elif mime == "application/x-7z-compressed":
        import os

        import py7zr

        source = path.with_suffix(".tree")
        with py7zr.SevenZipFile(path, "w") as made_7z:
            for name, data in tree.items():
                held = source / name
                held.parent.mkdir(parents=True, exist_ok=True)
                if data is None:
                    held.mkdir(exist_ok=True)
                else:
                    held.write_bytes(data)
                    held.chmod(0o755)
                os.utime(held, (MODIFIED_S, MODIFIED_S))
                made_7z.write(held, name)
    else:
        with tarfile.open(path, "w:gz" if mime == "application/gzip" else "w") as made_tar:
            for name, data in tree.items():
                entry = tarfile.TarInfo(name)
                entry.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
                entry.size, entry.mode, entry.mtime = len(data or b""), 0o755, MODIFIED_S
                made_tar.addfile(entry, io.BytesIO(data or b""))
    return path


def unpack(path: Path, mime: str, into: Path) -> dict[str, bytes | None]:
    """What a plain unpacker makes of an archive."""
    into.mkdir()
    if mime == "application/x-7z-compressed":
        import py7zr

        with py7zr.SevenZipFile(path) as packed:
            packed.extractall(into)
    elif mime == "application/zip":
        with zipfile.ZipFile(path) as zipped:
            assert zipped.testzip() is None
            zipped.extractall(into)
    else:
        with tarfile.open(path, "r:gz" if mime == "application/gzip" else "r:") as tarred:
            tarred.extraction_filter = lambda member, path: member  # plain: newer Pythons would pick and choose
            tarred.extractall(into)
    return {str(found.relative_to(into)): None if found.is_dir() else found.read_bytes() for found in into.rglob("*")}


def font(path: Path, outlines: str) -> Path:
    """A font of three glyphs. outlines: "truetype" or "cff"."""
    from fontTools.fontBuilder import FontBuilder  # type: ignore[import-untyped]  # ships no types

    builder = FontBuilder(1000, isTTF=outlines == "truetype")
    glyphs = [".notdef", "A", "space"]
    builder.setupGlyphOrder(glyphs)
    builder.setupCharacterMap({65: "A", 32: "space"})
    if outlines == "truetype":
        from fontTools.pens.ttGlyphPen import TTGlyphPen  # type: ignore[import-untyped]  # ships no types

        drawn = {}
        for name in glyphs:
            pen = TTGlyphPen(None)
            if name == "A":
                _triangle(pen)
            drawn[name] = pen.glyph()
        builder.setupGlyf(drawn)
    else:
        from fontTools.pens.t2CharStringPen import T2CharStringPen  # type: ignore[import-untyped]  # ships no types

        strings = {}
        for name in glyphs:
            pen = T2CharStringPen(600, None)
            if name == "A":
                _triangle(pen)
            strings[name] = pen.getCharString()
        builder.setupCFF("MillTest-Regular", {"FullName": "Mill Test Regular"}, strings, {})
    builder.setupHorizontalMetrics({name: (600, 0) for name in glyphs})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Mill Test", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


def _triangle(pen: Any) -> None:
    pen.moveTo((0, 0))
    pen.lineTo((300, 700))
    pen.lineTo((600, 0))
    pen.closePath()
