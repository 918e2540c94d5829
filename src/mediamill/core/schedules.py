"""A schedule: a cron rule with a prompt. Each time it is due it fires, which is to start a task of kind prompt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from mediamill.core.ids import ProjectId, ScheduleId

Overlap = Literal["queue", "skip", "cancel"]
"""When the task of an earlier firing has not ended: wait for it (at most one waits), let this firing go by, or cancel
the earlier."""
Missed = Literal["none", "last", "all"]
"""Of the instants that passed while nobody looked at the clock: which are made up for."""

UNLESS_SAID: Mapping[str, Missed] = {"one": "last", "skip": "none"}
"""By the install's setting: what of missed firings a schedule that does not say makes up for."""
RUNNER = "prompt"
"""The identifier of the runner that comes with the install."""
LATE_S = 60.0
"""An instant further back than this was missed, not merely come to late."""
MOST_MISSED = 1000
"""The highest limit a schedule may set for `missed` = all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSchedule:
    """A request for a schedule as a dialect read it; nothing is checked yet but its types.

    cron: five fields, read as wall-clock time of `zone` (IANA). settings: of each task it starts, see
    `core.prompts.Settings`.
    """

    cron: str
    zone: str = "UTC"
    title: str = ""
    prompt: str | None = None
    identifier: str = RUNNER
    enabled: bool | None = True
    model: str | None = None
    artist_id: str | None = None
    external_id: str | None = None
    dedup_key: str | None = None
    overlap: Overlap = "queue"
    missed: Missed = "last"
    missed_limit: int = 100
    settings: Mapping[str, Any] = field(default_factory=dict)
    dialect: str = "mill"
    uuid: str | None = None
    """One that the dialect has made already, to be said elsewhere too; None: a fresh one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The record of a schedule. Instants are aware UTC.

    uuid: what dialects call the task it belongs to. token: what they call the schedule; a fresh one each time it is
    enabled, None while it is not. next_at: the next nominal instant, None while disabled or when there is none.
    """

    id: ScheduleId
    uuid: str
    project_id: ProjectId
    dialect: str
    identifier: str
    title: str
    prompt: str | None
    cron: str
    zone: str
    enabled: bool | None
    model: str | None
    artist_id: str | None
    external_id: str | None
    dedup_key: str | None
    token: str | None
    overlap: Overlap
    missed: Missed
    missed_limit: int
    settings: Mapping[str, Any]
    next_at: datetime | None
    last_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def active(self) -> bool:
        """Whether it fires; not said counts as yes."""
        return self.enabled is not False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleFilter:
    """Which schedules; conditions are joined by and."""

    uuid: str | None = None
    token: str | None = None
    artist_id: str | None = None
    active: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleList:
    """One page of schedules; `more` says whether others follow in the direction of travel."""

    items: Sequence[Schedule]
    more: bool
