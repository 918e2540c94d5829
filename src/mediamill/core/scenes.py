"""Where a film cuts from one picture to another, and where a sound falls silent."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mediamill.core.ports import Engine, Report, Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The instant at which a new scene is on the screen, a hard cut or the middle of a fade through black.

    change: 0 to 1, how different the quarter minutes on both sides look on the whole. A cut to and fro between two
    speakers changes little; one into another place much.
    """

    at_s: float
    change: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A stretch without sound to speak of."""

    start_s: float
    end_s: float

    @property
    def middle_s(self) -> float:
        return (self.start_s + self.end_s) / 2


class SceneFinder(Engine):
    """Finds cuts. `report` gets fractions of this work alone, in [0, 1]."""

    @abstractmethod
    def cuts(self, source: Path, mime: str, *, tools: Tools, report: Report) -> Sequence[Cut]:
        """Every cut in order of time, none at the start. Raises BadMedia for a file without pictures, ToolFailed."""

    @abstractmethod
    def cost_s(self, source: Path, mime: str, *, tools: Tools) -> float:
        """About how many seconds of processor time `cuts` takes. Raises what that raises."""


class SilenceFinder(Engine):
    """Finds silences. `report` gets fractions of this work alone, in [0, 1]."""

    @abstractmethod
    def silences(self, source: Path, mime: str, *, tools: Tools, report: Report) -> Sequence[Silence]:
        """Every silence in order of time; a sound that is silent throughout is one. Raises BadMedia, ToolFailed."""
