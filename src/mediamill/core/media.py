"""Media values with units."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a probe found; None where it does not apply or is not known. Width and height are as displayed."""

    width_px: int | None = None
    height_px: int | None = None
    duration_s: float | None = None
    frame_rate: float | None = None
    frames: int | None = None
    bitrate_bps: int | None = None
    video_codec: str | None = None
    audio_codec: str | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None
    pages: int | None = None
    sheets: int | None = None
    entries: int | None = None
    has_alpha: bool | None = None
    title: str | None = None

    def known(self) -> dict[str, Any]:
        """The facts that are known, as JSON values."""
        return {name: value for name, value in asdict(self).items() if value is not None}
