"""When what happened to a task, as bars: the wait in the queue, then each attempt and the waits between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mediamill.core.tasks import Task

WIDTH = 1000.0
_LEAST = 3.0  # a bar of a millisecond must still be seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One bar; x and width are in thousandths of the whole. `word` styles it: wait, or an attempt's state. `since`: of
    one that goes on, when it began."""

    name: str
    word: str
    x: float
    width: float
    took_s: float
    since: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """All bars, the stages within the attempts, and how long the whole took so far; since when, where it goes on."""

    bars: Sequence[Bar]
    stages: Sequence[Bar]
    total_s: float
    since: datetime | None = None


def timeline(task: Task, now: datetime) -> Timeline:
    """The bars of a task with its attempts."""
    start, end = task.created_at, task.finished_at or now
    total_s = max((end - start).total_seconds(), 1e-6)

    def bar(name: str, word: str, from_: datetime, to: datetime) -> Bar:
        x = max(0.0, (from_ - start).total_seconds() / total_s * WIDTH)
        width = max(_LEAST, (to - from_).total_seconds() / total_s * WIDTH)
        x = min(x, WIDTH - _LEAST)
        took_s = max(0.0, (to - from_).total_seconds())
        since = from_ if task.finished_at is None and to == end else None
        return Bar(
            name=name, word=word, x=round(x, 2), width=round(min(width, WIDTH - x), 2), took_s=took_s, since=since
        )

    bars: list[Bar] = []
    stages: list[Bar] = []
    at = start
    for attempt in task.attempts:
        bars.append(bar("waiting" if attempt.number == 1 else "between attempts", "wait", at, attempt.started_at))
        at = attempt.finished_at or end
        bars.append(bar(f"attempt {attempt.number}", attempt.state, attempt.started_at, at))
        ends = [*(stage.started_at for stage in attempt.stages[1:]), at]
        stages += [
            bar(stage.name, ("stage", "stage-odd")[n % 2], stage.started_at, to)
            for n, (stage, to) in enumerate(zip(attempt.stages, ends, strict=False))
        ]
    if not task.attempts or (not task.state.final and task.attempts[-1].finished_at is not None):
        bars.append(bar("waiting", "wait", at, end))
    return Timeline(bars=bars, stages=stages, total_s=total_s, since=None if task.finished_at else start)
