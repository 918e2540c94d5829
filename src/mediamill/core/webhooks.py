"""Webhooks: where events are told to (endpoints), the telling (deliveries), and when it is tried again (the ladder)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

from mediamill.core.events import EventType
from mediamill.core.ids import ProjectId

TEST = "endpoint.test"
"""The type of the event of a test send; it goes to the endpoint that is tested and to no other."""
SENT = "prompt.webhook"
"""The type of the event of a webhook that a prompt's run sends; it goes to the address that the run names."""
EVERYTHING = "*"
"""As a type an endpoint wants: every event there is, and those to come."""

LADDER_S = (0.0, 5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
"""Seconds before each try, counted from the failure of the one before: over three days in all."""
JITTER = 0.1
"""Each wait is made longer by up to this share, so that what failed together does not come back together."""
LONGEST_RETRY_AFTER_S = 86_400.0
MOST_ENDPOINTS = 100
"""In one project. Each costs a row for every event it wants, in the transaction of the change."""

_SPREAD = 0x9E3779B97F4A7C15  # odd, so that multiplying by it modulo 2**64 can be undone (Knuth's golden ratio)
_UNSPREAD = pow(_SPREAD, -1, 1 << 64)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


class EndpointState(StrEnum):
    """Whether an endpoint is told of what happens."""

    ACTIVE = "active"
    PAUSED = "paused"  # by its owner
    DISABLED = "disabled"  # by itself: it answered 410


class DeliveryState(StrEnum):
    """Where a delivery stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # the ladder has no rung left, or the address is never allowed
    DISABLED = "disabled"  # its endpoint is paused or disabled; it goes on when that is active again


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """An address and what it wants to hear. `topics` are the dialect's own words for `types`. No secret is in it."""

    id: str
    project_id: ProjectId
    dialect: str
    name: str
    url: str
    topics: Sequence[str]
    types: Sequence[str]
    state: EndpointState
    reason: str | None
    """Why it is disabled."""
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEndpoint:
    """An endpoint to make."""

    url: str
    types: Sequence[str]
    topics: Sequence[str] = ()
    """The dialect's words; the types themselves when empty."""
    dialect: str = "mill"
    name: str = ""
    origin: str | None = None
    """Scheme and host of the links it is sent."""
    only_of: Sequence[str] | None = None
    """Of its types only these: "kind type", the kind empty for an event of no task. None: of whatever kind."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What happened to what. `id` counts up; on the wire it is `event_id(id)`.

    progress: how far the task was in [0, 1], on events that tell of it. parts: how the tasks of a run stood, by id, as
    (state, stage, progress), on events that tell of it while it goes on.
    """

    id: int
    project_id: ProjectId
    type: str
    task_id: str | None
    run_id: str | None
    file_id: str | None
    created_at: datetime
    progress: float | None = None
    parts: Mapping[str, tuple[str, str | None, float]] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One post and what came of it. `status` is None when there was no answer; `error` says why then."""

    number: int
    url: str
    started_at: datetime
    took_s: float
    request_headers: Mapping[str, str]
    request_body: bytes
    status: int | None
    response_headers: Mapping[str, str]
    response_body: bytes
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event on its way to one address. `endpoint_id` is None for an address that a task named itself."""

    id: int
    project_id: ProjectId
    endpoint_id: str | None
    url: str
    event_id: int
    type: str
    task_id: str | None
    run_id: str | None
    state: DeliveryState
    attempts: int
    next_attempt_at: datetime | None
    status: int | None
    error: str | None
    replay_of: int | None
    created_at: datetime
    updated_at: datetime
    log: Sequence[Attempt] = ()
    """Filled where one delivery is read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A delivery that was claimed for one attempt. `number` is the attempt's, and the fence of its end."""

    id: int
    number: int
    step: int
    lane: str
    url: str | None
    """None when the endpoint is gone."""
    endpoint_id: str | None
    dialect: str | None
    """None for an address that a task named: the task's own."""
    origin: str | None
    active: bool
    body: Any
    """What to post as it is; None: the event, in words."""
    secrets: Sequence[bytes] = field(repr=False)
    event: Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How an attempt ended, to be written. `attempt` is None when nothing was sent."""

    id: int
    number: int
    outcome: Outcome
    attempt: Attempt | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """What part of the log of events to show; ids are exclusive. Newest first unless `ascending`."""

    limit: int = 20
    ascending: bool = False
    after: int | None = None
    before: int | None = None
    types: Sequence[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """One post of a delivery, for lists of posts. `attempt` is None for one that is still to come; `kind` is the
    task's, None where it is told of none."""

    delivery: Delivery
    attempt: Attempt | None
    kind: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPage:
    """What part of the deliveries to show; newest first unless `ascending`, ids exclusive."""

    limit: int = 20
    ascending: bool = False
    after: int | None = None
    before: int | None = None
    endpoint_id: str | None = None
    task_id: str | None = None
    event_id: int | None = None
    states: Sequence[DeliveryState] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Which events to tell again: ids are inclusive, instants say when they happened. Open ends are open."""

    first: int | None = None
    last: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    types: Sequence[str] | None = None
    missed: bool = False
    """Only those that the endpoint has not answered well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an attempt comes to. retry_in_s: None when it is the last."""

    state: DeliveryState
    retry_in_s: float | None = None
    hold_s: float = 0.0
    """How long its endpoint asked to be left alone altogether."""
    disable: str | None = None
    """Why the endpoint is to be disabled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came back from a post, if anything. `final`: the address can never be posted to."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    final: bool = False


def outcome(heard: Heard, step: int, now: datetime, jitter: float) -> Outcome:
    """What follows from the answer to try number `step` (from 0). `jitter` is in [0, 1)."""
    if heard.status is not None and 200 <= heard.status < 300:
        return Outcome(state=DeliveryState.DELIVERED)
    if heard.status == 410:
        return Outcome(state=DeliveryState.FAILED, disable="It answered 410 Gone.")
    if heard.final or step + 1 >= len(LADDER_S):
        return Outcome(state=DeliveryState.FAILED)
    asked_s = retry_after_s(heard.headers.get("retry-after"), now)
    wait_s = LADDER_S[step + 1] if asked_s is None else asked_s
    return Outcome(
        state=DeliveryState.PENDING, retry_in_s=wait_s * (1 + JITTER * jitter), hold_s=asked_s if asked_s else 0.0
    )


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After asks for (RFC 9110 10.2.3: seconds or a date), 1 to a day; None: none, or rubbish."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        asked_s = float(text[:12])
    else:
        try:
            asked_s = (parsedate_to_datetime(text) - now).total_seconds()
        except (ValueError, TypeError, OverflowError):  # the last: of numbers that no clock shows
            return None
    return min(max(asked_s, 1.0), LONGEST_RETRY_AFTER_S)


def event_id(number: int) -> str:
    """The id of an event on the wire: the same for ever, and no hint of how many there are."""
    return "evt_" + _spread(number)


def delivery_id(number: int) -> str:
    """The id of a delivery on the wire."""
    return "dlv_" + _spread(number)


def read_id(prefix: str, word: str) -> int | None:
    """The number behind an id of `event_id` or `delivery_id`; None when it is no such id."""
    digits = word.removeprefix(prefix)
    if len(digits) != 13 or digits == word or not all(digit in _DIGITS for digit in digits):
        return None
    number = int(digits, 36) * _UNSPREAD % (1 << 64)
    return number if 0 < number < 1 << 63 and _spread(number) == digits else None


def _spread(number: int) -> str:
    rest = number * _SPREAD % (1 << 64)
    digits = []
    for _ in range(13):  # 36 ** 13 is just above 2 ** 65
        rest, digit = divmod(rest, 36)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def every_type() -> tuple[str, ...]:
    """The types an endpoint may ask for."""
    return tuple(EventType)
