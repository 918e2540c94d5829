"""Steps of prompts: each written under the fence of its attempt, with what the run says of itself and what it posts."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from mediamill.core.steps import Begin, Chunk, End, Hold, Step
from mediamill.core.webhooks import SENT
from mediamill.store.deliveries import WOKEN
from mediamill.store.notices import WAKE
from mediamill.store.text import clean, dumps

TOKENS = "mediamill_tokens"
"""Channel: "task number offset text" of a model's answer while it comes."""
_MOST_NOTICE = 1800
"""Letters in one notice, which holds 8,000 bytes: four to a letter at most, and the ids."""

_BEGIN = """
WITH t AS (
    UPDATE tasks SET metadata = coalesce(metadata, '{}') || $7::jsonb, updated_at = clock_timestamp()
    WHERE id = $1 AND fence = $2 AND state = 'running' AND NOT cancel_requested RETURNING id, attempt
), s AS (
    INSERT INTO steps (task_id, number, attempt, kind, name, request, state)
    SELECT id, $3, attempt, $4, $5, $6::jsonb, 'begun' FROM t
    ON CONFLICT (task_id, number) DO UPDATE SET
        attempt = EXCLUDED.attempt, name = EXCLUDED.name, request = EXCLUDED.request, state = 'begun', result = NULL,
        said = NULL, started_at = clock_timestamp(), finished_at = NULL
), woken AS (SELECT pg_notify($8, id) FROM t)
SELECT id FROM t LEFT JOIN woken ON true
"""
_END = """
WITH t AS (
    UPDATE tasks SET details = details || $8::jsonb, metadata = coalesce(metadata, '{}') || $9::jsonb,
                     updated_at = clock_timestamp()
    WHERE id = $1 AND fence = $2 AND state = 'running' RETURNING id, project_id
), s AS (
    UPDATE steps SET state = $4, result = $5::jsonb, said = NULL, prompt_tokens = $6, completion_tokens = $7,
                     cost_cents = $10, finished_at = clock_timestamp()
    FROM t WHERE task_id = t.id AND number = $3 AND steps.state = 'begun'
), woken AS (SELECT pg_notify($11, id) FROM t)
SELECT id, project_id FROM t LEFT JOIN woken ON true
"""
_WHY = "SELECT fence = $2 AND cancel_requested FROM tasks WHERE id = $1"
_NOTE = """
UPDATE tasks SET details = details || $3::jsonb, metadata = coalesce(metadata, '{}') || $4::jsonb,
                 updated_at = clock_timestamp()
WHERE id = $1 AND fence = $2 AND state = 'running' RETURNING id
"""
_EVENT = "INSERT INTO events (project_id, task_id, type) VALUES ($1, $2, $3) RETURNING id"
_POST = """
INSERT INTO deliveries (project_id, lane, url, event_id, type, task_id, body)
VALUES ($1, 'task ' || left(lower(split_part(split_part($2::text, '://', 2), '/', 1)), 255), $2, $3, $4, $5, $6::jsonb)
"""
_LIST = "SELECT * FROM steps WHERE task_id = $1 ORDER BY number"
_SAY = "SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS p (payload)"
_SAID = """
UPDATE steps s SET said = w.said FROM unnest($1::text[], $2::int[], $3::text[]) AS w (task_id, number, said)
WHERE s.task_id = w.task_id AND s.number = w.number AND s.state = 'begun'
"""
_HEARD = "SELECT said FROM steps WHERE task_id = $1 AND number = $2"
_MADE = "SELECT id FROM tasks WHERE caller_id = $1 AND extra ->> 'step' = $2::int::text LIMIT 1"
_SCHEDULES = """
SELECT uuid::text AS uuid, id, title, prompt, model, cron, zone, enabled, artist_id, external_id, next_at FROM schedules
WHERE project_id = $1 AND ($2::text IS NULL OR id = $2) AND ($3::text IS NULL OR uuid::text = $3 OR external_id = $3)
AND ($4::text IS NULL OR artist_id = $4) ORDER BY created_at DESC, id DESC LIMIT $5
"""


