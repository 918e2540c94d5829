"""Which pictures of H.264 a picture leans on, as their headers say it, without decoding any.

A decoder that seeks needs all that the wanted picture refers to, and what that refers to. Encoders let bidirectional
pictures be referred to by their like and nobody else; told here, those need not be decoded. They are cut short instead
of left out, as a decoder must know that they were there. Where a stream has anything that is not understood here
(fields, long-term pictures, pictures that are missing), nothing is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

_HEAD_BYTES = 400
"""Of a slice, that hold its header."""
_MOST_KEPT, _MOST_PACKETS = 16, 2000
_P, _B, _I = 0, 1, 2
_SLICE, _IDR, _PARAMETERS = 1, 5, (7, 8)
_HIGH = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
"""Profiles that say more of their samples."""


class NotTold(Exception):
    """Something that is not understood here."""


class _Bits:
    def __init__(self, data: bytes) -> None:
        data = data.replace(b"\0\0\3", b"\0\0")
        self._value, self._left = int.from_bytes(data, "big"), len(data) * 8

    def u(self, count: int) -> int:
        """So many bits."""
        self._left -= count
        if self._left < 0:
            raise NotTold
        return (self._value >> self._left) & ((1 << count) - 1)

    def ue(self) -> int:
        """A number of a length of its own."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                raise NotTold
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """The same with a sign."""
        found = self.ue()
        return (found + 1) // 2 if found & 1 else -(found // 2)


@dataclass(frozen=True, slots=True)
class _Sequence:
    frame_bits: int
    order_bits: int
    """0 where pictures are shown as they come."""
    most: int
    grey: bool


@dataclass(frozen=True, slots=True)
class _Settings:
    sequence: int
    order_too: bool
    counts: tuple[int, int]
    weighted: bool
    both_weighted: bool


@dataclass(slots=True)
class _Slice:
    type: int
    idr: bool
    kept: bool
    """Whether others may refer to the picture."""
    frame: int
    order: int
    order_more: int
    counts: tuple[int, int] = (0, 0)
    moves: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    """How far each picture that is brought to the front is from the one before, in numbers of pictures."""
    forgotten: list[int] | None = None
    """Whom it says to forget, as distances; None where the oldest goes."""


@dataclass(frozen=True, slots=True)
class Needs:
    """Of one picture: which others it may refer to, by their place; and whether decoding may leave it out."""

    refers: frozenset[int]
    spare: bool


def needs(extradata: bytes, packets: Sequence[memoryview]) -> list[Needs]:
    """Of each of these packets, of which the first is an IDR picture. Raises NotTold."""
    if len(packets) > _MOST_PACKETS:
        raise NotTold
    try:
        return list(_Reader(extradata).needs(packets))
    except IndexError as error:  # cut off
        raise NotTold from error


def closure(found: Sequence[Needs], wanted: int) -> set[int]:
    """The places of all that the wanted picture leans on, and its own."""
    needed = {wanted}
    for number in range(wanted, -1, -1):
        if number in needed:
            needed |= found[number].refers
    return needed


def tainted(found: Sequence[Needs], lost: set[int]) -> set[int]:
    """The places of all that lean on what was lost, and the lost."""
    bad = set(lost)
    for number, one in enumerate(found):
        if one.refers & bad:
            bad.add(number)
    return bad


def unreferenced(extradata: bytes, packet: memoryview) -> bool:
    """Whether no other picture may refer to this one: it may be left out."""
    if len(extradata) < 7 or extradata[0] != 1:
        return False
    prefix, at, found = (extradata[4] & 3) + 1, 0, False
    while at + prefix < len(packet):
        size = int.from_bytes(packet[at : at + prefix], "big")
        head = packet[at + prefix]
        if head & 31 in (_SLICE, 2, 3, 4, _IDR):
            if head >> 5 & 3:
                return False
            found = True
        elif head & 31 in _PARAMETERS:
            return False
        at += prefix + size
    return found


def shortened(extradata: bytes, packet: memoryview) -> bytes:
    """The packet with nothing but the headers of its slices."""
    prefix, at, parts = (extradata[4] & 3) + 1, 0, []
    while at + prefix < len(packet):
        size = int.from_bytes(packet[at : at + prefix], "big")
        unit = packet[at + prefix : at + prefix + size]
        kept = bytes(unit[:_HEAD_BYTES] if unit[0] & 31 in (_SLICE, _IDR) else unit)
        parts += [len(kept).to_bytes(prefix, "big"), kept]
        at += prefix + size
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class _Kept:
    number: int
    frame: int
    order: int


