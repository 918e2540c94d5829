"""What the names that `animation_preset` of a text may have stand for: one of the motions, or typing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mediamill.core import looks

TYPING = frozenset({"typewriter", "typewriting", "typing", "type", "type_on", "type_in"})
NAMES: Mapping[str, str] = MappingProxyType(
    {
        "appear": "fade", "dissolve": "fade",
        "pop": "smooth_pop", "scale": "zoom_in", "zoom": "zoom_in", "grow": "zoom_in", "scale_in": "zoom_in",
        "slide": "slide_up", "rise": "elastic_rise", "float": "drift_in", "drift": "drift_in", "fly": "whip_up",
        "whip": "whip_up", "drop": "slide_down", "fall": "slide_down",
        "wipe": "wipe_right", "reveal": "wipe_right", "rotate": "rotate_cw", "spin": "rotate_cw", "roll": "rotate_cw",
        "swing": "swing_in", "tilt": "tilt_zoom", "elastic": "rubber_in", "rubber": "rubber_in",
        "glitch": "glitch_pop", "focus": "blur", "shrink": "zoom_out", "pop_out": "zoom_out",
        "fade_up": "slide_up", "fade_in_up": "slide_up", "fade_down": "slide_down", "fade_in_down": "slide_down",
        "wiggle": "loop_wiggle", "shake": "loop_wiggle", "pulse": "loop_breathe", "breathe": "loop_breathe",
        "shimmer": "loop_shimmer", "shine": "loop_shimmer", "sway": "loop_3d_sway", "orbit": "loop_orbit",
    }
)  # fmt: skip
"""Everyday words; besides, every motion goes by its own name, and `_in` or `_out` may follow."""
LETTERS: Mapping[str, str] = MappingProxyType(
    {"cascade": "slide_up", "wave": "bounce", "letters": "fade", "letter_by_letter": "fade", "stagger": "slide_up"}
)
"""Words that have each character move by itself."""

TYPED_S = 0.06
"""Between two characters, where there is time for it."""
TYPED_SHARE = 0.7
"""Of the text's duration that typing takes at most."""
WINDOW_S, _LOOP_S = 0.6, 1.5
_STAGGER_S = 0.05
SHARE = 0.4
"""Of the text's duration that coming, or going, takes at most."""
_MOST_LETTERS = 500
_SPRINGS = frozenset(
    {"smooth_pop", "bounce", "bounce_motion", "rubber_in", "elastic_rise", "elastic_drop", "swing_in", "glitch_pop"}
)
_BLENDS = frozenset({"overlay", "difference"})


def plain_name(preset: str | None) -> str:
    """The name in small letters with underscores: "Slide Up", "slide-up" and "slideUp" are one."""
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", (preset or "")[:100])
    return re.sub(r"[\s_-]+", "_", apart.strip()).lower()


def is_typed(element: Mapping[str, Any]) -> bool:
    """Whether its characters appear one after the other. An entrance or characters that move otherwise win."""
    if plain_name(element["animation_preset"]) not in TYPING or element["word_animation"] is not None:
        return False
    return not any(_direction(motion) == "in" or motion["scope"] == "character" for motion in element["motion"])


def animated(element: Mapping[str, Any]) -> Mapping[str, Any]:
    """The element with the motion that its preset names. A motion of its own in the same direction wins."""
    made = None if element["word_animation"] is not None else _motion(element)
    if made is None or _direction(made) in _directions(element):
        return element
    return {**element, "motion": [*element["motion"], made]}


def _direction(motion: Mapping[str, Any]) -> looks.Direction | None:
    return looks.MOTIONS[motion["type"]].direction(reversed=motion["reversed"], scope=motion["scope"])


def _directions(element: Mapping[str, Any]) -> set[looks.Direction | None]:
    return {_direction(motion) for motion in element["motion"]}


def _named(name: str) -> tuple[str, bool] | None:
    """The motion of a name, and whether it is to be an exit."""
    for word, reversed in ((name, False), (name.removesuffix("_in"), False), (name.removesuffix("_out"), True)):
        found = NAMES.get(word, word)
        if found in looks.MOTIONS and found not in _BLENDS:
            out = reversed and word != name
            if looks.MOTIONS[found].direction(reversed=out) is not None:
                return found, out
    return None


def _motion(element: Mapping[str, Any]) -> dict[str, Any] | None:
    name = plain_name(element["animation_preset"])
    by_letter = name in LETTERS and len(element["text"]) <= _MOST_LETTERS
    found = (LETTERS[name], False) if name in LETTERS else _named(name)
    if found is None:
        return None
    type_, reversed = found
    scope: looks.Scope = "character" if by_letter else "element"
    which = looks.MOTIONS[type_].direction(reversed=reversed, scope=scope)
    start, whole = float(element["time"]), float(element["duration"])
    lasts = {"loop": _LOOP_S, "whole": whole}.get(which or "", min(WINDOW_S, whole * SHARE))
    delay = 0.0
    if by_letter:  # the last one too has come when that share is over
        lasts = min(WINDOW_S, whole * SHARE / 2)
        delay = min(_STAGGER_S, (whole * SHARE - lasts) / max(1, len(element["text"]) - 1))
    return {
        "type": type_,
        "time": start + whole - lasts if which == "out" else start,
        "duration": lasts,
        "easing": "linear" if type_ in _SPRINGS or which == "loop" else "ease_in" if which == "out" else "ease_out",
        "reversed": reversed,
        "scope": scope,
        "delay": delay,
        "loop": False,
    }
