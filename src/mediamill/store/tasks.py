"""Tasks and their attempts: accept, take, finish, cancel, read.

Each change is one transaction that holds the row, its queue entry and its events together. Accepting, taking and
finishing come in batches (`batch.Batcher`), rows sorted by id so that two batches never lock each other out.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import asyncpg

from mediamill import queue
from mediamill.core.dispatch import Accept, Finish, Take, Taken, Tick, Unwritable
from mediamill.core.errors import Conflict, NotFound
from mediamill.core.events import EventType
from mediamill.core.files import NewFile
from mediamill.core.ids import new_id
from mediamill.core.prompts import KIND as PROMPT
from mediamill.core.tasks import Failure, Filter, Page, State, Task, TaskList
from mediamill.store import branches, rows, turns
from mediamill.store.accepting import accept_lone
from mediamill.store.ending import end, end_with_files, forget
from mediamill.store.files import insert_files
from mediamill.store.notices import CANCEL, columns, wake
from mediamill.store.stopping import expire, stop
from mediamill.store.text import clean, dumps

_LOCK = """
SELECT id, state, fence IS NOT NULL AND state IN ('running', 'ingesting') AS held, attempts_left, cancel_requested,
       outputs, attempt = 0 AND expires_at <= clock_timestamp() AS expired,
       attempt = 0 AND state = 'delayed' AND not_before > clock_timestamp() AS early,
       CASE WHEN attempt = 0 AND not_before IS NOT NULL THEN schedule_id END AS turn_of
FROM tasks WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE
"""
_THERE = "SELECT id FROM pgqueuer WHERE id = ANY($1::bigint[])"
_TAKE = f"""
WITH want AS (SELECT * FROM unnest($1::text[], $2::uuid[]) AS w (id, fence)),
lost AS (
    UPDATE attempts a SET state = 'lost', finished_at = clock_timestamp(), error = $4::jsonb
    FROM want w WHERE a.task_id = w.id AND a.state = 'running'
),
t AS (
    UPDATE tasks SET
        state = CASE WHEN state = 'ingesting' THEN 'ingesting'
                     WHEN jsonb_path_exists(inputs, '$[*] ? (!exists(@.file))') THEN 'ingesting' ELSE 'running' END,
        fence = w.fence, worker = $3, attempt = attempt + 1, attempts_left = attempts_left - 1, stage = NULL,
        progress = CASE WHEN started_at IS NULL THEN 0 ELSE progress END,  -- of another try, as far as the last one was
        updated_at = clock_timestamp(), outputs = '[]',
        started_at = CASE WHEN state = 'ingesting' OR jsonb_path_exists(inputs, '$[*] ? (!exists(@.file))')
                          THEN started_at ELSE coalesce(started_at, clock_timestamp()) END
    FROM want w WHERE tasks.id = w.id
    RETURNING tasks.*
),
noted AS (
    INSERT INTO attempts (task_id, number, worker, state, started_at)
    SELECT id, attempt, $3, 'running', updated_at FROM t
),
begun AS (
    UPDATE runs r SET state = 'running', started_at = clock_timestamp(), updated_at = clock_timestamp()
    FROM t WHERE r.id = t.run_id AND r.state = 'waiting' AND t.started_at IS NOT NULL RETURNING r.id, r.project_id
),
told AS (
    INSERT INTO events (project_id, task_id, run_id, type, progress)
    SELECT project_id, id, NULL, 'task.started', NULL::real FROM t WHERE attempt = 1
    UNION ALL SELECT project_id, id, NULL, 'task.progress', progress FROM t  -- what was fetched is now worked on
    WHERE attempt > 1 AND state = 'running' AND EXISTS (
        SELECT FROM endpoints e
        WHERE e.project_id = t.project_id AND e.state = 'active' AND 'task.progress' = ANY(e.types))
    UNION ALL SELECT project_id, NULL, id, 'run.updated', NULL FROM begun
)
SELECT {rows.TASK},
       CASE WHEN t.place IS NOT NULL THEN (SELECT r.metadata FROM runs r WHERE r.id = t.run_id) END AS run_metadata
