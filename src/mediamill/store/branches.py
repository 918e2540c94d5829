"""What moves in a run when one of its tasks ends: those that waited for it go or are cancelled, and the run may end.

In the transaction of that end, with the run's row locked, so that two ends of one run follow one another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mediamill import queue
from mediamill.core.tasks import Failure, State
from mediamill.store.notices import wake
from mediamill.store.text import dumps

_LOCK = "SELECT id FROM runs WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"
_LOCK_OF = """
SELECT id FROM runs WHERE id IN (SELECT run_id FROM tasks WHERE id = ANY($1::text[]) AND place IS NOT NULL)
ORDER BY id FOR UPDATE
"""
_RELEASE = """
WITH before AS (
    SELECT id, label, coalesce(
        (SELECT jsonb_build_array(jsonb_build_object('file', x.o -> 'file'))
         FROM jsonb_array_elements(outputs) WITH ORDINALITY AS x (o, n)
         WHERE x.o ->> 'role' = 'result' ORDER BY x.n LIMIT 1),
        CASE WHEN inputs = '[]' THEN '[]' ELSE jsonb_build_array(inputs -> 0) END
    ) AS given
    FROM tasks WHERE id = ANY($1::text[])
), next AS (
    SELECT t.id, b.label, CASE WHEN t.inherits THEN b.given || t.inputs ELSE t.inputs END AS inputs,
           t.inherits AND b.given = '[]' AS starved
    FROM tasks t JOIN before b ON b.id = t.after_id WHERE t.state = 'waiting'
)
UPDATE tasks t SET
    inputs = n.inputs, label = CASE WHEN t.label = '' THEN n.label ELSE t.label END, updated_at = clock_timestamp(),
    state = CASE WHEN n.starved THEN 'failed'
                 WHEN t.not_before > clock_timestamp() THEN 'delayed'
                 WHEN jsonb_path_exists(n.inputs, '$[*] ? (!exists(@.file))') THEN 'ingesting' ELSE 'queued' END,
    error = CASE WHEN n.starved THEN $2::jsonb END,
    finished_at = CASE WHEN n.starved THEN clock_timestamp() END
FROM next n WHERE t.id = n.id
RETURNING t.id, t.project_id, t.state, t.queue, t.priority, t.inputs,
          coalesce(extract(epoch FROM t.not_before - clock_timestamp()), 0)::float8 AS delay_s
"""
_CUT = """
WITH RECURSIVE below AS (
    SELECT id FROM tasks WHERE after_id = ANY($1::text[]) AND state = 'waiting'
    UNION
    SELECT t.id FROM tasks t JOIN below b ON t.after_id = b.id WHERE t.state = 'waiting'
)
UPDATE tasks t SET state = 'cancelled', details = t.details || $2::jsonb,
                   finished_at = clock_timestamp(), updated_at = clock_timestamp()
FROM below b WHERE t.id = b.id RETURNING t.id, t.project_id
"""
_REFUSED = "SELECT id FROM tasks WHERE id = ANY($1::text[]) AND details -> 'results' ->> 'continue' = 'false'"
_ROLL_UP = """
WITH s AS (
    SELECT run_id, count(*) FILTER (WHERE finished_at IS NULL) AS open,
           count(*) FILTER (WHERE state = 'failed') AS failed,
           count(*) FILTER (WHERE state = 'cancelled' AND details -> 'skipped' IS NULL) AS cancelled,
           (array_agg(error ORDER BY finished_at, place) FILTER (WHERE state = 'failed'))[1] AS error,
           jsonb_object_agg(id, jsonb_build_array(state, stage, progress)) AS parts
    FROM tasks WHERE run_id = ANY($1::text[]) GROUP BY run_id
)
UPDATE runs r SET
    state = CASE WHEN s.open > 0 THEN r.state
                 WHEN s.failed > 0 THEN 'failed'
                 WHEN s.cancelled > 0 OR r.cancel_requested THEN 'cancelled' ELSE 'succeeded' END,
    error = s.error, updated_at = clock_timestamp(),
    finished_at = CASE WHEN s.open = 0 THEN clock_timestamp() END
FROM s WHERE r.id = s.run_id AND r.finished_at IS NULL
RETURNING r.id, r.project_id, CASE WHEN s.open > 0 THEN 'updated' ELSE r.state END AS word,
          CASE WHEN s.open > 0 THEN s.parts END AS parts
"""
_TELL = """
INSERT INTO events (project_id, task_id, run_id, type, parts)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::jsonb[])
"""
_Told = tuple[str, str | None, str | None, str, str | None]
_STARVED = dumps(
    asdict(
        Failure(
            code="no_input", family="input", message="The task before this one made no file to go on with.", stage=None
        )
    )
)


async def lock_runs_of(connection: Any, tasks: Sequence[str]) -> None:
    """Lock the runs of tasks about to end, before the tasks themselves, in one order: nobody waits in a ring."""
    await connection.fetch(_LOCK_OF, list(tasks))


async def lock_runs(connection: Any, runs: Sequence[str]) -> None:
    """Lock runs by id."""
    await connection.fetch(_LOCK, list(runs))


async def follow(connection: Any, ended: Sequence[Mapping[str, Any]]) -> None:
    """Go on from tasks of runs of several that have just come to their state: rows with id, run_id and state."""
    succeeded = [row["id"] for row in ended if row["state"] == State.SUCCEEDED]
    broken = [row["id"] for row in ended if row["state"] in (State.FAILED, State.CANCELLED)]
    runs = sorted({row["run_id"] for row in ended if row["id"] in {*succeeded, *broken}})
    if not runs:
        return
    told: list[_Told] = []
    changed: list[str] = []
    if succeeded:
        refused = [row["id"] for row in await connection.fetch(_REFUSED, succeeded)]
        if refused:
            told += await _cut(connection, refused, {"skipped": True}, changed)
        released = await connection.fetch(_RELEASE, [id for id in succeeded if id not in refused], _STARVED)
        changed += [row["id"] for row in released]
        starved = [row for row in released if row["state"] == State.FAILED]
        told += [(row["project_id"], row["id"], None, "task.failed", None) for row in starved]
        broken += [row["id"] for row in starved]
        await queue.enqueue(
            connection,
            [
                queue.Entry(
                    "io" if any("file" not in source for source in row["inputs"]) else row["queue"],
                    row["id"],
                    row["priority"],
                    max(0.0, row["delay_s"]),
                )
                for row in released
                if row["state"] != State.FAILED
            ],
        )
    if broken:
        told += await _cut(connection, broken, {}, changed)
    over = await connection.fetch(_ROLL_UP, runs)
    for row in over:
        parts = dumps(row["parts"]) if row["parts"] is not None else None
        told.append((row["project_id"], None, row["id"], f"run.{row['word']}", parts))
    if told:
        await connection.execute(_TELL, *[list(column) for column in zip(*told, strict=True)])
    await wake(connection, changed)


async def _cut(connection: Any, after: Sequence[str], details: Mapping[str, Any], changed: list[str]) -> list[_Told]:
    """Cancel all that waits below some tasks; the events to write."""
    cut = await connection.fetch(_CUT, list(after), dumps(dict(details)))
    changed += [row["id"] for row in cut]
    return [(row["project_id"], row["id"], None, "task.cancelled", None) for row in cut]
