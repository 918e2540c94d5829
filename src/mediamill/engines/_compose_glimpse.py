"""One frame of a clip, decoded in this very process: what a preview of one moment waits for.

A program of its own takes 30 ms to start and decodes ahead of what it is asked for. Here only those packets are decoded
without which the wanted frame cannot be: of the frames before it, those that others refer to. It gives the very frame
that the decoders of a whole film give, in the same bits, or none: then the program is asked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from mediamill import processors
from mediamill.engines import _av, _compose_decoding, _ffmpeg_args
from mediamill.engines._compose_pixels import Buffer, Pool, planes
from mediamill.engines._compose_shot import Shot

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


_EXACT = frozenset({"h264", "hevc", "vp8", "vp9", "av1"})
"""Codecs whose standards say what every bit of a picture is, so that any two decoders give the same."""
_CONTAINERS = ("mov", "matroska")
"""Where every frame has its time and an index says where key frames are."""
_TURNS = {0: (), 90: ("transpose=cclock",), 180: ("hflip", "vflip"), 270: ("transpose=clock",)}
_THREADS = 4
_MOST_BYTES = 128 << 20
"""Of packets from one key frame on; more are better read one after the other."""
_BEHIND = 24
"""How many packets behind the wanted one are read, as decoders give a picture only when they were given some more."""
_BACK_S = (0.0, 1.0, 10.0)
"""How much earlier to begin when there was no frame to begin with, before it is tried from the very first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where the frames of a film lie: as ffmpeg's -ss, setpts and fps put them, rounding included."""

    begin_s: float
    """Second of the source at which the film's decoder begins."""
    speed: float
    rate: int
    nudge: float
    time_base: Fraction
    start_us: int
    """The container's own first moment."""

    def since(self, pts: int) -> int:
        """Ticks since the beginning; below nought for a frame that the decoder throws away."""
        offset = Fraction(round(self.begin_s * 1_000_000) + self.start_us, 1_000_000) / self.time_base
        return pts - _near(offset)

    def step(self, pts: int) -> int:
        """From which frame of the film on this one is shown."""
        moved = self.since(pts) / self.speed + self.nudge / self.rate / float(self.time_base)
        return _near(math.trunc(moved) * self.time_base * self.rate)

    def pts(self, step: float) -> int:
        """About the moment of a frame of the film."""
        return round((self.begin_s + self.start_us / 1_000_000 + step * self.speed / self.rate) / float(self.time_base))


def can(shot: Shot) -> bool:
    """Whether the frames of this shot may be taken here."""
    video = shot.video
    plain = not video.interlaced and video.transfer is None and shot.cube is None and not video.rgb
    known = video.codec in _EXACT and _ffmpeg_args.decoder(video) is None and video.rotation_deg in _TURNS
    return plain and known and _av.DEMUXERS[shot.mime].startswith(_CONTAINERS)


def frame(
    shot: Shot, step: int, *, begin_s: float, nudge: float, pool: Pool, threads: int, wanted: Callable[[], bool]
) -> Buffer | None:
    """The frame that is shown at that step after `begin_s`; None where it cannot be told here. wanted: asked while it
    is at work."""
    with _av.opened(shot.path, shot.mime) as container:
        stream = next(one for one in container.streams.video if one.index == shot.video.index)
        grid = _grid(shot, container, stream, begin_s, nudge)
        if grid is None:
            return None
        stream.codec_context.thread_type = "AUTO"
        stream.codec_context.thread_count = threads or min(_THREADS, processors.count())
        for packets, pts, over in _looks(container, stream, grid, step):
            if over and pts is not None and not _stays(packets, pts, stream, grid):
                return None
            picture = None if pts is None else _decoded(shot, stream, packets, pts, wanted)
            if not wanted():
                return None
            if picture is not None:
                return _brought(picture, stream, shot, pool)
        return None


def before(shot: Shot, step: int, *, begin_s: float, nudge: float) -> int | None:
    """The step after `begin_s` from which on the frame before the one of that step is shown: a decoder that is to show
    what the film does must have both. None where it cannot be told without decoding."""
    if not _av.DEMUXERS[shot.mime].startswith(_CONTAINERS):
        return None
    with _av.opened(shot.path, shot.mime) as container:
        stream = next(one for one in container.streams.video if one.index == shot.video.index)
        grid = _grid(shot, container, stream, begin_s, nudge)
        if grid is None:
            return None
        found = None
        for packets, pts, _ in _looks(container, stream, grid, step):
            if pts is not None:
                earlier = [packet.pts for packet in packets if packet.pts is not None and packet.pts < pts]
                found = grid.step(max(earlier, default=pts))
                if earlier:
                    break
        return found


