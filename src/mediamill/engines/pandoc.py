"""Documents to other documents, by pandoc: docx, odt, rtf, HTML, Markdown, EPUB, plain text; reads pptx and odp too.

Same-format pairs are left out on purpose: a document read and written again by pandoc loses its layout, which nobody
who asks for a smaller file wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mediamill.core.ports import Conversion, Missing, Pair
from mediamill.engines import _document_files as files
from mediamill.engines import _document_read, _document_write, _pandoc


class Pandoc:
    """See the module. Implements core.ports.Converter."""

    name = "pandoc"

    def pairs(self) -> Mapping[Pair, int]:
        return {
            (source, target): 50
            for source in _document_read.SOURCES
            for target in _document_write.WRITERS
            if source != target
        }

    def missing(self) -> Missing | None:
        return _pandoc.missing()

    def keys(self, pair: Pair) -> frozenset[str]:
        return frozenset()

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        files.check(work.source, work.source_mime)
        media = work.scratch / "media"
        tree = _document_read.read(work, media)
        work.report("work", 0.5)
        return _document_write.write(work, tree, media)


CONVERTER = Pandoc()
