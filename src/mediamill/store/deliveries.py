"""Deliveries: claimed by whoever delivers, ended under a fence, listed and told again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg

from mediamill.core.errors import NotFound
from mediamill.core.ids import ProjectId
from mediamill.core.webhooks import (
    Attempt,
    Delivery,
    DeliveryPage,
    DeliveryState,
    Done,
    Due,
    Event,
    EventPage,
    Posted,
    Span,
    delivery_id,
    event_id,
)
from mediamill.store.text import clean, dumps

WOKEN = "mediamill_webhooks"
"""Channel: there is something to deliver."""

_NOW = "coalesce($1::timestamptz, clock_timestamp())"
# Lane by lane, so that one with a million rows waiting costs the others nothing: the lanes are walked by skipping
# through their index, and each gives up to its free places.
_CLAIM = f"""
WITH RECURSIVE lanes (lane) AS (
    (SELECT min(lane) FROM deliveries WHERE state = 'pending')
    UNION ALL
    SELECT (SELECT min(d.lane) FROM deliveries d WHERE d.state = 'pending' AND d.lane > l.lane)
    FROM lanes l WHERE l.lane IS NOT NULL
), places AS MATERIALIZED (
    SELECT l.lane, coalesce(b.free, $2::int) AS free
    FROM lanes l LEFT JOIN unnest($3::text[], $4::int[]) AS b (lane, free) USING (lane)
    WHERE l.lane IS NOT NULL AND coalesce(b.free, $2::int) > 0
    ORDER BY random()
), due AS MATERIALIZED (
    SELECT d.id FROM places p CROSS JOIN LATERAL (
        SELECT id FROM deliveries d
        WHERE d.lane = p.lane AND d.state = 'pending' AND d.next_attempt_at <= {_NOW}
        ORDER BY d.next_attempt_at LIMIT p.free FOR UPDATE SKIP LOCKED
    ) d LIMIT $5::int
), claimed AS (
    UPDATE deliveries d SET attempts = attempts + 1, next_attempt_at = {_NOW} + $6::float8 * interval '1 second'
    FROM due WHERE d.id = due.id
    RETURNING d.id, d.attempts, d.step, d.lane, d.url, d.endpoint_id, d.event_id, d.body
)
SELECT c.id, c.attempts, c.step, c.lane, c.endpoint_id, c.body, coalesce(c.url, p.url) AS url, p.dialect, p.origin,
       c.endpoint_id IS NULL OR p.state = 'active' AS active, p.secret,
       CASE WHEN p.old_until > {_NOW} THEN p.old_secret END AS old_secret,
       e.id AS about, e.project_id, e.type, e.task_id, e.run_id, e.file_id, e.created_at, e.progress, e.parts
FROM claimed c JOIN events e ON e.id = c.event_id LEFT JOIN endpoints p ON p.id = c.endpoint_id
ORDER BY c.id
"""
_NEXT = f"""
SELECT extract(epoch FROM min(next_attempt_at) - {_NOW})::float8 FROM deliveries
WHERE state = 'pending' AND next_attempt_at > {_NOW}
"""
_END = f"""
WITH a AS (
    SELECT * FROM unnest($2::bigint[], $3::int[], $4::text[], $5::float8[], $6::int[], $7::text[])
    AS a (id, number, state, retry_in_s, status, error)
)
UPDATE deliveries d SET
    state = CASE WHEN d.state = 'disabled' AND a.state = 'pending' THEN 'disabled' ELSE a.state END,
    step = d.step + (a.state <> 'disabled')::int, status = a.status, error = a.error, updated_at = clock_timestamp(),
    next_attempt_at = {_NOW} + coalesce(a.retry_in_s, 0) * interval '1 second'
FROM a WHERE d.id = a.id AND d.attempts = a.number AND d.state IN ('pending', 'disabled')
"""
_LOG = """
INSERT INTO delivery_attempts (delivery_id, number, url, started_at, took_s, request_headers, request_body, status,
                               response_headers, response_body, error)
