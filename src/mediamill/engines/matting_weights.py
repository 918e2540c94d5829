"""Anything cut out by a network of the operator's own: U²-Net, IS-Net, BiRefNet and what is shaped like them, as ONNX.

The network's file lies in `matting` in the models folder. A JSON file of the same name may say how it wants pictures:
{"side": 1024, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "sigmoid": true, "licence": "MIT"}.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from mediamill.core.errors import ToolFailed
from mediamill.core.matting import FilmCut, Matter, PictureCut
from mediamill.core.ports import Missing
from mediamill.engines import _ffmpeg, _matting_film, _matting_onnx, _matting_picture, _onnx

PURPOSE = "matting"


class Weights(Matter):
    """See the module."""

    name = "onnx-matting"
    rank: ClassVar[int] = 50
    licence = "MIT"
    speed: ClassVar[str] = "as the network is: U²-Net some pictures a second on 4 cores, IS-Net and BiRefNet want a GPU"

    def missing(self) -> Missing | None:
        return _onnx.missing(PURPOSE) or _ffmpeg.missing()

    def picture(self, work: PictureCut) -> Mapping[str, Any]:
        masks = _opened()
        return {**_matting_picture.cut(work, masks, sure=_matting_onnx.SURE), **masks.facts()}

    def film(self, work: FilmCut) -> Mapping[str, Any]:
        work.report("work", 0.0)
        masks = _opened()
        return {**_matting_film.cut(work, masks, masks.size, sure=_matting_onnx.SURE), **masks.facts()}


def _opened() -> _matting_onnx.Masks:
    path = _onnx.find(PURPOSE)
    if path is None:
        raise ToolFailed("The network for cutting out is not in the models folder any more.")
    return _matting_onnx.Masks(path)


PROVIDES = (Weights(),)
