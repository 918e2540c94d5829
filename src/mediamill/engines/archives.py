"""Archives: zip, tar, tar.gz and 7z into each other, or the same packed again.

Entries stream from one archive into the other; names, types, sizes and ratios are checked on the way (see
`_archive_read`). Kept: order, names, empty folders, modification times, permission bits. Dropped: owners, comments.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from mediamill.core.ports import Conversion, Missing, Pair
from mediamill.engines._archive_guard import Guard
from mediamill.engines._archive_read import entries, reading, single
from mediamill.engines._archive_write import writing

ZIP, TAR, GZIP, SEVEN = "application/zip", "application/x-tar", "application/gzip", "application/x-7z-compressed"
LEVEL = 6


class Archives:
    """Repacks archives. `level` 0 stores, 9 packs tightest."""

    name = "archives"

    def pairs(self) -> Mapping[Pair, int]:
        types = (ZIP, TAR, GZIP, SEVEN)
        return {(given, wanted): 10 for given in types for wanted in types}

    def missing(self) -> Missing | None:
        if find_spec("py7zr") is None:
            return Missing(reason="The package py7zr is not installed.", remedy="Install it: pip install py7zr.")
        return None

    def keys(self, pair: Pair) -> frozenset[str]:
        return frozenset() if pair[1] == TAR else frozenset({"level"})

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        level = int(work.settings.get("level", LEVEL))
        guard = Guard(work.source.stat().st_size)
        if work.source_mime == work.target_mime == GZIP and single(work.source):
            return self._regzip(work, level, guard)
        with writing(work.target, work.target_mime, level, work.scratch) as archive:
            for entry in entries(work.source, work.source_mime, guard, work.scratch):
                archive.add(entry)
                if guard.entries % 100 == 0:
                    work.report("work")
        renamed = {"renamed_duplicates": guard.renamed} if guard.renamed else {}
        return {"entries": guard.entries, "unpacked_bytes": guard.bytes, **renamed}

    def _regzip(self, work: Conversion, level: int, guard: Guard) -> Mapping[str, Any]:
        """A plain gzip of one file stays one: nobody who optimises a .csv.gz wants a tar."""
        with (
            reading(),
            gzip.open(work.source) as packed,
            work.target.open("wb") as stream,
            gzip.GzipFile("", "wb", compresslevel=level, fileobj=stream, mtime=0) as repacked,
        ):
            while block := packed.read(1024**2):
                guard.count(len(block))
                repacked.write(block)
        return {"entries": 1, "unpacked_bytes": guard.bytes}


CONVERTER = Archives()
