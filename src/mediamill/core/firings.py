"""What a schedule starts when it fires, and which of the instants that have passed it fires for."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from mediamill.core.dispatch import Accept
from mediamill.core.prompts import Said, Settings
from mediamill.core.schedules import LATE_S, Missed, Overlap, Schedule
from mediamill.core.tasks import NewTask, Origin

SHOWN = 10
"""How many coming instants the payload of a firing and the dialects show."""
_TOKEN = "123456789abcdefghijkmnopqrstuvwxyz"  # noqa: S105 - an alphabet: no 0 and no l, which are misread


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """The kind of task that a firing is. options: the names of those that the kind takes."""

    kind: str
    queue: str
    options: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is to be done for a schedule that is due: `tasks` in the order of their instants, and when it is due next."""

    tasks: Sequence[Accept]
    next_at: datetime | None
    patience_s: float | None = None
    """How long a task may wait for its turn: until the next comes, so that at most one waits."""


def new_token() -> str:
    """A fresh name for a schedule that was enabled."""
    return "sched_" + "".join(secrets.choice(_TOKEN) for _ in range(21))


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
) -> Accept:
    """The task of one firing; due_at: None where somebody runs it now.

    served: whether a worker runs its identifier; if not, it waits for one that does.
    """
    settings = Settings(**schedule.settings)
    said: Said = {
        "payload": _payload(schedule, due_at or now, last_at, upcoming),
        "function": "trigger",
        "schedule": {
            "token": schedule.token,
            "external_id": schedule.external_id,
            "dedup_key": schedule.dedup_key,
            "cron": schedule.cron,
            "zone": schedule.zone,
        },
    }
    wanted: Mapping[str, Any] = {
        "prompt": schedule.prompt,
        "model": schedule.model,
        "max_steps": settings.max_steps,
        "max_tokens": settings.max_tokens,
        "max_cost_cents": settings.max_cost_cents,
        "max_duration_s": settings.max_duration_s,
    }
    return Accept(
        new=NewTask(
            kind=runner.kind,
            options={n: value for n, value in wanted.items() if n in runner.options and value is not None},
            dialect=schedule.dialect,
            extra={"prompt": said},
            metadata=settings.metadata,
            priority=settings.priority,
            max_attempts=settings.max_attempts,
            origin=Origin(
                identifier=schedule.identifier,
                schedule_id=schedule.id,
                due_at=due_at,
                tags=tuple(settings.tags),
                ttl_s=settings.ttl_s or None,
                hold=None if served else "runner",
            ),
        ),
        project_id=schedule.project_id,
        queue=runner.queue,
        label=schedule.title,
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
