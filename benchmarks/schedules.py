"""How punctual runs start that schedules are due for, with 10,000 enabled schedules.

    python -m benchmarks.schedules [--schedules 10000] [--minutes 4]

Half are due daily at a minute of their own, three tenths hourly, fifteen hundredths every quarter of an hour and one
twentieth every five minutes, each at an offset of its own, in twenty time zones: some 230 are due in each minute, all
at its first second. Started is when a worker has a run in hand; the prompt then ends at once, for there is no model.
Lateness is a run's started_at less its nominal instant, both by the database's clock.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time

import asyncpg
from benchmarks import _server

from mediamill import cron
from mediamill.store.embedded import Embedded

ZONES = [
    "UTC",
    "Africa/Cairo",
    "America/Bogota",
    "America/Chicago",
    "America/Los_Angeles",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Dubai",
    "Asia/Jakarta",
    "Asia/Kolkata",
    "Asia/Seoul",
    "Asia/Shanghai",
    "Asia/Tokyo",
    "Australia/Adelaide",
    "Australia/Sydney",
    "Europe/Athens",
    "Europe/London",
    "Europe/Madrid",
    "Pacific/Auckland",
    "Pacific/Chatham",
]
_ADD = """
INSERT INTO schedules (id, project_id, dialect, identifier, prompt, cron, zone, token, next_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                     $9::timestamptz[])
"""
_LATE = """
SELECT extract(epoch FROM created_at)::float8 AS due, extract(epoch FROM started_at - created_at)::float8 AS late
FROM tasks WHERE due_at > $1
"""


def rule(dice: random.Random) -> str:
    """One of the spread that the module tells of."""
    share, minute = dice.random(), dice.randint(0, 59)
    if share < 0.50:
        return f"{minute} {dice.randint(0, 23)} * * *"
    if share < 0.80:
        return f"{minute} * * * *"
    if share < 0.95:
        return f"{minute % 15}/15 * * * *"
    return f"{minute % 5}/5 * * * *"


async def fill(dsn: str, count: int) -> None:
    """Schedules as the service would write them."""
    dice = random.Random(10)
    connection = await asyncpg.connect(dsn)
    now = await connection.fetchval("SELECT clock_timestamp()")
    rows = []
    for n in range(count):
        when, zone = rule(dice), dice.choice(ZONES)
        due = cron.after(when, zone, now)
        rows.append((f"s{n:020}", "default", "mill", "prompt", "Say hello.", when, zone, f"sched_{n:021}", due))
    await connection.execute(_ADD, *[list(column) for column in zip(*rows, strict=True)])
    await connection.execute("SELECT pg_notify('mediamill_schedules', '')")
    await connection.close()


async def look(dsn: str, since: float) -> tuple[int, list[tuple[float, float]]]:
    """(how many have not started, (due, late) of those that have)."""
    connection = await asyncpg.connect(dsn)
    rows = await connection.fetch(_LATE.replace("$1", "to_timestamp($1)"), since)
    await connection.close()
    return sum(row["late"] is None for row in rows), [(r["due"], r["late"]) for r in rows if r["late"] is not None]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--minutes", type=int, default=4)
    given = parser.parse_args()
    with _server.serving() as server:
        dsn = Embedded(server.data).dsn
        asyncio.run(fill(dsn, given.schedules))
        began = time.time()
        # To the middle of a minute, so that each is whole.
        time.sleep((30 - began) % 60 + 60 * given.minutes)
        waiting, found = asyncio.run(look(dsn, began))
        late = [late for _, late in found]
        minutes = len({due for due, _ in found})
        print(f"{given.schedules} schedules, {len(found)} runs due in {minutes} minutes, {waiting} not started")
        shares = ", ".join(f"{name} {_server.percentile(late, share):.3f}" for name, share in _SHARES)
        print(f"started after their instant, in seconds: {shares}, most {max(late):.3f}")


_SHARES = (("p50", 0.50), ("p90", 0.90), ("p99", 0.99))

if __name__ == "__main__":
    main()
