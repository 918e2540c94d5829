"""The colours that what is in front has itself, along the edge of a matte.

A camera, and half the colours that films have, carry what is behind some pixels into what is in front: laid over
another ground, it shines there as a rim. Brightness is left as it is: hair is drawn by that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.uint8]

_SOLID, _SURE, _RAMP = 240, 250, 60
"""Of a matte: from where on colours are taken, and how far below full it is where they are given, more and more."""
BEYOND = 2
"""Pixels into what is clear that colours go on."""
_REACH = 1 / 48
"""How far from the edge they are taken, as a part of the longer side."""
_NONE = 1 / 1024
"""Share of an area that must be solid, to know its colour."""


def own(colours: Sequence[Plane], matte: Plane) -> list[Plane]:
    """Planes of colours (Cb and Cr) beside a matte of their size, 0 to 255, as new planes."""
    import cv2
    import numpy as np

    made = [plane.copy() for plane in colours]
    # A pixel further in than the matte says: colours are halved, and a lens is not sharp. And a little of what is
    # clear: an encoder, and whoever enlarges the colours, mixes neighbours.
    inner = cv2.erode(matte, np.ones((3, 3), np.uint8))
    wide = cv2.dilate(matte, np.ones((2 * BEYOND + 1,) * 2, np.uint8))
    unsure = cv2.inRange(inner, np.array(0), np.array(_SURE - 1))
    edge = cv2.findNonZero(cv2.bitwise_and(wide, unsure))  # NumPy's way takes five times as long
    if edge is None:
        return made
    columns, rows = np.ascontiguousarray(edge.reshape(-1, 2).T)
    solid = np.asarray(cv2.inRange(inner, np.array(_SOLID + 1), np.array(255)), np.uint8)
    # What a wide window sees is smooth: half the size shows it as well, and only the edge's own pixels look there.
    half = -(-matte.shape[1] // 2), -(-matte.shape[0] // 2)
    near = rows * half[1] // matte.shape[0], columns * half[0] // matte.shape[1]
    side = (2 * max(2, round(max(half) * _REACH)) + 1,) * 2

    def around(plane: Any) -> NDArray[np.float32]:
        found = cv2.boxFilter(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), cv2.CV_32F, side)
        return np.asarray(found[near], np.float32)

    share = around(solid)
    given = np.clip((_SURE - inner[rows, columns].astype(np.float32)) / _RAMP, 0, 1)
    given[share < 255 * _NONE] = 0
    share = np.maximum(share, np.float32(255 * _NONE))
    for plane in made:
        seen = plane[rows, columns].astype(np.float32)
        front = around(cv2.bitwise_and(plane, solid)) * np.float32(255) / share
        plane[rows, columns] = np.clip(np.rint(seen + given * (front - seen)), 0, 255).astype(np.uint8)
    return made