class _Reader:
    def __init__(self, extradata: bytes) -> None:
        if len(extradata) < 7 or extradata[0] != 1:
            raise NotTold
        self._prefix = (extradata[4] & 3) + 1
        self._sequences: dict[int, _Sequence] = {}
        self._settings: dict[int, _Settings] = {}
        self._told: set[bytes] = set()
        at = 5
        for mask, read in ((31, self._read_sequence), (255, self._read_settings)):
            count = extradata[at] & mask
            at += 1
            for _ in range(count):
                size = int.from_bytes(extradata[at : at + 2], "big")
                unit = extradata[at + 2 : at + 2 + size]
                self._told.add(unit)
                read(_Bits(unit[1:]))
                at += 2 + size
            if at >= len(extradata) and mask == 31:
                raise NotTold

    def _read_sequence(self, bits: _Bits) -> None:
        profile = bits.u(8)
        bits.u(16)
        id, chroma = bits.ue(), 1
        if profile in _HIGH:
            chroma = bits.ue()
            if chroma > 2:
                raise NotTold
            bits.ue(), bits.ue(), bits.u(1)
            if bits.u(1):
                raise NotTold  # tables of its own
        frame_bits, kind, order_bits = bits.ue() + 4, bits.ue(), 0
        if kind == 0:
            order_bits = bits.ue() + 4
        elif kind == 1:
            raise NotTold
        most, gaps = bits.ue(), bits.u(1)
        bits.ue(), bits.ue()
        if gaps or not bits.u(1) or not 0 < most <= _MOST_KEPT:  # fields
            raise NotTold
        self._sequences[id] = _Sequence(frame_bits, order_bits, most, chroma == 0)

    def _read_settings(self, bits: _Bits) -> None:
        id, sequence = bits.ue(), bits.ue()
        bits.u(1)
        order_too = bool(bits.u(1))
        if bits.ue():  # groups of slices
            raise NotTold
        counts = bits.ue() + 1, bits.ue() + 1
        weighted, both = bool(bits.u(1)), bits.u(2) == 1
        bits.se(), bits.se(), bits.se(), bits.u(2)
        if bits.u(1):  # pictures that are there twice
            raise NotTold
        self._settings[id] = _Settings(sequence, order_too, counts, weighted, both)

    def _slices(self, packet: memoryview) -> Iterator[tuple[_Slice, _Sequence]]:
        at = 0
        while at + self._prefix < len(packet):
            size = int.from_bytes(packet[at : at + self._prefix], "big")
            at += self._prefix
            if not 0 < size <= len(packet) - at:
                raise NotTold
            head = packet[at]
            kind = head & 31
            if kind in (_SLICE, _IDR):
                yield self._slice(_Bits(bytes(packet[at + 1 : at + min(size, _HEAD_BYTES)])), head)
            elif kind in (2, 3, 4) or (kind in _PARAMETERS and bytes(packet[at : at + size]) not in self._told):
                raise NotTold
            at += size

    def _slice(self, bits: _Bits, head: int) -> tuple[_Slice, _Sequence]:
        bits.ue()
        kind = bits.ue() % 5
        if kind > _I:
            raise NotTold
        settings = self._settings.get(bits.ue())
        sequence = None if settings is None else self._sequences.get(settings.sequence)
        if settings is None or sequence is None:
            raise NotTold
        idr = head & 31 == _IDR
        found = _Slice(kind, idr, bool(head >> 5 & 3), bits.u(sequence.frame_bits), 0, 0)
        if idr:
            bits.ue()
        if sequence.order_bits:
            found.order = bits.u(sequence.order_bits)
            found.order_more = bits.se() if settings.order_too else 0
        if kind == _B:
            bits.u(1)
        if kind != _I:
            first, second = settings.counts
            if bits.u(1):
                first = bits.ue() + 1
                second = bits.ue() + 1 if kind == _B else second
            found.counts = first, second if kind == _B else 0
            for moves in found.moves[: 1 + (kind == _B)]:
                self._moves(bits, moves)
            if (settings.weighted and kind == _P) or (settings.both_weighted and kind == _B):
                self._weights(bits, sum(found.counts), sequence.grey)
        if found.kept:
            self._marking(bits, found)
        return found, sequence

    def _moves(self, bits: _Bits, moves: list[int]) -> None:
        if bits.u(1):
            while (kind := bits.ue()) != 3:
                if kind > 1:
                    raise NotTold
                moves.append((bits.ue() + 1) * (-1 if kind == 0 else 1))

    def _weights(self, bits: _Bits, count: int, grey: bool) -> None:
        bits.ue()
        if not grey:
            bits.ue()
        for _ in range(count):
            if bits.u(1):
                bits.se(), bits.se()
            if not grey and bits.u(1):
                bits.se(), bits.se(), bits.se(), bits.se()

    def _marking(self, bits: _Bits, found: _Slice) -> None:
        if found.idr:
            if bits.u(2) & 1:
                raise NotTold  # for long
        elif bits.u(1):
            found.forgotten = []
            while kind := bits.ue():
                if kind != 1:
                    raise NotTold
                found.forgotten.append(bits.ue() + 1)

    def needs(self, packets: Sequence[memoryview]) -> Iterator[Needs]:
        """See above."""
        kept: list[_Kept] = []
        before_frame = before_high = before_low = 0
        for number, packet in enumerate(packets):
            slices = list(self._slices(packet))
            if not slices or (number == 0 and not slices[0][0].idr):
                raise NotTold
            one, sequence = slices[0]
            turn = 1 << sequence.frame_bits
            if not one.idr and one.frame not in (before_frame, (before_frame + 1) % turn):
                raise NotTold
            high = 0
            if sequence.order_bits and not one.idr:
                half = 1 << (sequence.order_bits - 1)
                high = before_high + 2 * half * (
                    (one.order < before_low and before_low - one.order >= half)
                    - (one.order > before_low and one.order - before_low > half)
                )
            order = high + one.order + min(0, one.order_more)
            if not sequence.order_bits and any(slice.type == _B for slice, _ in slices):
                raise NotTold
            if one.idr:
                kept = []
            kept = [replace(old, frame=old.frame - turn if old.frame > one.frame else old.frame) for old in kept]
            refers = {old.number for slice, _ in slices for old in _referred(slice, kept, order, turn)}
            b = all(slice.type == _B for slice, _ in slices)
            yield Needs(frozenset(refers), one.kept and b)
            if one.kept:
                kept = _after(one, kept, sequence.most)
                kept.append(_Kept(number, one.frame, order))
                kept = [replace(old, frame=old.frame % turn) for old in kept]
                before_frame, before_high, before_low = one.frame, high, one.order


