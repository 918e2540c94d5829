"""What the author of a kind sees. Never run: mypy reads it, and an `ignore` that is not needed is an error to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, assert_type

from msgspec import Meta

from mediamill import kinds
from mediamill.core.errors import Invalid
from mediamill.core.media import Facts
from mediamill.core.ports import Converter, Engines, Missing
from mediamill.kinds import Base, Context, Hint, Input, Kind, Output, Result


class Options(kinds.Options, frozen=True, kw_only=True):
    """A choice with a default, and one that must be made."""

    times: Annotated[int, Meta(ge=1, le=9, description="How often.")] = 1
    title: Annotated[str, Meta(max_length=80, description="What to write.")]


class Stamp(Base[Options]):
    """A whole kind, with everything that it may override."""

    name = "stamp"
    summary = "Write a title on every page."
    options = Options
    queue = "gpu"
    inputs = (1, 3)

    def missing(self, engines: Engines) -> Missing | None:
        return engines.absent().get("pdf")

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        for hint in inputs:
            assert_type(hint.mime, str | None)
            if hint.mime not in (None, "application/pdf"):
                raise Invalid("inputs", "must be PDF files.")
        return options

    def destination(self, options: Options) -> Mapping[str, Any] | None:
        return {"url": "s3://stamped/", "connection": None}

    def run(self, ctx: Context, options: Options) -> Result:
        assert_type(ctx.inputs, Sequence[Input])
        assert_type(ctx.metadata, Mapping[str, Any])
        assert_type(ctx.scratch, Path)
        assert_type(options.times, int)
        ctx.report("work")
        ctx.report("work", 0.5)
        [source, *_] = ctx.inputs
        assert_type(ctx.engines.probe(source.path, source.mime), Facts)
        assert_type(ctx.engines.converter(("text/html", "application/pdf")), Converter | Missing | None)
        done = ctx.engines.tools().run(["stamp", "--", source.path], name="stamp", timeout_s=5)
        assert_type(done.stdout, bytes)
        made = Output(path=ctx.scratch / "stamped.pdf", mime="application/pdf", filename=source.filename)
        return Result(outputs=[made], details={"pages": 3})


KIND: Kind[Options] = Stamp()
assert_type(kinds.load(), Mapping[str, Kind[Any]])
assert_type(kinds.named("stamp"), Kind[Any])

Options(title="x", times=2)
Options()  # type: ignore[call-arg]  # title must be given
Options(title="x", loud=True)  # type: ignore[call-arg]  # there is no such option
Options(title="x").times = 3  # type: ignore[misc]  # options are frozen


def misuse(ctx: Context, source: Input, result: Result) -> None:
    ctx.scratch = Path("elsewhere")  # type: ignore[misc]  # the context is frozen
    source.path = Path("elsewhere")  # type: ignore[misc]  # so are inputs
    result.outputs.append(Output(path=Path("x"), mime="a/b", filename="x"))  # type: ignore[attr-defined]  # and results
    ctx.store  # type: ignore[attr-defined, unused-ignore]  # a kind has no way to the store  # noqa: B018
    ctx.engines.tools().run("stamp in out", name="stamp", shell=True)  # type: ignore[call-arg]  # there is no shell
    Output(path="x", mime="a/b", filename="x")  # type: ignore[arg-type]  # a path is a Path


class Halfway(Base[Options]):
    """Says neither what it is called nor what it does."""


LACKING: Kind[Options] = Halfway()  # type: ignore[assignment]  # no name, summary, options, run
