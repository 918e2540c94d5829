"""Tasks as they are shown, by the thousand.

An account's list holds five runs of every task, some megabytes. What was made of a task is kept, encoded, until its
stamp says that it or one of these runs has changed; so most lists are one query and the joining of bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import msgspec

from mediamill.core.access import Caller
from mediamill.core.accounts import Account
from mediamill.core.prompts import PromptRun, Recent, Status, status
from mediamill.core.schedules import Schedule, ScheduleFilter
from mediamill.core.tasks import Task
from mediamill.dialects.recoup import runs

RECENT = 5
UPCOMING = 10
_MOST_BYTES = 64 << 20
_MOST_RULES = 10_000
_AT_ONCE = 50
"""Tasks that are made anew before others get a turn."""


class Prompts(Protocol):
    """What is asked of the service about runs."""

    async def recent(self, schedule_ids: Sequence[str], n: int) -> Sequence[Recent]: ...
    async def read(self, ids: Sequence[str]) -> Sequence[PromptRun | None]: ...


class Schedules(Protocol):
    """What is asked of the service about schedules."""

    async def stamps(self, caller: Caller, filter: ScheduleFilter, runs: int) -> Sequence[tuple[str, str]]: ...
    async def read(self, ids: Sequence[str]) -> Sequence[Schedule]: ...
    def upcoming(self, schedule: Schedule, n: int, now: datetime) -> Sequence[datetime]: ...


@dataclass(slots=True)
class _Kept:
    """A task as it was made: the bytes before and after its firings, which change with time alone."""

    stamp: str
    owner: Account
    schedule: Schedule
    before: bytes
    after: bytes
    bytes: int


@dataclass(slots=True)
class _Rule:
    """The next firings of a cron rule in a zone."""

    instants: Sequence[datetime]
    encoded: bytes


class Shelf:
    """Words tasks. What it keeps, it keeps within bounds: `most_bytes` in all, the oldest are let go first."""

    def __init__(self, schedules: Schedules, prompts: Prompts, most_bytes: int = _MOST_BYTES) -> None:
        self._schedules = schedules
        self._prompts = prompts
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._rules: dict[tuple[str, str], _Rule] = {}

    async def listed(self, caller: Caller, owner: Account, filter: ScheduleFilter) -> bytes:
        """The tasks of an account, newest first, as JSON.

        Schedules without a prompt of their own are no tasks.
        """
        stamps = await self._schedules.stamps(caller, filter, RECENT)
        kept, found = self._kept, dict[str, _Kept]()
        changed = []
        for id, stamp in stamps:
            known = kept.get(id)
            if known is not None and known.stamp == stamp and known.owner == owner:
                found[id] = known
            else:
                changed.append((id, stamp))
        for start in range(0, len(changed), _AT_ONCE):
            part = dict(changed[start : start + _AT_ONCE])
            for schedule in await self._schedules.read(list(part)):
                found[schedule.id] = self._made(part[schedule.id], owner, schedule)
            await self._fill([found[id] for id in part if id in found])
        return self._joined([found[id] for id, _ in stamps if id in found])

    async def one(self, owner: Account, schedule: Schedule) -> bytes:
        """The list of one task as JSON."""
        made = self._made("", owner, schedule)
        await self._fill([made])
        return self._joined([made])

    def _made(self, stamp: str, owner: Account, schedule: Schedule) -> _Kept:
        before = _ENCODER.encode(head(schedule, owner))[:-1] + b',"upcoming":'
        return _Kept(stamp, owner, schedule, before, b"", 0)

    async def _fill(self, made: Collection[_Kept]) -> None:
        """Give each its runs, and keep those that only change with their stamp."""
        by_id = {str(one.schedule.id): one for one in made}
        recent = await self._prompts.recent(list(by_id), RECENT) if by_id else ()
        ids = [each.id for each in recent]
        read = dict(zip(ids, await self._prompts.read(ids), strict=True)) if ids else {}
        of_schedule: dict[str, list[PromptRun]] = {}
        for each in recent:
            if (run := read[each.id]) is not None:
                of_schedule.setdefault(each.schedule_id, []).append(run)
        for id, one in by_id.items():
            newest = of_schedule.get(id, [])
            owner = runs.Owner(account_id=one.owner.id)
            encoded = b",".join([_ENCODER.encode(runs.whole(run, owner)) for run in newest])
            one.after = b',"recent_runs":[' + encoded + b"]}"
            one.bytes = len(one.before) + len(one.after) + _RECORD_BYTES
            if one.stamp and all(_stamped(run) for run in newest):
                self._keep(id, one)

    def _keep(self, id: str, one: _Kept) -> None:
        old = self._kept.pop(id, None)
        self._bytes += one.bytes - (old.bytes if old is not None else 0)
        self._kept[id] = one
        while self._bytes > self._most_bytes:
            self._bytes -= self._kept.popitem(last=False)[1].bytes

    def _joined(self, found: Sequence[_Kept]) -> bytes:
        now = datetime.now(UTC)
        parts = [b'{"status":"success","tasks":[']
        for one in found:
            if one.schedule.prompt:
                parts += (one.before, self._upcoming(one.schedule, now), one.after, b",")
        if len(parts) > 1:
            parts.pop()
        parts.append(b"]}")
        return b"".join(parts)  # once: each copy of a long list costs milliseconds

    def _upcoming(self, schedule: Schedule, now: datetime) -> bytes:
        """The next firings of a rule; worked out anew only for those that have passed."""
        if not schedule.active:
            return b"[]"
        key = (schedule.cron, schedule.zone)
        rule = self._rules.get(key)
        if rule is not None and rule.instants and now < rule.instants[0]:
            return rule.encoded
        left = [at for at in rule.instants if at > now] if rule is not None else []
        instants = [*left, *self._schedules.upcoming(schedule, UPCOMING - len(left), left[-1] if left else now)]
        if len(self._rules) >= _MOST_RULES:
            self._rules.clear()
        encoded = _ENCODER.encode([runs.instant(at) for at in instants])
        self._rules[key] = _Rule(instants, encoded)
        return encoded


def head(schedule: Schedule, owner: Account) -> Mapping[str, Any]:
    """All of a task but its firings and runs."""
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


def _stamped(run: PromptRun) -> bool:
    """Whether nothing of what is shown of a run changes but with its own row: a delay ends with time, and relatives
    have rows of their own."""
    relatives: list[Task | None] = [run.root, run.parent, *run.children]
    over = all(task is None or task.state.final for task in relatives)
    return over and status(run.task) is not Status.DELAYED


_ENCODER = msgspec.json.Encoder()
_RECORD_BYTES = 1000
"""Of what is kept beside the bytes themselves, about."""
