"""Texts of a composition: letters with outline, plate and shadow; captions word by word; characters that move alone."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mediamill.core._composition_timing import Span
from mediamill.core.compositions import colour, length
from mediamill.engines import _compose_style as style
from mediamill.engines import _compose_type as type_
from mediamill.engines._compose_actor import Actor, Box, Stage
from mediamill.engines._compose_canvas import Raw
from mediamill.engines._compose_letters import Glyph, away, put, under
from mediamill.engines._compose_pixels import lay
from mediamill.engines._compose_preset import TYPED_S, TYPED_SHARE, animated, is_typed
from mediamill.engines._compose_type import CLEAR, Colour, Setting, Type
from mediamill.engines._look import Picture
from mediamill.engines._look_base import blurred, four, times

_WORD_S = 0.28
"""Seconds a word takes to come, where a caption's style has it come."""
_DIM = 0.4
_HIGHLIGHT: Mapping[str, Colour] = {"box": (37, 99, 235, 255), "color": (250, 204, 21, 255)}
"""The colour of the word that is said, where the request names none."""
_MOST_WIDE = 4
"""Canvas widths a text is laid out in at most."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a caption: its place in the text, when it is said, and its ink (left, top, right, bottom)."""

    start: int
    end: int
    from_s: float
    to_s: float
    ink: tuple[int, int, int, int]