def _step(row: Mapping[str, Any]) -> Step:
    return Step(
        task_id=row["task_id"],
        number=row["number"],
        attempt=row["attempt"],
        kind=row["kind"],
        name=row["name"],
        request=row["request"],
        state=row["state"],
        result=row["result"] if row["said"] is None else {"content": row["said"]},
        prompt_tokens=row["prompt_tokens"],
        completion_tokens=row["completion_tokens"],
        cost_cents=row["cost_cents"],
        started_at=row["started_at"],
        finished_at=row["finished_at"],
    )


class Steps:
    """The table of steps."""

    def __init__(self, pool: asyncpg.Pool[Any], loose: asyncpg.Pool[Any] | None = None) -> None:
        """loose: a pool whose commits do not wait for the disk, for letters on their way."""
        self._pool = pool
        self._loose = loose or pool

    async def begin(self, task_id: str, fence: uuid.UUID, step: Begin) -> Hold:
        """Write that a step begins. Unless it is held, nothing may take effect."""
        row = await self._pool.fetchrow(
            _BEGIN,
            task_id,
            fence,
            step.number,
            step.kind,
            clean(step.name),
            dumps(dict(step.request)),
            dumps(dict(step.metadata)),
            WAKE,
        )
        return Hold.HELD if row is not None else await self._why(task_id, fence)

    async def end(self, task_id: str, fence: uuid.UUID, step: End) -> Hold:
        """Write how a step ended, and with it the webhook that it sends."""
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                _END,
                task_id,
                fence,
                step.number,
                step.state,
                dumps(step.result),
                step.prompt_tokens,
                step.completion_tokens,
                dumps(dict(step.details)),
                dumps(dict(step.metadata)),
                step.cost_cents,
                WAKE,
            )
            if row is not None and step.webhook is not None:
                project_id, url = row["project_id"], clean(step.webhook.url)
                event = await connection.fetchval(_EVENT, project_id, task_id, SENT)
                await connection.execute(_POST, project_id, url, event, SENT, task_id, dumps(step.webhook.body))
                await connection.execute("SELECT pg_notify($1, '')", WOKEN)
        return Hold.HELD if row is not None else Hold.LOST

    async def note(
        self, task_id: str, fence: uuid.UUID, *, details: Mapping[str, Any], metadata: Mapping[str, Any]
    ) -> Hold:
        """Lay details and metadata over what they were."""
        row = await self._pool.fetchrow(_NOTE, task_id, fence, dumps(dict(details)), dumps(dict(metadata)))
        return Hold.HELD if row is not None else Hold.LOST

    async def list(self, task_id: str) -> list[Step]:
        """All steps of a task in order. Not confined to a project."""
        return [_step(row) for row in await self._pool.fetch(_LIST, task_id)]

    async def say(self, chunks: Sequence[Chunk], so_far: Mapping[tuple[str, int], str]) -> None:
        """Tell listeners what models say, and keep what steps have said so far for those who come later."""
        notices = []
        for chunk in chunks:
            for start in range(0, len(chunk.text), _MOST_NOTICE):
                part = clean(chunk.text[start : start + _MOST_NOTICE])
                notices.append(f"{chunk.task_id} {chunk.number} {chunk.offset + start} {part}")
        if notices:
            await self._loose.execute(_SAY, TOKENS, notices)
        if so_far:
            keys = sorted(so_far)
            await self._loose.execute(
                _SAID, [id for id, _ in keys], [n for _, n in keys], [clean(so_far[key]) for key in keys]
            )

    async def heard(self, task_id: str, number: int) -> str | None:
        """What a step that is under way had said when that was last kept."""
        found: str | None = await self._pool.fetchval(_HEARD, task_id, number)
        return found

    async def made(self, task_id: str, number: int) -> str | None:
        """The task that a step made before it was lost, if it came to that."""
        found: str | None = await self._pool.fetchval(_MADE, task_id, number)
        return found

    async def schedules(
        self,
        project_id: str,
        *,
        id: str | None = None,
        name: str | None = None,
        artist_id: str | None = None,
        limit: int = 1,
    ) -> Sequence[Mapping[str, Any]]:
        """Schedules of a project. name: what a dialect calls it, its uuid or its external id."""
        found = await self._pool.fetch(
            _SCHEDULES, project_id, id, name and clean(name), artist_id and clean(artist_id), limit
        )
        return [dict(row) for row in found]

    async def _why(self, task_id: str, fence: uuid.UUID) -> Hold:
        return Hold.CANCELLED if await self._pool.fetchval(_WHY, task_id, fence) else Hold.LOST
