"""Facts of fonts: the family and style as title."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mediamill.core.media import Facts
from mediamill.engines.fonts import opened


class FontProber:
    """Reads the name table: typographic names (16, 17) before the legacy ones (1, 2)."""

    def families(self) -> Iterable[str]:
        return ("font",)

    def probe(self, path: Path, mime: str) -> Facts:
        with opened(path) as font:
            if "name" not in font:
                return Facts()
            names = font["name"]
            family = names.getDebugName(16) or names.getDebugName(1)
            style = names.getDebugName(17) or names.getDebugName(2)
            return Facts(title=" ".join(part for part in (family, style) if part) or None)


PROBER = FontProber()
