"""JSON as jsonb takes it: PostgreSQL has no NUL character and no lone surrogates in text."""

from __future__ import annotations

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
