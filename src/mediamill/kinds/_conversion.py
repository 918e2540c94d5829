"""One conversion of one input by the engine of its pair: what every kind that converts does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mediamill.core import formats
from mediamill.core.errors import BadMedia, ToolFailed, Unavailable, Unsupported
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
    """The input as `target_mime`; `settings` that do not act on the pair are named in the details.

    Where a tool breaks, which says nothing of the input, the next engine that does the pair gets it; the details then
    name those it stands in for.
    """
    [source] = ctx.inputs
    pair = (source.mime, target_mime)
    best = converter_for(pair, ctx.engines)
    *others, last = ctx.engines.converters(pair) or [best]
    for number, converter in enumerate(others):
        try:
            return _converted(ctx, converter, target_mime, settings, instead_of=others[:number])
        except ToolFailed:
            continue
    return _converted(ctx, last, target_mime, settings, instead_of=others)


def _converted(
    ctx: Context, converter: Converter, target_mime: str, settings: dict[str, Any], *, instead_of: Sequence[Converter]
) -> Result:
    [source] = ctx.inputs
    scratch = ctx.scratch / f"try-{len(instead_of) + 1}" if instead_of else ctx.scratch
    scratch.mkdir(exist_ok=True)
    target = scratch / ("result" + formats.suffix(target_mime))
    keys = converter.keys((source.mime, target_mime))
    ctx.report("work", 0.0)
    details = converter.convert(
        Conversion(
            source=source.path,
            source_mime=source.mime,
            target=target,
            target_mime=target_mime,
            settings={key: value for key, value in settings.items() if key in keys},
            scratch=scratch,
            tools=ctx.engines.tools(),
            report=ctx.report,
        )
    )
    if not target.is_file() or target.stat().st_size == 0:
        raise BadMedia("The conversion made no output; the input may be empty.")
    more = {"ignored_settings": sorted(set(settings) - keys), "instead_of": [other.name for other in instead_of]}
    return Result(
        outputs=[Output(path=target, mime=target_mime, filename=formats.renamed(source.filename, target_mime))],
        details={"engine": converter.name, **details, **{key: value for key, value in more.items() if value}},
    )
