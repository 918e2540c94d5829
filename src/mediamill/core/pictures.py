"""One picture made of another or of a film's moment, sheets of small pictures, and the ports of what makes them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mediamill.core.ports import Engine, Report, Tools

Anchor = Literal["center", "top", "bottom", "left", "right", "top_left", "top_right", "bottom_left", "bottom_right"]
Colour = tuple[int, int, int]
"""(red, green, blue), 0-255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """The picture to make: the source, upright, is scaled to one size and its corner laid at (left, top) of another.

    Negative places cut that much away. `background` is what shows beside it, None for nothing (see-through).
    """

    width_px: int
    height_px: int
    scaled_width_px: int
    scaled_height_px: int
    left_px: int = 0
    top_px: int = 0
    background: Colour | None = None

    @property
    def plain(self) -> bool:
        """Whether the scaled picture is the whole of it."""
        return (self.scaled_width_px, self.scaled_height_px) == (self.width_px, self.height_px)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where something is laid over a picture, in its pixels: by distances from the edges (left and top win over right
    and bottom), else by `anchor`. Sizes given alone keep the ratio; for text, `width_px` is where lines break."""

    width_px: int | None = None
    height_px: int | None = None
    left_px: float | None = None
    top_px: float | None = None
    right_px: float | None = None
    bottom_px: float | None = None
    anchor: Anchor = "center"
    opacity: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureOver:
    """A picture file laid over another."""

    path: Path
    mime: str
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class TextOver:
    """Text laid over a picture, in any script. `font` is a family's name; unknown ones become Noto Sans."""

    text: str
    font: str
    size_px: float
    colour: Colour
    place: Place


Over = PictureOver | TextOver


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureEdit:
    """One picture to make. `at_s` picks the moment of a film; a picture ignores it.

    level: 0, very low, to 4, very high quality. flat: what lies behind see-through parts where the target has none.
    """

    source: Path
    source_mime: str
    target: Path
    target_mime: str
    canvas: Canvas
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
