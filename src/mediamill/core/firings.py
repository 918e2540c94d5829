"""What a schedule starts when it fires, and which of the instants that have passed it fires for."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mediamill.core.dispatch import Accept
from mediamill.core.prompts import NewPrompt, Settings, as_task
from mediamill.core.schedules import LATE_S, Missed, Overlap, Schedule
from mediamill.core.tasks import MAX_ATTEMPTS

SHOWN = 10
"""How many coming instants the payload of a firing and the dialects show."""
_TOKEN = "123456789abcdefghijkmnopqrstuvwxyz"  # noqa: S105 - an alphabet: no 0 and no l, which are misread


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """The kind of task that a firing is. options: the names of those that the kind takes; max_attempts: of schedules
    that do not say."""

    kind: str
    queue: str
    options: frozenset[str] = frozenset()
    max_attempts: int = MAX_ATTEMPTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is to be done for a schedule that is due: its tasks by their instants, and when it is due next."""

    tasks: Sequence[Accept]
    next_at: datetime | None
    patience_s: float | None = None
    """How long a task may wait for its turn: until the next comes, so that at most one waits."""


def new_token() -> str:
    """A fresh name for a schedule that was enabled."""
    return "sched_" + "".join(secrets.choice(_TOKEN) for _ in range(21))


def tags_of(schedule: Schedule, account_id: str | None) -> Sequence[str]:
    """What the server tags its runs with."""
    return [*([f"account:{account_id}"] if account_id is not None else []), f"task:{schedule.uuid}"]


def kept(passed: Sequence[datetime], now: datetime, missed: Missed, limit: int) -> list[datetime]:
    """Of the instants that have passed (ascending), those to fire for.

    What is not a minute late yet was not missed. Of those that were: none; the last, unless a later one is fired for
    anyway; or the last `limit`.
    """
    edge = now - timedelta(seconds=LATE_S)
    in_time = [instant for instant in passed if instant >= edge]
    late = [instant for instant in passed if instant < edge]
    match missed:
        case "none":
            made_up: list[datetime] = []
        case "last":
            made_up = [] if in_time else late[-1:]
        case "all":
            made_up = late[-limit:] if limit > 0 else []
    return made_up + in_time


def hold(overlap: Overlap, busy: bool) -> bool | None:
    """Whether a firing waits for its turn; None where it is let go by. busy: whether an earlier task has not ended."""
    if not busy:
        return False
    return None if overlap == "skip" else True


def task_of(
    schedule: Schedule,
    runner: Runner,
    *,
    due_at: datetime | None,
    upcoming: Sequence[datetime],
    now: datetime,
    last_at: datetime | None,
    served: bool,
    server_tags: Sequence[str] = (),
) -> Accept:
    """The task of one firing; due_at: None where somebody runs it now.

    served: whether a worker runs its identifier; if not, it waits for one that does.
    """
    settings = Settings(**{"max_attempts": runner.max_attempts, **schedule.settings})
    new = as_task(
        NewPrompt(
            identifier=schedule.identifier,
            prompt=schedule.prompt,
            model=schedule.model,
            payload=_payload(schedule, due_at or now, last_at, upcoming),
            settings=settings,
            schedule_id=schedule.id,
            server_tags=server_tags,
            dialect=schedule.dialect,
        ),
        due_at=due_at,
        schedule={
            "token": schedule.token,
            "external_id": schedule.external_id,
            "dedup_key": schedule.dedup_key,
            "cron": schedule.cron,
            "zone": schedule.zone,
        },
    )
    return Accept(
        new=replace(
            new,
            kind=runner.kind,
            options={name: value for name, value in new.options.items() if name in runner.options},
            origin=new.origin if served else replace(new.origin, hold="runner"),
        ),
        project_id=schedule.project_id,
        queue=runner.queue,
        label=schedule.title or (schedule.prompt or "")[:200],
        created_by=schedule.id,
    )


def said_at(instant: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _payload(
    schedule: Schedule, timestamp: datetime, last_at: datetime | None, upcoming: Sequence[datetime]
) -> Mapping[str, Any]:
    found: dict[str, Any] = {
        "type": "IMPERATIVE",
        "timestamp": said_at(timestamp),
        "timezone": schedule.zone,
        "scheduleId": schedule.token,
        "externalId": schedule.external_id,
        "upcoming": [said_at(instant) for instant in upcoming],
    }
    if last_at is not None:
        found["lastTimestamp"] = said_at(last_at)
    return {name: value for name, value in found.items() if value is not None}
