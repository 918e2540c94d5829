"""Fragmented MP4 as our ffmpeg writes it: where its fragments lie, and an index put in front of them.

Source: ISO/IEC 14496-12 (boxes, 8.8 fragments, 8.16.3 segment index), 14496-15 (avcC), 14496-1 (esds).
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mediamill.core.errors import ToolFailed

_MOOV_BYTES = 16 << 20
_MOOF_BYTES = 16 << 20
_SIDX_HEAD, _SIDX_ENTRY, _BOX_HEAD = 32, 12, 8
_WORST_SECONDS = 3600 * 12
_PAD_LIMIT = 100_000  # one argument of a program may have 128 KiB


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragment:
    """One moof and its mdat. Times are in the track's time scale; `first_bytes` reaches to its first sample's end."""

    offset: int
    size: int
    start: int
    duration: int
    samples: int
    first_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A file that holds one track. `init_bytes`: how much of its beginning players must have read; `skipped`: ticks
    before what is shown first: a sound encoder's delay, or how long a picture waits for those it refers to."""

    path: Path
    init_bytes: int
    index_from: int
    time_scale: int
    codec: str
    width_px: int = 0
    height_px: int = 0
    channels: int = 0
    sample_rate_hz: int = 0
    skipped: int = 0
    fragments: tuple[Fragment, ...] = ()

    def seconds(self, ticks: int) -> float:
        """A time in seconds."""
        return ticks / self.time_scale

    @property
    def duration_s(self) -> float:
        return self.seconds(sum(fragment.duration for fragment in self.fragments))

    @property
    def shown_s(self) -> float:
        """Seconds that are heard or seen: a sound's delay is not, while pictures only change their order."""
        return self.duration_s - (self.seconds(self.skipped) if self.channels else 0.0)

    @property
    def frame_rate(self) -> float:
        """Samples a second."""
        duration_s = self.duration_s
        return sum(fragment.samples for fragment in self.fragments) / duration_s if duration_s else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Fragments that players fetch at one go."""

    offset: int
    size: int
    start: int
    duration: int


def padding(duration_s: float | None) -> str:
    """A tag long enough that the index of so many seconds finds room where it lies."""
    entries = int((duration_s or _WORST_SECONDS) / 3) + 8
    return "." * min(_PAD_LIMIT, _SIDX_HEAD + _SIDX_ENTRY * entries)


def read(path: Path) -> Track:
    """The track of a file. Raises ToolFailed for one that is not as ffmpeg writes them."""
    try:
        with path.open("rb") as file:
            return _read(file, path)
    except (struct.error, IndexError, KeyError, ZeroDivisionError) as error:
        raise ToolFailed("The packaged media cannot be read back.") from error


def _boxes(file: BinaryIO, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, offset, size) of the boxes between two offsets."""
    while start + _BOX_HEAD <= end:
        file.seek(start)
        size, name = struct.unpack(">I4s", file.read(_BOX_HEAD))
        if size == 1:
            [size] = struct.unpack(">Q", file.read(8))
        if size < _BOX_HEAD or start + size > end:
            return  # what was being written when the program ended
        yield name, start, size
        start += size


