"""People cut out by MediaPipe's selfie segmentation, run by LiteRT on the processor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mediamill import models
from mediamill.core.errors import NoSubject, ToolFailed
from mediamill.core.matting import FilmCut, Masks, Matter, PictureCut
from mediamill.core.ports import Missing
from mediamill.engines import _ffmpeg, _matting, _matting_film, _matting_people, _matting_picture
from mediamill.engines._lacking import lacking

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MODEL = "selfie_segmentation"
SIDE = 256
_THREADS = 1
"""On a quiet machine two make an answer a third sooner, at half as much processor time again; beside filters and
encoders, which have a use for the other cores, the film is done sooner with one."""


class Selfie(Matter):
    """See the module."""

    name = "mediapipe-selfie"
    licence = "Apache-2.0"
    speed: ClassVar[str] = "720p to WebM: 60 pictures a second on 4 cores of x86-64, without a GPU"

    def missing(self) -> Missing | None:
        return models.missing(MODEL) or _ffmpeg.missing() or lacking("ai_edge_litert", "cv2")

    def picture(self, work: PictureCut) -> Mapping[str, Any]:
        believe = _matting_people.Faces() if self._doubts(others=work.others) else _matting_picture.any_subject
        return {**_matting_picture.cut(work, _Network(), believe=believe), **self._facts()}

    def film(self, work: FilmCut) -> Mapping[str, Any]:
        work.report("work", 0.0)
        network = _Network()
        if self._doubts(others=work.others) and not _matting_people.shows(work, network):
            raise NoSubject("Nobody is in the film.")
        return {**_matting_film.cut(work, network, SIDE), **self._facts()}

    def masks(self) -> Masks | None:
        return _Masks()

    def _doubts(self, *, others: bool) -> bool:
        """Whether people must have faces: another engine does the rest then."""
        return others and _matting_people.missing() is None

    def _facts(self) -> dict[str, Any]:
        return {"model": MODEL, "model_licence": models.manifest()[MODEL].licence}


class _Masks:
    """The network's own masks of single pictures, firm and without specks."""

    def __init__(self) -> None:
        self._network: _Network | None = None

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        import cv2
        import numpy as np

        if self._network is None:
            self._network = _Network()
        small = np.asarray(cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)
        mask = _matting.without_specks(self._network(small * np.float32(1 / 255)))
        if not _matting.has_subject(mask):
            return None
        return np.asarray(np.rint(_matting.firm(mask) * 255), np.uint8)


class _Network:
    """The model, loaded: 10 ms."""

    def __init__(self, threads: int = _THREADS) -> None:
        path = models.find(MODEL)
        if path is None:
            raise ToolFailed("The model for people is not in the models folder any more.")
        self._run = _interpreter(path, threads)

    def __call__(self, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        import cv2
        import numpy as np

        if rgb.shape[:2] != (SIDE, SIDE):
            rgb = np.asarray(cv2.resize(rgb, (SIDE, SIDE), interpolation=cv2.INTER_AREA), np.float32)
        return self._run(rgb)


def _interpreter(path: Path, threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    [given], [made] = interpreter.get_input_details(), interpreter.get_output_details()

    def run(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        interpreter.set_tensor(given["index"], rgb[None])
        interpreter.invoke()
        found: NDArray[np.float32] = interpreter.get_tensor(made["index"])[0, :, :, 0]
        return found.copy()

    return run


PROVIDES = (Selfie(),)
