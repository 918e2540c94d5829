"""Where a part of a film begins: with the picture that is on the screen then, however long it has been there.

ffmpeg itself begins with the first picture that starts later, which in a screen recording may be seconds after, and in
a transport stream it finds no picture before the next key frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from mediamill.engines import _av, _ffmpeg

_LISTED_S, _UNLISTED_S = 0.0, 12.0
"""How long before the start reading begins where key frames are listed, and where they are not: a transport stream
holds one every few seconds."""
_ROUNDED_S = 0.0005
_UNTIMED = "mpegvideo"
_FASTEST = 250
"""Frames a second; what claims more has a broken header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The beginning of a part. Times in the film made count from `start_s`: what comes before has times below 0, and
    the filters leave it out."""

    start_s: float
    before_s: float = 0.0
    first_s: float | None = None
    """When the picture on the screen at the start came up, in the film made: at 0 or before. None: there is none."""
    counted: int | None = None
    """In a stream that has no times: so many pictures come before."""

    def input_args(self, path: Path, mime: str, decoder: str | None) -> list[str]:
        """As `_ffmpeg.input_args`, from the key frame before the start on. A limit on an input would be counted from
        the first packet that comes; the end is one of the film made."""
        if not self.start_s or self.counted is not None:
            return _ffmpeg.input_args(path, mime, decoder=decoder)
        moved = ("-itsoffset", _ffmpeg.seconds(-self.before_s)) if self.before_s else ()
        given = _ffmpeg.input_args(path, mime, start_s=self.start_s - self.before_s, decoder=decoder)
        return ["-noaccurate_seek", *moved, *given]

    def picture(self, video: _av.Video, lasts_s: float | None, made_at: Fraction | None = None) -> list[str]:
        """Filters that go before all others. One rate stays one rate, and so many pictures of it are made as come
        nearest to `lasts_s`; else each keeps its time. made_at: a rate to give them in any case."""
        if not self.start_s:
            return []
        chain = [self._first] if self.counted is None else self.still
        rate = made_at or video.frame_rate
        if not rate or (made_at is None and (video.varying or rate > _FASTEST)):
            return [*chain, "settb=1/90000", "setpts='max(PTS,0)'"]
        chain.append(f"fps={rate}" if self.first_s is None else f"fps={rate}:start_time=0")
        return [*chain, *([] if lasts_s is None else [f"trim=end_frame={max(1, round(lasts_s * rate))}"])]

    @property
    def still(self) -> list[str]:
        """Filters after which the picture on the screen at the start comes first, at 0."""
        return [self._first, "setpts=PTS-STARTPTS"] if self.start_s else []

    @property
    def _first(self) -> str:
        if self.counted is not None:
            return f"trim=start_frame={self.counted}"
        first_s = 0.0 if self.first_s is None else self.first_s
        return f"trim=start={_ffmpeg.seconds(first_s - _ROUNDED_S)}"

    @property
    def sound(self) -> list[str]:
        """Filters that go before all others of a sound track."""
        return ["atrim=start=0"] if self.start_s else []


def last_until(video: _av.Video, lasts_s: float | None) -> list[str]:
    """What is said of a film made whose pictures keep their times: a picture that stays until the end would else last
    no longer than any other."""
    if lasts_s is None or not video.varying:
        return []
    return ["-bsf:v", f"setts=pts=PTS:dts=DTS:duration=max(1\\,{_ffmpeg.seconds(lasts_s)}/TB-PTS)"]


def entry(path: Path, mime: str, source: _av.Source, start_s: float) -> Entry:
    """Where to enter a film that has pictures."""
    if not start_s:
        return Entry(start_s=0.0)
    if source.demuxer == _UNTIMED and source.video is not None:
        return Entry(start_s=start_s, counted=int(start_s * (source.video.frame_rate or 25) + _ROUNDED_S))
    before_s = min(start_s, _LISTED_S if source.indexed else _UNLISTED_S)
    shown_s = _av.shown_at(path, mime, start_s, before_s=before_s)
    if shown_s is None:
        # No picture yet, or none with a time: a seek might land after the sound that is wanted, or anywhere.
        return Entry(start_s=start_s, before_s=start_s)
    return Entry(start_s=start_s, before_s=before_s, first_s=min(0.0, shown_s - start_s))
