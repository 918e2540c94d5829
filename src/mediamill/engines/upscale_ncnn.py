"""Pictures made larger by convolutional networks, run by ncnn: on a GPU where Vulkan finds one, else on the processor.

Two networks: waifu2x's for photographs, which stays true to what is there, and Real-ESRGAN's, which makes up what a
damaged picture has lost (docs/why/vision.md has the figures of both).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mediamill import models, processors
from mediamill.core.errors import LimitExceeded, ToolFailed
from mediamill.core.ports import Missing
from mediamill.core.upscaling import LargerFilm, LargerPicture, Upscaler, Way
from mediamill.engines import _ffmpeg, _upscale_work
from mediamill.engines._lacking import lacking
from mediamill.engines._upscale_tiles import Network

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_MOST_THREADS = 16
_RESTORED_PX = 1_500_000
_PHOTO_S, _RESTORE_S, _FIRST_S = 7.6e-6, 6e-4, 0.19
"""Processor seconds for a pixel, and what the first tile takes more."""


class Photo(Upscaler):
    """waifu2x's seven layers for photographs, by two; asked twice for more than that."""

    name = "waifu2x-photo"
    licence = "MIT"
    way: ClassVar[Way] = "best"
    speed: ClassVar[str] = "220,000 pixels of the source a second on 4 cores of x86-64, without a GPU"
    px_per_s: ClassVar[int] = 220_000
    clean: ClassVar[str] = "waifu2x_photo"
    noisy: ClassVar[str] = "waifu2x_photo_noise0"

    def missing(self) -> Missing | None:
        files = [f"{name}_{part}" for name in (self.clean, self.noisy) for part in ("param", "bin")]
        return models.missing(*files) or _ffmpeg.missing() or lacking("ncnn", "cv2")

    def picture(self, work: LargerPicture) -> Mapping[str, Any]:
        return self._told(*_opened(self.noisy if work.lossy else self.clean), work)

    def film(self, work: LargerFilm) -> Mapping[str, Any]:
        return self._told(*_opened(self.noisy), work)

    def _told(self, loaded: _Loaded, model: str, work: LargerPicture | LargerFilm) -> dict[str, Any]:
        network = Network(
            loaded.answer("Input1", "Eltwise4", 7), factor=2, rim=7, tile=192, pixel_s=_PHOTO_S, first_s=_FIRST_S
        )
        made = (
            _upscale_work.picture(work, network)
            if isinstance(work, LargerPicture)
            else _upscale_work.film(work, network)
        )
        return {**made, "model": model, "provider": loaded.provider}


class Restore(Upscaler):
    """Real-ESRGAN x4plus, by four."""

    name = "real-esrgan"
    licence = "BSD-3-Clause"
    way: ClassVar[Way] = "restore"
    speed: ClassVar[str] = "5,000 pixels of the source a second on 4 cores of x86-64, without a GPU"
    films: ClassVar[bool] = False
    px_per_s: ClassVar[int] = 5_000
    model: ClassVar[str] = "realesrgan_x4plus"

    def missing(self) -> Missing | None:
        return models.missing(f"{self.model}_param", f"{self.model}_bin") or lacking("ncnn", "cv2")

    def picture(self, work: LargerPicture) -> Mapping[str, Any]:
        if work.size[0] * work.size[1] > 16 * _RESTORED_PX:
            raise LimitExceeded(f"A picture is restored up to {_RESTORED_PX / 1e6:g} million pixels; this has more.")
        loaded, model = _opened(self.model)
        network = Network(loaded.answer("data", "output", 0), factor=4, rim=10, tile=108, pixel_s=_RESTORE_S)
        return {**_upscale_work.picture(work, network), "model": model, "provider": loaded.provider}

    def film(self, work: LargerFilm) -> Mapping[str, Any]:
        raise ToolFailed("Films are not restored: every picture would be made up anew, and they would not agree.")


def _opened(model: str) -> tuple[_Loaded, str]:
    files = [models.find(f"{model}_{part}") for part in ("param", "bin")]
    if files[0] is None or files[1] is None:
        raise ToolFailed(f"The model {model} is not in the models folder any more.")
    return _Loaded(files[0], files[1]), model


class _Loaded:
    """A network in memory. provider: what runs it."""

    def __init__(self, param: Path, weights: Path) -> None:
        # Read when ncnn's OpenMP is loaded: threads that wait by spinning take half of the speed on a busy machine.
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        import ncnn

        self._net = ncnn.Net()
        self.provider = "Vulkan" if _has_gpu() else "CPU"
        self._net.opt.use_vulkan_compute = self.provider == "Vulkan"
        self._net.opt.num_threads = min(_MOST_THREADS, processors.count())
        if self._net.load_param(str(param)) != 0 or self._net.load_model(str(weights)) != 0:
            raise ToolFailed(f"The model {param.stem} cannot be loaded.")

    def answer(self, given: str, made: str, lost: int) -> Any:
        """A function for Network.run. lost: pixels of the source that the network eats at each edge of a tile; they are
        put back, mirrored, for the rim to take away."""

        def run(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
            import ncnn
            import numpy as np

            # The matrix looks at this memory and does not keep it: it must live until the answer is there.
            planes = np.ascontiguousarray(rgb.transpose(2, 0, 1))
            extractor = self._net.create_extractor()
            extractor.input(given, ncnn.Mat(planes))
            status, found = extractor.extract(made)
            if status != 0:
                raise ToolFailed("The network did not finish a tile; there may be too little memory.")
            answer = np.array(found).transpose(1, 2, 0)
            return np.pad(answer, ((2 * lost,) * 2, (2 * lost,) * 2, (0, 0)), "edge") if lost else answer

        return run


def _has_gpu() -> bool:
    import ncnn

    return bool(getattr(ncnn, "get_gpu_count", lambda: 0)())


PROVIDES = (Photo(), Restore())
