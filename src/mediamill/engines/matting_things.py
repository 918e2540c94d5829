"""Whatever a picture is of, cut out by U²-Net in its small form: people, animals, cups, machines (docs/why/vision.md).

It was trained to find what catches the eye. It says nothing of what that is, so of a crowded picture it may take
another thing than was meant, or a part of one: what it makes is called a best effort.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mediamill.core.matting import Care, FilmCut, Matter, PictureCut
from mediamill.core.ports import Missing
from mediamill.engines import _ffmpeg, _matting_film, _matting_onnx, _matting_picture
from mediamill.engines._lacking import lacking

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL = Path(__file__).parent / "data" / "u2netp.onnx"
LOOK_S = _matting_picture.LookS(first=0.66, second=0.44)
"""The first loads the network, and the library that runs it."""


class Things(Matter):
    """See the module."""

    name = "u2netp"
    rank: ClassVar[int] = 200
    licence = "Apache-2.0"
    speed: ClassVar[str] = "0.4 to 1 s a picture, 7 pictures of a film a second on 4 cores of x86-64, without a GPU"
    care: ClassVar[Care] = "best_effort"

    def missing(self) -> Missing | None:
        if not MODEL.is_file():
            return Missing(reason="its network is not in this install.", remedy="Install the whole of Mediamill.")
        return _ffmpeg.missing() or lacking("onnxruntime", "cv2")

    def picture(self, work: PictureCut) -> Mapping[str, Any]:
        network = _Network()
        found = _matting_picture.cut(work, network, sure=_matting_onnx.SURE, look_s=LOOK_S)
        return {**found, **network.masks.facts()}

    def film(self, work: FilmCut) -> Mapping[str, Any]:
        work.report("work", 0.0)
        masks = _matting_onnx.Masks(MODEL)
        return {**_matting_film.cut(work, masks, masks.size, sure=_matting_onnx.SURE), **masks.facts()}


class _Network:
    """Loaded when it is first asked, so that progress counts loading as a part of the first look."""

    @cached_property
    def masks(self) -> _matting_onnx.Masks:
        return _matting_onnx.Masks(MODEL)

    def __call__(self, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        return self.masks(rgb)


PROVIDES = (Things(),)
