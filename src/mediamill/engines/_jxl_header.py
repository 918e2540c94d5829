"""What a JPEG XL header says (ISO/IEC 18181-1, SizeHeader and ImageMetadata; 18181-2 for the boxes around it)."""

from __future__ import annotations

from pathlib import Path

from mediamill.core.errors import BadMedia

_HEAD_BYTES = 1024 * 1024
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


class _Bits:
    """Bits from the lowest of each byte up, as the codestream packs them."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data[:256], "little")
        self._left = len(data[:256]) * 8

    def take(self, count: int) -> int:
        if count > self._left:
            raise BadMedia("The JPEG XL header is cut short.")
        value = self._value & ((1 << count) - 1)
        self._value >>= count
        self._left -= count
        return value

    def u32(self, *choices: tuple[int, int]) -> int:
        """One of four (offset, bits), chosen by two bits."""
        offset, bits = choices[self.take(2)]
        return offset + self.take(bits)


def facts(path: Path) -> tuple[int, int, bool | None]:
    """(width, height, has alpha or None where not said early enough) as displayed. Raises BadMedia."""
    with path.open("rb") as stream:
        data = stream.read(_HEAD_BYTES)
    bits = _Bits(_codestream(data)[2:])
    width, height = _size(bits)
    if bits.take(1):  # all defaults: upright, no alpha
        return width, height, False
    orientation = 1
    if bits.take(1):
        orientation = 1 + bits.take(3)
        if bits.take(1):
            _size(bits)
        preview, moving = bits.take(1), False
        if not preview:
            moving = bool(bits.take(1))
        if orientation > 4:
            width, height = height, width
        if preview:
            return width, height, None
        if moving:
            bits.u32((100, 0), (1000, 0), (1, 10), (1, 30))
            bits.u32((1, 0), (1001, 0), (1, 8), (1, 10))
            bits.u32((0, 0), (0, 3), (0, 16), (0, 32))
            bits.take(1)
    if bits.take(1):
        bits.u32((32, 0), (16, 0), (24, 0), (1, 6))
        bits.take(4)
    else:
        bits.u32((8, 0), (10, 0), (12, 0), (1, 6))
    bits.take(1)
    if bits.u32((0, 0), (1, 0), (2, 4), (1, 12)) == 0:
        return width, height, False
    return width, height, bool(bits.take(1)) or bits.u32((0, 0), (1, 0), (2, 4), (18, 6)) == 0


def _size(bits: _Bits) -> tuple[int, int]:
    def side() -> int:
        return (bits.take(5) + 1) * 8 if small else bits.u32((1, 9), (1, 13), (1, 18), (1, 30))

    small = bits.take(1)
    height = side()
    ratio = bits.take(3)
    if ratio:
        over, under = _RATIOS[ratio]
        return height * over // under, height
    return side(), height


def _codestream(data: bytes) -> bytes:
    if data[:2] == b"\xff\x0a":
        return data
    position = 0
    while position + 8 <= len(data):
        size, kind = int.from_bytes(data[position : position + 4]), data[position + 4 : position + 8]
        if kind == b"jxlc":
            return data[position + 8 :]
        if kind == b"jxlp":
            return data[position + 12 :]
        if size < 8:
            break
        position += size
    raise BadMedia("The file is not a JPEG XL picture.")
