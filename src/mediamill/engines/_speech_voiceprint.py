"""Two networks that tell speakers apart, run by onnxruntime: which of up to three talks when within ten seconds, and
what a voice is like.

The first is pyannote's segmentation-3.0 (MIT), the second CAM++ of 3D-Speaker (Apache-2.0); tools/voice_models.py makes
both. Sources of what they take: pyannote.audio's PyanNet, and Kaldi's filter banks as torchaudio computes them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediamill.core.errors import ToolFailed
from mediamill.engines._speech_sound import RATE_HZ

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_DATA = Path(__file__).parent / "data"
WINDOW = 10 * RATE_HZ
"""Samples that are looked at together: what the first network learned from."""
HOP, FRAMES = 270, 589
"""Samples from one of its frames to the next, and frames of a window."""
LOCALS = 3
_MIDDLE = 495
"""Of the first frame, in samples."""
BEGINS_S = (_MIDDLE - HOP / 2) / RATE_HZ
"""When the first frame of a window begins, after the window itself."""
_TALKING = ((), (0,), (1,), (2,), (0, 1), (0, 2), (1, 2))
"""Who talks, for each of the network's answers."""

_BANDS, _FRAME, _STEP, _FFT = 80, 400, 160, 512
_LEAST_POWER = 1.19e-7
"""Of a band's power: the smallest step of a 32-bit float near 1, as Kaldi takes it."""
_LEAST_FRAMES = 25
"""A quarter of a second, of a voice that can be told from others at all."""


class Talking:
    """Tells who of up to three talks when."""

    def __init__(self) -> None:
        self._session = _session("speaker_segments")

    def __call__(self, samples: NDArray[np.int16]) -> NDArray[np.bool_]:
        """(FRAMES, LOCALS) of at most WINDOW samples. The numbers of the speakers mean nothing beyond these samples."""
        import numpy as np

        sound = np.zeros((1, 1, WINDOW), np.float32)
        sound[0, 0, : len(samples)] = samples.astype(np.float32) / 32768
        [shares] = self._session.run(None, {"sound": sound})
        talking: NDArray[np.bool_] = _answers()[shares[0].argmax(axis=1)]
        return talking


class Likeness:
    """Tells what a voice is like. It takes a quarter of a second to load."""

    def __init__(self) -> None:
        self._session = _session("speaker_voice")

    def __call__(self, samples: NDArray[np.int16], alone: NDArray[np.bool_]) -> NDArray[np.float32] | None:
        """(192,) of length 1: the more alike two voices are, the larger is the product of theirs. None where there is
        too little of one. alone: of frames of HOP samples, those in which nobody else talks, which count if there are
        enough of them."""
        import numpy as np

        bands = _bands(samples)
        single = alone[((np.arange(len(bands)) * _STEP + _FRAME // 2) // HOP).clip(0, len(alone) - 1)]
        chosen = bands[single] if single.sum() >= _LEAST_FRAMES else bands
        if len(chosen) < _LEAST_FRAMES:
            return None
        [made] = self._session.run(None, {"bands": (chosen - chosen.mean(axis=0))[None]})
        voice: NDArray[np.float32] = made[0] / np.linalg.norm(made[0])
        return voice


def _session(name: str) -> Any:
    """One thread for each question: several are asked at once."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(_DATA / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its errors are of a dozen classes that derive from Exception alone
        raise ToolFailed(f"The model {name} cannot be loaded.") from error


@cache
def _answers() -> NDArray[np.bool_]:
    """(7, LOCALS)"""
    import numpy as np

    return np.array([[one in talking for one in range(LOCALS)] for talking in _TALKING])


@cache
def _mel() -> NDArray[np.float32]:
    """(_FFT // 2 + 1, _BANDS) triangles from 20 Hz to half the rate, evenly spaced in mel."""
    import numpy as np

    def mel(hertz: Any) -> Any:
        return 1127 * np.log1p(hertz / 700)

    edges = np.linspace(mel(20), mel(RATE_HZ / 2), _BANDS + 2)
    bins = mel(np.arange(_FFT // 2 + 1) * RATE_HZ / _FFT)[:, None]
    rise = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    fall = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0.0, np.minimum(rise, fall)), np.float32)


def _bands(samples: NDArray[np.int16]) -> NDArray[np.float32]:
    """(frames, _BANDS): the logarithm of the power in each, 100 a second."""
    import numpy as np

    count = max(0, 1 + (len(samples) - _FRAME) // _STEP)
    if not count:
        return np.zeros((0, _BANDS), np.float32)
    wave = samples.astype(np.float32) / 32768
    frames = np.lib.stride_tricks.sliding_window_view(wave, _FRAME)[::_STEP][:count]
    frames = frames - frames.mean(axis=1, keepdims=True)
    frames = frames - 0.97 * np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    window = np.asarray(np.hanning(_FRAME) ** 0.85, np.float32)
    power = np.abs(np.fft.rfft(frames * window, _FFT)).astype(np.float32) ** 2
    return np.asarray(np.log(np.maximum(power @ _mel(), _LEAST_POWER)), np.float32)
