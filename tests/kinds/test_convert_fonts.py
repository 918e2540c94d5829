"""Fonts repacked: the outlines, names and metrics are the same in every container."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import brotli
import pytest
from fontTools.pens.recordingPen import RecordingPen
from fontTools.ttLib import TTFont
from tests.support.sheets import convert, font

from mediamill.core.errors import BadMedia, Failed, LimitExceeded
from mediamill.engines.font_probe import PROBER
from mediamill.engines.fonts import CONVERTER

TYPES = {"font/ttf": None, "font/otf": None, "font/woff": "woff", "font/woff2": "woff2"}
OUTLINES = {"truetype": "\0\1\0\0", "cff": "OTTO"}


def drawn(path: Path) -> list[Any]:
    with TTFont(path) as opened:
        pen = RecordingPen()
        opened.getGlyphSet()["A"].draw(pen)
        return [*pen.value, opened["hmtx"]["A"], opened.getBestCmap()]


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    folder = tmp_path_factory.mktemp("fonts")
    made = {}
    for outlines in OUTLINES:
        plain = font(folder / outlines, outlines)
        for mime in TYPES:
            made[outlines, mime] = convert(CONVERTER, plain, "font/ttf", mime, folder)[0]
    return made


@pytest.mark.parametrize("outlines", OUTLINES)
@pytest.mark.parametrize("wanted", TYPES)
@pytest.mark.parametrize("given", TYPES)
def test_every_container_becomes_every_other_with_the_same_outlines(
    given: str, wanted: str, outlines: str, sources: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    source = sources[outlines, given]

    made, details = convert(CONVERTER, source, given, wanted, tmp_path)

    with TTFont(made) as opened:
        assert opened.flavor == TYPES[wanted]
        assert opened.sfntVersion == OUTLINES[outlines]
    assert drawn(made) == drawn(source)
    assert details == {"outlines": outlines, "glyphs": 3}
    assert PROBER.probe(made, wanted).title == "Mill Test Regular"


@pytest.mark.parametrize("mime", TYPES)
def test_damage_anywhere_is_an_error_of_ours_or_harmless(
    mime: str, sources: dict[tuple[str, str], Path], tmp_path: Path
) -> None:
    hurt = tmp_path / "hurt"
    refused = 0
    for outlines in OUTLINES:
        whole = sources[outlines, mime].read_bytes()
        for step in range(60):
            data = bytearray(whole)
            if step % 3 == 0:
                data = data[: len(data) * step // 60]
            else:
                for spot in range(3):
                    data[(step * 7919 + spot * 104729) % len(data)] ^= 1 << (step + spot) % 8
            hurt.write_bytes(data)
            for wanted in ("font/ttf", "font/woff2"):
                try:
                    convert(CONVERTER, hurt, mime, wanted, tmp_path)
                    PROBER.probe(hurt, mime)
                except Failed:
                    refused += 1

    assert refused >= 40


def test_bombs_stop_before_they_unpack(tmp_path: Path) -> None:
    zeros = zlib.compress(bytes(1024**2))
    entry = struct.pack(">4sIIII", b"glyf", 64, len(zeros), 0xFFFFFFF0, 0)
    woff = tmp_path / "bomb.woff"
    woff.write_bytes(struct.pack(">4sIIHHI", b"wOFF", 0x10000, 200, 1, 0, 200) + bytes(24) + entry + zeros)
    packer = brotli.Compressor(quality=5)
    stream = b"".join(packer.process(bytes(4 * 1024**2)) for _ in range(40)) + packer.finish()
    woff2 = tmp_path / "bomb.woff2"
    head = struct.pack(">4sIIHHII", b"wOF2", 0x10000, 48 + 3 + len(stream), 1, 0, 500, len(stream))
    woff2.write_bytes(head.ljust(48, b"\0") + bytes([1, 0x54]) + stream)
    assert woff2.stat().st_size < 100_000

    for path, given in ((woff, "font/woff"), (woff2, "font/woff2")):
        with pytest.raises(LimitExceeded, match="128 MiB"):
            convert(CONVERTER, path, given, "font/ttf", tmp_path)


@pytest.mark.parametrize("data", [b"", b"ttcf" + bytes(40), b"\x89PNG\r\n\x1a\n" + bytes(40), b"%PDF-1.7"])
def test_what_is_no_single_font_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)

    with pytest.raises(BadMedia, match="font"):
        convert(CONVERTER, path, "font/ttf", "font/woff2", tmp_path)


def test_fonts_have_no_settings() -> None:
    assert CONVERTER.missing() is None
    assert all(CONVERTER.keys(pair) == frozenset() for pair in CONVERTER.pairs())
