"""What was said, when and by whom; and the port of the engines that hear it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from mediamill.core.ports import Engine, Remote, Report, Tools

Quality = Literal["draft", "full", "given"]
"""draft: good enough to search and to cut by; full: as the operator's model or service hears it; given: the caller
brought the transcript."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word as written, with the time it is heard in. `confidence` in [0, 1], None when the engine gives none."""

    start_s: float
    end_s: float
    text: str
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A stretch of speech by one voice, a sentence or so. `words` may be empty: not every engine times them."""

    start_s: float
    end_s: float
    text: str
    speaker: int = 0
    words: tuple[Word, ...] = ()
    confidence: float | None = None

    def timed(self) -> tuple[Word, ...]:
        """The words with times: the engine's own, else the stretch shared out by their letters."""
        if self.words:
            return self.words
        parts = self.text.split()
        letters = sum(len(part) for part in parts)
        made, at = [], 0
        for part in parts:
            start_s, end_s = (self.start_s + (self.end_s - self.start_s) * n / letters for n in (at, at + len(part)))
            made.append(Word(start_s=start_s, end_s=end_s, text=part, confidence=self.confidence))
            at += len(part)
        return tuple(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """Everything said in a sound, in order; no turns when nothing was. `languages` are ISO 639-1 codes."""

    turns: tuple[Turn, ...] = ()
    languages: tuple[str, ...] = ()
    language_confidence: float | None = None
    """How likely the first of them is by what the engine hears, in [0, 1]; None where it was told, or does not say."""
    engine: str
    quality: Quality
    duration_s: float = 0.0
    analyses: Mapping[str, Any] = field(default_factory=dict)
    """What was asked for besides and the engine does, by the names of `Listening.analyses`; times in milliseconds."""

    @property
    def speakers(self) -> int:
        """How many voices there are."""
        return len({turn.speaker for turn in self.turns})

    @property
    def text(self) -> tuple[str, ...]:
        """What each turn says."""
        return tuple(turn.text for turn in self.turns)

    @property
    def words(self) -> tuple[Word, ...]:
        """Every word with its time, in order."""
        return tuple(word for turn in self.turns for word in turn.timed())

    @property
    def confidence(self) -> float | None:
        """The turns' confidence by their length; None when none has any."""
        known = [(turn.end_s - turn.start_s, turn.confidence) for turn in self.turns if turn.confidence is not None]
        total_s = sum(length for length, _ in known)
        return sum(length * value for length, value in known) / total_s if total_s > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listening:
    """One sound or film to transcribe. `language`: what the caller says is spoken (ISO 639-1), None when not said.

    `report` gets fractions, in [0, 1], of this work with what the task has done before and what comes after.
    """

    source: Path
    source_mime: str
    scratch: Path
    tools: Tools
    remote: Remote
    report: Report
    done_s: float = 0.0
    """Processor seconds that the task has used before."""
    rest_s: float = 0.0
    """Processor seconds that come after."""
    language: str | None = None
    apart: bool = True
    """Whether the caller wants to know who speaks."""
    speakers: int | None = None
    """How many voices the caller expects; a hint."""
    boost: Sequence[str] = ()
    """Words and names that are likely to be said."""
    model: str | None = None
    """The model that the caller names, for services that have several."""
    analyses: Set[str] = frozenset()
    """What the caller wants to know besides: sentiment_analysis, entity_detection, auto_highlights, content_safety,
    iab_categories. An engine does those it can; none is made up."""


class Transcriber(Engine):
    """Turns speech into a Transcript."""

    quality: ClassVar[Quality] = "draft"
    boosts: ClassVar[bool] = False
    """Whether it heeds `Listening.boost`."""
    languages: ClassVar[frozenset[str] | None] = None
    """ISO 639-1 codes of what it can hear; None for whatever its model or service knows."""

    def cost_s(self, speech_s: float) -> float:
        """About how many seconds of processor time so much speech takes, of which progress is made."""
        return 0.3 * speech_s

    @abstractmethod
    def transcribe(self, work: Listening) -> Transcript:
        """Hear it out. Turns and words are in order of time and within the sound; silence and noise give no turns.

        Raises NoSound for a source without sound, BadMedia for one that cannot be read, ToolFailed, LimitExceeded.
        """


def hears(engine: Transcriber, language: str | None) -> bool:
    """Whether an engine can be asked for a language (None: whatever is spoken)."""
    return language is None or engine.languages is None or language in engine.languages


def tidy(turns: Sequence[Turn], duration_s: float) -> tuple[Turn, ...]:
    """The same turns and words in order of time, none ending before it begins or beyond the sound.

    Services round times, overlap words and number speakers as they please; here speakers count from 0 in the order in
    which they are first heard.
    """
    made: list[Turn] = []
    voices: dict[int, int] = {}
    for turn in sorted(turns, key=lambda turn: turn.start_s):
        if not turn.text.strip():
            continue
        start_s = _within(min([turn.start_s, *(word.start_s for word in turn.words)]), 0.0, duration_s)
        end_s = _within(max([turn.end_s, *(word.end_s for word in turn.words)]), start_s, duration_s)
        words: list[Word] = []
        at_s = start_s
        for word in sorted(turn.words, key=lambda word: word.start_s):
            if not word.text.strip():
                continue
            begin_s = _within(word.start_s, at_s, end_s)
            at_s = _within(word.end_s, begin_s, end_s)
            words.append(Word(start_s=begin_s, end_s=at_s, text=word.text.strip(), confidence=_share(word.confidence)))
        made.append(
            Turn(
                start_s=start_s,
                end_s=end_s,
                text=turn.text.strip(),
                speaker=voices.setdefault(turn.speaker, len(voices)),
                words=tuple(words),
                confidence=_share(turn.confidence),
            )
        )
    return tuple(made)


def _within(value: float, least: float, most: float) -> float:
    return max(least, min(value, most))


def _share(value: float | None) -> float | None:
    return None if value is None else _within(value, 0.0, 1.0)
