"""A picture as a one-page PDF (ISO 32000-1), at 96 pixels an inch.

Pillow's own writer has no lossless way for colour; drawings and screenshots keep their edges here.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

DOTS_PER_INCH = 96
_UNITS_PER_INCH = 72
_LONGEST_UNITS = 14_400
"""Longest side of a page that readers must take (Annex C); a larger picture gets more dots an inch."""
JPEG_QUALITY = 90


def write(picture: Any, target: Path, quality: int | None) -> None:
    """picture: Pillow mode 1, L or RGB in sRGB. Few colours are stored exactly, others as JPEG; so is all that was
    given a quality."""
    few = picture.mode == "1" or (quality is None and picture.getcolors(256) is not None)
    body, coding = _exact(picture) if few else _jpeg(picture, quality or JPEG_QUALITY)
    scale = min(_UNITS_PER_INCH / DOTS_PER_INCH, _LONGEST_UNITS / max(picture.size))
    width, height = picture.width * scale, picture.height * scale
    draw = f"q {width:.3f} 0 0 {height:.3f} 0 0 cm /P Do Q".encode()
    space = "/DeviceRGB" if picture.mode == "RGB" else "/DeviceGray"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {width:.3f} {height:.3f}] /Contents 4 0 R "
        f"/Resources << /XObject << /P 5 0 R >> >> >>".encode(),
        _stream("", draw),
        _stream(
            f"/Type /XObject /Subtype /Image /Width {picture.width} /Height {picture.height} "
            f"/ColorSpace {space} /BitsPerComponent {1 if picture.mode == '1' else 8} {coding}",
            body,
        ),
    ]
    with target.open("wb") as out:
        out.write(b"%PDF-1.5\n%\xe2\xe3\xcf\xd3\n")
        starts = []
        for number, each in enumerate(objects, start=1):
            starts.append(out.tell())
            out.write(b"%d 0 obj\n%b\nendobj\n" % (number, each))
        table = out.tell()
        out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
        out.writelines(b"%010d 00000 n \n" % start for start in starts)
        out.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table))


def _stream(entries: str, body: bytes) -> bytes:
    return b"<< %b /Length %d >>\nstream\n%b\nendstream" % (entries.encode(), len(body), body)


def _exact(picture: Any) -> tuple[bytes, str]:
    return zlib.compress(picture.tobytes(), 6), "/Filter /FlateDecode"


def _jpeg(picture: Any, quality: int) -> tuple[bytes, str]:
    made = io.BytesIO()
    picture.save(made, "JPEG", quality=quality, optimize=True)
    return made.getvalue(), "/Filter /DCTDecode"
