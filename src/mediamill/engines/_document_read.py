"""The one way in: any document type as a tree, pictures beside it."""

from __future__ import annotations

from pathlib import Path

from mediamill.core.errors import BadMedia
from mediamill.core.ports import Conversion
from mediamill.engines import _document_files as files
from mediamill.engines import _document_tree as trees
from mediamill.engines import _pandoc

SOURCES = (*_pandoc.READERS, files.TXT)


def read(work: Conversion, media: Path) -> trees.Tree:
    """The source's tree; raises BadMedia when there is nothing in it."""
    if work.source_mime == files.TXT:
        tree = trees.from_text(files.read_text(work.source))
    else:
        tree = _pandoc.read(work, _pandoc.prepared(work), _pandoc.READERS[work.source_mime], media)
    if not tree["blocks"]:
        raise BadMedia("The document is empty.")
    return tree
