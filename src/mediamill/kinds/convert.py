"""Turn a file into another format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Meta, structs

from mediamill.core import formats
from mediamill.core.errors import BadMedia, Unavailable, Unsupported
from mediamill.core.ports import Conversion, Converter, Engines, Missing, Pair
from mediamill.kinds import Base, Context, Hint, Output, Result
from mediamill.kinds._settings import Settings


class Options(Settings, frozen=True, kw_only=True):
    """What to make of the input."""

    format: Annotated[
        str, Meta(min_length=1, max_length=127, description="Target format: a MIME type or a bare name like webp.")
    ]


def converter_for(pair: Pair, engines: Engines) -> Converter:
    """The converter of a pair; raises Unsupported, or Unavailable with the remedy."""
    found = engines.converter(pair)
    if found is None:
        raise Unsupported("format", f"{pair[0]} cannot be converted to {pair[1]}.")
    if isinstance(found, Missing):
        raise Unavailable("format", f"{pair[0]} to {pair[1]} is off here: {found.reason}", found.remedy)
    return found


def convert(ctx: Context, target_mime: str, settings: dict[str, Any]) -> Result:
    """The one conversion both convert and optimise do."""
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


class Convert(Base[Options]):
    """See the module."""

    name = "convert"
    summary = "Turn a file into another format."
    options = Options

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        target = formats.canonical(options.format)
        if target is None:
            raise Unsupported("format", f"{options.format!r} is not a format Mediamill knows.")
        for hint in inputs:
            if hint.mime is not None:
                converter_for((hint.mime, target), engines)
        return structs.replace(options, format=target)

    def run(self, ctx: Context, options: Options) -> Result:
        target = formats.canonical(options.format)
        if target is None:
            raise Unsupported("format", f"{options.format!r} is not a format Mediamill knows.")
        return convert(ctx, target, options.given())


KIND = Convert()
