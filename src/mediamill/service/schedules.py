"""Cron rules that start prompts: keeping them, changing them, running them now, and what comes next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol, get_args

import msgspec

from mediamill import cron
from mediamill.core.access import Caller
from mediamill.core.dispatch import Accept
from mediamill.core.errors import Conflict, Invalid
from mediamill.core.firings import SHOWN, Runner, new_token, tags_of, task_of
from mediamill.core.prompts import Settings, check_tags
from mediamill.core.schedules import (
    MOST_MISSED,
    Missed,
    NewSchedule,
    Overlap,
    Schedule,
    ScheduleFilter,
    ScheduleList,
)
from mediamill.core.tasks import Cursor, Page, Task
from mediamill.service.tasks import check_metadata, invalid_option

MOST_TITLE = 1000
MOST_PROMPT = 200_000
MOST_WORD = 256
"""Characters of what names something: an identifier, a model, an id of the caller's."""
CHANGES = frozenset(NewSchedule.__dataclass_fields__) - {"dialect", "uuid"}
"""What of a schedule can be made another."""
EVERY = ScheduleFilter()
_PAGE = 1000


class Store(Protocol):
    """The schedule table."""

    async def create(self, project_id: str, new: NewSchedule, next_at: datetime | None) -> Schedule: ...
    async def get(self, project_id: str, id: str) -> Schedule: ...
    async def by_key(self, project_id: str, dedup_key: str) -> Schedule | None: ...
    async def list(self, project_id: str, page: Page, filter: ScheduleFilter) -> ScheduleList: ...
    async def stamps(self, project_id: str, filter: ScheduleFilter, runs: int) -> Sequence[tuple[str, str]]: ...
    async def get_many(self, ids: Sequence[str]) -> Sequence[Schedule]: ...
    async def count(self, project_id: str, filter: ScheduleFilter) -> int: ...
    async def change(
        self, project_id: str, id: str, decide: Callable[[Schedule], Mapping[str, Any]]
    ) -> tuple[Schedule, Schedule]: ...
    async def remove(self, project_id: str, id: str) -> Schedule: ...
    async def account_of(self, project_id: str) -> str | None: ...
    async def now(self) -> datetime: ...


class Schedules:
    """Verbs on schedules. An id may be the schedule's own, its uuid or its token.

    accept, read: as of `Tasks`. runner: the kind of task that a firing is; runners: the identifiers that there are,
    each with whether a worker runs it now. now: the clock that plans go by; the database's when none is given.
    """

    def __init__(
        self,
        *,
        store: Store,
        accept: Callable[[Accept], Awaitable[tuple[str, bool]]],
        read: Callable[[str], Awaitable[Task]],
        runner: Runner,
        runners: Callable[[], Awaitable[Mapping[str, bool]]],
        now: Callable[[], Awaitable[datetime]] | None = None,
    ) -> None:
        self._store = store
        self._accept = accept
        self._read = read
        self._runner = runner
        self._runners = runners
        self._now = now or store.now

    async def create(self, caller: Caller, new: NewSchedule) -> Schedule:
        """Keep a schedule; it fires from now on. Raises Invalid; Conflict where its dedup_key is taken."""
        _check({name: getattr(new, name) for name in CHANGES})
        now = await self._now()
        return await self._store.create(caller.project_id, new, _next(new.cron, new.zone, new.enabled, now))

    async def upsert(
        self, caller: Caller, new: NewSchedule, replaced: Iterable[str] = CHANGES - {"enabled", "dedup_key"}
    ) -> tuple[Schedule, bool]:
        """The schedule with that dedup_key made like this, or a new one; (schedule, whether it is new).

        Of one that is there, only the fields `replaced` are made another. Raises Invalid.
        """
        if new.dedup_key is None:
            return await self.create(caller, new), True
        while True:
            old = await self._store.by_key(caller.project_id, new.dedup_key)
            if old is None:
                try:
                    return await self.create(caller, new), True
                except Conflict:
                    continue  # somebody else has just made it
            return await self.change(caller, old.id, {name: getattr(new, name) for name in replaced}), False

    async def get(self, caller: Caller, id: str) -> Schedule:
        """One of the project's. Raises NotFound."""
        return await self._store.get(caller.project_id, id)

    async def list(self, caller: Caller, page: Page, filter: ScheduleFilter = EVERY) -> ScheduleList:
        """One page of the project's schedules, newest first."""
        return await self._store.list(caller.project_id, page, filter)

    async def all(self, caller: Caller, filter: ScheduleFilter = EVERY) -> Sequence[Schedule]:
        """All of the project's schedules, newest first, a thousand to a query."""
        found: list[Schedule] = []
        page = Page(limit=_PAGE)
        while True:
            part = await self._store.list(caller.project_id, page, filter)
            found += part.items
            if not part.more:
                return found
            page = Page(limit=_PAGE, after=Cursor(at=found[-1].created_at, id=found[-1].id))

    async def stamps(self, caller: Caller, filter: ScheduleFilter, runs: int) -> Sequence[tuple[str, str]]:
        """(id, stamp) of every schedule of the project, newest first. A reader who has kept what it made of a schedule
        and its newest `runs` runs need not read them again while the stamp is the same."""
        return await self._store.stamps(caller.project_id, filter, runs)

    async def read(self, ids: Sequence[str]) -> Sequence[Schedule]:
        """Those of these that are still there, in no order. The ids must come from what the caller has been shown."""
        return await self._store.get_many(ids) if ids else []

    async def count(self, caller: Caller, filter: ScheduleFilter = EVERY) -> int:
        """How many there are."""
        return await self._store.count(caller.project_id, filter)

    async def change(self, caller: Caller, id: str, changes: Mapping[str, Any]) -> Schedule:
        """Make some of it another: any field of NewSchedule but dialect and uuid. A new rule or zone holds from now on.

        Disabled, it starts nothing, and what has not been started yet is cancelled; enabled again, it has a fresh token
        and fires from now on. Raises NotFound, Invalid, Conflict where the dedup_key is another's.
        """
        given = {name: value for name, value in changes.items() if name in CHANGES}
        _check(given)
        now = await self._now()

        def decide(old: Schedule) -> Mapping[str, Any]:
            enabled = given.get("enabled", old.enabled)
            rule, zone = given.get("cron", old.cron), given.get("zone", old.zone)
            decided = dict(given)
            if (rule, zone) != (old.cron, old.zone) or (enabled is not False) != old.active:
                decided["next_at"] = _next(rule, zone, enabled, now)
            if (enabled is not False) != old.active:
                decided["token"] = new_token() if enabled is not False else None
            return decided

        _, after = await self._store.change(caller.project_id, id, decide)
        return after

    async def remove(self, caller: Caller, id: str) -> None:
        """Forget it. What it has started stays, but for what has not begun: that is cancelled. Raises NotFound."""
        await self._store.remove(caller.project_id, id)

    async def run_now(self, caller: Caller, id: str) -> Task:
        """Start its prompt now, beside its plan and also while it is disabled. It waits for its turn where an earlier
        one is at work. Raises NotFound, LimitReached."""
        schedule = await self._store.get(caller.project_id, id)
        now = await self._now()
        accept = task_of(
            schedule,
            self._runner,
            due_at=None,
            upcoming=cron.upcoming(schedule.cron, schedule.zone, SHOWN, now) if schedule.active else (),
            now=now,
            last_at=schedule.last_at,
            served=(await self._runners()).get(schedule.identifier, False),
            server_tags=tags_of(schedule, await self._store.account_of(caller.project_id)),
        )
        task_id, _ = await self._accept(replace(accept, created_by=caller.key_id or schedule.id))
        return await self._read(task_id)

    def upcoming(self, schedule: Schedule, n: int = SHOWN, now: datetime | None = None) -> Sequence[datetime]:
        """The next `n` nominal instants, UTC, ascending; none while it is disabled."""
        if not schedule.active:
            return []
        try:
            return cron.upcoming(schedule.cron, schedule.zone, n, now or datetime.now(UTC))
        except Invalid:
            return []  # its zone has left the tz database since it was saved

    def describe(self, schedule: Schedule) -> str:
        """Its rule in words."""
        return cron.describe(schedule.cron)


