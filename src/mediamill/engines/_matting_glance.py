"""A glance at a film: whether some of its pictures have anything in front. A film may take minutes, and another network
may be the one for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from mediamill.core.errors import BadMedia
from mediamill.core.matting import FilmCut
from mediamill.engines import _av, _frames, _matting
from mediamill.engines._matting_film import Network

if TYPE_CHECKING:
    import numpy as np
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

_PLACES = 24
"""A keyframe near each is looked at, all through the film."""


def shows(work: FilmCut, network: Network, side: int) -> bool:
    """Whether one of the pictures does; also True where no picture can be had so quickly. Raises NoVideo, BadMedia."""
    source, video = _frames.film(work.source, work.source_mime)
    looked = False
    try:
        for rgb in _keyframes(work, source.duration_s or 0.0, video, side):
            if _matting.has_subject(_matting.without_specks(network(rgb))):
                return True
            looked = True
    except BadMedia:
        return True  # whoever reads the whole says what is wrong with it, or reads over it
    return not looked


def _keyframes(work: FilmCut, duration_s: float, video: _av.Video, side: int) -> Iterator[NDArray[np.float32]]:
    """(side, side, 3) of 0 to 1, upright. Not toned: people are found in dull pictures as well."""
    import numpy as np

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
            rgb = frame.to_ndarray(format="rgb24", width=side, height=side)
            yield np.ascontiguousarray(np.rot90(rgb, video.rotation_deg // 90), np.float32) / np.float32(255)
