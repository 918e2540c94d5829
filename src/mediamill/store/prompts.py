"""Prompts, which dialects call runs: what is asked of the task table about tasks of that kind alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import asyncpg

from mediamill import queue
from mediamill.core.dispatch import Accept
from mediamill.core.errors import Conflict, Invalid, NotFound
from mediamill.core.ids import new_id
from mediamill.core.prompts import (
    CODES,
    MOST_TAGS,
    STAGE_WAITS,
    PromptFilter,
    PromptRun,
    Recent,
    Status,
    StepTotals,
    status,
)
from mediamill.core.steps import Step
from mediamill.core.tasks import Page, Task, TaskList
from mediamill.store import rows
from mediamill.store.accepting import accept_lone
from mediamill.store.notices import wake
from mediamill.store.steps import Steps
from mediamill.store.stopping import stop
from mediamill.store.text import clean, dumps

MOST_RELATED = 200
"""Tasks that a run is shown to have started."""

# As the index tasks_prompts_by_word has it: PostgreSQL compares expressions, not what they mean.
_WORD = f"""CASE WHEN t.state = 'failed' AND t.error ->> 'code' IN ({", ".join(f"'{code}'" for code in CODES)})
     THEN t.error ->> 'code'
     WHEN t.state = 'waiting' AND t.hold = 'runner' THEN 'unserved'
     WHEN t.state IN ('queued', 'delayed') AND t.attempt > 0 THEN 'reattempting'
     ELSE t.state END"""
STATUS = f"""CASE {_WORD}
    WHEN 'waiting' THEN 'queued' WHEN 'ingesting' THEN 'queued'
    WHEN 'delayed' THEN CASE WHEN t.not_before > clock_timestamp() THEN 'delayed' ELSE 'queued' END
    WHEN 'running' THEN CASE WHEN t.stage IS NULL THEN 'dequeued' WHEN t.stage = '{STAGE_WAITS}' THEN 'frozen'
                             ELSE 'executing' END
    WHEN 'succeeded' THEN 'completed' WHEN 'cancelled' THEN 'canceled'
    ELSE {_WORD} END"""
"""`core.prompts.status` in SQL, of `t`."""
_WORDS: Mapping[Status, Sequence[str]] = {
    Status.QUEUED: ("queued", "delayed", "waiting", "ingesting"),
    Status.DEQUEUED: ("running",),
    Status.EXECUTING: ("running",),
    Status.FROZEN: ("running",),
    Status.COMPLETED: ("succeeded",),
    Status.CANCELED: ("cancelled",),
}
"""Under which words of the index the runs of a status are; the others are under their own name."""
_LAST = "z" * 40
"""Behind every id."""

_GET_MANY = f"SELECT {rows.TASK_WITH_ATTEMPTS} FROM tasks t WHERE t.id = ANY($1::text[]) AND t.identifier IS NOT NULL"
_OWN = "t.id = $2 AND t.project_id = $1 AND t.identifier IS NOT NULL"
_GET = f"SELECT {rows.TASK_WITH_ATTEMPTS} FROM tasks t WHERE {_OWN}"
# Those above and, of each run, the first of those below.
_RELATED = f"""
SELECT {rows.TASK} FROM tasks t WHERE t.id = ANY($1::text[])
UNION ALL
SELECT {rows.TASK} FROM unnest($2::text[]) AS c (id) CROSS JOIN LATERAL (
    SELECT x.* FROM tasks x WHERE x.caller_id = c.id ORDER BY x.created_at, x.id LIMIT {MOST_RELATED}) t
"""
_TOTALS = """
SELECT task_id, count(*) FILTER (WHERE kind = 'model') AS model_calls,
       count(*) FILTER (WHERE kind = 'call') AS function_calls, sum(prompt_tokens)::bigint AS prompt_tokens,
       sum(completion_tokens)::bigint AS completion_tokens, sum(cost_cents) AS cost_cents,
       (array_agg(name ORDER BY number DESC))[1] AS last
