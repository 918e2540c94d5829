"""People cut out by MediaPipe's selfie segmentation, run by LiteRT on the processor.

There is a network for square pictures and one for wide ones. What is wide the first sees squeezed, and loses people
there whom the second finds (docs/why/vision.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
WIDE = "selfie_segmentation_landscape"
_SIZES = {MODEL: (256, 256), WIDE: (256, 144)}
"""What they look at, as (width, height)."""
_FROM = 1.2
"""So many times as wide as high is wide. At 4:3 both squeeze people alike; somewhat below the second is better yet."""
_FACED = 0.3
"""What the network must be sure of (see _matting.SURE) where a face says that somebody is there."""
_THREADS = 1
"""On a quiet machine two make an answer a third sooner, at half as much processor time again; beside filters and
encoders, which have a use for the other cores, the film is done sooner with one."""


class Selfie(Matter):
    """See the module."""

    name = "mediapipe-selfie"
    licence = "Apache-2.0"
    speed: ClassVar[str] = "720p to WebM: 85 pictures a second on 4 cores of x86-64, without a GPU"

    def missing(self) -> Missing | None:
        return models.missing(MODEL) or _ffmpeg.missing() or lacking("ai_edge_litert", "cv2")

    def picture(self, work: PictureCut) -> Mapping[str, Any]:
        network = _Network()
        if self._doubts(others=work.others):
            found = _matting_picture.cut(work, network, sure=_FACED, believe=_matting_people.Faces())
        else:
            found = _matting_picture.cut(work, network)
        return {**found, **network.facts()}

    def film(self, work: FilmCut) -> Mapping[str, Any]:
        work.report("work", 0.0)
        network, sure = _Network(), _matting.SURE
        if self._doubts(others=work.others):
            sure = _FACED
            if not _matting_people.shows(work, network, sure):
                raise NoSubject("Nobody is in the film.")
        return {**_matting_film.cut(work, network, network.size, sure=sure, quick=True), **network.facts()}

    def masks(self) -> Masks | None:
        return _Masks()

    def _doubts(self, *, others: bool) -> bool:
        """Whether people must have faces: another engine does the rest then."""
        return others and _matting_people.missing() is None


class _Masks:
    """The networks' own masks of single pictures, firm and without specks.

    The network for wide pictures takes cups for people. So there must be a face, or the other must see somebody too, as
    it sees those who turn away.
    """

    def __init__(self) -> None:
        self._network: _Network | None = None
        self._faces = _matting_people.Faces() if _matting_people.missing() is None else None

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        import cv2
        import numpy as np

        if self._network is None:
            self._network = _Network()
        height, width = rgb.shape[:2]
        size = self._network.size(width, height)
        small = np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), np.float32) * np.float32(1 / 255)
        mask = _matting.without_specks(self._network(small))
        firmly = _matting.has_subject(mask)
        if firmly and size == _SIZES[WIDE]:
            firmly = _matting.has_subject(_matting.without_specks(self._network.by(MODEL, small)))
        if not firmly and not (_matting.has_subject(mask, _FACED) and self._faces and self._faces(rgb, mask)):
            return None
        return np.asarray(np.rint(_matting.firm(mask) * 255), np.uint8)


class _Network:
    """The models, each loaded when a picture wants it: 10 ms. They take (height, width, 3) RGB of 0 to 1, of any size,
    and make masks of their own."""

    def __init__(self, threads: int = _THREADS) -> None:
        self._threads = threads
        # A folder that was filled before the second network was known has one: it sees all pictures then.
        self._wide = WIDE if models.find(WIDE) else MODEL
        self._run: dict[str, Callable[[NDArray[np.float32]], NDArray[np.float32]]] = {}

    def __call__(self, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        height, width = rgb.shape[:2]
        return self.by(self._fit(width, height), rgb)

    def by(self, model: str, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        """The answer of one of them."""
        import cv2
        import numpy as np

        if model not in self._run:
            self._run[model] = _interpreter(model, self._threads)
        if rgb.shape[1::-1] != _SIZES[model]:
            rgb = np.asarray(cv2.resize(rgb, _SIZES[model], interpolation=cv2.INTER_AREA), np.float32)
        return self._run[model](rgb)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """What a picture of that width and height is looked at as."""
        return _SIZES[self._fit(width, height)]

    def facts(self) -> dict[str, Any]:
        """What a caller is told of it."""
        used = sorted(self._run)
        return {"model": ", ".join(used), "model_licence": ", ".join({models.manifest()[one].licence for one in used})}

    def _fit(self, width: int, height: int) -> str:
        return self._wide if width >= _FROM * height else MODEL


def _interpreter(model: str, threads: int) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    from ai_edge_litert.interpreter import Interpreter

    path = models.find(model)
    if path is None:
        raise ToolFailed("The model for people is not in the models folder any more.")
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
