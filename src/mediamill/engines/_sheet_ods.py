"""Read and write ods, one row at a time.

Source: OASIS Open Document Format 1.3, part 3: sections 9.1 (tables) and 19.387 (value types).
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import IO, Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from mediamill.core.errors import BadMedia, LimitExceeded
from mediamill.engines._sheet import COLUMNS, ROWS, Cell, Row, Sheet, numbered

_CELLS = 30_000_000
_TABLE = "urn:oasis:names:tc:opendocument:xmlns:table:1.0 "
_OFFICE = "urn:oasis:names:tc:opendocument:xmlns:office:1.0 "
_TEXT = "urn:oasis:names:tc:opendocument:xmlns:text:1.0 "
_BLOCK = 256 * 1024
_MIDNIGHT = datetime(2000, 1, 1)  # noqa: DTZ001 - any day will do, spreadsheets have no zones


def read(path: Path) -> list[Sheet]:
    """Every table of the spreadsheet."""
    titles: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == _TABLE + "table":
            titles.append(attributes.get(_TABLE + "name") or f"Sheet{len(titles) + 1}")

    def reader(number: int) -> Callable[[], Iterator[Row]]:
        return lambda: _Table(number).rows(path)

    parser = _parser()
    parser.StartElementHandler = start
    for _ in _fed(parser, path):
        pass
    return [Sheet(title=title, rows=reader(number)) for number, title in enumerate(titles)]


def _parser() -> Any:
    """An expat parser that takes no document type, so that no entity can be defined."""
    parser: Any = expat.ParserCreate(namespace_separator=" ")

    def refuse(*_: object) -> None:
        raise BadMedia("The workbook's XML defines a document type, which is never read.")

    parser.StartDoctypeDeclHandler = refuse
    parser.buffer_text = True
    return parser


def _fed(parser: Any, path: Path) -> Iterator[None]:
    """Feed the content, giving way after each block."""
    try:
        with zipfile.ZipFile(path) as parts, parts.open("content.xml") as content:
            while block := content.read(_BLOCK):
                parser.Parse(block, False)
                yield
            parser.Parse(b"", True)
            yield
    except (expat.ExpatError, KeyError, zipfile.BadZipFile) as error:
        raise BadMedia("The workbook is damaged or cut short.") from error


class _Table:
    """The rows of one table, gathered while its XML goes by."""

    def __init__(self, number: int) -> None:
        self._wanted = number
        self._number = -1
        self._depth = 0  # of tables: a cell may hold another
        self._ready: list[Row] = []
        self._row: Row = []
        self._row_repeat = self._column_repeat = 1
        self._empty_columns = self._empty_rows = self._count = self._cells = 0
        self._attributes: dict[str, str] | None = None  # of the open cell
        self._paragraphs: list[str] = []
        self._skipped = 0  # depth inside an annotation
        self.done = False

    def rows(self, path: Path) -> Iterator[Row]:
        parser = _parser()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._text
        for _ in _fed(parser, path):
            ready, self._ready = self._ready, []
            yield from ready
            if self.done:
                return

    @property
    def _inside(self) -> bool:
        return self._number == self._wanted and self._depth == 1 and not self.done

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._attributes is not None:
            self._start_inline(name, attributes)
        elif name == _TABLE + "table":
            self._number += 1
            self._depth += 1
        elif not self._inside:
            return
        elif name == _TABLE + "table-row":
            self._row, self._empty_columns = [], 0
            self._row_repeat = _repeat(attributes, "number-rows-repeated")
        elif name in (_TABLE + "table-cell", _TABLE + "covered-table-cell"):
            self._attributes, self._paragraphs = attributes, []
            self._column_repeat = _repeat(attributes, "number-columns-repeated")

    def _start_inline(self, name: str, attributes: dict[str, str]) -> None:
        if self._skipped or name in (_OFFICE + "annotation", _TABLE + "table"):
            self._skipped += 1
        elif name == _TEXT + "p":
            self._paragraphs.append("")
        elif not self._paragraphs:
            return
        elif name == _TEXT + "s":
            self._paragraphs[-1] += " " * min(_repeat(attributes, "c", _TEXT), 32_767)
        elif name == _TEXT + "tab":
            self._paragraphs[-1] += "\t"
        elif name == _TEXT + "line-break":
            self._paragraphs[-1] += "\n"

    def _text(self, text: str) -> None:
        if self._attributes is not None and self._paragraphs and not self._skipped:
            self._paragraphs[-1] += text

    def _end(self, name: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif name in (_TABLE + "table-cell", _TABLE + "covered-table-cell"):
            self._end_cell()
        elif self._attributes is not None:
            return
        elif name == _TABLE + "table":
            if self._inside:
                self.done = True
            self._depth -= 1
        elif name == _TABLE + "table-row" and self._inside:
            self._end_row()

    def _end_cell(self) -> None:
        if self._attributes is None:
            return
        value = _value(self._attributes, self._paragraphs)
        self._attributes = None
        if value is None:
            self._empty_columns += self._column_repeat
            return
        width = len(self._row) + self._empty_columns + self._column_repeat
        if width > COLUMNS:
            raise LimitExceeded(f"A row has more than {COLUMNS:,} columns.")
        self._row += [None] * self._empty_columns + [value] * self._column_repeat
        self._empty_columns = 0

    def _end_row(self) -> None:
        """Programs end a sheet with a million empty rows in one element: they count only before one with cells."""
        if not self._row:
            self._empty_rows += self._row_repeat
            return
        repeat = self._empty_rows + self._row_repeat
        self._count += repeat
        self._cells += len(self._row) * self._row_repeat
        if self._count > ROWS or self._cells > _CELLS:
            raise LimitExceeded(f"A sheet has more than {ROWS:,} rows or {_CELLS:,} cells.")
        self._ready += [[] for _ in range(self._empty_rows)]
        self._ready += [list(self._row) for _ in range(self._row_repeat)] if self._row_repeat > 1 else [self._row]
        self._empty_rows = 0


def _repeat(attributes: dict[str, str], name: str, space: str = _TABLE) -> int:
    given = attributes.get(space + name, "1")
    if not re.fullmatch(r"\d{1,9}", given):
        raise BadMedia("The workbook is damaged: a count is not a number.")
    return max(int(given), 1)


def _value(attributes: dict[str, str], paragraphs: list[str]) -> Cell:
    kind = attributes.get(_OFFICE + "value-type")
    text = "\n".join(paragraphs)
    if kind in ("float", "percentage", "currency"):
        number = float(attributes[_OFFICE + "value"])
        return int(number) if number.is_integer() and abs(number) < 1e15 else number
    if kind == "boolean":
        return attributes[_OFFICE + "boolean-value"] == "true"
    if kind == "date":
        given = attributes[_OFFICE + "date-value"]
        return date.fromisoformat(given) if len(given) == 10 else datetime.fromisoformat(given)
    if kind == "time":
        return _clock(attributes[_OFFICE + "time-value"])
    return attributes.get(_OFFICE + "string-value", text) or None


_SPAN = re.compile(r"(-?)PT?(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})(?:\.(\d+))?S)?")


def _clock(given: str) -> Cell:
    """PT10H30M00S: a time of day below 24 hours, a duration above."""
    found = _SPAN.fullmatch(given)
    if not found:
        return given
    sign, hours, minutes, seconds, fraction = found.groups()
    micro = int((fraction or "").ljust(6, "0")[:6])
    span = timedelta(hours=int(hours or 0), minutes=int(minutes or 0), seconds=int(seconds or 0), microseconds=micro)
    if sign or span >= timedelta(days=1):
        return -span if sign else span
    return (_MIDNIGHT + span).time()


_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<office:document-content'
    ' xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
    ' xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
    ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    ' xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0"'
    ' xmlns:number="urn:oasis:names:tc:opendocument:xmlns:datastyle:1.0" office:version="1.3">'
    "<office:automatic-styles>"
    '<number:date-style style:name="D"><number:year number:style="long"/><number:text>-</number:text>'
    '<number:month number:style="long"/><number:text>-</number:text><number:day number:style="long"/>'
    "</number:date-style>"
    '<number:date-style style:name="M"><number:year number:style="long"/><number:text>-</number:text>'
    '<number:month number:style="long"/><number:text>-</number:text><number:day number:style="long"/>'
    '<number:text> </number:text><number:hours number:style="long"/><number:text>:</number:text>'
    '<number:minutes number:style="long"/><number:text>:</number:text><number:seconds number:style="long"/>'
    "</number:date-style>"
    '<number:time-style style:name="T" number:truncate-on-overflow="false"><number:hours number:style="long"/>'
    '<number:text>:</number:text><number:minutes number:style="long"/><number:text>:</number:text>'
    '<number:seconds number:style="long"/></number:time-style>'
    '<style:style style:name="cD" style:family="table-cell" style:data-style-name="D"/>'
    '<style:style style:name="cM" style:family="table-cell" style:data-style-name="M"/>'
    '<style:style style:name="cT" style:family="table-cell" style:data-style-name="T"/>'
    "</office:automatic-styles><office:body><office:spreadsheet>"
)
_TAIL = "</office:spreadsheet></office:body></office:document-content>"
_MIME = "application/vnd.oasis.opendocument.spreadsheet"
_MANIFEST = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0" manifest:version="1.3">'
    f'<manifest:file-entry manifest:full-path="/" manifest:version="1.3" manifest:media-type="{_MIME}"/>'
    '<manifest:file-entry manifest:full-path="content.xml" manifest:media-type="text/xml"/>'
    "</manifest:manifest>"
)
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")  # no XML 1.0 document may hold these


def write(sheets: Iterator[tuple[str, Iterator[Row]]], target: Path) -> int:
    """A spreadsheet of the named sheets; returns how many rows it has. Text is never a formula: it has no formula."""
    count = 0
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as parts:
        parts.writestr("mimetype", _MIME, zipfile.ZIP_STORED)  # first and stored, so that the type is seen at once
        parts.writestr("META-INF/manifest.xml", _MANIFEST)
        with parts.open("content.xml", "w", force_zip64=True) as content:
            content.write(_HEAD.encode())
            for title, rows in sheets:
                count += _write_table(content, title, rows)
            content.write(_TAIL.encode())
    return count


def _write_table(content: IO[bytes], title: str, rows: Iterator[Row]) -> int:
    content.write(f"<table:table table:name={quoteattr(_clean(title))}><table:table-column/>".encode())
    count = 0
    for count, row in numbered(rows):  # noqa: B007 - how many there were, once they are over
        cells = "".join(map(_cell, row)) or "<table:table-cell/>"
        content.write(f"<table:table-row>{cells}</table:table-row>".encode("utf-8", "replace"))
    if not count:
        content.write(b"<table:table-row><table:table-cell/></table:table-row>")
    content.write(b"</table:table>")
    return count


def _cell(cell: Cell) -> str:
    if cell is None or cell == "":
        return "<table:table-cell/>"
    if isinstance(cell, str):
        return f'<table:table-cell office:value-type="string">{_paragraphs(cell)}</table:table-cell>'
    if isinstance(cell, bool):
        value = "true" if cell else "false"
        return f'<table:table-cell office:value-type="boolean" office:boolean-value="{value}"/>'
    if isinstance(cell, int | float):
        if abs(cell) >= 1e15 and isinstance(cell, int):
            return _cell(str(cell))
        return f'<table:table-cell office:value-type="float" office:value="{cell!r}"/>'
    if isinstance(cell, datetime):
        return _dated("cM", "date", cell.replace(tzinfo=None).isoformat())
    if isinstance(cell, date):
        return _dated("cD", "date", cell.isoformat())
    span = cell if isinstance(cell, timedelta) else _since_midnight(cell)
    seconds = abs(span.total_seconds())
    sign = "-" if span < timedelta() else ""
    return _dated(
        "cT", "time", f"{sign}PT{int(seconds) // 3600:02}H{int(seconds) // 60 % 60:02}M{round(seconds % 60, 6):09.6f}S"
    )


def _since_midnight(clock: time) -> timedelta:
    return datetime.combine(_MIDNIGHT, clock.replace(tzinfo=None)) - _MIDNIGHT


def _dated(style: str, kind: str, value: str) -> str:
    return f'<table:table-cell table:style-name="{style}" office:value-type="{kind}" office:{kind}-value="{value}"/>'


def _paragraphs(text: str) -> str:
    """Lines as paragraphs; runs of spaces and tabs as elements, because XML readers fold them."""
    made = []
    for line in _clean(text).replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        line = escape(line)
        if "  " in line or line[:1] == " " or line[-1:] == " ":
            line = re.sub(" {2,}|^ | $", lambda run: f'<text:s text:c="{len(run.group())}"/>', line)
        made.append("<text:p>" + line.replace("\t", "<text:tab/>") + "</text:p>")
    return "".join(made)


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\ufffd", text)
