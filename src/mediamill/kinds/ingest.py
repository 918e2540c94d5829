"""Store a copy of a source."""

from __future__ import annotations

import shutil

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
        copy = ctx.scratch / f"copy{source.path.suffix}"
        shutil.copyfile(source.path, copy)
        return Result(outputs=[Output(path=copy, mime=source.mime, filename=source.filename)])


KIND = Ingest()
