"""A picture without its background, by any network that makes masks of small pictures."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediamill.core.errors import BadMedia, LimitExceeded, NoSubject
from mediamill.core.matting import PictureCut
from mediamill.engines import _matting
from mediamill.engines._expected import Course
from mediamill.engines._processor import slowness, used_s

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_PX = 80_000_000
"""What a matte of takes about 2 GB."""
_MARGIN = 0.12
"""Room left around what was found, as a part of it, when it is looked at again alone."""
_PARTS_S = ((0.03, 0.035), (0.03, 0.003), (0.025, 0.07), (0.0, 0.37))
"""Processor seconds to read a picture, to look at it twice, to make its matte and to write it: to begin, and for a
megapixel. With pictures of 0.3 to 6 megapixels, by the network for people."""
_NOTHING = "Nothing in the picture could be told from the background."


@dataclass(frozen=True, slots=True)
class Open:
    """A picture in memory. own: its transparency, None where it has none."""

    rgb: NDArray[np.uint8]
    own: NDArray[np.uint8] | None
    icc: bytes | None


def read(path: Path) -> Open:
    """A PNG file. Raises BadMedia, LimitExceeded."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=["PNG"]) as image:
            if image.width * image.height > MOST_PX:
                raise LimitExceeded(f"The picture has more than {MOST_PX // 1_000_000} million pixels.")
            icc = image.info.get("icc_profile")
            clear = "A" in image.getbands() or "transparency" in image.info
            grey = image.mode in ("L", "LA", "I;16", "I", "1")
            pixels = np.asarray(image.convert("RGBA" if clear else "RGB"))
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise BadMedia("The picture cannot be read.") from error
    # A profile of greys does not fit the colours that are written.
    return Open(pixels[..., :3], pixels[..., 3] if clear else None, None if grey else icc)


def _size(path: Path) -> tuple[int, int]:
    """What the head of a PNG file says. Raises BadMedia."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path, formats=["PNG"]) as image:
            return image.size
    except (OSError, UnidentifiedImageError, ValueError) as error:
        raise BadMedia("The picture cannot be read.") from error


def write(path: Path, picture: Open, matte: NDArray[np.uint8]) -> None:
    """The picture under its matte."""
    import numpy as np
    from PIL import Image

    if picture.own is not None:
        matte = (matte.astype(np.uint16) * picture.own // 255).astype(np.uint8)
    rgb = _matting.without_background(picture.rgb, matte)
    extra = {"icc_profile": picture.icc} if picture.icc else {}
    Image.fromarray(np.dstack([rgb, matte])).save(path, "PNG", compress_level=4, **extra)


def cut(
    work: PictureCut,
    network: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    *,
    again: bool = True,
    sure: float = _matting.SURE,
) -> dict[str, Any]:
    """Write the target. The network takes (height, width, 3) of 0 to 1, of any size, and makes masks of any. For `sure`
    see _matting.has_subject.

    What it finds is looked at once more alone: somebody who fills a quarter of the picture then fills the whole of
    what the network sees, and comes out with twice the detail.
    """
    megapixels, slow = math.prod(_size(work.source)) / 1e6, slowness()
    read_s, look_s, matte_s, write_s = (slow * (begin_s + mp_s * megapixels) for begin_s, mp_s in _PARTS_S)
    course = Course(work.report, "work", done_s=0.0 if work.began_s is None else used_s() - work.began_s)
    course.at(read_s, look_s + matte_s + write_s)
    with course.looking():
        found = _cut(work, network, course, (look_s, matte_s, write_s), again=again, sure=sure)
    work.report("encode", 1.0)
    return found


def _cut(
    work: PictureCut,
    network: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    course: Course,
    parts_s: tuple[float, float, float],
    *,
    again: bool,
    sure: float,
) -> dict[str, Any]:
    import cv2
    import numpy as np

    look_s, matte_s, write_s = parts_s
    picture = read(work.source)
    course.at(look_s, matte_s + write_s)
    height, width = picture.rgb.shape[:2]

    def look(part: NDArray[np.uint8]) -> NDArray[np.float32]:
        scale = min(1.0, 1024 / max(part.shape[:2]))
        size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
        return network(cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255))

    mask = look(picture.rgb)
    if not _matting.has_subject(mask, sure):
        raise NoSubject(_NOTHING)
    left, top, right, below = _around(mask, width, height)
    if again and (right - left) * (below - top) < 0.8 * width * height:
        closer = look(picture.rgb[top:below, left:right])
        scale = min(1.0, 1024 / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        mask = np.asarray(cv2.resize(mask, size), np.float32)
        part = mask[round(top * scale) : round(below * scale), round(left * scale) : round(right * scale)]
        # What the first look is sure is nobody stays so: the second may take what lies in the margin for somebody.
        near = cv2.dilate(part, np.ones((3, 3), np.uint8), iterations=8)
        part[...] = np.minimum(cv2.resize(closer, part.shape[::-1]), near)
    course.at(matte_s, write_s)
    matte = _matting.picture_matte(_matting.without_specks(mask), picture.rgb)
    course.at(write_s)
    write(work.target, picture, matte)
    return {"width_px": width, "height_px": height}


def _around(mask: NDArray[np.float32], width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what a mask shows and some room, in pixels of the picture."""
    import numpy as np

    rows, columns = np.flatnonzero((mask > 0.5).any(1)), np.flatnonzero((mask > 0.5).any(0))
    edges = []
    for found, cells, length in ((columns, mask.shape[1], width), (rows, mask.shape[0], height)):
        low, high = (int(found[0]), int(found[-1]) + 1) if len(found) else (0, cells)
        room = (high - low) * _MARGIN
        edges.append((max(0, int((low - room) * length / cells)), min(length, int((high + room) * length / cells) + 1)))
    (left, right), (top, below) = edges
    return left, top, right, below
