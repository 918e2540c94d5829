"""Automations, and the starts that new media ask for: written in the transaction in which the medium becomes known."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import asyncpg

from mediamill.core.automations import MEDIA_CREATED, Automation, NewAutomation, Start, Status, is_medium
from mediamill.core.errors import NotFound
from mediamill.core.files import File
from mediamill.core.ids import AutomationId, ProjectId, new_id
from mediamill.core.tasks import Page
from mediamill.store import rows
from mediamill.store.text import clean, dumps

STARTS = "mediamill_starts"
"""Channel: automations are to be started."""

_ALL = "id, project_id, dialect, name, description, workflow, status, trigger, problem, created_at, updated_at"
_ADD = f"""
INSERT INTO automations (id, project_id, dialect, name, description, workflow, status, trigger)
VALUES ($1, $2, $3, $4, $5, $6::jsonb, $7, $8::jsonb) RETURNING {_ALL}
"""
_GET = f"SELECT {_ALL} FROM automations WHERE project_id = $1 AND id = $2"
_COUNT = "SELECT count(*) FROM automations WHERE project_id = $1"
_LIST = f"""
SELECT {_ALL} FROM automations WHERE project_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2 OFFSET $3
"""
_DELETE = "DELETE FROM automations WHERE project_id = $1 AND id = $2 RETURNING id"
_CHANGED = {"name": "text", "description": "text", "status": "text", "workflow": "jsonb", "trigger": "jsonb"}
_NEW_MEDIUM = f"""
WITH asked AS (
    INSERT INTO automation_starts (automation_id, project_id, file_id)
    SELECT id, project_id, $2 FROM automations
    WHERE project_id = $1 AND status = 'active' AND trigger ->> 'event' = '{MEDIA_CREATED}' ORDER BY id
    RETURNING id
)
SELECT pg_notify('{STARTS}', '') FROM asked LIMIT 1
"""
# Held until the run is there: a server that dies meanwhile leaves it to another, and the run's idempotency key sees to
# it that there is one run. An automation that was paused meanwhile is not started.
_DUE = """
SELECT id AS start_id, automation_id, file_id, tries FROM automation_starts WHERE due_at <= clock_timestamp()
ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
"""
_LATER = """
UPDATE automation_starts SET tries = tries + 1, due_at = clock_timestamp() + $2::float8 * interval '1 second'
WHERE id = $1
"""
_DONE = "DELETE FROM automation_starts WHERE id = $1"
_PROBLEM = "UPDATE automations SET problem = $2 WHERE id = $1 AND problem IS DISTINCT FROM $2"


def _automation(row: Any) -> Automation:
    return Automation(
        id=AutomationId(row["id"]),
        project_id=ProjectId(row["project_id"]),
        dialect=row["dialect"],
        name=row["name"],
        description=row["description"],
        workflow=row["workflow"],
        status=Status(row["status"]),
        trigger=row["trigger"],
        problem=row["problem"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


async def on_new_medium(connection: Any, file: File) -> None:
    """Ask for the start of every automation that waits for new media, in the transaction of `connection`."""
    if file.ready and is_medium(file.mime):
        await connection.execute(_NEW_MEDIUM, file.project_id, file.id)


class Started:
    """What became of a start."""

    def __init__(self, start: Start) -> None:
        self.start = start
        self.again_in_s: float | None = None
        """Set it to try again later."""
        self.problem: str | None = None
        """Set it when it could not be done."""


class Automations:
    """The automation table."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def create(self, project_id: str, new: NewAutomation) -> Automation:
        """Keep one."""
        row = await self._pool.fetchrow(
            _ADD,
            new_id("automation"),
            project_id,
            new.dialect,
            *(clean(text) if text is not None else None for text in (new.name, new.description)),
            dumps(new.workflow),
            new.status,
            dumps(dict(new.trigger)) if new.trigger is not None else None,
        )
        return _automation(row)

    async def get(self, project_id: str, id: str) -> Automation:
        """One of the project's. Raises NotFound."""
        row = await self._pool.fetchrow(_GET, project_id, clean(id))
        if row is None:
            raise NotFound("automation", id)
        return _automation(row)

    async def list(self, project_id: str, page: Page) -> tuple[Sequence[Automation], bool]:
        """One page, and whether there are more."""
        sql, arguments = rows.list_plain("automations", _ALL, project_id, page)
        found = [_automation(row) for row in await self._pool.fetch(sql, *arguments)]
        return rows.in_order(found, page), len(found) > page.limit

    async def numbered(self, project_id: str, *, limit: int, skip: int) -> tuple[Sequence[Automation], int]:
        """A part of the list by number, newest first, and how many there are."""
        found = await self._pool.fetch(_LIST, project_id, limit, skip)
        return [_automation(row) for row in found], await self._pool.fetchval(_COUNT, project_id)

    async def change(self, project_id: str, id: str, changes: Mapping[str, Any]) -> Automation:
        """Write what is there of name, description, status, workflow and trigger. Raises NotFound."""
        given = {name: changes[name] for name in _CHANGED if name in changes}
        values = [
            value if value is None else dumps(value) if _CHANGED[name] == "jsonb" else clean(value)
            for name, value in given.items()
        ]
        sets = [f"{name} = ${n}::{_CHANGED[name]}" for n, name in enumerate(given, 3)]
        row = await self._pool.fetchrow(
            f"UPDATE automations SET {', '.join([*sets, 'updated_at = clock_timestamp()'])} "
            f"WHERE project_id = $1 AND id = $2 RETURNING {_ALL}",
            project_id,
            clean(id),
            *values,
        )
        if row is None:
            raise NotFound("automation", id)
        return _automation(row)

    async def delete(self, project_id: str, id: str) -> None:
        """Forget one; runs it has started go on. Raises NotFound."""
        if await self._pool.fetchval(_DELETE, project_id, clean(id)) is None:
            raise NotFound("automation", id)

    @contextlib.asynccontextmanager
    async def due(self) -> AsyncIterator[Started | None]:
        """The next start that nobody else is about, held for the block; None when there is none.

        It is over after the block unless `again_in_s` is set. An exception in the block leaves it as it was.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(_DUE)
            if row is None:
                yield None
                return
            found = await connection.fetchrow(f"SELECT {_ALL} FROM automations WHERE id = $1", row["automation_id"])
            automation = _automation(found)
            started = Started(
                Start(id=row["start_id"], automation=automation, file_id=row["file_id"], tries=row["tries"])
            )
            yield started
            await connection.execute(_PROBLEM, automation.id, clean(started.problem) if started.problem else None)
            if started.again_in_s is None:
                await connection.execute(_DONE, started.start.id)
            else:
                await connection.execute(_LATER, started.start.id, started.again_in_s)
