"""A server's loop as a process of its own, whose clock is a file that the test writes: `python -m tests.support.looper
DSN CLOCK`. It says "ready" once it runs; a test kills it when it likes."""

from __future__ import annotations

import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from mediamill.core.firings import Runner
from mediamill.scheduling.loop import Loop
from mediamill.store import pool as pools
from mediamill.store.expiry import Expiry
from mediamill.store.schedules import Schedules
from mediamill.store.tasks import Tasks


class FileClock:
    """As late as the file says: seconds since 1970. Asleep, it looks at the file a hundred times a second, and never
    sleeps longer than by the machine's own clock: whoever naps while another fires must see that this one was killed,
    also while the test stands still and waits for that."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def passed_s(self) -> float:
        return float(self._path.read_text())

    async def now(self) -> datetime:
        return datetime.fromtimestamp(self.passed_s(), UTC)

    async def sleep(self, seconds: float) -> None:
        until, at_most = self.passed_s() + seconds, time.monotonic() + seconds
        while self.passed_s() < until and time.monotonic() < at_most:
            await asyncio.sleep(0.01)


async def main(dsn: str, clock: Path) -> None:
    pool = await pools.open_pool(dsn, most=2)
    loop = Loop(
        store=Schedules(pool),
        expiry=Expiry(pool),
        clock=FileClock(clock),
        runner=Runner(kind="ping", queue="io"),
        offered=lambda: ["prompt"],
        cancel=Tasks(pool).cancel,
    )
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await loop.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
