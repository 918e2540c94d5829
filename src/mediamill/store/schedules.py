"""Schedules: the table, and their firing.

The row of a schedule is the lock on its turns. A firing holds it and waits for nothing more while it does: what ends
tasks locks them first and the schedule after, and the two never wait for one another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import asyncpg

from mediamill.core.dispatch import Accept
from mediamill.core.errors import Conflict, NotFound
from mediamill.core.events import EventType
from mediamill.core.firings import Due, hold, new_token
from mediamill.core.ids import ProjectId, ScheduleId, new_id
from mediamill.core.schedules import NewSchedule, Schedule, ScheduleFilter, ScheduleList
from mediamill.core.tasks import Page
from mediamill.store import rows, turns
from mediamill.store.accepting import Place, insert_tasks
from mediamill.store.notices import OFFER, columns, wake
from mediamill.store.text import clean, dumps

_ALL = """
x.id, x.uuid, x.project_id, x.dialect, x.identifier, x.title, x.prompt, x.cron, x.zone, x.enabled, x.model,
x.artist_id, x.external_id, x.dedup_key, x.token, x.overlap, x.missed, x.missed_limit, x.settings, x.next_at,
x.last_at, x.created_at, x.updated_at
"""
_ADD = f"""
INSERT INTO schedules AS x (id, uuid, project_id, dialect, identifier, title, prompt, cron, zone, enabled, model,
                            artist_id, external_id, dedup_key, token, overlap, missed, missed_limit, settings, next_at)
VALUES ($1, coalesce($2::uuid, gen_random_uuid()), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,
        $18, $19::jsonb, $20)
ON CONFLICT DO NOTHING RETURNING {_ALL}
"""
_GET = f"SELECT {_ALL} FROM schedules x WHERE x.project_id = $1 AND "
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_GET_MANY = f"SELECT {_ALL} FROM schedules x WHERE x.id = ANY($1::text[])"
# xmin: the transaction that wrote the row as it is. It costs no index and no write, and no writer can forget it.
_STAMPS = """
SELECT x.id, concat(x.xmin, ' ', r.stamp) AS stamp
FROM (SELECT x.id, x.xmin, x.created_at FROM schedules x WHERE {conditions}) x CROSS JOIN LATERAL (
    SELECT string_agg(concat(t.id, ' ', t.xmin), ',') AS stamp FROM (
        SELECT t.id, t.xmin FROM tasks t WHERE t.schedule_id = x.id ORDER BY t.created_at DESC, t.id DESC LIMIT {runs}
    ) t
) r
ORDER BY x.created_at DESC, x.id DESC
"""
_DEDUP = f"SELECT {_ALL} FROM schedules x WHERE x.project_id = $1 AND x.dedup_key = $2"
_COLUMNS = {
    "title": "text",
    "prompt": "text",
    "cron": "text",
    "zone": "text",
    "identifier": "text",
    "enabled": "boolean",
    "model": "text",
    "artist_id": "text",
    "external_id": "text",
    "dedup_key": "text",
    "overlap": "text",
    "missed": "text",
    "missed_limit": "int",
    "settings": "jsonb",
    "token": "text",
    "next_at": "timestamptz",
}
# Never waits: what somebody else is at is being started or ended this moment.
_DROP = """
WITH mine AS (
    SELECT id FROM tasks WHERE schedule_id = $1 AND state IN ('waiting', 'delayed', 'queued') AND fence IS NULL
                           AND attempt = 0 ORDER BY id FOR UPDATE SKIP LOCKED
), over AS (
    UPDATE tasks t SET state = 'cancelled', cancel_requested = true, finished_at = clock_timestamp(),
                       updated_at = clock_timestamp()
    FROM mine m WHERE t.id = m.id RETURNING t.id, t.project_id, t.run_id
), runs_over AS (
    UPDATE runs r SET state = 'cancelled', finished_at = clock_timestamp(), updated_at = clock_timestamp()
    FROM over o WHERE r.id = o.run_id RETURNING r.id, r.project_id
), told AS (
    INSERT INTO events (project_id, task_id, run_id, type)
    SELECT project_id, id, NULL, $2 FROM over UNION ALL SELECT project_id, NULL, id, 'run.cancelled' FROM runs_over
)
SELECT id FROM over
"""
_DUE = f"""
SELECT {_ALL} FROM schedules x WHERE x.next_at <= $1 ORDER BY x.next_at, x.id LIMIT $2 FOR UPDATE SKIP LOCKED
"""
_ACCOUNTS = "SELECT id, account_id FROM projects WHERE id = ANY($1::text[])"
# At work, or waiting to be; not what somebody has put off.
_LIVE = """
SELECT DISTINCT schedule_id FROM tasks
WHERE schedule_id = ANY($1::text[]) AND state IN ('waiting', 'ingesting', 'delayed', 'queued', 'running')
  AND (state <> 'delayed' OR attempt > 0)
