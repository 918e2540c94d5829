"""From a network's coarse mask to a matte with the picture's own edges: numbers alone, no files and no models.

The network sees a small picture and answers with a small mask. A guided filter (He, Sun, Tang) gives it the edges of
the real picture: in every window the matte is taken for a linear function of the colours, worked out at a middling size
and applied at full size. Nothing here remembers anything but `Steady`, which holds a film's mask still where the film
stands still.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mediamill.engines import _matting_colours

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


class Windows:
    """The coefficients of a matte as a function of the guide's channels: the matte is
    `slope[0] * first + slope[1] * second + slope[2] * third + constant`.

    The planes that it works in are made once: to be given them anew by the system took longer than all the sums.
    Channels stand apart, for numbers that lie side by side are worked out thrice as fast. Calls are few and large: all
    steps of a film share one interpreter, and wait for it after each.
    """

    def __init__(self) -> None:
        self._rooms: list[Any] = [None, None, None]

    def __call__(self, mask: Plane, guide: Sequence[Any], radius: int, onto: Plane | None = None) -> Plane:
        """The three slopes and the constant, (4, height, width), for levels of 0 to 255 in the guide. `onto`: memory
        to make them in, of `room` numbers."""
        import numpy as np

        height, width = mask.shape
        radius = min(radius, height)
        rows, side = height + 2 * radius, 2 * radius + 1
        # What is to be averaged stands one above the other in one tall plane, with room for mirrored rows between.
        given, means = (self._room(n, 13, rows, width) for n in (0, 1))
        inside = slice(radius, radius + height)
        at, all_rows = given[:, inside], given.reshape(-1, width)
        at[0] = mask
        for n, channel in enumerate(guide):
            at[1 + n] = channel
        np.multiply(at[1:4], at[0], out=at[4:7])
        np.multiply(at[1:4], at[1:4], out=at[7:10])
        np.multiply(at[1], at[2:4], out=at[10:12])
        np.multiply(at[2], at[3], out=at[12])
        self._mirror(given, radius)
        _averaged(all_rows, side, means.reshape(-1, width))
        self._solve(means[:, inside], given[:4, inside])
        self._mirror(given[:4], radius)
        made = np.empty(self.room(height, width, radius), np.float32) if onto is None else onto
        whole = made[: 4 * rows * width].reshape(4, rows, width)
        _averaged(given[:4].reshape(-1, width), side, whole.reshape(-1, width))
        found: Plane = whole[:, inside]
        return found

    @staticmethod
    def room(height: int, width: int, radius: int) -> int:
        """How many numbers an answer takes."""
        return 4 * (height + 2 * radius) * width

    def _room(self, at: int, *shape: int) -> Any:
        import math

        import numpy as np

        size = math.prod(shape)
        if self._rooms[at] is None or self._rooms[at].size < size:
            self._rooms[at] = np.empty(size, np.float32)
        return self._rooms[at][:size].reshape(shape)

    @staticmethod
    def _mirror(planes: Any, radius: int) -> None:
        planes[:, :radius] = planes[:, 2 * radius - 1 : radius - 1 : -1]
        planes[:, -radius:] = planes[:, -radius - 1 : -2 * radius - 1 : -1]

    def _solve(self, means: Any, made: Any) -> None:
        """Slopes and constant of some rows, from the means of products: the equations of a symmetric 3 x 3 matrix,
        solved for all pixels at once. numpy.linalg takes fifty times as long for many small ones."""
        import numpy as np

        three = self._room(2, 3, *means.shape[1:])
        one, two = three[0], three[:2]
        mask, colours = means[0], means[1:4]
        xx, yy, zz, yz = means[7], means[8], means[9], means[12]
        xy, xz = means[10:12]
        p, q, s = means[4:7]
        for planes, left, right, room in (
            (means[4:7], colours, mask, three),
            (means[7:10], colours, colours, three),
            (means[10:12], colours[0], colours[1:], two),
            (yz, colours[1], colours[2], one),
        ):
            np.subtract(planes, np.multiply(left, right, out=room), out=planes)
        means[7:10] += np.float32(_EPSILON * 255 * 255)

        def less(plane: Any, left: Any, right: Any) -> None:
            np.subtract(plane, np.multiply(left, right, out=one), out=plane)

        by_y, by_z = np.divide(means[10:12], xx, out=made[:2])
        less(yy, by_y, xy)
        less(yz, by_y, xz)
        less(zz, by_z, xz)
        less(q, by_y, p)
        less(s, by_z, p)
        then = np.divide(yz, yy, out=made[2])
        less(zz, then, yz)
        less(s, then, q)
        np.divide(s, zz, out=s)
        np.divide(q, yy, out=q)
        less(q, then, s)
        np.divide(p, xx, out=p)
        less(p, by_y, q)
        less(p, by_z, s)
        np.copyto(made[:3], means[4:7])
        np.multiply(made[:3], colours, out=three)
        for plane in three:
            np.subtract(mask, plane, out=mask)
        np.copyto(made[3], mask)


def _averaged(planes: Any, side: int, onto: Any) -> None:
    import cv2
    import numpy as np

    # Up to a dozen of samples, adding them anew for each pixel is quicker than OpenCV's running sum.
    if side <= _FEW:
        ones = np.full(side, 1 / side, np.float32)
        cv2.sepFilter2D(planes, -1, ones, ones, dst=onto, borderType=cv2.BORDER_REFLECT)
    else:
        cv2.boxFilter(planes, -1, (side, side), dst=onto, borderType=cv2.BORDER_REFLECT)


_FEW = 11


def stretched() -> tuple[float, float]:
    """What a matte of 0 to 1 is multiplied by, and what is added, to be 0 to 255 with what is nearly clear or nearly
    solid made so."""
    gain = 255 / (_HIGH - _LOW)
    return gain, -_LOW * gain


def to_bytes(matte: Plane) -> Bytes:
    """0 to 1 as 0 to 255, stretched."""
    import cv2
    import numpy as np

    gain, less = stretched()
    return np.asarray(cv2.addWeighted(matte, gain, matte, 0, less, dtype=cv2.CV_8U), np.uint8)


def has_subject(mask: Plane, sure: float = SURE) -> bool:
    """Whether a mask shows anything at all, of which at least the share `sure` is no guess."""
    import numpy as np

    found = int(np.count_nonzero(mask > 0.9))
    return found >= _SEEN * mask.size and found >= sure * int(np.count_nonzero(mask > 0.3))


def picture_matte(mask: Plane, rgb: Bytes, longest_px: int = 1024) -> Bytes:
    """The matte of a whole picture (height, width, 3) from a mask of any size."""
    import cv2
    import numpy as np

    height, width = rgb.shape[:2]
    scale = min(1.0, longest_px / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    guide = cv2.split(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
    small = firm(np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR), np.float32))
    *slopes, constant = Windows()(small, guide, max(2, round(max(size) / 128)))
    made = np.empty((height, width), np.uint8)
    for top in range(0, height, _BAND):  # a whole 50-megapixel picture in floats would take gigabytes
        below = min(height, top + _BAND)
        matte = _part(constant, (width, height), top, below)
        for n, slope in enumerate(slopes):
            matte += _part(slope, (width, height), top, below) * rgb[top:below, :, n]
        made[top:below] = to_bytes(matte)
    return made


def firm(mask: Plane) -> Plane:
    """A mask whose half answers lean to one side: softness at an edge is for the picture's colours to give, and a
    network's own haze beside a neck would be a halo."""
    import numpy as np

    low, high = _FIRM
    sure = mask - np.float32(low)
    sure *= np.float32(1 / (high - low))
    np.clip(sure, 0, 1, out=sure)
    steep = np.float32(3) - np.float32(2) * sure
    sure *= sure
    sure *= steep
    return sure


