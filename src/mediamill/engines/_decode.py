"""Text of unknown encoding: byte order marks first, then UTF-16 by its zeros, UTF-8 when it fits, else Windows-1252."""

from __future__ import annotations

import codecs
from pathlib import Path

from mediamill.core.errors import BadMedia

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16: its mark begins with the same two bytes
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_BLOCK = 1024**2
_NOT_TEXT = "The file is not text."


def encoding(path: Path) -> str:
    """The codec that reads the whole file. Raises BadMedia when it is not text. Reads the file once, flat in memory."""
    with path.open("rb") as stream:
        head = stream.read(_BLOCK)
        named = _by_head(head)
        if named:
            return named
        utf8 = codecs.getincrementaldecoder("utf-8")()
        try:
            block = head
            while block:
                utf8.decode(block)
                block = stream.read(_BLOCK)
            utf8.decode(b"", final=True)
        except UnicodeDecodeError:
            return "latin-1" if _undefined_in_1252(path) else "cp1252"
    return "utf-8"


def decoded(data: bytes) -> str:
    """All of a small file as text, without its byte order mark, lines ended by newlines. Raises BadMedia."""
    named = _by_head(data)
    for codec in (named,) if named else ("utf-8", "cp1252", "latin-1"):
        try:
            return data.decode(codec).replace("\r\n", "\n").replace("\r", "\n")
        except UnicodeDecodeError:
            continue
    raise BadMedia(_NOT_TEXT)


def _by_head(data: bytes) -> str | None:
    """The codec that the first bytes give away, or None for UTF-8 or an eight-bit one."""
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return codec
    head = data[:4096]
    zeros = head.count(0)
    if not zeros:
        return None
    # Text in a European script holds a zero in every other byte of UTF-16; no text holds zeros otherwise.
    if zeros * 4 > len(head) and head[0::2].count(0) == 0:
        return "utf-16-le"
    if zeros * 4 > len(head) and head[1::2].count(0) == 0:
        return "utf-16-be"
    raise BadMedia(_NOT_TEXT)


def _undefined_in_1252(path: Path) -> bool:
    """Whether the file holds one of the five bytes that Windows-1252 leaves undefined; Latin-1 takes every byte."""
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            if any(byte in block for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)):
                return True
    return False
