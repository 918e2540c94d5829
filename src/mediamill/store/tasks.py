"""Tasks and their attempts: accept, take, finish, cancel, read.

Each change is one transaction that holds the row, its queue entry and its events together. Accepting, taking and
finishing come in batches (`batch.Batcher`), rows sorted by id so that two batches never lock each other out.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import asyncpg

from mediamill import queue
from mediamill.core.dispatch import Accept, Finish, Take, Taken, Tick, Unwritable
from mediamill.core.errors import Conflict, IdempotencyMismatch, LimitReached, NotFound
from mediamill.core.events import EventType
from mediamill.core.files import NewFile
from mediamill.core.ids import new_id
from mediamill.core.tasks import Failure, Filter, Page, State, Task, TaskList
from mediamill.store import rows
from mediamill.store.files import insert_files
from mediamill.store.text import clean, dumps

WAKE = "mediamill_tasks"
"""Channel: ids of tasks that changed, joined by blanks."""
CANCEL = "mediamill_cancel"
"""Channel: the id of a running task that is to stop."""


_SEEN = """
SELECT project_id, scope, key, body_hash, task_id FROM idempotency
WHERE (project_id, scope, key) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))
"""
_REMEMBER = """
INSERT INTO idempotency (project_id, scope, key, body_hash, task_id)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[])
ON CONFLICT DO NOTHING RETURNING task_id
"""
_IN_FLIGHT = """
SELECT project_id, count(*) AS n FROM tasks
WHERE project_id = ANY($1::text[]) AND state IN ('waiting', 'ingesting', 'delayed', 'queued', 'running')
GROUP BY project_id
"""
_INSERT = """
WITH new AS (
    SELECT * FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::jsonb[],
        $10::jsonb[], $11::jsonb[], $12::int[], $13::timestamptz[], $14::int[], $15::jsonb[], $16::text[]
    ) AS t (id, project_id, run_id, kind, dialect, queue, state, label, options, extra, metadata, priority,
            not_before, max_attempts, inputs, retry_of)
), started AS (
    INSERT INTO runs (id, project_id, dialect) SELECT run_id, project_id, dialect FROM new
), told AS (
    INSERT INTO events (project_id, task_id, type) SELECT project_id, id, 'task.created' FROM new
)
INSERT INTO tasks (id, project_id, run_id, kind, dialect, queue, state, label, options, extra, metadata, priority,
                   not_before, attempts_left, max_attempts, inputs, retry_of)
SELECT id, project_id, run_id, kind, dialect, queue, state, label, options, extra, metadata, priority,
       not_before, max_attempts, max_attempts, inputs, retry_of
FROM new
"""

_LOCK = """
SELECT id, state, fence IS NOT NULL AND state IN ('running', 'ingesting') AS held, attempts_left, cancel_requested
FROM tasks WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE
"""
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
        progress = 0, updated_at = clock_timestamp(),
        started_at = CASE WHEN state = 'ingesting' OR jsonb_path_exists(inputs, '$[*] ? (!exists(@.file))')
                          THEN started_at ELSE coalesce(started_at, clock_timestamp()) END
    FROM want w WHERE tasks.id = w.id
    RETURNING tasks.*
),
noted AS (
    INSERT INTO attempts (task_id, number, worker, state, started_at)
    SELECT id, attempt, $3, 'running', updated_at FROM t
)
SELECT {rows.TASK} FROM t
"""

