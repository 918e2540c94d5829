"""Runs of prompts under everything at once: how they stand, lists that grow while they are walked, keys, batches,
and runs put off or cancelled while a worker starts them."""

from __future__ import annotations

import asyncio
import itertools
import random
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.prompts import CALLER, Table, table
from tests.support.records import PROJECT

from mediamill.core.dispatch import Take
from mediamill.core.errors import Conflict, LimitReached
from mediamill.core.prompts import (
    CODES,
    STAGE_WAITS,
    NewPrompt,
    PromptFilter,
    Settings,
    Status,
    parse_duration,
    status,
)
from mediamill.core.tasks import Cursor, Page, State, Task
from mediamill.store import rows
from mediamill.store.prompts import STATUS

_MADE = """
INSERT INTO tasks (id, project_id, run_id, kind, dialect, queue, state, label, options, extra, priority, attempts_left,
                   max_attempts, inputs, identifier, attempt, stage, error, hold, not_before, finished_at)
SELECT 't' || lpad(n::text, 5, '0'), 'default', 'r', 'prompt', 'mill', 'agent', state, '', '{}', '{}', 0, 1, 3, '[]',
       'prompt', attempt, stage, CASE WHEN code IS NOT NULL THEN jsonb_build_object(
           'code', code, 'family', 'limit', 'message', '', 'stage', NULL) END, hold, not_before,
       CASE WHEN state IN ('succeeded', 'failed', 'cancelled') THEN now() END
FROM unnest($1::int[], $2::text[], $3::int[], $4::text[], $5::text[], $6::text[], $7::timestamptz[])
     AS x (n, state, attempt, stage, code, hold, not_before)
"""


async def test_the_record_and_the_table_say_the_same_of_how_a_run_stands(dsn: str) -> None:
    """Every combination of what a status is made of."""
    now = datetime.now(UTC)
    made = list(
        itertools.product(
            [state.value for state in State],
            [0, 2],
            [None, "ask", STAGE_WAITS],
            [None, "tool_failed", *CODES],
            [None, "turn", "runner"],
            [None, now - timedelta(hours=1), now + timedelta(hours=1)],
        )
    )
    async with table(dsn) as db:
        columns = [list(column) for column in zip(*made, strict=True)]
        await db.bench.pool.execute(_MADE, list(range(len(made))), *columns)
        found = await db.bench.pool.fetch(f"SELECT {rows.TASK}, {STATUS} AS said FROM tasks t ORDER BY t.id")
        assert len(found) == len(made)
        for row in found:
            assert status(rows.task(row)).value == row["said"], dict(row)
        assert {row["said"] for row in found} == {each.value for each in Status}

        # And a filter finds exactly those.
        for each in Status:
            expected = {row["id"] for row in found if row["said"] == each.value}
            assert set(await _walk(db, PromptFilter(statuses=[each]), size=100)) == expected


