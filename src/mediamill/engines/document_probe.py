"""Facts of a document: how many pages, and its title. PDF pages are counted; office files say what they last had."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import unescape
from pathlib import Path

from mediamill.core.media import Facts
from mediamill.engines import _document_files as files

_TAGS = re.compile(r"<[^>]*>")


class DocumentProbe:
    """See the module. Implements core.ports.Prober."""

    def families(self) -> Iterable[str]:
        return ("document",)

    def probe(self, path: Path, mime: str) -> Facts:
        files.check(path, mime)
        match mime:
            case files.PDF:
                return _pdf(path)
            case files.DOCX:
                return _office(path, "word/document.xml", "Pages")
            case files.PPTX:
                return _office(path, "ppt/presentation.xml", "Slides")
            case files.ODT | files.ODP:
                return _open(path, mime)
            case files.EPUB:
                return _epub(path)
            case files.HTML:
                return Facts(title=_between(files.decode(path.read_bytes()[:262_144]), "title"))
            case _:
                return Facts()


def _pdf(path: Path) -> Facts:
    from mediamill.engines import _pages

    with _pages.opened(path) as document:
        return Facts(pages=len(document), title=_text(document.get_metadata_value("Title")))


def _office(path: Path, body: str, counter: str) -> Facts:
    _need(path, body)
    app, core = _xml(path, "docProps/app.xml"), _xml(path, "docProps/core.xml")
    return Facts(pages=_number(_between(app, counter)), title=_between(core, "title"))


def _open(path: Path, mime: str) -> Facts:
    content = _need(path, "content.xml")
    meta = _xml(path, "meta.xml")
    if mime == files.ODP:
        return Facts(pages=content.count("<draw:page ") or None, title=_between(meta, "title"))
    found = re.search(r'page-count="(\d{1,6})"', meta)
    return Facts(pages=_number(found.group(1) if found else None), title=_between(meta, "title"))


def _epub(path: Path) -> Facts:
    container = _need(path, "META-INF/container.xml")
    found = re.search(r'full-path="([^"]+)"', container)
    return Facts(title=_between(_xml(path, unescape(found.group(1))), "title") if found else None)


def _need(path: Path, name: str) -> str:
    """An entry without which the package is not what it claims to be."""
    from mediamill.core.errors import BadMedia

    data = files.read_entry(path, name, files.MAX_MARKUP_BYTES)
    if data is None:
        raise BadMedia(f"The document has no {name}: it is not what it claims to be.")
    return files.decode(data)


def _xml(path: Path, name: str) -> str:
    return files.decode(files.read_entry(path, name) or b"")


def _between(xml: str, name: str) -> str | None:
    """The text of the first element of this name, whatever its prefix. No parser: nothing to expand or to fetch."""
    found = re.search(rf"<(?:[\w.-]+:)?{name}(?:\s[^>]*)?>(.*?)</(?:[\w.-]+:)?{name}\s*>", xml, re.S | re.I)
    return _text(unescape(_TAGS.sub("", found.group(1)))) if found else None


def _text(value: str | None) -> str | None:
    return " ".join((value or "").split())[:300] or None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() and 0 < int(text) < 1_000_000 else None


PROBER = DocumentProbe()