def _next(rule: str, zone: str, enabled: bool | None, now: datetime) -> datetime | None:
    return None if enabled is False else cron.after(rule, zone, now)


def _check(given: Mapping[str, Any]) -> None:
    """Raises Invalid with the field for a value that no schedule can have."""
    if "cron" in given:
        cron.check(given["cron"])
    if "zone" in given:
        cron.check_zone(given["zone"], "zone")
    for name, most in (("title", MOST_TITLE), ("prompt", MOST_PROMPT), *((word, MOST_WORD) for word in _WORDS)):
        if len(given.get(name) or "") > most:
            raise Invalid(name, f"must be at most {most} characters.")
    if "identifier" in given and not given["identifier"]:
        raise Invalid("identifier", "must not be empty.")
    if "overlap" in given and given["overlap"] not in get_args(Overlap):
        raise Invalid("overlap", f"must be one of {', '.join(get_args(Overlap))}.")
    if "missed" in given and given["missed"] not in get_args(Missed):
        raise Invalid("missed", f"must be one of {', '.join(get_args(Missed))}.")
    if not 1 <= given.get("missed_limit", 1) <= MOST_MISSED:
        raise Invalid("missed_limit", f"must be from 1 to {MOST_MISSED}.")
    if "settings" in given:
        _check_settings(given["settings"])


_WORDS = ("identifier", "model", "artist_id", "external_id", "dedup_key")


def _check_settings(given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in Settings.__dataclass_fields__:
            raise Invalid(f"settings.{name}", "is not known.")
    try:
        settings = msgspec.convert(dict(given), Settings)
    except msgspec.ValidationError as error:
        raise invalid_option(error, "settings") from None
    if not 1 <= settings.max_attempts <= 10:
        raise Invalid("settings.max_attempts", "must be from 1 to 10.")
    if not -100 <= settings.priority <= 100:
        raise Invalid("settings.priority", "must be from -100 to 100.")
    for name in ("max_steps", "max_tokens", "max_cost_cents", "max_duration_s", "ttl_s"):
        value = getattr(settings, name)
        if value is not None and not 0 <= value < float("inf"):
            raise Invalid(f"settings.{name}", "must not be negative.")
    check_tags(settings.tags, "settings.tags")
    try:
        if settings.metadata is not None:
            check_metadata(settings.metadata)
    except Invalid as error:
        error.field = f"settings.{error.field}"
        raise
