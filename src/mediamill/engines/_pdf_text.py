"""What a PDF says, as a document tree: headings, paragraphs, list points and pictures, in reading order.

A PDF holds signs at places, not paragraphs. Lines are PDFium's; they are joined where size and distance stay the same
and the line before was full; a heading is a short run set larger than the body; lines that wide
gaps cut into as many cells are a table.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediamill.core.errors import LimitExceeded
from mediamill.core.ports import Report
from mediamill.engines import _document_tree as trees

if TYPE_CHECKING:
    import pypdfium2  # type: ignore[import-untyped]

MAX_SIGNS = 20_000_000
MAX_PICTURES = 500
LEAST_PICTURE_PX = 16
GAP = 1.1
"""Times the size of the type; words are set about a quarter apart, and hardly ever more than one."""
_POINT = re.compile(r"^\s*(?:[•◦▪‣●○–*-]|\(?\d{1,3}[.)])\s+")
_BULLET = re.compile(r"^\s*[•◦▪‣●○–*-]\s+")


@dataclass(slots=True)
class Line:
    """One line of text; PDF units, the origin is at the bottom left."""

    text: str
    left: float
    right: float
    top: float
    bottom: float
    size: float
    cells: list[str]


@dataclass(slots=True)
class Shown:
    """One picture on a page."""

    path: Path
    top: float


def plain(document: pypdfium2.PdfDocument, report: Report) -> str:
    """All text; a form feed parts the pages."""
    pages: list[str] = []
    total = 0
    for number, page in enumerate(document):
        text = page.get_textpage()
        total += text.count_chars()
        if total > MAX_SIGNS:
            raise LimitExceeded("The PDF holds more text than the limit.")
        pages.append(_tidy(text.get_text_range().replace("\r\n", "\n")))
        page.close()
        report("work", (number + 1) / len(document))
    return "\n\f".join(pages).rstrip() + "\n"


def tree(document: pypdfium2.PdfDocument, media: Path, report: Report) -> tuple[trees.Tree, int]:
    """The whole document as a tree, and the number of pictures written to `media`."""
    pages: list[list[Line | Shown]] = []
    pictures = total = 0
    for number, page in enumerate(document):
        lines = list(_lines(page))
        total += sum(len(line.text) for line in lines)
        if total > MAX_SIGNS:
            raise LimitExceeded("The PDF holds more text than the limit.")
        shown = list(_pictures(page, media, number, MAX_PICTURES - pictures))
        if not lines and not shown and any(True for _ in page.get_objects(max_depth=1)):
            shown = [_drawn(page, media, number)]
        pictures += len(shown)
        pages.append(_ordered(lines, shown))
        page.close()
        report("work", 0.7 * (number + 1) / len(document))
    body = _body_size(pages)
    blocks = [block for page in pages for block in _blocks(page, body)]
    title = str(document.get_metadata_value("Title") or "").strip()[:300]
    return trees.document(blocks, title), pictures


def _tidy(text: str) -> str:
    return "".join(c for c in text if c in "\n\t" or (c >= " " and c not in "\ufffe\uffff\x7f"))


def _lines(page: pypdfium2.PdfPage) -> Iterator[Line]:
    import pypdfium2.raw as raw  # type: ignore[import-untyped]

    text = page.get_textpage()
    signs: list[tuple[str, tuple[float, float, float, float] | None]] = []
    for index in range(text.count_chars()):
        code = raw.FPDFText_GetUnicode(text, index)
        if code in (10, 13):
            yield from _line(signs)
            signs = []
            continue
        made_up = raw.FPDFText_IsGenerated(text, index) == 1
        signs.append((chr(code), None if made_up else text.get_charbox(index, loose=True)))
    yield from _line(signs)


def _line(signs: list[tuple[str, tuple[float, float, float, float] | None]]) -> Iterator[Line]:
    """One line, cut into cells where the gap between two signs is wider than words are ever set apart."""
    boxes = [box for _, box in signs if box is not None and box[2] > box[0]]
    if not boxes:
        return
    sizes = Counter(round(box[3] - box[1], 1) for box in boxes)
    size = sizes.most_common(1)[0][0]
    cells, right = [""], boxes[0][0]
    for sign, box in signs:
        if box is not None and sign.strip():
            if box[0] - right > GAP * size:
                cells.append("")
            right = max(box[2], right) if box[0] >= right - size else box[2]
        cells[-1] += sign
    words = [_joined(cell) for cell in cells]
    if any(words):
        yield Line(
            " ".join(word for word in words if word),
            min(b[0] for b in boxes),
            max(b[2] for b in boxes),
            max(b[3] for b in boxes),
            min(b[1] for b in boxes),
            size,
            [word for word in words if word],
        )


def _joined(cell: str) -> str:
    """Halves of signs beyond the basic plane put together, control signs dropped."""
    return _tidy(cell.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")).strip()


def _pictures(page: pypdfium2.PdfPage, media: Path, number: int, most: int) -> Iterator[Shown]:
    import pypdfium2
    import pypdfium2.raw as raw

    for count, item in enumerate(page.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=3)):
        if count >= most:
            return
        width, height = item.get_px_size()
        if min(width, height) < LEAST_PICTURE_PX or width * height > 50_000_000:
            continue
        media.mkdir(parents=True, exist_ok=True)
        path = media / f"page{number + 1}-{count + 1}.png"
        try:
            item.get_bitmap(render=False).to_pil().convert("RGB").save(path)
        except (pypdfium2.PdfiumError, ValueError):
            continue
        yield Shown(path, item.get_bounds()[3])


def _drawn(page: pypdfium2.PdfPage, media: Path, number: int) -> Shown:
    """A page without text or pictures but with drawings, as one picture."""
    media.mkdir(parents=True, exist_ok=True)
    path = media / f"page{number + 1}.png"
    width, height = page.get_size()
    scale = min(2.0, (20_000_000 / max(width * height, 1.0)) ** 0.5)
    page.render(scale=scale).to_pil().convert("RGB").save(path)
    return Shown(path, height)


def _ordered(lines: list[Line], shown: list[Shown]) -> list[Line | Shown]:
    """PDFium's order of lines, which follows columns; each picture before the first line that starts below it."""
    merged: list[Line | Shown] = list(lines)
    for picture in sorted(shown, key=lambda p: -p.top):
        place = next(
            (i for i, item in enumerate(merged) if isinstance(item, Line) and item.top < picture.top), len(merged)
        )
        merged.insert(place, picture)
    return merged


