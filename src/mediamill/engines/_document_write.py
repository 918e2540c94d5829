"""The one way out: a tree as any document type that pandoc writes."""

from __future__ import annotations

import base64
import mimetypes
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mediamill.core.ports import Conversion
from mediamill.engines import _document_files as files
from mediamill.engines import _document_tree as trees
from mediamill.engines import _pandoc, _typeset

WRITERS: dict[str, tuple[str, ...]] = {
    files.DOCX: ("-t", "docx"),
    files.ODT: ("-t", "odt"),
    files.RTF: ("-t", "rtf", "--standalone"),
    files.TXT: ("-t", "plain", "--wrap=none"),
    files.HTML: ("-t", "html5", "--standalone", "--embed-resources", "--mathml"),
    files.MD: ("-t", "gfm", "--wrap=none"),
    files.EPUB: ("-t", "epub3", "--mathml"),
}
PAGED = frozenset({files.TXT, files.MD})


def write(work: Conversion, tree: trees.Tree, media: Path) -> Mapping[str, Any]:
    """Write a tree as the target type; pictures stay where the type can hold them."""
    kept = trees.clean(tree, media, _typeset.usable, sized=False)
    args: list[str | Path] = [*WRITERS[work.target_mime], "-o", work.target]
    if work.target_mime in (files.HTML, files.EPUB) and not tree["meta"].get("title"):
        args += ["--metadata", f"pagetitle={_first_heading(tree)}", "--metadata", f"title={_first_heading(tree)}"]
        if work.target_mime == files.HTML:
            args += ["--variable", "title="]
    _inline(tree, sized=work.target_mime != files.MD)
    _pandoc.write(work, tree, args)
    shutil.rmtree(media, ignore_errors=True)
    return {"pictures": kept} if work.target_mime not in PAGED else {}


def _first_heading(tree: trees.Tree) -> str:
    for block in tree["blocks"]:
        if block["t"] == "Header":
            words = ("".join(trees.strings({"blocks": [part]})) or " " for part in block["c"][2])
            return "".join(words).strip()[:200] or "Document"
    return "Document"


def _inline(tree: trees.Tree, sized: bool) -> None:
    """Put every picture into its address: pandoc's sandbox reads no file but those in the tree."""
    for node in trees.nodes(tree):
        if node["t"] == "Image":
            path = Path(node["c"][2][0])
            if not sized:  # a sized picture would turn into raw HTML
                node["c"][0] = ["", [], []]
            kind = mimetypes.guess_type(path.name)[0]
            node["c"][2][0] = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