SELECT a.* FROM unnest($1::bigint[], $2::int[], $3::text[], $4::timestamptz[], $5::float4[], $6::jsonb[], $7::bytea[],
                       $8::int[], $9::jsonb[], $10::bytea[], $11::text[]) AS a (delivery_id)
JOIN deliveries d ON d.id = a.delivery_id  -- its endpoint may have been removed meanwhile
ON CONFLICT DO NOTHING
"""
_DISABLE = """
UPDATE endpoints SET state = 'disabled', reason = $2, updated_at = clock_timestamp() WHERE id = $1 AND state = 'active'
"""
SHELVE = """
UPDATE deliveries SET state = 'disabled', updated_at = clock_timestamp() WHERE lane = $1 AND state = 'pending'
"""
_PRUNE = """
WITH old AS (
    DELETE FROM deliveries WHERE id IN (
        SELECT id FROM deliveries WHERE state IN ('delivered', 'failed')
        AND updated_at < now() - $1::float8 * interval '1 day' ORDER BY updated_at LIMIT 5000
    ) RETURNING id
), log AS (DELETE FROM delivery_attempts a USING old WHERE a.delivery_id = old.id)
SELECT count(*) FROM old
"""

_DELIVERY = """
d.id, d.project_id, d.endpoint_id, coalesce(d.url, p.url, '') AS url, d.event_id, d.type, d.task_id, d.run_id, d.state,
d.attempts, d.next_attempt_at, d.status, d.error, d.replay_of, d.created_at, d.updated_at
"""
_GET = f"""
SELECT {_DELIVERY} FROM deliveries d LEFT JOIN endpoints p ON p.id = d.endpoint_id
WHERE d.project_id = $1 AND d.id = $2
"""
_ATTEMPTS = "SELECT * FROM delivery_attempts WHERE delivery_id = $1 ORDER BY number"
_AGAIN = """
INSERT INTO deliveries (project_id, endpoint_id, lane, url, event_id, type, task_id, run_id, replay_of, body)
SELECT project_id, endpoint_id, lane, url, event_id, type, task_id, run_id, id, body FROM deliveries
WHERE project_id = $1 AND id = $2 RETURNING id
"""
_SPAN = """
WITH e AS (SELECT * FROM endpoints WHERE project_id = $1 AND id = $2),
made AS (
    INSERT INTO deliveries (project_id, endpoint_id, lane, event_id, type, task_id, run_id, replay_of)
    SELECT n.project_id, e.id, e.id, n.id, n.type, n.task_id, n.run_id, last.id
    FROM e CROSS JOIN LATERAL (
        SELECT * FROM events n WHERE n.project_id = e.project_id AND n.type NOT IN ('endpoint.test', 'prompt.webhook')
        AND e.types && ARRAY[n.type, '*']
        AND ($3::bigint IS NULL OR n.id >= $3) AND ($4::bigint IS NULL OR n.id <= $4)
        AND ($5::timestamptz IS NULL OR n.created_at >= $5) AND ($6::timestamptz IS NULL OR n.created_at <= $6)
        AND ($7::text[] IS NULL OR n.type = ANY($7))
        AND NOT EXISTS (
            -- One that is on its way already, or (when only missed ones are wanted) has arrived.
            SELECT FROM deliveries d WHERE d.event_id = n.id AND d.endpoint_id = e.id
            AND (d.state IN ('pending', 'disabled') OR ($8 AND d.state = 'delivered'))
        )
        ORDER BY n.id LIMIT $9
    ) n LEFT JOIN LATERAL (
        SELECT id FROM deliveries d WHERE d.event_id = n.id AND d.endpoint_id = e.id ORDER BY id DESC LIMIT 1
    ) last ON true
    RETURNING event_id
), woken AS (SELECT pg_notify('mediamill_webhooks', '') FROM made HAVING count(*) > 0)
SELECT count(*) AS n, max(event_id) AS last FROM made LEFT JOIN woken ON true
"""
_POSTS = f"""
SELECT {_DELIVERY}, a.number AS a_number, a.url AS a_url, a.started_at AS a_started_at, a.took_s AS a_took_s,
       a.status AS a_status, a.response_body AS a_response_body, a.error AS a_error,
       (SELECT t.kind FROM tasks t WHERE t.id = d.task_id) AS kind
