"""Sheets and data: xlsx, xls, ods, csv, tsv, psv and JSON into each other, and into PDF, RTF, HTML and text.

Values travel, looks do not: numbers, booleans, dates, empty cells and the last computed value of a formula. From csv a
value gets a type only where none is lost by it: 007 and =1+1 stay text. xlsx, ods, PDF, RTF and HTML hold every sheet
unless `sheet` chooses one; csv, tsv, psv, JSON and text hold the first or the chosen one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from mediamill.core.errors import BadMedia, LimitExceeded
from mediamill.core.ports import Conversion, Missing, Pair
from mediamill.engines._sheet import Row, Sheet, chosen, typed_rows

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
XLS = "application/vnd.ms-excel"
ODS = "application/vnd.oasis.opendocument.spreadsheet"
CSV, TSV, PSV, JSON = "text/csv", "text/tab-separated-values", "text/x-psv", "application/json"
PDF, RTF, HTML, TEXT = "application/pdf", "application/rtf", "text/html", "text/plain"

READ = (XLSX, XLS, ODS, CSV, TSV, PSV, JSON)
WRITTEN = (XLSX, ODS, CSV, TSV, PSV, JSON, PDF, RTF, HTML, TEXT)
SHEETS = 1_000
_PACKAGES = (("python_calamine", "python-calamine"), ("xlrd", "xlrd"), ("typst", "typst"))


class Sheets:
    """Turns tables into others. `sheet`: a name, or a number from 1."""

    name = "sheets"

    def pairs(self) -> Mapping[Pair, int]:
        return {(given, wanted): 10 for given in READ for wanted in WRITTEN}

    def missing(self) -> Missing | None:
        for module, package in _PACKAGES:
            if find_spec(module) is None:
                return Missing(
                    reason=f"The package {package} is not installed.", remedy=f"Install it: pip install {package}."
                )
        return None

    def keys(self, pair: Pair) -> frozenset[str]:
        return frozenset({"sheet"}) if pair[0] in (XLSX, XLS, ODS) else frozenset()

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        from mediamill.engines._sheet_read import reading, sheets

        with reading():
            found = sheets(work.source, work.source_mime)
            if len(found) > SHEETS:
                raise LimitExceeded(f"The workbook has more than {SHEETS:,} sheets.")
            picked = chosen(found, work.settings.get("sheet"))
            return {"sheets": len(found), **_write([_reported(sheet, work) for sheet in picked], work)}


def _write(sheets: list[Sheet], work: Conversion) -> Mapping[str, Any]:
    """Send the sheets to the writer of the target; returns what it counted."""
    from mediamill.engines import _sheet_document, _sheet_ods, _sheet_pdf, _sheet_text, _sheet_xlsx

    if not sheets:
        raise BadMedia("The workbook has no sheet with cells.")
    target, wanted = work.target, work.target_mime
    if wanted == PDF:
        return _sheet_pdf.write_pdf(sheets, target, work.scratch)
    if wanted == XLSX:
        return {"rows": _sheet_xlsx.write(_typed(sheets), target)}
    if wanted == ODS:
        return {"rows": _sheet_ods.write(_typed(sheets), target)}
    if wanted == HTML:
        return {"rows": _sheet_document.write_html(sheets, target)}
    if wanted == RTF:
        return {"rows": _sheet_document.write_rtf(sheets, target)}
    [first, *_] = sheets
    if wanted == JSON:
        return {"rows": _sheet_text.write_json(first, target), "sheet": first.title}
    if wanted == TEXT:
        return {"rows": _sheet_document.write_text(first, target), "sheet": first.title}
    return {"rows": _sheet_text.write_delimited(first, target, wanted), "sheet": first.title}


def _typed(sheets: list[Sheet]) -> Iterator[tuple[str, Iterator[Row]]]:
    return ((sheet.title, typed_rows(sheet)) for sheet in sheets)


def _reported(sheet: Sheet, work: Conversion) -> Sheet:
    """The same sheet, telling where the work stands now and then."""

    def rows() -> Iterator[Row]:
        for number, row in enumerate(sheet.rows()):
            if number % 10_000 == 0:
                work.report("work")
            yield row

    return Sheet(title=sheet.title, rows=rows, written=sheet.written)


CONVERTER = Sheets()
