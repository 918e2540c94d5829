"""A film to be made of another: what is asked for, and the port of the engines that make it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from mediamill.core.media import Placing, Position
from mediamill.core.ports import Engine, Report, Tools

Container = Literal["mp4", "webm", "mov"]
Codec = Literal["h264", "h265", "vp9", "av1"]
CODECS: Mapping[Container, tuple[Codec, ...]] = {
    "mp4": ("h264", "h265", "av1"),
    "webm": ("vp9", "av1"),
    "mov": ("h264", "h265"),
}
"""What goes into which container; the first is the default."""
DEEP: frozenset[Codec] = frozenset({"h265", "av1"})
"""Codecs that players take with ten bits a sample, which high dynamic range needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lettering:
    """A few lines of text to be drawn. `font` is a family's name; one that is not there is left to its stand-ins."""

    text: str
    size_px: int
    colour: str = "#ffffff"
    font: str | None = None
    width_px: int | None = None
    """Where lines break; None: only where the text does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A picture (a PNG) or lettering laid over a film, in pixels of the film made and seconds from its beginning.

    One side alone keeps the ratio. Each of `left_px` … `bottom_px` fixes the layer to that edge; an axis without one
    goes by `position`.
    """

    picture: Path | None = None
    lettering: Lettering | None = None
    width_px: int | None = None
    height_px: int | None = None
    left_px: int | None = None
    top_px: int | None = None
    right_px: int | None = None
    bottom_px: int | None = None
    position: Position = "center"
    opacity: float = 1.0
    start_s: float | None = None
    end_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """One film to make. `source` is read-only; write `target` and nothing else outside `scratch`.

    placing: None leaves the size alone, but for the even sides that colour needs. quality: a step from 0, very low, to
    4, very high; with a bit rate too, that is the most it may take. end_s: None for the input's own. subtitles: SubRip
    that begins with the film made.
    """

    source: Path
    source_mime: str
    target: Path
    container: Container
    codec: Codec
    placing: Placing | None = None
    background: str = "#000000"
    quality: int | None = None
    bitrate_bps: int | None = None
    fps: float | None = None
    start_s: float = 0.0
    end_s: float | None = None
    frames: int | None = None
    layers: Sequence[Layer] = ()
    sound: bool = True
    subtitles: Path | None = None
    burn_in: bool = False
    track: Path | None = None
    """Where to write the subtitles, as SubRip with the times of the film made, when they are kept as a track."""
    keep_hdr: bool = False
    scratch: Path
    tools: Tools
    report: Report

    @property
    def spanned(self) -> bool:
        """Whether only a part of the input is wanted."""
        return self.start_s > 0 or self.end_s is not None or self.frames is not None

    @property
    def touched(self) -> bool:
        """Whether anything is asked for that only encoding can give."""
        return (
            self.spanned
            or self.burn_in
            or bool(self.layers)
            or any(wish is not None for wish in (self.placing, self.quality, self.bitrate_bps, self.fps))
        )


class FilmMaker(Engine):
    """Makes films."""

    codecs: ClassVar[frozenset[Codec]] = frozenset()

    @abstractmethod
    def make(self, film: Film) -> Mapping[str, Any]:
        """Make it; returns facts about the processing: {"remuxed": True} when no picture or sound was encoded again.

        Raises NoVideo, RangeEmpty, BadMedia, ToolFailed, LimitExceeded.
        """
