"""Three servers, 200 schedules, ten minutes; two of the servers are killed and started again at random."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
from tests.support.schedules import Bench, Clock, instants

from mediamill.core.schedules import LATE_S
from mediamill.store import pool as pools

ROOT = Path(__file__).parents[2]
MINUTES = 10
RULES = ("* * * * *", "* * * * 0-6", "*/1 * * * *", "0-59 * * * *")
"""Each in its own words: every minute."""
ZONES = ("UTC", "Europe/Madrid", "Asia/Kolkata", "America/St_Johns", "Australia/Lord_Howe")
STEP_S = 3.0


class Server:
    """One loop, as a process."""

    def __init__(self, dsn: str, clock: Path) -> None:
        self._argv = [sys.executable, "-m", "tests.support.looper", dsn, str(clock)]
        self.kills = 0
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self._argv,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    async def ready(self) -> None:
        assert self.process.stdout is not None
        assert await asyncio.to_thread(self.process.stdout.readline) == b"ready\n"

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self.kills += 1


async def test_each_instant_fires_once_though_servers_are_killed(dsn: str, tmp_path: Path) -> None:
    dice = random.Random(11)
    start = datetime.now(UTC).replace(second=45, microsecond=0)
    clock = Clock(start)
    file = tmp_path / "clock"

    def show() -> None:
        (tmp_path / "next").write_text(str(clock.time.timestamp()))
        (tmp_path / "next").replace(file)

    show()
    pool = await pools.open_pool(dsn, most=2)
    await pool.execute("INSERT INTO projects (id, name) VALUES ('default', 'd') ON CONFLICT DO NOTHING")
    bench = Bench(pool, clock)
    schedules = [await bench.schedule(RULES[n % 4], zone=ZONES[n % 5]) for n in range(200)]
    servers = [Server(dsn, file) for _ in range(3)]
    try:
        await asyncio.gather(*(server.ready() for server in servers))
        down: dict[int, datetime] = {}
        while clock.time < start + timedelta(minutes=MINUTES):
            clock.go(STEP_S)
            show()
            # Killed in the midst of firing as well as while they nap.
            await asyncio.sleep(dice.choice([0, 0.001, 0.005, 0.02, 0.05]))
            for n in (0, 1):
                if n in down and clock.time >= down[n]:
                    servers[n].start()
                    await servers[n].ready()
                    del down[n]
                elif n not in down and dice.random() < (0.5 if clock.time.second < STEP_S else 0.01):
                    servers[n].kill()
                    down[n] = clock.time + timedelta(seconds=dice.choice([2, 10, 40]))
            # The machine that is simulated is never so slow that a firing counts as missed.
            await _while(pool, "SELECT count(*) > 0 FROM schedules WHERE next_at < $1", clock, LATE_S / 2)
        await _while(pool, "SELECT count(*) > 0 FROM schedules WHERE next_at <= $1", clock, 0)
    finally:
        for n, server in enumerate(servers):
            if n not in down:
                server.kill()

    rows = await pool.fetch("SELECT schedule_id, due_at FROM tasks")
    fired = Counter((row["schedule_id"], row["due_at"].astimezone(UTC)) for row in rows)
    due = instants("* * * * *", "UTC", start, clock.time)
    await pool.close()
    assert len(due) == MINUTES
    assert fired == Counter({(schedule.id, instant): 1 for schedule in schedules for instant in due})
    assert min(server.kills for server in servers[:2]) >= 3


async def _while(pool: asyncpg.Pool, question: str, clock: Clock, allowed_s: float) -> None:  # type: ignore[type-arg]
    """Wait for as long as the answer is yes."""

    async def settled() -> None:
        while await pool.fetchval(question, clock.time - timedelta(seconds=allowed_s)):
            await asyncio.sleep(0.005)

    await asyncio.wait_for(settled(), 60)
