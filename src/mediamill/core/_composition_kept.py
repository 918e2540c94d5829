"""Scenes as earlier versions kept them: what those took and did nothing with, and what this one refuses, counts as not
given, so that a scene that could be drawn can be drawn still, and looks as it did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mediamill.core import looks

DROPPED = "An earlier version took it and did nothing with it. It counts as not given, and goes with the next edit."
UNSUPPORTED_FIELDS = ("clip",)
"""Fields of elements that may be given as what they are without being given, and no otherwise."""


def brought(request: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The same scene without those values, and their dotted paths."""
    dropped: list[str] = []
    elements = []
    for number, element in enumerate(request.get("elements", ())):
        at = f"elements.{number}"
        gone = [name for name in UNSUPPORTED_FIELDS if element.get(name)]
        dropped += [f"{at}.{name}" for name in gone]
        motions = list(element.get("motion", ()))
        for which, motion in enumerate(motions):
            if motion.get("reversed") and _never_leaves(motion):
                motions[which] = {**motion, "reversed": False}
                dropped.append(f"{at}.motion.{which}.reversed")
        changed = {**element, **dict.fromkeys(gone, False)}
        elements.append({**changed, "motion": motions} if motions else changed)
    return {**request, "elements": elements} if dropped else dict(request), dropped


def _never_leaves(motion: Mapping[str, Any]) -> bool:
    """Whether it is a loop or a whole window, which went on whatever `reversed` said."""
    known = looks.MOTIONS.get(motion["type"])
    return known is not None and not known.element & {"in", "out"}
