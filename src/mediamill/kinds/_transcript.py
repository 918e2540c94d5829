"""A transcript inside a kind: heard by the best engine for the language, or read when the input is one already.

So a run that needs speech, subtitles and a summary of one film listens to it once and hands the transcript on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from mediamill.core.errors import BadMedia, LimitExceeded, Unavailable, Unsupported
from mediamill.core.ports import Engines
from mediamill.core.speech import Listening, Transcriber, Transcript, Turn, Word, hears, tidy
from mediamill.kinds import Context, Hint

JSON = "application/json"
LARGEST_BYTES = 64 << 20

Language = Annotated[
    str, Meta(pattern="^[a-z]{2}$", description="Language spoken, as an ISO 639-1 code like en; unset: found out.")
]


def engine_for(engines: Engines, language: str | None) -> Transcriber:
    """The best engine that hears the language. Raises Unsupported, or Unavailable when there is no engine at all."""
    lacking = engines.lacking(Transcriber)
    if lacking is not None:
        raise Unavailable("kind", f"Speech cannot be transcribed here: {lacking.reason}", lacking.remedy)
    offered = engines.offering(Transcriber)
    for engine in offered:
        if hears(engine, language):
            return engine
    known = sorted({code for engine in offered for code in engine.languages or ()})
    raise Unsupported("language", f"{language!r} is not among the languages heard here: {', '.join(known)}.")


def check(language: str | None, inputs: Sequence[Hint], engines: Engines) -> None:
    """Refuse at once what could only fail later: a language that no engine here hears. A transcript needs no engine."""
    if not inputs or inputs[0].mime != JSON:
        engine_for(engines, language)


def transcribe(
    ctx: Context, language: str | None = None, *, span: tuple[float, float] = (0.0, 1.0), **asked: Any
) -> Transcript:
    """What is said in the first input. `span` is the part of the whole task's progress that this takes; `asked` goes
    to the Listening as it is.

    Raises NoSound for a source without sound, BadMedia for one that cannot be read, and what engines raise.
    """
    [source, *_] = ctx.inputs
    if source.mime == JSON:
        if source.path.stat().st_size > LARGEST_BYTES:
            raise LimitExceeded(f"A transcript may be at most {LARGEST_BYTES >> 20} MiB.")
        heard = read(source.path.read_bytes())
        ctx.report("work", span[1])
        return heard

    def report(stage: str, fraction: float | None = None) -> None:
        ctx.report(stage, None if fraction is None else span[0] + (span[1] - span[0]) * fraction)

    return engine_for(ctx.engines, language).transcribe(
        Listening(
            source=source.path,
            source_mime=source.mime,
            scratch=ctx.scratch,
            tools=ctx.engines.tools(),
            remote=ctx.remote,
            report=report,
            language=language,
            **asked,
        )
    )


def details(heard: Transcript) -> dict[str, Any]:
    """What a task says of the transcript it was made from."""
    told: dict[str, Any] = {"engine": heard.engine, "quality": heard.quality, "languages": list(heard.languages)}
    if heard.confidence is not None:
        told["confidence"] = round(heard.confidence, 3)
    return told


def document(heard: Transcript) -> dict[str, Any]:
    """The transcript as JSON values, in the documented shape. Times in seconds, to the millisecond."""
    made: dict[str, Any] = {
        "kind": "speech",
        "text": list(heard.text),
        "languages": list(heard.languages),
        "speakers": heard.speakers,
        "timeline": [_turn(turn) for turn in heard.turns],
    }
    return _with_confidence(made, heard.confidence)


def _turn(turn: Turn) -> dict[str, Any]:
    made: dict[str, Any] = {**_span(turn), "speaker": turn.speaker, "text": turn.text}
    if turn.words:
        made["words"] = [_with_confidence({**_span(word), "text": word.text}, word.confidence) for word in turn.words]
    return _with_confidence(made, turn.confidence)


def _span(part: Turn | Word) -> dict[str, float]:
    return {"start": round(part.start_s, 3), "end": round(part.end_s, 3)}


def _with_confidence(made: dict[str, Any], confidence: float | None) -> dict[str, Any]:
    return made if confidence is None else {**made, "confidence": round(confidence, 3)}


class _Timed(msgspec.Struct, frozen=True, kw_only=True):
    start: Annotated[float, Meta(ge=0, le=1e7)]
    end: Annotated[float, Meta(ge=0, le=1e7)]
    text: str
    confidence: Annotated[float, Meta(ge=0, le=1)] | None = None


class _Turn(_Timed, frozen=True, kw_only=True):
    speaker: Annotated[int, Meta(ge=0, le=10_000)] = 0
    words: tuple[_Timed, ...] = ()


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    kind: Literal["speech"]
    timeline: tuple[_Turn, ...]
    languages: tuple[Annotated[str, Meta(pattern="^[a-z]{2,3}$")], ...] = ()


def read(content: bytes) -> Transcript:
    """A transcript from its document. Raises BadMedia when it is none."""
    try:
        found = msgspec.json.decode(content, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadMedia(f"This JSON is no transcript as the kind speech writes it: {error}.") from error
    turns = [
        Turn(
            start_s=turn.start,
            end_s=turn.end,
            text=turn.text,
            speaker=turn.speaker,
            confidence=turn.confidence,
            words=tuple(
                Word(start_s=word.start, end_s=word.end, text=word.text, confidence=word.confidence)
                for word in turn.words
            ),
        )
        for turn in found.timeline
    ]
    end_s = max((turn.end_s for turn in turns), default=0.0)
    return Transcript(
        turns=tidy(turns, end_s), languages=found.languages, engine="transcript", quality="given", duration_s=end_s
    )


def as_json(made: Mapping[str, Any]) -> bytes:
    """A document as the bytes of a file."""
    return msgspec.json.encode(made) + b"\n"
