"""From a network's coarse mask to a matte with the picture's own edges: numbers alone, no files and no models.

The network sees a small picture and answers with a small mask. A guided filter (He, Sun, Tang) gives it the edges of
the real picture: in every window the matte is taken for a linear function of the colours, worked out at a middling size
and applied at full size. Nothing here remembers anything but `Steady`, which holds a film's mask still where the film
stands still.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Plane = NDArray[np.float32]
    Bytes = NDArray[np.uint8]

WORK_PX = 384
"""The longer side at which the filter's coefficients are worked out for films."""
_EPSILON = 1e-3
"""Colour variance (of 0 to 1) below which a window counts as flat, so that the mask is only smoothed there."""
_FIRM = 0.2, 0.8
"""What a network says below the one becomes nothing, above the other everything."""
_SPECK = 0.03
"""Of the largest piece; smaller ones are slips."""
_LOW, _HIGH = 0.12, 0.88
"""The filter's answer is never quite 0 or 1; these become so."""
_SEEN = 0.003
"""Share of a picture that must be in front; less is a slip."""
SURE = 0.6
"""Of what a network takes for the front at all, the part it must be sure of. Of people it is sure (0.85 to 0.95 in
pictures of them); of cups, engines and galaxies it has notions (0.43, 0.03, 0.26)."""


def windows(mask: Plane, guide: Sequence[Plane], radius: int) -> list[Plane]:
    """The coefficients of the matte as a function of the guide's channels (of 0 to 1), and last the constant, each a
    plane of the mask's size. Channels stand apart, for numbers that lie side by side are worked out thrice as fast."""
    import cv2
    import numpy as np

    side = 2 * radius + 1
    ones = np.full(side, 1 / side, np.float32)
    times, less = cv2.multiply, cv2.subtract

    def mean(plane: Any) -> Any:
        # Up to a dozen of samples, adding them anew for each pixel is quicker than OpenCV's running sum.
        if side <= _FEW:
            return cv2.sepFilter2D(plane, -1, ones, ones, borderType=cv2.BORDER_REFLECT)
        return cv2.boxFilter(plane, -1, (side, side), borderType=cv2.BORDER_REFLECT)

    def shared(one: Any, its: Any, other: Any, others: Any) -> Any:
        """How two planes vary together, from them and their means."""
        made = mean(times(one, other))
        return less(made, times(its, others), dst=made)

    def minor(a: Any, b: Any, c: Any, d: Any) -> Any:
        made = times(a, b)
        return less(made, times(c, d), dst=made)

    def summed(a: Any, x: Any, b: Any, y: Any, c: Any, z: Any) -> Any:
        made = times(a, x)
        cv2.accumulateProduct(b, y, made)
        cv2.accumulateProduct(c, z, made)
        return made

    level = mean(mask)
    means = [mean(channel) for channel in guide]
    p, q, s = (shared(channel, own, mask, level) for channel, own in zip(guide, means, strict=True))
    xx, yy, zz = (shared(guide[n], means[n], guide[n], means[n]) + np.float32(_EPSILON) for n in range(3))
    xy, xz, yz = (shared(guide[m], means[m], guide[n], means[n]) for m, n in ((0, 1), (0, 2), (1, 2)))
    # The inverse of a symmetric 3 x 3 matrix, written out: numpy.linalg takes fifty times as long for many small ones.
    one, two, three = minor(yy, zz, yz, yz), minor(xz, yz, xy, zz), minor(xy, yz, xz, yy)
    four, five, six = minor(xx, zz, xz, xz), minor(xy, xz, xx, yz), minor(xx, yy, xy, xy)
    whole = summed(xx, one, xy, two, xz, three)
    slopes = [
        cv2.divide(summed(one, p, two, q, three, s), whole),
        cv2.divide(summed(two, p, four, q, five, s), whole),
        cv2.divide(summed(three, p, five, q, six, s), whole),
    ]
    level = less(level, summed(slopes[0], means[0], slopes[1], means[1], slopes[2], means[2]))
    return [mean(plane) for plane in (*slopes, level)]


_FEW = 11


def to_bytes(matte: Plane) -> Bytes:
    """0 to 1 as 0 to 255, with what is nearly clear or nearly solid made so."""
    import cv2
    import numpy as np

    gain = 255 / (_HIGH - _LOW)
    return np.asarray(cv2.addWeighted(matte, gain, matte, 0, -_LOW * gain, dtype=cv2.CV_8U), np.uint8)


def has_subject(mask: Plane, sure: float = SURE) -> bool:
    """Whether a mask shows anything at all, of which at least the share `sure` is no guess."""
    found = int((mask > 0.9).sum())
    return found >= _SEEN * mask.size and found >= sure * int((mask > 0.3).sum())


def picture_matte(mask: Plane, rgb: Bytes, longest_px: int = 1024) -> Bytes:
    """The matte of a whole picture (height, width, 3) from a mask of any size."""
    import cv2
    import numpy as np

    height, width = rgb.shape[:2]
    scale = min(1.0, longest_px / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    guide = channels(cv2.split(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)))
    small = firm(np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR), np.float32))
    *slopes, constant = windows(small, guide, max(2, round(max(size) / 128)))
    made = np.empty((height, width), np.uint8)
    for top in range(0, height, _BAND):  # a whole 50-megapixel picture in floats would take gigabytes
        below = min(height, top + _BAND)
        matte = _part(constant, (width, height), top, below)
        for n, slope in enumerate(slopes):
            colour = rgb[top:below, :, n].astype(np.float32) / np.float32(255)
            matte += _part(slope, (width, height), top, below) * colour
        made[top:below] = to_bytes(matte)
    return made


