"""Pictures into pictures, by Pillow and libvips: whichever is faster for the pair, see docs/why/images.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mediamill.core.ports import Conversion, Missing, Pair
from mediamill.engines import _picture_convert
from mediamill.engines._picture import wishes
from mediamill.engines._picture_read import PILLOW_FORMATS
from mediamill.engines._picture_write import TARGETS


class Raster:
    """See the module. Implements core.ports.Converter."""

    name = "raster"

    def pairs(self) -> Mapping[Pair, int]:
        return {(source, target): 10 for source in PILLOW_FORMATS for target in TARGETS}

    def missing(self) -> Missing | None:
        return _picture_convert.missing()

    def keys(self, pair: Pair) -> frozenset[str]:
        return _picture_convert.keys(pair[1])

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        return _picture_convert.convert(
            work,
            wishes(work.settings, same_format=work.source_mime == work.target_mime),
            source=work.source,
            mime=work.source_mime,
            target=work.target,
            target_mime=work.target_mime,
        )


CONVERTER = Raster()
