"""The fields of a timeline request, as tables: their types, defaults, bounds and what they mean.

Whoever reads a request (core.compositions) and whoever shows its shape (the options of the kinds) go by these tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from mediamill.core import looks

FORMATS = ("mp4", "webm", "mov", "gif", "png", "jpg")
EASINGS = looks.EASINGS
ELEMENT_TYPES = ("video", "image", "audio", "text")
MAX_ELEMENTS = 1000
MAX_TEXT = 10_000
MAX_WORD = 500
MAX_URL = 2083

Shape = Literal[
    "number", "integer", "boolean", "text", "length", "angle", "colour", "choice", "url", "list", "object", "strings"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One field. `low` and `high` are allowed themselves, `above` is not. inner: the fields of an object or of each
    entry of a list; `at_most`: entries of a list, letters of a text."""

    shape: Shape
    doc: str
    default: Any = None
    required: bool = False
    nullable: bool = False
    low: float | None = None
    high: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = ()
    inner: Mapping[str, Field] | None = None
    at_least: int = 0
    at_most: int | None = None


Fields = Mapping[str, Field]


def _number(doc: str, default: float | None = None, **more: Any) -> Field:
    return Field(shape="number", doc=doc, default=default, nullable=default is None, **more)


def _integer(doc: str, default: int | None = None, **more: Any) -> Field:
    return Field(shape="integer", doc=doc, default=default, nullable=default is None, **more)


def _flag(doc: str, default: bool = False) -> Field:
    return Field(shape="boolean", doc=doc, default=default)


def _text(doc: str, default: str | None = None, **more: Any) -> Field:
    return Field(shape="text", doc=doc, default=default, nullable=default is None, at_most=MAX_TEXT, **more)


def _length(doc: str, default: int | str = 0) -> Field:
    return Field(shape="length", doc=doc, default=default)


def _angle(doc: str) -> Field:
    return Field(shape="angle", doc=doc, default=0)


def _colour(doc: str, default: str | None = None) -> Field:
    return Field(shape="colour", doc=doc, default=default, nullable=default is None)


def _choice(doc: str, choices: tuple[str, ...], default: str) -> Field:
    return Field(shape="choice", doc=doc, choices=choices, default=default)


def _url(doc: str) -> Field:
    return Field(shape="url", doc=doc, nullable=True)


def _list(doc: str, inner: Fields, at_most: int) -> Field:
    return Field(shape="list", doc=doc, default=(), inner=inner, at_most=at_most)


def _needed(field: Field) -> Field:
    return replace(field, required=True, nullable=False, default=None)


_PERCENT: dict[str, Any] = {"low": 0, "high": 100}
_SHARE: dict[str, Any] = {"low": 0, "high": 1}

CHROMA: Fields = {
    "hue_min": _number("Least hue in degrees that becomes transparent.", 80, low=0, high=360),
    "hue_max": _number("Greatest hue; less than the least goes round past red.", 160, low=0, high=360),
    "sat_min": _number("Least saturation.", 0.25, **_SHARE),
    "sat_max": _number("Greatest saturation.", 1, **_SHARE),
    "lum_min": _number("Least lightness.", 0.1, **_SHARE),
    "lum_max": _number("Greatest lightness.", 0.95, **_SHARE),
}
EFFECT: Fields = {
    "type": _needed(_choice("Which.", looks.EFFECTS, "")),
    "intensity": _number("0 is none, 100 all of it.", 100, **_PERCENT),
    "chroma_settings": Field(shape="object", doc="What chroma_key takes away.", nullable=True, inner=CHROMA),
}
MOTION: Fields = {
    "type": _needed(_choice("Which.", tuple(looks.MOTIONS), "")),
    "time": _needed(_number("Second of the timeline at which it begins.", 0, low=0)),
    "duration": _needed(_number("Seconds it takes.", 1, above=0)),
    "easing": _choice("How it gathers speed; loops do not.", EASINGS, "ease_in_out"),
    "reversed": _flag("Out rather than in; not for loops and whole windows, which have no way out."),
    "scope": _choice("The whole element, or glyph after glyph (text).", ("element", "character"), "element"),
    "delay": _number("Seconds from glyph to glyph, where each moves by itself.", 0, low=0),
    "loop": _flag("Again and again."),
}
TRANSITION: Fields = {
    "type": _needed(_choice("Which.", looks.TRANSITIONS, "")),
    "duration": _needed(_number("Seconds, half of them before the cut.", 1, above=0)),
    "from_id": Field(shape="text", doc="Id of the element that goes.", nullable=True, at_most=MAX_TEXT),
    "to_id": Field(shape="text", doc="Id of the element that comes.", nullable=True, at_most=MAX_TEXT),
    "z_index": _integer("Where it is stacked; else where its elements are."),
}
WORD: Fields = {
    "text": _needed(replace(_text("The word.", ""), at_most=MAX_WORD)),
    "start": _needed(_number("Second of the timeline at which it is said.", 0, low=0)),
    "end": _needed(_number("Second at which it is over.", 1, above=0)),
}
WORDS: Fields = {
    "style": _needed(_choice("How the word that is said stands out.", looks.CAPTION_STYLES, "")),
    "words": Field(shape="list", doc="The words in order.", required=True, inner=WORD, at_least=1, at_most=5000),
}

