"""What the author of an engine sees. Never run: mypy reads it, and an `ignore` that is not needed is an error to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, assert_type

from mediamill.core.media import Facts
from mediamill.core.ports import Conversion, Converter, Missing, Pair, Prober, ToolRun


class Lathe:
    """A converter by a program."""

    name = "lathe"

    def pairs(self) -> Mapping[Pair, int]:
        return {("model/stl", "model/obj"): 10}

    def missing(self) -> Missing | None:
        return Missing(reason="lathe is not on this machine.", remedy="Install it.")

    def keys(self, pair: Pair) -> frozenset[str]:
        return frozenset({"quality"})

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        assert_type(work.source, Path)
        assert_type(work.settings, Mapping[str, Any])
        work.report("encode", 0.25)
        run = work.tools.run(["lathe", work.source, work.target], name="lathe", on_line=print)
        assert_type(run, ToolRun)
        return {"turns": len(run.stdout)}


class Calliper:
    """A prober."""

    def families(self) -> Iterable[str]:
        return ("image",)

    def probe(self, path: Path, mime: str) -> Facts:
        return Facts(width_px=3, height_px=2)


CONVERTER: Converter = Lathe()
PROBER: Prober = Calliper()


class Blunt:
    """Cannot say what it does."""

    name = "blunt"

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        work.target = Path("elsewhere")  # type: ignore[misc]  # a conversion is frozen
        return {}


LACKING: Converter = Blunt()  # type: ignore[assignment]  # no pairs, missing, keys
