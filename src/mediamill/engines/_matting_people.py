"""Whether what the network for people took for somebody is somebody: it takes cats and cups for people, too.

People in front of a camera have faces; from behind and from afar they are cut out as other things are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

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
_LONGEST_PX = 640
"""Of a keyframe that is looked at."""


def missing() -> Missing | None:
    """Why nobody can be told by their face here, or None."""
    return _face.missing()


class Faces:
    """Looks for faces; the networks are loaded with the first picture: 20 ms."""

    def __init__(self) -> None:
        self._reader: _face.Reader | None = None

    def __call__(self, rgb: NDArray[np.uint8], mask: NDArray[np.float32]) -> bool:
        """Whether there is a face in what a mask (of any size) shows of a picture (height, width, 3)."""
        if self._reader is None:
            self._reader = _face.Reader(1)
        high, wide = (part / whole for part, whole in zip(mask.shape, rgb.shape[:2], strict=False))
        for points in self._reader.alone(rgb):
            x, y = points[:, :2].mean(axis=0)
            row, column = min(len(mask) - 1, max(0, int(y * high))), min(mask.shape[1] - 1, max(0, int(x * wide)))
            if mask[row, column] > 0.5:
                return True
        return False


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