def _inner(data: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, start of the content, end) of the boxes within some bytes."""
    while start + _BOX_HEAD <= end:
        size, name = struct.unpack_from(">I4s", data, start)
        if size < _BOX_HEAD or start + size > end:
            return
        yield name, start + _BOX_HEAD, start + size
        start += size


def _within(data: bytes, *names: bytes) -> tuple[int, int]:
    """The content of the box at that path; KeyError when it is not there."""
    start, end = 0, len(data)
    for wanted in names:
        start, end = next(((a, b) for name, a, b in _inner(data, start, end) if name == wanted), (-1, -1))
        if start < 0:
            raise KeyError(wanted)
    return start, end


def _read(file: BinaryIO, path: Path) -> Track:
    end = path.stat().st_size
    head: dict[str, int | str] = {}
    moov, init, index_from = b"", 0, 0
    defaults = (0, 0)
    fragments: list[Fragment] = []
    pending: tuple[int, int, tuple[int, int, int, int]] | None = None
    for name, offset, size in _boxes(file, 0, end):
        if name == b"moov":
            file.seek(offset)
            moov = file.read(min(size, _MOOV_BYTES))
            head, defaults = _head(moov)
            init = index_from = offset + size
        elif name == b"sidx":
            index_from = offset
        elif name == b"moof":
            file.seek(offset)
            pending = offset, size, _moof(file.read(min(size, _MOOF_BYTES)), defaults)
        elif name == b"mdat" and pending is not None:
            at, moof_bytes, (begin, duration, samples, first) = pending
            head_bytes = _BOX_HEAD if size < 1 << 32 else 16
            fragments.append(
                Fragment(
                    offset=at,
                    size=moof_bytes + size,
                    start=begin,
                    duration=duration,
                    samples=samples,
                    first_bytes=moof_bytes + head_bytes + first,
                )
            )
            pending = None
    if not moov or not fragments:
        raise ToolFailed("Nothing was written that could be packaged.")
    return Track(
        path=path,
        init_bytes=init,
        index_from=index_from,
        time_scale=int(head["time_scale"]),
        codec=str(head["codec"]),
        width_px=int(head.get("width", 0)),
        height_px=int(head.get("height", 0)),
        channels=int(head.get("channels", 0)),
        sample_rate_hz=int(head.get("rate", 0)),
        skipped=int(head.get("skipped", 0)),
        fragments=tuple(fragments),
    )


def _head(moov: bytes) -> tuple[dict[str, int | str], tuple[int, int]]:
    """Facts of the track, and the (duration, size) that samples have unless they say otherwise."""
    at, _ = _within(moov, b"moov", b"trak", b"mdia", b"mdhd")
    [scale] = struct.unpack_from(">I", moov, at + (20 if moov[at] == 1 else 12))
    at, end = _within(moov, b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd")
    name, at, end = next(_inner(moov, at + 8, end))
    found: dict[str, int | str] = {"time_scale": scale}
    if name in (b"avc1", b"avc3"):
        found["width"], found["height"] = struct.unpack_from(">HH", moov, at + 24)
        start = next(a for box, a, _ in _inner(moov, at + 78, end) if box == b"avcC")
        found["codec"] = f"{name.decode()}.{moov[start + 1 : start + 4].hex().upper()}"
    elif name == b"mp4a":
        found["channels"], found["rate"] = struct.unpack_from(">H6xH", moov, at + 16)
        start, stop = next((a, b) for box, a, b in _inner(moov, at + 28, end) if box == b"esds")
        found["codec"] = f"mp4a.40.{_audio_object(moov[start + 4 : stop])}"
    else:
        raise KeyError(name)
    try:
        at, _ = _within(moov, b"moov", b"trak", b"edts", b"elst")
        [begin] = struct.unpack_from(">q" if moov[at] == 1 else ">i", moov, at + (16 if moov[at] == 1 else 12))
        found["skipped"] = max(0, begin)
    except KeyError:
        pass  # without an edit list everything is shown
    at, _ = _within(moov, b"moov", b"mvex", b"trex")
    duration, size = struct.unpack_from(">II", moov, at + 12)
    return found, (duration, size)


def _audio_object(descriptors: bytes) -> int:
    """The MPEG-4 audio object type of an esds: 2 is AAC-LC, 5 HE-AAC."""
    at = 0
    while True:
        tag, at = descriptors[at], at + 1
        while descriptors[at] & 0x80:
            at += 1
        at += 1
        if tag == 3:
            at += 3
        elif tag == 4:
            at += 13
        elif tag == 5:
            kind = descriptors[at] >> 3
            return kind if kind != 31 else 32 + ((descriptors[at] & 7) << 3 | descriptors[at + 1] >> 5)
        else:
            raise KeyError(tag)


def _moof(moof: bytes, defaults: tuple[int, int]) -> tuple[int, int, int, int]:
    """(start, duration, samples, bytes of the first sample) of a fragment."""
    start, end = _within(moof, b"moof", b"traf")
    duration, size = defaults
    begin = total = samples = first = 0
    for name, at, stop in _inner(moof, start, end):
        flags = int.from_bytes(moof[at + 1 : at + 4], "big")
        if name == b"tfhd":
            cursor = at + 8 + (8 if flags & 1 else 0) + (4 if flags & 2 else 0)
            if flags & 8:
                [duration] = struct.unpack_from(">I", moof, cursor)
                cursor += 4
            if flags & 0x10:
                [size] = struct.unpack_from(">I", moof, cursor)
        elif name == b"tfdt":
            [begin] = struct.unpack_from(">Q" if moof[at] == 1 else ">I", moof, at + 4)
        elif name == b"trun":
            [count] = struct.unpack_from(">I", moof, at + 4)
            cursor = at + 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 0)
            has_duration, has_size = bool(flags & 0x100), bool(flags & 0x200)
            step = 4 * (has_duration + has_size + bool(flags & 0x400) + bool(flags & 0x800))
            if cursor + step * count > stop:
                raise IndexError("samples")
            if not samples:
                first = struct.unpack_from(">I", moof, cursor + 4 * has_duration)[0] if has_size else size
            if has_duration:
                total += sum(struct.unpack_from(">I", moof, cursor + step * n)[0] for n in range(count))
            else:
                total += duration * count
            samples += count
    return begin, total, samples, first


def segments(track: Track, at_s: Sequence[float] | None = None, *, least_s: float = 0.0) -> tuple[Segment, ...]:
    """Fragments put together into segments of `least_s` or a bit more, or cut as near as can be to the times given."""
    groups: list[list[Fragment]] = []
    if at_s is None:
        for fragment in track.fragments:
            if groups and track.seconds(fragment.start - groups[-1][0].start) < least_s:
                groups[-1].append(fragment)
            else:
                groups.append([fragment])
    else:
        first = track.fragments[0].start
        starts = [track.seconds(fragment.start - first) for fragment in track.fragments]
        cuts = {_nearest(starts, at) for at in at_s}
        for number, fragment in enumerate(track.fragments):
            if number in cuts or not groups:
                groups.append([])
            groups[-1].append(fragment)
    return tuple(
        Segment(
            offset=group[0].offset,
            size=group[-1].offset + group[-1].size - group[0].offset,
            start=group[0].start,
            duration=sum(fragment.duration for fragment in group),
        )
        for group in groups
    )


def _nearest(ascending: Sequence[float], wanted: float) -> int:
    """The place of the value that is nearest."""
    above = bisect_left(ascending, wanted)
    near = [n for n in (above - 1, above) if 0 <= n < len(ascending)]
    return min(near, key=lambda n: abs(ascending[n] - wanted))


def write_index(track: Track, parts: Sequence[Segment]) -> tuple[int, int]:
    """Put a segment index in the room that `padding` has kept, right before the first fragment.

    Returns its first and last byte. Where there is not room for all, neighbours share an entry.
    """
    with track.path.open("r+b") as file:
        offset, size = next((at, size) for name, at, size in _boxes(file, 0, track.init_bytes) if name == b"moov")
        file.seek(offset)
        moov = file.read(size)
        start, room = size, 0
        for name, inside, end in _inner(moov, _BOX_HEAD, size):
            if name == b"udta" and end == size:
                start = inside - _BOX_HEAD
                room = size - start
        first = track.fragments[0].offset
        if offset + size != first or room < _SIDX_HEAD + _SIDX_ENTRY + _BOX_HEAD:
            raise ToolFailed("The packaged media has no room for its index.")
        entries = [(part.size, part.duration) for part in parts]
        while _SIDX_HEAD + _SIDX_ENTRY * len(entries) + _BOX_HEAD > room:
            pairs = [entries[n : n + 2] for n in range(0, len(entries), 2)]
            entries = [(sum(s for s, _ in pair), sum(d for _, d in pair)) for pair in pairs]
        index = _SIDX_HEAD + _SIDX_ENTRY * len(entries)
        sidx = struct.pack(">I4sIIIIIHH", index, b"sidx", 0, 1, track.time_scale, parts[0].start, 0, 0, len(entries))
        sidx += b"".join(struct.pack(">III", bytes_, ticks, 0x90000000) for bytes_, ticks in entries)
        free = room - index
        file.seek(offset)
        file.write(struct.pack(">I", start))
        file.seek(offset + start)
        file.write(struct.pack(">I4s", free, b"free") + bytes(free - _BOX_HEAD) + sidx)
    return first - index, first - 1
