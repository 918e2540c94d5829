"""/api/v1/schedules: the cron rules of tasks, as Trigger.dev's clients know them.

A schedule is known by each of its tokens for ever: clients keep the first they were told. It is shown by the one it
was asked for by.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from mediamill.core.access import Caller
from mediamill.core.errors import Conflict, Invalid, NotFound
from mediamill.core.ids import ScheduleId
from mediamill.core.schedules import UNLESS_SAID, NewSchedule, Schedule
from mediamill.core.tasks import Page
from mediamill.cron import describe
from mediamill.dialects.recoup import bare, reading, runs
from mediamill.dialects.recoup.call import Call, Reply, Route
from mediamill.dialects.recoup.errors import Fault
from mediamill.dialects.recoup.words import NAME, identifier_word, read_identifier

NOT_FOUND = "Schedule not found"
PER_PAGE, MOST_PER_PAGE, MOST_PAGE = 20, 100, 100_000
_REPLACED = ("cron", "zone", "identifier", "external_id")
"""What of a schedule that is there already a client makes another; what it has no words for stays as it is."""
_NUMBER = re.compile(r"[0-9]{1,6}", re.ASCII)


class NewBody(msgspec.Struct, kw_only=True, rename="camel"):
    """A schedule to make, or to make another by its key."""

    task: str
    cron: str
    deduplication_key: str
    external_id: str | None = None
    timezone: str | None = None


class ChangedBody(msgspec.Struct, kw_only=True, rename="camel"):
    """All that a schedule is to be from now on; what is left out is as it is by default."""

    task: str
    cron: str
    external_id: str | None = None
    timezone: str | None = None


def write_schedule(schedule: Schedule, token: str) -> dict[str, Any]:
    """A schedule as clients read it, who take no null but for nextRun."""
    key = schedule.dedup_key or schedule.uuid
    external_id = schedule.external_id or (schedule.uuid if schedule.prompt else None)
    return {
        "id": token,
        "type": "IMPERATIVE",
        "task": identifier_word(schedule.identifier),
        "active": schedule.active,
        "deduplicationKey": key,
        **({"externalId": external_id} if external_id is not None else {}),
        "generator": {"type": "CRON", "expression": schedule.cron, "description": describe(schedule.cron)},
        "timezone": schedule.zone,
        "nextRun": runs.instant(schedule.next_at) if schedule.active else None,
        "environments": [{"id": runs.ENV_ID, "type": "PRODUCTION"}],
    }


async def list_schedules(call: Call) -> Reply:
    """A page of the caller's schedules, newest first."""
    page, size = _number(call, "page", 1, MOST_PAGE), _number(call, "perPage", PER_PAGE, MOST_PER_PAGE)
    service, accounts = call.site.service.schedules, call.site.service.accounts
    count = await service.count(call.caller)
    listed = await service.list(call.caller, Page(limit=size, skip=(page - 1) * size))
    tokens = await accounts.last_tokens([one.id for one in listed.items if one.token is None])
    data = [write_schedule(one, one.token or tokens.get(one.id, one.id)) for one in listed.items]
    around = {"currentPage": page, "totalPages": -(-count // size), "count": count}
    return Reply(body={"data": data, "pagination": around})


async def create(call: Call) -> Reply:
    """A schedule; one with this key is made like it."""
    body = bare.read(call, NewBody)
    if not body.deduplication_key or not body.task:
        raise bare.bad_body("must not be empty", ["task" if not body.task else "deduplicationKey"])
    new = NewSchedule(
        cron=body.cron,
        zone=body.timezone or "UTC",
        identifier=read_identifier(body.task),
        external_id=body.external_id,
        dedup_key=body.deduplication_key,
        missed=UNLESS_SAID[call.site.settings.missed_runs],
        dialect=NAME,
    )
    service = call.site.service.schedules
    try:
        if (task := await _task(call, body.deduplication_key)) is not None:
            changes = {name: getattr(new, name) for name in _REPLACED}
            schedule = await service.change(call.caller, task.id, {**changes, "external_id": _external_id(new, task)})
        else:
            schedule, _ = await service.upsert(call.caller, new, _REPLACED)
    except (Invalid, Conflict) as error:
        raise _told(error) from None
    return Reply(body=write_schedule(schedule, await _token(call, schedule)))


async def get_schedule(call: Call) -> Reply:
    """One schedule."""
    caller, id = await _called(call)
    return await _shown(call, await call.site.service.schedules.get(caller, id))


async def change(call: Call) -> Reply:
    """A schedule made another."""
    body = bare.read(call, ChangedBody)
    caller, id = await _called(call)
    try:
        old = await call.site.service.schedules.get(caller, id)
    except NotFound:
        raise Fault(404, NOT_FOUND) from None
    changes = {
        "cron": body.cron,
        "zone": body.timezone or "UTC",
        "identifier": read_identifier(body.task),
        "external_id": _external_id(body, old),
    }
    return await _changed(call, changes)


async def activate(call: Call) -> Reply:
    """Have it fire from now on."""
    return await _changed(call, {"enabled": True})


async def deactivate(call: Call) -> Reply:
    """Have it fire no more."""
    return await _changed(call, {"enabled": False})


async def delete(call: Call) -> Reply:
    """The end of a schedule; its runs stay."""
    caller, id = await _called(call)
    try:
        await call.site.service.schedules.remove(caller, id)
    except NotFound:
        raise Fault(404, NOT_FOUND) from None
    return Reply(body={"id": call.ids[0]})


async def _changed(call: Call, changes: Mapping[str, Any]) -> Reply:
    caller, id = await _called(call)
    try:
        schedule = await call.site.service.schedules.change(caller, id, changes)
    except NotFound:
        raise Fault(404, NOT_FOUND) from None
    except (Invalid, Conflict) as error:
        raise _told(error) from None
    return await _shown(call, schedule)


async def _shown(call: Call, schedule: Schedule) -> Reply:
    """By the token it was asked for by; by its newest where that was another id of it."""
    given = call.ids[0]
    return Reply(body=write_schedule(schedule, given if given.startswith("sched_") else await _token(call, schedule)))


async def _token(call: Call, schedule: Schedule) -> str:
    if schedule.token is not None:
        return schedule.token
    return (await call.site.service.accounts.last_tokens([schedule.id])).get(schedule.id, schedule.id)


async def _called(call: Call) -> tuple[Caller, ScheduleId]:
    """(the caller as of its project, its id) of the schedule in the path. Raises a 404 Fault."""
    given, accounts = call.ids[0], call.site.service.accounts
    try:
        if given.startswith("sched_"):
            return await accounts.schedule_called(call.caller, given)
        # One that was made disabled has no token yet, and is listed by our own id.
        return call.caller, (await call.site.service.schedules.get(call.caller, given)).id
    except NotFound:
        raise Fault(404, NOT_FOUND) from None


def _external_id(body: NewSchedule | ChangedBody, old: Schedule) -> str | None:
    """What runs are told: of a task's own schedule the task, unless a client says another."""
    return body.external_id or (old.uuid if old.prompt else None)


async def _task(call: Call, key: str) -> Schedule | None:
    """The task that a key names: each is the key of its own schedule, also where none was given."""
    try:
        found: Schedule = await call.site.service.schedules.get(call.caller, reading.uuid("id", key))
    except (Fault, NotFound):
        return None
    return found if found.dedup_key in (None, found.uuid) else None


def _told(error: Invalid | Conflict) -> Fault:
    """What the service found, in this dialect's terms."""
    if isinstance(error, Conflict):
        return Fault(422, str(error))
    if error.field == "cron":
        return Fault(422, f"Invalid cron expression: {error.reason}")
    if error.field in ("zone", "timezone"):
        return Fault(422, f"Invalid IANA timezone: {error.reason}")
    field = {"external_id": "externalId", "dedup_key": "deduplicationKey", "identifier": "task"}.get(error.field)
    return bare.bad_body(error.reason, [field or error.field])


def _number(call: Call, name: str, default: int, most: int) -> int:
    given = call.query.get(name)
    if given is None:
        return default
    number = int(given) if _NUMBER.fullmatch(given) else 0
    if not 1 <= number <= most:
        raise bare.bad_query(f"must be a number from 1 to {most}", [name])
    return number


ROUTES = [
    Route("GET", "/api/v1/schedules", list_schedules),
    Route("POST", "/api/v1/schedules", create),
    Route("GET", "/api/v1/schedules/{}", get_schedule),
    Route("PUT", "/api/v1/schedules/{}", change),
    Route("DELETE", "/api/v1/schedules/{}", delete),
    Route("POST", "/api/v1/schedules/{}/activate", activate),
    Route("POST", "/api/v1/schedules/{}/deactivate", deactivate),
]