def _grid(shot: Shot, container: InputContainer, stream: VideoStream, begin_s: float, nudge: float) -> Grid | None:
    if stream.time_base is None:
        return None
    return Grid(
        begin_s=begin_s,
        speed=float(f"{shot.speed:.6f}"),
        rate=shot.rate,
        nudge=nudge,
        time_base=stream.time_base,
        start_us=container.start_time or 0,
    )


def _looks(
    container: InputContainer, stream: VideoStream, grid: Grid, step: int
) -> Iterator[tuple[Sequence[Packet[VideoStream]], int | None, bool]]:
    """What `_packets` finds around a frame, again and again from further back."""
    for back_s in (*_BACK_S, None):
        at = 0 if back_s is None else grid.pts(step + 0.5) - round(back_s / grid.time_base)
        container.seek(max(0, at), stream=stream, backward=True)
        yield _packets(container, stream, grid, step)


def _decoded(
    shot: Shot,
    stream: VideoStream,
    packets: Sequence[Packet[VideoStream]],
    pts: int,
    wanted: Callable[[], bool],
) -> VideoFrame | None:
    """The frame of that pts; None for one that is damaged, or leans on frames before the first packet."""
    known, first = shot.path.stat(), packets[0]
    key = (known.st_dev, known.st_ino, known.st_size, known.st_mtime_ns, stream.index)
    begin = (first.pts, first.dts, first.size)
    number = next(number for number, packet in enumerate(packets) if packet.pts == pts)
    decoding = _compose_decoding.taken(key, begin, number, pts)
    if decoding is not None and (found := decoding.picture(packets, pts, wanted)) is not None:
        _compose_decoding.keep(decoding)
        return found
    decoding = _compose_decoding.Decoding(key=key, begin=begin, context=stream.codec_context)
    found = decoding.picture(packets, pts, wanted)
    if found is not None:
        _compose_decoding.keep(decoding)
    return found


def _packets(
    container: InputContainer, stream: VideoStream, grid: Grid, step: int
) -> tuple[Sequence[Packet[VideoStream]], int | None, bool]:
    """What is to be decoded, in order; the pts of the frame that is wanted of it, None where it is not there; and
    whether nothing follows."""
    read: list[Packet[VideoStream]] = []
    wanted: int | None = None
    size_bytes = behind = 0
    over = False
    for packet in container.demux(stream):
        if packet.pts is None:
            if packet.size and not behind:
                return read, None, False
            over = not packet.size
            break
        if behind or (packet.dts is not None and grid.step(packet.dts) > step):
            behind += 1
        read.append(packet)
        size_bytes += packet.size
        if behind > _BEHIND or (behind and size_bytes > _MOST_BYTES):
            break
        if size_bytes > _MOST_BYTES:
            return read, None, False
        if not behind and grid.since(packet.pts) >= 0 and grid.step(packet.pts) <= step:
            wanted = packet.pts if wanted is None else max(wanted, packet.pts)
    if wanted is None or not read[0].is_keyframe or wanted < (read[0].pts or 0):
        return read, None, over
    return read, wanted, over


def _stays(packets: Sequence[Packet[VideoStream]], pts: int, stream: VideoStream, grid: Grid) -> bool:
    """Whether a frame is one that the film has, too: of the last, ffmpeg leaves out one that ends before it would be
    shown, and when it ends is a guess where not everything says the same."""
    last, rate = max(packets, key=lambda packet: packet.pts or 0), stream.average_rate
    if last.pts != pts:
        return True
    if not last.duration or not rate:
        return False
    lengths = last.duration, round(1 / (rate * grid.time_base))
    return all(grid.step(pts + length) > grid.step(pts) for length in lengths)


def _brought(picture: VideoFrame, stream: VideoStream, shot: Shot, pool: Pool) -> Buffer | None:
    """The frame as the film's chain of filters makes it."""
    from av.filter import Graph

    graph = Graph()
    last = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=stream.time_base
    )
    for name in (*_TURNS[shot.video.rotation_deg], *shot.looks(tone=False)):
        kind, _, options = name.partition("=")
        following = graph.add(kind, options or None)
        last.link_to(following)
        last = following
    end = graph.add("buffersink")
    last.link_to(end)
    graph.configure()
    graph.push(picture)
    made: Any = graph.pull()
    wide, high = shot.size
    if (made.width, made.height) != shot.size or made.format.name != ("rgba" if shot.alpha else "yuv420p"):
        return None
    buffer = pool.take()
    if shot.alpha:
        _copied(made.planes[0], buffer.reshape(high, wide * 4))
    else:
        for plane, into in zip(made.planes, planes(buffer, wide, high), strict=True):
            _copied(plane, into)
    return buffer


def _copied(plane: Any, into: Any) -> None:
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)
    into[:] = rows[: into.shape[0], : into.shape[1]]


def _near(value: Fraction | float) -> int:
    """The nearest whole number, halves away from nought, as ffmpeg rounds."""
    return math.floor(value + Fraction(1, 2)) if value >= 0 else -math.floor(-value + Fraction(1, 2))
