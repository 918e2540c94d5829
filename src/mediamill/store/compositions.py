"""Compositions: scenes that are kept and edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from mediamill.core.errors import NotFound
from mediamill.core.ids import ProjectId, new_id
from mediamill.core.kept_scenes import Author, KeptScene
from mediamill.core.tasks import Page
from mediamill.store.text import clean, dumps

_ADD = """
INSERT INTO compositions (id, project_id, name, request, author) VALUES ($1, $2, $3, $4::jsonb, $5) RETURNING *
"""
_GET = "SELECT * FROM compositions WHERE project_id = $1 AND id = $2 AND deleted_at IS NULL"
_LIST = """
SELECT * FROM compositions WHERE project_id = $1 AND deleted_at IS NULL
   AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
ORDER BY created_at DESC, id DESC LIMIT $4
"""
_EDIT = """
UPDATE compositions SET request = $4::jsonb, author = $5, version = version + 1, updated_at = clock_timestamp()
WHERE project_id = $1 AND id = $2 AND version = $3 AND deleted_at IS NULL RETURNING *
"""
_DELETE = """
UPDATE compositions SET deleted_at = clock_timestamp()
WHERE project_id = $1 AND id = $2 AND deleted_at IS NULL RETURNING id
"""


class Compositions:
    """The table of compositions."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def create(self, project_id: str, name: str, request: Mapping[str, Any], author: Author) -> KeptScene:
        """A new one, at version 1."""
        row = await self._pool.fetchrow(
            _ADD, new_id("composition"), project_id, clean(name), dumps(dict(request)), author
        )
        return _scene(row)

    async def get(self, project_id: str, id: str) -> KeptScene:
        """One. Raises NotFound."""
        row = await self._pool.fetchrow(_GET, project_id, clean(id))
        if row is None:
            raise NotFound("composition", id)
        return _scene(row)

    async def list(self, project_id: str, page: Page) -> tuple[Sequence[KeptScene], bool]:
        """(a page, newest first; whether more follow)."""
        after = page.after
        found = await self._pool.fetch(
            _LIST, project_id, after.at if after else None, after.id if after else None, page.limit + 1
        )
        return [_scene(row) for row in found[: page.limit]], len(found) > page.limit

    async def edit(
        self, project_id: str, id: str, version: int, request: Mapping[str, Any], author: Author
    ) -> KeptScene | None:
        """The next version after `version`; None when that is not the newest any more."""
        row = await self._pool.fetchrow(_EDIT, project_id, clean(id), version, dumps(dict(request)), author)
        return None if row is None else _scene(row)

    async def delete(self, project_id: str, id: str) -> None:
        """Let it go. Raises NotFound."""
        if await self._pool.fetchval(_DELETE, project_id, clean(id)) is None:
            raise NotFound("composition", id)


def _scene(row: Mapping[str, Any] | None) -> KeptScene:
    assert row is not None  # what is inserted comes back
    return KeptScene(
        id=row["id"],
        project_id=ProjectId(row["project_id"]),
        name=row["name"],
        version=row["version"],
        request=row["request"],
        author=row["author"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
