"""When each element of a scene is to be seen, to the frame: its own time, stretched by its transitions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mediamill.core.compositions import DEFAULT_S, MAX_DURATION_S, Composition, ends
from mediamill.core.errors import LimitExceeded


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The frames [first, after) in which an element is drawn. start_s and end_s are its own time, for sound, motion and
    as where a source's in_point lies; a transition may show it before and after."""

    number: int
    first: int
    after: int
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A transition: the frames [first, after) in which two elements are drawn as one, and where that one is stacked."""

    type: str
    going: int
    coming: int
    first: int
    after: int
    rank: tuple[int, int]

    def share(self, frame: int) -> float:
        """How far it has come: 0 is all of the one that goes."""
        return (frame - self.first) / max(1, self.after - self.first)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A scene in frames. spans: of every element that can be seen or heard, in the order of the scene."""

    frames: int
    rate: int
    spans: Sequence[Span]
    cuts: Sequence[Cut]

    @property
    def duration_s(self) -> float:
        """How long the film is, to the frame."""
        return self.frames / self.rate


def timeline(scene: Composition, lengths_s: Sequence[float | None]) -> Timeline:
    """The scene in frames. lengths_s: of each element, how long its file is, where it has one."""
    duration_s = scene.duration_s
    if duration_s is None:
        duration_s = _lone_s(scene, lengths_s) or DEFAULT_S
    frames = max(1, _frame(duration_s, scene.rate))
    own = {}
    for number, element in enumerate(scene.elements):
        if not element["visible"]:
            continue
        start_s = float(element["time"])
        end_s = ends(element)
        if end_s is None:
            known = lengths_s[number]
            left_s = (known if known is not None else duration_s) - element["in_point"]
            end_s = start_s + max(0.0, left_s) / element["speed"]
        own[number] = start_s, min(end_s, duration_s)
    shown = {
        number: [_frame(start_s, scene.rate), min(frames, _frame(end_s, scene.rate))]
        for number, (start_s, end_s) in own.items()
    }
    cuts = _cuts(scene, own, shown, frames)
    spans = [
        Span(number=number, first=max(0, first), after=min(frames, after), start_s=own[number][0], end_s=own[number][1])
        for number, (first, after) in shown.items()
        if after > max(0, first)
    ]
    return Timeline(frames=frames, rate=scene.rate, spans=spans, cuts=cuts)


def rank(scene: Composition, number: int) -> tuple[int, int]:
    """Where an element is stacked: what is drawn later has the greater rank; of equal z the earlier is in front."""
    return int(scene.elements[number].get("z_index", 0)), -number


def _frame(at_s: float, rate: int) -> int:
    return math.floor(at_s * rate + 0.5)


def _lone_s(scene: Composition, lengths_s: Sequence[float | None]) -> float | None:
    if not scene.lone or lengths_s[0] is None:
        return None
    [one] = scene.elements
    found = one["time"] + max(0.0, lengths_s[0] - one["in_point"]) / one["speed"]
    if found > MAX_DURATION_S:
        raise LimitExceeded(f"The film would be longer than {MAX_DURATION_S:g} s.")
    return float(found) or None


def _cuts(
    scene: Composition, own: Mapping[int, tuple[float, float]], shown: dict[int, list[int]], frames: int
) -> list[Cut]:
    """The transitions that have both their ends; the frames of those ends grow and shrink to fit."""
    by_id: dict[str, int] = {}
    for number, element in enumerate(scene.elements):
        if element["id"] and element["visible"] and "opacity" in element:
            by_id.setdefault(element["id"], number)
    made = []
    for transition in scene.transitions:
        going, coming = by_id.get(transition["from_id"] or ""), by_id.get(transition["to_id"] or "")
        if going is None or coming is None or going == coming:
            continue
        cut = _cut(scene, transition, (going, coming), own, shown, frames)
        if cut is not None:
            made.append(cut)
    return made


def _cut(
    scene: Composition,
    transition: Mapping[str, Any],
    pair: tuple[int, int],
    own: Mapping[int, tuple[float, float]],
    shown: dict[int, list[int]],
    frames: int,
) -> Cut | None:
    going, coming = pair
    at_s = own[going][1]
    if own[coming][0] < at_s:  # they overlap already
        at_s = max(own[coming][0], own[going][0])
    first = _frame(at_s - transition["duration"] / 2, scene.rate)
    after = min(frames, _frame(at_s + transition["duration"] / 2, scene.rate))
    if after <= max(0, first):
        return None
    shown[going][1] = after
    shown[coming][0] = first
    shown[coming][1] = max(shown[coming][1], after)
    ranked = max(rank(scene, going), rank(scene, coming))
    if transition["z_index"] is not None:
        ranked = transition["z_index"], -min(going, coming)
    return Cut(type=transition["type"], going=going, coming=coming, first=first, after=after, rank=ranked)
