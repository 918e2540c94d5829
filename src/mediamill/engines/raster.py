"""Pictures into pictures, by Pillow and libvips: whichever is faster for the pair, see docs/why/images.md."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from mediamill.core.ports import Conversion, Missing, Pair
from mediamill.engines._picture import reading, wishes
from mediamill.engines._picture_read import PILLOW_FORMATS, read
from mediamill.engines._picture_write import TARGETS, write

_KEYS = frozenset({"resize", "strip"})
_MORE_KEYS = {
    "image/jpeg": {"quality", "background"},
    "image/webp": {"quality", "lossless", "loop"},
    "image/avif": {"quality", "lossless"},
    "image/gif": {"loop"},
    "image/jp2": {"quality"},
    "application/pdf": {"quality", "background"},
    "image/bmp": {"background"},
    "image/x-portable-pixmap": {"background"},
    "image/x-portable-graymap": {"background"},
    "image/x-portable-bitmap": {"background"},
}


def keys(target_mime: str) -> frozenset[str]:
    """The settings keys that act on pictures of a type."""
    return _KEYS | _MORE_KEYS.get(target_mime, set())


class Raster:
    """See the module. Implements core.ports.Converter."""

    name = "raster"

    def pairs(self) -> Mapping[Pair, int]:
        return {(source, target): 10 for source in PILLOW_FORMATS for target in TARGETS}

    def missing(self) -> Missing | None:
        absent = [name for name in ("PIL", "pyvips", "numpy") if importlib.util.find_spec(name) is None]
        if absent:
            return Missing(reason=f"{', '.join(absent)} is not installed.", remedy="Install Mediamill's own packages.")
        return None

    def keys(self, pair: Pair) -> frozenset[str]:
        return keys(pair[1])

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        wanted = wishes(work.settings, same_format=work.source_mime == work.target_mime)
        with reading():
            still = read(work.source, work.source_mime, wanted.resize, work.target_mime)
            write(still, work.target, work.target_mime, wanted)
        return {}


CONVERTER = Raster()
