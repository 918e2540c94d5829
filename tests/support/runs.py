"""Schedules, runs of prompts and their steps as the service would hand them out; give only the fields that matter."""

from __future__ import annotations

from typing import Any

from tests.support.tasks import NOON, at, task

from mediamill.core.ids import ProjectId, ScheduleId
from mediamill.core.prompts import PromptRun
from mediamill.core.schedules import Schedule
from mediamill.core.steps import Step
from mediamill.core.tasks import Origin, Task


def schedule(**given: Any) -> Schedule:
    """Mornings in Madrid."""
    values: dict[str, Any] = {
        "id": ScheduleId("s1"),
        "uuid": "u1",
        "project_id": ProjectId("default"),
        "dialect": "mill",
        "identifier": "prompt",
        "title": "Digest",
        "prompt": "Say what is new.",
        "cron": "30 8 * * MON-FRI",
        "zone": "Europe/Madrid",
        "enabled": True,
        "model": None,
        "artist_id": None,
        "external_id": None,
        "dedup_key": None,
        "token": "sched_1",
        "overlap": "queue",
        "missed": "last",
        "missed_limit": 100,
        "settings": {},
        "next_at": None,
        "last_at": None,
        "created_at": NOON,
        "updated_at": NOON,
    }
    return Schedule(**{**values, **given})


def prompt(**given: Any) -> Task:
    """The task of a run of a prompt."""
    values: dict[str, Any] = {
        "kind": "prompt",
        "inputs": [],
        "options": {"prompt": "Say what is new.\nAll of it."},
        "origin": Origin(identifier="prompt"),
    }
    return task(**{**values, **given})


def run(**given: Any) -> PromptRun:
    """A run as it is read alone. What is no field of its own is its task's."""
    own = {name: given.pop(name) for name in ("root", "parent", "children", "created", "steps") if name in given}
    return PromptRun(task=prompt(**given), **own)


def step(number: int = 1, **given: Any) -> Step:
    """A model's answer, which took two seconds."""
    values: dict[str, Any] = {
        "task_id": "t1",
        "number": number,
        "attempt": 1,
        "kind": "model",
        "name": "local/small",
        "request": {"messages": number},
        "state": "done",
        "result": {"role": "assistant", "content": "Nothing.", "calls": [], "finish_reason": "stop", "model": "m"},
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "cost_cents": 0.5,
        "started_at": NOON,
        "finished_at": at(2),
    }
    return Step(**{**values, **given})