BASE: Fields = {
    "id": _text("Its name in transitions.", ""),
    "name": _text("A label; nothing is done with it."),
    "track": _integer("A row in an editor; nothing is done with it.", None, low=0, high=255),
    "time": _number("Second of the timeline at which it begins.", 0, low=0),
    "visible": _flag("False leaves it out.", True),
}
VISUAL: Fields = {
    "x": _length("Where its anchor lies.", "50%"),
    "y": _length("Where its anchor lies.", "50%"),
    "width": _length("Of its box.", "100%"),
    "height": _length("Of its box.", "100%"),
    "aspect_ratio": _number("Width by height of its box, within the sides given.", None, above=0),
    "x_anchor": _length("The point of the box that is put at x.", "50%"),
    "y_anchor": _length("The point of the box that is put at y.", "50%"),
    "x_rotation": _angle("Tilts it backwards, in degrees or as 0.5rad."),
    "y_rotation": _angle("Turns it sideways."),
    "z_rotation": _angle("Turns it clockwise."),
    "x_scale": _length("Makes it wider, from the anchor.", "100%"),
    "y_scale": _length("Makes it higher, from the anchor.", "100%"),
    "flip_horizontal": _flag("Left becomes right."),
    "flip_vertical": _flag("Top becomes bottom."),
    "opacity": _number("0 is not there, 100 hides what is behind.", 100, **_PERCENT),
    "z_index": _integer("Higher is in front; of equal ones, the earlier.", 0, low=-1_000_000, high=1_000_000),
    "blend_mode": _choice("How it mixes with what is behind.", looks.BLEND_MODES, "none"),
    "clip": _flag("False alone: what true does is nowhere published, and it is refused."),
    "color_overlay": _colour("A colour laid over it."),
}
STYLE: Fields = {
    "border_radius": _length("Of its corners."),
    "border_color": _colour("Of a line round it."),
    "border_width": _length("Of that line."),
    "shadow_color": _colour("Of its shadow."),
    "shadow_blur": _length("How soft the shadow is."),
    "shadow_x": _length("How far to the right the shadow falls."),
    "shadow_y": _length("How far down the shadow falls."),
}
CROP: Fields = {
    f"crop_{edge}": _number("Share cut off that edge.", 0, **_SHARE) for edge in ("top", "bottom", "left", "right")
}
COLOUR: Fields = {
    "brightness": _number("-100 to 100.", 0),
    "contrast": _number("-100 to 100.", 0),
    "saturation": _number("-100 to 100.", 0),
    "exposure": _number("-100 to 100: two stops each way.", 0),
    "hue_rotate": _number("Degrees.", 0),
    "sharpness": _number("0 to 100.", 0),
    "blur": _number("0 to 100.", 0),
    "noise": _number("0 to 100.", 0),
    "vignette": _number("0 to 100.", 0),
}
LUT: Fields = {
    "lut_url": _url("A .cube file with its colours."),
    "lut_intensity": _number("How much of it.", 100, **_PERCENT),
}
_EFFECTS: Fields = {"effects": _list("Effects on its picture, the first first.", EFFECT, 32)}
_MOTION: Fields = {"motion": _list("How it comes, moves and goes.", MOTION, 64)}
_SOURCE = replace(_url("Where the file is, or file: and the id of a stored one."), required=True, nullable=False)
_SPAN: Fields = {
    "in_point": _number("Second of the source to begin at.", 0, low=0),
    "out_point": _number("Second of the source to end at (its end).", None, above=0),
    "speed": _number("Twice as fast is 2.", 1, low=0.25, high=4),
}
_FADES: Fields = {
    "fade_in_duration": _number("Seconds over which its sound comes up.", 0, low=0),
    "fade_out_duration": _number("Seconds over which its sound goes.", 0, low=0),
}
_SHOWN = _needed(_number("Seconds it is there.", 1, above=0))

