"""Ending attempts: the state, what was made, the events, the queue entry, and what waits for the task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from mediamill import queue
from mediamill.core.dispatch import Finish
from mediamill.core.files import NewFile
from mediamill.core.ids import new_id
from mediamill.core.tasks import State
from mediamill.store import branches, media
from mediamill.store.automations import on_new_medium
from mediamill.store.files import announce, insert_files
from mediamill.store.notices import WAKE
from mediamill.store.results import remember
from mediamill.store.text import clean, dumps
from mediamill.store.turns import pass_on

_FINISH = """
WITH f AS (
    SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::jsonb[], $5::jsonb[], $6::jsonb[], $7::jsonb[],
                         $8::float8[], $9::text[], $10::int[], $11::bigint[], $13::jsonb[])
    AS f (id, fence, state, error, details, outputs, inputs, delay_s, log, refund, job_id, stages)
), done AS (
    UPDATE tasks t SET
        -- Whoever cancelled while this was being written was told that we stop; no one is there to hear it again.
        state = CASE WHEN t.cancel_requested AND f.state NOT IN ('succeeded', 'failed') THEN 'cancelled'
                     ELSE f.state END,
        fence = NULL,
        error = CASE WHEN f.state IN ('succeeded', 'failed', 'cancelled') THEN f.error END,
        details = CASE WHEN f.details = '{}' THEN t.details ELSE f.details END,
        outputs = CASE WHEN f.state = 'succeeded' THEN t.outputs || f.outputs ELSE '[]' END,
        inputs = coalesce(f.inputs, t.inputs),
        -- A fetched input ends the ingesting; the work itself gets all of its attempts.
        attempts_left = CASE WHEN f.inputs IS NOT NULL THEN t.max_attempts ELSE t.attempts_left + f.refund END,
        progress = CASE WHEN f.state = 'succeeded' THEN 1 WHEN f.inputs IS NOT NULL THEN 0 ELSE t.progress END,
        not_before = CASE WHEN f.delay_s > 0 THEN now() + f.delay_s * interval '1 second' ELSE t.not_before END,
        finished_at = CASE WHEN t.cancel_requested OR f.state IN ('succeeded', 'failed', 'cancelled')
                           THEN clock_timestamp() END,
        updated_at = clock_timestamp()
    FROM f WHERE t.id = f.id AND t.fence = f.fence AND t.state IN ('running', 'ingesting')
    RETURNING t.id, t.project_id, t.run_id, t.place, t.state, t.attempt, t.queue, t.priority, t.schedule_id, f.error,
              f.delay_s, f.log,
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
), over AS (
    UPDATE runs r SET state = d.state, finished_at = clock_timestamp(), updated_at = clock_timestamp(),
                      error = CASE WHEN d.state = 'failed' THEN d.error END
    FROM done d WHERE d.place IS NULL AND d.state IN ('succeeded', 'failed', 'cancelled') AND r.id = d.run_id
    RETURNING r.id, r.project_id, r.state
), told_run AS (
    INSERT INTO events (project_id, run_id, type) SELECT project_id, id, 'run.' || state FROM over
), off AS (
    DELETE FROM pgqueuer q USING done d WHERE q.id = d.job_id
), woken AS (
    SELECT pg_notify($12, string_agg(id, ' ')) FROM done HAVING count(*) > 0
)
SELECT id, run_id, place, queue, priority, schedule_id, delay_s, state FROM done LEFT JOIN woken ON true
"""
MOST_AT_ONCE = 300
"""Ends in one statement: their ids must fit a notification, which holds 8,000 bytes."""
_FACTS = """
UPDATE files SET facts = f.facts FROM unnest($1::text[], $2::jsonb[]) AS f (id, facts)
WHERE files.id = f.id AND files.facts = '{}'
"""
_EARLY = """
SELECT o ->> 'file' AS file FROM (
    SELECT outputs FROM tasks t JOIN unnest($1::text[], $2::uuid[]) AS f (id, fence) USING (id, fence)
    WHERE t.outputs <> '[]' FOR UPDATE OF t
) t, jsonb_array_elements(t.outputs) AS o
"""
_FORGET = """
UPDATE files SET state = 'gone', blob_key = NULL, facts = '{}', updated_at = clock_timestamp()
WHERE id = ANY($1::text[])
"""
"""What an attempt showed early goes with it when it fails; the bytes are swept up like all that nobody refers to."""


async def forget(connection: Any, early: Sequence[Mapping[str, Any]]) -> None:
    """Let go of files that an attempt showed before it failed."""
    if early:
        await connection.execute(_FORGET, [row["file"] for row in early])


async def end(
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


async def end_with_files(connection: Any, ordered: Sequence[Finish]) -> set[str]:
    """As `end`, with the files that were made or fetched, and the queue entries of what goes on."""
    by_id = {f.task_id: f for f in ordered}
    produced = {f.task_id: [(role, new_id("file"), file) for role, file in f.outputs] for f in ordered}
    fetched = {f.task_id: [(new_id("file"), file) for file in f.inputs or ()] for f in ordered}
    sources = await _sources(connection, [f.task_id for f in ordered if f.inputs is not None])
    filled = {id: _filled(found, fetched[id]) for id, found in sources.items()}
    await branches.lock_runs_of(connection, [f.task_id for f in ordered if not f.lone])
    vain = [f for f in ordered if f.state is not State.SUCCEEDED]
    await forget(connection, await connection.fetch(_EARLY, [f.task_id for f in vain], [f.fence for f in vain]))
    done = await end(connection, ordered, produced, filled)
    ended = [row["id"] for row in done]
    files = await insert_files(
        connection,
        [(id, file, by_id[t].lifetime_s) for t in ended for _, id, file in produced[t]]
        + [(id, file, by_id[t].lifetime_s) for t in ended for id, file in fetched[t]],
    )
    new_media = {id for t in ended if by_id[t].new_media for role, id, _ in produced[t] if role == "result"}
    for file in files:
        if file.id in new_media:
            await on_new_medium(connection, file)
            await announce(connection, file)
    facts = {id: dumps(dict(f)) for t in ended for id, f in by_id[t].input_facts.items() if f}
    if facts:
        await connection.execute(_FACTS, list(facts), list(facts.values()))
    kept = {f.task_id: f.reuse_key for f in ordered if f.reuse_key is not None and f.outputs}
    await remember(connection, [(id, kept[id]) for id in ended if id in kept])
    again = [row for row in done if not State(row["state"]).final]
    await queue.enqueue(
        connection,
        [
            queue.Entry("io" if r["state"] == State.INGESTING else r["queue"], r["id"], r["priority"], r["delay_s"])
            for r in again
        ],
    )
    placed = {row["id"]: by_id[row["id"]].media or {} for row in done if row["state"] == State.SUCCEEDED}
    await media.join(connection, {id: wanted for id, wanted in placed.items() if by_id[id].media is not None})
    await branches.follow(connection, [row for row in done if row["place"] is not None])
    await pass_on(connection, [row["schedule_id"] for row in done if row["schedule_id"] and State(row["state"]).final])
    return set(ended)


async def _sources(connection: Any, ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    if not ids:
        return {}
    found = await connection.fetch("SELECT id, inputs FROM tasks WHERE id = ANY($1::text[])", list(ids))
    return {row["id"]: row["inputs"] for row in found}


def _filled(sources: Sequence[dict[str, Any]], fetched: Sequence[tuple[str, NewFile]]) -> str:
    """The task's inputs with the fetched files put in for the URLs that had none."""
    ids = iter(id for id, _ in fetched)
    return dumps([s if "file" in s else {**s, "file": next(ids)} for s in sources])
