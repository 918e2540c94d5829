"""Read csv, tsv, psv and JSON a row at a time: a million rows take no more memory than a hundred."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from mediamill.core.errors import BadMedia, LimitExceeded
from mediamill.engines._decode import encoding
from mediamill.engines._sheet import COLUMNS, Cell, Row, Sheet, shown, typed_rows

DELIMITERS = {"text/csv": ",", "text/tab-separated-values": "\t", "text/x-psv": "|"}
_FIELD_CHARS = 16 * 1024**2
_ELEMENT_CHARS = 64 * 1024**2
_BLOCK_CHARS = 256 * 1024


def delimited(path: Path, mime: str) -> list[Sheet]:
    """The one sheet of a delimited file, every cell text as written. Raises BadMedia when it is not text."""
    codec = encoding(path)
    with path.open(encoding=codec, newline="") as stream:
        try:
            head = stream.read(64 * 1024)
        except UnicodeDecodeError as error:
            raise BadMedia("The file is not text.") from error
    if "\0" in head:
        raise BadMedia("The file is not text.")
    named = re.match(r"sep=(.)\r?\n", head)  # Excel's own line for the delimiter; not part of the table
    delimiter = named.group(1) if named else DELIMITERS[mime]
    if mime == "text/csv" and not named:
        delimiter = _delimiter(head)

    def rows() -> Iterator[Row]:
        csv.field_size_limit(_FIELD_CHARS)
        with path.open(encoding=codec, newline="") as stream:
            if named:
                stream.readline()
            reader = csv.reader(stream, delimiter=delimiter, strict=False)
            try:
                for row in reader:
                    if len(row) > COLUMNS:
                        raise LimitExceeded(f"Line {reader.line_num} has more than {COLUMNS:,} columns.")
                    yield row  # type: ignore[misc]  # list[str] is read, never written to
            except csv.Error as error:
                raise BadMedia(f"Line {reader.line_num} cannot be read: a field does not end.") from error
            except UnicodeDecodeError as error:
                raise BadMedia("The file is not text in one encoding.") from error

    return [Sheet(title="Sheet1", rows=rows, written=True)]


def _delimiter(head: str) -> str:
    """Of comma, semicolon, tab and bar the one that parts most lines into the same number of fields."""
    lines = head.splitlines()
    if len(head) == 64 * 1024 and len(lines) > 1:
        lines.pop()  # cut short
    best, found = (0.0, 0.0), ","
    for candidate in ",;\t|":
        try:
            widths = [len(row) for row in csv.reader(lines[:200], delimiter=candidate) if row]
        except csv.Error:
            continue
        if not widths:
            continue
        usual = max(set(widths), key=widths.count)
        score = (widths.count(usual) / len(widths), float(usual))
        if usual > 1 and score > best:
            best, found = score, candidate
    return found


class _Elements:
    """The elements of a JSON file's outermost array, parsed one by one."""

    def __init__(self, path: Path, codec: str) -> None:
        self._stream = path.open(encoding=codec)
        self._text = ""
        self._at = 0
        self._done = False
        self._decoder = json.JSONDecoder(parse_constant=_constant)

    def __iter__(self) -> Iterator[Any]:
        with self._stream:
            if self._peek() != "[":
                raise BadMedia(NOT_A_TABLE)
            self._at += 1
            if self._peek() == "]":
                self._at += 1
            else:
                while True:
                    yield self._element()
                    sign = self._peek()
                    self._at += 1
                    if sign == "]":
                        break
                    if sign != ",":
                        self._fail()
            if self._peek():
                raise BadMedia("The JSON goes on after its end.")

    def _fail(self) -> NoReturn:
        raise BadMedia("The JSON is damaged or cut short.")

    def _more(self) -> bool:
        """Read on, dropping what is parsed; at least as much as is held, so that long elements stay linear."""
        held = self._text[self._at :]
        if len(held) > _ELEMENT_CHARS:
            raise LimitExceeded("One element of the JSON is longer than 64 MiB.")
        block = self._stream.read(max(_BLOCK_CHARS, len(held)))
        self._text, self._at, self._done = held + block, 0, not block
        return bool(block)

    def _peek(self) -> str:
        """The next sign that is not space, or "" at the end."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in " \t\r\n":
                    return self._text[self._at]
                self._at += 1
            if not self._more():
                return ""

    def _element(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # Far from the edge it is an error; near it, or in a string without an end, more text may mend it.
                early = error.pos < len(self._text) - 32 and not error.msg.startswith("Unterminated string")
                if early or not self._more():
                    self._fail()
                continue
            if end < len(self._text) or self._done:  # a number that touches the edge may go on behind it
                self._at = end
                return value
            if not self._more():
                self._at = len(self._text)
                return value


NOT_A_TABLE = "The JSON is not a table: it must be an array of objects, of arrays, or of plain values."


def _constant(name: str) -> NoReturn:
    raise BadMedia(f"The JSON holds {name}, which is not JSON.")


def _elements(path: Path, codec: str) -> Iterator[Any]:
    try:
        yield from _Elements(path, codec)
    except UnicodeDecodeError as error:
        raise BadMedia("The file is not text.") from error
    except RecursionError as error:
        raise BadMedia("The JSON is nested too deeply.") from error
    except ValueError as error:  # an integer of more digits than Python takes (4,300)
        raise BadMedia("The JSON holds a number that is too long.") from error


def tabular_json(path: Path) -> list[Sheet]:
    """The one sheet of a JSON array. Objects: a column for each key, in the order first seen; arrays: rows as they are.

    Nested values become JSON text. Reads the file once to know its columns. Raises BadMedia when it is not a table.
    """
    codec = encoding(path)
    if codec in ("cp1252", "latin-1"):
        raise BadMedia("The JSON is not in a Unicode encoding.")
    keys: dict[str, None] = {}
    shape: type | None = None
    for element in _elements(path, codec):
        found = dict if isinstance(element, dict) else list if isinstance(element, list) else str
        if shape not in (None, found):
            raise BadMedia(NOT_A_TABLE)
        shape = found
        if isinstance(element, dict):
            keys.update(dict.fromkeys(element))
            if len(keys) > COLUMNS:
                raise LimitExceeded(f"The JSON has more than {COLUMNS:,} different keys.")
        elif isinstance(element, list) and len(element) > COLUMNS:
            raise LimitExceeded(f"The JSON has a row of more than {COLUMNS:,} columns.")
    if shape is None:
        raise BadMedia("The JSON has no rows.")

    def rows() -> Iterator[Row]:
        if shape is dict:
            yield list(keys)
        if shape is str:
            yield ["value"]
        for element in _elements(path, codec):
            if isinstance(element, dict):
                yield [_cell(element.get(key)) for key in keys]
            elif isinstance(element, list):
                yield [_cell(value) for value in element]
            else:
                yield [_cell(element)]

    return [Sheet(title="Sheet1", rows=rows)]


def _cell(value: Any) -> Cell:
    if value is None or isinstance(value, str | int | float):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write_delimited(sheet: Sheet, target: Path, mime: str) -> int:
    """UTF-8; quoted only where needed; lines end as RFC 4180 says for csv, with a newline for the others."""
    ending = "\r\n" if mime == "text/csv" else "\n"
    number = 0
    with target.open("w", encoding="utf-8", errors="replace", newline="") as stream:
        writer = csv.writer(stream, delimiter=DELIMITERS[mime], lineterminator=ending)
        rows: Iterator[Row] = sheet.rows()
        if not sheet.written:
            rows = ([shown(cell) for cell in row] for row in rows)
        for number, row in enumerate(rows, 1):  # noqa: B007 - the last number is the count
            writer.writerow(row)
    return number


def write_json(sheet: Sheet, target: Path) -> int:
    """An array of objects, one a line; the first row names the keys."""
    encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=shown, allow_nan=False).encode
    with target.open("w", encoding="utf-8", errors="replace", newline="\n") as stream:
        rows = typed_rows(sheet)
        keys = unique(next((row for row in rows if any(cell not in (None, "") for cell in row)), []))
        stream.write("[")
        number = 0
        for number, row in enumerate(rows, 1):
            while len(row) > len(keys):
                keys = unique([*keys, None])
            row += [None] * (len(keys) - len(row))
            stream.write(("," if number > 1 else "") + "\n" + encode(dict(zip(keys, map(_plain, row), strict=True))))
        stream.write("\n]\n")
    return number


def _plain(cell: Cell) -> Any:
    return int(cell) if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1e15 else cell


def unique(names: Row) -> list[str]:
    """A key for each column: empty names by position, repeated ones numbered, so that no column is lost."""
    keys: dict[str, None] = {}
    for number, cell in enumerate(names, 1):
        name = shown(cell).strip() or f"column_{number}"
        key, again = name, 2
        while key in keys:
            key, again = f"{name}_{again}", again + 1
        keys[key] = None
    return list(keys)
