"""Crash ledger: `kill -9` of workers, children and API processes under mixed load; nothing may be lost or done twice.

    python -m benchmarks.crash [--tasks 5000] [--kills 200]

Prints accepted = succeeded + failed + cancelled + queued, and exits with 1 when that or any other promise is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from benchmarks._server import Server, command, environment, free_port, wait_ready

from mediamill.store.embedded import Embedded

HEARTBEAT_S = 5.0
GRACE_S = 10.0


class Fleet:
    """Two API processes and two workers on one database, each started anew when it is gone."""

    def __init__(self, data: Path, rng: random.Random) -> None:
        self._rng = rng
        self._env = environment(
            data,
            MEDIAMILL_HEARTBEAT_S=str(HEARTBEAT_S),
            MEDIAMILL_RETRY_FIRST_S="0.2",
            MEDIAMILL_SLOTS="3",
            MEDIAMILL_LOG_LEVEL="error",
        )
        self.ports = [free_port(), free_port()]
        self.apis = [self._api(port) for port in self.ports]
        self.workers = [self._worker(), self._worker()]
        self.killed: list[tuple[str, int, float]] = []

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command(*arguments), env=self._env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def _api(self, port: int) -> subprocess.Popen[bytes]:
        return self._start("serve", "--no-worker", "--port", str(port))

    def _worker(self) -> subprocess.Popen[bytes]:
        return self._start("worker")

    def kill_one(self) -> None:
        """End something at random, and start again what has ended."""
        what = self._rng.choices(["worker", "child", "api"], [3, 4, 3])[0]
        if what == "api":
            n = self._rng.randrange(2)
            self._end("api", self.apis[n].pid)
            self.apis[n].wait()
            self.apis[n] = self._api(self.ports[n])
            return
        n = self._rng.randrange(2)
        below = descendants(self.workers[n].pid)
        if what == "child" and below:
            self._end("child", self._rng.choice(below))
            return
        self._end("worker", self.workers[n].pid)
        self.workers[n].wait()
        self.workers[n] = self._worker()

    def _end(self, what: str, pid: int) -> None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        self.killed.append((what, pid, time.time()))

    def stop(self) -> None:
        for process in [*self.apis, *self.workers]:
            process.terminate()
        for process in [*self.apis, *self.workers]:
            process.wait(timeout=120)


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, left = [], [pid]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found


class Caller(threading.Thread):
    """Posts its share of tasks, each until it is accepted; an answer that was lost is asked for again by its key."""

    def __init__(self, n: int, ports: list[int], requests: list[tuple[str, dict[str, Any]]], pace_s: float) -> None:
        super().__init__(daemon=True)
        self._servers = [Server(port, Path(), 0) for port in ports]
        self._requests = requests
        self._rng = random.Random(n)
        self._pace_s = pace_s
        self.accepted: dict[str, str] = {}
        self.cancelled = 0
        self.refused: list[str] = []

    def run(self) -> None:
        for key, body in self._requests:
            task_id = self._until_accepted(key, body)
            if task_id and self._rng.random() < 0.05:
                self._cancel(task_id)
            time.sleep(self._pace_s)

    def _until_accepted(self, key: str, body: dict[str, Any]) -> str | None:
        while True:
            server = self._rng.choice(self._servers)
            try:
                task = server.call("POST", "/mill/tasks", body, {"Idempotency-Key": key})
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    self.refused.append(f"{error.code} {error.read()[:200]!r}")
                    return None
                self.refused.append(f"{error.code}")
            except OSError:
                time.sleep(0.05)
            except (ValueError, EOFError):
                time.sleep(0.05)  # the answer was cut off
            else:
                self.accepted[key] = task["id"]
                return str(task["id"])

    def _cancel(self, task_id: str) -> None:
        try:
            self._rng.choice(self._servers).call("POST", f"/mill/tasks/{task_id}/cancel", b"")
            self.cancelled += 1
        except (OSError, ValueError):
            return  # it had ended, or the server has: both are fine


def png(size: int, seed: int) -> bytes:
    import io

    from PIL import Image

    rng = random.Random(seed)
    image = Image.frombytes("RGB", (size, size), rng.randbytes(size * size * 3))
    out = io.BytesIO()
    image.save(out, "png")
    return out.getvalue()


def wav(seconds: int) -> bytes:
    import io
    import wave

    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(random.Random(1).randbytes(16000 * seconds))
    return out.getvalue()


def mixed(server: Server, count: int, rng: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Requests of several weights: nothing at all, small and larger pictures, sounds, and what must fail."""
    small, large, sound = (
        server.upload("s.png", png(64, 1)),
        server.upload("l.png", png(1200, 2)),
        server.upload("a.wav", wav(300)),
    )
    broken = server.upload("b.png", png(300, 3)[:2000])
    kinds: list[dict[str, Any]] = [
        {"kind": "ping"},
        {"kind": "convert", "inputs": [{"file": small}], "options": {"format": "webp"}, "reuse": False},
        {"kind": "convert", "inputs": [{"file": large}], "options": {"format": "jpeg"}, "reuse": False},
        {"kind": "convert", "inputs": [{"file": sound}], "options": {"format": "mp3"}, "reuse": False},
        {"kind": "convert", "inputs": [{"file": broken}], "options": {"format": "gif"}, "max_attempts": 2},
    ]
    chosen = rng.choices(kinds, [45, 30, 12, 8, 5], k=count)
    return [(f"crash-{n}", {**body, "max_attempts": body.get("max_attempts", 10)}) for n, body in enumerate(chosen)]


