"""Tasks as they are shown, by the thousand: the encoded bytes of runs that are over are kept and joined.

An account's list holds five runs of every task, some megabytes. A run that is over never changes, so it is read and
encoded once by each server; the database is then only asked which runs are the newest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from mediamill.core.accounts import Account
from mediamill.core.prompts import PromptRun, Recent
from mediamill.core.schedules import Schedule
from mediamill.core.tasks import Task
from mediamill.dialects.recoup import runs

RECENT = 5
UPCOMING = 10
_MOST_BYTES = 64 << 20
_MOST_RULES = 10_000
_AT_A_QUERY = 1000
_AT_ONCE = 200
"""Runs that are encoded before others get a turn."""


class Prompts(Protocol):
    """What is asked of the service about runs."""

    async def recent(self, schedule_ids: Sequence[str], n: int) -> Sequence[Recent]: ...
    async def read(self, ids: Sequence[str]) -> Sequence[PromptRun | None]: ...


class Schedules(Protocol):
    """What is asked of the service about firings."""

    def upcoming(self, schedule: Schedule, n: int, now: datetime) -> Sequence[datetime]: ...


class Shelf:
    """Words tasks. What it keeps, it keeps within bounds: `most_bytes` of runs."""

    def __init__(self, schedules: Schedules, prompts: Prompts, most_bytes: int = _MOST_BYTES) -> None:
        self._schedules = schedules
        self._prompts = prompts
        self._most_bytes = most_bytes
        self._bytes = 0
        self._over: OrderedDict[str, tuple[datetime, bytes]] = OrderedDict()
        self._rules: dict[tuple[str, str], tuple[datetime, bytes]] = {}

    async def tasks(self, schedules: Sequence[Schedule], owner: Account) -> bytes:
        """Tasks of one account as JSON, with commas between them."""
        newest = await self._newest(schedules, runs.Owner(account_id=owner.id)) if schedules else {}
        now = datetime.now(UTC)
        parts: list[bytes] = []
        for schedule in schedules:
            parts += (
                b"," if parts else b"",
                _ENCODER.encode(head(schedule, owner))[:-1],
                b',"upcoming":',
                self._upcoming(schedule, now),
                b',"recent_runs":[',
                b",".join(newest.get(schedule.id, ())),
                b"]}",
            )
        return b"".join(parts)

    async def _newest(self, schedules: Sequence[Schedule], owner: runs.Owner) -> dict[str, list[bytes]]:
        """The newest runs of each schedule, encoded."""
        recent: list[Recent] = []
        for start in range(0, len(schedules), _AT_A_QUERY):
            part = [schedule.id for schedule in schedules[start : start + _AT_A_QUERY]]
            recent += await self._prompts.recent(part, RECENT)
        over = self._over
        known: dict[str, bytes] = {}
        wanted = []
        for one in recent:
            kept = over.get(one.id)
            if kept is not None and kept[0] == one.updated_at:
                known[one.id] = kept[1]
            else:
                wanted.append(one.id)
        for start in range(0, len(wanted), _AT_ONCE):
            for run in await self._prompts.read(wanted[start : start + _AT_ONCE]):
                if run is not None:
                    known[run.task.id] = self._encoded(run, owner)
        found: dict[str, list[bytes]] = {}
        for one in recent:
            if (body := known.get(one.id)) is not None:
                found.setdefault(one.schedule_id, []).append(body)
        return found

    def _encoded(self, run: PromptRun, owner: runs.Owner) -> bytes:
        body = _ENCODER.encode(runs.whole(run, owner))
        if _over(run):
            old = self._over.pop(run.task.id, None)
            self._bytes += len(body) - (len(old[1]) if old is not None else 0)
            self._over[run.task.id] = (run.task.updated_at, body)
            while self._bytes > self._most_bytes:
                self._bytes -= len(self._over.popitem(last=False)[1][1])
        return body

    def _upcoming(self, schedule: Schedule, now: datetime) -> bytes:
        """The next firings of a rule, encoded anew only once the first of them has passed."""
        if not schedule.active:
            return b"[]"
        rule = (schedule.cron, schedule.zone)
        kept = self._rules.get(rule)
        if kept is not None and now < kept[0]:
            return kept[1]
        instants = self._schedules.upcoming(schedule, UPCOMING, now)
        body = _ENCODER.encode([runs.instant(at) for at in instants])
        if instants:
            if len(self._rules) >= _MOST_RULES:
                self._rules.clear()
            self._rules[rule] = (instants[0], body)
        return body


def head(schedule: Schedule, owner: Account) -> dict[str, Any]:
    """All of a task but its runs and firings."""
    return {
        "id": schedule.uuid,
        "title": schedule.title or _title(schedule),
        "prompt": schedule.prompt,
        "schedule": schedule.cron,
        "account_id": owner.id,
        # What was not made here may have none; its owner stands for it.
        "artist_account_id": schedule.artist_id or owner.id,
        "enabled": schedule.enabled,
        "trigger_schedule_id": schedule.token if schedule.active else None,
        "owner_email": owner.email,
        "model": schedule.model,
        "timezone": schedule.zone,
        "created_at": runs.instant(schedule.created_at),
        "updated_at": runs.instant(schedule.updated_at),
        "next_run": runs.instant(schedule.next_at) if schedule.active else None,
        "last_run": runs.instant(schedule.last_at),
    }


def _title(schedule: Schedule) -> str:
    lines = (schedule.prompt or "").strip().splitlines()
    return lines[0][:80] if lines else schedule.cron


def _over(run: PromptRun) -> bool:
    """Whether neither it nor those shown with it will change."""
    shown: list[Task | None] = [run.task, run.root, run.parent, *run.children]
    return all(task is None or task.state.final for task in shown)


_ENCODER = msgspec.json.Encoder()
