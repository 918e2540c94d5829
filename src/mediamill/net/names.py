"""File names from answers, made safe to be a last path segment."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote, unquote_to_bytes

from mediamill.core import formats

_MAX_BYTES = 200  # file systems stop at 255; leaves room for a prefix or a new extension
# Separators and what other systems give a meaning to: C0, DEL, C1 (controls), bidi overrides and isolates (a name that
# reads backwards hides its extension), zero-width signs.
_UNSAFE = re.compile('[\x00-\x1f\x7f-\x9f<>:"|?*\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]')
# One parameter of RFC 6266 4.1: name, then a quoted string or whatever stands up to the semicolon.
_PARAMETER = re.compile(r";\s*([A-Za-z0-9!#$&+.^_`|~*-]+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|([^;\"]*))")


def from_disposition(header: str) -> str | None:
    """The safe file name of a Content-Disposition header, `filename*` before `filename`; None without one."""
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(header):
        name, quoted, token = match.groups()
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else token.strip()
        found.setdefault(name.lower(), value)
    extended = _extended(found["filename*"]) if "filename*" in found else None
    return safe_name(extended or "") or safe_name(found.get("filename", ""))


def from_path(path: str) -> str | None:
    """The safe file name that a URL's path ends with, or None."""
    last = path.split("?", 1)[0].rsplit("/", 1)[1]
    return safe_name(unquote(last, errors="replace"))


def from_paths(asked: str, found: str) -> str | None:
    """The name of what a URL that was asked for led to: its own, where that says what it is. Where redirects end there
    is often but a key of a store, and where they begin but a number or a script."""
    own = from_path(asked)
    return own if own and formats.by_filename(own) else from_path(found) or own


def safe_name(name: str) -> str | None:
    """A base name: no folders, controls, hidden-file dots or signs with a meaning elsewhere; at most 200 bytes."""
    base = unicodedata.normalize("NFC", name).replace("\\", "/").rsplit("/", 1)[-1]
    base = _UNSAFE.sub("_", base.encode("utf-8", "replace").decode()).strip(" .")
    if not base.strip("_"):
        return None
    stem, dot, extension = base.rpartition(".")
    if not dot or len(extension.encode()) > 16:
        stem, dot, extension = base, "", ""
    room = _MAX_BYTES - len((dot + extension).encode())
    return stem.encode()[:room].decode(errors="ignore") + dot + extension


def _extended(value: str) -> str | None:
    """RFC 8187: charset'language'percent-encoded. None when it is not that."""
    charset, _, rest = value.partition("'")
    _, quote, encoded = rest.partition("'")
    if not quote or charset.lower() not in ("utf-8", "iso-8859-1"):
        return None
    return unquote_to_bytes(encoded).decode(charset, "replace")
