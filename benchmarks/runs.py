"""Lists of 1,000,000 runs of 1,000 schedules, by each filter at any depth; the newest five of every schedule.

python -m benchmarks.runs [--rows 1000000] [--schedules 1000] [--explain]
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
from benchmarks._load import request, send
from benchmarks._server import KEY, percentile, serving

from mediamill.core.prompts import PromptFilter, Status
from mediamill.core.tasks import Cursor, Page
from mediamill.store import pool as pools
from mediamill.store.embedded import Embedded
from mediamill.store.prompts import Prompts, list_prompts

_SCHEDULES = """
INSERT INTO schedules (id, project_id, dialect, identifier, title, prompt, cron, next_at)
SELECT 's' || lpad(n::text, 20, '0'), 'default', 'mill', 'prompt', 'Clip ' || n, 'Make a clip.', '*/5 * * * *',
       now() + interval '1 day' FROM generate_series(1, $1::int) AS n
"""
# Of 1,000 runs: 950 completed, 20 canceled, 20 failed, 4 expired, 3 timed out, one crashed, one delayed, one queued.
_RUNS = """
INSERT INTO tasks (id, project_id, run_id, kind, dialect, queue, state, label, options, extra, metadata, priority,
                   attempt, attempts_left, max_attempts, details, inputs, error, identifier, schedule_id, due_at,
                   batch_id, tags, created_at, not_before, started_at, finished_at)
SELECT 't' || lpad(n::text, 20, '0'), 'default', 'r' || n, 'prompt', 'mill', 'agent', k.state, 'Make a clip.',
       '{"prompt": "Make a clip."}',
       jsonb_build_object('prompt', jsonb_build_object('function', 'trigger', 'is_test', n % 5000 = 7, 'payload',
           jsonb_build_object('type', 'IMPERATIVE', 'externalId', n % $3::int))),
       '{"currentStep": "done"}', 0, CASE WHEN k.final THEN 1 ELSE 0 END, 2, 3,
       CASE WHEN k.final THEN '{"output": {"text": "Teaser queued."}, "cost_cents": 0.42, "duration_ms": 7021,
        "usage": {"prompt_tokens": 812, "completion_tokens": 64, "total_tokens": 876}}'::jsonb ELSE '{}' END,
       '[]', CASE WHEN k.state = 'failed' THEN jsonb_build_object('code', k.code, 'family', 'limit', 'message', 'no',
                                                                  'stage', NULL) END,
       CASE WHEN n % 1000 = 13 THEN 'other' ELSE 'prompt' END, 's' || lpad((1 + n % $3::int)::text, 20, '0'), m.at,
       CASE WHEN n % 100 = 0 THEN 'b' || n / 10000 END,
       ARRAY['account:1', 'task:' || n % $3::int] || CASE WHEN n % 20000 = 3 THEN ARRAY['rare'] ELSE '{}' END,
       m.at, CASE WHEN k.state = 'delayed' THEN now() + interval '1 day' END,
       CASE WHEN k.final THEN m.at + interval '1 second' END, CASE WHEN k.final THEN m.at + interval '8 seconds' END
FROM generate_series($1::int, $2::int) AS n
CROSS JOIN LATERAL (SELECT now() - ((n / $3::int) * interval '5 minutes') AS at) m
CROSS JOIN LATERAL (SELECT
    CASE WHEN n % 1000 < 950 THEN 'succeeded' WHEN n % 1000 < 970 THEN 'cancelled' WHEN n % 1000 < 998 THEN 'failed'
         WHEN n % 1000 = 998 THEN 'delayed' ELSE 'queued' END AS state,
    CASE WHEN n % 1000 < 990 THEN 'llm_http_error' WHEN n % 1000 < 994 THEN 'expired'
         WHEN n % 1000 < 997 THEN 'timed_out' ELSE 'crashed' END AS code,
    n % 1000 < 998 AS final) k