_FINISH = """
WITH f AS (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::jsonb[], $5::jsonb[], $6::jsonb[], $7::jsonb[],
                         $8::float8[], $9::text[], $10::int[], $11::bigint[], $13::jsonb[])
    AS f (id, fence, state, error, details, outputs, inputs, delay_s, log, refund, job_id, stages)
), done AS (
    UPDATE tasks t SET
        state = f.state, fence = NULL,
        error = CASE WHEN f.state IN ('succeeded', 'failed', 'cancelled') THEN f.error END,
        details = CASE WHEN f.details = '{}' THEN t.details ELSE f.details END,
        outputs = f.outputs, inputs = coalesce(f.inputs, t.inputs),
        -- A fetched input ends the ingesting; the work itself gets all of its attempts.
        attempts_left = CASE WHEN f.inputs IS NOT NULL THEN t.max_attempts ELSE t.attempts_left + f.refund END,
        progress = CASE WHEN f.state = 'succeeded' THEN 1 WHEN f.state IN ('failed', 'cancelled') THEN t.progress
                        ELSE 0 END,
        not_before = CASE WHEN f.delay_s > 0 THEN now() + f.delay_s * interval '1 second' ELSE t.not_before END,
        finished_at = CASE WHEN f.state IN ('succeeded', 'failed', 'cancelled') THEN clock_timestamp() END,
        updated_at = clock_timestamp()
    FROM f WHERE t.id = f.id AND t.fence = f.fence AND t.state IN ('running', 'ingesting')
    RETURNING t.id, t.project_id, t.state, t.attempt, t.queue, t.priority, t.dialect, f.error, f.delay_s, f.log,
              f.job_id, f.stages, f.inputs IS NOT NULL AS fetched
), noted AS (
    UPDATE attempts a SET
        state = CASE WHEN d.state IN ('succeeded', 'failed', 'cancelled') THEN d.state
                     WHEN d.fetched THEN 'succeeded' ELSE 'failed' END,
        stage = coalesce(d.error ->> 'stage', d.stages -> -1 ->> 0, a.stage), stages = d.stages,
        error = d.error, log = d.log, finished_at = clock_timestamp()
    FROM done d WHERE a.task_id = d.id AND a.number = d.attempt
), told AS (
    INSERT INTO events (project_id, task_id, type)
    SELECT project_id, id, 'task.' || state FROM done WHERE state IN ('succeeded', 'failed', 'cancelled')
), off AS (
    DELETE FROM pgqueuer q USING done d WHERE q.id = d.job_id
), woken AS (
    SELECT pg_notify($12, string_agg(id, ' ')) FROM done HAVING count(*) > 0
)
SELECT id, queue, priority, delay_s, state FROM done LEFT JOIN woken ON true
"""
MOST_AT_ONCE = 300
"""Ends in one statement: their ids must fit a notification, which holds 8,000 bytes."""
_FACTS = """
UPDATE files SET facts = f.facts FROM unnest($1::text[], $2::jsonb[]) AS f (id, facts)
WHERE files.id = f.id AND files.facts = '{}'
"""
_PROGRESS = """
WITH p AS (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::float4[], $5::jsonb[])
    AS p (id, fence, stage, progress, stages)
),
moved AS (
    UPDATE tasks t SET stage = p.stage, progress = greatest(t.progress, p.progress), updated_at = clock_timestamp()
    FROM p WHERE t.id = p.id AND t.fence = p.fence RETURNING t.id, t.attempt, p.stage, p.stages
), noted AS (
    UPDATE attempts a SET stage = m.stage, stages = m.stages
    FROM moved m WHERE a.task_id = m.id AND a.number = m.attempt
)
SELECT id FROM moved
"""
_CANCEL = """
UPDATE tasks SET
    cancel_requested = true, updated_at = clock_timestamp(),
    state = CASE WHEN fence IS NULL THEN 'cancelled' ELSE state END,
    finished_at = CASE WHEN fence IS NULL THEN clock_timestamp() END
WHERE project_id = $1 AND id = $2 AND state IN ('waiting', 'ingesting', 'delayed', 'queued', 'running')
RETURNING state
"""
_EVENT = "INSERT INTO events (project_id, task_id, type) VALUES ($1, $2, $3)"
_GET = f"SELECT {rows.TASK_WITH_ATTEMPTS} FROM tasks t WHERE t.project_id = $1 AND t.id = $2"
_GET_MANY = f"SELECT {rows.TASK} FROM tasks t WHERE t.id = ANY($1::text[])"
_LOST = dumps({"code": "worker_lost", "family": "internal", "message": "The worker went away.", "stage": None})
_LOST_FAILURE = Failure(
    code="worker_lost", family="internal", message="The worker doing this went away, and no attempts are left."
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
            fresh = await _unseen(connection, batch, ids, answers)
            fresh = await _within_limits(connection, batch, ids, fresh, answers)
            if fresh:
                now = await connection.fetchval("SELECT clock_timestamp()")
                await connection.execute(_INSERT, *_columns([_new_row(batch[i], ids[i], now) for i in fresh]))
                await queue.enqueue(connection, [_entry(batch[i], ids[i], now) for i in fresh])
                await _wake(connection, [ids[i] for i in fresh])
        return answers

    async def take(self, batch: Sequence[Take]) -> list[Taken | None]:
        """Start dispatched tasks with fresh fences. None where there is nothing to start (it ended meanwhile).

        A task still held by an earlier attempt is taken over: its job came back because that worker's heart stopped.
        """
        wanted = {take.task_id: take for take in batch}
        taken: dict[str, Taken] = {}
        async with self._loose.acquire() as connection, connection.transaction():
            locked = {row["id"]: row for row in await connection.fetch(_LOCK, sorted(wanted))}
            startable, spent, idle = [], [], []
            for id, take in wanted.items():
                row = locked.get(id)
                if row is None or State(row["state"]).final or row["state"] == "waiting":
                    idle.append(take.job_id)
                elif row["attempts_left"] <= 0 or (row["held"] and row["cancel_requested"]):
                    spent.append(row)
                    idle.append(take.job_id)
                else:
                    startable.append(id)
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
                    )
            for row in spent:
                await _give_up(connection, row["id"], cancelled=row["cancel_requested"])
            await queue.complete(connection, idle)
            await _wake(connection, [*taken, *(row["id"] for row in spent)])
        return [taken.get(take.task_id) for take in batch]

    async def finish(self, batch: Sequence[Finish]) -> list[bool]:
        """End attempts. False where the fence no longer fits: another attempt has taken over, nothing was written.

        Raises Unwritable for a value the database cannot hold; nothing of the batch was written then.
        """
        try:
            return await self._finish(batch)
        except asyncpg.DataError as error:
            raise Unwritable(str(error)) from error

    async def _finish(self, batch: Sequence[Finish]) -> list[bool]:
        by_id = {f.task_id: f for f in batch}
        ordered = sorted(by_id.values(), key=lambda f: f.task_id)
        async with self._pool.acquire() as connection:
            if all(f.state.final and not f.outputs and not f.input_facts for f in ordered):
                # One statement is a transaction of its own, at a fifth of the way there and back.
                held = {row["id"] for row in await _end(connection, ordered, {}, {})}
            else:
                async with connection.transaction():
                    held = await _end_with_files(connection, ordered)
        return [f.task_id in held for f in batch]

    async def progress(self, ticks: Sequence[Tick]) -> None:
        """Write ticks; a stale fence writes nothing, progress never falls."""
        ordered = sorted((t.task_id, t.fence, t.stage, t.progress, dumps(t.stages)) for t in ticks)
        async with self._loose.acquire() as connection, connection.transaction():
            moved = await connection.fetch(_PROGRESS, *_columns(ordered))
            await _wake(connection, [row["id"] for row in moved])

    async def cancel(self, project_id: str, id: str) -> State:
        """Cancel at once what is not running; ask the worker to stop what is. Returns the state after.

        Raises NotFound, or Conflict where it has succeeded or failed.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            state = await connection.fetchval(_CANCEL, project_id, clean(id))
            if state is None:
                ended = await connection.fetchval(
                    "SELECT state FROM tasks WHERE project_id = $1 AND id = $2", project_id, clean(id)
                )
                if ended is None:
                    raise NotFound("task", id)
                if ended != State.CANCELLED:
                    raise Conflict(f"Task {id} has {ended} already.")
                return State.CANCELLED
            if state == State.CANCELLED:
                await connection.execute(_EVENT, project_id, id, EventType.TASK_CANCELLED)
            else:
                await connection.execute("SELECT pg_notify($1, $2)", CANCEL, id)
            await _wake(connection, [id])
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


def _columns(table: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*table, strict=True)]


async def _unseen(
    connection: Any, batch: Sequence[Accept], ids: Sequence[str], answers: list[tuple[str, bool] | BaseException]
) -> list[int]:
    """Indexes of the items to write; the rest get the earlier task's id or a mismatch as their answer."""
    keyed: dict[tuple[str, str, str], list[int]] = {}
    for i, item in enumerate(batch):
        if item.new.idempotency_key is not None:
            keyed.setdefault((item.project_id, item.scope, item.new.idempotency_key), []).append(i)
    if not keyed:
        return list(range(len(batch)))
    first = sorted((key, indexes[0]) for key, indexes in keyed.items())
    rows_ = [(*key, batch[i].body_hash or b"", ids[i]) for key, i in first]
    won = {row["task_id"] for row in await connection.fetch(_REMEMBER, *_columns(rows_))}
    known = {
        (row["project_id"], row["scope"], row["key"]): row
        for row in await connection.fetch(_SEEN, *_columns([key for key, _ in first]))
    }
    fresh = {i for i, item in enumerate(batch) if item.new.idempotency_key is None}
    for key, indexes in keyed.items():
        row = known[key]
        for i in indexes:
            if row["body_hash"] != (batch[i].body_hash or b""):
                answers[i] = IdempotencyMismatch("This idempotency key was used before with another request.")
            else:
                answers[i] = (row["task_id"], row["task_id"] == ids[i])
        if ids[indexes[0]] in won:
            fresh.add(indexes[0])
    return sorted(fresh)


