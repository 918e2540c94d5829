"""What moves a task through its life: accepted, taken by a worker, finished. Each hop hands one value forward."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mediamill.core.files import NewFile
from mediamill.core.runs import NewRun
from mediamill.core.tasks import Failure, NewTask, State, Task

FILE_JOB = "file:"
"""Before a file's id in a queue entry: look for its facts. Every other entry is a task's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """Of a task whose kind is limited by the month: what it will come to, and the most that a project may have.

    Until a task has ended, it counts with `reserved_s`, which stands in its `extra` under RESERVED.
    """

    seconds: float | None
    """None: only its file knows."""
    reserved_s: float
    most_s: float


RESERVED = "reserved_s"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept:
    """A checked task to write. `label` is what people search by: the input's name."""

    new: NewTask
    project_id: str
    queue: str
    label: str
    body_hash: bytes | None = None
    scope: str = ""
    key_s: float | None = None
    """How long its idempotency key is kept. Such a key answers whatever the body says, and a failed task frees it."""
    in_flight_limit: int | None = None
    meter: Meter | None = None
    inherits: bool = False
    """Whether its first input will be what another task of its run makes."""
    created_by: str | None = None
    """The id of the key that asks, for the run of a task alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptRun:
    """A checked run to write; `items` stand beside the nodes of `new`."""

    new: NewRun
    project_id: str
    items: Sequence[Accept]


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """A dispatched job to start."""

    task_id: str
    job_id: int
    worker: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A started task: only the holder of `fence` can finish it."""

    task: Task
    fence: uuid.UUID
    job_id: int
    resumed: bool
    """Whether an earlier attempt was lost."""
    run_metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the caller gave with a run of several."""


Stages = Sequence[tuple[str, float]]
"""(name, seconds after the attempt's start) of each stage so far. Offsets, because two machines' clocks differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """How far an attempt is."""

    task_id: str
    fence: uuid.UUID
    stage: str
    progress: float
    stages: Stages = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """The end of an attempt. A state that is not final means another try after `retry_in_s`, or, with `inputs`, on to
    the work itself."""

    task_id: str
    fence: uuid.UUID
    job_id: int
    state: State
    error: Failure | None = None
    log: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    outputs: Sequence[tuple[str, NewFile]] = ()
    """(role, file) in order."""
    inputs: Sequence[NewFile] | None = None
    """Fetched inputs, one for each URL of the task in order: the task goes from INGESTING on to its queue."""
    input_facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    retry_in_s: float = 0.0
    given_back: bool = False
    """Whether the attempt was given up for a reason of the worker's own (it is stopping), and does not count."""
    lifetime_s: float | None = None
    stages: Stages = ()
    reuse_key: bytes | None = None
    """What the result is found by when the same is asked again."""
    new_media: bool = False
    """Whether the result is a caller's new file, which automations may wait for."""
    media: Mapping[str, Any] | None = None
    """Where the result belongs, for dialects that keep files in media; see `store.media.join`."""
    lone: bool = False
    """Whether the task is known to be alone in its run, so that nothing waits for it."""


class Unwritable(ValueError):
    """A value that the record cannot hold: another try would end alike."""
