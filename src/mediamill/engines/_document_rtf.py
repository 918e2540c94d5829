"""RTF's signs beyond the basic plane: written as two halves, which pandoc reads as two broken signs.

Each pair is replaced by one private-use sign before pandoc reads the file, and that by the real one in the tree.
"""

from __future__ import annotations

import re

from mediamill.engines import _document_tree as trees

_PAIR = re.compile(rb"\\u(-?\d{4,6}) ?(?:\?|\\'[0-9a-fA-F]{2})?\s?\\u(-?\d{4,6})")
_FIRST, _LAST = 0xE000, 0xF8FF


def joined(data: bytes) -> tuple[bytes, dict[str, str]]:
    """The file with pairs replaced, and what the replacements stand for."""
    names: dict[str, int] = {}

    def one(match: re.Match[bytes]) -> bytes:
        high, low = (int(part) & 0xFFFF for part in match.groups())
        if not (0xD800 <= high < 0xDC00 and 0xDC00 <= low < 0xE000):
            return match.group()
        sign = chr(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
        code = names.setdefault(sign, _FIRST + len(names))
        return b"\\u%d" % (code - 0x10000) if code <= _LAST else match.group()

    changed = _PAIR.sub(one, data)
    return changed, {chr(code): sign for sign, code in names.items()}


def restore(tree: trees.Tree, names: dict[str, str]) -> None:
    """Put the real signs in."""
    table = str.maketrans(names)
    for node in trees.nodes(tree):
        if node["t"] == "Str":
            node["c"] = node["c"].translate(table)
