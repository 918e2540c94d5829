"""Runs: accepting several tasks at once, reading them together, cancelling the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from mediamill.core.dispatch import Accept, AcceptRun
from mediamill.core.errors import Conflict, NotFound
from mediamill.core.ids import RunId, new_id
from mediamill.core.runs import Part, Run, RunList
from mediamill.core.tasks import Page, State, Task
from mediamill.store import branches, rows
from mediamill.store.accepting import Place, below_callers, insert_tasks, unseen, within_limits
from mediamill.store.notices import CANCEL, wake
from mediamill.store.text import clean, dumps

_INSERT = """
INSERT INTO runs (id, project_id, dialect, metadata, extra, created_by) VALUES ($1, $2, $3, $4::jsonb, $5::jsonb, $6)
"""
_EVENT = "INSERT INTO events (project_id, run_id, type) VALUES ($1, $2, $3)"
_RUN = """
r.*, (
    SELECT coalesce(jsonb_agg(jsonb_build_object(
        'id', t.id, 'kind', t.kind, 'dialect', t.dialect, 'state', t.state, 'stage', t.stage, 'progress', t.progress,
        'error', t.error, 'skipped', t.details -> 'skipped' IS NOT NULL, 'started_at', t.started_at
    ) ORDER BY t.place, t.created_at), '[]') FROM tasks t WHERE t.run_id = r.id
) AS parts
"""
_GET = f"SELECT {_RUN} FROM runs r WHERE r.project_id = $1 AND r.id = $2"
_TASKS = f"""
SELECT {rows.TASK} FROM tasks t WHERE t.project_id = $1 AND t.run_id = $2 ORDER BY t.place, t.created_at, t.id
"""
_RUN_OF = "SELECT run_id FROM tasks WHERE id = $1"
_WANT_CANCEL = """
UPDATE runs SET cancel_requested = true, updated_at = clock_timestamp()
WHERE project_id = $1 AND id = $2 AND finished_at IS NULL RETURNING id
"""
_STOP = """
UPDATE tasks SET
    cancel_requested = true, updated_at = clock_timestamp(),
    state = CASE WHEN fence IS NULL THEN 'cancelled' ELSE state END,
    finished_at = CASE WHEN fence IS NULL THEN clock_timestamp() END
WHERE run_id = $1 AND finished_at IS NULL RETURNING id, project_id, run_id, state, place
"""
_STOPPED = "INSERT INTO events (project_id, task_id, type) SELECT $1, unnest($2::text[]), 'task.cancelled'"
_LONE_OVER = """
UPDATE runs SET state = 'cancelled', finished_at = clock_timestamp(), updated_at = clock_timestamp()
WHERE id = $1 RETURNING id
"""


class Runs:
    """The run table."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def accept(self, asked: AcceptRun) -> tuple[str, bool]:
        """Write a run with all its tasks in one transaction; (id, whether it is new).

        Raises IdempotencyMismatch, LimitReached.
        """
        ids = [new_id("task") for _ in asked.items]
        # The first task stands for the run: its key is the run's, and an earlier answer leads to the run by it.
        answers: list[tuple[str, bool] | BaseException] = [(id, True) for id in ids]
        run_id = new_id("run")
        async with self._pool.acquire() as connection, connection.transaction():
            fresh = await unseen(connection, asked.items, ids, answers)
            items: Sequence[Accept] = asked.items
            if 0 in fresh:
                items, fresh = await below_callers(connection, items, ids, fresh, answers)
                fresh = await within_limits(connection, items, ids, fresh, answers)
            for answer in answers:
                if isinstance(answer, BaseException):
                    raise answer
            if 0 not in fresh:
                first = answers[0]
                assert not isinstance(first, BaseException)
                return await connection.fetchval(_RUN_OF, first[0]), False
            new = asked.new
            await connection.execute(
                _INSERT,
                run_id,
                asked.project_id,
                new.dialect,
                dumps(dict(new.metadata)) if new.metadata is not None else None,
                dumps(dict(new.extra)),
                new.created_by,
            )
            await connection.execute(_EVENT, asked.project_id, run_id, "run.created")
            places = [
                Place(
                    run_id=run_id,
                    number=number,
                    parent_id=None if node.parent is None else ids[node.parent],
                    after_id=None if node.after is None else ids[node.after],
                    inherits=item.inherits,
                    ref=node.ref,
                )
                for number, (node, item) in enumerate(zip(new.nodes, items, strict=True))
            ]
            await insert_tasks(connection, list(zip(ids, items, places, strict=True)))
        return run_id, True

    async def get(self, project_id: str, id: str) -> Run:
        """One run. Raises NotFound."""
        row = await self._pool.fetchrow(_GET, project_id, clean(id))
        if row is None:
            raise NotFound("run", id)
        return _run(row)

    async def tasks(self, project_id: str, id: str) -> list[Task]:
        """All tasks of a run in its order, without their attempts."""
        return [rows.task(row) for row in await self._pool.fetch(_TASKS, project_id, clean(id))]

    async def list(
        self, project_id: str, page: Page, states: Sequence[str] | None = None, created_by: str | None = None
    ) -> RunList:
        """One page of a project's runs, in one query."""
        sql, arguments = rows.list_runs(project_id, page, _RUN, states, created_by)
        found = [_run(row) for row in await self._pool.fetch(sql, *arguments)]
        return RunList(items=rows.in_order(found, page), more=len(found) > page.limit)

    async def cancel(self, project_id: str, id: str) -> Run:
        """Cancel at once what is not running, and ask the workers to stop the rest. Raises NotFound, or Conflict where
        it has succeeded or failed."""
        async with self._pool.acquire() as connection, connection.transaction():
            await branches.lock_runs(connection, [id])
            if await connection.fetchval(_WANT_CANCEL, project_id, clean(id)) is None:
                run = await self.get(project_id, id)
                if run.state != State.CANCELLED:
                    raise Conflict(f"The run has {run.state} already.")
                return run
            stopped = await connection.fetch(_STOP, id)
            ended = [row for row in stopped if row["state"] == State.CANCELLED]
            await connection.execute(_STOPPED, project_id, [row["id"] for row in ended])
            if any(row["place"] is None for row in ended):
                await connection.execute(_LONE_OVER, id)
                await connection.execute(_EVENT, project_id, id, "run.cancelled")
            else:
                await branches.follow(connection, ended)
            for row in stopped:
                if row["state"] != State.CANCELLED:
                    await connection.execute("SELECT pg_notify($1, $2)", CANCEL, row["id"])
            await wake(connection, [row["id"] for row in stopped])
        return await self.get(project_id, id)


def _run(row: rows.Row) -> Run:
    return Run(
        id=RunId(row["id"]),
        project_id=row["project_id"],
        dialect=row["dialect"],
        state=row["state"],
        metadata=row["metadata"],
        extra=row["extra"],
        created_by=row["created_by"],
        cancel_requested=row["cancel_requested"],
        error=rows.failure(row["error"]),
        parts=[
            Part(
                id=part["id"],
                kind=part["kind"],
                dialect=part["dialect"],
                state=State(part["state"]),
                stage=part["stage"],
                progress=part["progress"],
                error=rows.failure(part["error"]),
                skipped=part["skipped"],
                started_at=rows.instant(part["started_at"]),
            )
            for part in row["parts"]
        ],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )
