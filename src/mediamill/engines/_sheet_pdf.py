"""Set sheets as PDF with typst, in process: header on every page, long text wrapped, the page as wide as needed.

The cells reach typst as JSON data, never as markup, so nothing in a cell can be a command. Typst reads and writes no
network; its root is a folder of our own in scratch.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mediamill.core.errors import LimitExceeded, ToolFailed
from mediamill.engines._sheet import Sheet, numeric, shown, table_rows
from mediamill.engines._sheet_document import column_widths

ROWS, COLUMNS, CELLS, CELL_CHARS = 20_000, 200, 60_000, 10_000
"""typst holds some 16 kB for each cell it sets until the process ends: 60,000 cells are a gigabyte."""
_TAGGED_CELLS = 12_000
"""Tags, for screen readers, take 20 times the space of the text itself: 26 MB for 120,000 cells."""
_PAGES_MM = ((210, 297), (297, 210), (420, 297))
_CHAR_MM = 1.75  # of 9 pt text, on average
_MARGIN_MM = 15.0
_WIDEST_CHARS = 40

_TEMPLATE = """
#let book = json("book.json")
#set text(font: ("Noto Sans",), size: 9pt, fallback: true, hyphenate: false)
#set par(justify: false, leading: 0.5em)
#for (number, sheet) in book.enumerate() {
  set page(
    width: sheet.page.at(0) * 1mm, height: sheet.page.at(1) * 1mm, margin: (x: 15mm, top: 15mm, bottom: 17mm),
    footer: context {
      set text(size: 8pt, fill: luma(110))
      sheet.title
      h(1fr)
      str(here().page()) + " / " + str(counter(page).final().first())
    },
  )
  let cell(text, right) = table.cell(align: if right { end } else { start }, text)
  table(
    columns: sheet.widths.map(w => w * 1fr),
    stroke: 0.4pt + luma(200),
    inset: (x: 4pt, y: 3pt),
    fill: (x, y) => if y == 0 { luma(232) } else if calc.even(y) { luma(249) },
    table.header(..sheet.head.map(it => strong(it))),
    ..sheet.rows.map(row => row.map(it => cell(it.at(0), it.at(1)))).flatten(),
  )
}
"""


def write_pdf(sheets: list[Sheet], target: Path, scratch: Path) -> dict[str, Any]:
    """The sheets one after another, each from a new page. Raises LimitExceeded past 20,000 rows or 200 columns."""
    import typst

    room = scratch / "typst"
    room.mkdir()
    rows = cells = 0
    book: list[dict[str, Any]] = []
    for sheet in sheets:
        book.append(_data(sheet, ROWS - rows, CELLS - cells))
        rows += 1 + len(book[-1]["rows"])
        cells += len(book[-1]["widths"]) * (1 + len(book[-1]["rows"]))
    (room / "book.json").write_text(json.dumps(book), encoding="utf-8")
    (room / "main.typ").write_text(_TEMPLATE, encoding="utf-8")
    try:
        typst.compile(
            room / "main.typ",
            target,
            root=room,
            font_paths=_fonts(),
            ignore_system_fonts=True,
            format="pdf",
            pdf_tags=cells <= _TAGGED_CELLS,
        )
    except typst.TypstError as error:
        raise ToolFailed("The pages could not be set.", str(error)[-2000:]) from error
    return {"rows": rows}


def _fonts() -> list[Any]:
    from mediamill import fonts

    return [str(folder) for folder in fonts.folders()]


def _data(sheet: Sheet, rows_left: int, cells_left: int) -> dict[str, Any]:
    widths = [min(width, _WIDEST_CHARS) for width in column_widths(sheet)] or [1]
    if len(widths) > COLUMNS:
        raise LimitExceeded(f"A PDF of a sheet has at most {COLUMNS} columns.")
    rows: list[list[tuple[str, bool]]] = []
    for row in table_rows(sheet):
        if len(rows) >= rows_left or len(rows) * len(widths) >= cells_left:
            raise LimitExceeded(
                f"A PDF of sheets has at most {ROWS:,} rows and {CELLS:,} cells; choose one sheet, or another format."
            )
        cells = [(_text(shown(cell)), numeric(cell)) for cell in row[: len(widths)]]
        rows.append(cells + [("", False)] * (len(widths) - len(cells)))
    head = rows.pop(0) if rows else [("", False)]
    # A column is never narrower than a short word; what the page lacks, long columns give by wrapping.
    shares = [max(width, 3) + 2 for width in widths]
    return {
        "title": _settable(sheet.title),
        "page": _page_mm(sum(shares)),
        "widths": shares,
        "head": [text for text, _ in head],
        "rows": rows,
    }


def _text(text: str) -> str:
    """A cell's text, able to break: a zero-width space in every unbroken run, so that no column is overrun."""
    if len(text) > CELL_CHARS:
        raise LimitExceeded(f"A cell is longer than the {CELL_CHARS:,} characters that a PDF page takes well.")
    clean = _settable(text)
    if len(clean) <= 12:
        return clean
    made, run = [], 0
    for char in clean:
        run = 0 if char.isspace() else run + 1
        made.append(char)
        if run == 12:
            made.append("\u200b")
            run = 0
    return "".join(made)


def _settable(text: str) -> str:
    """Without what no page can show, and typst does not read: controls, and halves of characters."""
    return "".join(
        char if (char >= " " and not "\ud800" <= char <= "\udfff") or char in "\n\t" else "\ufffd" for char in text
    )


def _page_mm(chars: int) -> tuple[float, float]:
    """A4 upright, A4 lying, A3 lying, or as wide as it takes."""
    wanted = chars * _CHAR_MM + 2 * _MARGIN_MM
    for width, height in _PAGES_MM:
        if wanted <= width:
            return width, height
    return max(wanted, _PAGES_MM[-1][0]), _PAGES_MM[-1][1]
