"""OpenDocument slides as a tree: a heading a slide, then its text, lists, tables and pictures. Pandoc has no reader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from xml.etree import ElementTree

from mediamill.core.errors import BadMedia
from mediamill.engines import _document_files as files
from mediamill.engines import _document_tree as trees

_TEXT = "{urn:oasis:names:tc:opendocument:xmlns:text:1.0}"
_DRAW = "{urn:oasis:names:tc:opendocument:xmlns:drawing:1.0}"
_TABLE = "{urn:oasis:names:tc:opendocument:xmlns:table:1.0}"
_SHOW = "{urn:oasis:names:tc:opendocument:xmlns:presentation:1.0}"
_LINK = "{http://www.w3.org/1999/xlink}href"
MAX_PICTURES = 500


def read(source: Path, media: Path) -> trees.Tree:
    """The slides of a file; its pictures are written below `media`."""
    content = files.read_entry(source, "content.xml", files.MAX_MARKUP_BYTES)
    if content is None or b"<!DOCTYPE" in content[:4096] or b"<!ENTITY" in content:
        raise BadMedia("The document is not what it claims to be.")
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 - no DTD, so nothing to expand
    except ElementTree.ParseError as error:
        raise BadMedia("The document is damaged.") from error
    pictures = _Pictures(source, media)
    blocks: list[trees.Node] = []
    for number, page in enumerate(root.iter(f"{_DRAW}page")):
        blocks.extend(_slide(page, number + 1, pictures))
    return trees.document(blocks)


class _Pictures:
    """Takes pictures out of the package, under names of our own."""

    def __init__(self, source: Path, media: Path) -> None:
        self._source, self._media, self._count = source, media, 0

    def take(self, href: str) -> Path | None:
        data = None
        if href.startswith("Pictures/") and self._count < MAX_PICTURES:
            data = files.read_entry(self._source, href, 64 << 20)
        if data is None:
            return None
        self._count += 1
        self._media.mkdir(parents=True, exist_ok=True)
        path = self._media / f"picture-{self._count}{'.svg' if PurePosixPath(href).suffix == '.svg' else ''}"
        path.write_bytes(data)
        return path


def _slide(page: ElementTree.Element, number: int, pictures: _Pictures) -> Iterator[trees.Node]:
    title = ""
    body: list[trees.Node] = []
    for shape in page:
        if shape.tag == f"{_SHOW}notes":
            continue
        if shape.get(f"{_SHOW}class") == "title" and not title:
            title = " ".join(" ".join("".join(p.itertext()).split()) for p in shape.iter(f"{_TEXT}p")).strip()
        else:
            body.extend(_blocks(shape, pictures))
    yield trees.heading(title or f"{number}", 2)
    yield from body


def _blocks(element: ElementTree.Element, pictures: _Pictures) -> Iterator[trees.Node]:
    match element.tag:
        case t if t in (f"{_TEXT}p", f"{_TEXT}h"):
            text = _said(element)
            if text.strip():
                yield trees.paragraph(text)
        case t if t == f"{_TEXT}list":
            items = [[b for part in item for b in _blocks(part, pictures)] for item in element]
            if any(items):
                yield {"t": "BulletList", "c": [item for item in items if item]}
        case t if t == f"{_TABLE}table":
            rows = [
                [[b for part in cell for b in _blocks(part, pictures)] for cell in row.iter(f"{_TABLE}table-cell")]
                for row in element.iter(f"{_TABLE}table-row")
            ]
            if rows:
                yield trees.table(rows, header=True)
        case t if t == f"{_DRAW}frame":
            children = list(element)
            table = next((child for child in children if child.tag == f"{_TABLE}table"), None)
            for child in [table] if table is not None else children:
                yield from _blocks(child, pictures)
        case t if t == f"{_DRAW}image":
            path = pictures.take(element.get(_LINK, ""))
            if path is not None:
                yield trees.picture(str(path))
        case _:
            for child in element:
                yield from _blocks(child, pictures)


def _said(element: ElementTree.Element) -> str:
    parts = [element.text or ""]
    for child in element:
        if child.tag == f"{_TEXT}line-break":
            parts.append("\n")
        elif child.tag == f"{_TEXT}s":
            parts.append(" ")
        else:
            parts.append(_said(child))
        parts.append(child.tail or "")
    return "".join(parts)
