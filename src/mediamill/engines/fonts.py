"""Fonts: ttf, otf, woff and woff2 into each other; the container changes, the outlines never do.

TrueType curves (glyf) stay TrueType and PostScript curves (CFF) stay PostScript, whatever the target is called: every
system tells them apart by the file's first four bytes, and redrawing cubic curves as quadratic ones would change
the shapes and lose their hinting. `outlines` in the details says which a file holds.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediamill.core.errors import BadMedia, Failed, LimitExceeded
from mediamill.core.ports import Conversion, Missing, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fontTools.ttLib import TTFont  # type: ignore[import-untyped]  # ships no types

TTF, OTF, WOFF, WOFF2 = "font/ttf", "font/otf", "font/woff", "font/woff2"
_FLAVOURS = {TTF: None, OTF: None, WOFF: "woff", WOFF2: "woff2"}
BYTES = 128 * 1024**2
"""Most bytes of a font, packed and unpacked; the largest in common use, with all of Han, are under 40 MB."""
TOO_LARGE = f"A font may have at most {BYTES // 1024**2} MiB, packed and unpacked."


class Fonts:
    """Repacks fonts."""

    name = "fonts"

    def pairs(self) -> Mapping[Pair, int]:
        return {(given, wanted): 10 for given in _FLAVOURS for wanted in _FLAVOURS}

    def missing(self) -> Missing | None:
        for module, package in (("fontTools", "fonttools"), ("brotli", "brotli")):
            if find_spec(module) is None:
                return Missing(
                    reason=f"The package {package} is not installed.", remedy=f"Install it: pip install {package}."
                )
        return None

    def keys(self, pair: Pair) -> frozenset[str]:
        return frozenset()

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        with opened(work.source) as font:
            font.flavor = _FLAVOURS[work.target_mime]
            if font.flavor is None:
                font.flavorData = None
            # woff2 may put tables in any order and has its own; elsewhere the order given is kept.
            font.save(work.target, reorderTables=None if work.target_mime != WOFF2 else False)
            outlines = "cff" if "CFF " in font or "CFF2" in font else "truetype" if "glyf" in font else "bitmap"
            return {"outlines": outlines, "glyphs": int(font["maxp"].numGlyphs)}


@contextmanager
def opened(path: Path) -> Iterator[TTFont]:
    """A font to read and save as it is, nothing recalculated.

    Raises BadMedia when it cannot be read (also inside the block), LimitExceeded when it unpacks to too much.
    """
    from fontTools.ttLib import TTFont, TTLibError

    try:
        _check(path)
        with (
            path.open("rb") as stream,  # opened here: fontTools leaves its own open when it raises
            TTFont(stream, lazy=True, recalcBBoxes=False, recalcTimestamp=False) as font,
        ):
            if "maxp" not in font or "head" not in font:
                raise BadMedia("The font lacks the tables that every font has.")
            yield font
    except Failed:
        raise
    except MemoryError as error:
        raise LimitExceeded("The font asks for more memory than a task may have.") from error
    except (
        TTLibError, struct.error, zlib.error, EOFError, AssertionError, AttributeError, TypeError, ValueError,
        LookupError, ArithmeticError, RecursionError,
    ) as error:  # fmt: skip  # what fontTools raises on damaged tables, and no more
        raise BadMedia("The font is damaged.") from error


def _check(path: Path) -> None:
    """Look before fontTools does: it unpacks tables whole, and believes the sizes it reads."""
    size = path.stat().st_size
    if size > BYTES:
        raise LimitExceeded(TOO_LARGE)
    with path.open("rb") as stream:
        data = stream.read()
    tag = data[:4]
    if tag == b"ttcf":
        raise BadMedia("This is a collection of fonts; send one font.")
    if tag == b"wOFF":
        _check_woff(data)
    elif tag == b"wOF2":
        _check_woff2(data)
    elif tag not in (b"\0\1\0\0", b"OTTO", b"true"):
        raise BadMedia("This is not a font.")


def _check_woff(data: bytes) -> None:
    """WOFF 1.0, sections 3 to 5: a 44-byte header, then 20 bytes a table."""
    total = 0
    for number in range(struct.unpack_from(">H", data, 12)[0]):
        offset, packed, size = struct.unpack_from(">4xIII", data, 44 + 20 * number)
        total += size
        if total > BYTES:
            raise LimitExceeded(TOO_LARGE)
        if packed < size:
            _inflate(data[offset : offset + packed], size)
    offset, packed, size = struct.unpack_from(">III", data, 24)  # the metadata, XML
    if packed:
        _inflate(data[offset : offset + packed], size)


def _inflate(packed: bytes, size: int) -> None:
    if size > BYTES:
        raise LimitExceeded(TOO_LARGE)
    if len(zlib.decompressobj().decompress(packed, size + 1)) != size:
        raise BadMedia("The font is damaged: a table is not as long as it says.")


def _check_woff2(data: bytes) -> None:
    """WOFF 2.0, section 4: a 48-byte header, a directory of variable length, the tables as one Brotli stream."""
    from fontTools.ttLib.woff2 import WOFF2DirectoryEntry  # type: ignore[import-untyped]  # ships no types

    stream = io.BytesIO(data)
    stream.seek(48)
    total = 0
    for _ in range(struct.unpack_from(">H", data, 12)[0]):
        entry = WOFF2DirectoryEntry()
        entry.fromFile(stream)
        total += max(entry.origLength, entry.length)
        if total > BYTES:
            raise LimitExceeded(TOO_LARGE)
    _unbrotli(stream.read(struct.unpack_from(">I", data, 20)[0]))
    offset, packed = struct.unpack_from(">II", data, 28)
    _unbrotli(data[offset : offset + packed])


def _unbrotli(packed: bytes) -> None:
    import brotli  # type: ignore[import-untyped]  # ships no types

    reader = brotli.Decompressor()
    total = 0
    try:
        while packed and not reader.is_finished():
            block = reader.process(packed if total == 0 else b"", output_buffer_limit=1024**2)
            total += len(block)
            if total > BYTES:
                raise LimitExceeded(TOO_LARGE)
            if not block:
                raise BadMedia("The font is cut short.")
    except brotli.error as error:
        raise BadMedia("The font is damaged.") from error


CONVERTER = Fonts()
