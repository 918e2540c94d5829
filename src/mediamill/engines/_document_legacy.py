"""The words of Word 97 and PowerPoint 97 files, without an office suite: no layout, no pictures, but all the text.

Both are file systems in a file (olefile reads those). Word keeps its text in pieces listed by the piece table of
[MS-DOC] 2.4.1; PowerPoint keeps it in text atoms of its record stream, [MS-PPT] 2.9.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mediamill.core.errors import BadMedia, LimitExceeded
from mediamill.engines import _document_tree as trees

MAX_STREAM_BYTES = 256 << 20
MAX_DEPTH = 40
_ENCRYPTED, _TABLE_1 = 0x0100, 0x0200
_CELL = "\x07"


def read(source: Path, *, slides: bool) -> trees.Tree:
    """The text of a .doc, or with `slides` of a .ppt, as a tree."""
    import olefile  # type: ignore[import-untyped]

    try:
        with olefile.OleFileIO(source) as store:
            return _slides(store) if slides else _words(store)
    except (OSError, struct.error, IndexError, ValueError, RecursionError) as error:
        raise BadMedia("The document is damaged or not what it claims to be.") from error


def _stream(store: Any, name: str) -> bytes:
    if not store.exists(name):
        raise BadMedia("The document is not what it claims to be.")
    if store.get_size(name) > MAX_STREAM_BYTES:
        raise LimitExceeded("The document is larger than the limit.")
    data: bytes = store.openstream(name).read()
    return data


def _words(store: Any) -> trees.Tree:
    main = _stream(store, "WordDocument")
    magic, version = struct.unpack_from("<HH", main, 0)
    if magic != 0xA5EC or version < 0xC1:
        raise BadMedia("The document is older than Word 97.")
    (flags,) = struct.unpack_from("<H", main, 10)
    if flags & _ENCRYPTED:
        raise BadMedia("The document is protected by a password.")
    table = _stream(store, "1Table" if flags & _TABLE_1 else "0Table")
    at, size = struct.unpack_from("<II", main, 0x01A2)
    (body,) = struct.unpack_from("<i", main, 0x004C)
    text = "".join(_pieces(main, table[at : at + size]))[: max(body, 0)]
    return trees.document(list(_paragraphs(text)))


def _pieces(main: bytes, clx: bytes) -> Iterator[str]:
    at = 0
    while clx[at] == 1:  # formatting, skipped
        at += 3 + struct.unpack_from("<H", clx, at + 1)[0]
    if clx[at] != 2:
        raise ValueError("no piece table")
    (size,) = struct.unpack_from("<I", clx, at + 1)
    plc = clx[at + 5 : at + 5 + size]
    count = (len(plc) - 4) // 12
    places = struct.unpack_from(f"<{count + 1}I", plc, 0)
    for number in range(count):
        (where,) = struct.unpack_from("<I", plc, 4 * (count + 1) + 8 * number + 2)
        length = max(0, places[number + 1] - places[number])
        if where & 0x40000000:
            start = (where & 0x3FFFFFFF) // 2
            yield main[start : start + length].decode("cp1252", "replace")
        else:
            yield main[where : where + 2 * length].decode("utf-16-le", "replace")


def _paragraphs(text: str) -> Iterator[trees.Node]:
    cells: list[list[trees.Node]] = []
    cell: list[trees.Node] = []
    for piece, end in _marks(_visible(text)):
        words = piece.replace("\x0b", "\n").replace("\x1e", "-").strip("\n")
        said = [trees.paragraph(words)] if words.strip() else []
        if end == _CELL:
            cells.append([*cell, *said])
            cell = []
        elif cells and cells[-1]:  # a second paragraph in a cell
            cell.extend(said)
        else:
            if cells:
                yield trees.table(_rows(cells))
                cells = []
            yield from said
    if cells:
        yield trees.table(_rows(cells))
    yield from cell


def _rows(cells: list[list[trees.Node]]) -> list[list[list[trees.Node]]]:
    """A row ends with an empty cell of its own, which an empty cell looks like: take the width that fits throughout."""
    for width in [*range(2, 64), 1]:
        step = width + 1
        if len(cells) % step == 0 and not any(cells[width::step]):
            return [cells[at : at + width] for at in range(0, len(cells), step)]
    rows: list[list[list[trees.Node]]] = [[]]
    for cell in cells:
        if cell or not rows[-1]:
            rows[-1].append(cell)
        else:
            rows.append([])
    return [row for row in rows if row]


def _marks(text: str) -> Iterator[tuple[str, str]]:
    start = 0
    for at, sign in enumerate(text):
        if sign in "\r\x07\x0c":
            yield text[start:at], sign
            start = at + 1
    yield text[start:], "\r"


def _visible(text: str) -> str:
    """The text without field codes (only what they show) and without anchors of pictures and notes."""
    out: list[str] = []
    hidden: list[bool] = []
    for sign in text:
        if sign == "\x13":
            hidden.append(True)
        elif sign == "\x14" and hidden:
            hidden[-1] = False
        elif sign == "\x15" and hidden:
            hidden.pop()
        elif not any(hidden) and (sign >= " " or sign in "\r\x07\x0b\x0c\t\x1e"):
            out.append(sign)
    return "".join(out)


def _slides(store: Any) -> trees.Tree:
    if store.exists("EncryptedSummary"):
        raise BadMedia("The document is protected by a password.")
    blocks: list[trees.Node] = []
    number = 0
    for kind, text in _atoms(_stream(store, "PowerPoint Document")):
        if kind == "slide":
            number += 1
            blocks.append(trees.heading(f"{number}", 2))
        elif number:
            blocks.extend(trees.paragraph(line) for line in text.replace("\x0b", "\n").split("\r") if line.strip())
    return trees.document(_titled(blocks))


def _titled(blocks: list[trees.Node]) -> list[trees.Node]:
    """The first paragraph of a slide is its heading."""
    out: list[trees.Node] = []
    for block in blocks:
        if out and out[-1]["t"] == "Header" and block["t"] == "Para" and not out[-1].get("named"):
            out[-1] = {"t": "Header", "c": [2, ["", [], []], block["c"]], "named": True}
        else:
            out.append(block)
    return [{key: value for key, value in block.items() if key != "named"} for block in out]


_DOCUMENT, _SLIDE, _LIST, _PERSIST = 1000, 1006, 4080, 1011
_CHARS, _BYTES, _NOTES, _MASTER = 4000, 4008, 1008, 1016


def _atoms(data: bytes) -> Iterator[tuple[str, str]]:
    """Slides and texts in order. Text stands in a slide's own shapes, or in the list of slides of the document."""
    listed = list(_walk(data, 0, len(data), 0, _LIST))
    own = list(_walk(data, 0, len(data), 0, _SLIDE))
    texts = [text for kind, text in listed if kind == "text"]
    yield from listed if len(texts) >= sum(1 for kind, _ in own if kind == "text") else own


def _walk(data: bytes, at: int, end: int, depth: int, inside: int, found: bool = False) -> Iterator[tuple[str, str]]:
    while at + 8 <= end and depth < MAX_DEPTH:
        head, kind, size = struct.unpack_from("<HHI", data, at)
        start, stop = at + 8, min(at + 8 + size, end)
        if head & 0xF == 0xF:
            if kind == inside == _LIST and head >> 4 != 0:  # instance 0 lists slides; others masters and notes
                at = stop
                continue
            if kind == inside == _SLIDE:
                yield "slide", ""
            if kind not in (_NOTES, _MASTER):
                yield from _walk(data, start, stop, depth + 1, inside, found or kind == inside)
        elif found and kind == _PERSIST and inside == _LIST:
            yield "slide", ""
        elif found and kind == _CHARS:
            yield "text", data[start:stop].decode("utf-16-le", "replace")
        elif found and kind == _BYTES:
            yield "text", data[start:stop].decode("latin-1")
        at = stop
