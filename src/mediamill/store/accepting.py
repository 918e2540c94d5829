"""Accepting tasks: idempotency, a project's limit, the rows and their queue entries, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from mediamill import queue
from mediamill.core.dispatch import RESERVED, Accept, Meter
from mediamill.core.errors import Conflict, IdempotencyMismatch, Invalid, LimitReached, NotFound, QuotaReached
from mediamill.core.ids import new_id
from mediamill.core.prompts import MOST_DEPTH
from mediamill.core.tasks import NO_ORIGIN, Origin, State
from mediamill.store.awaited import settle
from mediamill.store.notices import OFFER, columns, wake
from mediamill.store.text import clean, dumps, indexed
from mediamill.store.turns import in_turn

_SEEN = """
SELECT project_id, scope, key, body_hash, task_id FROM idempotency
WHERE (project_id, scope, key) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))
"""
_REMEMBER = """
INSERT INTO idempotency (project_id, scope, key, body_hash, task_id, expires_at)
SELECT k.project_id, k.scope, k.key, k.body_hash, k.task_id, clock_timestamp() + k.key_s * interval '1 second'
FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::float8[])
     AS k (project_id, scope, key, body_hash, task_id, key_s)
ON CONFLICT DO NOTHING RETURNING task_id
"""
# What is freed here is locked until we commit, so that of two who see the same failed task one starts the next.
_FREE = """
DELETE FROM idempotency i USING unnest($1::text[], $2::text[], $3::text[]) AS k (project_id, scope, key)
WHERE i.project_id = k.project_id AND i.scope = k.scope AND i.key = k.key
  AND (i.expires_at <= clock_timestamp()
       OR EXISTS (SELECT FROM tasks t WHERE t.id = i.task_id AND t.state = 'failed'))
"""
_FORGET = """
DELETE FROM idempotency WHERE (project_id, scope, key, task_id) IN (
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]))
"""
# Held until we commit: whoever cancels a caller waits for us, and then finds what it started.
_CALLERS = """
SELECT id, project_id, root_id, depth, cancel_requested OR finished_at IS NOT NULL AS over FROM tasks
WHERE id = ANY($1::text[]) ORDER BY id FOR SHARE
"""
_TAG = """
INSERT INTO task_tags (project_id, tag, created_at, task_id)
SELECT t.project_id, unnest(t.tags), t.created_at, t.id FROM tasks t WHERE t.id = ANY($1::text[])
ON CONFLICT DO NOTHING
"""
_IN_FLIGHT = """
SELECT project_id, count(*) AS n FROM tasks
WHERE project_id = ANY($1::text[]) AND state IN ('waiting', 'ingesting', 'delayed', 'queued', 'running')
GROUP BY project_id
"""
# Months are those of UTC, as in `store.workspaces`. A failed or cancelled task gives back what it had reserved.
_METERED = """
WITH m AS (SELECT date_trunc('month', clock_timestamp() AT TIME ZONE 'UTC') AS month)
SELECT (SELECT coalesce(sum(CASE WHEN t.state = 'succeeded' THEN (t.details ->> 'duration_s')::float8
                                 ELSE (t.extra ->> $3)::float8 END), 0)
        FROM tasks t
        WHERE t.project_id = $1 AND t.kind = $2 AND t.state NOT IN ('failed', 'cancelled')
          AND t.created_at >= m.month AT TIME ZONE 'UTC') AS used_s,
       extract(epoch FROM m.month + interval '1 month' - clock_timestamp() AT TIME ZONE 'UTC')::float8 AS left_s
