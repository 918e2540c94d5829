"""Turn a file into another format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, structs

from mediamill.core import formats
from mediamill.core.errors import Unsupported
from mediamill.core.ports import Engines
from mediamill.kinds import Base, Context, Hint, Result
from mediamill.kinds._conversion import convert, converter_for
from mediamill.kinds._settings import Settings


class Options(Settings, frozen=True, kw_only=True):
    """What to make of the input."""

    format: Annotated[
        str, Meta(min_length=1, max_length=127, description="Target format: a MIME type or a bare name like webp.")
    ]


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
