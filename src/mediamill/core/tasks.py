"""A task: one thing asked of one kind. Its states, the moves between them, its attempts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from mediamill.core.files import File
from mediamill.core.ids import ProjectId, RunId, TaskId


class State(StrEnum):
    """Where a task stands. The drawing is in docs/states.md; dialects have their own words for these."""

    WAITING = "waiting"  # for a parent in its run
    INGESTING = "ingesting"  # an input URL is being, or waits to be, fetched
    DELAYED = "delayed"  # not before an instant
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        """Whether no move leaves this state."""
        return not NEXT[self]


_ENDS = {State.FAILED, State.CANCELLED}
NEXT: Mapping[State, frozenset[State]] = {
    State.WAITING: frozenset({State.INGESTING, State.DELAYED, State.QUEUED, *_ENDS}),
    State.INGESTING: frozenset({State.QUEUED, *_ENDS}),
    State.DELAYED: frozenset({State.QUEUED, State.INGESTING, State.RUNNING, *_ENDS}),
    State.QUEUED: frozenset({State.RUNNING, *_ENDS}),
    State.RUNNING: frozenset({State.QUEUED, State.DELAYED, State.SUCCEEDED, *_ENDS}),  # back: retry or lost worker
    State.SUCCEEDED: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}

MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One input as the caller named it: a stored file or a URL to fetch. A fetched URL has both."""

    file: str | None = None
    url: str | None = None
    filename: str | None = None
    connection: str | None = None
    """Whose credentials open an s3:// URL; the project's default is filled in when the task is accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Whose task it is beyond its project, and what it is grouped and found by. Most tasks have none of it.

    identifier: of a prompt, the name of what runs it. due_at: the nominal instant of the firing of `schedule_id` that
    started it. caller_id: the prompt whose function call asked for it; root_id: the first of such callers; depth: how
    many there are above. hold: why it is not on a queue yet: another task of its schedule has the turn, no worker runs
    its identifier, or an upload has not come. Of a new task, "upload" says that it may wait for one.
    """

    identifier: str | None = None
    schedule_id: str | None = None
    due_at: datetime | None = None
    caller_id: str | None = None
    root_id: str | None = None
    depth: int = 0
    batch_id: str | None = None
    tags: Sequence[str] = ()
    ttl_s: float | None = None
    """Seconds it may wait to be started, counted from the end of its delay."""
    hold: Literal["turn", "runner", "upload"] | None = None


NO_ORIGIN = Origin()


LAZY = "lazy"
"""In a task's `extra`: fetching its sources is a part of the work, as its caller sees it."""
KEPT_S = "kept_s"
"""In a task's `extra`: how long its results are kept, where that is less than others are."""
MOST_BYTES = "source_most_bytes"
"""In a task's `extra`: the most that one of its sources may have, where that is less than for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTask:
    """A request for a task as a dialect read it; nothing is checked yet but its types."""

    kind: str
    inputs: Sequence[Source] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    dialect: str = "mill"
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What the dialect must be able to say again (its own settings, flags); the core never reads it."""
    metadata: Mapping[str, Any] | None = None
    priority: int = 0
    not_before: datetime | None = None
    max_attempts: int = MAX_ATTEMPTS
    idempotency_key: str | None = None
    retry_of: str | None = None
    origin: Origin = NO_ORIGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a task or an attempt failed: `family` is its class (input, tool, limit, source, internal)."""

    code: str
    family: str
    message: str
    stage: str | None = None
    name: str | None = None
    """Of an error in a runner: what its class is called."""
    stack: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of an attempt; it lasts until the next begins or the attempt ends."""

    name: str
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One execution of a task. `log` holds the tool's last lines, `stage` the stage it is in or ended in."""

    number: int
    worker: str
    state: str  # running, succeeded, failed, cancelled, lost
    stage: str | None
    stages: Sequence[Stage]
    started_at: datetime
    finished_at: datetime | None
    error: Failure | None
    log: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """An input of a stored task; `file` is None while a URL is not fetched or once the file is gone."""

    file: File | None
    url: str | None
    connection: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A result; `file` is None once it has expired or was deleted."""

    file: File | None
    role: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The record every dialect words. Instants are aware UTC; progress is in [0, 1]."""

    id: TaskId
    project_id: ProjectId
    run_id: RunId
    kind: str
    dialect: str
    state: State
    stage: str | None
    progress: float
    options: Mapping[str, Any]
    extra: Mapping[str, Any]
    metadata: Mapping[str, Any] | None
    priority: int
    not_before: datetime | None
    attempt: int
    attempts_left: int
    max_attempts: int
    cancel_requested: bool
    error: Failure | None
    details: Mapping[str, Any]
    inputs: Sequence[Input]
    outputs: Sequence[Output]
    attempts: Sequence[Attempt]
    """Filled where one task is read; empty in lists."""
    retry_of: str | None
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    parent_id: str | None = None
    """The task whose `next` it is, in a run of several."""
    place: int | None = None
    """In the order of a run of several; None for a task alone in its run."""
    ref: str | None = None
    origin: Origin = NO_ORIGIN
    expires_at: datetime | None = None
    """When it ends if it has not been started by then."""

    @property
    def skipped(self) -> bool:
        """Whether a condition before it was not met: it is cancelled, and its run is none the worse."""
        return bool(self.details.get("skipped"))

    @property
    def result(self) -> File | None:
        """The file a caller asked for, if there is one."""
        return next((o.file for o in self.outputs if o.role == "result"), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """A place in a list ordered by (created_at, id)."""

    at: datetime
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What part of a list to show. Newest first unless `ascending`.

    after: rows that follow it in that order. before: the rows immediately preceding it, in the same order. Both:
    the rows strictly between, from `after` on.
    """

    limit: int = 20
    ascending: bool = False
    after: Cursor | None = None
    before: Cursor | None = None
    skip: int = 0
    """Rows to leave out first: for pages by number, which cost more the further they lie."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which tasks; conditions are joined by and. `text` matches ids and input names."""

    states: Sequence[State] | None = None
    kinds: Sequence[str] | None = None
    dialects: Sequence[str] | None = None
    run_id: str | None = None
    text: str | None = None
    started: bool | None = None
    """Of the unfinished, only those that have (not) been started before; finished tasks are not touched by it."""
    attempted: bool | None = None
    """Only those that a worker has (not) had in hand yet."""
    storing: bool | None = None
    """Only those whose results are (not) being stored."""
    lazy: bool | None = None
    """Only those that are (not) LAZY."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskList:
    """One page of tasks; `more` says whether others follow in the direction of travel."""

    items: Sequence[Task]
    more: bool


def backoff_s(attempt: int, *, first_s: float = 2.0, cap_s: float = 300.0) -> float:
    """Seconds to wait before the attempt after number `attempt` (from 1): doubles, up to the cap."""
    return min(cap_s, first_s * float(2 ** min(attempt - 1, 30)))
