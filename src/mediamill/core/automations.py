"""An automation: a workflow that is kept, to be started by a call or by every new medium."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from mediamill.core import formats
from mediamill.core.errors import Invalid
from mediamill.core.ids import AutomationId, ProjectId
from mediamill.core.runs import MOST_TASKS
from mediamill.core.tasks import Source

MEDIA_CREATED = "media.created"
_DEEPEST = 20
_MOST_NAME = 200
_MOST_DESCRIPTION = 2000
_MEDIA = ("video", "audio", "image")


class Status(StrEnum):
    """Whether it may be started."""

    ACTIVE = "active"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAutomation:
    """A request for an automation as a dialect read it. `workflow`: the items in the caller's own words."""

    workflow: Sequence[Mapping[str, Any]]
    dialect: str = "mill"
    name: str | None = None
    description: str | None = None
    status: str = Status.ACTIVE
    trigger: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Automation:
    """The record. trigger: {"kind": "event", "event": "media.created"}, or None: started by calls alone."""

    id: AutomationId
    project_id: ProjectId
    dialect: str
    name: str | None
    description: str | None
    workflow: Sequence[Mapping[str, Any]]
    status: Status
    trigger: Mapping[str, Any] | None
    problem: str | None
    """Why its trigger could not start it the last time it should have; None once it could."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a start hands to a workflow: the input of the items that name none, and the run's metadata."""

    source: Source | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A start that a trigger has asked for."""

    id: int
    automation: Automation
    file_id: str
    tries: int


def is_medium(mime: str) -> bool:
    """Whether a new file of that type is a new medium."""
    return formats.family(mime) in _MEDIA


def check(changes: Mapping[str, Any]) -> None:
    """Raises Invalid for a name, description, workflow, status or trigger that cannot be kept."""
    for field, most in ("name", _MOST_NAME), ("description", _MOST_DESCRIPTION):
        value = changes.get(field)
        if value is not None and not (isinstance(value, str) and len(value) <= most):
            raise Invalid(field, f"must be text of at most {most} characters.")
    if "status" in changes and changes["status"] not in tuple(Status):
        raise Invalid("status", f"must be one of {', '.join(Status)}.")
    trigger = changes.get("trigger")
    if trigger is not None and (
        not isinstance(trigger, Mapping)
        or trigger.get("kind") != "event"
        or trigger.get("event") != MEDIA_CREATED
        or set(trigger) != {"kind", "event"}
    ):
        raise Invalid("trigger", f'must be {{"kind": "event", "event": "{MEDIA_CREATED}"}} or null.')
    if "workflow" in changes:
        _check_workflow(changes["workflow"])


def _check_workflow(workflow: Any) -> None:
    """Items with a kind, and in `next` such items again. What else they hold is their dialect's."""
    left: list[tuple[str, Any, int]] = [("workflow", workflow, 1)]
    count = 0
    while left:
        path, items, depth = left.pop()
        if not isinstance(items, list | tuple) or (depth == 1 and not items):
            raise Invalid(path, "must be a list of tasks" + (" that is not empty." if depth == 1 else "."))
        if depth > _DEEPEST:
            raise Invalid(path, f"is nested deeper than {_DEEPEST} levels.")
        count += len(items)
        if count > MOST_TASKS:
            raise Invalid("workflow", f"must have at most {MOST_TASKS} tasks.")
        for n, item in enumerate(items):
            if not isinstance(item, Mapping) or not isinstance(item.get("kind"), str) or not item["kind"]:
                raise Invalid(f"{path}.{n}.kind", "is needed: what to do.")
            if item.get("next") is not None:
                left.append((f"{path}.{n}.next", item["next"], depth + 1))
