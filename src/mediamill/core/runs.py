"""A run: tasks started together, some of which wait for others. Every task belongs to one, most are alone in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mediamill.core.ids import ProjectId, RunId
from mediamill.core.tasks import Failure, NewTask, State

MOST_TASKS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One task of a run to be.

    parent: the place of the task whose `next` this is. after: the place of the task whose success lets it go; None
    for one that goes at once. inherits: takes what that task made (or was given, if it made nothing) as its first
    input. Both places are below the node's own.
    """

    new: NewTask
    parent: int | None = None
    after: int | None = None
    inherits: bool = False
    ref: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """A request for a run as a dialect read it. `created_by`: the id of the key or automation that asks."""

    nodes: Sequence[Node]
    dialect: str = "mill"
    metadata: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What the dialect must be able to say again; the core never reads it."""
    created_by: str | None = None
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A task of a run in brief."""

    id: str
    kind: str
    dialect: str
    state: State
    stage: str | None
    progress: float
    error: Failure | None
    skipped: bool
    started_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The record of a run. state: waiting (nothing has started), running, succeeded, failed or cancelled.

    It succeeded when every task did, or was skipped by a condition; it failed when one did, after all others ended.
    """

    id: RunId
    project_id: ProjectId
    dialect: str
    state: str
    metadata: Mapping[str, Any] | None
    extra: Mapping[str, Any]
    created_by: str | None
    cancel_requested: bool
    error: Failure | None
    parts: Sequence[Part]
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None

    @property
    def final(self) -> bool:
        """Whether all of it has ended."""
        return self.finished_at is not None

    @property
    def progress(self) -> float:
        """The mean of its tasks in [0, 1]; what was skipped is not counted. Fetching an input is no progress yet."""
        counted = [part.progress if part.started_at else 0.0 for part in self.parts if not part.skipped]
        return sum(counted) / len(counted) if counted else float(self.final)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunList:
    """One page of runs; `more` says whether others follow in the direction of travel."""

    items: Sequence[Run]
    more: bool
