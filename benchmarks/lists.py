"""Lists of 20 out of 1,000,000 tasks through HTTP, at any depth, in each dialect.

python -m benchmarks.lists [--rows 1000000]
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import random
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import asyncpg
from benchmarks._load import request, send
from benchmarks._server import KEY, percentile, serving

from mediamill.store.embedded import Embedded

_FILES = """
INSERT INTO files (id, project_id, filename, mime, size_bytes, sha256, blob_key, state, facts, dialect, created_at)
SELECT 'f' || lpad(n::text, 20, '0'), 'default', 'photo-' || n || '.png', 'image/png', 1000 + n, repeat('ab', 32),
       'aa/' || n, 'ready', '{"width_px": 1600, "height_px": 1200}', 'turbofiles', now() - (n * interval '1 second')
FROM generate_series(1, 20000) AS n
"""
_TASKS = """
INSERT INTO tasks (id, project_id, run_id, kind, dialect, queue, state, label, options, extra, priority, attempt,
                   attempts_left, max_attempts, details, inputs, outputs, created_at, started_at, finished_at)
SELECT 't' || lpad(n::text, 20, '0'), 'default', 'r' || n, 'convert', 'turbofiles', 'cpu',
       (ARRAY['succeeded', 'succeeded', 'succeeded', 'failed', 'cancelled'])[1 + n % 5], 'photo-' || n || '.png',
       '{"format": "image/webp", "resize": {"width": 320}}',
       '{"settings": {"resize": {"width": 320}}, "format": {"input": "image/png", "output": "image/webp"}}',
       0, 1, 2, 3, '{"engine": "raster"}',
       jsonb_build_array(jsonb_build_object('file', 'f' || lpad((1 + n % 20000)::text, 20, '0'))),
       CASE WHEN n % 5 < 3 THEN jsonb_build_array(jsonb_build_object(
           'file', 'f' || lpad((1 + (n + 7) % 20000)::text, 20, '0'), 'role', 'result')) ELSE '[]' END,
       -- Several to one instant, as group commit makes them.
       now() - ((n / 3) * interval '250 milliseconds'), now(), now()
FROM generate_series($1::int, $2::int) AS n
"""


async def fill(dsn: str, rows: int) -> list[tuple[datetime, str]]:
    """The rows, and some places among them."""
    db = await asyncpg.connect(dsn, timeout=60)
    await db.execute("INSERT INTO projects (id, name) VALUES ('default', 'default') ON CONFLICT DO NOTHING")
    await db.execute(_FILES)
    for start in range(1, rows, 50_000):
        await db.execute(_TASKS, start, min(rows, start + 49_999), timeout=600)
    await db.execute("VACUUM ANALYZE tasks", timeout=600)
    await db.execute("VACUUM ANALYZE files", timeout=600)
    await db.execute("CHECKPOINT", timeout=600)  # the load is not what is measured
    found = await db.fetch("SELECT created_at, id FROM tasks TABLESAMPLE SYSTEM (0.2) LIMIT 2000", timeout=600)
    await db.close()
    return [(row["created_at"], row["id"]) for row in found]


def paths(places: list[tuple[datetime, str]], rng: random.Random) -> dict[str, list[bytes]]:
    """Requests by what they measure."""

    def mill(more: str = "") -> bytes:
        at, id = rng.choice(places)
        cursor = base64.urlsafe_b64encode(f"{at.astimezone(UTC).isoformat()} {id}".encode()).decode().rstrip("=")
        return request("GET", f"/mill/tasks?limit=20&after={cursor}{more}", KEY)

    def turbo(more: str = "") -> bytes:
        at, _ = rng.choice(places)
        stamp = quote(at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"))
        accept = ["Accept: application/vnd.api+json"]
        return request("GET", f"/v1/tasks?page%5Bsize%5D=20&page%5Bafter%5D={stamp}{more}", KEY, headers=accept)

    first = ["Accept: application/vnd.api+json"]
    return {
        "mill, first page": [request("GET", "/mill/tasks?limit=20", KEY)] * 500,
        "mill, any depth": [mill() for _ in range(1500)],
        "mill, any depth, by state": [mill("&state=failed,cancelled") for _ in range(500)],
        "turbofiles, first page": [request("GET", "/v1/tasks?page%5Bsize%5D=20", KEY, headers=first)] * 500,
        "turbofiles, any depth": [turbo() for _ in range(1500)],
        "turbofiles, any depth, by status": [turbo("&filter%5Bstatus%5D=FAILED") for _ in range(500)],
    }


def main() -> None:
    options = argparse.ArgumentParser()
    options.add_argument("--rows", type=int, default=1_000_000)
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="mediamill-bench-") as folder, Embedded(Path(folder)) as embedded:
        with serving("--no-worker", data=Path(folder)):
            places = asyncio.run(fill(embedded.dsn, given.rows))
        unlimited = {"MEDIAMILL_TURBOFILES_REQUESTS_PER_MINUTE": "1000000"}
        with serving("--no-worker", data=Path(folder), **unlimited) as server:
            print(f"20 of {given.rows} tasks, one caller after another (goal: p99 20 ms)")
            for name, raws in paths(places, random.Random(1)).items():
                send(server.port, raws[:300], connections=1, processes=1)  # the pages it touches come from the disk
                sent = send(server.port, raws, connections=1, processes=1)
                print(
                    f"  {name:34} p50 {percentile(sent.latencies_s, 0.5) * 1e3:6.1f} ms   "
                    f"p99 {percentile(sent.latencies_s, 0.99) * 1e3:6.1f} ms   failed {sent.failed}"
                )


if __name__ == "__main__":
    main()
