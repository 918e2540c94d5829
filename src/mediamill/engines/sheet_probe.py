"""Facts of sheets: how many there are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mediamill.core.media import Facts


class SheetProber:
    """Counts sheets. JSON need not be a table to be JSON, so of it nothing is told."""

    def families(self) -> Iterable[str]:
        return ("sheet",)

    def probe(self, path: Path, mime: str) -> Facts:
        from mediamill.engines._sheet_read import sheets

        if mime == "application/json":
            return Facts()
        return Facts(sheets=len(sheets(path, mime)))


PROBER = SheetProber()
