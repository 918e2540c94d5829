"""Say what a film, a sound or a text is about: title, description, tags, languages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mediamill.core import formats
from mediamill.core.language import TITLE_LETTERS, Summariser, Summary
from mediamill.core.ports import Engines, Missing
from mediamill.kinds import Base, Context, Hint, Output, Result, _text
from mediamill.kinds import Options as BaseOptions


class Options(BaseOptions, frozen=True, kw_only=True):
    """Nothing to choose."""


class Summarise(Base[Options]):
    """See the module."""

    name = "summary"
    summary = "Say what a film, a sound or a text is about: title, description, tags, languages."
    options = Options

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(Summariser)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        _text.check(inputs, engines)
        return options

    def run(self, ctx: Context, options: Options) -> Result:
        script = _text.read(ctx)
        if script.passages:
            reading = script.reading(ctx)
            made, spoke = _text.told(ctx, Summariser, lambda engine: engine.summarise(reading))
            titled = "text"
            if spoke["method"] == "extractive" and script.heading:
                made, titled = Summary(title=script.heading, description=made.description, tags=made.tags), "heading"
        else:
            made, spoke, titled = _wordless(ctx)
        said: dict[str, Any] = {
            "title": made.title[:TITLE_LETTERS],
            "description": made.description,
            "tags": list(made.tags),
            "languages": list(script.languages),
        }
        target = ctx.scratch / "summary.json"
        target.write_text(json.dumps({"kind": "summary", **said}, ensure_ascii=False) + "\n", encoding="utf-8")
        ctx.report("work", 1.0)
        name = formats.renamed(ctx.inputs[0].filename, "application/json")
        return Result(
            outputs=[Output(path=target, mime="application/json", filename=name)],
            details={**said, **spoke, **script.details, "title_from": titled},
        )


def _wordless(ctx: Context) -> tuple[Summary, dict[str, Any], str]:
    """Where nothing is said nothing is made up: the title the file has itself, if any, and the plain fact."""
    source = ctx.inputs[0]
    title = ctx.engines.probe(source.path, source.mime).title or ""
    made = Summary(title=title, description="No words were found.", tags=())
    return made, {"engine": "none", "method": "extractive"}, "metadata" if title else "none"


KIND = Summarise()