VIDEO: Fields = {
    **BASE, "source_url": _SOURCE, **_SPAN, "volume": _number("0 mutes it.", 100, **_PERCENT), **_FADES,
    **VISUAL, **STYLE, **CROP, **COLOUR, **LUT, **_EFFECTS, **_MOTION,
}  # fmt: skip
AUDIO: Fields = {
    **BASE, "source_url": _SOURCE, **_SPAN, "volume": _number("Of it.", 100, above=0, high=100), **_FADES,
}  # fmt: skip
IMAGE: Fields = {
    **BASE, "id": replace(_text("Its name in transitions."), required=True, nullable=False, at_least=1),
    "source_url": _SOURCE, "duration": _SHOWN,
    **VISUAL, **STYLE, **CROP, **COLOUR, **LUT, **_EFFECTS, **_MOTION,
}  # fmt: skip
TEXT: Fields = {
    **BASE,
    "text": replace(_text("What it says."), required=True, nullable=False, at_least=1),
    "duration": _SHOWN,
    "font_family": _text("Family of the font; an unknown one becomes Inter.", "Inter"),
    "font_size": _number("Pixels of the canvas.", 16, above=0, high=8192),
    "font_weight": _integer("100 to 900.", 400, low=100, high=900),
    "font_style": _choice("Slant and weight in a word.", ("normal", "italic", "bold", "bolditalic"), "normal"),
    "text_color": _colour("Of the letters.", "#ffffff"),
    "text_align": _choice("Which edge lines keep to.", ("left", "center", "right"), "center"),
    "text_decoration": _choice("A line.", ("none", "underline", "strikethrough"), "none"),
    "text_wrap": _choice("Whether lines break at the width.", ("wrap", "nowrap"), "wrap"),
    "tracking": _number("Pixels between letters.", 0, low=-1000, high=1000),
    "leading": _number("Height of a line by the font's size.", 1.2, low=0, high=20),
    "stroke_color": _colour("Of the outline."),
    "stroke_width": _number("Below 1 a share of the font's size, else pixels.", 0, low=0, high=1000),
    "background_color": _colour("Of the plate, or of the word that is said."),
    "background_opacity": _number("Of the plate.", 100, **_PERCENT),
    "x_padding": _length("From the text to the plate's sides."),
    "y_padding": _length("From the text to the plate's top and bottom."),
    "background": _flag("A plate behind the whole text."),
    "stroke": _flag("Hollow letters: an outline without filling."),
    "shadow": _flag("A shadow below the letters."),
    "word_animation": Field(shape="object", doc="Makes a caption of it.", nullable=True, inner=WORDS),
    "animation_preset": _text("Moves the letters as its name says, e.g. typewriter; others do nothing."),
    **VISUAL,
    "z_index": replace(VISUAL["z_index"], default=1),
    **STYLE, **_MOTION,
}  # fmt: skip
ELEMENTS: Mapping[str, Fields] = {"video": VIDEO, "image": IMAGE, "audio": AUDIO, "text": TEXT}

REQUEST: Fields = {
    "width": _integer("Of the canvas, in pixels.", None, low=16, high=8192),
    "height": _integer("Of the canvas, in pixels.", None, low=16, high=8192),
    "duration": _number("Seconds; else until the last element ends.", None, above=0),
    "frame_rate": _integer("Frames a second.", 30, low=1, high=240),
    "output_format": _choice("What to make; png and jpg are the first frame.", FORMATS, "mp4"),
    "output_filename": _text("Name of the file made, without its ending."),
    "background_color": _colour("Of the canvas."),
    "background_image_url": _url("A picture behind every element, filling the canvas."),
    "alpha": _flag("A transparent background, in webm and mov."),
    "transitions": _list("From one element to the next.", TRANSITION, MAX_ELEMENTS),
}
SENT: Fields = {
    "metadata": Field(shape="strings", doc="The caller's own.", default={}),
    "webhook_url": _url("Told when it is done."),
    "ingest_external": Field(shape="boolean", doc="Copy sources first.", nullable=True),
}
"""What a request has beside the scene."""