FROM t
"""

_PROGRESS = """
WITH p AS (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::float4[], $5::jsonb[])
    AS p (id, fence, stage, progress, stages)
),
moved AS (
    UPDATE tasks t SET stage = p.stage, progress = greatest(t.progress, p.progress), updated_at = clock_timestamp()
    FROM p WHERE t.id = p.id AND t.fence = p.fence
    RETURNING t.id, t.project_id, t.run_id, t.attempt, t.progress, t.started_at, p.stage, p.stages,
              coalesce(t.extra @> '{"webhook_progress": true}', false) AS worded, t.extra ? 'webhook_url' AS addressed
), told AS (
    -- Of a tenth further, where somebody listens; of how far the fetching is, where the dialect has words for that. A
    -- statement sees what was before it: that is how far the task was.
    INSERT INTO events (project_id, task_id, type, progress)
    SELECT m.project_id, m.id, 'task.progress', m.progress FROM moved m JOIN tasks before ON before.id = m.id
    WHERE floor(m.progress * 10) > floor(before.progress * 10)
      AND (m.worded OR m.started_at IS NOT NULL) AND (m.worded AND m.addressed OR EXISTS (
          SELECT FROM endpoints e
          WHERE e.project_id = m.project_id AND e.state = 'active' AND 'task.progress' = ANY(e.types)))
), noted AS (
    UPDATE attempts a SET stage = m.stage, stages = m.stages
    FROM moved m WHERE a.task_id = m.id AND a.number = m.attempt
)
SELECT id, run_id FROM moved
"""
_RUN_PROGRESS = """
WITH free AS (  -- a run that somebody else moves just now is told of at its next tick
    SELECT id, told FROM runs r WHERE id = ANY($1::text[]) AND finished_at IS NULL AND EXISTS (
        SELECT FROM endpoints e
        WHERE e.project_id = r.project_id AND e.state = 'active' AND 'run.progress' = ANY(e.types)
    ) FOR UPDATE SKIP LOCKED
), s AS (
    SELECT run_id, avg(CASE WHEN started_at IS NULL THEN 0 ELSE progress END)
                       FILTER (WHERE details -> 'skipped' IS NULL) AS mean,
           jsonb_object_agg(id, jsonb_build_array(state, stage, progress)) AS parts
    FROM tasks WHERE run_id IN (SELECT id FROM free) GROUP BY run_id
), grown AS (
    UPDATE runs r SET told = s.mean FROM s JOIN free f ON f.id = s.run_id
    WHERE r.id = s.run_id AND floor(s.mean * 10) > floor(f.told * 10)
    RETURNING r.id, r.project_id, s.parts
)
INSERT INTO events (project_id, run_id, type, parts) SELECT project_id, id, 'run.progress', parts FROM grown
"""
_CANCEL = """
UPDATE tasks SET
    cancel_requested = true, updated_at = clock_timestamp(),
    state = CASE WHEN fence IS NULL THEN 'cancelled' ELSE state END,
    finished_at = CASE WHEN fence IS NULL THEN clock_timestamp() END