def _referred(slice: _Slice, kept: Sequence[_Kept], order: int, turn: int) -> set[_Kept]:
    """The pictures in the lists of a slice."""
    if slice.type == _I:
        return set()
    if slice.type == _P:
        lists = [sorted(kept, key=lambda old: -old.frame)]
    else:
        past = sorted((old for old in kept if old.order < order), key=lambda old: -old.order)
        coming = sorted((old for old in kept if old.order >= order), key=lambda old: old.order)
        lists = [past + coming, coming + past]
        if len(kept) > 1 and lists[0] == lists[1]:
            lists[1][:2] = lists[1][1::-1]
    found: set[_Kept] = set()
    for listed, count, moves in zip(lists, slice.counts, slice.moves, strict=False):
        at = slice.frame
        front: list[_Kept] = []
        for move in moves:
            at = (at + move) % turn
            named = [old for old in kept if old.frame % turn == at]
            if len(named) != 1:
                raise NotTold
            front += named
        rest = [old for old in listed if old not in front]
        found |= set([*front, *rest][:count])
        if len(listed) < count:
            found |= set(listed)
    return found


def _after(one: _Slice, kept: list[_Kept], most: int) -> list[_Kept]:
    """Those that are still there behind it."""
    if one.idr:
        return []
    if one.forgotten is None:
        oldest = sorted(kept, key=lambda old: old.frame)
        return oldest[1:] if len(kept) >= most else oldest
    gone = {one.frame - distance for distance in one.forgotten}
    left = [old for old in kept if old.frame not in gone]
    if len(left) != len(kept) - len(gone) or len(left) >= most:
        raise NotTold
    return left
