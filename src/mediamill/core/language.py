"""Texts read for what they are about: summaries, outlines, languages; and the ports of the engines that read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from mediamill.core.ports import Engine, Remote

Method = Literal["extractive", "llm"]
"""extractive: only words of the text itself; llm: worded by a language model."""

TITLE_LETTERS = 80
DESCRIPTION_LETTERS = 600
TAGS = 8
TAG_LETTERS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A sentence or so. Without times when nobody said when it is heard.

    after_break: a paragraph, or a change of speaker, begins here.
    """

    text: str
    start_s: float | None = None
    end_s: float | None = None
    after_break: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A text to read. `languages` are ISO 639-1 codes, none when not known."""

    passages: Sequence[Passage]
    remote: Remote
    languages: Sequence[str] = ()

    @property
    def text(self) -> str:
        """All of it."""
        return " ".join(passage.text for passage in self.passages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a text is about, in its own language. Tags are in small letters, the best first."""

    title: str
    description: str
    tags: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a text about one thing: it begins with the passage of that number, from 0."""

    first: int
    title: str


class Summariser(Engine):
    """Says what a text is about."""

    method: ClassVar[Method] = "extractive"

    @property
    def model(self) -> str | None:
        """The model that speaks, where the engine may have one of many."""
        return None

    @abstractmethod
    def summarise(self, work: Reading) -> Summary:
        """Raises ToolFailed, SourceUnreachable. The text has words in it."""


class Outliner(Engine):
    """Divides a text by topic."""

    method: ClassVar[Method] = "extractive"

    @property
    def model(self) -> str | None:
        """The model that speaks, where the engine may have one of many."""
        return None

    @abstractmethod
    def outline(self, work: Reading, *, most: int) -> Sequence[Section]:
        """The sections in order, the first beginning with passage 0; at most `most`. Raises as `summarise` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Highlight:
    """A phrase that a text is about: as it is mostly written, and how much it weighs in it, from 0 to 1."""

    text: str
    rank: float


class Highlighter(Engine):
    """Finds the phrases that a text is about."""

    @abstractmethod
    def highlights(self, work: Reading, *, most: int) -> Sequence[Highlight]:
        """The best first; none within another."""


class Linguist(Engine):
    """Tells languages apart."""

    @abstractmethod
    def languages(self, text: str) -> tuple[str, ...]:
        """ISO 639-1 codes of what the text is written in, the most of it first; none when unsure."""
