"""Tasks and runs as they were when an event happened: `data` of an event is the object at that moment, whenever the
event is read or told again. Source: section 10.2 of the contract.

What a task is made of is written once, and what it came to is written at its end, so that the moment is known from the
kind of event, its time, and how far the task was, which the event carries.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from mediamill.core.events import EventType
from mediamill.core.runs import Part, Run
from mediamill.core.tasks import State, Task
from mediamill.core.webhooks import Event

_ENDS = frozenset({EventType.TASK_SUCCEEDED, EventType.TASK_FAILED, EventType.TASK_CANCELLED})
_RUN_ENDS = frozenset({EventType.RUN_SUCCEEDED, EventType.RUN_FAILED, EventType.RUN_CANCELLED})


def task_then(task: Task, event: Event) -> Task:
    """A task as it was."""
    if event.type in _ENDS:
        return task
    before = replace(task, error=None, finished_at=None, updated_at=event.created_at)
    if event.type == EventType.TASK_CREATED:
        return replace(before, state=State.WAITING, stage=None, progress=0.0, attempt=0, outputs=(), started_at=None)
    begun = _by(task.started_at, event.created_at)
    state = task.state
    if state.final or begun is None:
        state = State.INGESTING if begun is None else State.RUNNING
    progress = event.progress if event.progress is not None else 0.0
    return replace(before, state=state, stage=None, progress=progress, started_at=begun)


def run_then(run: Run, event: Event) -> Run:
    """A run as it was."""
    if event.type in _RUN_ENDS:
        return run
    begun = _by(run.started_at, event.created_at) if event.type != EventType.RUN_CREATED else None
    return replace(
        run,
        state="waiting" if begun is None else "running",
        error=None,
        started_at=begun,
        finished_at=None,
        updated_at=event.created_at,
        parts=[_part_then(part, event, new=begun is None) for part in run.parts],
    )


def _part_then(part: Part, event: Event, *, new: bool) -> Part:
    begun = None if new else _by(part.started_at, event.created_at)
    told = (event.parts or {}).get(part.id)
    if told is not None:
        state, stage, progress = State(told[0]), told[1], told[2]
        return replace(
            part,
            state=state,
            stage=stage,
            progress=progress,
            error=part.error if state is State.FAILED else None,
            skipped=part.skipped and state.final,
            started_at=begun,
        )
    # A run is told of when it begins: none of its tasks has ended by then.
    state = State.WAITING if begun is None else State.RUNNING
    return replace(part, state=state, stage=None, progress=0.0, error=None, skipped=False, started_at=begun)


def _by(instant: datetime | None, at: datetime) -> datetime | None:
    """The instant, if it had come by then."""
    return instant if instant is not None and instant <= at else None
