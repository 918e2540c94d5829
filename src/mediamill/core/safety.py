"""What pictures show that some viewers must not see: scores, severities, and spans of a film.

Source of the shape: Ittybit contract, section 6.2.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mediamill.core.ports import Engine, Report, Tools

Category = Literal["nudity", "sexual", "violence", "gore"]
Severity = Literal["none", "mild", "moderate", "severe"]

CATEGORIES: tuple[Category, ...] = ("nudity", "sexual", "violence", "gore")
SEVERITIES: tuple[Severity, ...] = ("none", "mild", "moderate", "severe")
STEPS = (0.5, 0.7, 0.9)
"""Scores from which something is mild, moderate, severe. Below one half a judge holds the opposite for likelier."""
LONE = STEPS[1]
"""What one sample of a film must reach when neither neighbour shows the same: a classifier's slips come singly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """What a judge thinks of one picture, 0 to 1 for each category it judges; the others are left out.

    classes: the judge's own classes and their shares, for the record.
    """

    categories: Mapping[Category, float]
    classes: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One picture of a film: it stands for the time from `start_s` to `end_s`."""

    start_s: float
    end_s: float
    scores: Scores


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The pictures looked at. `distinct`: how many of them were not the picture before once more."""

    samples: Sequence[Sample]
    how: Literal["every second", "keyframes"]
    distinct: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A span of a film that shows one category, with the worst of it."""

    start_s: float
    end_s: float
    category: Category
    severity: Severity


class Judge(Engine):
    """Looks at pictures. `judges` names the categories it knows; of the others it says nothing."""

    judges: tuple[Category, ...] = ()

    @abstractmethod
    def picture(self, path: Path, report: Report, *, began_s: float) -> Scores:
        """Of one picture, a PNG file of any size. `began_s`: `processor.used_s()` when the task began. Raises BadMedia,
        ToolFailed."""

    @abstractmethod
    def film(self, source: Path, mime: str, *, duration_s: float | None, tools: Tools, report: Report) -> Sampling:
        """Of pictures all through a film, in order and without gaps. Raises BadMedia, ToolFailed."""


def severity(score: float) -> Severity:
    """The word for a score."""
    return SEVERITIES[sum(score >= step for step in STEPS)]


def worst(samples: Sequence[Sample]) -> dict[Category, float]:
    """The score of a whole film in each category judged: its highest, where a lone slip counts for less."""
    return {
        category: max((_believed(samples, number, category) for number in range(len(samples))), default=0.0)
        for category in (samples[0].scores.categories if samples else ())
    }


def timeline(samples: Sequence[Sample]) -> list[Stretch]:
    """The spans that show something, by category and time; a gap of one sample does not end a span."""
    found: list[Stretch] = []
    for category in samples[0].scores.categories if samples else ():
        begun: Stretch | None = None
        missed = 0
        for number, sample in enumerate(samples):
            now = severity(_believed(samples, number, category))
            if now != "none" and begun is None:
                begun = Stretch(start_s=sample.start_s, end_s=sample.end_s, category=category, severity=now)
            elif now != "none" and begun is not None:
                most = max(begun.severity, now, key=SEVERITIES.index)
                begun = Stretch(start_s=begun.start_s, end_s=sample.end_s, category=category, severity=most)
            missed = 0 if now != "none" else missed + 1
            if begun is not None and missed > 1:
                found.append(begun)
                begun = None
        if begun is not None:
            found.append(begun)
    return sorted(found, key=lambda stretch: (stretch.start_s, CATEGORIES.index(stretch.category)))


def _believed(samples: Sequence[Sample], number: int, category: Category) -> float:
    """The score of one sample, kept below mild when it is neither strong nor like a neighbour."""
    score = samples[number].scores.categories[category]
    near = [samples[at] for at in (number - 1, number + 1) if 0 <= at < len(samples)]
    lone = bool(near) and all(other.scores.categories[category] < STEPS[0] for other in near)
    return min(score, STEPS[0] - 0.01) if lone and STEPS[0] <= score < LONE else score