"""
_ATTEMPTS = """
INSERT INTO attempts (task_id, number, worker, state, started_at, finished_at)
SELECT id, 1, 'w', CASE WHEN state = 'succeeded' THEN state ELSE 'failed' END, started_at, finished_at FROM tasks
WHERE attempt = 1
"""
_TAGS = "INSERT INTO task_tags SELECT project_id, unnest(tags), created_at, id FROM tasks"


async def fill(dsn: str, rows: int, schedules: int) -> list[tuple[datetime, str]]:
    """The rows, and some places among them."""
    db = await asyncpg.connect(dsn, timeout=60)
    await db.execute("INSERT INTO projects (id, name) VALUES ('default', 'default') ON CONFLICT DO NOTHING")
    await db.execute(_SCHEDULES, schedules)
    for start in range(1, rows, 50_000):
        await db.execute(_RUNS, start, min(rows, start + 49_999), schedules, timeout=600)
    await db.execute(_ATTEMPTS, timeout=600)
    await db.execute(_TAGS, timeout=600)
    await db.execute("VACUUM ANALYZE tasks, attempts, task_tags, schedules", timeout=600)
    await db.execute("CHECKPOINT", timeout=600)  # the load is not what is measured
    found = await db.fetch("SELECT created_at, id FROM tasks TABLESAMPLE SYSTEM (0.2) LIMIT 2000", timeout=600)
    await db.close()
    return [(row["created_at"], row["id"]) for row in found]


def filters(places: list[tuple[datetime, str]], schedules: int, rng: random.Random) -> dict[str, Callable[[], Any]]:
    """What is asked for, by what it measures; a fresh filter each time."""

    def schedule() -> str:
        return f"s{rng.randint(1, schedules):020}"

    def day() -> dict[str, datetime]:
        at = rng.choice(places)[0]
        return {"created_from": at, "created_to": at + timedelta(days=1)}

    return {
        "all": lambda: PromptFilter(),
        "completed (95 %)": lambda: PromptFilter(statuses=[Status.COMPLETED]),
        "failed (2 %)": lambda: PromptFilter(statuses=[Status.FAILED]),
        "crashed (0.1 %)": lambda: PromptFilter(statuses=[Status.CRASHED]),
        "executing (none)": lambda: PromptFilter(statuses=[Status.EXECUTING, Status.FROZEN, Status.DEQUEUED]),
        "live": lambda: PromptFilter(statuses=[Status.QUEUED, Status.DELAYED, Status.REATTEMPTING, Status.EXECUTING]),
        "every status but completed": lambda: PromptFilter(statuses=[s for s in Status if s is not Status.COMPLETED]),
        "one schedule (0.1 %)": lambda: PromptFilter(schedule_ids=[schedule()]),
        "tag of all": lambda: PromptFilter(tags=["account:1"]),
        "tag of a schedule": lambda: PromptFilter(tags=[f"task:{rng.randrange(schedules)}"]),
        "rare tag (0.005 %)": lambda: PromptFilter(tags=["rare"]),
        "unknown tag": lambda: PromptFilter(tags=["nothing"]),
        "batch": lambda: PromptFilter(batch_id=f"b{rng.randrange(90)}"),
        "tests (0.02 %)": lambda: PromptFilter(is_test=True),
        "identifier (99.9 %)": lambda: PromptFilter(identifiers=["prompt"]),
        "identifier (0.1 %)": lambda: PromptFilter(identifiers=["other"]),
        "one day": lambda: PromptFilter(**day()),  # type: ignore[arg-type]  # both are dates
        "failed, one day": lambda: PromptFilter(statuses=[Status.FAILED], **day()),  # type: ignore[arg-type]
        "failed, of one schedule": lambda: PromptFilter(statuses=[Status.FAILED], schedule_ids=[schedule()]),
        "tests of a tag": lambda: PromptFilter(is_test=True, tags=["account:1"]),
    }


async def timed(times: int, call: Callable[[], Awaitable[Any]]) -> list[float]:
    """Seconds of each of so many calls, after a few that warm up."""
    for _ in range(10):
        await call()
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        await call()
        took.append(time.perf_counter() - begun)
    return took


def say(name: str, took: list[float]) -> None:
    """One line."""
    print(f"  {name:42} p50 {percentile(took, 0.5) * 1e3:7.2f} ms   p99 {percentile(took, 0.99) * 1e3:7.2f} ms")


async def measure(dsn: str, places: list[tuple[datetime, str]], schedules: int, *, explain: bool) -> None:
    """The verbs' queries, one after another on one connection."""
    rng = random.Random(1)
    pool = await pools.open_pool(dsn, least=1, most=2)
    prompts = Prompts(pool)
    for name, make in filters(places, schedules, rng).items():

        async def first(make: Callable[[], Any] = make) -> None:
            await prompts.list("default", Page(limit=20), make())

        async def deep(make: Callable[[], Any] = make) -> None:
            at, id = rng.choice(places)
            await prompts.list("default", Page(limit=20, after=Cursor(at=at, id=id)), make())

        say(f"{name}, first page", await timed(100, first))
        say(f"{name}, any depth", await timed(200, deep))
        if explain:
            at, id = rng.choice(places)
            sql, values = list_prompts("default", Page(limit=20, after=Cursor(at=at, id=id)), make())
            for row in await pool.fetch(f"EXPLAIN (ANALYZE, BUFFERS) {sql}", *values):
                print("    ", row[0])
    ids = [f"s{n:020}" for n in range(1, schedules + 1)]
    say(f"newest five of {schedules} schedules: ids", await timed(200, lambda: prompts.recent(ids, 5)))
    newest = [each.id for each in await prompts.recent(ids, 5)]
    say(f"the bodies of {len(newest)} runs", await timed(10, lambda: prompts.get_many(newest)))
    say("the bodies of 5 runs", await timed(200, lambda: prompts.get_many(rng.sample(newest, 5))))
    await pool.close()


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--schedules", type=int, default=1000)
    options.add_argument("--explain", action="store_true")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="mediamill-bench-") as folder, Embedded(Path(folder)) as embedded:
        with serving("--no-worker", data=Path(folder)):
            places = asyncio.run(fill(embedded.dsn, given.rows, given.schedules))
        print(f"{given.rows} runs of {given.schedules} schedules: 20 of them by the verbs, one call after another")
        asyncio.run(measure(embedded.dsn, places, given.schedules, explain=given.explain))
        with serving("--no-worker", data=Path(folder)) as server:
            print("over HTTP, one caller after another")
            for name, path in {
                "GET /mill/prompts": "/mill/prompts",
                "GET /mill/prompts?status=failed": "/mill/prompts?status=failed",
                "GET /mill/prompts/{id}": f"/mill/prompts/{places[0][1]}",
            }.items():
                raws = [request("GET", path, KEY)] * 500
                send(server.port, raws[:100], connections=1, processes=1)
                sent = send(server.port, raws, connections=1, processes=1)
                assert not sent.failed, name
                say(name, sent.latencies_s)


if __name__ == "__main__":
    main()
