"""Projects and keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from mediamill.core.access import Caller, Key, Project, Role, hash_secret, new_secret
from mediamill.core.errors import NotFound
from mediamill.core.ids import KeyId, ProjectId, new_id
from mediamill.store.text import clean

_WHO = """
SELECT id, project_id, role, last_used_at < now() - interval '1 minute' OR last_used_at IS NULL AS stale
FROM keys WHERE hash = $1 AND revoked_at IS NULL AND NOT inert
"""
_HOLDER = "SELECT id, project_id, role FROM keys WHERE id = $1 AND revoked_at IS NULL AND NOT inert"
_USED = "UPDATE keys SET last_used_at = now() WHERE id = $1"
_ADD = """
INSERT INTO keys (id, project_id, name, role, hash, hint) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (hash) DO UPDATE SET revoked_at = NULL, role = EXCLUDED.role RETURNING *
"""
_LIST = "SELECT * FROM keys WHERE project_id = $1 ORDER BY created_at DESC, id DESC"
_REVOKE = "UPDATE keys SET revoked_at = coalesce(revoked_at, now()) WHERE project_id = $1 AND id = $2 RETURNING id"
_PROJECT = "INSERT INTO projects (id, name) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET id = EXCLUDED.id RETURNING *"

DEFAULT_PROJECT = ProjectId("default")


def _key(row: Any) -> Key:
    return Key(
        id=KeyId(row["id"]),
        project_id=ProjectId(row["project_id"]),
        name=row["name"],
        role=Role(row["role"]),
        hint=row["hint"],
        created_at=row["created_at"],
        last_used_at=row["last_used_at"],
        revoked_at=row["revoked_at"],
    )


class Keys:
    """The key and project tables."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def who(self, secret: str) -> Caller | None:
        """The caller a key speaks for, or None for one we do not know or have revoked."""
        row = await self._pool.fetchrow(_WHO, hash_secret(secret))
        if row is None:
            return None
        if row["stale"]:
            await self._pool.execute(_USED, row["id"])
        return Caller(project_id=ProjectId(row["project_id"]), key_id=KeyId(row["id"]), role=Role(row["role"]))

    async def holder(self, id: str) -> Caller | None:
        """The caller a key speaks for by its id, or None for one we do not know or have revoked."""
        row = await self._pool.fetchrow(_HOLDER, clean(id))
        if row is None:
            return None
        return Caller(project_id=ProjectId(row["project_id"]), key_id=KeyId(row["id"]), role=Role(row["role"]))

    async def create(self, project_id: str, name: str, role: Role, secret: str | None = None) -> tuple[Key, str]:
        """A new key and its secret, which is shown this once. A given secret that exists already is kept as it is."""
        secret = secret or new_secret()
        row = await self._pool.fetchrow(
            _ADD, new_id("key"), project_id, clean(name), role.value, hash_secret(secret), secret[:9]
        )
        assert row is not None  # an upsert gives its row back
        return _key(row), secret

    async def list(self, project_id: str) -> list[Key]:
        """A project's keys, newest first."""
        return [_key(row) for row in await self._pool.fetch(_LIST, project_id)]

    async def revoke(self, project_id: str, id: str) -> None:
        """End a key now. Raises NotFound."""
        if await self._pool.fetchval(_REVOKE, project_id, clean(id)) is None:
            raise NotFound("key", id)

    async def project(self, id: str | None, name: str) -> Project:
        """The project of that id, made if it is not there."""
        row = await self._pool.fetchrow(_PROJECT, id or new_id("project"), name)
        assert row is not None  # an upsert gives its row back
        return Project(id=ProjectId(row["id"]), name=row["name"], created_at=row["created_at"])

    async def project_of(self, id: str) -> Project:
        """The project of that id. Raises NotFound."""
        row = await self._pool.fetchrow("SELECT * FROM projects WHERE id = $1", id)
        if row is None:
            raise NotFound("project", id)
        return Project(id=ProjectId(row["id"]), name=row["name"], created_at=row["created_at"])

    async def projects(self) -> Sequence[Project]:
        """Every project, oldest first."""
        found = await self._pool.fetch("SELECT * FROM projects ORDER BY created_at, id")
        return [Project(id=ProjectId(r["id"]), name=r["name"], created_at=r["created_at"]) for r in found]
