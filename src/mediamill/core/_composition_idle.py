"""What a scene asks for and does not show: values that need another one beside them, which is not there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mediamill.core import looks
from mediamill.core._composition_read import length

SILENT = ("gif",)
"""Moving formats that have no sound. Of a still nobody expects any: it may be a look at a scene that has."""
_SAID_IN_COLOUR = ("box", "color", "glow")
"""Styles of captions with a colour for the word that is said."""

Element = Mapping[str, Any]
Idle = Iterator[tuple[str, str]]
"""Dotted paths below their element or transition, and why each does nothing."""


def idle(elements: Sequence[Element], transitions: Sequence[Mapping[str, Any]], format: str) -> Idle:
    """Everything that is well-formed and comes to nothing, by its dotted path. Elements left out are not looked at."""
    for number, element in enumerate(elements):
        if element["visible"]:
            for path, why in _of_element(element, format):
                yield f"elements.{number}" + (f".{path}" if path else ""), why
    for number, transition in enumerate(transitions):
        for path, why in _of_transition(transition, elements):
            yield f"transitions.{number}.{path}", why


def _of_element(element: Element, format: str) -> Idle:
    if element["type"] == "audio":
        if format in SILENT:
            yield "", f"{format} has no sound."
        return
    if element["type"] == "text":
        yield from _of_text(element)
    else:
        yield from _of_media(element)
    yield from _of_style(element)
    for number, motion in enumerate(element["motion"]):
        for path, why in _of_motion(motion, element):
            yield f"motion.{number}.{path}", why


def _of_media(element: Element) -> Idle:
    for name, other in (("crop_right", "crop_left"), ("crop_bottom", "crop_top")):
        if element[name] + element[other] >= 1:
            yield name if element[name] else other, "Nothing of the picture is left to be seen."
    if element["lut_url"] is None and element["lut_intensity"] != 100:
        yield "lut_intensity", "There is no lut_url."
    for number, effect in enumerate(element["effects"]):
        if effect["chroma_settings"] is not None and effect["type"] != "chroma_key":
            yield f"effects.{number}.chroma_settings", "They are for chroma_key alone."
    if element.get("volume") == 0:
        for name in ("fade_in_duration", "fade_out_duration"):
            if element[name]:
                yield name, "It is mute: volume is 0."
    if element["shadow_color"] is not None and not any(_some(element, f"shadow_{name}") for name in ("blur", "x", "y")):
        yield "shadow_color", "The shadow lies wholly behind it: shadow_blur, shadow_x and shadow_y are 0."


def _of_style(element: Element) -> Idle:
    wide = _some(element, "border_width")
    if wide and element["border_color"] is None:
        yield "border_width", "There is no border_color."
    if element["border_color"] is not None and not wide:
        yield "border_color", "border_width is 0."
    if element["shadow_color"] is None and not element.get("shadow"):
        for name in ("shadow_blur", "shadow_x", "shadow_y"):
            if _some(element, name):
                yield name, "There is no shadow_color."


def _of_text(element: Element) -> Idle:
    said = None if element["word_animation"] is None else element["word_animation"]["style"]
    plate = element["background"] or (element["border_color"] is not None and _some(element, "border_width"))
    if not plate and said != "box":
        for name in ("border_radius", "x_padding", "y_padding"):
            if _some(element, name):
                yield name, "Nothing is drawn behind the text: background is false."
    if not element["background"] and said not in _SAID_IN_COLOUR:
        for name, usual in (("background_color", None), ("background_opacity", 100)):
            if element[name] != usual:
                yield name, "Nothing is drawn behind the text: background is false."
    if not element["stroke"]:
        if element["stroke_width"] > 0 and element["stroke_color"] is None:
            yield "stroke_width", "There is no stroke_color."
        if element["stroke_color"] is not None and element["stroke_width"] <= 0:
            yield "stroke_color", "stroke_width is 0."
    if said is not None and element["animation_preset"]:
        yield "animation_preset", "The words of a caption move by its style."


def _of_motion(motion: Mapping[str, Any], element: Element) -> Idle:
    which = looks.MOTIONS[motion["type"]].direction(reversed=motion["reversed"], scope=motion["scope"])
    if motion["delay"] and motion["scope"] == "element":
        yield "delay", "It is the time from character to character, and the whole element moves as one."
    if which == "loop" and motion["easing"] in ("ease_in", "ease_out"):
        yield "easing", f"{motion['type']} goes round and round, always as fast."
    start_s, end_s = element["time"], motion["time"] + motion["duration"]
    if which == "in" and not motion["loop"] and not motion["delay"] and end_s <= start_s:
        yield "time", f"It is over before the element is there, at {start_s:g} s of the timeline."
    if which != "in" and "duration" in element and motion["time"] >= start_s + element["duration"]:
        yield "time", f"The element is gone by then, at {start_s + element['duration']:g} s of the timeline."


def _of_transition(transition: Mapping[str, Any], elements: Sequence[Element]) -> Idle:
    if not transition["from_id"] or not transition["to_id"]:
        yield "to_id" if transition["from_id"] else "from_id", "A transition leads from one element to another."
        return
    for end in ("from_id", "to_id"):
        named = [one for one in elements if one["id"] == transition[end]]
        if named and not any(one["visible"] and one["type"] != "audio" for one in named):
            yield end, "That element is never to be seen."


def _some(element: Element, name: str) -> bool:
    """Whether a length is other than nothing."""
    return length(element[name], 100) != 0