async def _within_limits(
    connection: Any,
    batch: Sequence[Accept],
    ids: Sequence[str],
    fresh: list[int],
    answers: list[tuple[str, bool] | BaseException],
) -> list[int]:
    """Indexes of the items that there is room for; the rest get LimitReached as their answer."""
    limited = {batch[i].project_id for i in fresh if batch[i].in_flight_limit is not None}
    if not limited:
        return fresh
    # One batch at a time counts and adds for a project, or two would fill the same place.
    for project in sorted(limited):
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"in flight {project}")
    counts = {row["project_id"]: row["n"] for row in await connection.fetch(_IN_FLIGHT, sorted(limited))}
    kept, refused = [], []
    for i in fresh:
        limit, project = batch[i].in_flight_limit, batch[i].project_id
        if limit is not None and counts.get(project, 0) >= limit:
            error = LimitReached(f"{limit} tasks of this project are in flight already.", 5)
            # Whoever sent the same key with this batch was promised the task that will not be.
            answers[:] = [error if answer == (ids[i], False) else answer for answer in answers]
            answers[i] = error
            refused.append(i)
            continue
        counts[project] = counts.get(project, 0) + 1
        kept.append(i)
    keys = [(batch[i].project_id, batch[i].scope, batch[i].new.idempotency_key) for i in refused]
    if keys:
        await connection.execute(
            "DELETE FROM idempotency WHERE (project_id, scope, key) IN "
            "(SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))",
            *_columns([key for key in keys if key[2] is not None] or [("", "", "")]),
        )
    return kept


