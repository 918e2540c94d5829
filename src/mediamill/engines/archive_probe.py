"""Facts of archives: how many entries."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mediamill.core.media import Facts
from mediamill.engines import _archive_read


class ArchiveProber:
    """Counts entries; zip and 7z from their index, tar by walking it. The names are checked as when unpacking."""

    def families(self) -> Iterable[str]:
        return ("archive",)

    def probe(self, path: Path, mime: str) -> Facts:
        return Facts(entries=_archive_read.count(path, mime))


PROBER = ArchiveProber()
