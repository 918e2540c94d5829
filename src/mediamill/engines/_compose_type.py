"""Text as pictures: laid out by Skia's paragraphs (wrapping, both directions, ligatures, colour emoji, the fonts of
this package and the operator's), in any colours without being laid out anew."""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from mediamill.core.errors import LimitExceeded
from mediamill.engines import _skia
from mediamill.engines._look_base import Picture

Colour = tuple[int, int, int, int]
CLEAR: Colour = (0, 0, 0, 0)
FAMILY = "Inter"
_AFTER = ("Noto Sans", "Noto Color Emoji", "Mediamill Noto Han", "Mediamill Noto Hangul")
"""Asked for what the family lacks, in this order, before every other family there is."""
_MOST_PIXELS = 40_000_000
_NO_TEXT = frozenset({"Cc", "Cs", "Cn"})
_TONES = range(0x1F3FB, 0x1F400)
_TAGS = range(0xE0020, 0xE0080)
_REGIONS = range(0x1F1E6, 0x1F200)
_FROM_THE_RIGHT = "\u2067"
"""Begins a part that runs from the right and ends with its line: what Skia's binding has instead of a direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Type:
    """How text is set. stroke_px: of an outline, half of which lies outside the letters."""

    family: str
    size_px: float
    weight: int
    italic: bool
    align: str
    decoration: str
    wrap: bool
    tracking_px: float
    leading: float


class Fonts:
    """Every face at hand, and how Skia finds it."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._skia: Any = _skia.skia()
        skia = self._skia
        provider = skia.textlayout.TypefaceFontProvider()
        loader = skia.FontMgr.New_Custom_Empty()
        for folder in folders:
            for path in sorted(folder.iterdir()):
                face = loader.makeFromFile(str(path)) if path.suffix.lower() in (".ttf", ".otf") else None
                if face is not None:
                    provider.registerTypeface(face)
        self._provider = provider
        self.collection = skia.textlayout.FontCollection()
        self.collection.setDefaultFontManager(provider)
        self.unicode = skia.Unicodes.ICU.Make()
        known = [provider.getFamilyName(number) for number in range(provider.countFamilies())]
        first = [FAMILY, *_AFTER]
        self.families = [*first, *sorted(set(known) - set(first))]

    @property
    def skia(self) -> Any:
        return self._skia


def fonts() -> Fonts:
    """The fonts of this package and of the operator; read once a process."""
    from mediamill import fonts as room

    return _fonts(tuple(room.folders()))


@lru_cache(2)
def _fonts(folders: tuple[Path, ...]) -> Fonts:
    return Fonts(folders)


def plain(text: str) -> str:
    """What of a text can be set: no control characters."""
    return "".join(letter for letter in text if letter in "\n\t" or unicodedata.category(letter) not in _NO_TEXT)