def _new_row(item: Accept, id: str, now: datetime) -> tuple[Any, ...]:
    new = item.new
    inputs = [{k: v for k, v in asdict(source).items() if v is not None} for source in new.inputs]
    if new.not_before is not None and new.not_before > now:
        state = State.DELAYED
    elif any(source.file is None for source in new.inputs):
        state = State.INGESTING
    else:
        state = State.QUEUED
    return (
        id,
        item.project_id,
        new_id("run"),
        new.kind,
        new.dialect,
        item.queue,
        state.value,
        clean(item.label),
        dumps(dict(new.options)),
        dumps(dict(new.extra)),
        dumps(dict(new.metadata)) if new.metadata is not None else None,
        new.priority,
        new.not_before,
        new.max_attempts,
        dumps(inputs),
        new.retry_of,
    )


def _entry(item: Accept, id: str, now: datetime) -> queue.Entry:
    delay_s = (item.new.not_before - now).total_seconds() if item.new.not_before else 0.0
    fetches = any(source.file is None for source in item.new.inputs)
    return queue.Entry("io" if fetches else item.queue, id, item.new.priority, max(0.0, delay_s))


async def _end(
    connection: Any,
    ordered: Sequence[Finish],
    produced: Mapping[str, Sequence[tuple[str, str, NewFile]]],
    inputs: Mapping[str, str],
) -> list[Any]:
    """Write ends, take their jobs off the queue and tell; the rows of those whose fence still held."""
    found: list[Any] = await connection.fetch(
        _FINISH,
        [f.task_id for f in ordered],
        [f.fence for f in ordered],
        [f.state.value for f in ordered],
        [dumps(asdict(f.error)) if f.error else None for f in ordered],
        [dumps(dict(f.details)) for f in ordered],
        [dumps([{"file": id, "role": role} for role, id, _ in produced.get(f.task_id, ())]) for f in ordered],
        [inputs.get(f.task_id) for f in ordered],
        [f.retry_in_s for f in ordered],
        [clean(f.log) if f.log else None for f in ordered],
        [int(f.given_back) for f in ordered],
        [f.job_id for f in ordered],
        WAKE,
        [dumps(f.stages) for f in ordered],
    )
    return found


