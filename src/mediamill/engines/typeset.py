"""Documents to PDF and to page pictures, by pandoc and typst: the way that needs nothing but wheels.

The text, its structure, tables and pictures are kept; the layout is our own. An office suite, when the machine has
one, keeps the layout and goes first for office files (see `office.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mediamill.core.ports import Conversion, Missing, Pair
from mediamill.engines import _document_files as files
from mediamill.engines import _document_read, _pages, _pandoc, _typeset

SLIDES = frozenset({files.PPTX, files.ODP, files.PPT})


class Typeset:
    """See the module. Implements core.ports.Converter."""

    name = "typeset"

    def pairs(self) -> Mapping[Pair, int]:
        return {(source, target): 50 for source in _document_read.SOURCES for target in (files.PDF, *_pages.PICTURES)}

    def missing(self) -> Missing | None:
        from importlib.util import find_spec

        if find_spec("typst") is None:
            return Missing(reason="typst is not installed.", remedy="Install the Python package typst.")
        return _pandoc.missing()

    def keys(self, pair: Pair) -> frozenset[str]:
        return frozenset() if pair[1] == files.PDF else _pages.keys(pair[1])

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        files.check(work.source, work.source_mime)
        if work.target_mime == files.PDF:
            return {"pages": self._pdf(work, work.target)}
        pdf = work.scratch / "pages.pdf"
        self._pdf(work, pdf)
        return _pages.draw(work, pdf)

    def _pdf(self, work: Conversion, target: Path) -> int:
        if work.source_mime == files.TXT:
            return _typeset.typeset_text(work, files.read_text(work.source), target)
        with _typeset.room(work) as folder:
            tree = _document_read.read(work, folder / "media")
            work.report("work", 0.4)
            return _typeset.compose(work, tree, folder, target, slides=work.source_mime in SLIDES)


CONVERTER = Typeset()
