"""A thousand events a second to a hundred receivers, one of which is dead: how long the others wait to be told.

Events are written to the outbox as a finish writes them, at an even pace, for a hundred projects with an endpoint
each; the process that delivers is the product's own, over the embedded PostgreSQL, and the receivers are sockets in a
process beside it. The dead one takes connections and says nothing. First attempts are timed from the instant in the
event's row to the instant the receiver has read the whole post.

    python -m benchmarks.webhooks [--seconds 20] [--rate 1000] [--processes 1] [--fan-out]

--fan-out: one project with all hundred endpoints, and a hundredth of the events, each told to all.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import asyncpg
from benchmarks._server import percentile

from mediamill.core.ids import new_id
from mediamill.core.webhooks import NewEndpoint, read_id
from mediamill.store import pool as pools
from mediamill.store.embedded import Embedded
from mediamill.store.endpoints import Endpoints

RECEIVERS = 100
GOAL_S = 2.0


def receive(pipe: Connection) -> None:
    """A process of a hundred receivers: sends its port, then, when asked, [(path, event id, instant)]."""
    asyncio.run(_receive(pipe))


async def _receive(pipe: Connection) -> None:
    heard: list[tuple[str, str, float]] = []
    never = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            path = head.split(" ", 2)[1]
            fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
            await reader.readexactly(int(fields["content-length"]))
            heard.append((path, fields["webhook-id"], time.time()))
            if path == "/0":
                await never.wait()
            writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            return
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    pipe.send(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(pipe.recv)
    pipe.send(heard)
    os._exit(0)


async def tell(dsn: str, port: int, rate: int, seconds: int, fan_out: bool) -> dict[int, float]:
    """Write the events at an even pace; their instants by id."""
    pool = await pools.open_pool(dsn, least=2, most=4)
    endpoints = Endpoints(pool)
    projects = ["all" if fan_out else f"p{number}" for number in range(RECEIVERS)]
    for number, project in enumerate(projects):
        url = f"http://127.0.0.1:{port}/{number}"
        await endpoints.create(project, new_id("endpoint"), NewEndpoint(url=url, types=["*"], topics=["*"]), b"x" * 24)
    tasks = await _tasks(pool, sorted(set(projects)))
    # Let the deliverer be up before the clock runs: its start is no part of the question.
    await pool.execute("INSERT INTO events (project_id, type) VALUES ($1, 'task.created')", projects[1])
    async with asyncio.timeout(60):
        while await pool.fetchval("SELECT count(*) FROM deliveries WHERE state = 'delivered'") < 1:
            await asyncio.sleep(0.05)

    told: dict[int, float] = {}
    each = rate // RECEIVERS if fan_out else rate
    every_s = 0.02
    lot, debt, number = each * every_s, 0.0, 0
    began = time.monotonic()
    for step in range(int(seconds / every_s)):
        debt += lot
        count, debt = int(debt), debt - int(debt)
        if count:
            chosen = [projects[(number + n) % RECEIVERS] for n in range(count)]
            number += count
            rows = await pool.fetch(
                "INSERT INTO events (project_id, task_id, type) SELECT p, t, 'task.succeeded' "
                "FROM unnest($1::text[], $2::text[]) AS x (p, t) "
                "RETURNING id, extract(epoch FROM created_at)::float8 AS at",
                chosen,
                [tasks[project] for project in chosen],
            )
            told |= {row["id"]: row["at"] for row in rows}
        await asyncio.sleep(max(0.0, began + (step + 1) * every_s - time.monotonic()))
    took_s = time.monotonic() - began
    print(f"{len(told)} events in {took_s:.1f} s: {len(told) / took_s:.0f} /s")
    waiting = "SELECT count(*) FROM deliveries WHERE attempts = 0"
    async with asyncio.timeout(120):
        while await pool.fetchval(f"{waiting} AND NOT endpoint_id IN (SELECT id FROM endpoints WHERE url LIKE '%/0')"):
            await asyncio.sleep(0.1)
    await asyncio.sleep(0.5)
    await pool.close()
    return told


async def _tasks(pool: asyncpg.Pool[Any], projects: list[str]) -> dict[str, str]:
    """A finished task for each project, which its events tell of."""
    made = {project: new_id("task") for project in projects}
    await pool.execute(
        "INSERT INTO tasks (id, project_id, run_id, kind, dialect, queue, state, options, extra, priority, "
        "attempts_left, max_attempts, inputs, progress, started_at, finished_at) "
        "SELECT t, p, 'r', 'ping', 'mill', 'io', 'succeeded', '{}', '{}', 0, 1, 1, '[]', 1, now(), now() "
        "FROM unnest($1::text[], $2::text[]) AS x (t, p)",
        list(made.values()),
        list(made),
    )
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rate", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--fan-out", action="store_true")
    asked = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    receiver = context.Process(target=receive, args=(theirs,), daemon=True)
    receiver.start()
    port = ours.recv()
    with tempfile.TemporaryDirectory(prefix="mill-") as folder, Embedded(Path(folder)) as embedded:
        asyncio.run(pools.migrate(embedded.dsn))
        settings = {"MEDIAMILL_DATA": folder, "MEDIAMILL_ALLOW_NETWORKS": "127.0.0.0/8", "MEDIAMILL_LOG_LEVEL": "error"}
        deliverers = [
            subprocess.Popen(
                [sys.executable, "-m", "mediamill.cli", "worker", "--queues", "webhooks"], env=os.environ | settings
            )
            for _ in range(asked.processes)
        ]
        try:
            told = asyncio.run(tell(embedded.dsn, port, asked.rate, asked.seconds, asked.fan_out))
            spent_s = sum(_cpu_s(process.pid) for process in deliverers)
        finally:
            for process in deliverers:
                process.send_signal(signal.SIGTERM)
            for process in deliverers:
                process.wait(40)
        ours.send("done")
        heard: list[tuple[str, str, float]] = ours.recv()
    receiver.join(10)

    first: dict[tuple[str, int], float] = {}
    for path, word, at in heard:
        first.setdefault((path, read_id("evt_", word) or 0), at)
    waits = [at - told[id] for (path, id), at in first.items() if id in told and path != "/0"]
    dead = sum(path == "/0" for path, _, _ in heard)
    expected = len(told) * (RECEIVERS if asked.fan_out else 1) * (RECEIVERS - 1) // RECEIVERS
    print(f"{len(waits)} first attempts at the 99 living (of {expected}), {dead} at the dead one")
    print(
        f"first attempt p50 {percentile(waits, 0.5) * 1000:.0f} ms, p99 {percentile(waits, 0.99) * 1000:.0f} ms, ",
        end="",
    )
    print(f"most {max(waits) * 1000:.0f} ms; CPU of the deliverers {spent_s:.1f} s")
    sys.exit(0 if percentile(waits, 0.99) <= GOAL_S and len(waits) == expected else 1)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
