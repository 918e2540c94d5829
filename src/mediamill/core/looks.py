"""The names of everything that changes how a timeline looks, and which of them this version draws true to their name.

The words are those of the wire contract; what each does is in `engines/_look.py`, pictured in docs/reference/looks.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

TRANSITIONS = (
    "cross_dissolve", "dip_to_black", "dip_to_white", "wipe_left", "wipe_right", "wipe_up", "wipe_down",
    "diagonal_wipe", "barn_doors_horizontal", "barn_doors_vertical", "iris", "page_turn", "cross_zoom",
    "gradient_wipe", "band_wipe", "box_wipe", "swirl", "glitch_memories", "window_slice", "cube", "doorway",
    "pinwheel", "water_drop", "crosshatch", "dreamy", "angular", "burn", "heart", "circle_open", "color_phase",
    "squares_wire",
)  # fmt: skip

FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "film": ("vintage", "polaroid", "portra", "super8", "filmic", "add_grain", "film_burn", "light_leaks"),
        "colour": (
            "sepia", "duotone", "cross_process", "bleach_bypass", "posterize", "invert", "night_vision", "thermal",
        ),
        "blur and light": (
            "camera_lens_blur", "camera_lens_blur_bg", "box_blur", "glow", "lens_flare", "strobe_light", "snow",
            "echo", "ghosting", "prism",
        ),
        "blocks": (
            "mosaic", "mosaic_blur", "mosaic_posterize", "cc_halftone", "cc_halftone_red", "cc_halftone_green",
            "cc_halftone_blue",
        ),
        "distortion": (
            "rgb_split", "chromatic_aberration", "displacement_map", "optics_compensation", "viewfinder",
        ),
        "broadcast": (
            "vhs", "vhs_overlay", "crt", "television", "glitch", "compression_glitch", "scanlines",
        ),
        "key": ("chroma_key",),
    }
)  # fmt: skip
"""The effects by what they are of."""

MATTED = frozenset({"camera_lens_blur_bg"})
"""Effects that treat a person otherwise than what is behind them."""

EFFECTS = tuple(name for family in FAMILIES.values() for name in family)

BLEND_MODES = (
    "none", "multiply", "screen", "overlay", "darken", "lighten", "color_dodge", "color_burn", "hard_light",
    "soft_light",
)  # fmt: skip

EASINGS = ("linear", "ease_in", "ease_out", "ease_in_out")

CAPTION_STYLES = ("box", "color", "glow", "scale_pop", "slide_up", "fly_in")

Direction = Literal["in", "out", "loop", "whole"]
Scope = Literal["element", "character"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """Where one motion may stand: the directions it has for a whole element, and for each character of a text."""

    element: frozenset[Direction]
    character: frozenset[Direction] = frozenset()

    @property
    def entrance(self) -> bool:
        return "in" in self.element

    @property
    def exit(self) -> bool:
        return "out" in self.element

    @property
    def scopes(self) -> tuple[Scope, ...]:
        return ("element", "character") if self.character else ("element",)

    def direction(self, *, reversed: bool, scope: Scope = "element") -> Direction | None:
        """The direction that a request gets, None when there is no such. Exit-only types go out, whatever `reversed`
        says; loops and windows have no way out."""
        known = self.character if scope == "character" else self.element
        if "in" not in self.element:
            only = next(iter(self.element & known), None)
            return None if reversed and only != "out" else only
        wanted: Direction = "out" if reversed else "in"
        return wanted if wanted in known else None


def _motions() -> Mapping[str, Motion]:
    both: frozenset[Direction] = frozenset({"in", "out"})
    only: dict[str, frozenset[Direction]] = {name: frozenset({name}) for name in ("in", "out", "loop", "whole")}
    slides = ("slide_up", "slide_down", "slide_left", "slide_right")
    wipes = ("wipe_left", "wipe_right", "wipe_up", "wipe_down")
    element: dict[str, frozenset[Direction]] = {
        **dict.fromkeys(("fade", *slides, "rotate_cw", "rotate_ccw", "bounce", *wipes), both),
        **dict.fromkeys(
            ("zoom_in", "swing_in", "elastic_rise", "tilt_zoom", "smooth_pop", "blur", "bounce_motion", "explode",
             "overlay", "difference", "rubber_in", "whip_up", "glitch_pop", "drift_in"),
            only["in"],
        ),
        **dict.fromkeys(
            ("zoom_out", "swing_out", "elastic_drop", "evaporate", "whip_down", "drift_out"), only["out"]
        ),
        **dict.fromkeys(("ken_burns_in", "ken_burns_out", "ken_burns_in_out"), only["whole"]),
        **dict.fromkeys(
            ("loop_wiggle", "loop_rotate", "loop_rotate_smooth", "loop_3d_spin", "loop_3d_sway", "loop_orbit",
             "loop_breathe", "loop_shimmer"),
            only["loop"],
        ),
    }  # fmt: skip
    character: dict[str, frozenset[Direction]] = {
        **dict.fromkeys(("fade", *slides, "zoom_in"), both),
        **dict.fromkeys(
            ("bounce", "blur", "bounce_motion", "explode", "rubber_in", "whip_up", "glitch_pop", "drift_in"),
            only["in"],
        ),
        **dict.fromkeys(("evaporate", "whip_down", "drift_out"), only["out"]),
        **dict.fromkeys(("loop_breathe", "loop_shimmer"), only["loop"]),
    }
    return MappingProxyType(
        {name: Motion(element=known, character=character.get(name, frozenset())) for name, known in element.items()}
    )


MOTIONS: Mapping[str, Motion] = _motions()

SUPPORTED_TRANSITIONS = frozenset(TRANSITIONS)
SUPPORTED_EFFECTS = frozenset(EFFECTS)
SUPPORTED_MOTIONS = frozenset(MOTIONS)
SUPPORTED_BLEND_MODES = frozenset(BLEND_MODES)
"""A name that is missing in these is refused with `supported: false`, never ignored."""
