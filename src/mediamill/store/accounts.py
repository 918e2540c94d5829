"""Accounts and organisations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from mediamill.core.accounts import OPERATORS, Account, Organisation
from mediamill.core.errors import Conflict, NotFound
from mediamill.core.ids import OrganisationId, ProjectId, ScheduleId, new_id
from mediamill.store.text import clean

_ACCOUNT = "SELECT id, name, account_id::text, email FROM projects"
_SET_EMAIL = "UPDATE projects SET email = $2 WHERE id = $1 RETURNING id, name, account_id::text, email"
_SHARES = """
SELECT EXISTS (
    SELECT FROM members mine JOIN members theirs USING (organisation_id)
    WHERE mine.project_id = $1 AND theirs.project_id = $2
)
"""
_OPERATES = "SELECT EXISTS (SELECT FROM members WHERE project_id = $1 AND organisation_id = $2)"
_CALLED = """
SELECT s.project_id, s.id FROM schedule_tokens k JOIN schedules s ON s.id = k.schedule_id WHERE k.token = $1
"""
_LAST_TOKENS = """
SELECT DISTINCT ON (schedule_id) schedule_id, token FROM schedule_tokens WHERE schedule_id = ANY($1::text[])
ORDER BY schedule_id, given_at DESC
"""
_ORGANISATIONS = """
SELECT o.id, o.name, array_remove(array_agg(m.project_id ORDER BY m.project_id), NULL) AS members
FROM organisations o LEFT JOIN members m ON m.organisation_id = o.id
WHERE $1::text IS NULL OR o.id = $1 OR o.name = $1
GROUP BY o.id ORDER BY o.created_at, o.id
"""
_CREATE = "INSERT INTO organisations (id, name) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING RETURNING id"
_JOIN = "INSERT INTO members (organisation_id, project_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
_LEAVE = "DELETE FROM members WHERE organisation_id = $1 AND project_id = $2 RETURNING project_id"


class Accounts:
    """The tables of accounts, organisations and members."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def of(self, project_id: str) -> Account:
        """A project's account. Raises NotFound."""
        row = await self._pool.fetchrow(f"{_ACCOUNT} WHERE id = $1", clean(project_id))
        if row is None:
            raise NotFound("project", project_id)
        return _account(row)

    async def named(self, id: str) -> Account | None:
        """The account of a uuid, well-formed as it must be."""
        row = await self._pool.fetchrow(f"{_ACCOUNT} WHERE account_id = $1::uuid", id)
        return None if row is None else _account(row)

    async def all(self) -> Sequence[Account]:
        """Every account, oldest first."""
        return [_account(row) for row in await self._pool.fetch(f"{_ACCOUNT} ORDER BY created_at, id")]

    async def set_email(self, project_id: str, email: str | None) -> Account:
        """Say how its owner is reached. Raises NotFound."""
        row = await self._pool.fetchrow(_SET_EMAIL, clean(project_id), None if email is None else clean(email))
        if row is None:
            raise NotFound("project", project_id)
        return _account(row)

    async def shares(self, project_id: str, other: str) -> bool:
        """Whether two projects have an organisation in common."""
        return bool(await self._pool.fetchval(_SHARES, project_id, other))

    async def operates(self, project_id: str) -> bool:
        """Whether a project belongs to those who run the install."""
        return bool(await self._pool.fetchval(_OPERATES, project_id, OPERATORS))

    async def owner_of_task(self, id: str) -> ProjectId | None:
        """Whose task it is."""
        found: ProjectId | None = await self._pool.fetchval("SELECT project_id FROM tasks WHERE id = $1", clean(id))
        return found

    async def owner_of_schedule(self, uuid: str) -> ProjectId | None:
        """Whose schedule it is, by its uuid, well-formed as it must be."""
        found: ProjectId | None = await self._pool.fetchval(
            "SELECT project_id FROM schedules WHERE uuid = $1::uuid", uuid
        )
        return found

    async def schedule_called(self, token: str) -> tuple[ProjectId, ScheduleId] | None:
        """(whose it is, its id) of the schedule that has this token, or once had it."""
        row = await self._pool.fetchrow(_CALLED, clean(token))
        return None if row is None else (ProjectId(row["project_id"]), ScheduleId(row["id"]))

    async def last_tokens(self, schedules: Sequence[str]) -> Mapping[str, str]:
        """The newest token of each schedule, also of those that have none now."""
        found = await self._pool.fetch(_LAST_TOKENS, list(schedules))
        return {row["schedule_id"]: row["token"] for row in found}

    async def organisations(self) -> Sequence[Organisation]:
        """Every organisation with its members, oldest first."""
        return [_organisation(row) for row in await self._pool.fetch(_ORGANISATIONS, None)]

    async def organisation(self, name: str) -> Organisation:
        """One by its id or its name. Raises NotFound."""
        row = await self._pool.fetchrow(_ORGANISATIONS, clean(name))
        if row is None:
            raise NotFound("organisation", name)
        return _organisation(row)

    async def create(self, name: str) -> Organisation:
        """A new organisation without members. Raises Conflict for a name that is taken."""
        id = await self._pool.fetchval(_CREATE, new_id("organisation"), clean(name))
        if id is None:
            raise Conflict("There is an organisation of this name already.")
        return await self.organisation(id)

    async def delete(self, id: str) -> None:
        """Dissolve it. Raises NotFound."""
        if await self._pool.fetchval("DELETE FROM organisations WHERE id = $1 RETURNING id", id) is None:
            raise NotFound("organisation", id)

    async def join(self, id: str, project_id: str) -> None:
        """Make a project a member. Raises NotFound."""
        try:
            await self._pool.execute(_JOIN, id, clean(project_id))
        except asyncpg.ForeignKeyViolationError:
            raise NotFound("project", project_id) from None

    async def leave(self, id: str, project_id: str) -> None:
        """End a membership. Raises NotFound."""
        if await self._pool.fetchval(_LEAVE, id, clean(project_id)) is None:
            raise NotFound("project", project_id)


def _account(row: Any) -> Account:
    return Account(id=row["account_id"], project_id=ProjectId(row["id"]), name=row["name"], email=row["email"])


def _organisation(row: Any) -> Organisation:
    return Organisation(id=OrganisationId(row["id"]), name=row["name"], members=[ProjectId(m) for m in row["members"]])
