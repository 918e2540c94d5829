"""Pictures and films through a tiled network, whichever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mediamill.core.upscaling import LargerFilm, LargerPicture
from mediamill.engines import _frames, _matting_picture, _upscale_tiles
from mediamill.engines._upscale_tiles import Network

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

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

    opened = _matting_picture.read(work.source)
    made = _upscale_tiles.enlarge(
        opened.rgb, work.size, network, lambda share: work.report("work", 0.05 + 0.85 * min(1.0, share))
    )
    if opened.own is not None:
        made = np.dstack([made, larger_plane(opened.own, work.size)])
    extra = {"icc_profile": opened.icc} if opened.icc else {}
    Image.fromarray(made).save(work.target, "PNG", compress_level=2, **extra)
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

    pumped = _frames.pump(
        _frames.Job(
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
        ),
        [draw],
    )
    return {"frames": pumped.frames, "tile_px": network.tile, **pumped.details}


def larger_plane(plane: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A transparency at another size."""
    import cv2
    import numpy as np

    return np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_CUBIC), np.uint8)
