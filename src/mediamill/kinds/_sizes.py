"""Sizes, fits, qualities and times: what the kinds that make pictures and films share, and the sums behind it."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from mediamill.core.errors import Invalid, LimitExceeded, RangeEmpty
from mediamill.core.media import Placing as Placing
from mediamill.core.media import Position as Position
from mediamill.core.media import anchored as anchored

MAX_SIDE_PX = 8192
LATE_S = 0.1

Size = (
    Annotated[int, Meta(ge=1, le=MAX_SIDE_PX)]
    | Annotated[str, Meta(pattern=r"^[0-9]{1,4}(\.[0-9]{1,4})?%$", description="Part of the input's side.")]
)
"""Pixels, or a percentage of the input's same side as "50%"."""
Fit = Literal["fill", "cover", "contain"]
Word = Literal["very_low", "low", "medium", "high", "very_high"]
WORDS: tuple[Word, ...] = ("very_low", "low", "medium", "high", "very_high")
# The type beside the words is for the command line, which makes a flag that takes a word or a number of it.
Quality = Annotated[Word, Meta(extra_json_schema={"type": "string"})] | Annotated[int, Meta(ge=0, le=100)]
Colour = Annotated[str, Meta(pattern="^#[0-9a-fA-F]{6}$")]
Seconds = Annotated[float, Meta(ge=0, le=1_000_000)]


def level(quality: Word | int) -> int:
    """A quality as a step from 0, very low, to 4, very high; numbers are parted into five equal ranges."""
    return WORDS.index(quality) if isinstance(quality, str) else min(4, quality // 20)


def check_size(field: str, size: int | str | None) -> None:
    """Raises Invalid for a percentage that no picture can have."""
    if isinstance(size, str) and _percent(size) <= 0:
        raise Invalid(field, "must be more than 0%.")


def check_span(start_s: float | None, end_s: float | None, *, field: str = "end") -> None:
    """Raises Invalid unless the end comes after the start."""
    if end_s is not None and end_s <= (start_s or 0.0):
        raise Invalid(field, f"must be after start ({start_s or 0.0:g} s), is {end_s:g} s.")


def span(start_s: float | None, end_s: float | None, duration_s: float | None) -> tuple[float, float | None]:
    """(start, end) within a medium of this duration; the end is None for the medium's own.

    Raises RangeEmpty for a time beyond the medium's end. An end may be a little late: callers name rounded durations.
    """
    start = start_s or 0.0
    if duration_s is None:
        return start, end_s
    for name, beyond, value in (
        ("start", start > 0 and start >= duration_s, start),
        ("end", end_s is not None and end_s > duration_s + LATE_S, end_s or 0.0),
    ):
        if beyond:
            raise RangeEmpty(f"The {name}, {value:g} s, lies beyond the end at {duration_s:g} s.")
    return start, end_s if end_s is not None and end_s < duration_s else None


def _percent(size: str) -> float:
    return float(size.removesuffix("%"))


def _side(size: int | str, of_px: int) -> float:
    return float(size) if isinstance(size, int) else of_px * _percent(size) / 100


def placing(
    of: tuple[int, int],
    width: int | str | None = None,
    height: int | str | None = None,
    *,
    fit: Fit = "fill",
    position: Position = "center",
    even: bool = False,
) -> Placing:
    """How a picture of size `of`, upright and with square pixels, becomes the size asked for.

    One side alone: the other keeps the ratio; neither: the size it has. `even` rounds all down to even numbers, which
    4:2:0 colour needs. Raises LimitExceeded for sides above 8192 pixels that nobody had to ask for by number.
    """
    of_width, of_height = of
    wide = None if width is None else _side(width, of_width)
    high = None if height is None else _side(height, of_height)
    if wide is None:
        wide = float(of_width) if high is None else of_width * high / of_height
    if high is None:
        high = float(of_height) if width is None else of_height * wide / of_width
    canvas = whole(wide, even=even), whole(high, even=even)
    if max(canvas) > MAX_SIDE_PX and (width is not None or height is not None):
        raise LimitExceeded(f"The size would be {canvas[0]} x {canvas[1]}; a side has at most {MAX_SIDE_PX} pixels.")
    scaled = canvas
    if fit != "fill" and width is not None and height is not None:
        ratios = canvas[0] / of_width, canvas[1] / of_height
        ratio = max(ratios) if fit == "cover" else min(ratios)
        # The side that decides is the canvas's own: rounding must not leave a gap or a hairline of background.
        scaled = (
            canvas[0] if ratio == ratios[0] else _fitting(of_width * ratio, canvas[0], fit, even=even),
            canvas[1] if ratio == ratios[1] else _fitting(of_height * ratio, canvas[1], fit, even=even),
        )
    left, top = anchored(canvas, scaled, position, even=even)
    return Placing(
        width_px=canvas[0],
        height_px=canvas[1],
        scaled_width_px=scaled[0],
        scaled_height_px=scaled[1],
        left_px=left,
        top_px=top,
    )


def whole(side: float, *, even: bool = False) -> int:
    """A side in pixels: the nearest whole number, then, if asked, down to an even one; never nothing."""
    nearest = max(1, int(side + 0.5))
    return max(2, nearest - nearest % 2) if even else nearest


def _fitting(side: float, canvas_px: int, fit: Fit, *, even: bool) -> int:
    nearest = whole(side, even=even)
    return max(canvas_px, nearest) if fit == "cover" else min(canvas_px, nearest)
