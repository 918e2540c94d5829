"""Whether what the network for people took for somebody is somebody: it takes cats and cups for people, too.

People in front of a camera have faces; from behind and from afar they are cut out as other things are.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, cast

from mediamill import models
from mediamill.core.errors import BadMedia
from mediamill.core.matting import FilmCut
from mediamill.core.ports import Missing
from mediamill.engines import _av, _face, _frames, _matting
from mediamill.engines._matting_film import Network

if TYPE_CHECKING:
    import numpy as np
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

_PLACES = 24
"""A keyframe near each is looked at, all through the film: reading all of it may take minutes."""
_LONGEST_PX = 960
"""Of a keyframe that is looked at."""
_NEAR = 3
"""Pixels of the mask: of somebody far off it may miss the head, which a closer look then finds."""
_ROOM = 1.1
"""What is looked at for faces, as a part of what a mask shows."""


def missing() -> Missing | None:
    """Why nobody can be told by their face here, or None."""
    return _face.missing()


class Faces:
    """Looks for faces; the networks are loaded when a picture wants them: 20 ms."""

    def __init__(self) -> None:
        # A folder that was filled before it was known has it not.
        self._far = models.missing(_face.FAR) is None

    @cached_property
    def _finder(self) -> _face.Finder:
        return _face.Finder()

    @cached_property
    def _reader(self) -> _face.Reader:
        return _face.Reader(1)

    def __call__(self, rgb: NDArray[np.uint8], mask: NDArray[np.float32]) -> bool:
        """Whether there is a face in what a mask (of any size) shows of a picture (height, width, 3)."""
        high, wide = (part / whole for part, whole in zip(mask.shape, rgb.shape[:2], strict=False))

        def shown(x: float, y: float, near: int) -> bool:
            part = mask[max(0, int(y * high) - near) :, max(0, int(x * wide) - near) :][: 2 * near + 1, : 2 * near + 1]
            return bool(part.size and part.max() > 0.5)

        if self._far:
            # Of who is far off, the face is large enough in what the mask shows alone.
            square = _around(mask, wide, high)
            if any(shown(x, y, _NEAR) for x, y in self._finder(_face.taken_from(rgb), square)):
                return True
        middles = (points[:, :2].mean(axis=0) for points in self._reader.alone(rgb))
        return any(shown(float(x), float(y), 0) for x, y in middles)


def _around(mask: NDArray[np.float32], wide: float, high: float) -> _face.Square:
    """A square of the picture about what a mask shows, of which each pixel is `1 / wide` by `1 / high` of its own."""
    import numpy as np

    rows, columns = np.flatnonzero((mask > 0.5).any(1)), np.flatnonzero((mask > 0.5).any(0))
    if not len(rows):
        rows, columns = np.arange(mask.shape[0]), np.arange(mask.shape[1])
    top, below = rows[0] / high, (rows[-1] + 1) / high
    left, right = columns[0] / wide, (columns[-1] + 1) / wide
    return _face.Square((left + right) / 2, (top + below) / 2, _ROOM * max(right - left, below - top))


def shows(work: FilmCut, network: Network, sure: float) -> bool:
    """Whether a film has somebody in it, at a glance; also True where no picture can be had so quickly. For `sure` see
    _matting.has_subject. Raises NoVideo, BadMedia."""
    import numpy as np

    source, video = _frames.film(work.source, work.source_mime)
    looked, faces = False, Faces()
    try:
        for rgb in _keyframes(work, source.duration_s or 0.0, video):
            mask = _matting.without_specks(network(rgb.astype(np.float32) / np.float32(255)))
            if _matting.has_subject(mask, sure) and faces(rgb, mask):
                return True
            looked = True
    except BadMedia:
        return True  # whoever reads the whole says what is wrong with it, or reads over it
    return not looked


def _keyframes(work: FilmCut, duration_s: float, video: _av.Video) -> Iterator[NDArray[np.uint8]]:
    """(height, width, 3), upright. Not toned: people are found in dull pictures as well."""
    import numpy as np

    scale = min(1.0, _LONGEST_PX / max(video.width_px, video.height_px))
    width, height = (max(2, round(side * scale)) for side in (video.width_px, video.height_px))
    if video.rotation_deg in (90, 270):
        width, height = height, width
    before = None
    with _av.opened(work.source, work.source_mime) as container:
        stream = cast("VideoStream", container.streams[video.index])
        for place in range(_PLACES if duration_s else 1):
            if place:
                container.seek(int(duration_s * 1_000_000 * place / _PLACES))
            frame = next(container.decode(stream), None)
            if frame is None or frame.pts == before:
                continue
            before = frame.pts
            rgb = frame.to_ndarray(format="rgb24", width=width, height=height)
            yield np.ascontiguousarray(np.rot90(rgb, video.rotation_deg // 90))