FROM m
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
_NEXT_LOOK_S = 5.0
"""Workers look for what has expired no later than after this; what expires sooner they are told of."""
_A_FRAME_S = 1e-3
"""Sums of frames are not exact."""


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
    if patient := [id for id, item, _ in new if item.new.origin.hold == "upload"]:
        await settle(connection, patient)
    tagged = [id for id, item, _ in new if item.new.origin.tags]
    if tagged:
        await connection.execute(_TAG, tagged)
    if any(item.new.origin.ttl_s is not None and item.new.origin.ttl_s < _NEXT_LOOK_S for _, item, _ in new):
        await connection.execute("SELECT pg_notify($1, '')", OFFER)
    await wake(connection, [id for id, _, _ in new])


async def accept_lone(
    connection: Any, batch: Sequence[Accept], ids: Sequence[str], answers: list[tuple[str, bool] | BaseException]
) -> None:
    """Write those of a batch of tasks, each alone in its run, that are new and within limits; the rest get their
    answers."""
    fresh = await unseen(connection, batch, ids, answers)
    items, fresh = await below_callers(connection, batch, ids, fresh, answers)
    fresh = await within_limits(connection, items, ids, fresh, answers)
    items = await in_turn(connection, items, fresh)
    if fresh:
        await insert_tasks(connection, [(ids[i], items[i], Place(run_id=new_id("run"))) for i in fresh])
    for identifier in {str(items[i].new.origin.identifier) for i in fresh if items[i].new.origin.hold == "runner"}:
        await connection.execute("SELECT pg_notify($1, $2)", OFFER, identifier)


async def unseen(
    connection: Any, batch: Sequence[Accept], ids: Sequence[str], answers: list[tuple[str, bool] | BaseException]
) -> list[int]:
    """Indexes of the items to write; the rest get the earlier task's id or a mismatch as their answer."""
    keyed: dict[tuple[str, str, str], list[int]] = {}
    for i, item in enumerate(batch):
        if item.new.idempotency_key is not None:
            keyed.setdefault((item.project_id, item.scope, indexed(item.new.idempotency_key)), []).append(i)
    if not keyed:
        return list(range(len(batch)))
    first = sorted((key, indexes[0]) for key, indexes in keyed.items())
    freed = [key for key, i in first if batch[i].key_s is not None]
    if freed:
        await connection.execute(_FREE, *columns(freed))
    rows_ = [(*key, batch[i].body_hash or b"", ids[i], batch[i].key_s) for key, i in first]
    won = {row["task_id"] for row in await connection.fetch(_REMEMBER, *columns(rows_))}
    known = {
        (row["project_id"], row["scope"], row["key"]): row
        for row in await connection.fetch(_SEEN, *columns([key for key, _ in first]))
    }
    fresh = {i for i, item in enumerate(batch) if item.new.idempotency_key is None}
    for key, indexes in keyed.items():
        row = known[key]
        for i in indexes:
            if batch[i].key_s is None and row["body_hash"] != (batch[i].body_hash or b""):
                answers[i] = IdempotencyMismatch("This idempotency key was used before with another request.")
            else:
                answers[i] = (row["task_id"], row["task_id"] == ids[i])
        if ids[indexes[0]] in won:
            fresh.add(indexes[0])
    return sorted(fresh)


async def below_callers(
    connection: Any,
    batch: Sequence[Accept],
    ids: Sequence[str],
    fresh: list[int],
    answers: list[tuple[str, bool] | BaseException],
) -> tuple[Sequence[Accept], list[int]]:
    """The items, told their depth and root where a run asks for them; the rest of those get why not as their answer:
    a run that has ended or is to end starts nothing more."""
    asked = {clean(caller) for i in fresh if (caller := batch[i].new.origin.caller_id) is not None}
    if not asked:
        return batch, fresh
    callers = {row["id"]: row for row in await connection.fetch(_CALLERS, sorted(asked))}
    items, kept = list(batch), []
    for i in fresh:
        new = batch[i].new
        if new.origin.caller_id is None:
            kept.append(i)
            continue
        row = callers.get(new.origin.caller_id)
        if row is None or row["project_id"] != batch[i].project_id:
            answers[i] = NotFound("run", new.origin.caller_id)
        elif row["over"]:
            answers[i] = Conflict("The run that asks for this has ended.")
        elif row["depth"] >= MOST_DEPTH and new.origin.identifier is not None:
            answers[i] = Invalid("parent", f"is a run below {MOST_DEPTH} others, which is as deep as they go.")
        else:
            origin = replace(new.origin, root_id=row["root_id"] or row["id"], depth=row["depth"] + 1)
            items[i] = replace(batch[i], new=replace(new, origin=origin))
            kept.append(i)
    await _forget(connection, batch, ids, set(fresh) - set(kept))
    return items, kept


