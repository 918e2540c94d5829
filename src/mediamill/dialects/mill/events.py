"""The native dialect's bodies of webhooks: events, endpoints, deliveries."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mediamill.core import webhooks
from mediamill.core.errors import Invalid, NotFound
from mediamill.core.files import File
from mediamill.core.runs import Run
from mediamill.core.tasks import Task
from mediamill.dialects import Links
from mediamill.dialects.mill import wire
from mediamill.dialects.mill.runs import write_run

Url = Annotated[str, Meta(min_length=1, max_length=2048, description="Where events are posted.")]
Types = Annotated[
    list[Annotated[str, Meta(max_length=60)]],
    Meta(min_length=1, max_length=50, description='Types of events, as /mill/events/log has them; "*" is every type.'),
]


class EndpointIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """An endpoint to make."""

    url: Url
    types: Types = msgspec.field(default_factory=lambda: [webhooks.EVERYTHING])
    name: Annotated[str, Meta(max_length=200)] = ""


class EndpointChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change of an endpoint; what is not named stays."""

    url: Url | None = None
    types: Types | None = None
    name: Annotated[str, Meta(max_length=200)] | None = None
    state: Literal["active", "paused"] | None = None


class RotateIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How to change a secret."""

    overlap_s: Annotated[
        float, Meta(ge=0, le=604_800, description="Seconds for which the old secret signs beside the new one.")
    ] = 86_400.0


class ReplayIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which events to tell an endpoint again. first and last are ids of events, both included; open when left out."""

    first: Annotated[str, Meta(max_length=60)] | None = None
    last: Annotated[str, Meta(max_length=60)] | None = None
    since: datetime | None = None
    until: datetime | None = None
    types: Types | None = None
    missed: Annotated[bool, Meta(description="Only those that it has not answered well.")] = False


class ReplayOut(msgspec.Struct, kw_only=True):
    """How many events are told again. next: go on with it as `first`, there were more than one call takes."""

    count: int
    next: str | None


