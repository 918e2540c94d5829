"""Start pandoc, the child program, always in its own sandbox mode and with a bounded heap."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mediamill.core.errors import BadMedia, LimitExceeded, ToolFailed
from mediamill.core.ports import Conversion, Missing
from mediamill.engines._document_files import DOCX, EPUB, HTML, MD, ODT, PPTX, RTF
from mediamill.engines._document_tree import Tree

HEAP = "-M1500m"
TREE_LIMIT_BYTES = 256 << 20

READERS = {
    DOCX: "docx",
    ODT: "odt",
    RTF: "rtf",
    HTML: "html",
    MD: "gfm+yaml_metadata_block+definition_lists+fenced_divs+bracketed_spans+superscript+subscript",
    EPUB: "epub",
    PPTX: "pptx",
}
"""How pandoc reads a type. Plain text has no reader: see `_document_tree.from_text`."""


@cache
def program() -> Path | None:
    """The pandoc that comes with its wheel, or the machine's."""
    try:
        import pypandoc  # type: ignore[import-untyped,unused-ignore]

        return Path(pypandoc.get_pandoc_path())
    except (ImportError, OSError):
        return None


def missing() -> Missing | None:
    """Why pandoc cannot be used here."""
    if program() is None:
        return Missing(reason="pandoc is not installed.", remedy="Install the Python package pypandoc-binary.")
    return None


def run(
    work: Conversion, args: Sequence[str | Path], *, stdin: bytes | None = None, stdout_limit_bytes: int = 1_000_000
) -> bytes:
    """One run; what it says no to is the input's fault, an exhausted heap is a limit."""
    binary = program()
    if binary is None:
        raise ToolFailed("pandoc is not installed.")
    argv: list[str | Path] = [binary, "+RTS", HEAP, "-RTS", "--sandbox", "--quiet", *args]
    try:
        return work.tools.run(
            argv, name="pandoc", stdin=stdin, stdout_limit_bytes=stdout_limit_bytes, cwd=work.scratch, timeout_s=300
        ).stdout
    except ToolFailed as error:
        tail = error.stderr_tail.lower()
        if "heap exhausted" in tail or "heap overflow" in tail or "stack overflow" in tail:
            raise LimitExceeded("The document needs more memory than the limit.") from error
        raise BadMedia("The document cannot be read: it is damaged or not what it claims to be.") from error


def read(work: Conversion, source: Path, reader: str, media: Path) -> Tree:
    """The document tree of a file; its pictures are written below `media`."""
    out = media.with_suffix(".json")
    run(work, ["-f", reader, "-t", "json", f"--extract-media={media}", "-o", out, source])
    if out.stat().st_size > TREE_LIMIT_BYTES:
        raise LimitExceeded("The document is larger than the limit.")
    try:
        tree: Tree = json.loads(out.read_bytes())
    except RecursionError as error:
        raise BadMedia("The document is nested too deeply.") from error
    finally:
        out.unlink(missing_ok=True)
    return tree


def write(work: Conversion, tree: Tree, args: Sequence[str | Path]) -> bytes:
    """Write a tree in another format: what pandoc prints, unless `args` name an output file."""
    try:
        data = json.dumps(tree).encode()
    except RecursionError as error:
        raise BadMedia("The document is nested too deeply.") from error
    return run(work, ["-f", "json", *args], stdin=data, stdout_limit_bytes=TREE_LIMIT_BYTES)