async def _forget(connection: Any, batch: Sequence[Accept], ids: Sequence[str], refused: Iterable[int]) -> None:
    """Give back the keys of items that were refused after all."""
    keys = [
        (batch[i].project_id, batch[i].scope, indexed(key), ids[i])
        for i in refused
        if (key := batch[i].new.idempotency_key) is not None
    ]
    if keys:
        await connection.execute(_FORGET, *columns(keys))


async def within_limits(
    connection: Any,
    batch: Sequence[Accept],
    ids: Sequence[str],
    fresh: list[int],
    answers: list[tuple[str, bool] | BaseException],
) -> list[int]:
    """Indexes of the items that there is room for; the rest get LimitReached as their answer."""
    fresh = await _within_month(connection, batch, ids, fresh, answers)
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
            _refuse(i, LimitReached(f"{limit} tasks of this project are in flight already.", 5), ids, answers)
            refused.append(i)
            continue
        counts[project] = counts.get(project, 0) + 1
        kept.append(i)
    await _forget(connection, batch, ids, refused)
    return kept


def _refuse(i: int, error: LimitReached, ids: Sequence[str], answers: list[tuple[str, bool] | BaseException]) -> None:
    """Whoever sent the same key with this batch was promised the task that will not be."""
    answers[:] = [error if answer == (ids[i], False) else answer for answer in answers]
    answers[i] = error


async def _within_month(
    connection: Any,
    batch: Sequence[Accept],
    ids: Sequence[str],
    fresh: list[int],
    answers: list[tuple[str, bool] | BaseException],
) -> list[int]:
    """Indexes of the items that this month has room for; the rest get QuotaReached as their answer."""
    metered = {(batch[i].project_id, batch[i].new.kind) for i in fresh if batch[i].meter is not None}
    used: dict[tuple[str, str], tuple[float, float]] = {}
    for project, kind in sorted(metered):
        # One batch at a time counts and adds for a project, or two would use the same minute.
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{kind} by month {project}")
        row = await connection.fetchrow(_METERED, project, kind, RESERVED)
        used[project, kind] = row["used_s"], row["left_s"]
    kept, refused = [], []
    for i in fresh:
        meter, of = batch[i].meter, (batch[i].project_id, batch[i].new.kind)
        if meter is not None:
            used_s, left_s = used[of]
            if used_s >= meter.most_s or used_s + (meter.seconds or 0.0) > meter.most_s + _A_FRAME_S:
                _refuse(i, QuotaReached(_used_up(meter, used_s), left_s), ids, answers)
                refused.append(i)
                continue
            used[of] = used_s + meter.reserved_s, left_s
        kept.append(i)
    await _forget(connection, batch, ids, refused)
    return kept


def _used_up(meter: Meter, used_s: float) -> str:
    of = f"of the {meter.most_s / 60:g} render minutes of this month"
    if used_s >= meter.most_s:
        return f"All {of} are used up or under way."
    return f"{(meter.most_s - used_s) / 60:.2f} {of} are left, and this takes {(meter.seconds or 0.0) / 60:.2f}."


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
    moves = delay_s > 0 and item.new.origin.identifier is not None  # it may be put off or brought forward
    return queue.Entry("io" if fetches else item.queue, id, item.new.priority, max(0.0, delay_s), id if moves else None)
