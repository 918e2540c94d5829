"""Charts on slides as tables of their numbers. Pandoc leaves a mark where each stood, and nothing else.

Source: ECMA-376-1, 21.2 (DrawingML charts): every chart keeps a copy of the cells that it shows.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from mediamill.engines import _document_files as files
from mediamill.engines import _document_tree as trees

_CHART = "{http://schemas.openxmlformats.org/drawingml/2006/chart}"
_TEXT = "{http://schemas.openxmlformats.org/drawingml/2006/main}t"
_SLIDE = "{http://schemas.openxmlformats.org/presentationml/2006/main}sldId"
_ID = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_DECK = "ppt/presentation.xml"
_MARK = "[Graphic: other: "
"""How pandoc's text for a graphic on a slide begins."""
_MOST_CHARTS, _MOST_CELLS = 500, 5_000
_SAID = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')
"""What a format says word for word, and conditions and colours."""
_FIRST_DAY = datetime(1899, 12, 30)  # noqa: DTZ001 - days of a sheet are nowhere


@dataclass(frozen=True, slots=True)
class _Chart:
    """What a chart says: rows of cells, the first of which names the columns."""

    title: str
    rows: list[list[str]]


def fill(tree: trees.Tree, source: Path) -> None:
    """Put the numbers of each chart where pandoc marked it, if as many are marked as there are."""
    marked = sum(_marks(node) for node in trees.nodes(tree))
    parts = _parts(source) if marked else []
    known = {part: _read(source, part) for part in dict.fromkeys(parts)} if len(parts) == marked else {}
    charts = iter([known[part] for part in parts] if known else [None] * marked)
    stack: list[Any] = [tree["blocks"]]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            stack.append(item.get("c"))
        elif isinstance(item, list):
            item[:] = [made for child in item for made in _filled(child, charts)]
            stack.extend(child for child in reversed(item) if isinstance(child, dict | list))


def _marks(node: Any) -> int:
    """How many charts a paragraph stands for."""
    if not isinstance(node, dict) or node.get("t") not in ("Para", "Plain"):
        return 0
    return sum(_is_mark(part) for part in node["c"])


def _is_mark(part: trees.Node) -> bool:
    return part["t"] == "Str" and bool(part["c"].startswith(_MARK) and part["c"].endswith("/chart]"))


def _filled(child: Any, charts: Iterator[_Chart | None]) -> Iterator[Any]:
    """What stands for a child of some list: the child itself, but for what pandoc says of graphics."""
    if not _marks(child):
        if isinstance(child, dict) and child.get("t") == "Str" and child["c"].startswith(_MARK):
            child = {"t": "Str", "c": "[Graphic]"}
        yield child
        return
    for _ in range(_marks(child)):
        chart = next(charts)
        if chart is None:
            yield trees.paragraph("[Chart]")
            continue
        if chart.title:
            yield {"t": "Para", "c": [{"t": "Strong", "c": trees.inlines(chart.title)}]}
        cells = [[[{"t": "Plain", "c": trees.inlines(cell)}] if cell else [] for cell in row] for row in chart.rows]
        yield trees.table(cells, header=True)


def _parts(source: Path) -> list[str]:
    """The names of the charts' parts of the package, in the order in which they are shown."""
    slides = _leads(source, _DECK)
    made: list[str] = []
    for slide in _xml(source, _DECK).iter(_SLIDE):
        part = slides.get(slide.get(_ID, ""), "")
        leads = _leads(source, part)
        made += [leads.get(chart.get(_ID, ""), "") for chart in _xml(source, part).iter(f"{_CHART}chart")]
    return made[:_MOST_CHARTS]


def _leads(source: Path, part: str) -> Mapping[str, str]:
    """The parts that a part of the package refers to, by the names it gives them."""
    folder, name = posixpath.split(part)
    return {
        one.get("Id", ""): posixpath.normpath(posixpath.join(folder, one.get("Target", ""))).lstrip("/")
        for one in _xml(source, f"{folder}/_rels/{name}.rels")
    }


def _xml(source: Path, part: str) -> ElementTree.Element:
    """A part of the package; an empty element where there is none, or none that is sound."""
    data = files.read_entry(source, part, files.MAX_MARKUP_BYTES)
    with suppress(ElementTree.ParseError):
        if data is not None and b"<!DOCTYPE" not in data[:4096] and b"<!ENTITY" not in data:
            return ElementTree.fromstring(data)  # noqa: S314 - no DTD, so nothing to expand
    return ElementTree.Element("none")


def _read(source: Path, part: str) -> _Chart | None:
    """None where a chart keeps no cells."""
    root = _xml(source, part)
    title = root.find(f"{_CHART}chart/{_CHART}title")
    names: dict[int, str] = {}
    columns: list[tuple[str, Mapping[int, str]]] = []
    for series in root.iter(f"{_CHART}ser"):
        for kind in ("cat", "xVal"):
            names = _cells(series.find(f"{_CHART}{kind}")) | names
        for kind in ("val", "yVal", "bubbleSize"):
            if cells := _cells(series.find(f"{_CHART}{kind}")):
                columns.append((" ".join(_cells(series.find(f"{_CHART}tx")).values()), cells))
    rows = sorted({at for _, cells in columns for at in cells} | names.keys())
    if not columns or len(rows) * len(columns) > _MOST_CELLS:
        return None
    return _Chart(
        title="" if title is None else " ".join("".join(text.text or "" for text in title.iter(_TEXT)).split()),
        rows=[
            ["", *(name for name, _ in columns)],
            *([names.get(at, ""), *(cells.get(at, "") for _, cells in columns)] for at in rows),
        ],
    )


def _cells(told: ElementTree.Element | None) -> dict[int, str]:
    """The cells of a row or column that a chart shows; of several levels of names, the nearest."""
    if told is None:
        return {}
    level = told.find(f".//{_CHART}lvl")
    form = told.findtext(f".//{_CHART}formatCode") or ""
    made: dict[int, str] = {}
    for point in (told if level is None else level).iter(f"{_CHART}pt"):
        at = point.get("idx", "")
        if at.isascii() and at.isdigit() and len(at) < 7:
            made[int(at)] = _shown(" ".join((point.findtext(f"{_CHART}v") or "").split()), form)
    if not made and (plain := told.findtext(f"{_CHART}v")):
        made[0] = plain
    return made


def _shown(value: str, form: str) -> str:
    """A number as a sheet of that format shows it, as far as dates, shares and whole numbers go."""
    try:
        number = float(value)
    except ValueError:
        return value
    signs = _SAID.sub("", form).lower()
    if "y" in signs and 0 < number < 1_000_000:
        return (_FIRST_DAY + timedelta(days=number)).date().isoformat()
    if "%" in signs:
        return f"{100 * number:g}%"
    return str(int(number)) if number.is_integer() and abs(number) < 1e15 else value
