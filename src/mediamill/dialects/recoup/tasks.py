"""/api/tasks: scheduled prompts with their newest runs and next firings, and /api/tasks/runs."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import replace

from mediamill.core.access import Caller
from mediamill.core.accounts import Account
from mediamill.core.errors import Denied, Invalid, NotFound
from mediamill.core.prompts import PromptFilter
from mediamill.core.schedules import UNLESS_SAID, NewSchedule, Schedule, ScheduleFilter
from mediamill.core.tasks import Page
from mediamill.dialects.recoup import ids, reading, runs
from mediamill.dialects.recoup.call import Call, Reply, Route
from mediamill.dialects.recoup.errors import Fault, missing
from mediamill.dialects.recoup.listing import Shelf
from mediamill.dialects.recoup.words import NAME

_NEW: dict[str, reading.Field] = {
    "title": reading.needed_text,
    "prompt": reading.needed_text,
    "schedule": reading.needed_text,
    "artist_account_id": reading.needed_uuid,
    "account_id": reading.uuid,
    "model": reading.free_text,
    "timezone": reading.zone,
}
_NEEDED = ("title", "prompt", "schedule", "artist_account_id")
_CHANGE: dict[str, reading.Field] = {
    "id": reading.uuid,
    "title": reading.changed_text,
    "prompt": reading.changed_text,
    "schedule": reading.changed_text,
    "artist_account_id": reading.uuid,
    "account_id": reading.uuid,
    "enabled": reading.boolean_or_null,
    "model": reading.changed_text,
    "timezone": reading.zone,
}
_OURS = {"schedule": "cron", "timezone": "zone", "artist_account_id": "artist_id"}
"""What the service calls a field of a body, where it is another name."""
_NO_ACCESS = "Access denied to this task"


class Tasks:
    """The handlers; `shelf` words what they show."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("GET", "/api/tasks", self.list),
            Route("POST", "/api/tasks", self.create),
            Route("PATCH", "/api/tasks", self.change),
            Route("DELETE", "/api/tasks", self.delete),
            Route("GET", "/api/tasks/runs", self.runs),
            Route("GET", "/api/accounts/id", self.whoami),
        ]

    async def list(self, call: Call) -> Reply:
        """The tasks of an account, newest first; of others by naming them."""
        query, accounts = call.query, call.site.service.accounts
        id = reading.query_uuid(query, "id")
        account_id = reading.query_uuid(query, "account_id")
        artist_id = reading.query_uuid(query, "artist_account_id")
        active = reading.query_boolean(query, "enabled")
        caller = call.caller
        if account_id is not None:
            found = await _listed(call, account_id)
            if found is None:
                return Reply(body={"status": "success", "tasks": []})
            caller = found
        elif id is not None and await accounts.operates(caller):
            caller = await accounts.acting(caller, schedule=id)
        owner = await accounts.of(caller.project_id)
        filter = ScheduleFilter(uuid=id, artist_id=artist_id, active=active)
        return Reply(raw=await self._shelf.listed(caller, owner, filter))

    async def create(self, call: Call) -> Reply:
        """One task; its cron rule holds from now on."""
        body = reading.strict(call.body(), _NEW, _NEEDED)
        caller = await _named(call, body.pop("account_id", None))
        id = str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
        given = {_OURS.get(name, name): value for name, value in body.items()}
        # As the hosted service does: the schedule of a task is known by the task's id to those who trigger it.
        missed = UNLESS_SAID[call.site.settings.missed_runs]
        new = NewSchedule(**given, uuid=id, external_id=id, dedup_key=id, missed=missed, dialect=NAME)
        try:
            schedule = await call.site.service.schedules.create(caller, new)
        except Invalid as error:
            raise _told(error) from error
        return await self._one(call, schedule)

    async def change(self, call: Call) -> Reply:
        """A task made another in part."""
        body = reading.strict(call.body(), _CHANGE, ("id",))
        caller = await _named(call, body.pop("account_id", None))
        schedule = await _own(call, caller, body.pop("id"))
        changes = {_OURS.get(name, name): value for name, value in body.items()}
        if changes:
            try:
                schedule = await call.site.service.schedules.change(caller, schedule.id, changes)
            except Invalid as error:
                raise _told(error) from error
            except NotFound:
                raise Fault(404, "Task not found") from None
        return await self._one(call, schedule)

    async def delete(self, call: Call) -> Reply:
        """The end of a task; its runs stay."""
        body = call.body()
        id = reading.uuid("id", body.get("id"))
        named = body.get("account_id")
        try:
            account_id = reading.uuid("account_id", named)
        except Fault:
            account_id = None  # other keys are not looked at; this one is where it says whose the task is
        caller = await _named(call, account_id)
        schedule = await _own(call, caller, id)
        try:
            await call.site.service.schedules.remove(caller, schedule.id)
        except NotFound:
            raise Fault(404, "Task not found") from None
        return Reply(body={"status": "success"})

    async def runs(self, call: Call) -> Reply:
        """One run, or the newest of an account."""
        accounts, prompts = call.site.service.accounts, call.site.service.prompts
        limit = reading.query_limit(call.query)
        account_id = reading.query_uuid(call.query, "account_id")
        caller = call.caller
        if account_id is not None:
            found = await _listed(call, account_id)
            if found is None:
                return Reply(body={"status": "success", "runs": []})
            caller = found
        if id := call.query.get("runId", "").strip():
            try:
                ours = ids.read_run(id)
                if account_id is None:
                    caller = await accounts.acting(caller, task=ours)
                run = await prompts.get(caller, ours)
            except NotFound:
                raise Fault(404, "Task run not found") from None
            return Reply(body={"status": "success", "runs": [runs.whole(run, await _owner(call, caller))]})
        owner = await _owner(call, caller)
        listed = await prompts.list(caller, Page(limit=limit), PromptFilter())
        return Reply(body={"status": "success", "runs": [runs.common(task, owner) for task in listed.items]})

    async def whoami(self, call: Call) -> Reply:
        """The account of the key."""
        account = await call.site.service.accounts.of(call.caller.project_id)
        return Reply(body={"status": "success", "accountId": account.id})

    async def _one(self, call: Call, schedule: Schedule) -> Reply:
        owner = await call.site.service.accounts.of(schedule.project_id)
        return Reply(raw=await self._shelf.one(owner, schedule))


