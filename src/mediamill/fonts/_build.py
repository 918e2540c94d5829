"""Make the font files of this folder from Debian's font packages: `python -m mediamill.fonts._build UNPACKED_ROOT`.

Not part of a run of the server. UNPACKED_ROOT holds the packages fonts-noto-core, fonts-noto-cjk,
fonts-noto-color-emoji and fonts-inter, unpacked with `dpkg -x`. Hinting is dropped (PDF viewers do not use it),
ideographs are cut to the national standards in daily use, colour emoji are kept at half their size.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STYLES = ("NotoSans-Regular", "NotoSans-Bold", "NotoSans-Italic", "NotoSans-BoldItalic")
WITH_BOLD = ("Arabic", "Hebrew", "Devanagari")
SCRIPTS = (
    *("Armenian", "Bengali", "Ethiopic", "Georgian", "Gujarati", "Gurmukhi", "Kannada", "Khmer", "Lao", "Malayalam"),
    *("Myanmar", "Oriya", "Sinhala", "Symbols", "Symbols2", "Tamil", "Telugu", "Thai"),
)
INTER = ("Light", "Regular", "SemiBold", "Bold", "Black", "Italic", "BoldItalic")
"""Weights of the default family of timeline renders; those between are drawn by the nearest."""
INTER_SIGNS = (
    range(0x20, 0x530),
    range(0x1E00, 0x2000),
    range(0x2000, 0x2300),
    range(0x25A0, 0x2600),
    range(0xFB00, 0xFB07),
)
KR, SC = 1, 2
COLOURS = 48
"""Of one emoji. 64 look the same and take 600 kB more, 32 show steps in faces."""
HANGUL = range(0xAC00, 0xD7A4)


def _charset(codec: str, leads: Iterable[int]) -> set[int]:
    """The ideographs and signs a double-byte standard holds on these lead bytes."""
    found: set[int] = set()
    for lead in leads:
        for trail in range(0x40, 0xFF):
            text = bytes((lead, trail)).decode(codec, "ignore")
            found.update(ord(c) for c in text if ord(c) > 0x7F)
    return found


def _ideographs() -> set[int]:
    chosen = _charset("gb2312", range(0xB0, 0xF8)) | _charset("big5", range(0xA4, 0xC7))
    chosen |= _charset("euc_jp", range(0xB0, 0xD0)) | _charset("euc_kr", range(0xCA, 0xFE))
    return {c for c in chosen if 0x3400 <= c <= 0x9FFF or 0xF900 <= c <= 0xFAFF}


def _kana_and_signs() -> set[int]:
    blocks = (range(0x3000, 0x3400), range(0xFE30, 0xFE50), range(0xFF00, 0xFFF0), range(0x3130, 0x3190))
    return {c for block in blocks for c in block}


def _cut(
    source: Path,
    target: Path,
    chosen: Iterable[int],
    number: int = -1,
    family: str = "",
    features: tuple[str, ...] = ("*",),
) -> None:
    from fontTools import subset  # type: ignore[import-untyped,unused-ignore]

    options = subset.Options()
    options.hinting = False
    options.layout_features = list(features)
    options.name_IDs = ["*"]
    options.notdef_outline = True
    options.font_number = number
    font = subset.load_font(str(source), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=list(chosen) or sorted(font.getBestCmap()))
    subsetter.subset(font)
    if family:
        _rename(font, family)
    subset.save_font(font, str(target), options)


def _rename(font: Any, family: str) -> None:
    style = font["name"].getDebugName(2) or "Regular"
    names = {1: family, 3: f"{family} {style}", 4: f"{family} {style}", 6: family.replace(" ", "") + "-" + style}
    font["name"].names = [n for n in font["name"].names if n.nameID not in (16, 17, 21, 22)]
    for name in font["name"].names:
        if name.nameID in names:
            name.string = names[name.nameID]
    if "CFF " in font:
        font["CFF "].cff.fontNames = [names[6]]


def _shrink_emoji(source: Path, target: Path) -> None:
    """Every colour emoji, those of several code points too (flags, families, skin tones), at half its size."""
    from fontTools.ttLib import TTFont  # type: ignore[import-untyped,unused-ignore]
    from PIL import Image

    font = TTFont(str(source))
    for strike, data in zip(font["CBLC"].strikes, font["CBDT"].strikeData, strict=True):
        size = strike.bitmapSizeTable
        size.ppemX, size.ppemY = size.ppemX // 2, size.ppemY // 2
        for line in (size.hori, size.vert):
            for key in ("ascender", "descender", "widthMax", "maxBeforeBL", "minAfterBL"):
                setattr(line, key, int(getattr(line, key) / 2))
        for glyph in data.values():
            glyph.ensureDecompiled() if hasattr(glyph, "ensureDecompiled") else None
            picture = Image.open(BytesIO(glyph.imageData)).convert("RGBA")
            small = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.LANCZOS)
            out = BytesIO()
            small.quantize(COLOURS, method=Image.Quantize.FASTOCTREE).save(out, "PNG", optimize=True)
            glyph.imageData = out.getvalue()
            metrics = glyph.metrics
            metrics.width, metrics.height = small.size
            metrics.BearingX, metrics.BearingY, metrics.Advance = (
                int(metrics.BearingX / 2),
                int(metrics.BearingY / 2),
                int(metrics.Advance / 2),
            )
    font.save(str(target))


def main(root: Path) -> None:
    """Write every font file anew."""
    noto = root / "usr/share/fonts/truetype/noto"
    cjk = root / "usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"
    for name in (*STYLES, *(f"NotoSans{s}-{w}" for s in WITH_BOLD for w in ("Regular", "Bold"))):
        _cut(noto / f"{name}.ttf", HERE / f"{name}.ttf", ())
    for name in SCRIPTS:
        _cut(noto / f"NotoSans{name}-Regular.ttf", HERE / f"NotoSans{name}-Regular.ttf", ())
    inter = root / "usr/share/fonts/opentype/inter"
    for weight in INTER:
        signs = {c for block in INTER_SIGNS for c in block}
        features: tuple[str, ...] = ("kern", "mark", "mkmk", "ccmp", "liga", "calt", "locl", "tnum", "case")
        _cut(inter / f"Inter-{weight}.otf", HERE / f"Inter-{weight}.otf", signs, features=features)
    # One file a family: LibreOffice mixes up signs when a word needs several fallback fonts.
    han = _ideographs() | _kana_and_signs()
    _cut(cjk, HERE / "NotoHan-Regular.otf", han, SC, "Mediamill Noto Han", ("ccmp",))
    syllables = [*HANGUL, *range(0x1100, 0x1200), *range(0x3130, 0x3190)]
    features = ("ccmp", "ljmo", "vjmo", "tjmo")
    _cut(cjk, HERE / "NotoHangul-Regular.otf", syllables, KR, "Mediamill Noto Hangul", features)
    _shrink_emoji(noto / "NotoColorEmoji.ttf", HERE / "NotoColorEmoji.ttf")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