FROM steps WHERE task_id = ANY($1::text[]) GROUP BY task_id
"""
_RECENT = """
SELECT s.id AS schedule_id, r.ids, r.moments FROM unnest($1::text[]) AS s (id) CROSS JOIN LATERAL (
    SELECT array_agg(x.id) AS ids, array_agg(x.updated_at) AS moments FROM (
        SELECT t.id, t.updated_at FROM tasks t WHERE t.schedule_id = s.id
        ORDER BY t.created_at DESC, t.id DESC LIMIT $2
    ) x
) r WHERE r.ids IS NOT NULL
"""
_LOCK = f"SELECT {rows.TASK} FROM tasks t WHERE {_OWN} FOR UPDATE OF t"
_MOVE = """
UPDATE tasks SET
    not_before = $2, expires_at = $2 + ttl_s * interval '1 second', updated_at = clock_timestamp(),
    extra = jsonb_set(extra, '{prompt,delayed_until}', to_jsonb($3::text)),
    state = CASE WHEN $2 > clock_timestamp() THEN 'delayed' ELSE 'queued' END
WHERE id = $1 RETURNING queue, priority, extract(epoch FROM $2 - clock_timestamp())::float8 AS delay_s
"""
# An entry made without a key, by whatever way: looked for in the whole queue.
_WITHDRAW_ANY = "DELETE FROM pgqueuer WHERE payload = $1"
_SET_TAGS = "UPDATE tasks SET tags = $2::text[], updated_at = clock_timestamp() WHERE id = $1"
_TAG = """
INSERT INTO task_tags (project_id, tag, created_at, task_id)
SELECT project_id, unnest($2::text[]), created_at, id FROM tasks WHERE id = $1 ON CONFLICT DO NOTHING
"""
_SET_METADATA = f"""
UPDATE tasks t SET metadata = $3::jsonb, updated_at = clock_timestamp() WHERE {_OWN} RETURNING id
"""


class Prompts:
    """The task table, as far as it holds prompts."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def accept_all(self, batch: Sequence[Accept]) -> list[tuple[str, bool]]:
        """Write all or none; (id, whether it is new) in order. Raises what the first refused is refused for."""
        ids = [new_id("task") for _ in batch]
        answers: list[tuple[str, bool] | BaseException] = [(id, True) for id in ids]
        async with self._pool.acquire() as connection, connection.transaction():
            await accept_lone(connection, batch, ids, answers)
            found = []
            for answer in answers:
                if isinstance(answer, BaseException):
                    raise answer
                found.append(answer)
        return found

    async def get(self, project_id: str, id: str) -> PromptRun:
        """One run with its attempts and those it belongs with, in three queries. Raises NotFound."""
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(_GET, project_id, clean(id))
            if row is None:
                raise NotFound("run", id)
            [run] = await _with_related(connection, [rows.task(row)])
        return run

    async def get_many(self, ids: Sequence[str]) -> list[PromptRun | None]:
        """As `get`, for many and in as many queries; None for unknown ids. Not confined to a project."""
        async with self._pool.acquire() as connection:
            tasks = [rows.task(row) for row in await connection.fetch(_GET_MANY, list(ids))]
            found = {run.task.id: run for run in await _with_related(connection, tasks)}
        return [found.get(id) for id in ids]  # type: ignore[call-overload]  # a TaskId is a str

    async def recent(self, schedules: Sequence[str], most: int) -> list[Recent]:
        """The newest runs of each schedule, newest first, in one query. Not confined to a project."""
        found = await self._pool.fetch(_RECENT, list(schedules), most)
        return [
            Recent(schedule, id, at) for schedule, ids, moments in found for id, at in zip(ids, moments, strict=True)
        ]

    async def list(self, project_id: str, page: Page, filter: PromptFilter) -> TaskList:
        """One page of a project's runs, in one query."""
        sql, arguments = list_prompts(project_id, page, filter)
        found = [rows.task(row) for row in await self._pool.fetch(sql, *arguments)]
        return TaskList(items=rows.in_order(found, page), more=len(found) > page.limit)

    async def steps(self, project_id: str, id: str) -> Sequence[Step]:
        """What a run has done, in order. Raises NotFound."""
        if not await self._pool.fetchval(f"SELECT true FROM tasks t WHERE {_OWN}", project_id, clean(id)):
            raise NotFound("run", id)
        return await Steps(self._pool).list(id)

    async def stop(self, project_id: str, id: str) -> bool:
        """Cancel a run with all that it started; whether anything was not over. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            task = await _own(connection, project_id, id)
            return not task.state.final and bool(await stop(connection, id))

    async def reschedule(self, project_id: str, id: str, at: datetime) -> None:
        """Put a delayed run off, or bring it forward. Raises NotFound, Conflict for one that is not delayed."""
        async with self._pool.acquire() as connection, connection.transaction():
            task = await _own(connection, project_id, id)
            if status(task) is not Status.DELAYED:
                raise Conflict(f"The run is {status(task)}; only a delayed run can be put off or brought forward.")
            if not await queue.withdraw(connection, [id]):
                await connection.execute(_WITHDRAW_ANY, id.encode())
            row = await connection.fetchrow(_MOVE, id, at, at.isoformat())
            assert row is not None
            entry = queue.Entry(row["queue"], id, row["priority"], max(0.0, row["delay_s"]), id)
            await queue.enqueue(connection, [entry])
            await wake(connection, [id])

    async def add_tags(self, project_id: str, id: str, tags: Sequence[str]) -> None:
        """Give a run more tags. Raises NotFound, Invalid when they would be too many."""
        async with self._pool.acquire() as connection, connection.transaction():
            task = await _own(connection, project_id, id)
            said = task.extra.get("prompt") or {}
            added = [tag for tag in map(clean, tags) if tag not in task.origin.tags]
            own = [tag for tag in task.origin.tags if tag not in said.get("server_tags", ())]
            if len(own) + len(added) > MOST_TAGS:
                raise Invalid("tags", f"would be {len(own) + len(added)}; a run has at most {MOST_TAGS}.")
            if added:
                await connection.execute(_SET_TAGS, id, [*task.origin.tags, *added])
                await connection.execute(_TAG, id, added)
                await wake(connection, [id])

    async def set_metadata(self, project_id: str, id: str, metadata: Mapping[str, Any]) -> None:
        """Replace a run's metadata. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(_SET_METADATA, project_id, clean(id), dumps(dict(metadata))) is None:
                raise NotFound("run", id)
            await wake(connection, [id])