async def _owner(call: Call, caller: Caller) -> runs.Owner:
    account: Account = await call.site.service.accounts.of(caller.project_id)
    return runs.Owner(account_id=account.id)


async def _named(call: Call, account_id: str | None) -> Caller:
    """The caller, as of the account that it names. Raises a 403 Fault."""
    if account_id is None:
        return call.caller
    try:
        account = await call.site.service.accounts.named(call.caller, account_id)
    except Denied as error:
        raise Fault(403, str(error)) from None
    return replace(call.caller, project_id=account.project_id)


async def _listed(call: Call, account_id: str) -> Caller | None:
    """As `_named`; None where those who reach every account name one that is not there."""
    try:
        return await _named(call, account_id)
    except Fault:
        if await call.site.service.accounts.operates(call.caller):
            return None
        raise


async def _own(call: Call, caller: Caller, uuid: str) -> Schedule:
    """A task of the account that the caller acts for. Raises a 404 or a 403 Fault."""
    owner = await call.site.service.accounts.owner(schedule=uuid)
    if owner is not None and owner != caller.project_id:
        raise Fault(403, _NO_ACCESS)
    try:
        found: Schedule = await call.site.service.schedules.get(caller, uuid)
    except NotFound:
        raise Fault(404, "Task not found") from None
    return found


def _told(error: Invalid) -> Fault:
    """What the service found, in this dialect's terms."""
    if error.field == "cron":
        return reading.bad_cron(error.reason)
    if error.field in ("zone", "timezone"):
        return reading.bad_zone()
    theirs = {ours: name for name, ours in _OURS.items()}
    field = theirs.get(error.field, error.field)
    return missing([field] if field else [], str(error))
