"""Anything cut out by a network of the operator's own: U²-Net, IS-Net, BiRefNet and what is shaped like them, as ONNX.

The network's file lies in `matting` in the models folder. A JSON file of the same name may say how it wants pictures:
{"side": 1024, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "sigmoid": true, "licence": "MIT"}.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from mediamill.core.errors import ToolFailed
from mediamill.core.matting import FilmCut, Matter, PictureCut
from mediamill.core.ports import Missing
from mediamill.engines import _ffmpeg, _matting_film, _matting_picture, _onnx

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PURPOSE = "matting"
_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_KNOWN: Mapping[str, tuple[Sequence[float], Sequence[float], int]] = {
    "isnet": ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0), 1024),
    "rmbg": ((0.5, 0.5, 0.5), (1.0, 1.0, 1.0), 1024),
    "modnet": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), 512),
    "birefnet": (*_IMAGENET, 1024),
    "u2net": (*_IMAGENET, 320),
}
"""Part of a file's name → mean, deviation and side that such networks were trained with."""
_MOST_SIDE = 2048
_SURE = 0.2
"""Of glass, fur and smoke such a network is half sure, and right."""


class Weights(Matter):
    """See the module."""

    name = "onnx-matting"
    rank: ClassVar[int] = 50
    licence = "MIT"
    speed: ClassVar[str] = "as the network is: U²-Net some pictures a second on 4 cores, IS-Net and BiRefNet want a GPU"

    def missing(self) -> Missing | None:
        return _onnx.missing(PURPOSE) or _ffmpeg.missing()

    def picture(self, work: PictureCut) -> Mapping[str, Any]:
        network = Masks()
        return {**_matting_picture.cut(work, network, sure=_SURE), **network.facts()}

    def film(self, work: FilmCut) -> Mapping[str, Any]:
        work.report("work", 0.0)
        network = Masks()
        return {**_matting_film.cut(work, network, network.side, sure=_SURE), **network.facts()}


class Masks:
    """The network, loaded."""

    def __init__(self) -> None:
        import numpy as np

        path = _onnx.find(PURPOSE)
        if path is None:
            raise ToolFailed("The network for cutting out is not in the models folder any more.")
        self._network = _onnx.open_network(path)
        told = self._network.told
        known = next((facts for part, facts in _KNOWN.items() if part in path.stem.lower().replace("-", "")), None)
        mean, deviation, side = known or (*_IMAGENET, 320)
        self._mean = np.array(_three(told.get("mean"), mean), np.float32)
        self._deviation = np.array(_three(told.get("std"), deviation), np.float32)
        self._sigmoid: bool | None = told.get("sigmoid") if isinstance(told.get("sigmoid"), bool) else None
        fixed = self._network.shape[2]
        self.side = fixed if isinstance(fixed, int) else told.get("side", side)
        if not isinstance(self.side, int) or not 16 <= self.side <= _MOST_SIDE or self._network.shape[1] != 3:
            raise ToolFailed(f"The network {path.stem} takes pictures of another shape.")

    def facts(self) -> dict[str, Any]:
        """What a caller is told of it."""
        return {
            "model": self._network.name,
            "model_licence": self._network.licence,
            "provider": self._network.provider.removesuffix("ExecutionProvider"),
        }

    def __call__(self, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        import cv2
        import numpy as np

        size = (self.side, self.side)
        small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.float32)
        given = ((small - self._mean) / self._deviation).transpose(2, 0, 1)[None].astype(np.float32)
        made = np.asarray(self._network.run(given), np.float32)
        while made.ndim > 2 and made.shape[0] == 1:
            made = made[0]
        if made.ndim != 2 or not np.isfinite(made).all():
            raise ToolFailed(f"The network {self._network.name} does not answer with a mask.")
        if self._sigmoid or (self._sigmoid is None and (made.min() < -0.05 or made.max() > 1.05)):
            made = (1 / (1 + np.exp(-np.clip(made, -30, 30)))).astype(np.float32)
        return np.clip(made, 0, 1)


def _three(told: object, known: Sequence[float]) -> Sequence[float]:
    if told is None:
        return known
    if isinstance(told, list) and len(told) == 3 and all(isinstance(one, (int, float)) and one == one for one in told):
        return told
    raise ToolFailed("The file beside the network must give mean and std as three numbers.")


PROVIDES = (Weights(),)
