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

from mediamill.engines import _h264_needs

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
_NEAR = 8
"""Packets right before the wanted one are decoded whole: the next look is likely to lean on them."""
_KEPT_BYTES = 72 << 20
"""Of pictures, in all decoders that wait: two of 1080p. A child above 400 MB is replaced, which
is at 300 without them."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """lost: packets to be given the beginning of. tainted: moments of what leans on them, and on those lost before."""

    lost: frozenset[int] = frozenset()
    tainted: frozenset[int | None] = frozenset()


_NOTHING = _Plan()


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
    lost: set[int] = field(default_factory=set)
    """Packets of which it was given the beginning alone."""

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

        Up to its packet those that no other refers to are left out, and where it is far those that it does not lean on.
        Behind it none are: they fill the time of cores that would wait for it, and are likely to be the next that are
        asked for.
        """
        at = next(number for number, packet in enumerate(packets) if packet.pts == pts)
        plan = _NOTHING
        if pts not in self.pictures and (self.lost or at - self.fed > _FAR):
            found = self._plan(packets, at)
            if found is None:
                return None
            plan = found
        skipping = self.context.codec.canonical_name in _SKIPPING
        before = skipping and pts not in self.pictures and at >= self.fed
        for packet in packets[self.fed :]:
            if pts in self.pictures or not wanted():
                break
            before = before and packet.pts != pts
            if skipping:
                self.context.skip_frame = "NONREF" if before else "DEFAULT"
            if before and _h264_needs.unreferenced(self.context.extradata or b"", memoryview(packet)):
                # Given one that it leaves out, a decoder of several threads lets one of them stand still for it.
                self.fed += 1
                continue
            short = self.fed in plan.lost
            if short:
                self.lost.add(self.fed)
            self.fed += 1
            self._shown(self.context.decode(self._shortened(packet) if short else packet), pts, plan)
        if pts not in self.pictures and not self.over and wanted():
            self.over = True
            self._shown(self.context.decode(None), pts, plan)
        shown = self.pictures.get(pts)
        return None if shown is None or shown.is_corrupt else shown

    def _plan(self, packets: Packets, at: int) -> _Plan | None:
        """What is not needed for the picture of that packet; None where it leans on what is lost."""
        if self.context.codec.canonical_name != "h264":
            return _NOTHING
        try:
            needs = _h264_needs.needs(self.context.extradata or b"", [memoryview(packet) for packet in packets])
        except _h264_needs.NotTold:
            return None if self.lost else _NOTHING
        needed = _h264_needs.closure(needs, at)
        if self.lost & needed:
            return None
        lost = {number for number in range(self.fed, at - _NEAR) if needs[number].spare and number not in needed}
        tainted = _h264_needs.tainted(needs, self.lost | lost)
        return _Plan(frozenset(lost), frozenset(packets[number].pts for number in tainted))

    def _shortened(self, packet: Packet[VideoStream]) -> Any:
        from av.packet import Packet

        short: Any = Packet(_h264_needs.shortened(self.context.extradata, memoryview(packet)))
        short.pts, short.dts, short.time_base = packet.pts, packet.dts, packet.time_base
        return short

    def _shown(self, pictures: Sequence[VideoFrame], wanted: int, plan: _Plan) -> None:
        for one in pictures:
            if one.pts is not None:
                self.shown = one.pts if self.shown is None else max(self.shown, one.pts)
                if one.pts not in plan.tainted:
                    self.pictures[one.pts] = one
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
