"""What the document engines share: types by short name, text decoding, and the checks before a parser sees bytes."""

from __future__ import annotations

import zipfile
from pathlib import Path

from mediamill.core.errors import BadMedia, LimitExceeded

PDF = "application/pdf"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
DOC = "application/msword"
ODT = "application/vnd.oasis.opendocument.text"
RTF = "application/rtf"
TXT = "text/plain"
HTML = "text/html"
MD = "text/markdown"
EPUB = "application/epub+zip"
PPTX = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
PPT = "application/vnd.ms-powerpoint"
ODP = "application/vnd.oasis.opendocument.presentation"

ZIPPED = frozenset({DOCX, ODT, EPUB, PPTX, ODP})
MAX_ENTRIES = 20_000
MAX_UNPACKED_BYTES = 1 << 30
MAX_MARKUP_BYTES = 128 << 20
MAX_RATIO = 400
"""Unpacked to packed size of a whole file above 16 MiB; text-only office files stay below 60."""


def check(path: Path, mime: str) -> None:
    """Refuse what a parser must not be given: broken packages, zip bombs, packages that are encrypted."""
    if path.stat().st_size == 0:
        raise BadMedia("The document is empty.")
    if mime in ZIPPED:
        _check_package(path)


def _check_package(path: Path) -> None:
    try:
        with zipfile.ZipFile(path) as package:
            entries = package.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        with path.open("rb") as stream:
            if stream.read(8) == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1":
                raise BadMedia("The document is protected by a password.") from error
        raise BadMedia("The document's package is damaged.") from error
    if any(entry.flag_bits & 1 for entry in entries):
        raise BadMedia("The document is protected by a password.")
    total = sum(entry.file_size for entry in entries)
    markup = sum(
        e.file_size for e in entries if e.filename.lower().endswith((".xml", ".rels", ".xhtml", ".html", ".htm"))
    )
    if len(entries) > MAX_ENTRIES or total > MAX_UNPACKED_BYTES or markup > MAX_MARKUP_BYTES:
        raise LimitExceeded("The document's package unpacks to more than the limit.")
    if total > 16 << 20 and total > MAX_RATIO * path.stat().st_size:
        raise LimitExceeded("The document's package unpacks to far more than its size.")


def read_entry(path: Path, name: str, limit: int = 16 << 20) -> bytes | None:
    """One entry of a package, or None when it is not there or over the limit."""
    try:
        with zipfile.ZipFile(path) as package, package.open(name) as stream:
            data = stream.read(limit + 1)
    except KeyError:
        return None
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, RuntimeError, EOFError) as error:
        raise BadMedia("The document's package is damaged.") from error
    return data if len(data) <= limit else None


def decode(data: bytes) -> str:
    """Text of unknown encoding: a byte order mark, UTF-16 by its zero bytes, UTF-8, else Windows' Western table."""
    for mark, codec in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            return data.decode(codec, "replace")
    head = data[:4096]
    if head and head[1::2].count(0) > len(head) * 0.3:
        return data.decode("utf-16-le", "replace")
    if head and head[0::2].count(0) > len(head) * 0.3:
        return data.decode("utf-16-be", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def read_text(path: Path) -> str:
    """A text file's text with plain line ends and no control signs but tab, line end and form feed."""
    text = decode(path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n")
    return text.translate({code: None for code in range(32) if code not in (9, 10, 12)})
