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
_PARTS_S = ((0.02, 0.035), (0.02, 0.105), (0.005, 0.14), (0.0, 0.04))
"""Processor seconds to read a picture, to make its matte, to find the colours of its front, and to write it: to begin,
and for a megapixel. With pictures of 0.1 to 6 megapixels."""
_SMALLER_S = 0.0015
"""What a megapixel takes to be made small for a look."""
_FRONT_S, _FRONT = 0.18, 0.5
"""What writing takes more for a megapixel of what is in front, the rest being black; and how much of a picture that is,
until it is known."""
_LEVEL, _BANDS, LARGE_PX = 4, 8, 1_000_000
"""zlib's level; and from how many pixels on so many bands are tried, to see what the file takes: with less, to begin is
most of it."""
_AGAIN = 0.5
"""How likely a second look is, until it is known what is in front."""
_SEEN, _STILL = 0.5, 0.75
"""What is in front, and how much of it the second look must still see to be taken."""
_ANY = 0.3
"""What a network says of what may be in front."""
_NOTHING = "Nothing in the picture could be told from the background."


@dataclass(frozen=True, slots=True)
class LookS:
    """Processor seconds that a network takes to look at a picture, and at what it found alone."""

    first: float
    second: float


QUICK = LookS(0.015, 0.015)
Believe = Callable[["NDArray[np.uint8]", "NDArray[np.float32]"], bool]
"""Whether what a mask shows of a picture (height, width, 3) is what the network was made for."""


def any_subject(rgb: NDArray[np.uint8], mask: NDArray[np.float32]) -> bool:
    """For a network that was made for all."""
    return True


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
    sure: float = _matting.SURE,
    look_s: LookS = QUICK,
    believe: Believe = any_subject,
) -> dict[str, Any]:
    """Write the target. The network takes (height, width, 3) of 0 to 1, of any size, and makes masks of any. For `sure`
    see _matting.has_subject.

    What it finds is looked at once more alone: somebody who fills a quarter of the picture then fills the whole of
    what the network sees, and comes out with twice the detail.
    """
    parts = _Parts.of(math.prod(_size(work.source)) / 1e6, look_s)
    course = Course(work.report, "work", done_s=0.0 if work.began_s is None else used_s() - work.began_s)
    with course.looking():
        found = _cut(work, network, course, parts, sure, believe)
    work.report("encode", 1.0)
    return found


@dataclass(frozen=True, slots=True)
class _Parts:
    """Processor seconds that the parts of the work are expected to take."""

    read_s: float
    look_s: LookS
    matte_s: float
    front_s: float
    file_s: float
    full_s: float
    """What writing takes more when all of the picture is in front."""

    @classmethod
    def of(cls, megapixels: float, look_s: LookS) -> _Parts:
        """For a picture of that size, on this machine."""
        slow = slowness()
        read_s, matte_s, front_s, file_s = (slow * (begin_s + mp_s * megapixels) for begin_s, mp_s in _PARTS_S)
        looks = LookS(*(slow * (one_s + _SMALLER_S * megapixels) for one_s in (look_s.first, look_s.second)))
        return cls(read_s, looks, matte_s, front_s, file_s, slow * _FRONT_S * megapixels)

    @property
    def looking_s(self) -> float:
        """Until it is known what is in front."""
        return self.read_s + self.look_s.first + self.look_s.second

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
    sure: float,
    believe: Believe,
) -> dict[str, Any]:
    import cv2
    import numpy as np

    # Where looking is short nothing is said until something is found: if nothing is, another engine has all to do yet.
    said = parts.looking_s > SHORT_S
    if said:
        course.at(parts.read_s, parts.look_s.first + _AGAIN * parts.look_s.second + parts.later_s())
    picture = read(work.source)
    if said:
        course.at(parts.look_s.first, _AGAIN * parts.look_s.second + parts.later_s())
    height, width = picture.rgb.shape[:2]

    def smaller(part: NDArray[np.uint8]) -> NDArray[np.uint8]:
        scale = min(1.0, 1024 / max(part.shape[:2]))
        size = max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale))
        return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)

    small = smaller(picture.rgb)
    mask = network(small.astype(np.float32) / np.float32(255))
    if not (_matting.has_subject(mask, sure) and believe(small, mask)):
        raise NoSubject(_NOTHING)
    front = float(np.mean(mask > _ANY))
    left, top, right, below = _around(mask, width, height)
    if (right - left) * (below - top) < 0.8 * width * height:
        course.at(parts.look_s.second, parts.later_s(front))
        closer = network(smaller(picture.rgb[top:below, left:right]).astype(np.float32) / np.float32(255))
        scale = min(1.0, 1024 / max(height, width))
        size = max(1, round(width * scale)), max(1, round(height * scale))
        mask = np.asarray(cv2.resize(mask, size), np.float32)
        part = mask[round(top * scale) : round(below * scale), round(left * scale) : round(right * scale)]
        # What the first look is sure is nobody stays so: the second may take what lies in the margin for somebody.
        near = cv2.dilate(part, np.ones((3, 3), np.uint8), iterations=8)
        closer = np.minimum(cv2.resize(closer, part.shape[::-1]), near)
        seen = part > _SEEN
        # Alone, a part of something may catch the eye, and the rest be lost: a pot of its plant.
        if np.count_nonzero(closer[seen] > _SEEN) >= _STILL * np.count_nonzero(seen):
            part[...] = closer
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
