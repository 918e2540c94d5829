"""Pictures and films through a tiled network, whichever it is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mediamill.core.upscaling import LargerFilm, LargerPicture
from mediamill.engines import _frames, _matting_picture, _upscale_tiles
from mediamill.engines._expected import Course
from mediamill.engines._processor import slowness, used_s
from mediamill.engines._upscale_tiles import Network

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WRITE_S, AGAIN_S, LEVEL = 0.1, 0.06, 2
"""Processor seconds to write a megapixel of PNG, and to make a JPEG of that; zlib's level."""
_H264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p")
_VP9 = (
    *("-c:v", "libvpx-vp9", "-crf", "24", "-b:v", "0", "-deadline", "realtime", "-cpu-used", "5"),
    *("-row-mt", "1", "-tile-columns", "2"),
)


def encoder(work: LargerFilm, *, clear: bool) -> list[str]:
    """Finer than films are coded by default: the detail that was worked for is not to be lost at once."""
    if work.container != "webm":
        return list(_H264)
    return [*_VP9, *(("-pix_fmt", "yuva420p", "-auto-alt-ref", "0") if clear else ("-pix_fmt", "yuv420p"))]


def picture(work: LargerPicture, network: Network) -> dict[str, Any]:
    """Write the target."""
    import numpy as np
    from PIL import Image

    course = Course(work.report, "work", done_s=0.0 if work.began_s is None else used_s() - work.began_s)
    opened = _matting_picture.read(work.source)
    slow = slowness()
    write_s, again_s = (cost_s * slow * math.prod(work.size) / 1e6 for cost_s in (WRITE_S, AGAIN_S * work.again))
    first_s = network.first_s * slow
    whole_s = network.pixel_s * slow * _upscale_tiles.looked_at(opened.rgb.shape[:2], work.size, network)
    doubt = min(1.0, network.pixel_s * slow * network.tile**2 / whole_s) if whole_s else 0.0
    """What was expected counts for as much as one tile."""
    begun_s = used_s()
    course.at(first_s + whole_s, write_s + again_s if whole_s else 0.0)

    def done(share: float) -> None:
        took_s = max(used_s() - begun_s - first_s, 0.0)
        course.at((took_s + doubt * whole_s) / (share + doubt) * max(0.0, 1 - share), write_s + again_s)

    with _flat(), course.looking():
        made = _upscale_tiles.enlarge(opened.rgb, work.size, network, done)
    if opened.own is not None:
        made = np.dstack([made, larger_plane(opened.own, work.size)])
    extra = {"icc_profile": opened.icc} if opened.icc else {}
    course.at(write_s, again_s)
    if made.size > 3 * _matting_picture.LARGE_PX:
        course.at(_matting_picture.written_s(made, LEVEL), again_s)
    with course.looking():
        Image.fromarray(made).save(work.target, "PNG", compress_level=LEVEL, **extra)
    return {"tile_px": network.tile}


def film(work: LargerFilm, network: Network) -> dict[str, Any]:
    """Write the target."""
    _, video = _frames.film(work.source, work.source_mime)
    clear = video.alpha and work.container == "webm"
    pixels = "rgba" if clear else "rgb24"

    def draw(frame: _frames.Frame) -> None:
        [given], [made] = frame.given.planes, frame.made.planes
        made[..., :3] = _upscale_tiles.enlarge(given[..., :3], work.size, network)
        if clear:
            made[..., 3] = larger_plane(given[..., 3], work.size)

    job = _frames.Job(
        source=work.source,
        mime=work.source_mime,
        target=work.target,
        container=work.container,
        encoder=encoder(work, clear=clear),
        given=pixels,
        made=pixels,
        made_size=work.size,
        tools=work.tools,
        report=work.report,
    )
    with _flat():
        pumped = _frames.pump(job, [draw])
    return {"frames": pumped.frames, "tile_px": network.tile, **pumped.details}


def larger_plane(plane: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A transparency at another size."""
    import cv2
    import numpy as np

    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_CUBIC), np.uint8)


_LARGE_BYTES = 4 << 20
_MMAP_THRESHOLD, _MMAP_THRESHOLD_MOST = -3, 32 << 20


@contextmanager
def _flat() -> Iterator[None]:
    """Memory as flat as the network's own, where the C library can be told so (glibc).

    A network takes and leaves some hundred megabytes for every picture. By itself glibc learns to keep such blocks, in
    a pool for each thread, where they lie about in pieces: what a film took grew with the films before it and with its
    own length. Here large blocks go back to the system at once, for 3 % of the processor time, and the rest at the end.
    """
    import ctypes

    library = ctypes.CDLL(None)
    tune, trim = getattr(library, "mallopt", None), getattr(library, "malloc_trim", None)
    if tune is not None:
        tune(_MMAP_THRESHOLD, _LARGE_BYTES)
    try:
        yield
    finally:
        if tune is not None:
            tune(_MMAP_THRESHOLD, _MMAP_THRESHOLD_MOST)
        if trim is not None:
            trim(0)
