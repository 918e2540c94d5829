"""Read workbooks: xlsx by calamine, xls by xlrd, ods by a reader of our own.

calamine reads 140,000 rows a second where openpyxl reads 14,000, but it keeps a sheet as a full rectangle, so the
corners are looked up first. Its xls reader is not used: a damaged file makes it ask for 640 GB and abort the process;
xlrd raises an error. xls ends at 65,536 rows, so speed matters less there.
"""

from __future__ import annotations

import errno
import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, time
from pathlib import Path
from typing import Any

from mediamill.core.errors import BadMedia, Failed, LimitExceeded
from mediamill.engines._sheet import Cell, Row, Sheet
from mediamill.engines._sheet_text import DELIMITERS, delimited, tabular_json

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLS = "application/vnd.ms-excel"
ODS = "application/vnd.oasis.opendocument.spreadsheet"

UNPACKED_BYTES = 1024**3
PARTS = 20_000
RATIO = 200
RATIO_FROM_BYTES = 10 * 1024**2
CELLS = 30_000_000
"""Most cells of one sheet, counted over its whole rectangle: about a gigabyte while it is read."""

LOCKED = "The workbook is protected by a password; send it unlocked."
DAMAGED = "The workbook is damaged or cut short."
_BLOCK = 4 * 1024**2


def sheets(path: Path, mime: str) -> list[Sheet]:
    """Every sheet of the file, in order. Raises BadMedia and LimitExceeded, also while rows are read."""
    with reading():
        if mime in DELIMITERS:
            return delimited(path, mime)
        if mime == "application/json":
            return tabular_json(path)
        if mime == XLS:
            return _xls(path)
        if mime == ODS:
            from mediamill.engines._sheet_ods import read

            _guard(path, mime)
            return read(path)
        _guard(path, mime)
        return _xlsx(path)


@contextmanager
def reading() -> Iterator[None]:
    """Name what readers raise on damaged input."""
    try:
        yield
    except Failed:
        raise
    except OSError as error:
        if error.errno != errno.EINVAL:  # zipfile seeks to where a damaged index points, before the file too
            raise
        raise BadMedia(DAMAGED) from error
    except MemoryError as error:
        raise LimitExceeded("The workbook asks for more memory than a task may have.") from error
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, NotImplementedError, RecursionError) as error:
        raise BadMedia(DAMAGED) from error
    except (LookupError, ValueError, ArithmeticError, AssertionError, TypeError, AttributeError) as error:
        raise BadMedia(DAMAGED) from error


def _guard(path: Path, mime: str) -> None:
    """Unpack every part once, keeping nothing, before a reader that trusts sizes sees the file."""
    with path.open("rb") as stream:
        head = stream.read(8)
        if head == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":  # an OLE file under this type is Office's wrapping of a lock
            raise BadMedia(LOCKED)
    total = 0
    with zipfile.ZipFile(path) as parts:
        infos = parts.infolist()
        if len(infos) > PARTS:
            raise LimitExceeded("The workbook has too many parts.")
        for info in infos:
            total += _guard_part(parts, info, mime, UNPACKED_BYTES - total)
        manifest = "META-INF/manifest.xml"
        if mime == ODS and manifest in parts.namelist() and b"encryption-data" in parts.read(manifest):
            raise BadMedia(LOCKED)


def _guard_part(parts: zipfile.ZipFile, info: zipfile.ZipInfo, mime: str, most: int) -> int:
    """How large a part is once unpacked, of `most` bytes that are left to the workbook."""
    if info.flag_bits & 0x1:
        raise BadMedia(LOCKED)
    size = 0
    corners = _Corners() if mime == XLSX and info.filename.startswith("xl/worksheets/") else None
    with parts.open(info) as part:
        while block := part.read(_BLOCK):
            size += len(block)
            if size > most:
                raise LimitExceeded("The workbook unpacks to more than 1 GiB.")
            if size > RATIO_FROM_BYTES and size > RATIO * max(info.compress_size, 1):
                raise LimitExceeded(f"A part of the workbook unpacks to more than {RATIO} times its size.")
            if corners:
                corners.see(block)
    if corners and corners.cells > CELLS:
        raise LimitExceeded(f"A sheet spans more than {CELLS:,} cells, empty ones counted.")
    return size


