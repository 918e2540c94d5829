"""A prompt at work: a task of kind prompt, which an agent does step by step. Dialects call it a run.

Its record is its task: `origin` says what started it and what it is grouped by, `extra["prompt"]` what only dialects
say again (see `Said`), `details` what came of it (see `Outcome`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple, TypedDict

from mediamill.core.errors import Invalid
from mediamill.core.schedules import RUNNER
from mediamill.core.tasks import MAX_ATTEMPTS, NewTask, Origin, State, Task

KIND = "prompt"
LONGEST_S = 900.0
"""Default limit of one run's work over all attempts."""
MOST_TAGS = 10
"""Of the caller's own; those that the server sets come beside them."""
MOST_TAG = 128
MOST_KEY = 2048
MOST_IN_BATCH = 500
MOST_DEPTH = 16
"""How deep runs may start runs."""
LONGEST_TTL_S = 14 * 86400.0
LONGEST_DELAY_S = 366 * 86400.0
KEY_LIFETIME_S = 30 * 86400.0
OWN_METADATA = frozenset(("currentStep", "logs"))
"""Keys of a run's metadata that the agent writes while it works; a replay starts without them."""


class Status(StrEnum):
    """How a prompt stands, finer than a task's state."""

    UNSERVED = "unserved"  # no worker runs its identifier yet
    DELAYED = "delayed"
    QUEUED = "queued"
    DEQUEUED = "dequeued"  # taken, and nothing done yet
    EXECUTING = "executing"
    REATTEMPTING = "reattempting"  # an attempt failed, the next comes after its backoff
    FROZEN = "frozen"  # waits for a task or a run it started
    COMPLETED = "completed"
    CANCELED = "canceled"
    FAILED = "failed"
    CRASHED = "crashed"  # its worker died while others lived, and no attempts are left
    INTERRUPTED = "interrupted"  # the server was stopped or restarted, and no attempts are left
    SYSTEM_FAILURE = "system_failure"  # our own fault
    EXPIRED = "expired"  # not started within its ttl
    TIMED_OUT = "timed_out"


STAGE_WAITS = "waits"
"""The stage of an attempt that waits for a task or a run it started: FROZEN."""
CODES = {
    "crashed": Status.CRASHED,
    "interrupted": Status.INTERRUPTED,
    "system_failure": Status.SYSTEM_FAILURE,
    "expired": Status.EXPIRED,
    "timed_out": Status.TIMED_OUT,
}
"""Codes of a failed task's error that have a status of their own; every other is FAILED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Limits of a run; None: the install's."""

    max_attempts: int = MAX_ATTEMPTS
    max_steps: int | None = None
    max_tokens: int | None = None
    max_cost_cents: float | None = None
    max_duration_s: float | None = None
    ttl_s: float | None = None
    priority: int = 0
    tags: Sequence[str] = ()
    """The caller's own."""
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPrompt:
    """A request for a run as a dialect read it.

    prompt: None where the runner finds it (by the schedule, or by `payload["externalId"]`). caller_id: the run that
    asks for it. idempotency_key: what is compared; shown_key: what is said again.
    """

    identifier: str = RUNNER
    prompt: str | None = None
    model: str | None = None
    payload: Any = None
    settings: Settings = Settings()
    schedule_id: str | None = None
    not_before: datetime | None = None
    ttl: str | float | None = None
    """As the caller wrote it; `settings.ttl_s` is what counts."""
    caller_id: str | None = None
    batch_id: str | None = None
    idempotency_key: str | None = None
    shown_key: str | None = None
    idempotency_s: float = KEY_LIFETIME_S
    is_test: bool = False
    function: str = "trigger"
    server_tags: Sequence[str] = ()
    """Set by the server, beside the caller's."""
    retry_of: str | None = None
    dialect: str = "mill"
    extra: Mapping[str, Any] = field(default_factory=dict)


class Said(TypedDict, total=False):
    """`extra["prompt"]`: what is said again as it was given."""

    payload: Any
    ttl: str | float | None
    idempotency_key: str | None
    is_test: bool
    function: str
    server_tags: Sequence[str]
    delayed_until: str
    """ISO 8601: when it was to start; a task's own not_before also moves with each backoff."""
    schedule: Mapping[str, Any]
    """The schedule as it was when it fired: token, external_id, dedup_key, cron, zone."""


