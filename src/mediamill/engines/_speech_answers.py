"""What services that transcribe answer, read with care: they differ in what they time, and none is to be trusted.

OpenAI's `verbose_json` comes with words and a text, with segments, with words inside segments, or as a text alone, as
the server pleases. Times are those of what was sent; here they become those of the whole.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence, Set
from typing import Any

from mediamill.core.errors import ToolFailed
from mediamill.core.speech import Turn, Word
from mediamill.engines import _speech_turns
from mediamill.engines._speech_voice import Span

_NAMES = """
arabic:ar bulgarian:bg catalan:ca chinese:zh croatian:hr czech:cs danish:da dutch:nl english:en finnish:fi french:fr
german:de greek:el hebrew:he hindi:hi hungarian:hu indonesian:id italian:it japanese:ja korean:ko norwegian:no
persian:fa polish:pl portuguese:pt romanian:ro russian:ru slovak:sk spanish:es swedish:sv tamil:ta thai:th turkish:tr
ukrainian:uk vietnamese:vi
"""
_LANGUAGES = dict(pair.split(":") for pair in _NAMES.split())
"""OpenAI names languages in English words, other servers by their codes."""


def unreadable() -> ToolFailed:
    """The error for an answer in no shape we know."""
    return ToolFailed("The service gave an answer that cannot be read as a transcript.")


def text(answer: Any, key: str) -> str:
    """A text that an answer must hold."""
    found = answer.get(key) if isinstance(answer, dict) else None
    if not isinstance(found, str):
        raise unreadable()
    return found


def language(name: Any) -> str | None:
    """The ISO 639-1 code of a language as a service names it, or None."""
    word = str(name or "").strip().lower()
    return _LANGUAGES.get(word) or (word[:2] if re.fullmatch(r"[a-z]{2}([-_].*)?", word) else None)


def openai(answer: Any, part: Span, spans: Sequence[Span]) -> tuple[list[Turn], str | None]:
    """The turns and the language of an answer about `part`. `spans`: where somebody speaks, for a text without times.

    Raises ToolFailed.
    """
    said = text(answer, "text").strip()
    words = _words(answer.get("words"), part, 1.0)
    segments = _list(answer.get("segments"))
    code = language(answer.get("language"))
    if words:
        return _speech_turns.sentences(_as_written(words, said)), code
    if segments:
        return [turn for segment in segments if (turn := _segment(segment, part)) is not None], code
    return _untimed(said, part, spans), code


def assemblyai(answer: Any, part: Span) -> list[Turn]:
    """The turns of a finished transcript of `part`, with its speakers. Raises ToolFailed."""
    turns: list[Turn] = []
    numbers: dict[str, int] = {}
    for utterance in _list(answer.get("utterances")):
        if not isinstance(utterance, dict):
            raise unreadable()
        speaker = numbers.setdefault(str(utterance.get("speaker")), len(numbers))
        for turn in _speech_turns.sentences(_words(utterance.get("words"), part, 1000.0)):
            turns.append(
                Turn(
                    start_s=turn.start_s,
                    end_s=turn.end_s,
                    text=turn.text,
                    words=turn.words,
                    confidence=turn.confidence,
                    speaker=speaker,
                )
            )
    return turns or _speech_turns.sentences(_words(answer.get("words"), part, 1000.0))


_BLOCKS = {
    "sentiment_analysis": "sentiment_analysis_results",
    "entity_detection": "entities",
    "auto_highlights": "auto_highlights_result",
    "content_safety": "content_safety_labels",
    "iab_categories": "iab_categories_result",
}


def analyses(answer: Any, wanted: Set[str], part: Span) -> dict[str, Any]:
    """The analyses that AssemblyAI gave of `part`, by what they were asked for; times as in the whole."""
    shift_ms = round(part.start_s * 1000)
    found = {name: answer.get(_BLOCKS[name]) for name in wanted if name in _BLOCKS}
    return {name: _later(block, shift_ms) for name, block in found.items() if isinstance(block, dict | list)}


def _later(value: Any, shift_ms: int) -> Any:
    if isinstance(value, list):
        return [_later(item, shift_ms) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: round(_number(item)) + shift_ms if key in ("start", "end") else _later(item, shift_ms)
        for key, item in value.items()
    }


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise unreadable()
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise unreadable()
    return float(value)


def _words(found: Any, part: Span, units_a_second: float) -> list[Word]:
    made = []
    for word in _list(found):
        written = word.get("word", word.get("text")) if isinstance(word, dict) else None
        if not isinstance(written, str):
            raise unreadable()
        sure = word.get("confidence", word.get("probability", word.get("score")))
        start_s, end_s = (_number(word.get(key)) / units_a_second + part.start_s for key in ("start", "end"))
        if written.strip():
            confidence = None if sure is None else min(1.0, max(0.0, _number(sure)))
            made.append(Word(start_s=start_s, end_s=end_s, text=written.strip(), confidence=confidence))
    return made


def _as_written(words: list[Word], said: str) -> list[Word]:
    """The words with the punctuation of the text, which OpenAI leaves out of them, where both have as many."""
    written = said.split()
    if len(written) != len(words):
        return words
    return [
        Word(start_s=word.start_s, end_s=word.end_s, text=as_in_text, confidence=word.confidence)
        for word, as_in_text in zip(words, written, strict=True)
    ]


def _segment(segment: Any, part: Span) -> Turn | None:
    said = text(segment, "text").strip()
    if not said:
        return None
    words = tuple(_words(segment.get("words"), part, 1.0))
    likely = segment.get("avg_logprob")
    start_s, end_s = (_number(segment.get(key)) + part.start_s for key in ("start", "end"))
    return Turn(
        start_s=start_s,
        end_s=end_s,
        text=said,
        words=words,
        confidence=None if likely is None else math.exp(min(0.0, _number(likely))),
    )


def _untimed(said: str, part: Span, spans: Sequence[Span]) -> list[Turn]:
    """A text without any time: its sentences laid over the time in which somebody speaks, by their letters."""
    inside = [span for span in spans if span.start_s < part.end_s and span.end_s > part.start_s]
    sentences = [found for found in re.split(r"(?<=[.?!…。？！])\s+", said) if found]
    letters, spoken_s = sum(map(len, sentences)), sum(span.length_s for span in inside)

    def instant(share: float) -> float:
        left_s = share * spoken_s
        for span in inside:
            if left_s <= span.length_s:
                return span.start_s + left_s
            left_s -= span.length_s
        return inside[-1].end_s if inside else part.end_s

    made, at = [], 0
    for sentence in sentences:
        start_s, end_s = instant(at / letters), instant((at + len(sentence)) / letters)
        made.append(Turn(start_s=start_s, end_s=end_s, text=sentence))
        at += len(sentence)
    return made
