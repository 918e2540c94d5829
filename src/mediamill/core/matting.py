"""What stands in front, cut out of what is behind it; and the port of the engines that do so."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from mediamill.core.ports import Engine, Report, Tools

Care = Literal["full", "best_effort"]
"""best_effort: what it takes for the front may be another thing than was meant, or a part of it; the caller is told."""
FilmFormat = Literal["webm", "mov"]


Masks = Callable[[Any], Any]
"""From a picture, bytes as (height, width, 3), to what stands in front, bytes as (its own height, its own width) with
255 for the front; None where nothing does. It remembers nothing: the same picture has the same mask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureCut:
    """A picture to cut out. The source is a PNG file, upright, the target becomes one with transparency.

    others: see FilmCut.
    """

    source: Path
    target: Path
    report: Report
    began_s: float | None = None
    """`processor.used_s()` when the task began; None: now."""
    others: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FilmCut:
    """A film to cut out: the target has the same size, rate, length and sound, and transparency.

    format: webm (VP9, its transparency as browsers read it) or mov (ProRes 4444).
    others: another engine is asked where this one raises NoSubject, so it may leave to that what it is not made for.
    """

    source: Path
    source_mime: str
    target: Path
    format: FilmFormat
    tools: Tools
    report: Report
    others: bool = False


class Matter(Engine):
    """Tells the front of pictures from their background, and writes them without it."""

    care: ClassVar[Care] = "full"

    @abstractmethod
    def picture(self, work: PictureCut) -> Mapping[str, Any]:
        """Write the target; facts about it. Raises NoSubject, BadMedia, LimitExceeded, ToolFailed."""

    @abstractmethod
    def film(self, work: FilmCut) -> Mapping[str, Any]:
        """The same for a film; the facts count its `frames`. Raises NoVideo too."""

    def masks(self) -> Masks | None:
        """Coarse masks of people, quick enough for every frame of a film; None where it has none. Loaded with the first
        asked."""
        return None
