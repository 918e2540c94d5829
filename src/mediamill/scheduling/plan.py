"""What a schedule that is due starts now, and when it is due next."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

import structlog

from mediamill import cron
from mediamill.core.errors import Invalid
from mediamill.core.firings import SHOWN, Due, Runner, kept, tags_of, task_of
from mediamill.core.schedules import Schedule

log = structlog.get_logger()

_IN_TIME = 3
"""Instants that can lie within the minute in which none is missed, and one."""


def plan(schedule: Schedule, account_id: str | None, now: datetime, runner: Runner, offered: Collection[str]) -> Due:
    """The tasks of all that it is due for up to `now`. offered: the identifiers that are run here."""
    if schedule.next_at is None:
        return Due(tasks=(), next_at=None)
    try:
        passed, next_at = _passed(schedule, schedule.next_at, now)
    except Invalid as error:
        # It was valid when it was saved: the tz database has lost its zone since. It rests until it is changed.
        log.error("schedule rests", schedule=schedule.id, why=str(error))
        return Due(tasks=(), next_at=None)
    fires = kept(passed, now, schedule.missed, schedule.missed_limit)
    if (skipped := len(passed) - len(fires)) > 0:
        log.warning("firings missed", schedule=schedule.id, skipped_at_least=skipped, policy=schedule.missed)
    tasks, last_at = [], schedule.last_at
    for instant in fires:
        tasks.append(
            task_of(
                schedule,
                runner,
                due_at=instant,
                upcoming=cron.upcoming(schedule.cron, schedule.zone, SHOWN, instant),
                now=now,
                last_at=last_at,
                served=schedule.identifier in offered,
                server_tags=tags_of(schedule, account_id),
            )
        )
        last_at = instant
    patience_s = None if next_at is None else (next_at - now).total_seconds()
    return Due(tasks=tasks, next_at=next_at, patience_s=patience_s if schedule.overlap == "queue" else None)


def ready(rule: str, zone: str, at: datetime) -> None:
    """Work out beforehand what firing at an instant will ask for."""
    try:
        cron.upcoming(rule, zone, SHOWN, at)
    except Invalid:
        return  # it will rest when it is due


def _passed(schedule: Schedule, due_at: datetime, now: datetime) -> tuple[list[datetime], datetime | None]:
    """(the latest instants that have passed, the next)."""
    following = cron.after(schedule.cron, schedule.zone, due_at)
    if following is None or following > now:
        return [due_at], following
    most = _IN_TIME + (schedule.missed_limit if schedule.missed == "all" else 0)
    since = due_at - timedelta(microseconds=1)
    return cron.latest(schedule.cron, schedule.zone, since, now, most), cron.after(schedule.cron, schedule.zone, now)