class Outcome(TypedDict, total=False):
    """`details`: kept up to date at the end of each attempt."""

    output: Any
    model: str
    usage: Mapping[str, int]
    """prompt_tokens, completion_tokens, total_tokens, over all attempts."""
    cost_cents: float
    duration_ms: float
    """Execution over all attempts, without queueing, waiting and backoff."""
    engine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptFilter:
    """Which runs; conditions are joined by and."""

    statuses: Sequence[Status] | None = None
    identifiers: Sequence[str] | None = None
    tags: Sequence[str] | None = None
    schedule_ids: Sequence[str] | None = None
    batch_id: str | None = None
    is_test: bool | None = None
    created_from: datetime | None = None
    created_to: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTotals:
    """What a run has done so far, its lost attempts included."""

    model_calls: int = 0
    function_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_cents: float = 0.0
    last: str | None = None
    """The name of the newest step: the model or the function."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptRun:
    """A run as it is read alone: its task with its attempts, and those it belongs with, without theirs.

    children: the runs it started; created: the other tasks it asked for; oldest first.
    """

    task: Task
    root: Task | None = None
    parent: Task | None = None
    children: Sequence[Task] = ()
    created: Sequence[Task] = ()
    steps: StepTotals = StepTotals()


class Recent(NamedTuple):
    """One of the newest runs of a schedule; a reader who knows it as of `updated_at` need not read it again.

    A tuple, because there are thousands of them at a time.
    """

    schedule_id: str
    id: str
    updated_at: datetime


def status(task: Task, now: datetime | None = None) -> Status:
    """How a prompt stands. `store.prompts` says the same in SQL."""
    match task.state:
        case State.WAITING:
            return Status.UNSERVED if task.origin.hold == "runner" else Status.QUEUED
        case State.QUEUED | State.DELAYED if task.attempt > 0:
            return Status.REATTEMPTING
        case State.DELAYED:
            due = task.not_before is None or task.not_before <= (now or datetime.now(UTC))
            return Status.QUEUED if due else Status.DELAYED
        case State.RUNNING:
            if task.stage is None:
                return Status.DEQUEUED
            return Status.FROZEN if task.stage == STAGE_WAITS else Status.EXECUTING
        case State.SUCCEEDED:
            return Status.COMPLETED
        case State.CANCELLED:
            return Status.CANCELED
        case State.FAILED:
            return CODES.get(task.error.code, Status.FAILED) if task.error else Status.FAILED
        case _:
            return Status.QUEUED


_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)hr?)?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_SECONDS = (7 * 86400, 86400, 3600, 60, 1)


def parse_duration(text: str) -> float | None:
    """The seconds of "1h30m": weeks, days, hours (h or hr), minutes and seconds in that order. None: it is none."""
    found = _DURATION.fullmatch(text) if 0 < len(text) <= 50 else None
    if found is None:
        return None
    return float(sum(int(part) * each for part, each in zip(found.groups(), _SECONDS, strict=True) if part))


def read_delay(delay: str | datetime, now: datetime) -> datetime:
    """The instant that a duration from now, or a date, says. Raises Invalid."""
    at = delay if isinstance(delay, datetime) else None
    if isinstance(delay, str):
        seconds = parse_duration(delay)
        if seconds is not None and seconds <= LONGEST_DELAY_S:
            return now + timedelta(seconds=seconds)
        try:
            at = datetime.fromisoformat(delay) if seconds is None else None
        except ValueError:
            at = None
        if at is None and seconds is None:
            raise Invalid("delay", "must be a duration such as 1h30m, or a date.")
    if at is not None and at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    if at is None or (at - now).total_seconds() > LONGEST_DELAY_S:
        raise Invalid("delay", "must be within a year from now.")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        return now  # before the first year by our clock: long past, as any other date of old


def read_ttl(ttl: str | float | None) -> float | None:
    """The seconds a run may wait to be started; None: as long as it takes, which 0 says, too. Raises Invalid."""
    seconds = parse_duration(ttl) if isinstance(ttl, str) else ttl
    if seconds is None and ttl is None:
        return None
    if seconds is None or not 0 <= seconds < float("inf"):
        raise Invalid("ttl", "must be a duration such as 1h30m, or seconds.")
    return min(float(seconds), LONGEST_TTL_S) or None


def check_tags(tags: Sequence[str], field: str = "tags") -> list[str]:
    """A caller's tags, each once. Raises Invalid for too many, or for one that is too long."""
    found = list(dict.fromkeys(tags))
    for n, tag in enumerate(found):
        if not 1 <= len(tag) <= MOST_TAG:
            raise Invalid(f"{field}.{n}", f"must be 1 to {MOST_TAG} characters.")
    if len(found) > MOST_TAGS:
        raise Invalid(field, f"must be at most {MOST_TAGS}.")
    return found


def as_task(new: NewPrompt, *, due_at: datetime | None = None, schedule: Mapping[str, Any] | None = None) -> NewTask:
    """The task that does it; nothing is checked but its tags and its ttl. Raises Invalid.

    due_at: the nominal instant of the firing that starts it; schedule: as it is then, see `Said`.
    """
    settings = new.settings
    own = [tag for tag in check_tags(settings.tags) if tag not in new.server_tags]
    said: Said = {"function": new.function, "is_test": new.is_test}
    for name, value in (
        ("payload", new.payload),
        ("ttl", new.ttl),
        ("idempotency_key", new.shown_key or new.idempotency_key),
        ("schedule", schedule),
        ("server_tags", list(new.server_tags) or None),
        ("delayed_until", new.not_before.isoformat() if new.not_before else None),
    ):
        if value is not None:
            said[name] = value  # type: ignore[literal-required]  # the keys of Said, one by one
    options = {
        "prompt": new.prompt,
        "model": new.model,
        "payload": new.payload,
        "max_steps": settings.max_steps,
        "max_tokens": settings.max_tokens,
        "max_cost_cents": settings.max_cost_cents,
        "max_duration_s": settings.max_duration_s,
    }
    return NewTask(
        kind=KIND,
        options={name: value for name, value in options.items() if value is not None},
        dialect=new.dialect,
        extra={**new.extra, "prompt": said},
        metadata=settings.metadata,
        priority=settings.priority,
        not_before=new.not_before,
        max_attempts=settings.max_attempts,
        idempotency_key=new.idempotency_key,
        retry_of=new.retry_of,
        origin=Origin(
            identifier=new.identifier,
            schedule_id=new.schedule_id,
            due_at=due_at,
            caller_id=new.caller_id,
            batch_id=new.batch_id,
            tags=(*new.server_tags, *own),
            ttl_s=read_ttl(settings.ttl_s),
        ),
    )
