"""Bodies of prompts at work, which the core and the CLI call runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mediamill.core import prompts as core
from mediamill.core import tasks
from mediamill.core.errors import Invalid
from mediamill.core.prompts import KEY_LIFETIME_S, NewPrompt, PromptRun, Settings, read_delay, read_ttl
from mediamill.core.schedules import RUNNER
from mediamill.core.steps import Step
from mediamill.dialects import Links
from mediamill.dialects.mill import wire

StatusWord = Literal[
    "unserved",
    "delayed",
    "queued",
    "dequeued",
    "executing",
    "reattempting",
    "frozen",
    "completed",
    "canceled",
    "failed",
    "crashed",
    "interrupted",
    "system_failure",
    "expired",
    "timed_out",
]
Tag = Annotated[str, Meta(min_length=1, max_length=core.MOST_TAG)]
Tags = Annotated[list[Tag], Meta(max_length=core.MOST_TAGS)]
Word = Annotated[str, Meta(min_length=1, max_length=50)]
Key = Annotated[str, Meta(min_length=1, max_length=core.MOST_KEY)]


class PromptIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A prompt to be done. Limits that are not given are the install's."""

    prompt: Annotated[str, Meta(min_length=1, max_length=200_000)] | None = None
    identifier: Annotated[str, Meta(min_length=1, max_length=200, description="What runs it.")] = RUNNER
    model: Annotated[str, Meta(max_length=200)] | None = None
    payload: Annotated[Any, Meta(description="Data to work with.")] = None
    max_attempts: Annotated[int, Meta(ge=1, le=10)] | None = None
    max_steps: Annotated[int, Meta(ge=1, le=1000)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_cost_cents: Annotated[float, Meta(ge=0)] | None = None
    max_duration_s: Annotated[float, Meta(gt=0, le=86_400)] | None = None
    priority: Annotated[int, Meta(ge=-100, le=100, description="Higher goes first.")] = 0
    tags: Tags = []
    metadata: dict[str, Any] | None = None
    delay: Annotated[str, Meta(max_length=50, description="A duration such as 1h30m, or a date.")] | None = None
    ttl: Annotated[
        Annotated[str, Meta(max_length=50)] | Annotated[float, Meta(ge=0)] | None,
        Meta(description="How long it may wait to be started: a duration such as 1h30m, or seconds; 0: for ever."),
    ] = None
    idempotency_key: Annotated[Key | None, Meta(description="The same key answers the same run, unless it failed.")] = (
        None
    )
    idempotency_ttl: Annotated[Word | None, Meta(description="How long the key is kept; 30d.")] = None
    parent_id: Annotated[str, Meta(max_length=64, description="The run that starts it.")] | None = None
    is_test: bool = False


class BatchIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Prompts to start together, all or none."""

    items: Annotated[list[PromptIn], Meta(min_length=1, max_length=core.MOST_IN_BATCH)]


class DelayIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """When a delayed run is to be started."""

    delay: Annotated[str, Meta(max_length=50, description="A duration such as 1h30m from now, or a date.")]


class TagsIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Tags to add."""

    tags: Tags


class MetadataIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What the metadata is to be."""

    metadata: dict[str, Any]


class PromptErrorOut(msgspec.Struct, kw_only=True):
    """Why a run or an attempt failed. `stack`: where in the runner it happened."""

    code: str
    family: str = msgspec.field(name="class")
    name: str | None
    message: str
    stack: str | None


class TryOut(msgspec.Struct, kw_only=True):
    """One attempt."""

    number: int
    state: Literal["running", "succeeded", "failed", "cancelled", "lost"]
    worker: str
    started_at: datetime
    finished_at: datetime | None
    error: PromptErrorOut | None


class UsageOut(msgspec.Struct, kw_only=True):
    """Tokens over all attempts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class MadeOut(msgspec.Struct, kw_only=True):
    """A task that a run asked for."""

    id: str
    kind: str
    state: wire.StateWord


class TotalsOut(msgspec.Struct, kw_only=True):
    """What a run has done so far. `last`: its newest step."""

    model_calls: int
    function_calls: int
    prompt_tokens: int
    completion_tokens: int
    cost_cents: float
    last: str | None


class PromptLinks(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What can be done next."""

    self: str
    task: str
    steps: str
    replay: str
    cancel: str | UnsetType = UNSET
    reschedule: str | UnsetType = UNSET


class PromptOut(msgspec.Struct, kw_only=True):
    """A run of a prompt. `metadata.currentStep` and `metadata.logs` are the agent's own words."""

    id: str
    status: StatusWord
    identifier: str
    prompt: str | None
    model: str | None
    payload: Any
    priority: int
    tags: list[str]
    metadata: dict[str, Any] | None
    ttl: str | float | None
    delayed_until: datetime | None
    expires_at: datetime | None
    idempotency_key: str | None
    is_test: bool
    schedule_id: str | None
    due_at: datetime | None
    batch_id: str | None
    parent_id: str | None
    root_id: str | None
    depth: int
    retry_of: str | None
    attempt: int
    max_attempts: int
    cancel_requested: bool
    output: Any
    error: PromptErrorOut | None
    usage: UsageOut
    cost_cents: float
    duration_ms: float
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: PromptLinks


class PromptOneOut(PromptOut, kw_only=True):
    """A run with its attempts, the runs it started, the tasks it asked for, and what it has done."""

    attempts: list[TryOut]
    children: list[PromptOut]
    created: list[MadeOut]
    steps: TotalsOut


class PromptPage(msgspec.Struct, kw_only=True):
    """One page; next and prev are cursors for `after` and `before`."""

    data: list[PromptOut]
    next: str | None
    prev: str | None


class BatchOut(msgspec.Struct, kw_only=True):
    """Runs in the order asked. `cached`: which of them were there before."""

    id: str
    data: list[PromptOut]
    cached: list[bool]


class StepOut(msgspec.Struct, kw_only=True):
    """A model call or a function call of a run."""

    number: int
    attempt: int
    kind: Literal["model", "call"]
    name: str
    state: Literal["begun", "done", "failed"]
    request: dict[str, Any]
    result: Any
    prompt_tokens: int
    completion_tokens: int
    cost_cents: float
    started_at: datetime
    finished_at: datetime | None


class StepsOut(msgspec.Struct, kw_only=True):
    """All steps of a run, in order."""

    data: list[StepOut]


SHAPES = (PromptIn, BatchIn, DelayIn, TagsIn, MetadataIn, PromptOut, PromptOneOut, PromptPage, BatchOut, StepsOut)


def read_prompt(body: PromptIn, idempotency_key: str | None, max_attempts: int) -> NewPrompt:
    """A request as the core takes it; max_attempts: the install's. Raises Invalid."""
    lifetime_s = core.parse_duration(body.idempotency_ttl) if body.idempotency_ttl else KEY_LIFETIME_S
    if not lifetime_s:
        raise Invalid("idempotency_ttl", "must be a duration such as 30d.")
    return NewPrompt(
        identifier=body.identifier,
        prompt=body.prompt,
        model=body.model,
        payload=body.payload,
        settings=Settings(
            max_attempts=body.max_attempts or max_attempts,
            max_steps=body.max_steps,
            max_tokens=body.max_tokens,
            max_cost_cents=body.max_cost_cents,
            max_duration_s=body.max_duration_s,
            ttl_s=read_ttl(body.ttl),
            priority=body.priority,
            tags=body.tags,
            metadata=body.metadata,
        ),
        not_before=read_delay(body.delay, datetime.now(UTC)) if body.delay is not None else None,
        ttl=body.ttl,
        caller_id=body.parent_id,
        idempotency_key=idempotency_key or body.idempotency_key,
        idempotency_s=lifetime_s,
        is_test=body.is_test,
    )


def _error(error: tasks.Failure | None) -> PromptErrorOut | None:
    if error is None:
        return None
    return PromptErrorOut(
        code=error.code, family=error.family, name=error.name, message=error.message, stack=error.stack
    )


def _fields(task: tasks.Task, links: Links) -> dict[str, Any]:
    said, details, origin = task.extra.get("prompt") or {}, task.details, task.origin
    status = core.status(task)
    usage = details.get("usage") or {}
    here = f"{links.origin}/mill/prompts/{task.id}"
    delayed_until = said.get("delayed_until")
    return {
        "id": task.id,
        "status": status.value,
        "identifier": origin.identifier,
        "prompt": task.options.get("prompt"),
        "model": details.get("model") or task.options.get("model"),
        "payload": said.get("payload"),
        "priority": task.priority,
        "tags": list(origin.tags),
        "metadata": dict(task.metadata) if task.metadata is not None else None,
        "ttl": said.get("ttl"),
        "delayed_until": datetime.fromisoformat(delayed_until) if delayed_until else None,
        "expires_at": task.expires_at,
        "idempotency_key": said.get("idempotency_key"),
        "is_test": bool(said.get("is_test")),
        "schedule_id": origin.schedule_id,
        "due_at": origin.due_at,
        "batch_id": origin.batch_id,
        "parent_id": origin.caller_id,
        "root_id": origin.root_id,
        "depth": origin.depth,
        "retry_of": task.retry_of,
        "attempt": task.attempt,
        "max_attempts": task.max_attempts,
        "cancel_requested": task.cancel_requested,
        "output": details.get("output") if task.state is tasks.State.SUCCEEDED else None,
        "error": _error(task.error),
        "usage": UsageOut(
            prompt_tokens=usage.get("prompt_tokens", 0),
            completion_tokens=usage.get("completion_tokens", 0),
            total_tokens=usage.get("total_tokens", 0),
        ),
        "cost_cents": details.get("cost_cents", 0.0),
        "duration_ms": details.get("duration_ms", 0.0),
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "started_at": task.started_at,
        "finished_at": task.finished_at,
        "links": PromptLinks(
            self=here,
            task=f"{links.origin}/mill/tasks/{task.id}",
            steps=f"{here}/steps",
            replay=f"{here}/replay",
            cancel=UNSET if task.state.final else f"{here}/cancel",
            reschedule=f"{here}/reschedule" if status is core.Status.DELAYED else UNSET,
        ),
    }


def write_prompt(task: tasks.Task, links: Links) -> PromptOut:
    """A run as JSON."""
    return PromptOut(**_fields(task, links))


def write_one(run: PromptRun, links: Links) -> PromptOneOut:
    """A run that is read alone, as JSON."""
    return PromptOneOut(
        **_fields(run.task, links),
        attempts=[
            TryOut(
                number=attempt.number,
                state=attempt.state,  # type: ignore[arg-type]  # the column's own check holds it to these words
                worker=attempt.worker,
                started_at=attempt.started_at,
                finished_at=attempt.finished_at,
                error=_error(attempt.error),
            )
            for attempt in run.task.attempts
        ],
        children=[write_prompt(child, links) for child in run.children],
        created=[MadeOut(id=made.id, kind=made.kind, state=made.state.value) for made in run.created],
        steps=TotalsOut(
            model_calls=run.steps.model_calls,
            function_calls=run.steps.function_calls,
            prompt_tokens=run.steps.prompt_tokens,
            completion_tokens=run.steps.completion_tokens,
            cost_cents=run.steps.cost_cents,
            last=run.steps.last,
        ),
    )


def write_step(step: Step) -> StepOut:
    """A step as JSON."""
    return StepOut(
        number=step.number,
        attempt=step.attempt,
        kind=step.kind,
        name=step.name,
        state=step.state,
        request=dict(step.request),
        result=step.result,
        prompt_tokens=step.prompt_tokens,
        completion_tokens=step.completion_tokens,
        cost_cents=step.cost_cents,
        started_at=step.started_at,
        finished_at=step.finished_at,
    )