WHERE project_id = $1 AND id = $2 AND state IN ('waiting', 'ingesting', 'delayed', 'queued', 'running')
RETURNING id, project_id, run_id, place, state, schedule_id, kind
"""
_LONE_OVER = """
WITH over AS (
    UPDATE runs SET state = $2, error = $3::jsonb, finished_at = clock_timestamp(), updated_at = clock_timestamp()
    WHERE id = $1 RETURNING id, project_id, state
)
INSERT INTO events (project_id, run_id, type) SELECT project_id, id, 'run.' || state FROM over
"""
# An end that is being written holds the row, and what it was before is told: ours and wanted.
_STRAYS = """
SELECT h.id, h.fence, t.fence IS NOT DISTINCT FROM h.fence AS ours
FROM unnest($1::text[], $2::uuid[]) AS h (id, fence) JOIN tasks t USING (id)
WHERE t.fence IS DISTINCT FROM h.fence OR t.cancel_requested
"""
_SHOW = """
UPDATE tasks SET outputs = outputs || $3::jsonb, updated_at = clock_timestamp()
WHERE id = $1 AND fence = $2 AND state = 'running' RETURNING project_id
"""
_EVENT = """
INSERT INTO events (project_id, task_id, type, progress) SELECT project_id, id, $2, progress FROM tasks WHERE id = $1
"""
_GET = f"SELECT {rows.TASK_WITH_ATTEMPTS} FROM tasks t WHERE t.project_id = $1 AND t.id = $2"
_GET_MANY = f"SELECT {rows.TASK} FROM tasks t WHERE t.id = ANY($1::text[])"
_LOST = dumps(
    {
        "code": "worker_lost",
        "family": "internal",
        "message": "The worker went away.",
        "stage": None,
        "name": "InterruptedError",
    }
)
_LOST_FAILURE = Failure(
    code="worker_lost", family="internal", message="The worker doing this went away, and no attempts are left."
)
# Of a prompt: did its worker die while the one that takes it over was there, or has the server been started anew?
_HOW_LOST = """
SELECT t.kind = $3 AS hosted, coalesce(w.started_at > a.started_at, true) AS restarted
FROM tasks t JOIN attempts a ON a.task_id = t.id AND a.number = t.attempt LEFT JOIN workers w ON w.id = $2
WHERE t.id = $1
"""
_CRASHED = replace(_LOST_FAILURE, code="crashed", name="InterruptedError")
_INTERRUPTED = Failure(
    code="interrupted",
    family="internal",
    message="The server was started anew while this was at work, and no attempts are left.",
    name="InterruptedError",
)


class Tasks:
    """The task table."""

    def __init__(self, pool: asyncpg.Pool[Any], loose: asyncpg.Pool[Any] | None = None) -> None:
        """loose: a pool whose commits do not wait for the disk, for starts and progress. A start that a power cut
        undoes is a task that is queued as before: its worker's fence is gone, so it starts anew and ends once."""
        self._pool = pool
        self._loose = loose or pool

    async def accept(self, batch: Sequence[Accept]) -> list[tuple[str, bool] | BaseException]:
        """Write tasks, their runs, events and queue entries in one transaction; (id, whether it is new) in order.

        An item whose idempotency key is known answers the earlier task's id, or IdempotencyMismatch.
        """
        ids = [new_id("task") for _ in batch]
        answers: list[tuple[str, bool] | BaseException] = [(id, True) for id in ids]
        async with self._pool.acquire() as connection, connection.transaction():
            await accept_lone(connection, batch, ids, answers)
        return answers

    async def take(self, batch: Sequence[Take]) -> list[Taken | None]:
        """Start dispatched tasks with fresh fences. None where there is nothing to start (it ended meanwhile).

        A task still held by an earlier attempt is taken over: its job came back because that worker's heart stopped.
        """
        wanted = {take.task_id: take for take in batch}
        doubled = [take.job_id for take in batch if wanted[take.task_id] is not take]
        taken: dict[str, Taken] = {}
        async with self._loose.acquire() as connection, connection.transaction():
            await branches.lock_runs_of(connection, sorted(wanted))
            locked = {row["id"]: row for row in await connection.fetch(_LOCK, sorted(wanted))}
            startable, spent, idle, late = [], [], doubled, []
            early = [take.job_id for id, take in wanted.items() if id in locked and locked[id]["early"]]
            there = {row["id"] for row in await connection.fetch(_THERE, early)} if early else set()
            for id, take in wanted.items():
                row = locked.get(id)
                if row is None or State(row["state"]).final or row["state"] == "waiting":
                    idle.append(take.job_id)
                elif row["expired"]:
                    late.append(id)
                    idle.append(take.job_id)
                elif row["early"] and take.job_id not in there:
                    continue  # put off while this entry was on its way to us; there is another
                elif row["attempts_left"] <= 0 or (row["held"] and row["cancel_requested"]):
                    spent.append(row)
                    idle.append(take.job_id)
                else:
                    startable.append(id)
            # One that was let go has its turn already, and goes before those whose delay is over only now.
            due = sorted(
                (row["state"] == "delayed", id) for id in startable if (row := locked[id])["turn_of"] is not None
            )
            held = await turns.overdue(connection, [(id, locked[id]["turn_of"]) for _, id in due])
            startable = [id for id in startable if id not in held]
            idle += [wanted[id].job_id for id in held]
            await forget(connection, [o for id in startable for o in locked[id]["outputs"]])
            if startable:
                fences = {id: uuid.uuid4() for id in sorted(startable)}
                found = await connection.fetch(_TAKE, list(fences), list(fences.values()), batch[0].worker, _LOST)
                for row in found:
                    task = rows.task(row)
                    taken[task.id] = Taken(
                        task=task,
                        fence=fences[task.id],
                        job_id=wanted[task.id].job_id,
                        resumed=bool(locked[task.id]["held"]),
                        run_metadata=row["run_metadata"] or {},
                    )
            for row in spent:
                await forget(connection, row["outputs"])
                await _give_up(connection, row["id"], batch[0].worker, cancelled=row["cancel_requested"])
            await expire(connection, late)
            await queue.complete(connection, idle)
            await wake(connection, [*taken, *held, *(row["id"] for row in spent)])
        return [taken.get(take.task_id) if wanted[take.task_id] is take else None for take in batch]

    async def finish(self, batch: Sequence[Finish]) -> list[bool]:
        """End attempts. False where the fence no longer fits: another attempt has taken over, nothing was written.

        Raises Unwritable for a value the database cannot hold; nothing of the batch was written then.
        """
        try:
            return await self._finish(batch)
        except asyncpg.DataError as error:
            raise Unwritable(str(error)) from error

    async def _finish(self, batch: Sequence[Finish]) -> list[bool]:
        lots, held = _apart(batch), set()
        async with self._pool.acquire() as connection:
            if len(lots) == 1 and all(f.lone and f.state.final and not f.outputs and not f.input_facts for f in batch):
                # One statement is a transaction of its own, at a fifth of the way there and back.
                ended = {row["id"] for row in await end(connection, lots[0], {}, {})}
                held = {f.fence for f in lots[0] if f.task_id in ended}
            else:
                async with connection.transaction():
                    for lot in lots:
                        ended = await end_with_files(connection, lot)
                        held |= {f.fence for f in lot if f.task_id in ended}
        return [f.fence in held for f in batch]

    async def progress(self, ticks: Sequence[Tick]) -> None:
        """Write ticks; a stale fence writes nothing, progress never falls."""
        ordered = sorted((t.task_id, t.fence, t.stage, t.progress, dumps(t.stages)) for t in ticks)
        async with self._loose.acquire() as connection, connection.transaction():
            moved = await connection.fetch(_PROGRESS, *columns(ordered))
            await wake(connection, [row["id"] for row in moved])
        runs = sorted({row["run_id"] for row in moved})
        if runs:  # with the tasks let go: an end locks the run first, and neither may wait for the other
            await self._loose.execute(_RUN_PROGRESS, runs)

    async def publish(self, id: str, fence: uuid.UUID, outputs: Sequence[tuple[str, NewFile]]) -> bool:
        """Show (role, file) while the work goes on. False where the fence no longer fits: nothing was written."""
        made = [(role, new_id("file"), file) for role, file in outputs]
        async with self._pool.acquire() as connection, connection.transaction():
            shown = dumps([{"file": file_id, "role": role} for role, file_id, _ in made])
            project_id = await connection.fetchval(_SHOW, id, fence, shown)
            if project_id is None:
                return False
            await insert_files(connection, [(file_id, file, None) for _, file_id, file in made])
            await connection.execute(_EVENT, id, EventType.TASK_UPDATED)
            await wake(connection, [id])
        return True

    async def strays(self, held: Sequence[tuple[str, uuid.UUID]]) -> list[tuple[tuple[str, uuid.UUID], bool]]:
        """Of tasks in a worker's hands, by (id, fence), those to stop: cancelled (True), or another's by now."""
        found = await self._loose.fetch(_STRAYS, *columns(held))
        return [((row["id"], row["fence"]), row["ours"]) for row in found]

    async def cancel(self, project_id: str, id: str) -> State:
        """Cancel at once what is not running; ask the worker to stop what is. Returns the state after.

        Raises NotFound, or Conflict where it has succeeded or failed.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            await branches.lock_runs_of(connection, [clean(id)])
            row = await connection.fetchrow(_CANCEL, project_id, clean(id))
            if row is None:
                ended = await connection.fetchval(
                    "SELECT state FROM tasks WHERE project_id = $1 AND id = $2", project_id, clean(id)
                )
                if ended is None:
                    raise NotFound("task", id)
                if ended != State.CANCELLED:
                    raise Conflict(f"The task has {ended} already.")
                return State.CANCELLED
            state = row["state"]
            if state == State.CANCELLED:
                await connection.execute(_EVENT, id, EventType.TASK_CANCELLED)
                await _over(connection, row)
            else:
                await connection.execute("SELECT pg_notify($1, $2)", CANCEL, id)
            await wake(connection, [id])
            if row["kind"] == PROMPT:
                await stop(connection, id)  # with what it asked for
            return State(state)

    async def get(self, project_id: str, id: str) -> Task:
        """One task with everything that belongs to it, in one query. Raises NotFound."""
        row = await self._pool.fetchrow(_GET, project_id, clean(id))
        if row is None:
            raise NotFound("task", id)
        return rows.task(row)

    async def get_many(self, ids: Sequence[str]) -> list[Task | None]:
        """Tasks by id without their attempts, in order; None for unknown ids. Not confined to a project."""
        found = {row["id"]: rows.task(row) for row in await self._pool.fetch(_GET_MANY, list(ids))}
        return [found.get(id) for id in ids]

    async def list(self, project_id: str, page: Page, filter: Filter) -> TaskList:
        """One page of a project's tasks, in one query whatever it shows."""
        sql, arguments = rows.list_tasks(project_id, page, filter)
        found = [rows.task(row) for row in await self._pool.fetch(sql, *arguments)]
        return TaskList(items=rows.in_order(found, page), more=len(found) > page.limit)

    async def count(self, project_id: str, filter: Filter, most: int) -> int:
        """How many tasks a list has, counted up to `most`."""
        sql, arguments = rows.count_tasks(project_id, filter, most)
        found: int = await self._pool.fetchval(sql, *arguments)
        return found


