"""A transcript in the shape that AssemblyAI gives: words, utterances, and what was asked to be told of the text.

All times are whole milliseconds. An analysis that no engine here can do is said to be unavailable; none is made up.
Source: AssemblyAI, API reference, Get transcript.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Annotated, Any, Literal

from msgspec import Meta

from mediamill import kinds
from mediamill.core import formats
from mediamill.core.language import Highlighter, Passage, Reading
from mediamill.core.ports import Engines, Missing
from mediamill.core.speech import Transcriber, Transcript, Turn, Word
from mediamill.kinds import Base, Context, Hint, Output, Result, _transcript

MOST_HIGHLIGHTS = 15
_EMPTY: Mapping[str, Any] = {
    "sentiment_analysis": [],
    "entity_detection": [],
    "auto_highlights": {"status": "unavailable", "results": []},
    "content_safety": {"status": "unavailable", "results": [], "summary": {}, "severity_score_summary": {}},
    "iab_categories": {"status": "unavailable", "results": [], "summary": {}},
}
_BLOCKS = {
    "sentiment_analysis": "sentiment_analysis_results",
    "entity_detection": "entities",
    "auto_highlights": "auto_highlights_result",
    "content_safety": "content_safety_labels",
    "iab_categories": "iab_categories_result",
}


class Options(kinds.Options, frozen=True, kw_only=True):
    """What to listen for."""

    language: (
        Annotated[
            str,
            Meta(
                pattern="^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$", description="BCP-47 code like en; unset: found out."
            ),
        ]
        | None
    ) = None
    speech_model: Annotated[
        Literal["universal-2", "universal-3-pro", "nano"],
        Meta(description="The model that AssemblyAI is to use; other engines have one model, and say which."),
    ] = "universal-2"
    word_timings: Annotated[bool, Meta(description="List every word with its time.")] = True
    speaker_labels: Annotated[bool, Meta(description="Tell the speakers apart, as A, B, …")] = False
    speakers_expected: (
        Annotated[int, Meta(ge=1, le=10, description="How many speakers there are likely to be; a hint.")] | None
    ) = None
    sentiment_analysis: Annotated[bool, Meta(description="The sentiment of each sentence.")] = False
    entity_detection: Annotated[bool, Meta(description="Names, places, dates and the like.")] = False
    auto_highlights: Annotated[bool, Meta(description="The phrases that it is about.")] = False
    content_safety: Annotated[bool, Meta(description="Labels for sensitive content.")] = False
    iab_categories: Annotated[bool, Meta(description="Topics of the IAB taxonomy.")] = False
    word_boost: Annotated[
        tuple[Annotated[str, Meta(min_length=1, max_length=200)], ...],
        Meta(max_length=200, description="Words and names that are likely to be said."),
    ] = ()
    audio_url: Annotated[str, Meta(max_length=2083, description="What the transcript names as its source.")] | None = (
        None
    )


class Transcribe(Base[Options]):
    """See the module."""

    name = "transcribe"
    summary = "Write down what is said as AssemblyAI does: words, speakers, and analyses of the text."
    options = Options

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(Transcriber)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        _transcript.check(_spoken(options), inputs, engines)
        return options

    def run(self, ctx: Context, options: Options) -> Result:
        wanted = frozenset(name for name in _BLOCKS if getattr(options, name))
        heard = _transcript.transcribe(
            ctx,
            _spoken(options),
            span=(0.0, 0.97),
            apart=options.speaker_labels,
            speakers=options.speakers_expected,
            boost=options.word_boost,
            model=options.speech_model,
            analyses=wanted,
        )
        path = ctx.scratch / "transcript.json"
        path.write_bytes(_transcript.as_json(_document(ctx, options, heard)))
        output = Output(
            path=path, mime=_transcript.JSON, filename=formats.renamed(ctx.inputs[0].filename, _transcript.JSON)
        )
        engine = _transcript.engine_for(ctx.engines, _spoken(options))
        told = {**_transcript.details(heard), "duration": round(heard.duration_s, 3)}
        if options.word_boost:
            told["word_boost"] = "heeded" if engine.boosts and engine.name == heard.engine else "not heeded"
        return Result(outputs=[output], details=told)


def _spoken(options: Options) -> str | None:
    """The language as engines take it: en-GB and en_us are English to them."""
    return None if options.language is None else re.split("[-_]", options.language)[0].lower()


def _document(ctx: Context, options: Options, heard: Transcript) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": str(uuid.uuid4()),
        "status": "completed",
        "text": " ".join(heard.text),
        "confidence": _share(heard.confidence),
        "audio_url": options.audio_url,
        "audio_duration": round(heard.duration_s),
        "language_code": options.language or next(iter(heard.languages), None),
        "language_confidence": None if options.language else _share(heard.language_confidence),
        "speech_model": options.speech_model,
        "words": [_word(word, turn, options) for turn in heard.turns for word in turn.timed()]
        if options.word_timings
        else None,
        "utterances": list(_utterances(heard, options)) if options.speaker_labels else None,
        "speaker_labels": options.speaker_labels,
    }
    for name, block in _BLOCKS.items():
        asked = bool(getattr(options, name))
        made[name] = asked
        made[block] = _analysis(ctx, name, heard) if asked else None
    return made


def _analysis(ctx: Context, name: str, heard: Transcript) -> Any:
    if name in heard.analyses:
        return heard.analyses[name]
    if name == "auto_highlights" and (engines := ctx.engines.offering(Highlighter)):
        return {"status": "success", "results": _highlights(ctx, engines[0], heard)}
    return _EMPTY[name]


def _highlights(ctx: Context, engine: Highlighter, heard: Transcript) -> list[dict[str, Any]]:
    """The phrases with every place where they are said. Letters are compared without case and punctuation."""
    if not heard.turns:
        return []
    passages = [Passage(text=turn.text, start_s=turn.start_s, end_s=turn.end_s) for turn in heard.turns]
    reading = Reading(passages=passages, remote=ctx.remote, languages=heard.languages)
    words = heard.words
    plain = [_plain(word.text) for word in words]
    made = []
    for found in engine.highlights(reading, most=MOST_HIGHLIGHTS):
        phrase = [_plain(part) for part in found.text.split()]
        places = [
            {"start": _ms(words[at].start_s), "end": _ms(words[at + len(phrase) - 1].end_s)}
            for at in range(len(plain) - len(phrase) + 1)
            if plain[at : at + len(phrase)] == phrase
        ]
        if places:
            made.append({"count": len(places), "rank": round(found.rank, 4), "text": found.text, "timestamps": places})
    return made


def _utterances(heard: Transcript, options: Options) -> Iterator[dict[str, Any]]:
    """What each speaker says until another does."""
    for speaker, together in groupby(heard.turns, key=lambda turn: turn.speaker):
        turns = list(together)
        words = [_word(word, turn, options) for turn in turns for word in turn.timed()]
        sure = [turn.confidence for turn in turns if turn.confidence is not None]
        yield {
            "speaker": _letter(speaker),
            "text": " ".join(turn.text for turn in turns),
            "start": _ms(turns[0].start_s),
            "end": _ms(max(turn.end_s for turn in turns)),
            "confidence": _share(sum(sure) / len(sure) if sure else None),
            "words": words,
        }


def _word(word: Word, turn: Turn, options: Options) -> dict[str, Any]:
    return {
        "text": word.text,
        "start": _ms(word.start_s),
        "end": _ms(word.end_s),
        "confidence": _share(word.confidence),
        "speaker": _letter(turn.speaker) if options.speaker_labels else None,
    }


def _letter(speaker: int) -> str:
    """A, B, … Z, AA, AB, … as columns of a sheet are named."""
    made = ""
    speaker += 1
    while speaker:
        speaker, rest = divmod(speaker - 1, 26)
        made = chr(65 + rest) + made
    return made


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _plain(text: str) -> str:
    return re.sub(r"\W", "", text).casefold()


KIND = Transcribe()