async def _own(connection: Any, project_id: str, id: str) -> Task:
    """A run of the project, locked. Raises NotFound."""
    row = await connection.fetchrow(_LOCK, project_id, clean(id))
    if row is None:
        raise NotFound("run", id)
    return rows.task(row)


async def _with_related(connection: Any, tasks: Sequence[Task]) -> list[PromptRun]:
    """Runs with those above and below them and what they did, in two queries for all."""
    above = {id for task in tasks for id in (task.origin.root_id, task.origin.caller_id) if id is not None}
    found = [rows.task(row) for row in await connection.fetch(_RELATED, sorted(above), [task.id for task in tasks])]
    totals = {row["task_id"]: _totals(row) for row in await connection.fetch(_TOTALS, [task.id for task in tasks])}
    by_id = {str(task.id): task for task in found}
    below: dict[str, list[Task]] = {}
    for task in {task.id: task for task in found}.values():
        below.setdefault(task.origin.caller_id or "", []).append(task)
    return [
        PromptRun(
            task=task,
            root=by_id.get(task.origin.root_id or ""),
            parent=by_id.get(task.origin.caller_id or ""),
            children=[each for each in below.get(task.id, ()) if each.origin.identifier is not None],
            created=[each for each in below.get(task.id, ()) if each.origin.identifier is None],
            steps=totals.get(task.id, StepTotals()),
        )
        for task in tasks
    ]


def _totals(row: Mapping[str, Any]) -> StepTotals:
    return StepTotals(**{name: row[name] for name in StepTotals.__dataclass_fields__})


