"""A strict reader of HLS packages: what RFC 8216 and its revision demand, checked against the bytes of the files.

No validator of playlists is kept on the package index (docs/why/adaptive.md), so these rules are our own; the common
parser m3u8 reads every playlist besides, in its strict mode. Each breach is an AssertionError that names the rule.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import av
import m3u8  # type: ignore[import-untyped]  # the package ships no types

_ATTRIBUTE = re.compile(r'([A-Z0-9-]+)=("[^"\r\n]*"|[^",\s]+)(?:,|$)')
_BARE = re.compile(r"[A-Za-z0-9._-]+")


@dataclass
class Part:
    """One segment as a playlist tells it."""

    duration_s: float
    file: Path
    offset: int
    size: int

    @property
    def content(self) -> bytes:
        with self.file.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


@dataclass
class Playlist:
    """A media playlist."""

    path: Path
    target_s: int
    parts: list[Part] = field(default_factory=list)
    init: bytes = b""
    keys_only: bool = False

    @property
    def duration_s(self) -> float:
        return sum(part.duration_s for part in self.parts)

    def frames(self, part: Part) -> list[av.VideoFrame]:
        """What a player decodes of one segment."""
        with av.open(io.BytesIO(self.init + part.content), "r") as container:
            return list(container.decode(video=0))

    def peak_bps(self) -> float:
        """The largest rate of any run of segments lasting between half and one and a half target durations."""
        best = 0.0
        for first in range(len(self.parts)):
            for last in range(first + 1, len(self.parts) + 1):
                run = self.parts[first:last]
                lasts_s = sum(part.duration_s for part in run)
                if 0.5 * self.target_s <= lasts_s <= 1.5 * self.target_s:
                    best = max(best, sum(part.size for part in run) * 8 / lasts_s)
        return best or sum(part.size for part in self.parts) * 8 / self.duration_s

    def average_bps(self) -> float:
        return sum(part.size for part in self.parts) * 8 / self.duration_s


@dataclass
class Variant:
    """One EXT-X-STREAM-INF or EXT-X-I-FRAME-STREAM-INF."""

    attributes: dict[str, str]
    playlist: Playlist

    @property
    def size(self) -> tuple[int, int]:
        width, height = self.attributes["RESOLUTION"].split("x")
        return int(width), int(height)


@dataclass
class Master:
    """A whole package."""

    variants: list[Variant] = field(default_factory=list)
    key_frames: list[Variant] = field(default_factory=list)
    media: list[tuple[dict[str, str], Playlist]] = field(default_factory=list)

    def group(self, kind: str) -> list[tuple[dict[str, str], Playlist]]:
        return [(attributes, playlist) for attributes, playlist in self.media if attributes["TYPE"] == kind]


def attributes(text: str) -> dict[str, str]:
    """An attribute list: names once each, nothing between them."""
    found = list(_ATTRIBUTE.finditer(text))
    assert "".join(match.group() for match in found) == text, f"not an attribute list: {text}"
    names = [match[1] for match in found]
    assert len(names) == len(set(names)), f"an attribute occurs twice: {text}"
    return {match[1]: match[2].strip('"') for match in found}


def _lines(path: Path) -> list[str]:
    raw = path.read_bytes()
    assert not raw.startswith(b"\xef\xbb\xbf"), "a byte order mark"
    text = raw.decode("utf-8")
    assert not any(ord(c) < 32 and c != "\n" for c in text), "control characters"
    lines = text.splitlines()
    assert lines[0] == "#EXTM3U"
    assert sum(line.startswith("#EXT-X-VERSION:") for line in lines) == 1
    assert not any(line != line.strip() for line in lines)
    m3u8.M3U8(text, strict=True)  # no tag that it does not know, none that the version named does not have
    return [line for line in lines if line]


def _file(path: Path, uri: str) -> Path:
    assert _BARE.fullmatch(uri), f"not a bare file name: {uri}"
    target = path.parent / uri
    assert target.is_file(), f"{uri} is not in the package"
    return target


def media(path: Path) -> Playlist:
    """Check a media playlist and its files."""
    lines = _lines(path)
    made = Playlist(path=path, target_s=0)
    duration_s: float | None = None
    span: tuple[int, int] | None = None
    seen: set[str] = set()
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if not line.startswith("#"):
            assert duration_s is not None, "a segment without EXTINF"
            file = _file(path, line)
            offset, size = span or (0, file.stat().st_size)
            assert 0 <= offset < offset + size <= file.stat().st_size, "a range outside its file"
            made.parts.append(Part(duration_s, file, offset, size))
            duration_s = span = None
        elif name == "#EXTINF":
            assert re.fullmatch(r"\d+\.\d+,", value)
            duration_s = float(value[:-1])
        elif name == "#EXT-X-BYTERANGE":
            size_, offset_ = value.split("@")
            span = int(offset_), int(size_)
        elif name == "#EXT-X-MAP":
            found = attributes(value)
            size_, offset_ = found["BYTERANGE"].split("@")
            assert int(offset_) == 0
            made.init = _file(path, found["URI"]).read_bytes()[: int(size_)]
            assert _boxes(made.init) == ["ftyp", "moov"]
        else:
            assert name not in seen, f"{name} occurs twice"
            seen.add(name)
            assert name in _MEDIA_TAGS, name
            if name == "#EXT-X-TARGETDURATION":
                made.target_s = int(value)
            if name == "#EXT-X-PLAYLIST-TYPE":
                assert value == "VOD"
    assert lines[-1] == "#EXT-X-ENDLIST"
    assert {"#EXT-X-TARGETDURATION", "#EXT-X-PLAYLIST-TYPE", "#EXT-X-VERSION"} <= seen
    assert made.parts
    assert all(int(part.duration_s + 0.5) <= made.target_s for part in made.parts), "longer than the target duration"
    made.keys_only = "#EXT-X-I-FRAMES-ONLY" in seen
    if made.init:
        for part in made.parts:
            boxes = _boxes(part.content, whole=not made.keys_only)
            assert boxes == ["moof", "mdat"] * (len(boxes) // 2), boxes
        if not made.keys_only:
            for before, after in pairwise(made.parts):
                assert before.offset + before.size == after.offset, "a gap between segments"
    return made


_MEDIA_TAGS = {
    *("#EXT-X-VERSION", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-PLAYLIST-TYPE"),
    *("#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-I-FRAMES-ONLY", "#EXT-X-ENDLIST"),
}


def _boxes(content: bytes, *, whole: bool = True) -> list[str]:
    at, names = 0, []
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        names.append(content[at + 4 : at + 8].decode("latin-1"))
        assert length >= 8
        at += length
    assert not whole or at == len(content), "a box is cut off"
    return names


def master(path: Path) -> Master:
    """Check a package from its master playlist down."""
    lines = _lines(path)
    assert "#EXT-X-INDEPENDENT-SEGMENTS" in lines
    made = Master()
    pending: dict[str, str] | None = None
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if not line.startswith("#"):
            assert pending is not None, "a variant without EXT-X-STREAM-INF"
            made.variants.append(Variant(pending, media(_file(path, line))))
            pending = None
            continue
        assert pending is None, "EXT-X-STREAM-INF must be followed by its URI"
        if name == "#EXT-X-STREAM-INF":
            pending = attributes(value)
            assert {"BANDWIDTH", "AVERAGE-BANDWIDTH", "CODECS"} <= set(pending)
        elif name == "#EXT-X-I-FRAME-STREAM-INF":
            found = attributes(value)
            made.key_frames.append(Variant(found, media(_file(path, found["URI"]))))
        elif name == "#EXT-X-MEDIA":
            found = attributes(value)
            assert {"TYPE", "GROUP-ID", "NAME", "URI"} <= set(found)
            assert found.get("DEFAULT") != "YES" or found.get("AUTOSELECT") == "YES"
            made.media.append((found, media(_file(path, found["URI"]))))
        else:
            assert name in ("#EXT-X-VERSION", "#EXT-X-INDEPENDENT-SEGMENTS"), name
    _check_groups(made)
    _check_rates(made)
    return made


def _check_groups(made: Master) -> None:
    for kind in ("AUDIO", "SUBTITLES"):
        group = [found for found, _ in made.group(kind)]
        names = [(found["GROUP-ID"], found["NAME"]) for found in group]
        assert len(names) == len(set(names)), "two renditions of one name"
        assert sum(found.get("DEFAULT") == "YES" for found in group) <= 1
        ids = {found["GROUP-ID"] for found in group}
        for variant in made.variants:
            assert (variant.attributes.get(kind) in ids) if ids else (kind not in variant.attributes)
    timed = [variant.playlist for variant in made.variants] + [playlist for _, playlist in made.group("AUDIO")]
    assert len({playlist.target_s for playlist in timed}) == 1, "target durations differ"
    lengths = {tuple(part.duration_s for part in variant.playlist.parts) for variant in made.variants}
    if made.key_frames:
        assert len(lengths) == 1, "segments are not aligned"
    for variant in made.key_frames:
        assert variant.playlist.keys_only


def _check_rates(made: Master) -> None:
    heard = [playlist for _, playlist in made.group("AUDIO")]
    peak = max((playlist.peak_bps() for playlist in heard), default=0.0)
    average = max((playlist.average_bps() for playlist in heard), default=0.0)
    for variant in made.variants:
        stated = int(variant.attributes["BANDWIDTH"]), int(variant.attributes["AVERAGE-BANDWIDTH"])
        true = variant.playlist.peak_bps() + peak, variant.playlist.average_bps() + average
        assert true[0] <= stated[0] <= true[0] * 1.02 + 10, (stated, true)
        assert abs(stated[1] - true[1]) <= true[1] * 0.01 + 10, (stated, true)
    for variant in made.key_frames:
        stated_bps = int(variant.attributes["BANDWIDTH"])
        assert stated_bps >= variant.playlist.average_bps() * 0.99