class Lettered(Actor):
    """A text."""

    def __init__(self, element: Mapping[str, Any], span: Span, stage: Stage) -> None:
        typed = is_typed(element)
        element = animated(element)
        super().__init__(element, span, stage)
        said = element["word_animation"]
        text = _caption(element["text"], said["words"]) if said is not None else element["text"]
        width = min(self.box.width, _MOST_WIDE * stage.width)
        self._setting = Setting(text, _type(element), width)
        self._ink = colour(element["text_color"])
        self._stroke_px = self._width_of_stroke()
        self._padding = (
            max(0.0, min(length(element["x_padding"], stage.width), stage.width)),
            max(0.0, min(length(element["y_padding"], stage.height), stage.height)),
        )
        reach = element["font_size"] * 0.6 + self._stroke_px + max(self._padding) + self._shadow_room()
        self._margin = math.ceil(min(reach, 2 * max(stage.size))) + 2
        self._left, self._top = self._corner()
        self._characters = [motion for motion in element["motion"] if motion["scope"] == "character"]
        self._said = said
        self._words = self._place_words(said["words"]) if said is not None else []
        # Where in the text each character begins that is typed.
        self._typed = [start for start, _ in type_.clusters(self._setting.text)] if typed else []
        self._plain = self._whole()
        self._content = self._bounds()
        self._frame = style.frame(element, (self._content.width, self._content.height), stage.size)
        self._letters: list[Glyph] | None = None
        self._coloured: dict[tuple[int, Colour], Picture] = {}
        self._made: tuple[Hashable, tuple[Picture, tuple[int, int]]] | None = None

    @property
    def content(self) -> Box:
        return self._content

    def drawn(self, frame: int) -> tuple[Raw | Picture, tuple[int, int], Hashable]:
        at_s = frame / self.stage.rate
        key = self._key(at_s, frame)
        if self._made is None or key is None or self._made[0] != key:
            made = self._letter_by_letter(frame, at_s) if self._moves(at_s) else self._finished(self._worded(at_s))
            self._made = key, made
        picture, pad = self._made[1]
        return picture, pad, key

    # The text as a whole

    def _width_of_stroke(self) -> float:
        width, size = float(self.element["stroke_width"]), float(self.element["font_size"])
        pixels = width if width >= 1 else width * size
        if self.element["stroke"]:
            return pixels or size * 0.04
        return pixels if self.element["stroke_color"] is not None else 0.0

    def _shadow_room(self) -> float:
        if self._shadow() is None:
            return 0.0
        _, blur, x, y = self._shadow() or ((0, 0, 0, 0), 0.0, 0.0, 0.0)
        return abs(x) + abs(y) + 1.5 * blur

    def _shadow(self) -> tuple[Colour, float, float, float] | None:
        """Colour, blur and offset of the letters' shadow."""
        element, (wide, high) = self.element, self.stage.size
        if not element["shadow"] and element["shadow_color"] is None:
            return None
        of = colour(element["shadow_color"]) if element["shadow_color"] is not None else (0, 0, 0, 160)
        blur, x, y = (
            min(max(length(element[name], of_px), -1000.0), 1000.0)
            for name, of_px in (("shadow_blur", high), ("shadow_x", wide), ("shadow_y", high))
        )
        if not (blur or x or y):  # the flag alone
            x = y = max(1.0, element["font_size"] * 0.05)
            blur = element["font_size"] * 0.08
        return of, max(0.0, blur), x, y

    def _corner(self) -> tuple[float, float]:
        """Where the laid-out box begins on the canvas: the lines in the middle of the element's height."""
        box, setting = self.box, self._setting
        top = box.top + (box.height - setting.height) / 2
        spare = box.width - setting.width
        share = {"left": 0.0, "right": 1.0}.get(setting.type.align, 0.5)
        return box.left + spare * share, top

    def _painted(self, spans: Sequence[tuple[int, int, Colour]]) -> Picture:
        """Letters in these colours, with their outline."""
        margin = self._margin
        outline = self.element["stroke_color"]
        if self.element["stroke"]:
            hollow = [(a, b, _as(outline, c)) for a, b, c in spans]
            return self._setting.draw(hollow, margin=margin, stroke_px=self._stroke_px)
        filled = self._setting.draw(spans, margin=margin)
        if outline is None or self._stroke_px <= 0:
            return filled
        # Filled letters cover the inner half of the line.
        around = [(a, b, _as(outline, c)) for a, b, c in spans]
        made = self._setting.draw(around, margin=margin, stroke_px=2 * self._stroke_px)
        lay(made, filled, four(cv2.bitwise_not(cv2.extractChannel(filled, 3))), 1.0)
        return made

    def _whole(self) -> Picture:
        length_ = len(self._setting.text)
        return self._painted([(0, length_, self._ink)])

    def _bounds(self) -> Box:
        """The rectangle that motion and frame go by: the plate where there is one, else the ink."""
        if self.element["background"] or self.element["border_color"] is not None:
            left, top, width, height = self._plate()
        else:
            left, top, width, height = cv2.boundingRect(cv2.extractChannel(self._plain, 3))
        if width < 1 or height < 1:
            return Box(self.box.left, self.box.top, 0, 0)
        self._inset = left, top
        x, y = round(self._left) - self._margin + left, round(self._top) - self._margin + top
        return Box(float(x), float(y), float(width), float(height))

    def _plate(self) -> tuple[int, int, int, int]:
        setting, (pad_x, pad_y) = self._setting, self._padding
        share = {"left": 0.0, "right": 1.0}.get(setting.type.align, 0.5)
        left = self._margin + (setting.width - setting.longest) * share - pad_x
        top = self._margin - pad_y
        wide, high = setting.longest + 2 * pad_x, setting.height + 2 * pad_y
        x, y = max(0, round(left)), max(0, round(top))
        rows, columns = self._plain.shape[:2]
        return x, y, min(columns - x, round(wide)), min(rows - y, round(high))

    def _finished(self, letters: Picture, x: int = 0, y: int = 0) -> tuple[Picture, tuple[int, int]]:
        """Letters with shadow, overlay, plate and border; and where the content begins in that picture. x, y: where in
        it the picture of the text lies."""
        if self._frame.overlay is not None:
            letters = style.overlaid(letters, self._frame.overlay)
        shadow = self._shadow()
        if shadow is not None:
            letters = style.shadowed(letters, *shadow)
        if self.element["background"] or self._frame.border is not None:
            left, top, plate = self._drawn_plate()
            letters = under(letters, plate, x + left, y + top)
        return _cut(letters, (self._inset[0] + x, self._inset[1] + y))

    def _drawn_plate(self) -> tuple[int, int, Picture]:
        """What lies behind the text, and where in its picture."""
        x, y, wide, high = self._plate()
        plate = np.zeros((high, wide, 4), np.uint8)
        if self.element["background"]:
            r, g, b, a = self._background((0, 0, 0, 255))
            plate[:] = (r * a // 255, g * a // 255, b * a // 255, a)
        corner = self._frame.radius
        plate = times(plate, four(style.rounded(wide, high, 0, corner))) if corner else plate
        if self._frame.border is not None:
            edge = style.ring(wide, high, corner, self._frame.border_width)
            plate = style.painted(plate, edge, self._frame.border)
        return x, y, plate

    def _mirrored(self, box: Box) -> Box:
        """Where a rectangle of the text lies once the text is flipped within its bounds."""
        (x, y), content = self._inset, self._content
        left = 2 * x + content.width - box.left - box.width if self.element["flip_horizontal"] else box.left
        top = 2 * y + content.height - box.top - box.height if self.element["flip_vertical"] else box.top
        return Box(left, top, box.width, box.height)

    def _flipped(self, picture: Picture) -> Picture:
        """The picture as it is seen, left and right or top and bottom changed."""
        flips = self.element["flip_horizontal"], self.element["flip_vertical"]
        code = {(True, False): 1, (False, True): 0, (True, True): -1}.get(flips)
        return picture if code is None else np.asarray(cv2.flip(picture, code), np.uint8)

    def _background(self, default: Colour) -> Colour:
        named = self.element["background_color"]
        r, g, b, a = colour(named) if named is not None else default
        return r, g, b, round(a * self.element["background_opacity"] / 100)

    # Captions

    def _place_words(self, words: Sequence[Mapping[str, Any]]) -> list[Word]:
        text = self._setting.text
        placed, at = [], 0
        for word in words:
            wanted = type_.plain(word["text"]).strip()
            start = text.find(wanted, at) if wanted else -1
            if start < 0:
                continue
            at = start + len(wanted)
            drawn = self._setting.draw(type_.only(start, at, len(text), (255,) * 4), margin=self._margin)
            left, top, wide, high = cv2.boundingRect(cv2.extractChannel(drawn, 3))
            if wide:
                placed.append(Word(start, at, word["start"], word["end"], (left, top, left + wide, top + high)))
        return placed

    def _saying(self, at_s: float) -> int | None:
        """The word that is being said; the last begun of those that overlap."""
        found = None
        for number, word in enumerate(self._words):
            if word.from_s <= at_s + 1e-6 < word.to_s:
                found = number
        return found

    def _key(self, at_s: float, frame: int) -> Hashable:
        if self._moves(at_s):
            return None
        if self._said is None:
            return "whole", self._typed_by(at_s)
        said = self._said["style"]
        if said in ("slide_up", "fly_in"):
            begun = sum(word.from_s <= at_s for word in self._words)
            return (said, begun, None) if not self._coming(at_s) else (said, begun, frame)
        now = self._saying(at_s)
        popping = said == "scale_pop" and now is not None and at_s - self._words[now].from_s < _WORD_S
        return said, now, frame if popping else None

    def _coming(self, at_s: float) -> bool:
        return any(0 <= at_s - word.from_s < _WORD_S for word in self._words)

    def _worded(self, at_s: float) -> Picture:
        """The letters as they stand at that second, none of them by itself."""
        letters = self._lettered(at_s)
        left, top, wide, high = cv2.boundingRect(cv2.extractChannel(letters, 3))
        there = self._mirrored(Box(left, top, wide, high))
        if not wide or not (self.element["flip_horizontal"] or self.element["flip_vertical"]):
            return letters
        part = np.ascontiguousarray(letters[top : top + high, left : left + wide])
        return under(np.zeros_like(letters), self._flipped(part), round(there.left), round(there.top))

    def _lettered(self, at_s: float) -> Picture:
        if self._said is None:
            until, end = self._typed_by(at_s), len(self._setting.text)
            return self._plain if until >= end else self._painted([(0, until, self._ink), (until, end, CLEAR)])
        said, now = self._said["style"], self._saying(at_s)
        if said in ("slide_up", "fly_in"):
            return self._arrived(at_s)
        if now is None:
            return self._plain if said != "glow" else self._colours(None, self._ink)
        word = self._words[now]
        match said:
            case "box":
                left, top, box = self._word_box(word)
                return under(self._plain, box, left, top)
            case "color":
                return self._colours(word, self._background(_HIGHLIGHT["color"]), rest=self._ink)
            case "glow":
                end = len(self._setting.text)
                of = self._background(self._ink)
                light = self._setting.draw(type_.only(word.start, word.end, end, of), margin=self._margin)
                return self._shining(self._colours(word, self._ink), light)
        return self._with_word(self._colours(word, CLEAR, rest=self._ink), word, at_s)

    def _typed_by(self, at_s: float) -> int:
        """How much of the text stands there: all of it, unless it is being typed."""
        count = len(self._typed)
        if not count:
            return len(self._setting.text)
        step_s = max(1e-4, min(TYPED_S, TYPED_SHARE * self.element["duration"] / count))
        # The first character is there at once, the next one after a step.
        come = math.floor((at_s - self.element["time"]) / step_s + 1e-6) + 1
        return self._typed[max(0, come)] if come < count else len(self._setting.text)

    def _dimmed(self) -> Colour:
        return (*self._ink[:3], round(self._ink[3] * _DIM))

    def _colours(self, word: Word | None, of: Colour, *, rest: Colour | None = None) -> Picture:
        """One word in a colour, the others in another: dimmed unless it is said."""
        rest, end = rest or self._dimmed(), len(self._setting.text)
        if word is None:
            return self._painted([(0, end, rest)])
        return self._painted([(0, word.start, rest), (word.start, word.end, of), (word.end, end, rest)])

    def _word_box(self, word: Word) -> tuple[int, int, Picture]:
        """What lies behind a word that is said, and where in the picture of the text."""
        setting = self._setting
        left, top, right, bottom = word.ink
        line = math.floor(((top + bottom) / 2 - self._margin) / setting.line_px)
        middle = self._margin + (line + 0.5) * setting.line_px
        half = setting.type.size_px * 0.6 + self._padding[1]
        side = self._padding[0] or setting.type.size_px * 0.16
        x0, x1 = max(0, round(left - side)), min(self._plain.shape[1], round(right + side))
        y0, y1 = max(0, round(middle - half)), min(self._plain.shape[0], round(middle + half))
        corner = self._frame.radius or setting.type.size_px * 0.12
        mask = style.rounded(x1 - x0, y1 - y0, 0, min(corner, (y1 - y0) / 2, (x1 - x0) / 2))
        box = np.zeros((y1 - y0, x1 - x0, 4), np.uint8)
        return x0, y0, style.painted(box, mask, self._background(_HIGHLIGHT["box"]))

    def _shining(self, letters: Picture, light: Picture) -> Picture:
        """Letters over the halo of what is light."""
        size = self._setting.type.size_px
        return under(letters, cv2.add(blurred(light, size * 0.12), blurred(light, size * 0.3)), 0, 0)

    def _carried(self, word: Word, at_s: float) -> tuple[float, float, float, float]:
        """How much larger a word stands than in the text, how far to the right and down, and its opacity."""
        share = min((at_s - word.from_s) / _WORD_S, 1.0)
        match self._said and self._said["style"]:
            case "scale_pop":
                share = max(share, 0.0)
                return 1 + 0.22 * (math.sin(math.pi * share) * 0.6 + min(1.0, share * 2.5) * 0.4), 0.0, 0.0, 1.0
            case "slide_up" | "fly_in" as said:
                if at_s < word.from_s:
                    return 1.0, 0.0, 0.0, 0.0
                away, size = (1 - share) ** 3, self._setting.type.size_px
                if said == "slide_up":
                    return 1.0, 0.0, size * 0.9 * away, 1 - away
                return 1 + 0.6 * away, size * 3.0 * away, 0.0, 1 - away
        return 1.0, 0.0, 0.0, 1.0

    def _arrived(self, at_s: float) -> Picture:
        out = np.zeros_like(self._plain)
        for word in self._words:
            if at_s >= word.from_s:
                out = self._with_word(out, word, at_s)
        return out

    def _with_word(self, below: Picture, word: Word, at_s: float) -> Picture:
        """One word laid on a picture, larger and moved."""
        scale, across, down, opacity = self._carried(word, at_s)
        letters = self._painted(type_.only(word.start, word.end, len(self._setting.text), self._ink))
        if scale != 1 or across or down:
            x, y = (word.ink[0] + word.ink[2]) / 2, (word.ink[1] + word.ink[3]) / 2
            there = np.array([[scale, 0, x - scale * x + across], [0, scale, y - scale * y + down]])
            letters = cv2.warpAffine(letters, there, letters.shape[1::-1], flags=cv2.INTER_LINEAR)
        lay(below, letters, four(cv2.bitwise_not(cv2.extractChannel(letters, 3))), opacity)
        return below

    # Characters

    def _moves(self, at_s: float) -> bool:
        """Whether any character is away from its place."""
        return bool(self._characters) and away(self._characters, at_s, len(self._glyphs()))

    def _glyphs(self) -> list[Glyph]:
        """Every character by itself, in the colour of the text."""
        if self._letters is None:
            self._letters = []
            end = len(self._setting.text)
            for start, after in type_.clusters(self._setting.text):
                drawn = self._painted(type_.only(start, after, end, self._ink))
                left, top, wide, high = cv2.boundingRect(cv2.extractChannel(drawn, 3))
                if wide:
                    part = np.ascontiguousarray(drawn[top : top + high, left : left + wide])
                    self._letters.append(Glyph(start, after, part, Box(left, top, wide, high)))
        return self._letters

    def _in_colour(self, glyph: Glyph, of: Colour) -> Picture:
        """A character in another colour."""
        if of == self._ink:
            return glyph.picture
        if (glyph.start, of) not in self._coloured:
            drawn = self._painted(type_.only(glyph.start, glyph.end, len(self._setting.text), of))
            left, top, wide, high = (round(side) for side in glyph.box.tuple)
            self._coloured[glyph.start, of] = np.ascontiguousarray(drawn[top : top + high, left : left + wide])
        return self._coloured[glyph.start, of]

    def _colour_now(self, said: str | None, saying: bool) -> Colour:
        """The colour of a character; saying: its word is the one that is said."""
        if said == "color" and saying:
            return self._background(_HIGHLIGHT["color"])
        return self._dimmed() if said == "glow" and not saying else self._ink

    def _word_moved(
        self, word: Word | None, saying: bool, at_s: float, at: tuple[int, int]
    ) -> tuple[NDArray[np.float64] | None, float]:
        """What a caption's style does to all characters of a word on the canvas, where the text's picture lies at `at`:
        a matrix, and its opacity."""
        if word is None or (self._said is not None and self._said["style"] == "scale_pop" and not saying):
            return None, 1.0
        scale, across, down, opacity = self._carried(word, at_s)
        left, top, right, bottom = word.ink
        there = self._mirrored(Box(left, top, right - left, bottom - top))
        x, y = at[0] + there.left + there.width / 2, at[1] + there.top + there.height / 2
        moved = np.array([[scale, 0, x - scale * x + across], [0, scale, y - scale * y + down], [0, 0, 1]])
        return (None if (scale, across, down) == (1, 0, 0) else moved), opacity

    def _letter_by_letter(self, frame: int, at_s: float) -> tuple[Picture, tuple[int, int]]:
        said = None if self._said is None else self._said["style"]
        now = self._saying(at_s) if said is not None else None
        saying = None if now is None else self._words[now]
        x, y = round(self._left) - self._margin, round(self._top) - self._margin
        out = np.zeros((self.stage.height, self.stage.width, 4), np.uint8)
        light = np.zeros_like(out) if said == "glow" and saying is not None else None
        moment = self.moment(frame)
        for number, glyph in enumerate(self._glyphs()):
            word = next((one for one in self._words if one.start <= glyph.start < one.end), None)
            if word is None and said in ("slide_up", "fly_in"):
                continue
            onto = [(out, self._colour_now(said, word is not None and word is saying))]
            if light is not None and word is saying:
                onto.append((light, self._background(self._ink)))
            box = self._mirrored(glyph.box)
            box = Box(box.left + x, box.top + y, box.width, box.height)
            carried, opacity = self._word_moved(word, word is saying, at_s, (x, y))
            for canvas, of in onto:
                letter = self._flipped(self._in_colour(glyph, of))
                put(canvas, letter, box, self._characters, number, at_s, moment, self.stage, carried, opacity)
        if light is not None:
            out = self._shining(out, light)
        if said == "box" and saying is not None:
            left, top, picture = self._word_box(saying)
            there = self._mirrored(Box(left, top, picture.shape[1], picture.shape[0]))
            out = under(out, picture, x + round(there.left), y + round(there.top))
        return self._finished(out, x, y)


def _type(element: Mapping[str, Any]) -> Type:
    bold = "bold" in element["font_style"]
    return Type(
        family=element["font_family"].strip()[:100],
        size_px=float(element["font_size"]),
        weight=max(700, element["font_weight"]) if bold else element["font_weight"],
        italic="italic" in element["font_style"],
        align=element["text_align"],
        decoration=element["text_decoration"],
        wrap=element["text_wrap"] == "wrap",
        tracking_px=float(element["tracking"]),
        leading=float(element["leading"]),
    )


def _caption(text: str, words: Sequence[Mapping[str, Any]]) -> str:
    """The text, or the words in a row where these are not in it."""
    at = 0
    for word in words:
        wanted = word["text"].strip()
        found = text.find(wanted, at)
        if found < 0:
            return " ".join(one["text"].strip() for one in words)
        at = found + len(wanted)
    return text


def _as(named: str | None, of: Colour) -> Colour:
    """The outline's colour for letters of that one: as transparent as they are, and its own where none is named."""
    if named is None:
        return of
    r, g, b, a = colour(named)
    return r, g, b, round(a * of[3] / 255)


def _cut(picture: Picture, begin: tuple[int, int]) -> tuple[Picture, tuple[int, int]]:
    """The part that is not empty, and how far left of and above `begin` it reaches."""
    left, top, wide, high = cv2.boundingRect(cv2.extractChannel(picture, 3))
    if not wide:
        return np.zeros((1, 1, 4), np.uint8), (0, 0)
    part = np.ascontiguousarray(picture[top : top + high, left : left + wide])
    return part, (begin[0] - left, begin[1] - top)
