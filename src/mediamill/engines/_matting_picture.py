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
from mediamill.engines._expected import SHORT_S, Course
from mediamill.engines._processor import slowness, used_s

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_PX = 80_000_000
"""What a matte of takes about 2 GB."""
_MARGIN = 0.12
"""Room left around what was found, as a part of it, when it is looked at again alone."""
_PARTS_S = ((0.02, 0.035), (0.03, 0.003), (0.02, 0.105), (0.005, 0.14), (0.0, 0.04))
"""Processor seconds to read a picture, to look at it twice, to make its matte, to find the colours of its front, and to
write it: to begin, and for a megapixel. With pictures of 0.1 to 6 megapixels, by the network for people."""
_FRONT_S, _FRONT = 0.18, 0.5
"""What writing takes more for a megapixel of what is in front, the rest being black; and how much of a picture that is,
until it is known."""
_LEVEL, _BANDS, LARGE_PX = 4, 8, 1_000_000
"""zlib's level; and from how many pixels on so many bands are tried, to see what the file takes: with less, to begin is
most of it."""
_ANY = 0.3
"""What a network says of what may be in front."""
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


def written_s(pixels: NDArray[np.uint8], level: int) -> float:
    """Processor seconds to write a large picture (height, width, channels) as PNG, by some bands of it: a thirtieth."""
    import io

    import numpy as np
    from PIL import Image

    height = len(pixels)
    rows = max(1, height // 32 // _BANDS)
    starts = [height * (2 * number + 1) // (2 * _BANDS) for number in range(_BANDS)]
    bands = np.concatenate([pixels[at : at + rows] for at in starts])
    began_s = used_s()
    Image.fromarray(bands).save(io.BytesIO(), "PNG", compress_level=level)
    return (used_s() - began_s) * height / len(bands)


def _write(path: Path, picture: Open, matte: NDArray[np.uint8], course: Course, file_s: float) -> None:
    """The picture under its matte."""
    import numpy as np
    from PIL import Image

    if picture.own is not None:
        matte = (matte.astype(np.uint16) * picture.own // 255).astype(np.uint8)
    rgb = _matting.without_background(picture.rgb, matte)
    extra = {"icc_profile": picture.icc} if picture.icc else {}
    made = np.dstack([rgb, matte])
    if matte.size > LARGE_PX:
        file_s = written_s(made, _LEVEL)
    course.at(file_s)
    Image.fromarray(made).save(path, "PNG", compress_level=_LEVEL, **extra)


def cut(
    work: PictureCut,
    network: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    *,
    again: bool = True,
    sure: float = _matting.SURE,
    steps: Steps | None = None,
) -> dict[str, Any]:
    """Write the target. The network takes (height, width, 3) of 0 to 1, of any size, and makes masks of any. For `sure`
    see _matting.has_subject.

    What it finds is looked at once more alone: somebody who fills a quarter of the picture then fills the whole of
    what the network sees, and comes out with twice the detail. Where that takes long, it says so in `steps`.
    """
    megapixels, slow = math.prod(_size(work.source)) / 1e6, slowness()
    read_s, look_s, matte_s, front_s, file_s = (slow * (begin_s + mp_s * megapixels) for begin_s, mp_s in _PARTS_S)
    parts = _Parts(look_s, matte_s, front_s, file_s, slow * _FRONT_S * megapixels)
    course = Course(work.report, "work", done_s=0.0 if work.began_s is None else used_s() - work.began_s)
    if read_s + look_s > SHORT_S:
        course.at(read_s, look_s + parts.later_s())
    # Else nothing is said until something is found: where it is not, another engine has all the work yet to do.
    with course.looking():
        found = _cut(work, network, course, parts, again=again, sure=sure, steps=steps)
    work.report("encode", 1.0)
    return found


class Steps:
    """What a look that takes long says of itself: seconds of the step that begins, and of those after it."""

    def __init__(self) -> None:
        self.tell: Callable[[float, float], None] = lambda now_s, later_s: None


@dataclass(frozen=True, slots=True)
class _Parts:
    """Processor seconds that the parts of the work are expected to take."""

    look_s: float
    matte_s: float
    front_s: float
    file_s: float
    full_s: float
    """What writing takes more when all of the picture is in front."""

    def later_s(self, front: float = _FRONT) -> float:
        """From the matte on. `front`: how much of the picture is in front."""
        return self.matte_s + self.front_s + self.written_s(front)

    def written_s(self, front: float) -> float:
        return self.file_s + front * self.full_s


def _cut(
    work: PictureCut,
    network: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    course: Course,
    parts: _Parts,
    *,
    again: bool,
    sure: float,
    steps: Steps | None,
) -> dict[str, Any]:
    import cv2
    import numpy as np

    picture = read(work.source)
    if steps is not None:
        steps.tell = lambda now_s, later_s: course.at(now_s, later_s + parts.later_s())
    height, width = picture.rgb.shape[:2]

    def look(part: NDArray[np.uint8]) -> NDArray[np.float32]:
        scale = min(1.0, 1024 / max(part.shape[:2]))
        size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
        return network(cv2.resize(part, size, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255))

    mask = look(picture.rgb)
    if not _matting.has_subject(mask, sure):
        raise NoSubject(_NOTHING)
    front = float(np.mean(mask > _ANY))
    course.at(parts.look_s / 2 if again else 0.0, parts.later_s(front))
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
    course.at(parts.matte_s, parts.later_s(front) - parts.matte_s)
    matte = _matting.picture_matte(_matting.without_specks(mask), picture.rgb)
    front = float(np.mean(matte > 0))
    course.at(parts.front_s, parts.written_s(front))
    _write(work.target, picture, matte, course, parts.written_s(front))
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
