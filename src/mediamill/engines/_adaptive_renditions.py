"""The renditions of a package as both kinds of manifest describe them, with the rates they truly have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

from mediamill.core.adaptive import SEGMENT_S
from mediamill.engines import _adaptive_boxes as boxes

_LEAST_SEGMENT_S = SEGMENT_S * 0.9  # three key frame intervals, also where they come to a little less than two seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendition:
    """One media file, cut into segments. `index`: first and last byte of its segment index."""

    name: str
    file: str
    playlist: str
    track: boxes.Track
    segments: tuple[boxes.Segment, ...]
    index: tuple[int, int]
    label: str = ""
    language: str | None = None
    default: bool = False

    @property
    def durations_s(self) -> list[float]:
        return [self.track.seconds(segment.duration) for segment in self.segments]

    @property
    def duration_s(self) -> float:
        return self.track.shown_s

    @property
    def average_bps(self) -> int:
        """All bits over the whole time."""
        return round(sum(s.size for s in self.segments) * 8 / self.track.duration_s) if self.track.duration_s else 0

    @property
    def keys(self) -> list[tuple[boxes.Fragment, float]]:
        """Each fragment begins with a key frame, which is shown until the next."""
        return [(fragment, self.track.seconds(fragment.duration)) for fragment in self.track.fragments]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One subtitle file."""

    name: str
    file: str
    playlist: str
    label: str
    language: str | None
    default: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Renditions:
    """All of a package. Pictures come the highest first; without any, the sounds are one sound at several rates."""

    pictures: Sequence[Rendition] = ()
    sounds: Sequence[Rendition] = ()
    texts: Sequence[Text] = ()
    key_playlists: dict[str, str] = field(default_factory=dict)
    """Playlist of key frames by the name of a picture's rendition."""

    @property
    def duration_s(self) -> float:
        return max(rendition.duration_s for rendition in (*self.pictures, *self.sounds))

    @property
    def target_s(self) -> int:
        """What all playlists of pictures and sounds must state alike: the longest segment, rounded."""
        every = (second for rendition in (*self.pictures, *self.sounds) for second in rendition.durations_s)
        return max(1, max(int(second + 0.5) for second in every))


STATED_DIGITS = 5
"""How exactly playlists state a duration in seconds."""


def peak_bps(sizes: Sequence[int], durations_s: Sequence[float], target_s: float) -> int:
    """The largest rate of any run of segments that lasts between half and one and a half target durations.

    RFC 8216, section 4.1. A whole that is shorter than that counts as it is.
    """
    ends_s = [0.0, *accumulate(durations_s)]
    ends = [0, *accumulate(sizes)]
    best = 0.0
    for first in range(len(sizes)):
        for last in range(first + 1, len(sizes) + 1):
            lasts_s = ends_s[last] - ends_s[first]
            if lasts_s > 1.5 * target_s:
                break
            if lasts_s >= 0.5 * target_s:
                best = max(best, (ends[last] - ends[first]) * 8 / lasts_s)
    if not best and ends_s[-1]:
        best = ends[-1] * 8 / ends_s[-1]
    return int(best) + 1


def rendition_peak_bps(rendition: Rendition, target_s: float) -> int:
    """The rate a player needs for this rendition alone, by the durations that its playlist states."""
    stated_s = [round(lasts_s, STATED_DIGITS) for lasts_s in rendition.durations_s]
    return peak_bps([segment.size for segment in rendition.segments], stated_s, target_s)


def cut(path: Path, at_s: Sequence[float] | None = None) -> tuple[boxes.Track, tuple[boxes.Segment, ...]]:
    """A written file and its segments: of about six seconds, or as near to the given instants as can be."""
    track = boxes.read(path)
    return track, boxes.segments(track, at_s, least_s=_LEAST_SEGMENT_S)


def starts_s(track: boxes.Track, parts: Sequence[boxes.Segment]) -> list[float]:
    """When segments begin, from the first."""
    return [track.seconds(part.start - parts[0].start) for part in parts]
