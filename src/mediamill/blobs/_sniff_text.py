"""Text without a signature: is it text at all, and which of the text types the claim and the words agree on."""

from __future__ import annotations

import codecs
import re

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it starts with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")  # WHATWG MIME Sniffing 3, "binary data byte"
_XML_BEFORE_ROOT = re.compile(r"\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE\s[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL | re.IGNORECASE)
_ROOT = re.compile(r"<(?:[A-Za-z_][\w.-]*:)?([A-Za-z_][\w.-]*)[\s/>]")
_HTML_DOCTYPE = re.compile(r"<!DOCTYPE\s+html[\s>]", re.IGNORECASE)
_SRT = re.compile(r"\s*\d+[ \t]*\r?\n\s*\d{1,2}:\d\d:\d\d[,.]\d{1,3}\s*-->\s*\d{1,2}:\d\d:\d\d[,.]\d{1,3}")
_JSON_START = re.compile(r"\s*(?:[\[{\"]|-?\d|true\b|false\b|null\b)")

_ANY_TEXT = frozenset(("text/plain", "text/markdown"))
_TABLES = frozenset(("text/csv", "text/tab-separated-values", "text/x-psv"))


def sniff_text(head: bytes, *, whole: bool, claim: str | None) -> str | None:
    """A text type, or None for bytes that are no text. `whole`: the head is the whole file.

    An empty file is whatever text type it is claimed to be, and nothing without a claim.
    """
    if not head:
        return claim if claim in _ANY_TEXT | _TABLES else None
    words = decode(head, whole=whole)
    if words is None:
        return None
    root = _root(words)
    if root == "svg":
        return claim if claim in _ANY_TEXT else "image/svg+xml"
    if claim in _ANY_TEXT:
        return claim
    if root == "html":
        return "text/html"
    if _SRT.match(words):
        return "application/x-subrip"
    if claim in _TABLES:
        return claim
    if claim == "application/json" and _JSON_START.match(words):
        return claim
    if claim == "text/html" and re.search(r"<[a-zA-Z!]", words):
        return claim
    return "text/plain"


def decode(head: bytes, *, whole: bool) -> str | None:
    """The head as text: by its byte order mark, as UTF-8, else as the 8-bit encodings of old; None for binary."""
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            try:
                return codecs.getincrementaldecoder(encoding)().decode(head[len(mark) :], final=whole)
            except UnicodeDecodeError:
                return None
    if _BINARY.search(head):
        return None
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(head, final=whole)
    except UnicodeDecodeError:
        return head.decode("latin-1")  # any 8-bit encoding: only its ASCII part is looked at here


def _root(words: str) -> str | None:
    """The local name of the root element, "html" for an HTML doctype; None when this does not start like markup.

    A scan, not a parse: no entity is ever resolved. Fragments (<p>, <h1>) are no root: Markdown starts with them.
    """
    at = 0
    words = words.removeprefix("\ufeff")
    while (skipped := _XML_BEFORE_ROOT.match(words, at)) is not None:
        if _HTML_DOCTYPE.match(skipped[0]):
            return "html"
        at = skipped.end()
    root = _ROOT.match(words, at)
    if root is None:
        return None
    name = root[1].lower()
    return "html" if name in ("html", "head", "body") else name