def _apart(batch: Sequence[Finish]) -> list[list[Finish]]:
    """Ends in the order of their tasks, and those of one task in different lots: a worker that was taken for dead may
    end an attempt beside the next one."""
    lots: list[dict[str, Finish]] = [{}]
    for finish in batch:
        lot = next((lot for lot in lots if finish.task_id not in lot), None)
        if lot is None:
            lots.append(lot := {})
        lot[finish.task_id] = finish
    return [[lot[id] for id in sorted(lot)] for lot in lots]


async def _give_up(connection: Any, id: str, worker: str, *, cancelled: bool) -> None:
    """End a task whose last attempt was lost, or whose worker died before it could stop it. worker: who finds it so."""
    state = State.CANCELLED if cancelled else State.FAILED
    await connection.execute(
        "UPDATE attempts SET state = 'lost', finished_at = clock_timestamp(), error = $2::jsonb "
        "WHERE task_id = $1 AND state = 'running'",
        id,
        _LOST,
    )
    await branches.lock_runs_of(connection, [id])
    error = None if cancelled else dumps(asdict(await _how_lost(connection, id, worker)))
    row = await connection.fetchrow(
        "UPDATE tasks SET state = $2, fence = NULL, error = $3::jsonb, outputs = '[]', "
        "finished_at = clock_timestamp(), updated_at = clock_timestamp() WHERE id = $1 "
        "RETURNING id, project_id, run_id, place, state, schedule_id",
        id,
        state.value,
        error,
    )
    await connection.execute(_EVENT, id, f"task.{state.value}")
    await _over(connection, row, error)


async def _how_lost(connection: Any, id: str, worker: str) -> Failure:
    row = await connection.fetchrow(_HOW_LOST, id, worker, PROMPT)
    if row is None or not row["hosted"]:
        return _LOST_FAILURE
    return _INTERRUPTED if row["restarted"] else _CRASHED


async def _over(connection: Any, row: Mapping[str, Any], error: str | None = None) -> None:
    """A task has ended outside a worker's hands: its run ends with it, or goes on without it."""
    if row["place"] is None:
        await connection.execute(_LONE_OVER, row["run_id"], row["state"], error)
    else:
        await branches.follow(connection, [row])
    if row["schedule_id"] is not None:
        await turns.pass_on(connection, [row["schedule_id"]])
