"""GET /api/tasks of an account with 1,000 schedules and 1,000,000 runs: the newest five of each, and ten firings.

python -m benchmarks.recoup_list [--runs 1000000] [--schedules 1000] [--requests 400]
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import tempfile
import time
from pathlib import Path

import asyncpg
from benchmarks._server import KEY, percentile, serving

from mediamill.store.embedded import Embedded

GOAL_S = 0.050
_SCHEDULES = """
INSERT INTO schedules (id, project_id, dialect, identifier, title, prompt, cron, zone, enabled, model, artist_id,
                       external_id, dedup_key, token, next_at, created_at)
SELECT 's' || lpad(n::text, 20, '0'), 'default', 'recoup', 'prompt', 'Clip ' || n,
       'Make a ten second teaser from the newest track.',
       (n % 60) || ' ' || (n % 24) || ' * * ' || CASE WHEN n % 3 = 0 THEN 'MON-FRI' ELSE '*' END,
       (ARRAY['UTC', 'Europe/Madrid', 'America/New_York', 'Asia/Tokyo'])[1 + n % 4], true, 'local/small',
       '5d0c6f1e-7c1b-4a6e-9a53-2f4f0f7f9a11', NULL, NULL, 'sched_' || lpad(n::text, 21, '0'),
       now() + interval '1 day', now() - n * interval '1 minute'
FROM generate_series(1, $1::int) AS n
"""
_RUNS = """
INSERT INTO tasks (id, project_id, run_id, kind, dialect, queue, state, label, options, extra, metadata, priority,
                   attempt, attempts_left, max_attempts, details, inputs, outputs, created_at, started_at, finished_at,
                   updated_at, identifier, schedule_id, due_at, tags, ttl_s)
SELECT 't' || lpad(n::text, 20, '0'), 'default', 'r' || n, 'prompt', 'recoup', 'agent',
       CASE WHEN n % 20 = 0 THEN 'failed' ELSE 'succeeded' END, 'Clip',
       '{"prompt": "Make a ten second teaser from the newest track.", "model": "local/small"}',
       jsonb_build_object('prompt', jsonb_build_object(
           'function', 'trigger', 'ttl', '24h',
           'schedule', jsonb_build_object('token', 'sched_' || lpad((1 + n % $3)::text, 21, '0'),
                                          'cron', '30 8 * * *', 'zone', 'UTC'),
           'payload', jsonb_build_object('type', 'IMPERATIVE', 'timezone', 'UTC', 'timestamp', at,
                                         'upcoming', jsonb_build_array(at, at, at, at, at)))),
       '{"currentStep": "done", "logs": ["asked the model", "made a task", "answered"]}', 0, 1, 2, 3,
       '{"output": {"text": "Teaser queued.", "model": "local/small", "finishReason": "stop", "steps": 2,
                    "usage": {"promptTokens": 812, "completionTokens": 64, "totalTokens": 876}, "calls": [],
                    "createdTaskIds": []}, "cost_cents": 0.42, "duration_ms": 7021}',
       '[]', '[]', at, at, at + interval '9 seconds', at + interval '9 seconds', 'prompt',
       's' || lpad((1 + n % $3)::text, 20, '0'), at,
       ARRAY['account:9f2d7c44-1e0a-4c55-b7c5-0f6f1d7c2b02'], 86400
FROM (SELECT n, now() - ($4::int - n) * interval '3 seconds' AS at FROM generate_series($1::int, $2::int) AS n) AS s
"""
_ATTEMPTS = """
INSERT INTO attempts (task_id, number, worker, state, started_at, finished_at)
SELECT id, 1, 'w', 'succeeded', started_at, finished_at FROM tasks ORDER BY created_at DESC LIMIT $1
"""


async def fill(dsn: str, schedules: int, runs: int) -> None:
    """The rows, spread evenly: the newest runs of a schedule lie far apart in the table."""
    db = await asyncpg.connect(dsn, timeout=60)
    await db.execute("INSERT INTO projects (id, name) VALUES ('default', 'default') ON CONFLICT DO NOTHING")
    await db.execute(_SCHEDULES, schedules)
    for start in range(1, runs + 1, 50_000):
        await db.execute(_RUNS, start, min(runs, start + 49_999), schedules, runs, timeout=600)
    await db.execute(_ATTEMPTS, 5 * schedules, timeout=600)
    for table in ("tasks", "attempts", "schedules"):
        await db.execute(f"VACUUM ANALYZE {table}", timeout=600)
    await db.execute("CHECKPOINT", timeout=600)  # the load is not what is measured
    await db.close()


def measure(port: int, requests: int) -> tuple[list[float], float, bytes]:
    """(seconds of each answer from the request to its last byte, of the first of all, the body)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"x-api-key": KEY}
    found: list[float] = []
    body = b""
    for _ in range(requests + 1):
        start = time.perf_counter()
        connection.request("GET", "/api/tasks", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        found.append(time.perf_counter() - start)
        assert answer.status == 200, body[:500]
    connection.close()
    return found[1:], found[0], body


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--runs", type=int, default=1_000_000)
    options.add_argument("--schedules", type=int, default=1000)
    options.add_argument("--requests", type=int, default=400)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="mediamill-bench-") as folder, Embedded(Path(folder)) as embedded:
        with serving("--no-worker", data=Path(folder)):
            asyncio.run(fill(embedded.dsn, given.schedules, given.runs))
        with serving("--no-worker", data=Path(folder)) as server:
            latencies, first, body = measure(server.port, given.requests)
    tasks = json.loads(body)["tasks"]
    shown = sum(len(task["recent_runs"]) for task in tasks)
    assert all(len(task["upcoming"]) == 10 for task in tasks)
    assert all(task["recent_runs"][0]["attempts"] for task in tasks)
    print(f"GET /api/tasks: {len(tasks)} schedules, {given.runs} runs (goal: p99 {GOAL_S * 1e3:.0f} ms)")
    print(f"  {shown} runs in {len(body) / 1e6:.1f} MB; the first answer of a server {first * 1e3:.0f} ms")
    print(
        f"  p50 {percentile(latencies, 0.5) * 1e3:.1f} ms   p99 {percentile(latencies, 0.99) * 1e3:.1f} ms   "
        f"worst {max(latencies) * 1e3:.1f} ms   of {given.requests} requests, one after another"
    )


if __name__ == "__main__":
    main()