class Setting:
    """One text, laid out. Its box begins at (0, 0), `width` wide and `height` high; ink may lie a little outside."""

    def __init__(self, text: str, type: Type, width_px: float) -> None:
        self.text = plain(text)
        self.type = type
        self._rightward = rightward(self.text)
        self._fonts = fonts()
        if len(self.text) * type.size_px**2 > 25 * _MOST_PIXELS:
            raise LimitExceeded("A text of the scene is too long for letters of its size.")
        self.width = max(1.0, width_px)
        found = self._paragraph([(0, len(self.text), (255, 255, 255, 255))])
        if not type.wrap:
            self.width = max(1.0, float(found.MaxIntrinsicWidth) + 1)
            found.layout(self.width)
        self.height = float(found.Height)
        self.longest = float(found.LongestLine)
        if (self.width + 4 * type.size_px) * (self.height + 4 * type.size_px) > _MOST_PIXELS:
            raise LimitExceeded("A text of the scene takes more room than any canvas has.")

    @property
    def line_px(self) -> float:
        """The height of a line."""
        lines = max(1, round(self.height / max(0.1, self.type.size_px * max(self.type.leading, 0.05))))
        return self.height / lines

    def draw(self, spans: Sequence[tuple[int, int, Colour]], *, margin: int, stroke_px: float = 0.0) -> Picture:
        """A picture of the box with a margin round it. spans: (start, end, colour) of the text in order, without gaps;
        what is clear leaves no mark. stroke_px: draw outlines of that width rather than filled letters."""
        wide, high = int(self.width + 0.999) + 2 * margin, int(self.height + 0.999) + 2 * margin
        pixels = np.zeros((high, wide, 4), np.uint8)
        skia = self._fonts.skia
        info = skia.ImageInfo.Make(wide, high, skia.kRGBA_8888_ColorType, skia.kPremul_AlphaType)
        surface = skia.Surface.MakeRasterDirect(info, pixels)
        with surface as canvas:
            self._paragraph(spans, stroke_px).paint(canvas, margin, margin)
        return pixels

    def _paragraph(self, spans: Sequence[tuple[int, int, Colour]], stroke_px: float = 0.0) -> Any:
        skia = self._fonts.skia
        layout = skia.textlayout
        whole = layout.ParagraphStyle()
        aligned = {"left": layout.TextAlign.kLeft, "right": layout.TextAlign.kRight}
        whole.setTextAlign(aligned.get(self.type.align, layout.TextAlign.kCenter))
        builder = layout.ParagraphBuilder.make(whole, self._fonts.collection, self._fonts.unicode)
        for start, end, colour in spans:
            if start < end:
                builder.pushStyle(self._style(colour, stroke_px))
                builder.addText(self._marked(start, end))
                builder.pop()
        made = builder.Build()
        made.layout(self.width if self.type.wrap or hasattr(self, "longest") else 1e6)
        return made

    def _marked(self, start: int, end: int) -> str:
        """A part of the text with a sign where a line begins that runs from the right; without ink or width."""
        cuts = [start, *(at for at in self._rightward if start <= at < end), end]
        return _FROM_THE_RIGHT.join(self.text[a:b] for a, b in itertools.pairwise(cuts))

    def _style(self, colour: Colour, stroke_px: float) -> Any:
        skia = self._fonts.skia
        layout = skia.textlayout
        style = layout.TextStyle()
        families = self._fonts.families
        style.setFontFamilies([self.type.family, *families] if self.type.family else families)
        style.setFontSize(self.type.size_px)
        slant = skia.FontStyle.kItalic_Slant if self.type.italic else skia.FontStyle.kUpright_Slant
        style.setFontStyle(skia.FontStyle(self.type.weight, skia.FontStyle.kNormal_Width, slant))
        style.setHeight(max(self.type.leading, 0.05))
        style.setHeightOverride(True)
        style.setHalfLeading(True)
        style.setLetterSpacing(self.type.tracking_px)
        argb = skia.ColorSetARGB(colour[3], *colour[:3])
        style.setColor(argb)
        if stroke_px > 0:
            paint = skia.Paint(
                AntiAlias=True,
                Style=skia.Paint.kStroke_Style,
                StrokeWidth=stroke_px,
                StrokeJoin=skia.Paint.kRound_Join,
                Color=argb,
            )
            style.setForegroundPaint(paint)
        if self.type.decoration != "none":
            kinds = layout.TextDecoration
            under = self.type.decoration == "underline"
            style.setDecoration(kinds.kUnderline if under else kinds.kLineThrough)
            style.setDecorationColor(argb)
        return style


def only(start: int, end: int, length: int, colour: Colour) -> list[tuple[int, int, Colour]]:
    """Spans that show one part of a text and hide the rest."""
    return [(0, start, CLEAR), (start, end, colour), (end, length, CLEAR)]


def rightward(text: str) -> list[int]:
    """Where the lines begin that run from the right: their first letter with a direction has that one."""
    found, at = [], 0
    for line in text.split("\n"):
        ways = (unicodedata.bidirectional(letter) for letter in line)
        if next((way for way in ways if way in ("L", "R", "AL")), "L") != "L":
            found.append(at)
        at += len(line) + 1
    return found


def clusters(text: str) -> list[tuple[int, int]]:
    """The parts of a text that move as one: a letter with its marks, an emoji of several signs. Spaces are left out."""
    found: list[list[int]] = []
    joined = False
    for at, letter in enumerate(text):
        marks = unicodedata.category(letter) in ("Mn", "Mc", "Me") or letter in "\u200d\ufe0e\ufe0f"
        marks = marks or ord(letter) in _TONES or ord(letter) in _TAGS
        if ord(letter) in _REGIONS and at and ord(text[at - 1]) in _REGIONS:  # two of them are a flag
            marks = bool(found) and found[-1] == [at - 1, at]
        if found and found[-1][1] == at and (marks or joined):
            found[-1][1] = at + 1
        elif not letter.isspace():
            found.append([at, at + 1])
        # After a joiner, or after the sign that joins consonants of Indic scripts, the next belongs to it.
        joined = letter == "\u200d" or unicodedata.combining(letter) == 9
    return [(start, end) for start, end in found]
