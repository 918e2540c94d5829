"""Transparent frames as films store them: colours that are not multiplied by alpha, and some where nothing is.

ffmpeg's `unpremultiply` takes frames for straight unless they say otherwise, which only its newest versions let them,
so that it is done here. Colours of 4:2:0 are means of four pixels: counted by their alpha, as else an edge would take
on the black of the nothing beside it.
"""

from __future__ import annotations

import cv2
import numpy as np

from mediamill.engines._compose_pixels import Buffer, into_planes, planes, to_coded
from mediamill.engines._look_base import Picture, opaque, straight

_SHRINKS = 8
"""How many times smaller the picture is out of which nothing takes its colours; and that picture's own, and so on."""


def yuva(buffer: Buffer, width: int, height: int) -> Buffer:
    """A frame of premultiplied RGBA, both sides even, as 4:2:0 with alpha."""
    picture = buffer.reshape(height, width, 4)
    pixels = width * height
    made = np.empty(pixels * 5 // 2, np.uint8)
    alpha = made[pixels * 3 // 2 :].reshape(height, width)
    cv2.extractChannel(picture, 3, alpha)
    if opaque(picture):
        into_planes(picture, made[: pixels * 3 // 2])
        return made
    y, u, v = planes(made, width, height)
    cv2.extractChannel(to_coded(spread(picture)), 0, y)
    coded = to_coded(spread(cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)))
    cv2.extractChannel(coded, 1, u)
    cv2.extractChannel(coded, 2, v)
    return made


def rgba(buffer: Buffer, width: int, height: int) -> Buffer:
    """The same as straight RGBA."""
    picture = buffer.reshape(height, width, 4)
    return buffer if opaque(picture) else spread(picture).reshape(-1)


def spread(picture: Picture) -> Picture:
    """Straight colours, where nothing is those nearby: black there would cost bits, and darken edges when coded."""
    out = straight(picture)
    height, width = picture.shape[:2]
    alpha = cv2.extractChannel(picture, 3)
    nothing = (alpha == 0).view(np.uint8)
    if min(width, height) >= _SHRINKS and nothing.any():
        size = width // _SHRINKS, height // _SHRINKS
        near = spread(cv2.resize(picture, size, interpolation=cv2.INTER_AREA))
        far = cv2.resize(near, (width, height), interpolation=cv2.INTER_LINEAR)
        cv2.insertChannel(alpha, far, 3)
        cv2.copyTo(far, nothing, out)
    return out
