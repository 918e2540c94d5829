"""Workspaces: a project's e-mail, name, use and assets, and signing up for one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from mediamill.core.access import Project, hash_secret
from mediamill.core.errors import LimitReached, NotFound
from mediamill.core.files import File
from mediamill.core.ids import ProjectId, new_id
from mediamill.core.tasks import Page
from mediamill.core.workspaces import CODE_S, MOST_TRIES, MOST_WAITING, MOST_WRONG, Used
from mediamill.store import rows
from mediamill.store.text import clean

_EMAIL = "SELECT email, email_verified FROM projects WHERE id = $1"
_RENAME = "UPDATE projects SET name = $2 WHERE id = $1 RETURNING id, name, created_at"
_REVOKE_ALL = "UPDATE keys SET revoked_at = now() WHERE project_id = $1 AND revoked_at IS NULL"
# Nothing of it starts by itself any more, and what would be kept for ever is kept for as long as one may regret it.
_STOP = (
    "UPDATE schedules SET enabled = false, next_at = NULL WHERE project_id = $1",
    "UPDATE automations SET status = 'paused' WHERE project_id = $1",
    "UPDATE files SET expires_at = now() + interval '7 days' WHERE project_id = $1 AND expires_at IS NULL",
)
_LIVE = """
SELECT id FROM tasks
WHERE project_id = $1 AND state IN ('waiting', 'ingesting', 'delayed', 'queued', 'running') ORDER BY id
"""
_USED = """
SELECT count(*) FILTER (WHERE kind = ANY($4::text[])) AS tasks,
       count(*) FILTER (WHERE kind = $5 AND state = 'succeeded') AS renders,
       coalesce(sum((details ->> 'duration_s')::float8) FILTER (WHERE kind = $5 AND state = 'succeeded'), 0) AS render_s
FROM tasks WHERE project_id = $1 AND created_at >= $2 AND created_at < $3
"""
_EGRESS = """
SELECT coalesce(sum(bytes), 0)::bigint FROM egress
WHERE project_id = $1 AND day >= ($2 AT TIME ZONE 'UTC')::date AND day < ($3 AT TIME ZONE 'UTC')::date
"""
_SERVED = """
INSERT INTO egress (project_id, day, bytes)
SELECT p.id, (now() AT TIME ZONE 'UTC')::date, s.bytes
FROM unnest($1::text[], $2::bigint[]) AS s (id, bytes) JOIN projects p ON p.id = s.id ORDER BY p.id
ON CONFLICT (project_id, day) DO UPDATE SET bytes = egress.bytes + excluded.bytes
"""
_ASSETS = """
SELECT * FROM files WHERE project_id = $1 AND state = 'ready' AND (expires_at IS NULL OR expires_at > now())
   AND (mime LIKE 'video/%' OR mime LIKE 'audio/%')
   AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
ORDER BY created_at DESC, id DESC LIMIT $4
"""
_WAITING = "SELECT count(*) FROM signups WHERE created_at > now() - $1::float8 * interval '1 second'"
_NEW_PROJECT = "INSERT INTO projects (id, name, email) VALUES ($1, $2, $3) RETURNING id, name, created_at"
_NEW_KEY = """
INSERT INTO keys (id, project_id, name, role, hash, hint, inert) VALUES ($1, $2, $3, 'member', $4, $5, true)
"""
_SIGN_UP = "INSERT INTO signups (project_id, email, code_hash) VALUES ($1, $2, $3)"
_TRY = """
UPDATE signups SET tries = tries + 1 WHERE project_id = (
    SELECT project_id FROM signups WHERE email = $1 AND tries < $2
       AND created_at > now() - $3::float8 * interval '1 second'
    ORDER BY created_at DESC LIMIT 1)
