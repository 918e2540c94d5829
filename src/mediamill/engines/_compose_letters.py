"""Characters of a text that move by themselves, each a picture of its own on the canvas."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mediamill.core import looks
from mediamill.engines._compose_actor import Box, Stage, eased_share, warped
from mediamill.engines._compose_pixels import Patch, lay
from mediamill.engines._look import (
    MOTIONS,
    REST,
    Moment,
    Picture,
    apply_blur,
    apply_pieces,
    apply_reveal,
    of_character,
)


@dataclass(frozen=True, slots=True)
class Glyph:
    """One character: where in the text it begins and ends, its picture, and where that lies in the text's."""

    start: int
    end: int
    picture: Picture
    box: Box


def away(motions: Sequence[Mapping[str, Any]], at_s: float, count: int) -> bool:
    """Whether any of so many characters is away from its place, or will be seen to move."""
    for motion in motions:
        which = looks.MOTIONS[motion["type"]].direction(reversed=motion["reversed"], scope="character")
        end_s = motion["time"] + motion["duration"] + max(0, count - 1) * motion["delay"]
        if (which == "in" and at_s < end_s) or (which == "out" and at_s >= motion["time"]):
            return True
        if (which not in ("in", "out") or motion["loop"]) and at_s >= motion["time"]:
            return True
    return False


def put(
    out: Picture,
    letter: Picture,
    box: Box,
    motions: Sequence[Mapping[str, Any]],
    number: int,
    at_s: float,
    moment: Moment,
    stage: Stage,
    carried: NDArray[np.float64] | None,
    opacity: float,
) -> None:
    """Lay the character of that number on a picture of the canvas. carried: what moves its whole word, as a matrix."""
    pose = REST
    for motion in motions:
        later = {**motion, "time": motion["time"] + number * motion["delay"]}
        share, then = eased_share(later, at_s, moment)
        if share is not None:
            pose = pose * of_character(MOTIONS[motion["type"]](share, then), share)
    opacity *= min(max(pose.opacity, 0.0), 1.0)
    if pose.hidden or opacity <= 0:
        return
    room = math.ceil(pose.room * max(box.width, box.height) + 3 * pose.blur * stage.height)
    letter = apply_reveal(letter, pose)
    if room:
        letter = cv2.copyMakeBorder(letter, room, room, room, room, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
    letter = apply_blur(apply_pieces(letter, pose, moment), pose, stage.height)
    there = pose.matrix(box.tuple, stage.size) @ np.array(
        [[1.0, 0, box.left - room], [0, 1, box.top - room], [0, 0, 1]]
    )
    patch = warped(letter, there if carried is None else carried @ there, stage.size)
    if patch is None:
        return
    high, wide = patch.pixels.shape[:2]
    into = out[patch.top : patch.top + high, patch.left : patch.left + wide]
    lay(into, patch.pixels, patch.keep, opacity)


def under(above: Picture, below: Picture, left: int, top: int) -> Picture:
    """A picture over a smaller one, of which the part is kept that lies within."""
    out = np.zeros_like(above)
    seen = Patch(below, left, top).clipped(above.shape[1], above.shape[0])
    if seen is not None:
        high, wide = seen.pixels.shape[:2]
        out[seen.top : seen.top + high, seen.left : seen.left + wide] = seen.pixels
    lay(out, above, Patch(above, 0, 0).keep, 1.0)
    return out