"""
# After a clock was set back, or when a rule was changed to and fro.
_FIRED = """
SELECT t.schedule_id, t.due_at FROM tasks t JOIN unnest($1::text[], $2::timestamptz[]) AS w (id, due_at)
ON t.schedule_id = w.id AND t.due_at = w.due_at
"""
_MOVE = """
UPDATE schedules s SET next_at = w.next_at, last_at = coalesce(w.last_at, s.last_at)
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS w (id, next_at, last_at) WHERE s.id = w.id
"""
_NEXT = "SELECT min(next_at) FROM schedules WHERE next_at IS NOT NULL"
_COMING = "SELECT DISTINCT cron, zone, next_at FROM schedules WHERE next_at > $1 AND next_at <= $2 LIMIT 2000"
_PLANNED = "SELECT id, cron, zone, next_at FROM schedules WHERE next_at > $1 AND id > $2 ORDER BY id LIMIT 1000"
_REPLAN = """
UPDATE schedules s SET next_at = w.next_at
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS w (id, old_at, next_at)
WHERE s.id = w.id AND s.next_at = w.old_at
"""
# The newest waits for its turn, and those before it were to be cancelled: also when the server that should have died.
_OVERTAKEN = """
SELECT t.project_id, t.id FROM tasks n
JOIN schedules s ON s.id = n.schedule_id AND s.overlap = 'cancel'
JOIN tasks t ON t.schedule_id = s.id AND (t.created_at, t.id) < (n.created_at, n.id) AND NOT t.cancel_requested
            AND t.state IN ('waiting', 'ingesting', 'delayed', 'queued', 'running')
            AND (t.state <> 'delayed' OR t.attempt > 0)
WHERE n.hold = 'turn' AND n.state = 'queued'
GROUP BY t.project_id, t.id LIMIT 500
"""
_OFFER = """
UPDATE tasks t SET
    -- Of a schedule's tasks one goes at a time; `pass_on` sees to the first.
    hold = CASE WHEN t.schedule_id IS NULL OR t.not_before > clock_timestamp() THEN NULL ELSE 'turn' END,
    updated_at = clock_timestamp(),
    state = CASE WHEN t.not_before > clock_timestamp() THEN 'delayed' ELSE 'queued' END,
    expires_at = greatest(t.not_before, clock_timestamp()) + t.ttl_s * interval '1 second'
FROM (SELECT id FROM tasks WHERE hold = 'runner' AND state = 'waiting' AND identifier = ANY($1::text[])
      ORDER BY created_at, id LIMIT 500 FOR UPDATE SKIP LOCKED) w
WHERE t.id = w.id
RETURNING t.id, t.queue, t.priority, t.hold,
          coalesce(extract(epoch FROM t.not_before - clock_timestamp()), 0)::float8 AS delay_s
