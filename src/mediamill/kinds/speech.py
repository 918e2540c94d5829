"""Write down what is said: text, the time of every word, and who speaks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from mediamill import kinds
from mediamill.core import formats
from mediamill.core.ports import Engines, Missing
from mediamill.core.speech import Transcriber
from mediamill.kinds import Base, Context, Hint, Output, Result, _transcript


class Options(kinds.Options, frozen=True, kw_only=True):
    """What to know before listening."""

    language: _transcript.Language | None = None
    speakers: Annotated[
        bool | None, Meta(description="Taken from older callers and ignored: voices are always told apart.")
    ] = None


class Speech(Base[Options]):
    """See the module."""

    name = "speech"
    summary = "Write down what is said, with the time of every word and who speaks."
    options = Options

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(Transcriber)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        _transcript.check(options.language, inputs, engines)
        return options

    def run(self, ctx: Context, options: Options) -> Result:
        heard = _transcript.transcribe(ctx, options.language, span=(0.0, 0.99))
        path = ctx.scratch / "transcript.json"
        path.write_bytes(_transcript.as_json(_transcript.document(heard)))
        output = Output(
            path=path, mime=_transcript.JSON, filename=formats.renamed(ctx.inputs[0].filename, _transcript.JSON)
        )
        return Result(outputs=[output], details=_transcript.details(heard))


KIND = Speech()
