"""What packaging must know of a source beyond its tracks: whether its picture can be handed on as it is, and in which
languages it speaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from mediamill.engines import _av, _ffmpeg_args, _languages

if TYPE_CHECKING:
    from av.container import InputContainer

COPIED_FROM = frozenset({"video/mp4", "video/quicktime", "video/x-matroska", "video/3gpp"})
"""Containers whose key frames are marked truly and whose times are whole; recovery points are none."""
MOST_COPIED_BPS = 25_000_000
MOST_COPIED_PX = 1920 * 1088
SYNC_S = 0.1
"""How far apart tracks may begin: each file keeps its own start, but players should have a picture with the sound."""

FASTEST = Fraction(60)
_LOOKED_AT = 8
"""Places of a film with uneven times at which the distances between its pictures are looked at."""
_PICTURES_EACH = 150
_FEWEST = 20
_USUAL = Fraction("24"), Fraction("25"), Fraction("30"), Fraction("48"), Fraction("50"), FASTEST

_UNTOLD = 2  # matrix coefficients, ITU-T H.273 table 4
_PROFILES = ("baseline", "main", "high")
_TEXTS = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a track says of itself."""

    language: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A source's tracks, and what only its header tells."""

    tracks: _av.Source
    words: Mapping[int, Words] = field(default_factory=dict)
    profile: str = ""
    starts_s: Mapping[int, float] = field(default_factory=dict)
    colours_told: bool = True
    moving: Fraction | None = None
    """Pictures a second where something moves, of a film whose pictures come at uneven times."""

    @property
    def rate(self) -> Fraction:
        """The constant rate that a ladder is made at: the source's, at most 60 frames a second.

        Of uneven times it is that of the parts that move: a recorded screen has a picture only where it changes, and on
        the average of all its stillness what does move would jerk.
        """
        video = self.tracks.video
        told = (video.frame_rate if video else None) or Fraction(25)
        rate = self.moving if self.moving is not None and self.moving > told * Fraction("1.002") else told
        return min(_ffmpeg_args.frame_rate(rate), FASTEST)

    @property
    def colours(self) -> str | None:
        """The colours that a picture without a word on them is taken to have, by its size as players do; None where it
        says so itself. All rungs must state the same, or each is guessed by its own size."""
        video = self.tracks.video
        if video is None or self.colours_told:
            return None
        return "bt709" if min(video.width_px, video.height_px) >= 720 else "smpte170m"

    @property
    def texts(self) -> tuple[_av.Text, ...]:
        """The subtitle tracks that hold words, not pictures of them."""
        return tuple(text for text in self.tracks.texts if text.codec in _TEXTS)

    def copies(self, mime: str) -> bool:
        """Whether players can be given the picture track as it is, as far as the header tells."""
        video = self.tracks.video
        if video is None or mime not in COPIED_FROM or video.codec != "h264" or video.pixel_format != "yuv420p":
            return False
        if video.rotation_deg or not video.square or video.interlaced or video.transfer is not None:
            return False
        if not any(word in self.profile.lower() for word in _PROFILES) or "10" in self.profile:
            return False
        begin = self.starts_s.get(video.index, 0.0)
        together = all(abs(self.starts_s.get(sound.index, 0.0) - begin) <= SYNC_S for sound in self.tracks.sounds)
        small = video.width_px * video.height_px <= MOST_COPIED_PX
        return together and small and (self.tracks.bitrate_bps or 0) <= MOST_COPIED_BPS


def read(path: Path, mime: str) -> Source:
    """Raises BadMedia."""
    tracks = _av.read(path, mime)
    words: dict[int, Words] = {}
    starts: dict[int, float] = {}
    profile, told = "", True
    moving: Fraction | None = None
    with _av.opened(path, mime) as container:
        for stream in container.streams:
            words[stream.index] = Words(
                language=_languages.short(stream.metadata.get("language")),
                title=stream.metadata.get("title") or _named(stream.metadata.get("handler_name")),
            )
            if stream.start_time is not None and stream.time_base is not None:
                starts[stream.index] = float(stream.start_time * stream.time_base)
            if tracks.video is not None and stream.index == tracks.video.index:
                profile = str(getattr(stream, "profile", "") or "")
                told = int(getattr(stream.codec_context, "colorspace", _UNTOLD)) != _UNTOLD
        if tracks.video is not None and tracks.video.varying and not tracks.video.interlaced:
            moving = _moving(container, tracks.video.index, tracks.duration_s)
    return Source(tracks=tracks, words=words, profile=profile, starts_s=starts, colours_told=told, moving=moving)


def _moving(container: InputContainer, index: int, duration_s: float | None) -> Fraction | None:
    """The rate of the parts of a film in which pictures come fastest; None where too few tell."""
    distances: list[float] = []
    for place in range(_LOOKED_AT if duration_s else 1):
        if place:
            container.seek(int((duration_s or 0) * 1_000_000 * place / _LOOKED_AT))
        packets = islice(container.demux(index), _PICTURES_EACH)
        times = sorted(float(p.pts * p.time_base) for p in packets if p.pts is not None and p.time_base is not None)
        distances += [after - before for before, after in pairwise(times) if after > before]
    if len(distances) < _FEWEST:
        return None
    # The shortest tenth, and all that are about as long: rounded times make distances at one rate differ.
    least = sorted(distances)[len(distances) // 10]
    near = [distance for distance in distances if least <= distance < 1.5 * least]
    rate = Fraction(len(near) / sum(near)).limit_denominator(1001)
    return next((usual for usual in _USUAL if abs(rate / usual - 1) < Fraction("0.01")), rate)


def _named(handler: str | None) -> str | None:
    """A track's name as QuickTime stores it, unless it only says what kind of track it is."""
    if not handler or handler.endswith(("Handler", "handler")) or "Media Handler" in handler:
        return None
    return handler
