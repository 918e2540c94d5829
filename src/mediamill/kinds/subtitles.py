"""Captions of what is said, as WebVTT or SubRip, laid out as broadcasters ask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta

from mediamill import kinds
from mediamill.core import captions, formats
from mediamill.core.errors import Unsupported
from mediamill.core.ports import Engines, Missing
from mediamill.core.speech import Transcriber
from mediamill.kinds import Base, Context, Hint, Output, Result, _transcript

FORMATS = {"vtt": "text/vtt", "srt": "application/x-subrip"}


class Options(kinds.Options, frozen=True, kw_only=True):
    """How to write captions."""

    format: Annotated[str, Meta(max_length=20, description="vtt (WebVTT) or srt (SubRip).")] = "vtt"
    language: _transcript.Language | None = None


class Subtitles(Base[Options]):
    """See the module. A transcript that the kind speech made can be handed in instead of a sound."""

    name = "subtitles"
    summary = "Write captions of what is said: lines, reading speed and pauses as broadcasters ask."
    options = Options

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(Transcriber)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        _mime(options)
        _transcript.check(options.language, inputs, engines)
        return options

    def run(self, ctx: Context, options: Options) -> Result:
        mime = _mime(options)
        heard = _transcript.transcribe(ctx, options.language, span=(0.0, 0.98))
        given = heard.quality == "given"  # its end is that of its last word, not of a film
        made = captions.captions(heard.turns, None if given else heard.duration_s)
        path = ctx.scratch / ("captions" + formats.suffix(mime))
        write = captions.as_vtt if mime == FORMATS["vtt"] else captions.as_srt
        path.write_text(write(made), encoding="utf-8")
        filename = formats.renamed(ctx.inputs[0].filename, mime)
        return Result(
            outputs=[Output(path=path, mime=mime, filename=filename)],
            details={**_transcript.details(heard), "cues": len(made)},
        )


def _mime(options: Options) -> str:
    try:
        return FORMATS[options.format.lower()]
    except KeyError:
        raise Unsupported("format", f"must be one of {', '.join(FORMATS)}, is {options.format!r}.") from None


KIND = Subtitles()