async def _walk(
    db: Table, filter: PromptFilter, *, size: int, busy: bool = False, ascending: bool = False
) -> list[str]:
    seen: list[str] = []
    place: Cursor | None = None
    while True:
        found = await db.store.list(PROJECT, Page(limit=size, after=place, ascending=ascending), filter)
        seen += [task.id for task in found.items]
        if busy:
            await db.start(tags=["x", random.choice("abc")])
        if not found.more:
            return seen
        place = Cursor(at=found.items[-1].created_at, id=found.items[-1].id)


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("ascending", [False, True])
async def test_a_walk_sees_every_run_once_while_others_are_started(dsn: str, size: int, ascending: bool) -> None:
    async with table(dsn) as db:
        # In one batch they share an instant, so that the id must break the tie.
        for lot in range(3):
            await db.prompts.batch(
                CALLER,
                [
                    NewPrompt(
                        prompt="a",
                        identifier="prompt" if n % 5 else "idle",
                        is_test=n % 3 == 0,
                        settings=Settings(tags=["x", "abc"[n % 3]]),
                        not_before=datetime.now(UTC) + timedelta(hours=1) if n % 4 == 0 else None,
                    )
                    for n in range(15)
                ],
            )
            await db.prompts.cancel(CALLER, (await db.start(tags=["x"])).id)
            await db.finish((await db.start(tags=["x", "a", "b"])).id)
            assert lot < 3
        all_ = await db.bench.pool.fetch(f"SELECT {rows.TASK} FROM tasks t ORDER BY t.created_at, t.id")
        tasks = [rows.task(row) for row in all_]
        middle = tasks[len(tasks) // 2].created_at
        filters: list[tuple[PromptFilter, list[Task]]] = [
            (PromptFilter(), tasks),
            (PromptFilter(tags=["x"]), [t for t in tasks if "x" in t.origin.tags]),
            (PromptFilter(tags=["b", "a"]), [t for t in tasks if {"a", "b"} & set(t.origin.tags)]),
            (
                PromptFilter(statuses=[Status.QUEUED, Status.CANCELED]),
                [t for t in tasks if status(t) in (Status.QUEUED, Status.CANCELED)],
            ),
            (
                PromptFilter(statuses=[Status.DELAYED], tags=["c"]),
                [t for t in tasks if status(t) is Status.DELAYED and "c" in t.origin.tags],
            ),
            (PromptFilter(identifiers=["idle"]), [t for t in tasks if t.origin.identifier == "idle"]),
            (PromptFilter(is_test=True), [t for t in tasks if t.extra["prompt"]["is_test"]]),
            (
                PromptFilter(is_test=False, identifiers=["prompt", "idle"]),
                [t for t in tasks if not t.extra["prompt"]["is_test"]],
            ),
            (PromptFilter(created_from=middle), [t for t in tasks if t.created_at >= middle]),
            (
                PromptFilter(created_to=middle, tags=["x"]),
                [t for t in tasks if t.created_at <= middle and "x" in t.origin.tags],
            ),
        ]
        known = {task.id for task in tasks}
        for filter, expected in filters:
            ids = [task.id for task in (expected if ascending else expected[::-1])]
            still = await _walk(db, filter, size=size, ascending=ascending)
            assert [id for id in still if id in known] == ids, filter
            if size == 7:
                busy = await _walk(db, filter, size=size, ascending=ascending, busy=True)
                assert [id for id in busy if id in known] == ids, filter
                assert len(set(busy)) == len(busy)


async def test_a_walk_back_turns_round_what_a_walk_on_saw(dsn: str) -> None:
    async with table(dsn) as db:
        await db.prompts.batch(CALLER, [NewPrompt(prompt="a", settings=Settings(tags=["x"])) for _ in range(9)])
        for filter in (PromptFilter(), PromptFilter(tags=["x"]), PromptFilter(statuses=[Status.QUEUED])):
            first = await db.store.list(PROJECT, Page(limit=4), filter)
            at = [Cursor(at=task.created_at, id=task.id) for task in first.items]
            second = await db.store.list(PROJECT, Page(limit=4, after=at[-1]), filter)
            begun = Cursor(at=second.items[0].created_at, id=second.items[0].id)
            back = await db.store.list(PROJECT, Page(limit=4, before=begun), filter)
            assert [task.id for task in back.items] == [task.id for task in first.items]
            assert not back.more


async def test_the_newest_of_each_schedule_come_in_order(dsn: str) -> None:
    async with table(dsn) as db:
        for n in range(12):
            await db.start(NewPrompt(prompt="a", schedule_id=f"s{n % 3}"))
        found = await db.prompts.recent(["s0", "s2", "s9"], 3)
        assert [each.schedule_id for each in found] == ["s0"] * 3 + ["s2"] * 3
        for id in ("s0", "s2"):
            expected = await db.store.list(PROJECT, Page(limit=3), PromptFilter(schedule_ids=[id]))
            assert [(each.id, each.updated_at) for each in found if each.schedule_id == id] == [
                (task.id, task.updated_at) for task in expected.items
            ]
        read = await db.prompts.read([found[0].id, "t0", found[4].id])
        assert [run.task.id if run else None for run in read] == [found[0].id, None, found[4].id]


async def test_whoever_comes_first_a_run_is_either_put_off_or_started(dsn: str) -> None:
    async with table(dsn) as db:
        outcomes = set()
        for n in range(30):
            soon = datetime.now(UTC) + timedelta(seconds=30)
            task = await db.start(NewPrompt(prompt="a", not_before=soon))
            job = await db.bench.job_of(task.id)
            # The queue hands an entry out when it is due by its own clock, which may be ahead of ours.
            calls = [db.bench.tasks.take([Take(task_id=task.id, job_id=job or 0, worker="w")])]
            calls.insert(n % 2, db.prompts.reschedule(CALLER, task.id, "2h"))  # type: ignore[arg-type]
            found = await asyncio.gather(*calls[: n < 2], return_exceptions=True)  # of the first two, one by one
            found += await asyncio.gather(*calls[n < 2 :], return_exceptions=True)
            started = any(isinstance(each, list) and each[0] is not None for each in found)
            refused = any(isinstance(each, Conflict) for each in found)
            after = await db.bench.tasks.get(PROJECT, task.id)
            assert started == refused
            assert after.state is (State.RUNNING if started else State.DELAYED)
            assert started or await db.bench.job_of(task.id) not in (None, job)
            outcomes.add(started)
        assert outcomes == {True, False}


async def test_whoever_comes_first_a_cancelled_run_never_ends_well_after(dsn: str) -> None:
    async with table(dsn) as db:
        for _ in range(20):
            task = await db.start()
            job = await db.bench.job_of(task.id)
            taking = db.bench.tasks.take([Take(task_id=task.id, job_id=job or 0, worker="w")])
            [taken], _ = await asyncio.gather(taking, db.prompts.cancel(CALLER, task.id, wait_s=0))
            after = await db.bench.tasks.get(PROJECT, task.id)
            if taken is None:
                assert after.state is State.CANCELLED
            else:
                assert after.cancel_requested
                assert await db.bench.finish(taken, State.CANCELLED)
            assert not await db.bench.finish(taken) if taken else True
            assert status(await db.bench.tasks.get(PROJECT, task.id)) is Status.CANCELED


async def test_no_child_outlives_the_cancelling_of_its_parent(dsn: str) -> None:
    async with table(dsn) as db:
        for _ in range(15):
            root = await db.start()
            await db.take(root.id)
            await asyncio.gather(
                *(db.prompts.trigger(CALLER, NewPrompt(prompt="b", caller_id=root.id)) for _ in range(6)),
                db.prompts.cancel(CALLER, root.id, wait_s=0),
                *(db.prompts.batch(CALLER, [NewPrompt(prompt="c", caller_id=root.id)] * 2) for _ in range(2)),
                return_exceptions=True,
            )
            states = await db.bench.pool.fetch("SELECT state FROM tasks WHERE caller_id = $1", root.id)
            assert {row["state"] for row in states} <= {"cancelled"}


async def test_batches_that_race_for_the_last_places_come_whole_or_not(dsn: str) -> None:
    async with table(dsn, limit=20) as db:
        found = await asyncio.gather(
            *(
                db.prompts.batch(CALLER, [NewPrompt(prompt="a", idempotency_key=f"{lot} {n}") for n in range(6)])
                for lot in range(8)
            ),
            return_exceptions=True,
        )
        refused = [each for each in found if isinstance(each, LimitReached)]
        assert len(found) - len(refused) == 3
        sizes = await db.bench.pool.fetch("SELECT count(*) AS n FROM tasks GROUP BY batch_id")
        assert [row["n"] for row in sizes] == [6, 6, 6]
        assert await db.bench.pool.fetchval("SELECT count(*) FROM idempotency") == 18


def test_a_duration_is_the_sum_of_its_parts() -> None:
    rng = random.Random(4)
    for _ in range(500):
        parts = [(rng.randrange(100), name, each) for name, each in (("w", 604800), ("d", 86400), ("h", 3600))]
        parts = [part for part in parts if rng.random() < 0.5]
        text = "".join(f"{count}{'hr' if name == 'h' and rng.random() < 0.5 else name}" for count, name, _ in parts)
        text += rng.choice(["", "5m", "7s", "5m7s"])
        rest = {"5m": 300, "7s": 7, "5m7s": 307}
        tail = next((value for word, value in sorted(rest.items(), key=lambda r: -len(r[0])) if text.endswith(word)), 0)
        expected = sum(count * each for count, _, each in parts) + tail
        assert parse_duration(text) == (expected if text else None)
    for bad in ("", "1", "h", "1h1w", "1.5h", "1h ", "-1h", "1x", "1h1h", "٣h"):
        assert parse_duration(bad) is None
