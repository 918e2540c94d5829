"""Adaptive streaming: the ladder of renditions, what is asked of a packager, and what it hands back."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from mediamill.core.media import Placing
from mediamill.core.ports import Engine, Report, Tools

Manifest = Literal["hls", "dash"]

MIMES: Mapping[Manifest, str] = {"hls": "application/vnd.apple.mpegurl", "dash": "application/dash+xml"}
SUFFIXES: Mapping[Manifest, str] = {"hls": ".m3u8", "dash": ".mpd"}

STEPS: tuple[tuple[int, int], ...] = (
    (1080, 5_000_000),
    (720, 2_800_000),
    (480, 1_400_000),
    (360, 800_000),
    (240, 400_000),
)
"""Heights and bit rates of the ladder, the highest first."""
LOWEST_BPS = 150_000
SEGMENT_S = 6.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One size of the picture, with the bit rate it is made at."""

    width_px: int
    height_px: int
    bitrate_bps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame(Placing):
    """How the source's picture comes to lie in the highest rung, and the colour beside it."""

    background: str = "#000000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a source holds. Width and height are as displayed; None: no picture."""

    duration_s: float | None = None
    width_px: int | None = None
    height_px: int | None = None
    sounds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Caption:
    """A subtitle file that goes along with the picture; its times are the source's."""

    path: Path
    mime: str
    label: str
    language: str | None = None
    default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One file made, with the name that the others of its package know it by."""

    path: Path
    mime: str
    filename: str


class Show(Protocol):
    """Makes the files of a first package available, its manifest first, while the work goes on."""

    def __call__(self, files: Sequence[File]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One package to make. No `rungs`: a package of sound alone. `source` is read-only; write only below `scratch`.

    asked: whether a size was asked for, so that the source's own picture is not what is wanted.
    """

    source: Path
    mime: str
    stem: str
    manifest: Manifest = "hls"
    start_s: float = 0.0
    end_s: float | None = None
    rungs: Sequence[Rung] = ()
    frame: Frame | None = None
    asked: bool = False
    captions: Sequence[Caption] = ()
    scratch: Path
    tools: Tools
    report: Report
    show: Show


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package: the manifest that was asked for, everything it refers to, and facts about both."""

    manifest: File
    parts: Sequence[File]
    details: Mapping[str, Any] = field(default_factory=dict)


class Packager(Engine):
    """Makes a ladder of renditions of one source, and the manifests that players choose among them by."""

    @abstractmethod
    def look(self, path: Path, mime: str) -> Seen:
        """What a source holds. Raises BadMedia."""

    @abstractmethod
    def package(self, order: Order) -> Package:
        """Make it. Raises BadMedia, LimitExceeded or ToolFailed."""


def ladder(width_px: int, height_px: int, factor: float = 1.0) -> tuple[Rung, ...]:
    """The rungs of a picture of this size, the highest first: never higher than it, at least one, sides even.

    `factor` scales the bit rates.
    """
    found = [
        Rung(width_px=_even(width_px * height / height_px), height_px=height, bitrate_bps=round(rate * factor))
        for height, rate in STEPS
        if height <= height_px
    ]
    if found:
        return tuple(found)
    lowest, rate = STEPS[-1]
    own = max(LOWEST_BPS, round(rate * factor * height_px / lowest))
    return (Rung(width_px=_even(width_px), height_px=_even(height_px), bitrate_bps=own),)


def _even(side: float) -> int:
    nearest = max(2, int(side + 0.5))
    return nearest - nearest % 2
