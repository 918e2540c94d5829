"""Write sheets as documents: HTML, RTF and plain text. The first row is the header."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from itertools import islice
from pathlib import Path

from mediamill.core.errors import LimitExceeded
from mediamill.engines._sheet import Row, Sheet, numeric, shown, table_rows

_SAMPLE_ROWS = 2_000
_WIDEST_CHARS = 60

_STYLE = (
    "body{font:14px/1.4 system-ui,sans-serif;margin:1.5rem;color:#1a1a1a;background:#fff}"
    "table{border-collapse:collapse;margin-bottom:2rem}"
    "th,td{border:1px solid #d0d0d0;padding:.25rem .6rem;text-align:left;vertical-align:top;white-space:pre-wrap}"
    "th{background:#f0f0f0;position:sticky;top:0}td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "tbody tr:nth-child(even){background:#fafafa}"
)


def write_html(sheets: list[Sheet], target: Path) -> int:
    """One page, one table a sheet; no script and nothing fetched."""
    count = 0
    with target.open("w", encoding="utf-8", errors="replace", newline="\n") as page:
        title = escape(sheets[0].title if sheets else "")
        page.write(f'<!doctype html>\n<html lang="und"><head><meta charset="utf-8"><title>{title}</title>')
        page.write(f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n<body>\n')
        for sheet in sheets:
            if len(sheets) > 1:
                page.write(f"<h2>{escape(sheet.title)}</h2>\n")
            rows = table_rows(sheet)
            header = next(rows, [])
            heads = "".join(f'<th scope="col">{escape(shown(cell))}</th>' for cell in header)
            page.write(f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n")
            count += 1
            for row in rows:
                cells = "".join(
                    f'<td class="n">{escape(shown(cell))}</td>' if numeric(cell) else f"<td>{escape(shown(cell))}</td>"
                    for cell in row + [None] * (len(header) - len(row))
                )
                page.write(f"<tr>{cells}</tr>\n")
                count += 1
            page.write("</tbody>\n</table>\n")
        page.write("</body></html>\n")
    return count


def write_text(sheet: Sheet, target: Path) -> int:
    """Columns set with spaces for a fixed-width font; the widths come from the first rows, longer cells push on."""
    widths = column_widths(sheet)
    count = 0
    with target.open("w", encoding="utf-8", errors="replace", newline="\n") as page:
        for row in table_rows(sheet):
            cells = []
            for at, cell in enumerate(row):
                text = " ".join(shown(cell).split())
                width = widths[at] if at < len(widths) else 0
                cells.append(text.rjust(width) if numeric(cell) else text.ljust(width))
            page.write("  ".join(cells).rstrip() + "\n")
            if not count:
                page.write("  ".join("-" * width for width in widths) + "\n")
            count += 1
    return count


def column_widths(sheet: Sheet) -> list[int]:
    """The characters of each column's longest line in the first rows, 1 to 60."""
    widths: list[int] = []
    for row in islice(table_rows(sheet), _SAMPLE_ROWS):
        widths += [1] * (len(row) - len(widths))
        for at, cell in enumerate(row):
            longest = max(map(len, shown(cell).splitlines()), default=0)
            widths[at] = max(widths[at], min(longest, _WIDEST_CHARS))
    return widths


_RTF_COLUMNS = 63
"""Word's own limit of cells in a table row."""
_A4_TWIPS, _MARGIN_TWIPS = (11906, 16838), 850


def write_rtf(sheets: list[Sheet], target: Path) -> int:
    """Tables for a word processor, the header repeated on every page; lying when it is wide. Raises LimitExceeded."""
    measured = [(sheet, column_widths(sheet)) for sheet in sheets]
    if any(len(widths) > _RTF_COLUMNS for _, widths in measured):
        raise LimitExceeded(f"A table in RTF has at most {_RTF_COLUMNS} columns.")
    lying = any(sum(widths) > 90 for _, widths in measured)
    width, height = reversed(_A4_TWIPS) if lying else _A4_TWIPS
    count = 0
    with target.open("w", encoding="ascii", newline="\n") as page:
        page.write(r"{\rtf1\ansi\ansicpg1252\deff0\uc1{\fonttbl{\f0\fswiss\fcharset0 Arial;}}")
        page.write(rf"{{\colortbl;\red240\green240\blue240;}}\paperw{width}\paperh{height}")
        margins = "".join(rf"\marg{side}{_MARGIN_TWIPS}" for side in "lrtb")
        page.write(margins + (r"\landscape" if lying else "") + "\\f0\\fs18\n")
        for sheet, widths in measured:
            if len(sheets) > 1:
                page.write(rf"{{\pard\sb240\sa120\b\fs24 {_rtf(sheet.title)}\par}}" + "\n")
            for number, line in enumerate(_rtf_rows(sheet, widths, width - 2 * _MARGIN_TWIPS), 1):
                page.write(line)
                count += number > 0
            page.write("\\pard\\par\n")
        page.write("}\n")
    return count


def _rtf_rows(sheet: Sheet, widths: list[int], room: int) -> Iterator[str]:
    total = sum(width + 2 for width in widths)
    edges, edge = [], 0
    for width in widths:
        edge += width + 2
        edges.append(room * edge // total)
    borders = "".join(rf"\clbrdr{side}\brdrs\brdrw5" for side in "tlbr")
    plain = "".join(rf"{borders}\cellx{edge}" for edge in edges)
    head = "".join(rf"{borders}\clcbpat1\cellx{edge}" for edge in edges)
    if not widths:
        return
    for number, row in enumerate(table_rows(sheet)):
        full: Row = row + [None] * (len(widths) - len(row))
        cells = "".join(
            rf"\pard\intbl\q{'r' if numeric(cell) else 'l'} {_rtf(shown(cell))}\cell" for cell in full[: len(widths)]
        )
        if number:
            yield rf"\trowd\trgaph70{plain}{cells}\row" + "\n"
        else:
            yield rf"\trowd\trgaph70\trhdr{head}\b{cells}\b0\row" + "\n"


def _rtf(text: str) -> str:
    """RTF 1.9: three signs are escaped, all beyond ASCII goes as signed 16-bit code units with a question mark."""
    made = []
    for char in text:
        if char in "\\{}":
            made.append("\\" + char)
        elif char == "\n":
            made.append(r"\line ")
        elif char == "\t":
            made.append(r"\tab ")
        elif " " <= char < "\x7f":
            made.append(char)
        elif char >= "\x80":
            units = char.encode("utf-16-le", "replace")
            for at in range(0, len(units), 2):
                made.append(rf"\u{int.from_bytes(units[at : at + 2], 'little', signed=True)}?")
    return "".join(made)
