"""Decide whether the tasks after this one are to be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mediamill.core import conditions
from mediamill.core.conditions import Condition
from mediamill.core.errors import BadMedia
from mediamill.core.ports import Engines
from mediamill.kinds import Base, Context, Hint, Result
from mediamill.kinds import Options as BaseOptions


class Test(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One condition."""

    prop: Annotated[
        str,
        Meta(
            min_length=1,
            max_length=200,
            description="kind, url, filename, filesize, mimetype, width, height, duration, bitrate, framerate, codecs, "
            "codecs.<video or audio>.<name, profile, …>, orientation, any other fact of the input, or metadata.<key>.",
        ),
    ]
    value: Annotated[Any, Meta(description="What it is compared with: a string or number; a list for in.")] = None
    operator: Annotated[
        Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "contains", "exists"],
        Meta(description="How it is compared (eq)."),
    ] = "eq"


class Options(BaseOptions, frozen=True, kw_only=True):
    """What must hold."""

    conditions: Annotated[list[Test], Meta(min_length=1, max_length=100, description="All of them must hold.")]


class Conditions(Base[Options]):
    """It succeeds either way and makes no file; `details.results` says how each condition went and whether to go on."""

    name = "conditions"
    summary = "Decide by the input's properties whether what follows is to be done."
    options = Options
    reusable = False
    queue = "io"
    inputs = (0, 1)
    located = True

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        conditions.check(_asked(options))
        return options

    def run(self, ctx: Context, options: Options) -> Result:
        props = conditions.none(ctx.metadata)
        for given in ctx.inputs:
            try:
                facts = ctx.engines.probe(given.path, given.mime).known()
            except BadMedia:
                facts = {}  # what cannot be read has no width, and that may be just what is asked
            props = conditions.properties(
                mime=given.mime,
                filename=given.filename,
                size_bytes=given.path.stat().st_size,
                facts=facts,
                url=given.url,
                metadata=ctx.metadata,
            )
        return Result(outputs=[], details={"results": conditions.evaluate(_asked(options), props)})


def _asked(options: Options) -> list[Condition]:
    return [Condition(prop=test.prop, operator=test.operator, value=test.value) for test in options.conditions]


KIND = Conditions()