def list_prompts(project_id: str, page: Page, filter: PromptFilter) -> tuple[str, list[Any]]:
    """The query of one page and its arguments; it asks for one row more than the page shows.

    Of the conditions that have an index, the narrowest is walked in the list's order, a short walk for each of its
    words; the others are looked at on the way. Only a mix whose parts are each frequent, and together rare, walks far.
    """
    put = rows.Arguments()
    project = put(project_id)
    where = ["t.identifier IS NOT NULL", f"t.project_id = {project}"]
    backwards = page.before is not None and page.after is None
    direction = "DESC" if page.ascending == backwards else "ASC"
    upper, lower = _bounds(page, filter)
    source, key, words = _narrowest(filter)
    where += _conditions(filter, key, put)
    at, id, join = "t.created_at", "t.id", ""
    if source == "task_tags g":
        at, id, join = "g.created_at", "g.task_id", "JOIN tasks t ON t.id = g.task_id"
        where.append(f"g.project_id = {project}")
    prefix, word = (f"{key}, ", "w.word, ") if key else ("", "")
    for bound, sign in ((upper, "<"), (lower, ">")):
        # The word goes into the comparison, so that the index is entered at the place and not at the word's first row.
        # It is compared as a range, never for equality: see rows.list_tasks.
        if bound is not None:
            where.append(f"({prefix}{at}, {id}) {sign} ({word}{put(bound[0])}::timestamptz, {put(bound[1])}::text)")
        elif key:
            where.append(f"{key} {sign}= w.word")
    limit = put(page.limit + 1)
    order = f"{at} {direction}, {id} {direction}"
    walk = f"SELECT {id} AS id, {at} AS created_at FROM {source} {join} WHERE {' AND '.join(where)}"
    if words is None:
        walk = f"{walk} ORDER BY {order} LIMIT {limit}"
    else:
        each = f"{walk} ORDER BY {key} {direction}, {order} LIMIT {limit}"
        walk = f"SELECT DISTINCT s.* FROM unnest({put(words)}::text[]) AS w (word) CROSS JOIN LATERAL ({each}) s"
    order = f"created_at {direction}, id {direction}"
    return (
        f"SELECT {rows.TASK} FROM (SELECT * FROM ({walk}) s ORDER BY {order} LIMIT {limit}) s "
        f"JOIN tasks t ON t.id = s.id ORDER BY t.created_at {direction}, t.id {direction}",
        put.values,
    )


def _narrowest(filter: PromptFilter) -> tuple[str, str, Sequence[str] | None]:
    """(what is walked, the column that leads its index, the words to walk it for; none for an index of dates alone)."""
    if filter.batch_id is not None:
        return "tasks t", "", None
    if filter.schedule_ids is not None:
        return "tasks t", "t.schedule_id", _cleaned(filter.schedule_ids)
    if filter.is_test:
        return "tasks t", "", None  # their own index, which is short
    if filter.tags is not None:
        return "task_tags g", "g.tag", _cleaned(filter.tags)
    if filter.statuses is not None:
        return "tasks t", _WORD, sorted({word for each in filter.statuses for word in _WORDS.get(each, (each.value,))})
    if filter.identifiers is not None:
        return "tasks t", "t.identifier", _cleaned(filter.identifiers)
    return "tasks t", "", None


def _conditions(filter: PromptFilter, key: str, put: rows.Arguments) -> Iterator[str]:
    """What is looked at on the way: all but what the walk by `key` has seen to."""
    if filter.batch_id is not None:
        yield f"t.batch_id = {put(clean(filter.batch_id))}"
    if filter.schedule_ids is not None and key != "t.schedule_id":
        yield f"t.schedule_id = ANY({put(_cleaned(filter.schedule_ids))}::text[])"
    if filter.tags is not None and key != "g.tag":
        yield f"t.tags && {put(_cleaned(filter.tags))}::text[]"
    if filter.identifiers is not None and key != "t.identifier":
        yield f"t.identifier = ANY({put(_cleaned(filter.identifiers))}::text[])"
    if filter.statuses is not None:
        yield f"{STATUS} = ANY({put([each.value for each in filter.statuses])}::text[])"
    if filter.is_test is not None:
        said = "t.extra #>> '{prompt,is_test}' = 'true'"
        yield said if filter.is_test else f"({said}) IS NOT TRUE"


def _cleaned(words: Sequence[str]) -> list[str]:
    return [clean(word) for word in words]


Bound = tuple[datetime, str]


def _bounds(page: Page, filter: PromptFilter) -> tuple[Bound | None, Bound | None]:
    """(what all rows lie before, what they lie after) by instant and id: of cursors and of the dates asked for."""
    upper = [(_utc(filter.created_to), _LAST)] if filter.created_to is not None else []
    lower = [(_utc(filter.created_from), "")] if filter.created_from is not None else []
    for cursor, side in ((page.after, page.ascending), (page.before, not page.ascending)):
        if cursor is not None:
            (lower if side else upper).append((_utc(cursor.at), cursor.id))
    return min(upper, default=None), max(lower, default=None)


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