class EndpointOut(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An endpoint; `secret` is shown when it is made or changed, and never again. reason: why it is disabled."""

    id: str
    url: str
    types: list[str]
    name: str
    state: Literal["active", "paused", "disabled"]
    reason: str | None
    dialect: str
    created_at: datetime
    updated_at: datetime
    secret: str | UnsetType = UNSET


class EndpointPage(msgspec.Struct, kw_only=True):
    """All endpoints of the project."""

    data: list[EndpointOut]


class EventOut(msgspec.Struct, kw_only=True):
    """What happened: the body of a webhook. data is the task or the run as it was when this was written; or null."""

    id: str
    type: str
    created_at: datetime
    data: dict[str, Any] | None


class EventLine(msgspec.Struct, kw_only=True):
    """An event in the log: what happened to what."""

    id: str
    type: str
    created_at: datetime
    task_id: str | None
    run_id: str | None
    file_id: str | None


class EventLog(msgspec.Struct, kw_only=True):
    """One page; next and prev are cursors for `after` and `before`."""

    data: list[EventLine]
    next: str | None
    prev: str | None


class PostOut(msgspec.Struct, kw_only=True):
    """One attempt. Bodies are text, and the answer's is its beginning; status is null when there was no answer."""

    number: int
    url: str
    started_at: datetime
    took_s: float
    request_headers: dict[str, str]
    request_body: str
    status: int | None
    response_headers: dict[str, str]
    response_body: str
    error: str | None


class DeliveryOut(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An event on its way to one address. endpoint_id is null for an address that a task named. log: in order."""

    id: str
    event_id: str
    type: str
    endpoint_id: str | None
    task_id: str | None
    run_id: str | None
    url: str
    state: Literal["pending", "delivered", "failed", "disabled"]
    attempts: int
    next_attempt_at: datetime | None
    status: int | None
    error: str | None
    replay_of: str | None
    created_at: datetime
    updated_at: datetime
    log: list[PostOut] | UnsetType = UNSET


class DeliveryPage(msgspec.Struct, kw_only=True):
    """One page; next and prev are cursors for `after` and `before`."""

    data: list[DeliveryOut]
    next: str | None
    prev: str | None


SHAPES = (
    EndpointIn,
    EndpointChange,
    RotateIn,
    ReplayIn,
    ReplayOut,
    EndpointOut,
    EndpointPage,
    EventOut,
    EventLog,
    DeliveryOut,
    DeliveryPage,
)


def write_event(event: webhooks.Event, subject: Task | Run | File | None, links: Links) -> EventOut:
    """What a webhook says."""
    words = (
        wire.write_task(subject, links)
        if isinstance(subject, Task)
        else write_run(subject, links)
        if isinstance(subject, Run)
        else wire.write_file(subject, links)
        if subject
        else None
    )
    data = msgspec.to_builtins(words, builtin_types=(datetime,)) if words is not None else None
    return EventOut(id=webhooks.event_id(event.id), type=event.type, created_at=event.created_at, data=data)


def write_line(event: webhooks.Event) -> EventLine:
    """An event in the log."""
    return EventLine(
        id=webhooks.event_id(event.id),
        type=event.type,
        created_at=event.created_at,
        task_id=event.task_id,
        run_id=event.run_id,
        file_id=event.file_id,
    )


def write_endpoint(endpoint: webhooks.Endpoint, secret: str | None = None) -> EndpointOut:
    """An endpoint as JSON."""
    return EndpointOut(
        id=endpoint.id,
        url=endpoint.url,
        types=list(endpoint.types),
        name=endpoint.name,
        state=endpoint.state.value,
        reason=endpoint.reason,
        dialect=endpoint.dialect,
        created_at=endpoint.created_at,
        updated_at=endpoint.updated_at,
        secret=secret if secret is not None else UNSET,
    )


def write_delivery(delivery: webhooks.Delivery, *, log: bool = False) -> DeliveryOut:
    """A delivery as JSON."""
    return DeliveryOut(
        id=webhooks.delivery_id(delivery.id),
        event_id=webhooks.event_id(delivery.event_id),
        type=delivery.type,
        endpoint_id=delivery.endpoint_id,
        task_id=delivery.task_id,
        run_id=delivery.run_id,
        url=delivery.url,
        state=delivery.state.value,
        attempts=delivery.attempts,
        next_attempt_at=delivery.next_attempt_at,
        status=delivery.status,
        error=delivery.error,
        replay_of=webhooks.delivery_id(delivery.replay_of) if delivery.replay_of is not None else None,
        created_at=delivery.created_at,
        updated_at=delivery.updated_at,
        log=[_post(attempt) for attempt in delivery.log] if log else UNSET,
    )


def read_span(body: ReplayIn) -> webhooks.Span:
    """Which events to tell again. Raises Invalid."""
    return webhooks.Span(
        first=_number("first", body.first),
        last=_number("last", body.last),
        since=_instant("since", body.since),
        until=_instant("until", body.until),
        types=None if body.types is None or webhooks.EVERYTHING in body.types else body.types,
        missed=body.missed,
    )


def event_number(word: str) -> int:
    """The event of an id in a path. Raises NotFound."""
    number = webhooks.read_id("evt_", word)
    if number is None:
        raise NotFound("event", word[:60])
    return number


def delivery_number(word: str) -> int:
    """The delivery of an id in a path. Raises NotFound."""
    number = webhooks.read_id("dlv_", word)
    if number is None:
        raise NotFound("delivery", word[:60])
    return number


def _number(field: str, word: str | None) -> int | None:
    if word is None:
        return None
    number = webhooks.read_id("evt_", word)
    if number is None:
        raise Invalid(field, "is not the id of an event.")
    return number


def _instant(field: str, instant: datetime | None) -> datetime | None:
    if instant is None:
        return None
    if instant.tzinfo is None:
        raise Invalid(field, "needs an offset, like 2030-01-01T00:00:00Z.")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise Invalid(field, "lies outside the years 1 to 9999.") from None


def _post(attempt: webhooks.Attempt) -> PostOut:
    return PostOut(
        number=attempt.number,
        url=attempt.url,
        started_at=attempt.started_at,
        took_s=round(attempt.took_s, 4),
        request_headers=dict(attempt.request_headers),
        request_body=attempt.request_body.decode("utf-8", "replace"),
        status=attempt.status,
        response_headers=dict(attempt.response_headers),
        response_body=attempt.response_body.decode("utf-8", "replace"),
        error=attempt.error,
    )