def channels(planes: Sequence[Any]) -> list[Plane]:
    """Planes of bytes as a guide."""
    import numpy as np

    return [plane.astype(np.float32) * np.float32(1 / 255) for plane in planes]


def firm(mask: Plane) -> Plane:
    """A mask whose half answers lean to one side: softness at an edge is for the picture's colours to give, and a
    network's own haze beside a neck would be a halo."""
    import numpy as np

    low, high = _FIRM
    sure = np.clip((mask - np.float32(low)) * np.float32(1 / (high - low)), 0, 1)
    return np.asarray(sure * sure * (3 - 2 * sure), np.float32)


def without_specks(mask: Plane) -> Plane:
    """A mask without the small pieces that lie apart from the large ones, as a flag taken for a sleeve."""
    import cv2
    import numpy as np

    count, found, stats, _ = cv2.connectedComponentsWithStats((mask > _FIRM[0]).astype(np.uint8))
    areas = stats[:, cv2.CC_STAT_AREA].astype(np.int64)
    areas[0] = 0
    small = areas < _SPECK * areas.max()
    small[0] = False
    if count <= 2 or not small.any():
        return mask
    return np.where(small[np.asarray(found)], np.float32(0), mask)


_BAND = 256


def _part(plane: Plane, size: tuple[int, int], top: int, below: int) -> Plane:
    """Rows `top` to `below` of a plane enlarged to a size, without enlarging the others."""
    import cv2
    import numpy as np

    down = plane.shape[0] / size[1]
    across = plane.shape[1] / size[0]
    # Pixel centres are mapped on pixel centres, as cv2.resize does.
    move = np.array([[across, 0, across / 2 - 0.5], [0, down, (top + 0.5) * down - 0.5]], np.float64)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    found = cv2.warpAffine(plane, move, (size[0], below - top), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def without_background(rgb: Bytes, matte: Bytes) -> Bytes:
    """The picture with the colours of what is in front all along its edge, and black where nothing is.

    A half clear pixel of hair holds half of the wall behind it. Its own colour is guessed from the solid pixels around
    (Forte, Pitié: "Approximate fast foreground colour estimation", 2021), first widely, then narrowly.
    """
    import cv2
    import numpy as np

    front: Bytes = rgb
    alpha = matte.astype(np.float32) / np.float32(255)
    for radius in (max(8, round(max(rgb.shape[:2]) / 24)), 6):
        front = _towards(rgb, front, alpha, radius)
    touched = cv2.dilate(matte, np.ones((3, 3), np.uint8)) > 0
    edge = (matte < 255)[..., None] & touched[..., None]
    made = np.where(edge, front, rgb)
    made[~touched] = 0
    return np.asarray(made, np.uint8)


def _towards(rgb: Bytes, front: Bytes, alpha: Plane, radius: int) -> Bytes:
    """One round: the front and the back as their surroundings have them, then what of the picture they leave open is
    shared out. Channel by channel, for memory."""
    import cv2
    import numpy as np

    side = (2 * radius + 1, 2 * radius + 1)
    solid = cv2.blur(alpha, side)
    made = np.empty_like(rgb)
    for channel in range(3):
        seen, own = rgb[..., channel].astype(np.float32), front[..., channel].astype(np.float32)
        fore = cv2.blur(own * alpha, side) / (solid + np.float32(1e-5))
        back = cv2.blur(seen * (1 - alpha), side) / (1 - solid + np.float32(1e-5))
        better = fore + alpha * (seen - alpha * fore - (1 - alpha) * back)
        made[..., channel] = np.clip(better, 0, 255).astype(np.uint8)
    return made


class Steady:
    """Holds a film's mask and matte: where the picture stands still they go on as they were, where it moves they move
    at once. A network's answer trembles by itself, grain trembles in the edge, and that is what the eye sees first."""

    HOLD = 0.8
    """How much of what was before stays where nothing moves."""
    STILL = 0.022
    """Change of brightness (of 0 to 1), over a few pixels together, that is noise."""

    def __init__(self) -> None:
        self._mask: Plane | None = None
        self._light: Plane | None = None

    def __call__(self, mask: Plane, light: Plane) -> tuple[Plane, Plane | None]:
        """The mask to use for a picture whose brightness, at the mask's size, is `light`; and how much is to be held
        where (0 to 1, None for nothing)."""
        import cv2
        import numpy as np

        light = np.asarray(cv2.blur(light, (5, 5)), np.float32)
        before, dark, hold = self._mask, self._light, None
        if before is not None and dark is not None:
            moved = cv2.absdiff(light, dark) * np.float32(1 / self.STILL)
            hold = np.float32(self.HOLD) * np.exp(-(moved * moved), dtype=np.float32)
            mask = mask + hold * (before - mask)
        self._mask, self._light = mask, light
        return mask, hold
