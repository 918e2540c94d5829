"""Accepting tasks: idempotency, a project's limit, the rows and their queue entries, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from mediamill import queue
from mediamill.core.dispatch import Accept
from mediamill.core.errors import IdempotencyMismatch, LimitReached
from mediamill.core.tasks import NO_ORIGIN, Origin, State
from mediamill.store.notices import columns, wake
from mediamill.store.text import clean, dumps

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
        $10::jsonb[], $11::jsonb[], $12::int[], $13::timestamptz[], $14::int[], $15::jsonb[], $16::text[],
        $17::text[], $18::text[], $19::boolean[], $20::int[], $21::text[], $22::text[], $23::jsonb[]
    ) AS t (id, project_id, run_id, kind, dialect, queue, state, label, options, extra, metadata, priority,
            not_before, max_attempts, inputs, retry_of, parent_id, after_id, inherits, place, ref, created_by,
            origin)
), started AS (
    INSERT INTO runs (id, project_id, dialect, created_by)
    SELECT run_id, project_id, dialect, created_by FROM new WHERE place IS NULL
), told AS (
    INSERT INTO events (project_id, task_id, run_id, type)
    SELECT project_id, id, NULL, 'task.created' FROM new
    UNION ALL SELECT project_id, NULL, run_id, 'run.created' FROM new WHERE place IS NULL
)
INSERT INTO tasks (id, project_id, run_id, kind, dialect, queue, state, label, options, extra, metadata, priority,
                   not_before, attempts_left, max_attempts, inputs, retry_of, parent_id, after_id, inherits, place, ref,
                   identifier, schedule_id, due_at, caller_id, root_id, depth, batch_id, tags, ttl_s, expires_at, hold,
                   created_at)
SELECT id, project_id, run_id, kind, dialect, queue, state, label, options, extra, metadata, priority,
       not_before, max_attempts, max_attempts, inputs, retry_of, parent_id, after_id, inherits, place, ref,
       origin ->> 'identifier', origin ->> 'schedule_id', (origin ->> 'due_at')::timestamptz, origin ->> 'caller_id',
       origin ->> 'root_id', coalesce((origin ->> 'depth')::int, 0), origin ->> 'batch_id',
       CASE WHEN origin ? 'tags' THEN ARRAY(SELECT jsonb_array_elements_text(origin -> 'tags')) ELSE '{}' END,
       (origin ->> 'ttl_s')::float8,
       greatest(not_before, clock_timestamp()) + (origin ->> 'ttl_s')::float8 * interval '1 second',
       origin ->> 'hold', coalesce((origin ->> 'due_at')::timestamptz, clock_timestamp())
FROM new
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a task stands in its run; `number` is None for one alone, whose run is written with it."""

    run_id: str
    number: int | None = None
    parent_id: str | None = None
    after_id: str | None = None
    inherits: bool = False
    ref: str | None = None


async def insert_tasks(connection: Any, new: Sequence[tuple[str, Accept, Place]]) -> None:
    """Write (id, task, its place), with queue entries for what may start."""
    now = await connection.fetchval("SELECT clock_timestamp()")
    await connection.execute(_INSERT, *columns([_row(id, item, place, now) for id, item, place in new]))
    free = [(id, item) for id, item, place in new if place.after_id is None and item.new.origin.hold is None]
    await queue.enqueue(connection, [_entry(item, id, now) for id, item in free])
    await wake(connection, [id for id, _, _ in new])


async def unseen(
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
    won = {row["task_id"] for row in await connection.fetch(_REMEMBER, *columns(rows_))}
    known = {
        (row["project_id"], row["scope"], row["key"]): row
        for row in await connection.fetch(_SEEN, *columns([key for key, _ in first]))
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


async def within_limits(
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
            *columns([key for key in keys if key[2] is not None] or [("", "", "")]),
        )
    return kept


def _row(id: str, item: Accept, place: Place, now: datetime) -> tuple[Any, ...]:
    new = item.new
    inputs = [{k: v for k, v in asdict(source).items() if v is not None} for source in new.inputs]
    if place.after_id is not None or new.origin.hold == "runner":
        state = State.WAITING
    elif new.not_before is not None and new.not_before > now:
        state = State.DELAYED
    elif any(source.file is None for source in new.inputs):
        state = State.INGESTING
    else:
        state = State.QUEUED
    return (
        id,
        item.project_id,
        place.run_id,
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
        place.parent_id,
        place.after_id,
        place.inherits,
        place.number,
        None if place.ref is None else clean(place.ref),
        item.created_by,
        _origin(new.origin),
    )


def _origin(origin: Origin) -> str | None:
    """As JSON, without what is not said; the columns it goes to are null for most tasks."""
    if origin is NO_ORIGIN:
        return None
    said = {name: value for name, value in asdict(origin).items() if value not in (None, (), [], 0)}
    if origin.due_at is not None:
        said["due_at"] = origin.due_at.isoformat()
    return dumps(said)


def _entry(item: Accept, id: str, now: datetime) -> queue.Entry:
    delay_s = (item.new.not_before - now).total_seconds() if item.new.not_before else 0.0
    fetches = any(source.file is None for source in item.new.inputs)
    return queue.Entry("io" if fetches else item.queue, id, item.new.priority, max(0.0, delay_s))
