"""Pictures and films made larger, with more to see in them than stretching gives; and the port of what does so."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from mediamill.core.encode import Container
from mediamill.core.ports import Engine, Report, Tools

Way = Literal["fast", "best", "restore"]
"""fast: stretched and sharpened; best: detail as a network trained on photographs finds it, true to the original;
restore: detail made up by a network where the picture has none."""
MOST_PX = 100_000_000
"""What a picture may have after it was made larger."""


def enlarged(width: int, height: int, scale: float, *, even: bool = False) -> tuple[int, int]:
    """Each side multiplied, to the nearest pixel, or the nearest even one."""
    if even:
        return max(2, 2 * round(width * scale / 2)), max(2, 2 * round(height * scale / 2))
    return max(1, round(width * scale)), max(1, round(height * scale))


@dataclass(frozen=True, slots=True, kw_only=True)
class LargerPicture:
    """A PNG file, upright, and what it becomes: a PNG file of the given size, its transparency kept.

    lossy: whether the picture was once coded with loss, so that blocks and rings may be in it.
    """

    source: Path
    target: Path
    size: tuple[int, int]
    lossy: bool
    tools: Tools
    report: Report
    began_s: float | None = None
    """`processor.used_s()` when the task began; None: now."""
    again: bool = False
    """Whether the target becomes a file of another format after that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LargerFilm:
    """A film and what it becomes: of the given size, with the same rate, length and sound."""

    source: Path
    source_mime: str
    target: Path
    container: Container
    size: tuple[int, int]
    tools: Tools
    report: Report


class Upscaler(Engine):
    """Makes pictures and films larger in one way."""

    way: ClassVar[Way]
    films: ClassVar[bool] = True
    """Whether it does films."""
    px_per_s: ClassVar[int] = 0
    """About how many pixels of the source it takes in a second on four cores, to choose by."""

    @abstractmethod
    def picture(self, work: LargerPicture) -> Mapping[str, Any]:
        """Write the target; facts about it. Raises BadMedia, LimitExceeded, ToolFailed."""

    @abstractmethod
    def film(self, work: LargerFilm) -> Mapping[str, Any]:
        """The same for a film. Raises NoVideo too."""