FROM deliveries d LEFT JOIN endpoints p ON p.id = d.endpoint_id LEFT JOIN delivery_attempts a ON a.delivery_id = d.id
WHERE d.project_id = $1 AND d.endpoint_id = $2
  AND ($3::bigint IS NULL OR d.id < $3 OR (d.id = $3 AND coalesce(a.number, 0) < $4))
ORDER BY d.id DESC, a.number DESC LIMIT $5
"""
_LAST_POSTS = """
SELECT e.id, l.updated_at FROM endpoints e CROSS JOIN LATERAL (
    SELECT d.updated_at FROM deliveries d WHERE d.endpoint_id = e.id AND d.attempts > 0 ORDER BY d.id DESC LIMIT 1
) l WHERE e.project_id = $1
"""
_EVENT = "SELECT * FROM events WHERE project_id = $1 AND id = $2"
_SINCE = """
SELECT * FROM events WHERE project_id = $1 AND id > $2 AND NOT id = ANY($3::bigint[]) ORDER BY id LIMIT $4
"""
_NEWEST = "SELECT coalesce(max(id), 0) FROM events WHERE project_id = $1"

Row = Mapping[str, Any]


def _event(row: Row, id: int) -> Event:
    return Event(
        id=id,
        project_id=ProjectId(row["project_id"]),
        type=row["type"],
        task_id=row["task_id"],
        run_id=row["run_id"],
        file_id=row["file_id"],
        created_at=row["created_at"],
        progress=row["progress"],
        parts=row["parts"],
    )


def _due(row: Row) -> Due:
    return Due(
        id=row["id"],
        number=row["attempts"],
        step=row["step"],
        lane=row["lane"],
        url=row["url"],
        endpoint_id=row["endpoint_id"],
        dialect=row["dialect"],
        origin=row["origin"],
        active=bool(row["active"]),
        body=row["body"],
        secrets=[secret for secret in (row["secret"], row["old_secret"]) if secret],
        event=_event(row, row["about"]),
    )


def _delivery(row: Row, log: Sequence[Attempt] = ()) -> Delivery:
    state = DeliveryState(row["state"])
    return Delivery(
        id=row["id"],
        project_id=ProjectId(row["project_id"]),
        endpoint_id=row["endpoint_id"],
        url=row["url"],
        event_id=row["event_id"],
        type=row["type"],
        task_id=row["task_id"],
        run_id=row["run_id"],
        state=state,
        attempts=row["attempts"],
        next_attempt_at=row["next_attempt_at"] if state is DeliveryState.PENDING else None,
        status=row["status"],
        error=row["error"],
        replay_of=row["replay_of"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        log=log,
    )


def _attempt(row: Row) -> Attempt:
    return Attempt(
        number=row["number"],
        url=row["url"],
        started_at=row["started_at"],
        took_s=row["took_s"],
        request_headers=row["request_headers"],
        request_body=row["request_body"],
        status=row["status"],
        response_headers=row["response_headers"],
        response_body=row["response_body"],
        error=row["error"],
    )


class Deliveries:
    """The deliveries, their log and the events they tell of.

    `now` in place of the database's own clock is for those who live through a day in a second.
    """

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    async def claim(
        self, *, most: int, width: int, places: Mapping[str, int], lease_s: float, now: datetime | None = None
    ) -> list[Due]:
        """Up to `most` deliveries whose time has come, each lent for `lease_s` to whoever asked.

        At most `width` of a lane, or what `places` says for it. One that was lent before and not ended in time comes
        again, under a new number.
        """
        lanes = list(places)
        found = await self._pool.fetch(_CLAIM, now, width, lanes, [places[lane] for lane in lanes], most, lease_s)
        return [_due(row) for row in found]

    async def next_in_s(self, now: datetime | None = None) -> float | None:
        """Seconds until the next delivery is due that is not yet; None when there is none."""
        found: float | None = await self._pool.fetchval(_NEXT, now)
        return found

    async def end(self, batch: Sequence[Done], now: datetime | None = None) -> list[None]:
        """Write how attempts ended. Of one that was lost meanwhile only the log says what became of it."""
        ordered = sorted(batch, key=lambda done: (done.id, done.number))
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                _END,
                now,
                [d.id for d in ordered],
                [d.number for d in ordered],
                [d.outcome.state.value for d in ordered],
                [d.outcome.retry_in_s for d in ordered],
                [d.attempt.status if d.attempt else None for d in ordered],
                [_text(d.attempt.error if d.attempt else d.error) for d in ordered],
            )
            sent = [(d.id, d.attempt) for d in ordered if d.attempt is not None]
            await connection.execute(
                _LOG,
                [id for id, _ in sent],
                [a.number for _, a in sent],
                [a.url for _, a in sent],
                [a.started_at for _, a in sent],
                [a.took_s for _, a in sent],
                [dumps(dict(a.request_headers)) for _, a in sent],
                [a.request_body for _, a in sent],
                [a.status for _, a in sent],
                [dumps(dict(a.response_headers)) for _, a in sent],
                [a.response_body for _, a in sent],
                [_text(a.error) for _, a in sent],
            )
        return [None] * len(batch)

    async def disable(self, endpoint_id: str, reason: str) -> None:
        """Tell an endpoint nothing more, until its owner says otherwise; what waits for it is kept."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_DISABLE, endpoint_id, reason)
            await connection.execute(SHELVE, endpoint_id)

    async def waiting(self) -> bool:
        """Whether anything is to be delivered, now or later."""
        found: bool = await self._pool.fetchval("SELECT EXISTS (SELECT FROM deliveries WHERE state = 'pending')")
        return found

    async def prune(self, days: float) -> int:
        """Forget deliveries that ended longer ago; how many there were. Their events stay, and can be told again."""
        removed: int = await self._pool.fetchval(_PRUNE, days)
        return removed

    async def get(self, project_id: str, id: int) -> Delivery:
        """One delivery with the log of its attempts. Raises NotFound."""
        row = await self._pool.fetchrow(_GET, project_id, id)
        if row is None:
            raise NotFound("delivery", delivery_id(id))
        return _delivery(row, [_attempt(found) for found in await self._pool.fetch(_ATTEMPTS, id)])

    async def list(self, project_id: str, page: DeliveryPage) -> tuple[Sequence[Delivery], bool]:
        """(a page, whether more follow)."""
        conditions, arguments = ["d.project_id = $1"], [project_id]
        wanted: list[tuple[str, Any]] = [
            ("d.endpoint_id = {}::text", page.endpoint_id and clean(page.endpoint_id)),
            ("d.task_id = {}::text", page.task_id and clean(page.task_id)),
            ("d.event_id = {}::bigint", page.event_id),
            ("d.state = ANY({}::text[])", [s.value for s in page.states] if page.states is not None else None),
        ]
        return await _page(
            self._pool,
            f"SELECT {_DELIVERY} FROM deliveries d LEFT JOIN endpoints p ON p.id = d.endpoint_id",
            "d.id",
            conditions,
            arguments,
            wanted,
            page,
            _delivery,
        )

    async def posts(
        self, project_id: str, endpoint_id: str, before: tuple[int, int] | None, most: int
    ) -> Sequence[Posted]:
        """Posts to an endpoint, newest delivery first, without what was sent and the headers of the answers."""
        delivery, number = before if before is not None else (None, None)
        rows = await self._pool.fetch(_POSTS, project_id, clean(endpoint_id), delivery, number, most)
        return [Posted(delivery=_delivery(row), attempt=_post(row), kind=row["kind"]) for row in rows]

    async def last_posts(self, project_id: str) -> Mapping[str, datetime]:
        """When each endpoint was last posted to, by its id."""
        return {row["id"]: row["updated_at"] for row in await self._pool.fetch(_LAST_POSTS, project_id)}

    async def again(self, project_id: str, id: int) -> Delivery:
        """A new delivery of the same event to the same address, due now. Raises NotFound."""
        async with self._pool.acquire() as connection, connection.transaction():
            made = await connection.fetchval(_AGAIN, project_id, id)
            if made is None:
                raise NotFound("delivery", delivery_id(id))
            await connection.execute("SELECT pg_notify($1, '')", WOKEN)
        return await self.get(project_id, made)

    async def span(self, project_id: str, endpoint_id: str, span: Span, most: int) -> tuple[int, int | None]:
        """Tell an endpoint events again, oldest first, up to `most`. (how many, the id of the last)."""
        row = await self._pool.fetchrow(
            _SPAN,
            project_id,
            clean(endpoint_id),
            span.first,
            span.last,
            span.since,
            span.until,
            list(span.types) if span.types is not None else None,
            span.missed,
            most,
        )
        assert row is not None  # an aggregate has a row
        return row["n"], row["last"]

    async def events(self, project_id: str, page: EventPage) -> tuple[Sequence[Event], bool]:
        """(a page of the log of events, whether more follow)."""
        wanted = [("e.type = ANY({}::text[])", [clean(t) for t in page.types] if page.types is not None else None)]
        return await _page(
            self._pool,
            "SELECT e.* FROM events e",
            "e.id",
            ["e.project_id = $1"],
            [project_id],
            wanted,
            page,
            lambda row: _event(row, row["id"]),
        )

    async def event(self, project_id: str, id: int) -> Event:
        """One event. Raises NotFound."""
        row = await self._pool.fetchrow(_EVENT, project_id, id)
        if row is None:
            raise NotFound("event", event_id(id))
        return _event(row, row["id"])

    async def since(self, project_id: str, id: int, but: Sequence[int], most: int) -> Sequence[Event]:
        """Events after `id` in the order of their ids, but for those named."""
        return [_event(row, row["id"]) for row in await self._pool.fetch(_SINCE, project_id, id, list(but), most)]

    async def newest(self, project_id: str) -> int:
        """The id of the project's last event; 0 when there is none."""
        found: int = await self._pool.fetchval(_NEWEST, project_id)
        return found


