"""Store a copy of a source."""

from __future__ import annotations

from mediamill.kinds import Base, Context, Output, Result
from mediamill.kinds import Options as BaseOptions


class Options(BaseOptions, frozen=True, kw_only=True):
    """Nothing to choose."""


class Ingest(Base[Options]):
    """The fetch itself is the worker's; what is left is to hand the bytes on as a result of their own."""

    name = "ingest"
    summary = "Store a copy of a source."
    options = Options
    reusable = False
    queue = "io"

    def run(self, ctx: Context, options: Options) -> Result:
        [source] = ctx.inputs
        return Result(outputs=[Output(path=source.path, mime=source.mime, filename=source.filename)])


KIND = Ingest()