"""


def _schedule(row: Any) -> Schedule:
    return Schedule(
        **{
            **dict(row),
            "id": ScheduleId(row["id"]),
            "project_id": ProjectId(row["project_id"]),
            "uuid": str(row["uuid"]),
        }
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """What a round of firing came to. more: whether others may be due still."""

    schedules: int
    tasks: int
    more: bool


class Schedules:
    """The schedule table."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def create(self, project_id: str, new: NewSchedule, next_at: datetime | None) -> Schedule:
        """Keep one. Raises Conflict where its dedup_key or uuid is taken."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                _ADD,
                new_id("schedule"),
                new.uuid,
                project_id,
                *map(_clean, (new.dialect, new.identifier, new.title, new.prompt, new.cron, new.zone)),
                new.enabled,
                *map(_clean, (new.model, new.artist_id, new.external_id, new.dedup_key)),
                new_token() if new.enabled is not False else None,
                new.overlap,
                new.missed,
                new.missed_limit,
                dumps(dict(new.settings)),
                next_at,
            )
            if row is None:
                raise Conflict("There is a schedule with this key already.")
            await _tell(connection, new.identifier)
        return _schedule(row)

    async def get(self, project_id: str, id: str) -> Schedule:
        """One of the project's, by id, uuid or token. Raises NotFound."""
        row = await self._pool.fetchrow(_GET + _named(id), project_id, clean(id))
        if row is None:
            raise NotFound("schedule", id)
        return _schedule(row)

    async def by_key(self, project_id: str, dedup_key: str) -> Schedule | None:
        """The one with that key."""
        row = await self._pool.fetchrow(_DEDUP, project_id, clean(dedup_key))
        return None if row is None else _schedule(row)

    async def list(self, project_id: str, page: Page, filter: ScheduleFilter) -> ScheduleList:
        """One page."""
        sql, arguments = _listing(project_id, page, filter)
        found = [_schedule(row) for row in await self._pool.fetch(sql, *arguments)]
        return ScheduleList(items=rows.in_order(found, page), more=len(found) > page.limit)

    async def stamps(self, project_id: str, filter: ScheduleFilter, runs: int) -> Sequence[tuple[str, str]]:
        """(id, stamp) of every schedule, newest first, in one query: a stamp is another one once anything of the
        schedule or of its newest `runs` tasks has changed, whoever changed it."""
        conditions, values = _matching(project_id, filter)
        found = await self._pool.fetch(_STAMPS.format(conditions=conditions, runs=int(runs)), *values)
        return [(row["id"], row["stamp"]) for row in found]

    async def get_many(self, ids: Sequence[str]) -> Sequence[Schedule]:
        """Those that are there, in no order. Not confined to a project."""
        return [_schedule(row) for row in await self._pool.fetch(_GET_MANY, list(ids))]

    async def count(self, project_id: str, filter: ScheduleFilter) -> int:
        """How many there are."""
        conditions, values = _matching(project_id, filter)
        found: int = await self._pool.fetchval(f"SELECT count(*) FROM schedules x WHERE {conditions}", *values)
        return found

    async def change(
        self, project_id: str, id: str, decide: Callable[[Schedule], Mapping[str, Any]]
    ) -> tuple[Schedule, Schedule]:
        """Write what `decide` makes of the record as it is; (before, after). Raises NotFound, and what it raises.

        What is disabled keeps no task that has not been started.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(f"{_GET}{_named(id)} FOR UPDATE", project_id, clean(id))
            if row is None:
                raise NotFound("schedule", id)
            before = _schedule(row)
            given = {name: value for name, value in decide(before).items() if name in _COLUMNS}
            values = [
                dumps(dict(value)) if _COLUMNS[name] == "jsonb" else _clean(value) for name, value in given.items()
            ]
            sets = [f"{name} = ${n}::{_COLUMNS[name]}" for n, name in enumerate(given, 2)]
            try:
                async with connection.transaction():
                    changed = await connection.fetchrow(
                        f"UPDATE schedules x SET {', '.join([*sets, 'updated_at = clock_timestamp()'])} "
                        f"WHERE x.id = $1 RETURNING {_ALL}",
                        before.id,
                        *values,
                    )
            except asyncpg.UniqueViolationError:
                raise Conflict("There is a schedule with this key already.") from None
            after = _schedule(changed)
            if before.active and not after.active:
                await _drop(connection, before.id)
            await _tell(connection, after.identifier)
        return before, after

    async def remove(self, project_id: str, id: str) -> Schedule:
        """Forget one; what it has started and is at work goes on. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(f"{_GET}{_named(id)} FOR UPDATE", project_id, clean(id))
            if row is None:
                raise NotFound("schedule", id)
            await _drop(connection, row["id"])
            await connection.execute("DELETE FROM schedules WHERE id = $1", row["id"])
        return _schedule(row)

    async def account_of(self, project_id: str) -> str | None:
        """What dialects call the project."""
        found = await self._pool.fetchval("SELECT account_id FROM projects WHERE id = $1", project_id)
        return None if found is None else str(found)

    # firing

    async def now(self) -> datetime:
        """What the database's clock says."""
        found: datetime = await self._pool.fetchval("SELECT clock_timestamp()")
        return found

    async def fire(self, now: datetime, most: int, plan: Callable[[Schedule, str | None], Due]) -> Fired:
        """Fire up to `most` schedules that are due at `now` and that nobody else is firing, in one transaction.

        plan: what becomes of a schedule, whose project has that account.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            found = [_schedule(row) for row in await connection.fetch(_DUE, now, most)]
            if not found:
                return Fired(schedules=0, tasks=0, more=False)
            projects = await connection.fetch(_ACCOUNTS, list({schedule.project_id for schedule in found}))
            accounts = {row["id"]: str(row["account_id"]) for row in projects}
            plans = [(schedule, plan(schedule, accounts.get(schedule.project_id))) for schedule in found]
            started = await _start(connection, plans)
            last = {schedule.id: _last(due) for schedule, due in plans}
            await connection.execute(
                _MOVE, *columns([(schedule.id, due.next_at, last[schedule.id]) for schedule, due in plans])
            )
            unserved = {str(i.new.origin.identifier) for i in started if i.new.origin.hold == "runner"}
            for identifier in sorted(unserved):
                await _tell(connection, identifier)
        return Fired(schedules=len(found), tasks=len(started), more=len(found) == most)

    async def next_due(self) -> datetime | None:
        """When the next one is due."""
        found: datetime | None = await self._pool.fetchval(_NEXT)
        return found

    async def coming(self, after: datetime, until: datetime) -> Sequence[tuple[str, str, datetime]]:
        """(rule, zone, instant) of what is due soon."""
        found = await self._pool.fetch(_COMING, after, until)
        return [(row["cron"], row["zone"], row["next_at"]) for row in found]

    async def replan(self, now: datetime, after: Callable[[str, str], datetime | None]) -> int:
        """Set right what is planned later than after(cron, zone) says; how many were wrong.

        Clocks are set back, and countries change their rules.
        """
        wrong, last = 0, ""
        while found := await self._pool.fetch(_PLANNED, now, last):
            last = found[-1]["id"]
            asked = [(row["id"], row["next_at"], after(row["cron"], row["zone"])) for row in found]
            moved = [entry for entry in asked if entry[1] != entry[2]]
            if moved:
                await self._pool.execute(_REPLAN, *columns(moved))
                wrong += len(moved)
        return wrong

    async def overtaken(self) -> Sequence[tuple[str, str]]:
        """(project, id) of tasks that are to be cancelled because a later firing wants their place."""
        return [(row["project_id"], row["id"]) for row in await self._pool.fetch(_OVERTAKEN)]

    async def offer(self, identifiers: Sequence[str]) -> int:
        """Let tasks go that waited for a worker to run one of these; how many."""
        released = 0
        while True:
            async with self._pool.acquire() as connection, connection.transaction():
                found = await connection.fetch(_OFFER, list(identifiers))
                await turns.let_go(connection, [row for row in found if row["hold"] is None])
            released += len(found)
            if not found:
                return released

    async def pass_on(self) -> int:
        """Let tasks go whose turn has come unnoticed; how many schedules were looked at."""
        return await turns.look_again(self._pool)


async def _start(connection: Any, plans: Sequence[tuple[Schedule, Due]]) -> Sequence[Accept]:
    """Write the tasks of firings, each in its place among those of its schedule; those that were written."""
    asked = [(item.new.origin.schedule_id, item.new.origin.due_at) for _, due in plans for item in due.tasks]
    if not asked:
        return []
    fired = {(row["schedule_id"], row["due_at"]) for row in await connection.fetch(_FIRED, *columns(asked))}
    ids = [schedule.id for schedule, due in plans if due.tasks]
    busy = {row["schedule_id"] for row in await connection.fetch(_LIVE, ids)}
    kept: list[Accept] = []
    for schedule, due in plans:
        for item in due.tasks:
            origin = item.new.origin
            if (origin.schedule_id, origin.due_at) in fired:
                continue
            waits = hold(schedule.overlap, schedule.id in busy)
            if waits is None:
                continue
            if waits:
                # Those that are made up for are all wanted: that the next is due soon is no reason to let go of them.
                made_up_for = schedule.missed == "all" and item is not due.tasks[-1]
                patience_s = None if made_up_for else due.patience_s
                origin = replace(origin, hold="turn", ttl_s=_least(origin.ttl_s, patience_s))
                item = replace(item, new=replace(item.new, origin=origin))
            busy.add(schedule.id)
            kept.append(item)
    if kept:
        await insert_tasks(connection, [(new_id("task"), item, Place(run_id=new_id("run"))) for item in kept])
    return kept


def _named(id: str) -> str:
    """The condition that finds what somebody calls by its id, its uuid or its token, each by its own index."""
    if _UUID.fullmatch(id):
        return "x.uuid = ($2::text)::uuid"
    return "x.token = $2" if id.startswith("sched_") else "x.id = $2"


def _matching(project_id: str, filter: ScheduleFilter) -> tuple[str, list[Any]]:
    """(conditions, their arguments) of a filter."""
    wanted = {
        "x.uuid": filter.uuid,
        "x.token": filter.token,
        "x.artist_id": filter.artist_id,
        "coalesce(x.enabled, true)": filter.active,
    }
    asked = {column: _clean(value) for column, value in wanted.items() if value is not None}
    conditions = ["x.project_id = $1", *(f"{column} = ${n}" for n, column in enumerate(asked, 2))]
    return " AND ".join(conditions), [project_id, *asked.values()]


def _listing(project_id: str, page: Page, filter: ScheduleFilter) -> tuple[str, list[Any]]:
    """The query of one page and its arguments; it asks for one row more than the page shows."""
    conditions, values = _matching(project_id, filter)
    backwards = page.before is not None and page.after is None
    ascending = page.ascending != backwards
    for cursor, sign in ((page.after, ">" if page.ascending else "<"), (page.before, "<" if page.ascending else ">")):
        if cursor is not None:
            values += [cursor.at, cursor.id]
            conditions += f" AND (x.created_at, x.id) {sign} (${len(values) - 1}::timestamptz, ${len(values)}::text)"
    way = "ASC" if ascending else "DESC"
    values += [page.limit + 1, page.skip]
    limits = f"LIMIT ${len(values) - 1} OFFSET ${len(values)}"
    return f"SELECT {_ALL} FROM schedules x WHERE {conditions} ORDER BY x.created_at {way}, x.id {way} {limits}", values


def _last(due: Due) -> datetime | None:
    """The last instant that was dealt with."""
    return max((item.new.origin.due_at for item in due.tasks if item.new.origin.due_at), default=None)


def _least(*given: float | None) -> float | None:
    return min((value for value in given if value is not None), default=None)


def _clean(value: Any) -> Any:
    return clean(value) if isinstance(value, str) else value


async def _tell(connection: Any, identifier: str) -> None:
    await connection.execute("SELECT pg_notify($1, $2)", OFFER, clean(identifier))


async def _drop(connection: Any, schedule_id: str) -> None:
    """Cancel what has not been started, with the schedule's row locked."""
    dropped = await connection.fetch(_DROP, schedule_id, EventType.TASK_CANCELLED)
    await wake(connection, [row["id"] for row in dropped])
