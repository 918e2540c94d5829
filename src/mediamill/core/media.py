"""Media values with units."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


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
    video_profile: str | None = None
    """As its standard names it: "High", "Main 10"."""
    video_level: str | None = None
    """As its standard writes it: "3.1"."""
    rotation_deg: int | None = None
    """How far players turn the stored pictures, anticlockwise; width and height already stand for the turned ones."""
    hdr: Literal["pq", "hlg"] | None = None
    """The transfer curve of a film with high dynamic range."""
    audio_codec: str | None = None
    audio_bitrate_bps: int | None = None
    sample_rate_hz: int | None = None
    channels: int | None = None
    audio_tracks: int | None = None
    subtitle_tracks: int | None = None
    pages: int | None = None
    sheets: int | None = None
    entries: int | None = None
    has_alpha: bool | None = None
    title: str | None = None

    def known(self) -> dict[str, Any]:
        """The facts that are known, as JSON values."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    """How a picture becomes another size: scaled to one size, then laid on a canvas of the wanted one.

    `left_px` and `top_px` are where the scaled picture's corner comes to lie on the canvas: above 0 there is background
    beside it, below 0 that much of it is cut away.
    """

    width_px: int
    height_px: int
    scaled_width_px: int
    scaled_height_px: int
    left_px: int = 0
    top_px: int = 0

    @property
    def padded(self) -> bool:
        """Whether background shows."""
        return self.scaled_width_px < self.width_px or self.scaled_height_px < self.height_px

    @property
    def cropped(self) -> bool:
        """Whether some of the picture is cut away."""
        return self.scaled_width_px > self.width_px or self.scaled_height_px > self.height_px


Position = Literal["center", "top", "bottom", "left", "right", "top_left", "top_right", "bottom_left", "bottom_right"]


def anchored(
    canvas: tuple[int, int], piece: tuple[int, int], position: Position, *, even: bool = False
) -> tuple[int, int]:
    """(left, top) of a piece on a canvas; below 0 where the piece is the larger. `even`: both even numbers."""
    words = position.split("_")
    across = 0.0 if "left" in words else 1.0 if "right" in words else 0.5
    down = 0.0 if "top" in words else 1.0 if "bottom" in words else 0.5
    left, top = (canvas[0] - piece[0]) * across, (canvas[1] - piece[1]) * down
    if even:
        return int(left / 2) * 2, int(top / 2) * 2
    return int(left), int(top)
