"""Make a file smaller in its own format; never larger."""

from __future__ import annotations

from collections.abc import Sequence

from mediamill.core.ports import Engines
from mediamill.kinds import Base, Context, Hint, Output, Result
from mediamill.kinds._conversion import convert, converter_for
from mediamill.kinds._settings import Settings


class Options(Settings, frozen=True, kw_only=True):
    """How to optimise."""


class Optimise(Base[Options]):
    """See the module. Unless a setting asks for a change, a result that is not smaller is replaced by the input."""

    name = "optimise"
    summary = "Make a file smaller in its own format; never larger."
    options = Options

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        for hint in inputs:
            if hint.mime is not None:
                converter_for((hint.mime, hint.mime), engines)
        return options

    def run(self, ctx: Context, options: Options) -> Result:
        [source] = ctx.inputs
        settings = options.given()
        result = convert(ctx, source.mime, settings)
        [made] = result.outputs
        if settings or made.path.stat().st_size < source.path.stat().st_size:
            return result
        return Result(
            outputs=[Output(path=source.path, mime=source.mime, filename=source.filename)],
            details={**result.details, "kept_original": True},
        )


KIND = Optimise()
