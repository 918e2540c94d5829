"""JSON as jsonb takes it, and words as an index does: text of PostgreSQL has no NUL character, no lone surrogates."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def dumps(value: Any) -> str:
    """`value` as JSON text; NUL and lone surrogates become the replacement character."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if "\\u0000" in text:
        text = _NUL.sub("\\1\ufffd", text)
    return text.encode("utf-8", "replace").decode("utf-8") if not text.isascii() else text


def clean(text: str) -> str:
    """Text without what a text column cannot hold."""
    return text.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def indexed(text: str, most: int = 2048) -> str:
    """A caller's word as a unique index takes it: of one with more than `most` bytes, or with what a text column cannot
    hold, its hash. An entry of an index ends at 2,704 bytes; what would be longer fails the whole statement."""
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= most and clean(text) == text:
        return text
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}"
