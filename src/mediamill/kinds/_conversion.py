"""One conversion of one input by the engine of its pair: what every kind that converts does."""

from __future__ import annotations

from typing import Any

from mediamill.core import formats
from mediamill.core.errors import BadMedia, Unavailable, Unsupported
from mediamill.core.ports import Conversion, Converter, Engines, Missing, Pair
from mediamill.kinds import Context, Output, Result


def converter_for(pair: Pair, engines: Engines) -> Converter:
    """The converter of a pair; raises Unsupported, or Unavailable with the remedy."""
    found = engines.converter(pair)
    if found is None:
        raise Unsupported("format", f"{pair[0]} cannot be converted to {pair[1]}.")
    if isinstance(found, Missing):
        raise Unavailable("format", f"{pair[0]} to {pair[1]} is off here: {found.reason}", found.remedy)
    return found


def convert(ctx: Context, target_mime: str, settings: dict[str, Any]) -> Result:
    """The input as `target_mime`; `settings` that do not act on the pair are named in the details."""
    [source] = ctx.inputs
    pair = (source.mime, target_mime)
    converter = converter_for(pair, ctx.engines)
    target = ctx.scratch / ("result" + formats.suffix(target_mime))
    keys = converter.keys(pair)
    ctx.report("work", 0.0)
    details = converter.convert(
        Conversion(
            source=source.path,
            source_mime=source.mime,
            target=target,
            target_mime=target_mime,
            settings={key: value for key, value in settings.items() if key in keys},
            scratch=ctx.scratch,
            tools=ctx.engines.tools(),
            report=ctx.report,
        )
    )
    if not target.is_file() or target.stat().st_size == 0:
        raise BadMedia("The conversion made no output; the input may be empty.")
    ignored = sorted(set(settings) - keys)
    return Result(
        outputs=[Output(path=target, mime=target_mime, filename=formats.renamed(source.filename, target_mime))],
        details={"engine": converter.name, **details, **({"ignored_settings": ignored} if ignored else {})},
    )
