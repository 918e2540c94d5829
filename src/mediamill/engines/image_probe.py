"""Facts of pictures from their headers: size as displayed, alpha, frames, codec. Nothing is decoded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from mediamill.core import formats
from mediamill.core.media import Facts
from mediamill.engines import _heif_box, _jxl_header, svg
from mediamill.engines._picture import check_size, has_alpha, reading
from mediamill.engines._picture_read import PILLOW_FORMATS, open_pillow

_NOTES = frozenset({b"eXIf", b"tEXt", b"zTXt", b"iTXt"})
_MOST_CHUNKS = 20_000
_MOVING = frozenset({"image/gif", "image/webp", "image/png", "image/avif"})


class ImageProber:
    """See the module. Implements core.ports.Prober."""

    def families(self) -> Iterable[str]:
        return ("image",)

    def probe(self, path: Path, mime: str) -> Facts:
        codec = formats.by_mime(mime).names[0]
        if mime == svg.MIME:
            width, height = (max(1, round(side)) for side in svg.size_of(path))
            return Facts(width_px=width, height_px=height, video_codec=codec, frames=1, has_alpha=True)
        if mime == "image/heic":
            width, height, alpha = _heif_box.facts(path)
            check_size(width, height)
            return Facts(width_px=width, height_px=height, video_codec="hevc", frames=1, has_alpha=alpha)
        if mime == "image/jxl":
            width, height, may_see_through = _jxl_header.facts(path)
            check_size(width, height)
            return Facts(width_px=width, height_px=height, video_codec=codec, has_alpha=may_see_through)
        if mime not in PILLOW_FORMATS:
            return Facts()
        with reading(), open_pillow(path, mime) as image:
            return _facts(image, path, mime, codec)


def _facts(image: Any, path: Path, mime: str, codec: str) -> Facts:
    turned = _exif(image, path, mime).get(0x0112, 1)
    sideways = turned in (5, 6, 7, 8) and mime != "image/tiff"  # Pillow gives a TIFF as displayed
    width, height = image.size[::-1] if sideways else image.size
    frames = image.n_frames if mime in _MOVING else 1
    duration_s = None
    if frames > 1 and mime == "image/gif":
        # Of its blocks: Pillow draws each frame to get at the next. Other formats would have to be decoded to know.
        duration_s = sum(islice(_gif_hundredths(path), 10_000)) / 100
    return Facts(
        width_px=width,
        height_px=height,
        video_codec="av1" if mime == "image/avif" else codec,
        frames=frames,
        pages=getattr(image, "n_frames", None) if mime == "image/tiff" else None,
        duration_s=duration_s,
        has_alpha=has_alpha(image),
    )


def _gif_hundredths(path: Path) -> Iterator[int]:
    """How long each frame of a GIF stands, in hundredths of a second, as far as its blocks can be followed."""
    with path.open("rb") as file:

        def skip_table(flags: int) -> None:
            if flags & 0x80:
                file.seek(3 << (flags & 7) + 1, os.SEEK_CUR)

        def blocks() -> bytes:
            first = b""
            while size := int.from_bytes(file.read(1)):
                block = file.read(size)
                first = first or block
            return first

        head, stands = file.read(13), 0
        if len(head) < 13:
            return
        skip_table(head[10])
        while (mark := file.read(1)) not in (b"", b";"):
            if mark == b"!":
                control, first = file.read(1) == b"\xf9", blocks()
                if control and len(first) >= 3:
                    stands = int.from_bytes(first[1:3], "little")
            elif mark == b",":
                place = file.read(9)
                if len(place) < 9:
                    return
                skip_table(place[8])
                file.seek(1, os.SEEK_CUR)
                blocks()
                yield stands
                stands = 0


def _exif(image: Any, path: Path, mime: str) -> Any:
    """Its Exif data. Pillow decodes a whole PNG to see whether some follow its pixels, which hardly ever do."""
    if mime != "image/png" or _notes_behind(path):
        return image.getexif()
    from PIL import Image

    return Image.Image.getexif(image)


def _notes_behind(path: Path) -> bool:
    """Whether chunks that may say how a PNG is turned stand after its pixels; True also for one that is damaged."""
    with path.open("rb") as file:
        file.seek(8)
        begun = False
        for _ in range(_MOST_CHUNKS):
            head = file.read(8)
            if len(head) < 8:
                return True
            size, kind = int.from_bytes(head[:4], "big"), head[4:]
            begun = begun or kind == b"IDAT"
            if begun and kind in _NOTES:
                return True
            if kind == b"IEND":
                return False
            file.seek(size + 4, 1)
    return True


PROBER = ImageProber()
