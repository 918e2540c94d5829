"""Run ffmpeg for a package, with progress by the work that is done."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from mediamill.core.adaptive import Order
from mediamill.core.errors import ToolFailed
from mediamill.core.ports import Report
from mediamill.engines import _ffmpeg
from mediamill.engines._av import Video
from mediamill.engines._ffmpeg_args import decoder


class Frames(_ffmpeg.Progress):
    """The mean of two counts: ffmpeg's time is that of the output furthest ahead, its frames are those of the highest
    rung, which comes last. Against the processor time spent, each is off by up to 6 % on a short film, the mean by 2.
    """

    def __init__(self, *, frames: float, lasts_s: float, report: Report, span: tuple[float, float]) -> None:
        super().__init__(report, None, span)
        self._frames, self._lasts_s = frames, lasts_s
        self._made = 0.0

    def __call__(self, line: str) -> None:
        name, _, value = line.strip().partition("=")
        if name == "frame" and value.strip().isdigit():
            self._made = min(1.0, int(value) / self._frames)
        super().__call__(line)
        if name == "out_time_us":
            self._advance((self._made + min(1.0, self.out_s / self._lasts_s)) / 2)


def run(
    order: Order,
    args: Sequence[str],
    *,
    lasts_s: float | None,
    span: tuple[float, float],
    video: Video | None = None,
    rate: Fraction | None = None,
    until_s: float | None = None,
    before_s: float | None = None,
    what: str = "video",
) -> None:
    """Run ffmpeg on an order's source. `rate`: of the pictures that are encoded; `until_s`: read no more than that.
    `before_s`: begin to read so much before the order's start at the latest, and leave it to the filters to cut.

    Raises BadMedia, LimitExceeded or ToolFailed, worded for callers. An output without a single packet is no error
    here: a sound track may well end before the part that was asked for.
    """
    progress = _ffmpeg.Progress(order.report, lasts_s, span)
    if rate is not None and lasts_s:
        frames = max(1.0, lasts_s * float(rate))
        progress = Frames(frames=frames, lasts_s=lasts_s, report=order.report, span=span)
    given = _ffmpeg.input_args(
        order.source,
        order.mime,
        start_s=order.start_s - (before_s or 0.0),
        duration_s=until_s,
        decoder=decoder(video) if video else None,
    )
    argv: list[str | Path] = [
        *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-y", "-v", "warning"),
        *("-progress", "pipe:1", "-stats_period", "0.1", "-nostats"),
        *(("-noaccurate_seek",) if before_s is not None else ()),
        *given,
        *args,
    ]
    try:
        order.tools.run(argv, name="ffmpeg", on_line=progress, cwd=order.scratch)
    except ToolFailed as error:
        raise _ffmpeg.named(error, order.mime, what) from error