async def ledger(dsn: str, accepted: dict[str, str], killed: list[tuple[str, int, float]]) -> list[str]:
    """Compare what was promised with what is on record; the promises that were broken."""
    db = await asyncpg.connect(dsn)
    broken: list[str] = []
    states = {row["id"]: row["state"] for row in await db.fetch("SELECT id, state FROM tasks")}
    counts = Counter(states.values())
    ids = set(accepted.values())
    print(
        f"accepted {len(ids)} = " + " + ".join(f"{word} {counts.get(word, 0)}" for word in
        ("succeeded", "failed", "cancelled", "queued", "running", "delayed", "ingesting"))
    )  # fmt: skip
    if lost := ids - set(states):
        broken.append(f"{len(lost)} accepted tasks are not on record")
    if len(states) != len(ids):
        broken.append(f"{len(states)} tasks on record for {len(ids)} accepted ones")
    if unfinished := sum(counts[s] for s in ("queued", "running", "delayed", "ingesting", "waiting")):
        broken.append(f"{unfinished} tasks are stuck")
    twice = await db.fetch(
        "SELECT task_id, count(*) AS n FROM events "
        "WHERE type IN ('task.succeeded', 'task.failed', 'task.cancelled') GROUP BY 1 HAVING count(*) <> 1"
    )
    if twice:
        broken.append(f"{len(twice)} tasks ended more than once")
    ended = await db.fetchval("SELECT count(DISTINCT task_id) FROM events WHERE type <> 'task.created'")
    print(f"terminal events {ended}, jobs left in the queue {await db.fetchval('SELECT count(*) FROM pgqueuer')}")
    if ended != len(states) - unfinished:
        broken.append("tasks without their terminal event")
    doubled = await db.fetchval(
        "SELECT count(*) FROM (SELECT task_id FROM attempts WHERE state = 'succeeded' GROUP BY 1 HAVING count(*) > 1) d"
    )
    if doubled:
        broken.append(f"{doubled} tasks succeeded twice")
    outputs = await db.fetchval("SELECT coalesce(sum(jsonb_array_length(outputs)), 0) FROM tasks")
    produced = await db.fetchval(
        "SELECT count(*) FROM files f WHERE state = 'ready' AND EXISTS "
        "(SELECT FROM tasks t WHERE t.outputs @> jsonb_build_array(jsonb_build_object('file', f.id)))"
    )
    if outputs != produced:
        broken.append(f"{outputs} outputs named, {produced} on record")
    print(f"attempts lost {await db.fetchval('SELECT count(*) FROM attempts WHERE state = $1', 'lost')}")
    # From the death of a worker to the record of its attempt as lost.
    deaths = {pid: at for what, pid, at in killed if what == "worker"}
    delays = []
    for row in await db.fetch("SELECT worker, finished_at FROM attempts WHERE state = 'lost'"):
        pid = int(row["worker"].rsplit("-", 2)[1])
        if pid in deaths:
            delays.append((row["finished_at"] - datetime.fromtimestamp(deaths[pid], UTC)).total_seconds())
    if delays:
        print(f"taken over after p50 {sorted(delays)[len(delays) // 2]:.1f} s, at most {max(delays):.1f} s")
        if max(delays) > HEARTBEAT_S + GRACE_S:
            broken.append(f"a task was stuck for {max(delays):.1f} s")
    await db.close()
    return broken


def main() -> int:
    options = argparse.ArgumentParser()
    options.add_argument("--tasks", type=int, default=5000)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    rng = random.Random(given.seed)
    with tempfile.TemporaryDirectory(prefix="mediamill-crash-") as folder:
        data = Path(folder)
        with Embedded(data) as embedded:
            fleet = Fleet(data, rng)
            try:
                for port in fleet.ports:
                    wait_ready(f"http://127.0.0.1:{port}", "/mill/health")
                server = Server(fleet.ports[0], data, 0)
                requests = mixed(server, given.tasks, rng)
                span_s = given.kills * 0.35
                callers = [
                    Caller(n, fleet.ports, requests[n::8], 0.8 * span_s / max(1, given.tasks / 8)) for n in range(8)
                ]
                for caller in callers:
                    caller.start()
                while len(fleet.killed) < given.kills:
                    time.sleep(rng.uniform(0.1, 0.6))
                    fleet.kill_one()
                for caller in callers:
                    caller.join()
                accepted = {k: v for caller in callers for k, v in caller.accepted.items()}
                counts = Counter(what for what, _, _ in fleet.killed)
                print(f"killed {dict(counts)}; cancels asked {sum(c.cancelled for c in callers)}")
                last_kill = time.time()
                asyncio.run(drained(embedded.dsn, HEARTBEAT_S + GRACE_S + 120))
                print(f"drained {time.time() - last_kill:.1f} s after the last kill")
                broken = asyncio.run(ledger(embedded.dsn, accepted, fleet.killed))
                refused = [r for caller in callers for r in caller.refused]
                if refused:
                    broken.append(f"{len(refused)} posts were refused, like {refused[0]}")
            finally:
                fleet.stop()
    for line in broken:
        print("BROKEN:", line)
    print("all promises kept" if not broken else f"{len(broken)} promises broken")
    return 1 if broken else 0


async def drained(dsn: str, most_s: float) -> None:
    """Wait until nothing is unfinished."""
    db = await asyncpg.connect(dsn)
    deadline = time.monotonic() + most_s
    while time.monotonic() < deadline:
        left = await db.fetchval("SELECT count(*) FROM tasks WHERE state NOT IN ('succeeded', 'failed', 'cancelled')")
        if not left:
            break
        await asyncio.sleep(0.25)
    await db.close()


if __name__ == "__main__":
    sys.exit(main())
