"""Whose scheduled prompts a caller may read and change besides its own."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from mediamill.core.access import Caller, Role
from mediamill.core.accounts import OPERATORS, Account, Organisation
from mediamill.core.errors import Denied, Invalid, NotFound
from mediamill.core.ids import ProjectId, ScheduleId

_REMEMBER_S = 5.0
_MOST_REMEMBERED = 10_000
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,255}")
_MOST_NAME = 200


class Store(Protocol):
    """The tables of accounts, organisations and members."""

    async def of(self, project_id: str) -> Account: ...
    async def named(self, id: str) -> Account | None: ...
    async def all(self) -> Sequence[Account]: ...
    async def set_email(self, project_id: str, email: str | None) -> Account: ...
    async def shares(self, project_id: str, other: str) -> bool: ...
    async def operates(self, project_id: str) -> bool: ...
    async def owner_of_task(self, id: str) -> ProjectId | None: ...
    async def owner_of_schedule(self, uuid: str) -> ProjectId | None: ...
    async def schedule_called(self, token: str) -> tuple[ProjectId, ScheduleId] | None: ...
    async def last_tokens(self, schedules: Sequence[str]) -> Mapping[str, str]: ...
    async def organisations(self) -> Sequence[Organisation]: ...
    async def organisation(self, name: str) -> Organisation: ...
    async def create(self, name: str) -> Organisation: ...
    async def delete(self, id: str) -> None: ...
    async def join(self, id: str, project_id: str) -> None: ...
    async def leave(self, id: str, project_id: str) -> None: ...


class Accounts:
    """Verbs on accounts. A project's own is remembered for five seconds."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, tuple[float, Account]] = {}

    async def of(self, project_id: str) -> Account:
        """A project's account. Raises NotFound."""
        now = time.monotonic()
        known = self._known.get(project_id)
        if known is not None and known[0] > now:
            return known[1]
        found = await self._store.of(project_id)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[project_id] = (now + _REMEMBER_S, found)
        return found

    async def operates(self, caller: Caller) -> bool:
        """Whether the caller reaches every account: an administrator's key, or a member of the operators."""
        return caller.role is Role.ADMIN or await self._store.operates(caller.project_id)

    async def named(self, caller: Caller, id: str) -> Account:
        """The account of a uuid that the caller names. Raises Denied where it is out of reach, or not there."""
        found = await self._store.named(id)
        if found is None or not await self.reaches(caller, found.project_id):
            raise Denied("Access denied to specified account_id")
        return found

    async def reaches(self, caller: Caller, project_id: str) -> bool:
        """Whether what belongs to a project is there for the caller at all."""
        if project_id == caller.project_id or await self.operates(caller):
            return True
        return await self._store.shares(caller.project_id, project_id)

    async def acting(self, caller: Caller, *, task: str | None = None, schedule: str | None = None) -> Caller:
        """The caller as of the project that a task (by id) or a schedule (by uuid) belongs to.

        The caller as it is where that is out of reach, or not there: what it then asks for is not found.
        """
        owner = await self.owner(task=task, schedule=schedule)
        if owner is None or not await self.reaches(caller, owner):
            return caller
        return replace(caller, project_id=owner)

    async def owner(self, *, task: str | None = None, schedule: str | None = None) -> ProjectId | None:
        """The project that a task (by id) or a schedule (by uuid) belongs to."""
        if task is not None:
            return await self._store.owner_of_task(task)
        return None if schedule is None else await self._store.owner_of_schedule(schedule)

    async def schedule_called(self, caller: Caller, token: str) -> tuple[Caller, ScheduleId]:
        """(the caller as of its project, its id) of the schedule that has this token, or once had it.

        Raises NotFound where there is none, or it is out of reach.
        """
        found = await self._store.schedule_called(token)
        if found is None or not await self.reaches(caller, found[0]):
            raise NotFound("schedule", token)
        return replace(caller, project_id=found[0]), found[1]

    async def last_tokens(self, schedules: Sequence[str]) -> Mapping[str, str]:
        """The newest token of each schedule, also of those that have none now. The ids must come from what the caller
        has been shown."""
        return await self._store.last_tokens(schedules) if schedules else {}

    # for administrators

    async def all(self, caller: Caller) -> Sequence[Account]:
        """Every account. Administrators only."""
        _admin(caller)
        return await self._store.all()

    async def set_email(self, caller: Caller, project_id: str, email: str | None) -> Account:
        """Say how the owner of an account is reached. Administrators only."""
        _admin(caller)
        if email is not None and not _EMAIL.fullmatch(email):
            raise Invalid("email", "must be an e-mail address.")
        self._known.pop(project_id, None)
        return await self._store.set_email(project_id, email)

    async def organisations(self, caller: Caller) -> Sequence[Organisation]:
        """Every organisation. Administrators only."""
        _admin(caller)
        return await self._store.organisations()

    async def create_organisation(self, caller: Caller, name: str) -> Organisation:
        """A new organisation. Administrators only."""
        _admin(caller)
        if not 1 <= len(name.strip()) <= _MOST_NAME:
            raise Invalid("name", f"must be 1 to {_MOST_NAME} characters.")
        return await self._store.create(name.strip())

    async def delete_organisation(self, caller: Caller, name: str) -> None:
        """Dissolve an organisation, by its id or name; the operators' stays. Administrators only."""
        _admin(caller)
        found = await self._store.organisation(name)
        if found.id == OPERATORS:
            raise Invalid("organisation_id", "is the operators' own, which stays.")
        await self._store.delete(found.id)

    async def join(self, caller: Caller, name: str, project_id: str) -> Organisation:
        """Make a project a member of an organisation (by id or name). Administrators only."""
        _admin(caller)
        found = await self._store.organisation(name)
        await self._store.join(found.id, project_id)
        return await self._store.organisation(found.id)

    async def leave(self, caller: Caller, name: str, project_id: str) -> None:
        """End a membership. Administrators only."""
        _admin(caller)
        found = await self._store.organisation(name)
        if project_id not in found.members:
            raise NotFound("project", project_id)
        await self._store.leave(found.id, project_id)


def _admin(caller: Caller) -> None:
    if caller.role is not Role.ADMIN:
        raise Denied("Only an administrator's key may do this.")