class _Corners:
    """The rectangle that the cells of a sheet's XML span."""

    _REFERENCE = re.compile(rb"""\br\s*=\s*["']([A-Za-z]{1,3})(\d{1,10})""")

    def __init__(self) -> None:
        self._tail = b""
        self._columns = self._rows = 0

    def see(self, block: bytes) -> None:
        found = self._REFERENCE.findall(self._tail + block)
        self._tail = block[-32:]
        if found:
            letters, rows = zip(*found, strict=True)
            self._columns = max(self._columns, *map(_column_number, set(letters)))
            self._rows = max(self._rows, int(max(rows, key=_by_value)))

    @property
    def cells(self) -> int:
        return self._columns * self._rows


def _by_value(digits: bytes) -> tuple[int, bytes]:
    return len(digits), digits


def _column_number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + letter - 64
    return number


def _xlsx(path: Path) -> list[Sheet]:
    import python_calamine as calamine

    with _calamine():
        book = calamine.CalamineWorkbook.from_path(str(path))
        metadata = book.sheets_metadata

    def reader(title: str) -> Any:
        def rows() -> Iterator[Row]:
            with _calamine():
                sheet = book.get_sheet_by_name(title)
                left = sheet.start[1] if sheet.start else 0
                for row in sheet.iter_rows():
                    yield [None] * left + _trimmed(row)

        return rows

    return [
        Sheet(title=sheet.name, rows=reader(sheet.name))
        for sheet in metadata
        if sheet.typ == calamine.SheetTypeEnum.WorkSheet
    ]


def _trimmed(row: list[Any]) -> Row:
    """A row of calamine's: "" is its empty cell, every number a float, a date without a time sometimes a datetime."""
    cells: Row = [None if cell == "" else cell if type(cell) is str else _plain(cell) for cell in row]
    while cells and cells[-1] is None:
        cells.pop()
    return cells


def _plain(cell: Cell) -> Cell:
    if type(cell) is float:
        return int(cell) if cell.is_integer() and abs(cell) < 1e15 else cell
    if type(cell) is datetime and cell.time() == time():
        return cell.date()
    return cell


@contextmanager
def _calamine() -> Iterator[None]:
    """Name what calamine raises; a panic of its Rust code comes as a BaseException that has no importable class."""
    import python_calamine as calamine

    try:
        yield
    except calamine.PasswordError as error:
        raise BadMedia(LOCKED) from error
    except (calamine.CalamineError, calamine.XmlError, calamine.ZipError, OSError) as error:
        raise BadMedia(DAMAGED) from error
    except BaseException as error:
        if type(error).__name__ == "PanicException":
            raise BadMedia(DAMAGED) from error
        raise


def _xls(path: Path) -> list[Sheet]:
    import xlrd  # type: ignore[import-untyped]  # ships no types

    data = path.read_bytes()
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise BadMedia(LOCKED)
    try:
        book = xlrd.open_workbook(file_contents=data, logfile=io.StringIO(), on_demand=True, ragged_rows=True)
    except (xlrd.XLRDError, xlrd.compdoc.CompDocError) as error:
        raise BadMedia(LOCKED if "encrypted" in str(error) else DAMAGED) from error

    def reader(number: int) -> Any:
        def rows() -> Iterator[Row]:
            with reading():
                try:
                    sheet = book.sheet_by_index(number)
                except (xlrd.XLRDError, xlrd.compdoc.CompDocError) as error:
                    raise BadMedia(DAMAGED) from error
                for at in range(sheet.nrows):
                    yield [_xls_cell(cell, book.datemode) for cell in sheet.row(at)]

        return rows

    return [Sheet(title=title, rows=reader(number)) for number, title in enumerate(book.sheet_names())]


def _xls_cell(cell: Any, datemode: int) -> Cell:
    import xlrd

    value = cell.value
    if cell.ctype == xlrd.XL_CELL_TEXT:
        return str(value) or None
    if cell.ctype == xlrd.XL_CELL_NUMBER:
        return _plain(float(value))
    if cell.ctype == xlrd.XL_CELL_BOOLEAN:
        return bool(value)
    if cell.ctype == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(value, "#N/A"))
    if cell.ctype == xlrd.XL_CELL_DATE:
        try:
            moment: datetime = xlrd.xldate.xldate_as_datetime(value, datemode)
        except (OverflowError, ValueError):
            return float(value)
        return moment.time() if 0 <= value < 1 else _plain(moment)
    return None
