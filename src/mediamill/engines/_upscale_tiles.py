"""A network that makes small pictures larger, over pictures of any size: in tiles, so that memory is bounded by one.

Every tile is given with a rim of its neighbours as wide as the network looks, and the rim is cut off what it makes, so
that no seam shows: tiled and whole the answer is the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

Done = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Network:
    """run: (height, width, 3) → (factor x height, factor x width, 3), floats of 0 to 1, of whole tiles with their rims.
    fixed: its tiles, rims and all, have this size and no other. pixel_s: processor seconds for a pixel that it gets, 0
    where nobody knows; first_s: what the first tile takes more, for memory is taken with it."""

    run: Callable[[NDArray[np.float32]], NDArray[np.float32]]
    factor: int
    rim: int
    tile: int
    fixed: bool = False
    pixel_s: float = 0.0
    first_s: float = 0.0


def passes(network: Network, scale: float) -> int:
    """How often the network is asked for a scale."""
    count, reached = 1, network.factor
    while reached < scale - 1e-9:
        count, reached = count + 1, reached * network.factor
    return count


def enlarge(rgb: Bytes, size: tuple[int, int], network: Network, done: Done = lambda share: None) -> Bytes:
    """The picture (height, width, 3) at a size (width, height). `done` gets the share of the work that is behind."""
    import cv2
    import numpy as np

    if rgb.shape[1::-1] == size:
        return rgb
    scale = max(size[0] / rgb.shape[1], size[1] / rgb.shape[0])
    count = passes(network, scale)
    weights = [float(network.factor) ** (2 * n) for n in range(count)]
    behind = 0.0
    for weight in weights:
        rgb = once(rgb, network, _within(done, behind / sum(weights), weight / sum(weights)))
        behind += weight
    if rgb.shape[1::-1] == size:
        return rgb
    smaller = size[0] <= rgb.shape[1] and size[1] <= rgb.shape[0]
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC), np.uint8)


def looked_at(shape: tuple[int, ...], size: tuple[int, int], network: Network) -> float:
    """Pixels that the network is given in all, for a picture (height, width) at a size."""
    step = network.tile - 2 * network.rim if network.fixed else network.tile
    whole = 0.0
    for number in range(passes(network, max(size[0] / shape[1], size[1] / shape[0]))):
        height, width = (
            _looked_at(side * network.factor**number, step, network.rim, fixed=network.fixed) for side in shape
        )
        whole += height * width
    return whole


def _within(done: Done, start: float, part: float) -> Done:
    return lambda share: done(start + part * share)


def once(rgb: Bytes, network: Network, done: Done = lambda share: None) -> Bytes:
    """The picture made larger by the network's own factor."""
    import cv2
    import numpy as np

    height, width = rgb.shape[:2]
    factor, rim = network.factor, network.rim
    step = network.tile - 2 * rim if network.fixed else network.tile
    made = np.empty((height * factor, width * factor, 3), np.uint8)
    down, across = -(-height // step), -(-width // step)
    behind, whole = (
        0,
        _looked_at(height, step, rim, fixed=network.fixed) * _looked_at(width, step, rim, fixed=network.fixed),
    )
    for number in range(down * across):
        top, left = number // across * step, number % across * step
        below, right = min(height, top + step), min(width, left + step)
        given = rgb[max(0, top - rim) : below + rim, max(0, left - rim) : right + rim]
        # Beyond the picture's edge, the picture mirrored; a fixed tile is filled up in the same way.
        above, under = max(0, rim - top), max(0, below + rim - height)
        before, after = max(0, rim - left), max(0, right + rim - width)
        if network.fixed:
            under += network.tile - (below - top + 2 * rim)
            after += network.tile - (right - left + 2 * rim)
        if above or under or before or after:
            given = np.asarray(cv2.copyMakeBorder(given, above, under, before, after, cv2.BORDER_REFLECT), np.uint8)
        answer = network.run(given.astype(np.float32) * np.float32(1 / 255))
        cut = answer[rim * factor :, rim * factor :][: (below - top) * factor, : (right - left) * factor]
        made[top * factor : below * factor, left * factor : right * factor] = np.clip(
            cut * np.float32(255) + np.float32(0.5), 0, 255
        )
        behind += given.shape[0] * given.shape[1]
        done(behind / whole)
    return made


def _looked_at(side: int, step: int, rim: int, *, fixed: bool) -> int:
    """Pixels along a side of a picture that its tiles are given with their rims."""
    tiles = -(-side // step)
    return tiles * (step + 2 * rim) if fixed else side + tiles * 2 * rim
