"""What sheets are made of here: a book of named sheets whose rows are read again and again, one row at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import dropwhile

from mediamill.core.errors import BadMedia, LimitExceeded

Cell = str | int | float | bool | date | datetime | time | timedelta | None
Row = list[Cell]

ROWS, COLUMNS, CELL_CHARS = 1_048_576, 16_384, 32_767
"""What a sheet and a cell hold in xlsx, and so in every program; ods writers keep to the same rows and columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One sheet. `rows()` starts from the top each time; rows may differ in length.

    written: the cells are text whose types nobody has named (csv); `typed` guesses them.
    """

    title: str
    rows: Callable[[], Iterator[Row]]
    written: bool = False


def chosen(sheets: Sequence[Sheet], wanted: str | int | None) -> list[Sheet]:
    """The sheet asked for by number from 1 or by name, or all. Raises BadMedia with the names there are."""
    if wanted is None:
        return list(sheets)
    for number, sheet in enumerate(sheets, 1):
        if wanted in (sheet.title, number):
            return [sheet]
    names = ", ".join(repr(sheet.title) for sheet in sheets[:20])
    raise BadMedia(f"There is no sheet {wanted!r}; the file has {names}.")


# Fifteen digits are what a double holds exactly, and what spreadsheets keep. A leading zero is a code, not a number
# (007, 01069); a leading plus is a telephone.
_INTEGER = re.compile(r"(?:0|-?[1-9]\d{0,14})")
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d*)\.\d+")
_EXPONENT = re.compile(r"-?[1-9](?:\.\d{1,14})?[eE][+-]?\d{1,2}")
_DATE = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?)?")
_BOOLEANS = {"true": True, "false": False}


def numbered(rows: Iterator[Row]) -> Iterator[tuple[int, Row]]:
    """Rows to be written, numbered from 1. Raises LimitExceeded at what no sheet holds."""
    for number, row in enumerate(rows, 1):
        if number > ROWS or len(row) > COLUMNS:
            raise LimitExceeded(f"A sheet holds at most {ROWS:,} rows and {COLUMNS:,} columns.")
        yield number, row


def typed(text: str) -> Cell:
    """The value that a piece of text surely stands for; text when in doubt: nothing may be lost by the guess."""
    if not text:
        return None
    if not "-" <= text[0] <= "9":
        return _BOOLEANS.get(text.lower(), text) if len(text) <= 5 else text
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and len(text.strip("-0.").replace(".", "")) <= 15:
        return float(text)
    if _DATE.fullmatch(text):
        return _dated(text)
    if _EXPONENT.fullmatch(text):
        return float(text)
    return text


def _dated(text: str) -> Cell:
    try:
        return date.fromisoformat(text) if len(text) == 10 else datetime.fromisoformat(text)
    except ValueError:
        return text


def table_rows(sheet: Sheet) -> Iterator[Row]:
    """The rows from the first that holds anything: there a table has its header."""
    return dropwhile(lambda row: all(cell is None or cell == "" for cell in row), sheet.rows())


def typed_rows(sheet: Sheet) -> Iterator[Row]:
    """The rows with their types, guessed where the source had none."""
    if not sheet.written:
        return sheet.rows()
    return ([typed(cell) if isinstance(cell, str) else cell for cell in row] for row in sheet.rows())


def shown(cell: Cell) -> str:
    """A cell as text: ISO 8601 dates and times, TRUE and FALSE, numbers without a needless point."""
    if isinstance(cell, str):
        return cell
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "TRUE" if cell else "FALSE"
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else repr(cell)
    if isinstance(cell, int):
        return str(cell)
    if isinstance(cell, timedelta):
        return _lasting(cell)
    return cell.isoformat()


def _lasting(span: timedelta) -> str:
    """Hours, minutes, seconds, as spreadsheets show a duration: 30:00:00."""
    seconds, sign = (span.total_seconds(), "") if span >= timedelta() else (-span.total_seconds(), "-")
    whole = int(seconds)
    tail = f"{seconds - whole:.3f}".lstrip("0").rstrip("0").rstrip(".")
    return f"{sign}{whole // 3600:02}:{whole // 60 % 60:02}:{whole % 60:02}{tail}"


def numeric(cell: Cell) -> bool:
    """Whether a cell is set at the right: a number, or text that is one."""
    if isinstance(cell, str):
        return bool(_INTEGER.fullmatch(cell) or _DECIMAL.fullmatch(cell))
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def column(number: int) -> str:
    """The letters of a column, from 0: A, …, Z, AA."""
    letters = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
