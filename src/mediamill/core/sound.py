"""One sound made of another or of a film, its loudness and its picture; and the ports of what makes them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from mediamill.core.ports import Engine, Report, Tools

EBU_R128_LUFS = -23.0
"""The programme loudness that EBU R 128 asks for."""
TRUE_PEAK_DBTP = -1.0
"""The highest true peak that EBU R 128 allows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundEdit:
    """One sound to make. `codec` is a format's bare name (mp3, aac, m4a, wav, ogg, flac, alac, opus).

    level: 0, very low, to 4, very high quality, None for the codec's own default; `bitrate_bps` goes before it.
    loudness_lufs: the integrated loudness it is brought to, None to leave it.
    """

    source: Path
    source_mime: str
    target: Path
    codec: str
    start_s: float = 0.0
    end_s: float | None = None
    level: int | None = None
    bitrate_bps: int | None = None
    loudness_lufs: float | None = None
    scratch: Path
    tools: Tools
    report: Report
    rest_s: float = 0.0
    """About how long what the task does with it afterwards takes, of five minutes of stereo; progress is made of it."""


class SoundEditor(Engine):
    """Makes a sound of a sound, or of a film's sound track."""

    @abstractmethod
    def sources(self) -> frozenset[str]:
        """Canonical MIME types it reads, sounds and films."""

    @abstractmethod
    def codecs(self) -> Mapping[str, str]:
        """The formats it writes by bare name, with the canonical MIME type of the file."""

    @abstractmethod
    def ignored(self, codec: str) -> frozenset[str]:
        """Of "quality" and "bitrate", what means nothing to a format."""

    @abstractmethod
    def decode_s(self, codec: str) -> float:
        """About how long five minutes of stereo in that format take to read."""

    @abstractmethod
    def edit(self, work: SoundEdit) -> Mapping[str, Any]:
        """Write the target; facts about it. Raises BadMedia, NoSound, RangeEmpty, LimitExceeded, ToolFailed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """The lowest and highest sample of each of a sound's equal parts, over all channels, 16 bit.

    `low` and `high` are as long as each other; each pair stands for `samples_per_point` samples, the last for fewer.
    """

    low: Sequence[int]
    high: Sequence[int]
    samples_per_point: int
    sample_rate_hz: int


class PeakFinder(Engine):
    """Finds the peaks of a sound, and draws them."""

    cost_s: ClassVar[float] = 1.0
    """About how long five minutes of stereo take, once decoded."""

    @abstractmethod
    def find(
        self, source: Path, mime: str, points: int, *, tools: Tools, report: Report, span: tuple[float, float]
    ) -> Peaks:
        """At most `points` pairs over the whole sound. Raises BadMedia, NoSound."""

    @abstractmethod
    def draw(
        self,
        peaks: Peaks,
        target: Path,
        size: tuple[int, int],
        colour: tuple[int, int, int],
        background: tuple[int, int, int] | None,
    ) -> None:
        """A PNG of (width, height), see-through without a background."""
