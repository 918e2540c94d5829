"""Where somebody speaks: Silero's voice detector (MIT), which comes with faster-whisper, run by onnxruntime.

Noise, tones, hum and music are told from speech by it alone, before a recogniser gets to invent words for them.
Source of the model's inputs and of the two thresholds: silero-vad's own utils_vad.py.
"""

from __future__ import annotations

import importlib.util
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediamill.core.ports import Missing
from mediamill.engines._speech_sound import RATE_HZ

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WINDOW = 512
WINDOW_S = WINDOW / RATE_HZ
_CONTEXT = 64
_LOT = 4096
"""Windows a call: two minutes of sound, 10 MB of work memory."""

_BEGINS, _ENDS = 0.5, 0.35
_SHORTEST_S = 0.2
_PAUSE_S = 0.3
"""Shorter pauses are breath and stop consonants; longer ones part utterances."""
_MARGIN_S = 0.15


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the sound."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """How long it is."""
        return self.end_s - self.start_s

    def samples(self, sound: NDArray[np.int16]) -> NDArray[np.int16]:
        """Its part of a sound."""
        return sound[round(self.start_s * RATE_HZ) : round(self.end_s * RATE_HZ)]


def model() -> Path | None:
    """The detector's file, found without importing the package that carries it."""
    found = importlib.util.find_spec("faster_whisper")
    for folder in (found.submodule_search_locations or ()) if found else ():
        for path in sorted(Path(folder, "assets").glob("silero_vad*.onnx")):
            return path
    return None


def missing() -> Missing | None:
    """Why voices cannot be told from noise here, or None."""
    if model() is None or importlib.util.find_spec("onnxruntime") is None:
        return Missing(reason="the voice detector is not installed.", remedy="Install faster-whisper and onnxruntime.")
    return None


@cache
def _session() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.inter_op_num_threads = options.intra_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(str(model()), options, providers=["CPUExecutionProvider"])


def likelihood(sound: NDArray[np.int16], progress: Callable[[float], None] = lambda _: None) -> NDArray[np.float32]:
    """How sure the detector is of a voice, in [0, 1], for each window of 32 ms. The last window is filled up with
    silence. `progress` gets fractions of this work."""
    import numpy as np

    count = -(-len(sound) // WINDOW)
    made = np.zeros(count, np.float32)
    h = c = np.zeros((1, 1, 128), np.float32)
    before = np.zeros(_CONTEXT, np.float32)
    for first in range(0, count, _LOT):
        part = np.zeros((min(_LOT, count - first), WINDOW), np.float32)
        taken = sound[first * WINDOW : (first + len(part)) * WINDOW]
        part.reshape(-1)[: len(taken)] = taken.astype(np.float32) / 32768
        context = np.concatenate([before[None], part[:-1, -_CONTEXT:]])
        before = part[-1, -_CONTEXT:]
        out, h, c = _session().run(None, {"input": np.concatenate([context, part], axis=1), "h": h, "c": c})
        made[first : first + len(part)] = np.asarray(out).reshape(-1)
        progress(min(1.0, (first + len(part)) / count))
    return made


def spans(voiced: NDArray[np.float32], duration_s: float) -> list[Span]:
    """Where somebody speaks: begun by a sure window, ended by a pause, with a little margin on both sides."""
    found: list[tuple[int, int]] = []
    begun: int | None = None
    quiet = 0
    pause = round(_PAUSE_S / WINDOW_S)
    for at, value in enumerate([*voiced.tolist(), *[0.0] * (pause + 1)]):
        if begun is None:
            begun, quiet = (at, 0) if value >= _BEGINS else (None, 0)
        elif value >= _ENDS:
            quiet = 0
        else:
            quiet += 1
            if quiet > pause:
                found.append((begun, at - quiet + 1))
                begun = None
    made: list[Span] = []
    for begin, end in found:
        if (end - begin) * WINDOW_S < _SHORTEST_S:
            continue
        before_s = made[-1].end_s if made else 0.0
        start_s = max(begin * WINDOW_S - _MARGIN_S, before_s)
        made.append(Span(start_s, min(end * WINDOW_S + _MARGIN_S, duration_s)))
    return made


def chunks(
    found: Sequence[Span], voiced: NDArray[np.float32], *, wanted_s: float, longest_s: float, join_s: float = 0.6
) -> list[Span]:
    """The spans as pieces for a recogniser: close ones joined up to `wanted_s`, none longer than `longest_s`; cut where
    the voice is weakest."""
    made: list[Span] = []
    for span in found:
        last = made[-1] if made else None
        if last and span.start_s - last.end_s <= join_s and span.end_s - last.start_s <= wanted_s:
            made[-1] = Span(last.start_s, span.end_s)
        else:
            made.extend(_cut(span, voiced, longest_s))
    return made


def _cut(span: Span, voiced: NDArray[np.float32], longest_s: float) -> list[Span]:
    made = []
    while span.length_s > longest_s:
        # Not near the edges: a cut leaves two pieces that are both worth hearing.
        low = int((span.start_s + longest_s * 0.4) / WINDOW_S)
        high = int((span.start_s + longest_s) / WINDOW_S)
        at_s = (low + int(voiced[low:high].argmin())) * WINDOW_S
        made.append(Span(span.start_s, at_s))
        span = Span(at_s, span.end_s)
    return [*made, span]


def within(found: Sequence[Span], start_s: float, end_s: float) -> list[Span]:
    """The parts of a stretch that lie in the spans, which come in order."""
    first = bisect_right(found, start_s, key=lambda span: span.end_s)
    near = takewhile(lambda span: span.start_s <= end_s, found[first:])
    return [Span(max(start_s, span.start_s), min(end_s, span.end_s)) for span in near]


def heard_at(voiced: NDArray[np.float32], at_s: float) -> bool:
    """Whether somebody is likely to speak at an instant."""
    at = int(at_s / WINDOW_S)
    return at < len(voiced) and bool(voiced[at] >= _ENDS)
