"""Whose turn it is: of a schedule's tasks one is at work, and the next has no queue entry until that one has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from mediamill import queue
from mediamill.core.dispatch import Accept
from mediamill.store.notices import wake

AT_WORK = """
{0}.state IN ('waiting', 'ingesting', 'delayed', 'queued', 'running') AND {0}.hold IS DISTINCT FROM 'turn'
AND ({0}.state <> 'delayed' OR {0}.attempt > 0)"""
"""Of tasks: those that have the turn, also between two attempts. One that somebody put off has none until it is due."""

# The schedule's row is the lock: a firing holds it while it looks whether a task is at work and adds its own.
_LOCK = "SELECT id FROM schedules WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE"
_RELEASE = f"""
WITH next AS (
    -- Whoever is ending the next one waits for the schedule that we hold: it is passed over, and passed on by them.
    SELECT n.id FROM unnest($1::text[]) AS s (id) CROSS JOIN LATERAL (
        SELECT t.id FROM tasks t WHERE t.hold = 'turn' AND t.schedule_id = s.id AND t.state = 'queued'
        ORDER BY t.priority DESC, t.created_at, t.id LIMIT 1 FOR UPDATE SKIP LOCKED) n
    WHERE NOT EXISTS (SELECT FROM tasks o WHERE o.schedule_id = s.id AND {AT_WORK.format("o")})
)
UPDATE tasks t SET hold = NULL, updated_at = clock_timestamp() FROM next n WHERE t.id = n.id
RETURNING t.id, t.queue, t.priority
"""

_UNNOTICED = f"""
SELECT DISTINCT t.schedule_id FROM tasks t WHERE t.hold = 'turn' AND t.state = 'queued' AND NOT EXISTS (
    SELECT FROM tasks o WHERE o.schedule_id = t.schedule_id AND {AT_WORK.format("o")})
"""
_BUSY = f"""
SELECT s.id FROM unnest($1::text[]) AS s (id) WHERE EXISTS (
    SELECT FROM tasks o WHERE o.schedule_id = s.id AND o.id <> ALL($2::text[]) AND {AT_WORK.format("o")})
"""
_HOLD = """
UPDATE tasks SET hold = 'turn', state = 'queued', updated_at = clock_timestamp() WHERE id = ANY($1::text[])
"""


async def in_turn(connection: Any, batch: Sequence[Accept], fresh: Sequence[int]) -> Sequence[Accept]:
    """The items, those held that were started by hand for a schedule which has a task at work; the first of several
    goes. Firings have seen to it themselves, and one that is put off takes its turn when it is due (`overdue`)."""
    mine = [
        i
        for i in fresh
        if (origin := batch[i].new.origin).schedule_id is not None and origin.due_at is None and origin.hold is None
        if batch[i].new.not_before is None
    ]
    if not mine:
        return batch
    wanted = sorted({str(batch[i].new.origin.schedule_id) for i in mine})
    await connection.execute(_LOCK, wanted)
    busy = {row["id"] for row in await connection.fetch(_BUSY, wanted, [])}
    items = list(batch)
    for i in mine:
        new = batch[i].new
        if new.origin.schedule_id in busy:
            items[i] = replace(batch[i], new=replace(new, origin=replace(new.origin, hold="turn")))
        elif new.origin.schedule_id is not None:
            busy.add(new.origin.schedule_id)
    return items


async def overdue(connection: Any, due: Sequence[tuple[str, str]]) -> set[str]:
    """Of tasks whose delay is over, as (id, schedule), those that wait for their turn from now on: where another of
    their schedule is at work, one is enough. For whoever starts tasks, and has locked these."""
    if not due:
        return set()
    wanted = sorted({schedule for _, schedule in due})
    await connection.execute(_LOCK, wanted)
    busy = {row["id"] for row in await connection.fetch(_BUSY, wanted, [id for id, _ in due])}
    held = set()
    for id, schedule in due:
        if schedule in busy:
            held.add(id)
        busy.add(schedule)
    if held:
        await connection.execute(_HOLD, sorted(held))
    return held


async def pass_on(connection: Any, schedules: Sequence[str]) -> None:
    """Let the next task of each schedule go whose turn it is; called where tasks of them have just ended."""
    if not schedules:
        return
    wanted = sorted(set(schedules))
    await connection.execute(_LOCK, wanted)
    released = await connection.fetch(_RELEASE, wanted)
    await let_go(connection, released)


async def let_go(connection: Any, released: Sequence[Mapping[str, Any]]) -> None:
    """Put tasks on their queues whose hold is over: rows with id, queue, priority, and delay_s where there is one."""
    entries = [
        queue.Entry(row["queue"], row["id"], row["priority"], row["delay_s"] if "delay_s" in row else 0.0)  # noqa: SIM401 - a record has no get
        for row in released
    ]
    await queue.enqueue(connection, entries)
    await wake(connection, [row["id"] for row in released])


async def look_again(pool: Any) -> int:
    """Let tasks go whose turn has come unnoticed, as when the one who should have said so was at another; how many
    schedules were looked at."""
    async with pool.acquire() as connection, connection.transaction():
        idle = [row["schedule_id"] for row in await connection.fetch(_UNNOTICED)]
        await pass_on(connection, idle)
        return len(idle)
