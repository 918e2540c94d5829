"""One picture made of another or of a film's moment, sheets of small pictures, and the ports of what makes them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediamill.core.media import Placing, Position
from mediamill.core.ports import Engine, Report, Tools

Colour = tuple[int, int, int]
"""(red, green, blue), 0-255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something is laid over a picture, in its pixels: by distances from the edges (left and top win over right
    and bottom), else by `position`. Sizes given alone keep the ratio; for text, `width_px` is where lines break."""

    width_px: int | None = None
    height_px: int | None = None
    left_px: float | None = None
    top_px: float | None = None
    right_px: float | None = None
    bottom_px: float | None = None
    position: Position = "center"
    opacity: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOver:
    """A picture file laid over another."""

    path: Path
    mime: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOver:
    """Text laid over a picture, in any script. `font` is a family's name; none and unknown ones become Noto Sans."""

    text: str
    font: str | None
    size_px: float
    colour: Colour
    place: Place


Over = PictureOver | TextOver


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureEdit:
    """One picture to make. `at_s` picks the moment of a film; a picture ignores it.

    placing: the size of the whole, and where the source, upright, lies in it. background: what shows beside it, None
    for nothing (see-through). level: 0, very low, to 4, very high quality. flat: what lies behind see-through parts
    where the target has none.
    """

    source: Path
    source_mime: str
    target: Path
    target_mime: str
    placing: Placing
    background: Colour | None
    over: Sequence[Over] = ()
    level: int = 2
    flat: Colour = (255, 255, 255)
    at_s: float = 0.0
    scratch: Path
    tools: Tools
    report: Report


class PictureEditor(Engine):
    """Makes a picture of a picture, or of a moment of a film."""

    @abstractmethod
    def sources(self) -> frozenset[str]:
        """Canonical MIME types it reads, pictures and films."""

    @abstractmethod
    def targets(self) -> frozenset[str]:
        """Canonical MIME types it writes on this install."""

    @abstractmethod
    def edit(self, work: PictureEdit) -> Mapping[str, Any]:
        """Write the target; facts about it. Raises BadMedia, NoVideo, LimitExceeded, ToolFailed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Small pictures of a film at even steps, side by side in one picture: `count` cells, `columns` to a row.

    Cell n is the film in the middle of its step, which runs from n x `step_s`.
    """

    source: Path
    source_mime: str
    target: Path
    target_mime: str
    start_s: float = 0.0
    step_s: float
    count: int
    columns: int
    cell_width_px: int
    cell_height_px: int
    level: int = 2
    scratch: Path
    tools: Tools
    report: Report

    @property
    def rows(self) -> int:
        """As many as hold all cells."""
        return -(-self.count // self.columns)

    def corner(self, number: int) -> tuple[int, int]:
        """(left, top) of a cell in pixels."""
        return number % self.columns * self.cell_width_px, number // self.columns * self.cell_height_px


class SheetMaker(Engine):
    """Makes sheets of small pictures (sprites) of films."""

    @abstractmethod
    def sources(self) -> frozenset[str]:
        """Canonical MIME types it reads."""

    @abstractmethod
    def sheet(self, work: Sheet) -> Mapping[str, Any]:
        """Write the target; facts about it. Raises BadMedia, NoVideo, LimitExceeded, ToolFailed."""
