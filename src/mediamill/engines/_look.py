"""All looks of timeline renders by their names: pure functions on pictures, of the same size out as in.

What is in the tables here keeps these promises: the argument is untouched; an effect of intensity 0, and a transition
at either end, give the very picture that came in; and the same moment gives the same picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mediamill.engines import (
    _look_blocks,
    _look_film,
    _look_flow,
    _look_key,
    _look_lens,
    _look_light,
    _look_screen,
    _look_tint,
    _look_turn,
    _look_wipe,
)
from mediamill.engines._look_base import Blend, Effect, Moment, Picture, Settings, Transition
from mediamill.engines._look_blend import BLENDS
from mediamill.engines._look_motion import EASINGS, MOTIONS, Motion, of_character
from mediamill.engines._look_pose import REST, Pose, apply_blur, apply_pieces, apply_reveal

__all__ = [
    "BLENDS", "EASINGS", "EFFECTS", "MOTIONS", "REST", "TRANSITIONS", "Blend", "Effect", "Moment", "Motion",
    "Picture", "Pose", "Settings", "Transition", "apply_blur", "apply_pieces", "apply_reveal", "of_character",
]  # fmt: skip


def _guarded(effect: Effect) -> Effect:
    def applied(picture: Picture, moment: Moment, intensity: float, settings: Settings) -> Picture:
        if intensity <= 0 or picture.size == 0:
            return picture
        return effect(picture, moment, min(intensity, 1.0), settings)

    return applied


def _bounded(transition: Transition) -> Transition:
    def applied(a: Picture, b: Picture, p: float, moment: Moment) -> Picture:
        if p <= 0 or a.size == 0:
            return a
        return b if p >= 1 else transition(a, b, p, moment)

    return applied


_CUTS: Mapping[str, Transition] = {**_look_wipe.TRANSITIONS, **_look_turn.TRANSITIONS, **_look_flow.TRANSITIONS}
TRANSITIONS: Mapping[str, Transition] = MappingProxyType({name: _bounded(cut) for name, cut in _CUTS.items()})
_PAINTS: Mapping[str, Effect] = {
    **_look_film.EFFECTS,
    **_look_tint.EFFECTS,
    **_look_light.EFFECTS,
    **_look_blocks.EFFECTS,
    **_look_lens.EFFECTS,
    **_look_screen.EFFECTS,
    **_look_key.EFFECTS,
}
EFFECTS: Mapping[str, Effect] = MappingProxyType({name: _guarded(paint) for name, paint in _PAINTS.items()})
