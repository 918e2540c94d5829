"""Divide a film, a sound or a text into titled parts by what is said."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

from mediamill.core import formats
from mediamill.core.language import Outliner, Passage, Section
from mediamill.core.ports import Engines, Missing
from mediamill.kinds import Base, Context, Hint, Output, Result, _text
from mediamill.kinds import Options as BaseOptions

MOST = 60
_LEAST_S = 20.0
"""On average; a spoken part is seldom shorter."""


class Options(BaseOptions, frozen=True, kw_only=True):
    """Nothing to choose."""


class Outline(Base[Options]):
    """See the module."""

    name = "outline"
    summary = "Divide a film, a sound or a text into titled parts by what is said."
    options = Options

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(Outliner)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        _text.check(inputs, engines)
        return options

    def run(self, ctx: Context, options: Options) -> Result:
        script = _text.read(ctx)
        sections: Sequence[Section] = ()
        spoke: dict[str, Any] = {"engine": "none", "method": "extractive"}
        if script.passages:
            length_s = script.duration_s
            most = MOST if length_s is None else max(1, min(MOST, int(length_s / _LEAST_S)))
            reading = script.reading(ctx)
            sections, spoke = _text.told(ctx, Outliner, lambda engine: engine.outline(reading, most=most))
        document: dict[str, Any] = {"kind": "outline", "timeline": _timeline(script, sections)}
        if not script.timed:
            document["unit"] = "characters"  # a text without times: where it stands in the words that were read
        target = ctx.scratch / "outline.json"
        target.write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
        ctx.report("work", 1.0)
        name = formats.renamed(ctx.inputs[0].filename, "application/json")
        return Result(
            outputs=[Output(path=target, mime="application/json", filename=name)],
            details={**spoke, **script.details, "languages": list(script.languages), "sections": len(sections)},
        )


def _timeline(script: _text.Script, sections: Sequence[Section]) -> list[dict[str, Any]]:
    """Contiguous and ascending, from the beginning of the media to its end."""
    starts = list(_starts(script, sections))
    if script.timed:
        whole = max([script.duration_s or 0.0, *(passage.end_s or 0.0 for passage in script.passages)])
    else:
        whole = sum(len(passage.text) + 1 for passage in script.passages)
    made = []
    for section, (start, end) in zip(sections, itertools.pairwise([*starts, whole]), strict=True):
        if end > start:
            made.append({"title": section.title, "start": round(start, 3), "end": round(end, 3)})
    return made


def _starts(script: _text.Script, sections: Sequence[Section]) -> list[float]:
    if not script.timed:
        lengths = [len(passage.text) + 1 for passage in script.passages]
        return [float(sum(lengths[: section.first])) for section in sections]
    return [0.0 if section.first == 0 else _between(script.passages, section.first) for section in sections]


def _between(passages: Sequence[Passage], first: int) -> float:
    """The middle of the pause before a passage, at most a second before it is heard."""
    start_s, before_s = passages[first].start_s or 0.0, passages[first - 1].end_s or 0.0
    return max((start_s + min(before_s, start_s)) / 2, start_s - 1.0)


KIND = Outline()
