"""Pictures made larger by a network of the operator's own, as ONNX: in `upscaling` in the models folder.

It takes one picture (1, 3, height, width) of 0 to 1 and makes one some whole number of times as large. A JSON file of
the same name may give {"tile": 256, "rim": 16, "licence": "…"}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from mediamill.core.errors import ToolFailed
from mediamill.core.ports import Missing
from mediamill.core.upscaling import LargerFilm, LargerPicture, Upscaler, Way
from mediamill.engines import _ffmpeg, _onnx, _upscale_work
from mediamill.engines._upscale_tiles import Network

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PURPOSE = "upscaling"
_TILE, _RIM = 192, 16
_MOST_TILE = 1024


class Weights(Upscaler):
    """See the module."""

    name = "onnx-upscaling"
    rank: ClassVar[int] = 50
    licence = "MIT"
    way: ClassVar[Way] = "best"
    speed: ClassVar[str] = "as the network is"
    px_per_s: ClassVar[int] = 50_000

    def missing(self) -> Missing | None:
        return _onnx.missing(PURPOSE) or _ffmpeg.missing()

    def picture(self, work: LargerPicture) -> Mapping[str, Any]:
        network, facts = _opened()
        return {**_upscale_work.picture(work, network), **facts}

    def film(self, work: LargerFilm) -> Mapping[str, Any]:
        network, facts = _opened()
        return {**_upscale_work.film(work, network), **facts}


def _opened() -> tuple[Network, dict[str, Any]]:
    import numpy as np

    path = _onnx.find(PURPOSE)
    if path is None:
        raise ToolFailed("The network for upscaling is not in the models folder any more.")
    opened = _onnx.open_network(path)
    fixed = isinstance(opened.shape[2], int) and isinstance(opened.shape[3], int)
    tile = opened.shape[2] if fixed else opened.told.get("tile", _TILE)
    rim = opened.told.get("rim", _RIM)
    whole = isinstance(tile, int) and isinstance(rim, int)
    if not whole or not 8 <= tile <= _MOST_TILE or not 0 <= rim <= tile // 4 or opened.shape[1] not in (3, "3"):
        raise ToolFailed(f"The network {path.stem} takes pictures of another shape.")
    if fixed and opened.shape[3] != tile:
        raise ToolFailed(f"The network {path.stem} must take square tiles.")

    def run(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        answer = np.asarray(opened.run(np.ascontiguousarray(rgb.transpose(2, 0, 1)[None])), np.float32)
        if answer.ndim != 4 or answer.shape[1] != 3 or not np.isfinite(answer).all():
            raise ToolFailed(f"The network {path.stem} does not answer with a picture.")
        picture: NDArray[np.float32] = answer[0].transpose(1, 2, 0)
        return picture

    side = tile if fixed else 2 * rim + 16
    made = run(np.zeros((side, side, 3), np.float32)).shape[:2]
    factor, odd = divmod(made[0], side)
    if odd or made[0] != made[1] or not 2 <= factor <= 8:
        raise ToolFailed(f"The network {path.stem} does not make pictures a whole number of times as large.")
    facts = {
        "model": opened.name,
        "model_licence": opened.licence,
        "provider": opened.provider.removesuffix("ExecutionProvider"),
    }
    return Network(run, factor=factor, rim=rim, tile=tile, fixed=fixed), facts


PROVIDES = (Weights(),)
