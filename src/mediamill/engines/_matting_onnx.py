"""Masks by an ONNX network that takes one picture and answers with one mask: U²-Net, IS-Net, BiRefNet, MODNet and such.

How it wants pictures is told by the JSON file beside it, else by its name, else as U²-Net has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediamill.core.errors import ToolFailed
from mediamill.engines import _onnx

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SURE = 0.2
"""Of glass, fur and smoke such a network is half sure, and right. See _matting.has_subject."""
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


class Masks:
    """The network, loaded: (height, width, 3) RGB of 0 to 1 → (its own height, its own width) of 0 to 1."""

    def __init__(self, path: Path) -> None:
        import numpy as np

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

    def size(self, width: int, height: int) -> tuple[int, int]:
        """What a picture of that width and height is looked at as."""
        return self.side, self.side

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

        height, width = rgb.shape[:2]
        small = np.asarray(cv2.resize(rgb, self.size(width, height), interpolation=cv2.INTER_AREA), np.float32)
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