async def _end_with_files(connection: Any, ordered: Sequence[Finish]) -> set[str]:
    """As `_end`, with the files that were made or fetched, and the queue entries of what goes on."""
    by_id = {f.task_id: f for f in ordered}
    produced = {f.task_id: [(role, new_id("file"), file) for role, file in f.outputs] for f in ordered}
    fetched = {f.task_id: [(new_id("file"), file) for file in f.inputs or ()] for f in ordered}
    sources = await _sources(connection, [f.task_id for f in ordered if f.inputs is not None])
    filled = {id: _filled(found, fetched[id]) for id, found in sources.items()}
    done = await _end(connection, ordered, produced, filled)
    ended = [row["id"] for row in done]
    await insert_files(
        connection,
        [(id, file, by_id[t].lifetime_s) for t in ended for _, id, file in produced[t]]
        + [(id, file, by_id[t].lifetime_s) for t in ended for id, file in fetched[t]],
    )
    facts = {id: dumps(dict(f)) for t in ended for id, f in by_id[t].input_facts.items() if f}
    if facts:
        await connection.execute(_FACTS, list(facts), list(facts.values()))
    again = [row for row in done if not State(row["state"]).final]
    await queue.enqueue(
        connection,
        [
            queue.Entry("io" if r["state"] == State.INGESTING else r["queue"], r["id"], r["priority"], r["delay_s"])
            for r in again
        ],
    )
    return set(ended)


async def _give_up(connection: Any, id: str, *, cancelled: bool) -> None:
    """End a task whose last attempt was lost, or whose worker died before it could stop it."""
    state = State.CANCELLED if cancelled else State.FAILED
    await connection.execute(
        "UPDATE attempts SET state = 'lost', finished_at = clock_timestamp(), error = $2::jsonb "
        "WHERE task_id = $1 AND state = 'running'",
        id,
        _LOST,
    )
    project_id = await connection.fetchval(
        "UPDATE tasks SET state = $2, fence = NULL, error = $3::jsonb, finished_at = clock_timestamp(), "
        "updated_at = clock_timestamp() WHERE id = $1 RETURNING project_id",
        id,
        state.value,
        None if cancelled else dumps(asdict(_LOST_FAILURE)),
    )
    await connection.execute(_EVENT, project_id, id, f"task.{state.value}")


async def _sources(connection: Any, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    if not ids:
        return {}
    found = await connection.fetch("SELECT id, inputs FROM tasks WHERE id = ANY($1::text[])", list(ids))
    return {row["id"]: row["inputs"] for row in found}


def _filled(sources: Sequence[dict[str, Any]], fetched: Sequence[tuple[str, NewFile]]) -> str:
    """The task's inputs with the fetched files put in for the URLs that had none."""
    ids = iter(id for id, _ in fetched)
    return dumps([s if "file" in s else {**s, "file": next(ids)} for s in sources])


async def _wake(connection: Any, ids: Sequence[str]) -> None:
    """Tell listeners which tasks changed; a payload holds 8,000 bytes, an id 21."""
    for start in range(0, len(ids), 300):
        await connection.execute("SELECT pg_notify($1, $2)", WAKE, " ".join(ids[start : start + 300]))