def _body_size(pages: list[list[Line | Shown]]) -> float:
    sizes: Counter[float] = Counter()
    for page in pages:
        for item in page:
            if isinstance(item, Line):
                sizes[item.size] += len(item.text)
    return sizes.most_common(1)[0][0] if sizes else 10.0


def _blocks(page: list[Line | Shown], body: float) -> Iterator[trees.Node]:
    edge = max((item.right for item in page if isinstance(item, Line)), default=0.0)
    left = min((item.left for item in page if isinstance(item, Line)), default=0.0)
    held: list[Line] = []
    points: list[Any] = []
    for item in [*_tabled(page), None]:
        if held and (not isinstance(item, Line) or not _goes_on(held[-1], item, edge, edge - left)):
            block = _block(held, body)
            if _BULLET.match(held[0].text):
                points.append([{**block, "t": "Plain"}])
            else:
                if points:
                    yield {"t": "BulletList", "c": points}
                    points = []
                yield block
            held = []
        if isinstance(item, Line):
            held.append(item)
            continue
        if points:
            yield {"t": "BulletList", "c": points}
            points = []
        if isinstance(item, Shown):
            yield trees.picture(str(item.path))
        elif isinstance(item, list):
            yield trees.table([[[{**trees.paragraph(cell), "t": "Plain"}] for cell in row] for row in item])


def _tabled(page: list[Line | Shown]) -> Iterator[Line | Shown | list[list[str]]]:
    """Two or more lines in a row with the same number of cells, more than one, are a table."""
    rows: list[Line] = []
    for item in [*page, None]:
        cells = len(item.cells) if isinstance(item, Line) and not _POINT.match(item.text) else 0
        if rows and cells != len(rows[0].cells):
            if len(rows) > 1:
                yield [row.cells for row in rows]
            else:
                yield from rows
            rows = []
        if isinstance(item, Line) and cells > 1:
            rows.append(item)
        elif item is not None:
            yield item


def _goes_on(last: Line, new: Line, edge: float, width: float) -> bool:
    """Is `new` the next line of the paragraph that `last` ends?"""
    distance = last.bottom - new.bottom
    same = abs(last.size - new.size) <= 0.08 * max(last.size, new.size)
    near = 0 < distance < 1.75 * max(last.size, 1.0)
    full = last.right > edge - 0.18 * width
    return same and near and full and not _POINT.match(new.text)


def _block(lines: list[Line], body: float) -> trees.Node:
    text = lines[0].text
    for line in lines[1:]:
        broken = text.endswith("-") and len(text) > 1 and text[-2].isalpha() and line.text[:1].islower()
        text = text[:-1] + line.text if broken else f"{text} {line.text}"
    ratio = lines[0].size / max(body, 1.0)
    if ratio > 1.12 and len(text) < 200 and any(sign.isalpha() for sign in text):
        return trees.heading(text, 1 if ratio > 1.45 else 2 if ratio > 1.2 else 3)
    return trees.paragraph(_BULLET.sub("", text))
