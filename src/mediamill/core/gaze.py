"""Eyes turned to the camera: the port of the engines that do it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mediamill.core.ports import Engine, Report, Tools


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirecting:
    """One film whose speakers are to look at the camera. `intensity` in [0, 1]: 0 leaves the eyes as they are."""

    source: Path
    source_mime: str
    target: Path
    container: Literal["mp4", "webm"]
    intensity: float
    tools: Tools
    report: Report


class Redirector(Engine):
    """Turns eyes to the camera and leaves all else alone."""

    @abstractmethod
    def redirect(self, work: Redirecting) -> Mapping[str, Any]:
        """Facts about it: {"frames": all, "redirected": those with open eyes in them, "faces": most at once}.

        Raises NoFace where no picture shows one, NoVideo, BadMedia, ToolFailed, LimitExceeded.
        """
