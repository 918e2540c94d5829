"""Decoders that stand where the last preview left them, so that the next one of the same film goes on from there.

A frame far from its key frame costs the decoding of all between, at times a second. Who looks at a film looks at the
same frame again with another title, at the next one, or a little later: that is there already, or a few frames away.
A process serves one owner alone, so that nobody's pictures wait where another's file is read.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    Packets = Sequence[Packet[VideoStream]]

_SKIPPING = frozenset({"h264"})
"""Codecs whose unreferenced frames no frame needs; those of HEVC may be needed by higher layers."""
_PICTURES = 4
"""How many of the last pictures stay."""
_OTHERS = 6
"""Those that a decoder itself holds besides one for each thread, as a rule; some of the last are among them."""
_FAR = 32
"""Packets behind the key frame from which on it takes long to come."""
_KEPT_BYTES = 72 << 20
"""Of pictures, in all decoders that wait: two of 1080p. A child above 400 MB is replaced, which
is at 300 without them."""


@dataclass(eq=False, slots=True, kw_only=True)
class Decoding:
    """A decoder somewhere behind a key frame. key: the film's file and track. begin: what tells the key frame."""

    key: Hashable
    begin: Hashable
    context: Any
    fed: int = 0
    """How many packets from the key frame on it has been given."""
    shown: int | None = None
    """The latest moment of which it gave the picture."""
    over: bool = False
    """Whether it was told that nothing follows, so that it cannot go on."""
    pictures: OrderedDict[int, VideoFrame] = field(default_factory=OrderedDict)

    @property
    def size_bytes(self) -> int:
        """About what it takes while it waits."""
        frame_bytes = self.context.width * self.context.height * 3 // 2
        return int(frame_bytes * (self.context.thread_count + _OTHERS))

    def leads(self, at: int, pts: int) -> bool:
        """Whether it can still come to the picture of that packet, the at-th."""
        return pts in self.pictures or (
            not self.over and (at >= self.fed or (self.shown is not None and pts > self.shown))
        )

    def picture(self, packets: Packets, pts: int, wanted: Callable[[], bool]) -> VideoFrame | None:
        """The picture of that pts; None for one that does not come, or that is damaged. wanted: asked on the way.

        Up to its packet those that no other refers to are left out. Behind it none are: they fill the time of cores
        that would wait for it, and are likely to be the next that are asked for.
        """
        skipping = self.context.codec.canonical_name in _SKIPPING
        before = skipping and pts not in self.pictures and all(packet.pts != pts for packet in packets[: self.fed])
        for packet in packets[self.fed :]:
            if pts in self.pictures or not wanted():
                break
            before = before and packet.pts != pts
            if skipping:
                self.context.skip_frame = "NONREF" if before else "DEFAULT"
            self.fed += 1
            self._shown(self.context.decode(packet), pts)
        if pts not in self.pictures and not self.over and wanted():
            self.over = True
            self._shown(self.context.decode(None), pts)
        found = self.pictures.get(pts)
        return None if found is None or found.is_corrupt else found

    def _shown(self, pictures: Sequence[VideoFrame], wanted: int) -> None:
        for one in pictures:
            if one.pts is not None:
                self.pictures[one.pts] = one
                self.shown = one.pts if self.shown is None else max(self.shown, one.pts)
        if wanted in self.pictures:
            self.pictures.move_to_end(wanted)
        while len(self.pictures) > _PICTURES:
            self.pictures.popitem(last=False)


_lock = threading.Lock()
_kept: list[Decoding] = []
"""Those that wait; the one used last is the last."""


def taken(key: Hashable, begin: Hashable, at: int, pts: int) -> Decoding | None:
    """The waiting decoder that comes soonest to the picture of that packet; it waits no longer."""
    with _lock:
        found = [one for one in _kept if (one.key, one.begin) == (key, begin) and one.leads(at, pts)]
        if not found:
            return None
        best = max(found, key=lambda one: (pts in one.pictures, one.fed))
        _kept.remove(best)
        return best


def keep(decoding: Decoding) -> None:
    """Let it wait, and others no longer where they would be too many: first those that would soon be here again, then
    those unused for longest."""
    with _lock:
        _kept.append(decoding)
        size_bytes = sum(one.size_bytes for one in _kept)
        for one in sorted(_kept, key=lambda one: one.fed >= _FAR):
            if size_bytes > _KEPT_BYTES:
                size_bytes -= one.size_bytes
                _kept.remove(one)


def forget() -> None:
    """None waits any longer."""
    with _lock:
        _kept.clear()
