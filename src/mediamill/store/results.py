"""Earlier results, by what made them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from mediamill.core.tasks import Task
from mediamill.store import rows
from mediamill.store.notices import columns

_FIND = f"""
SELECT {rows.TASK} FROM results r JOIN projects p ON p.id = r.project_id AND p.reuse
JOIN tasks t ON t.id = r.task_id AND t.project_id = r.project_id AND t.state = 'succeeded'
WHERE r.project_id = $1 AND r.key = $2
"""
_REMEMBER = """
INSERT INTO results (project_id, key, task_id)
SELECT DISTINCT ON (t.project_id, n.key) t.project_id, n.key, t.id
FROM unnest($1::text[], $2::bytea[]) AS n (id, key) JOIN tasks t ON t.id = n.id AND t.state = 'succeeded'
ON CONFLICT (project_id, key) DO UPDATE SET task_id = EXCLUDED.task_id, created_at = now()
"""


async def remember(connection: Any, made: Sequence[tuple[str, bytes]]) -> None:
    """Note that tasks, by id, made what their keys stand for, in the transaction of their end."""
    if made:
        await connection.execute(_REMEMBER, *columns(sorted(made)))


class Results:
    """The table of results."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def find(self, project_id: str, key: bytes) -> Task | None:
        """The earlier task, if all that it made is still there and the project wants its results used again."""
        row = await self._pool.fetchrow(_FIND, project_id, key)
        if row is None:
            return None
        task = rows.task(row)
        return task if task.outputs and all(output.file is not None for output in task.outputs) else None

    async def used(self, project_id: str) -> bool:
        """Whether a project wants its results used again."""
        return bool(await self._pool.fetchval("SELECT reuse FROM projects WHERE id = $1", project_id))

    async def use(self, project_id: str, wanted: bool) -> None:
        """Choose that."""
        await self._pool.execute("UPDATE projects SET reuse = $2 WHERE id = $1", project_id, wanted)