def _post(row: Row) -> Attempt | None:
    if row["a_number"] is None:
        return None
    return Attempt(
        number=row["a_number"],
        url=row["a_url"],
        started_at=row["a_started_at"],
        took_s=row["a_took_s"],
        request_headers={},
        request_body=b"",
        status=row["a_status"],
        response_headers={},
        response_body=row["a_response_body"],
        error=row["a_error"],
    )


async def _page(
    pool: asyncpg.Pool[Any],
    select: str,
    id: str,
    conditions: list[str],
    arguments: list[Any],
    wanted: Sequence[tuple[str, Any]],
    page: EventPage | DeliveryPage,
    make: Any,
) -> tuple[list[Any], bool]:
    backwards = page.before is not None and page.after is None
    for condition, value in [
        *wanted,
        (f"{id} {'>' if page.ascending else '<'} {{}}::bigint", page.after),
        (f"{id} {'<' if page.ascending else '>'} {{}}::bigint", page.before),
    ]:
        if value is not None:
            arguments.append(value)
            conditions.append(condition.format(f"${len(arguments)}"))
    direction = "ASC" if page.ascending != backwards else "DESC"
    arguments.append(page.limit + 1)
    found = await pool.fetch(
        f"{select} WHERE {' AND '.join(conditions)} ORDER BY {id} {direction} LIMIT ${len(arguments)}", *arguments
    )
    kept = [make(row) for row in found[: page.limit]]
    return (kept[::-1] if backwards else kept), len(found) > page.limit


def _text(value: str | None) -> str | None:
    return clean(value)[:1000] if value is not None else None