def without_specks(mask: Plane) -> Plane:
    """A mask without the small pieces that lie apart from the large ones, as a flag taken for a sleeve."""
    import cv2
    import numpy as np

    seen = (mask > _FIRM[0]).view(np.uint8)
    numbers = (
        cv2.CV_16U if mask.size < 4 << 16 else cv2.CV_32S
    )  # pieces take at least four pixels, with what is between
    count, found, stats, _ = cv2.connectedComponentsWithStats(seen, connectivity=8, ltype=numbers)
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
    made = _own_colours(np.where(edge, front, rgb), matte)
    made[~touched] = 0
    return made


def _own_colours(rgb: Bytes, matte: Bytes) -> Bytes:
    """Without what of the background shines in, see _matting_colours: at half the size, as cameras have it."""
    import cv2
    import numpy as np

    size = rgb.shape[1], rgb.shape[0]
    half = -(-size[0] // 2), -(-size[1] // 2)
    light, *colours = cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2YCrCb))
    small = [np.asarray(cv2.resize(plane, half, interpolation=cv2.INTER_AREA), np.uint8) for plane in colours]
    fitting = np.asarray(cv2.resize(matte, half, interpolation=cv2.INTER_AREA), np.uint8)
    changed = np.zeros(matte.shape, bool)
    for plane, before, after in zip(colours, small, _matting_colours.own(small, fitting), strict=True):
        by = cv2.resize(after.astype(np.int16) - before, size, interpolation=cv2.INTER_LINEAR)
        cv2.add(plane, by, dst=plane, dtype=cv2.CV_8U)
        changed |= by != 0
    return np.where(changed[..., None], cv2.cvtColor(cv2.merge([light, *colours]), cv2.COLOR_YCrCb2RGB), rgb)


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
            hold = np.asarray(cv2.absdiff(light, dark), np.float32)
            hold *= hold
            hold *= np.float32(-1 / (self.STILL * self.STILL))
            np.exp(hold, out=hold)
            hold *= np.float32(self.HOLD)
            mask = mask + hold * (before - mask)
        self._mask, self._light = mask, light
        return mask, hold
