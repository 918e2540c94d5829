"""Sounds and videos made on the spot (test patterns, tones), and looks at what came out of a conversion."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg  # type: ignore[import-untyped]  # the package ships no types
import numpy as np
from numpy.typing import NDArray
from tests.support.tools import PlainTools

from mediamill.core import formats
from mediamill.core.media import Facts
from mediamill.core.ports import Conversion
from mediamill.engines.av_probe import PROBER
from mediamill.engines.ffmpeg import CONVERTER

FRAME_S = 0.045  # one frame at 25 a second, and a bit for rounding in the container


def ffmpeg(*args: str | Path) -> None:
    """Run ffmpeg to make material; its errors are the test's."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", *map(str, args)]
    subprocess.run(argv, check=True, timeout=60)


def film(
    path: Path,
    *codecs: str,
    size: str = "320x180",
    rate: str = "25",
    seconds: float = 2.0,
    tone_hz: int | None = 440,
    filters: str = "null",
) -> Path:
    """A moving test pattern with a mono tone (None: silent film)."""
    sound: tuple[str, ...] = ("-f", "lavfi", "-i", f"sine=f={tone_hz}:r=44100:d={seconds}") if tone_hz else ()
    pattern = ("-f", "lavfi", "-i", f"testsrc2=s={size}:r={rate}:d={seconds}")
    ffmpeg(*pattern, *sound, "-vf", filters, *codecs, path)
    return path


def tone(
    path: Path, *codecs: str, hz: int = 440, rate_hz: int = 44100, seconds: float = 2.0, channels: int = 1
) -> Path:
    """A tone of one pitch."""
    ffmpeg("-f", "lavfi", "-i", f"sine=f={hz}:r={rate_hz}:d={seconds}", "-ac", str(channels), *codecs, path)
    return path


CORNERS = (
    "color=red:s={0}:r=25:d={1},"
    "drawbox=x=iw/2:y=0:w=iw/2:h=ih/2:c=lime:t=fill,"
    "drawbox=x=0:y=ih/2:w=iw/2:h=ih/2:c=blue:t=fill,"
    "drawbox=x=iw/2:y=ih/2:w=iw/2:h=ih/2:c=white:t=fill"
)
RED, LIME, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def corners(path: Path, *codecs: str, size: str = "320x180", seconds: float = 1.0) -> Path:
    """Four flat colours: red and lime above, blue and white below."""
    ffmpeg("-f", "lavfi", "-i", CORNERS.format(size, seconds), *codecs, path)
    return path


@dataclass
class Made:
    """What a conversion left behind."""

    path: Path
    mime: str
    details: Mapping[str, Any]
    argvs: list[list[str]]
    reports: list[tuple[str, float | None]] = field(default_factory=list)

    @property
    def facts(self) -> Facts:
        return PROBER.probe(self.path, self.mime)


def convert(source: Path, source_mime: str, target_mime: str, scratch: Path, **settings: Any) -> Made:
    """Run the converter, unsandboxed."""
    tools = PlainTools()
    reports: list[tuple[str, float | None]] = []

    def report(stage: str, fraction: float | None = None) -> None:
        reports.append((stage, fraction))

    scratch.mkdir(exist_ok=True)
    target = scratch / ("result" + formats.suffix(target_mime))
    details = CONVERTER.convert(
        Conversion(
            source=source,
            source_mime=source_mime,
            target=target,
            target_mime=target_mime,
            settings=settings,
            scratch=scratch,
            tools=tools,
            report=report,
        )
    )
    return Made(path=target, mime=target_mime, details=details, argvs=tools.argvs, reports=reports)


def frames(path: Path) -> list[av.VideoFrame]:
    """Every picture of the first video track."""
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def picture(path: Path, number: int = 0) -> NDArray[np.uint8]:
    """One picture as (height, width, 3) RGB."""
    return frames(path)[number].to_ndarray(format="rgb24").astype(np.uint8)


def colours(image: NDArray[np.uint8]) -> list[tuple[int, ...]]:
    """The mean colours at the middles of the four quarters: above left, above right, below left, below right."""
    height, width = image.shape[:2]
    spots = [(y, x) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    return [
        tuple(int(v) for v in image[max(0, y - 4) : y + 4, max(0, x - 4) : x + 4].mean(axis=(0, 1))) for y, x in spots
    ]


def close(found: tuple[int, ...], wanted: tuple[int, ...], within: int = 24) -> bool:
    """Whether two colours look the same; lossy codecs and 8-bit matrices move each channel by some steps."""
    return all(abs(a - b) <= within for a, b in zip(found, wanted, strict=True))


def samples(path: Path) -> tuple[NDArray[np.float32], int]:
    """The first sound track as (channels, n) in [-1, 1], with its rate in Hz."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.sample_rate)
        parts = [out.to_ndarray() for frame in container.decode(stream) for out in resampler.resample(frame)]
        return np.concatenate(parts, axis=1).astype(np.float32), stream.sample_rate


def pitch_hz(path: Path) -> float:
    """The strongest frequency, to about 1 Hz."""
    signal, rate_hz = samples(path)
    window = signal[0] * np.hanning(signal.shape[1])
    spectrum = np.abs(np.fft.rfft(window, n=max(rate_hz * 2, len(window))))
    return float(np.argmax(spectrum) * rate_hz / max(rate_hz * 2, len(window)))


def boxes(path: Path) -> list[str]:
    """The top-level boxes of an MP4 or MOV file in order."""
    content, at, found = path.read_bytes(), 0, []
    while at + 8 <= len(content):
        length, name = struct.unpack(">I4s", content[at : at + 8])
        if length == 1:
            [length] = struct.unpack(">Q", content[at + 8 : at + 16])
        found.append(name.decode("latin-1"))
        at += length or len(content)
    return found
