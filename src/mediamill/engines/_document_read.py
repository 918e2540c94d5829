"""The one way in: any document type as a tree, pictures beside it."""

from __future__ import annotations

from pathlib import Path

from mediamill.core.errors import BadMedia
from mediamill.core.ports import Conversion
from mediamill.engines import _document_charts as charts
from mediamill.engines import _document_files as files
from mediamill.engines import _document_legacy as legacy
from mediamill.engines import _document_odp as odp
from mediamill.engines import _document_rtf as rtf
from mediamill.engines import _document_tree as trees
from mediamill.engines import _pandoc
from mediamill.engines._document_html import tidy

SOURCES = (*_pandoc.READERS, files.TXT, files.ODP, files.DOC, files.PPT)


def read(work: Conversion, media: Path) -> trees.Tree:
    """The source's tree; raises BadMedia when there is nothing in it."""
    source = work.source
    match work.source_mime:
        case files.TXT:
            tree = trees.from_text(files.read_text(source))
        case files.HTML:
            html = files.read_text(source)
            try:
                tree = _by_pandoc(work, tidy(html).encode(), media)
            except BadMedia:
                tree = _by_pandoc(work, tidy(html, fewer=True).encode(), media)
        case files.MD:
            tree = _by_pandoc(work, files.read_text(source).encode(), media)
        case files.RTF:
            data = source.read_bytes()
            if not data.lstrip().startswith(b"{\\rtf"):
                raise BadMedia("The document is not RTF.")
            data, names = rtf.joined(data)
            tree = _by_pandoc(work, data, media)
            rtf.restore(tree, names)
        case files.ODP:
            tree = odp.read(source, media)
        case files.DOC | files.PPT:
            tree = legacy.read(source, slides=work.source_mime == files.PPT)
        case _:
            tree = _pandoc.read(work, source, _pandoc.READERS[work.source_mime], media)
            if work.source_mime == files.PPTX:
                charts.fill(tree, source)
    if not tree["blocks"]:
        raise BadMedia("The document is empty.")
    return tree


def _by_pandoc(work: Conversion, data: bytes, media: Path) -> trees.Tree:
    """The tree of a source that was prepared for pandoc first."""
    copy = work.scratch / "prepared"
    copy.write_bytes(data)
    return _pandoc.read(work, copy, _pandoc.READERS[work.source_mime], media)
