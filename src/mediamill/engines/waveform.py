"""The peaks of a sound, at its own rate and over all channels, from a pipe of raw samples; and a picture of them."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mediamill.core.errors import BadMedia, NoSound
from mediamill.core.ports import Missing, Report, Tools
from mediamill.core.sound import PeakFinder, Peaks
from mediamill.engines import _av, _ffmpeg
from mediamill.engines._picture import pillow

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHUNK_BYTES = 1 << 20
_FINE = 8
"""Times as many pairs are kept while reading as are asked for: how long a sound really is shows at its end."""
_HALF = 32768


class RawPeaks(PeakFinder):
    """See the module."""

    name = "waveform"
    cost_s = 0.65
    licence = "GPL-3.0-or-later AND BSD-3-Clause AND MIT-CMU"

    def missing(self) -> Missing | None:
        return _ffmpeg.missing()

    def find(
        self, source: Path, mime: str, points: int, *, tools: Tools, report: Report, span: tuple[float, float]
    ) -> Peaks:
        import numpy as np

        found = _av.read(source, mime)
        track = found.sound
        if track is None:
            raise NoSound("The file has no sound track.")
        expected = max(1, round((found.duration_s or 0) * track.sample_rate_hz))
        base = -(-expected // (points * _FINE))
        argv: list[str | Path] = [
            *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-v", "warning"),
            *_ffmpeg.input_args(source, mime),
            *("-map", f"0:{track.index}", "-vn", "-sn", "-dn", "-c:a", "pcm_s16le"),
            *("-ar", str(track.sample_rate_hz), "-ac", str(track.channels), "-f", "s16le", "pipe:1"),
        ]
        low: list[NDArray[Any]] = []
        high: list[NDArray[Any]] = []
        total = 0
        begin, end = span
        block = base * track.channels
        with tools.spawn(argv, name="ffmpeg", stdout=True) as process:
            assert process.stdout is not None
            for samples in _blocks(process.stdout, block):
                total += len(samples) // track.channels
                whole = len(samples) // block * block
                parts = samples[:whole].reshape(-1, block)
                low.append(parts.min(axis=1))
                high.append(parts.max(axis=1))
                if whole < len(samples):
                    low.append(samples[whole:].min(keepdims=True))
                    high.append(samples[whole:].max(keepdims=True))
                report("work", begin + (end - begin) * min(1.0, total / expected))
        if not total:
            raise BadMedia("There is no sound in the file.")
        lows, highs = np.concatenate(low), np.concatenate(high)
        together = max(1, -(-total // (points * base)))
        starts = np.arange(0, len(lows), together)
        report("work", end)
        return Peaks(
            low=np.minimum.reduceat(lows, starts).tolist(),
            high=np.maximum.reduceat(highs, starts).tolist(),
            samples_per_point=together * base,
            sample_rate_hz=track.sample_rate_hz,
        )

    def draw(
        self,
        peaks: Peaks,
        target: Path,
        size: tuple[int, int],
        colour: tuple[int, int, int],
        background: tuple[int, int, int] | None,
    ) -> None:
        import numpy as np

        width, height = size
        # Where there are more columns than pairs a pair is as wide as several columns; else several share one.
        edges = np.linspace(0, len(peaks.low), width + 1)
        first = np.minimum(edges[:-1].astype(int), len(peaks.low) - 1)
        high, low = np.asarray(peaks.high), np.asarray(peaks.low)
        if len(low) > width:
            low, high = np.minimum.reduceat(low, first), np.maximum.reduceat(high, first)
        else:
            low, high = low[first], high[first]
        middle = (height - 1) / 2
        top = np.rint(middle - high / _HALF * middle).astype(int)
        bottom = np.rint(middle - low / _HALF * middle).astype(int)
        rows = np.arange(height)[:, None]
        ink = (rows >= top) & (rows <= bottom)
        if background is None:
            pixels = np.zeros((height, width, 4), np.uint8)
            pixels[ink] = (*colour, 255)
        else:
            pixels = np.full((height, width, 3), background, np.uint8)
            pixels[ink] = colour
        pillow().fromarray(pixels).save(target, "PNG", optimize=True)


def _blocks(stream: IO[bytes], block: int) -> Any:
    """Samples in arrays of whole blocks (each a multiple of the channels), the last perhaps of a part of one."""
    import numpy as np

    step = block * 2
    rest = b""
    while chunk := stream.read(_CHUNK_BYTES):
        data = rest + chunk
        whole = len(data) // step * step
        rest = data[whole:]
        if whole:
            yield np.frombuffer(data[:whole], "<i2")
    if len(rest) >= 2:
        yield np.frombuffer(rest[: len(rest) // 2 * 2], "<i2")


PROVIDES = (RawPeaks(),)
