"""Words for rules and their instants, and the strip of a schedule's last runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from mediamill import cron
from mediamill.core.errors import Invalid
from mediamill.core.prompts import status
from mediamill.core.schedules import Schedule
from mediamill.core.tasks import Task
from mediamill.cron.zones import load
from mediamill.service.schedules import Schedules

SHOWN = 10
"""Coming firings that are listed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """A coming instant, as the clocks of its zone show it."""

    at: datetime
    there: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run in the strip; `word` is its status."""

    id: str
    word: str
    at: datetime
    took_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A schedule as the list shows it; `cells` are its newest runs, oldest first."""

    schedule: Schedule
    words: str
    next: Firing | None
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreseen:
    """What a rule that may not be saved yet comes to; `fault` and `field` where it is none."""

    zone: str
    words: str = ""
    firings: Sequence[Firing] = ()
    fault: str = ""
    field: str = ""


def name_of(schedule: Schedule) -> str:
    """What people know a schedule by: its title, else how its prompt begins."""
    return schedule.title or (schedule.prompt or "").strip().split("\n", 1)[0][:120] or schedule.id


def in_zone(at: datetime, zone: str) -> str:
    """An instant on the clocks of a zone: "Mon 23 Nov, 08:30", with the year where it is another than now."""
    try:
        tz = load(zone)
    except Invalid:
        tz = UTC  # it has left the tz database since the schedule was saved
    shown = at.astimezone(tz)
    year = "" if shown.year == datetime.now(tz).year else f" {shown.year}"
    return f"{shown:%a} {shown.day} {shown:%b}{year}, {shown:%H:%M}"


def firings(schedules: Schedules, schedule: Schedule, n: int = SHOWN) -> list[Firing]:
    """The next instants of a schedule; none while it is paused."""
    return [Firing(at=at, there=in_zone(at, schedule.zone)) for at in schedules.upcoming(schedule, n)]


def foresee(rule: str, zone: str, now: datetime) -> Foreseen:
    """The next instants of a rule."""
    try:
        cron.check(rule)
        cron.check_zone(zone, "zone")
        found = cron.upcoming(rule, zone, SHOWN, now)
        words = cron.describe(rule)
    except Invalid as error:
        return Foreseen(zone=zone, fault=error.reason, field=error.field)
    return Foreseen(zone=zone, words=words, firings=[Firing(at=at, there=in_zone(at, zone)) for at in found])


def cell(run: Task, now: datetime) -> Cell:
    """A run as a cell of the strip."""
    took_s = ((run.finished_at or now) - run.started_at).total_seconds() if run.started_at else None
    return Cell(id=run.id, word=status(run, now).value, at=run.origin.due_at or run.created_at, took_s=took_s)