RETURNING project_id, code_hash
"""
_TRIED = "SELECT coalesce(sum(tries), 0) FROM signups WHERE created_at > now() - $1::float8 * interval '1 second'"
_INERT = "SELECT EXISTS (SELECT FROM keys WHERE hash = $1 AND inert AND revoked_at IS NULL)"


class Workspaces:
    """See the module."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def email(self, project_id: str) -> tuple[str | None, bool]:
        """(the owner's address, whether it was verified)."""
        row = await self._pool.fetchrow(_EMAIL, project_id)
        if row is None:
            raise NotFound("project", project_id)
        return row["email"], row["email_verified"]

    async def rename(self, project_id: str, name: str) -> Project:
        """Another name. Raises NotFound."""
        return _project(await self._pool.fetchrow(_RENAME, project_id, clean(name)), project_id)

    async def close(self, project_id: str) -> Sequence[str]:
        """Revoke every key, and let nothing start by itself; the tasks that have not ended."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_REVOKE_ALL, project_id)
            for statement in _STOP:
                await connection.execute(statement, project_id)
            return [row["id"] for row in await connection.fetch(_LIVE, project_id)]

    async def used(self, project_id: str, start: datetime, end: datetime, kinds: Sequence[str], render: str) -> Used:
        """What was used from `start` until `end`."""
        row = await self._pool.fetchrow(_USED, project_id, start, end, list(kinds), render)
        assert row is not None  # an aggregate gives its row
        served = await self._pool.fetchval(_EGRESS, project_id, start, end)
        return Used(tasks=row["tasks"], renders=row["renders"], render_s=row["render_s"], egress_bytes=served)

    async def served(self, amounts: Mapping[str, int]) -> None:
        """Add bytes, by project, to what was served today."""
        await self._pool.execute(_SERVED, list(amounts), list(amounts.values()))

    async def assets(self, project_id: str, page: Page) -> tuple[Sequence[File], bool]:
        """(films and sounds that are ready, newest first; whether more follow)."""
        after = page.after
        found = await self._pool.fetch(
            _ASSETS, project_id, after.at if after else None, after.id if after else None, page.limit + 1
        )
        return [rows.file(row) for row in found[: page.limit]], len(found) > page.limit

    async def sign_up(self, name: str, email: str, secret: str, code: str) -> Project:
        """A new project with one key that is inert until the code comes back. Raises LimitReached."""
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(_WAITING, CODE_S) >= MOST_WAITING:
                raise LimitReached("Too many signups wait for their code.", CODE_S)
            id = new_id("project")
            row = await connection.fetchrow(_NEW_PROJECT, id, clean(name), clean(email))
            await connection.execute(_NEW_KEY, new_id("key"), id, "first key", hash_secret(secret), secret[:9])
            await connection.execute(_SIGN_UP, id, clean(email), hash_secret(code))
        return _project(row, id)

    async def verify(self, email: str, code: str) -> Project | None:
        """Wake the key of the newest signup with this e-mail; None for a wrong or late code, or one too many.

        Raises LimitReached while too many have been tried for all signups.
        """
        async with self._pool.acquire() as connection:
            if await connection.fetchval(_TRIED, CODE_S) >= MOST_WRONG:
                raise LimitReached("Too many codes were tried; wait a while.", CODE_S)
            # Counted before it is looked at, and kept whatever comes of it.
            row = await connection.fetchrow(_TRY, clean(email), MOST_TRIES, CODE_S)
            if row is None or bytes(row["code_hash"]) != hash_secret(code):
                return None
            id = row["project_id"]
            async with connection.transaction():
                await connection.execute("DELETE FROM signups WHERE project_id = $1", id)
                await connection.execute("UPDATE keys SET inert = false WHERE project_id = $1", id)
                verified = "UPDATE projects SET email_verified = true WHERE id = $1 RETURNING id, name, created_at"
                return _project(await connection.fetchrow(verified, id), id)

    async def inert(self, secret: str) -> bool:
        """Whether this is a key that waits for its e-mail to be verified."""
        return bool(await self._pool.fetchval(_INERT, hash_secret(secret)))


def _project(row: Any, id: str) -> Project:
    if row is None:
        raise NotFound("project", id)
    return Project(id=ProjectId(row["id"]), name=row["name"], created_at=row["created_at"])
