"""A prompt at work: a task of kind prompt, which an agent does step by step. Dialects call it a run.

Its record is its task: `origin` says what started it and what it is grouped by, `extra["prompt"]` what only dialects
say again (see `Said`), `details` what came of it (see `Outcome`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypedDict

from mediamill.core.schedules import RUNNER
from mediamill.core.tasks import MAX_ATTEMPTS

KIND = "prompt"
LONGEST_S = 900.0
"""Default limit of one run's work over all attempts."""
MOST_STEPS = 30
MOST_TAGS = 10
MOST_TAG = 128


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
    idempotency_s: float = 30 * 86400.0
    is_test: bool = False
    function: str = "trigger"
    dialect: str = "mill"
    extra: Mapping[str, Any] = field(default_factory=dict)


class Said(TypedDict, total=False):
    """`extra["prompt"]`: what is said again as it was given."""

    payload: Any
    ttl: str | float | None
    idempotency_key: str | None
    is_test: bool
    function: str
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
