"""The run table: what waits for what, and how a run ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.records import PROJECT, Bench, bench, url

from mediamill.core.dispatch import AcceptRun, Take, Taken
from mediamill.core.errors import Conflict, IdempotencyMismatch, LimitReached, NotFound
from mediamill.core.files import NewFile
from mediamill.core.runs import NewRun, Node, Run
from mediamill.core.tasks import Cursor, Failure, NewTask, Page, Source, State, Task
from mediamill.store.runs import Runs

FAILURE = Failure(code="bad_media", family="input", message="No picture.", stage="work")


@pytest_asyncio.fixture
async def db(dsn: str) -> AsyncIterator[Bench]:
    async with bench(dsn) as found:
        yield found


def made(name: str = "a.webp") -> NewFile:
    return NewFile(project_id=PROJECT, filename=name, mime="image/webp", size_bytes=3, blob_key=f"bb/{name}")


def node(after: int | None = None, **given: Any) -> Node:
    """A ping that waits for the node at a place and takes what it makes."""
    return Node(new=NewTask(kind="ping", **given), parent=after, after=after, inherits=after is not None)


async def start(db: Bench, nodes: Sequence[Node], **given: Any) -> Run:
    key = given.get("idempotency_key")
    own = {name: given.pop(name) for name in ("in_flight_limit", "body_hash") if name in given}
    items = [
        replace(
            db.item(idempotency_key=key if n == 0 else None, inputs=node.new.inputs, priority=node.new.priority, **own),
            inherits=node.inherits,
        )
        for n, node in enumerate(nodes)
    ]
    runs = Runs(db.pool)
    id, _ = await runs.accept(AcceptRun(new=NewRun(nodes=nodes, **given), project_id=PROJECT, items=items))
    return await runs.get(PROJECT, id)


async def tasks_of(db: Bench, run: Run) -> list[Task]:
    return await Runs(db.pool).tasks(PROJECT, run.id)


async def states(db: Bench, run: Run) -> list[str]:
    return [task.state.value for task in await tasks_of(db, run)]


async def end(db: Bench, run: Run, place: int, state: State = State.SUCCEEDED, **given: Any) -> None:
    """Take and end the task at a place."""
    id = (await tasks_of(db, run))[place].id
    taken = await db.take(id)
    assert taken is not None
    if state is State.FAILED:
        given.setdefault("error", FAILURE)
    assert await db.finish(taken, state, **given)


async def now(db: Bench, run: Run) -> Run:
    return await Runs(db.pool).get(PROJECT, run.id)


async def run_events(db: Bench, run: Run) -> list[str]:
    found = await db.pool.fetch("SELECT type FROM events WHERE run_id = $1 ORDER BY id", run.id)
    return [row["type"] for row in found]


async def test_all_tasks_are_there_at_once_and_only_the_first_are_queued(db: Bench) -> None:
    run = await start(db, [node(), node(0), node(0), node(1)], metadata={"order": 1}, created_by="key_1")

    assert await states(db, run) == ["queued", "waiting", "waiting", "waiting"]
    assert await db.pool.fetchval("SELECT count(*) FROM pgqueuer") == 1
    assert (run.state, run.metadata, run.created_by, run.progress) == ("waiting", {"order": 1}, "key_1", 0)
    assert [task.parent_id for task in await tasks_of(db, run)] == [
        None,
        run.parts[0].id,
        run.parts[0].id,
        run.parts[1].id,
    ]


async def test_what_a_task_makes_is_the_first_input_of_those_that_waited(db: Bench) -> None:
    logo = await db.file("logo.png")
    run = await start(db, [node(), node(0, inputs=[Source(file=logo)])])

    await end(db, run, 0, outputs=[("part", made("side.webp")), ("result", made("main.webp"))])

    second = (await tasks_of(db, run))[1]
    assert second.state is State.QUEUED
    assert [i.file.filename for i in second.inputs if i.file] == ["main.webp", "logo.png"]
    assert await db.job_of(second.id) is not None


async def test_a_task_that_makes_nothing_passes_its_own_input_on(db: Bench) -> None:
    source = await db.file("in.png")
    run = await start(db, [node(inputs=[Source(file=source)]), node(0)])

    await end(db, run, 0)

    second = (await tasks_of(db, run))[1]
    assert [i.file.id for i in second.inputs if i.file] == [source]


async def test_nothing_to_go_on_with_fails_with_that_reason(db: Bench) -> None:
    run = await start(db, [node(), node(0), node(1)])

    await end(db, run, 0)

    assert await states(db, run) == ["succeeded", "failed", "cancelled"]
    after = await now(db, run)
    assert (after.state, after.error and after.error.code) == ("failed", "no_input")


async def test_a_url_of_its_own_is_fetched_once_its_turn_has_come(db: Bench) -> None:
    run = await start(db, [node(), Node(new=NewTask(kind="ping", inputs=[url()]), parent=0, after=0)])

    await end(db, run, 0)

    assert (await tasks_of(db, run))[1].state is State.INGESTING
    assert await db.pool.fetchval("SELECT entrypoint FROM pgqueuer") == "io"


async def test_a_failure_cancels_descendants_only(db: Bench) -> None:
    run = await start(db, [node(), node(), node(0), node(2), node(1)])

    await end(db, run, 0, State.FAILED)

    assert await states(db, run) == ["failed", "queued", "cancelled", "cancelled", "waiting"]
    assert (await now(db, run)).state == "running"
    await end(db, run, 1, outputs=[("result", made())])
    await end(db, run, 4)
    after = await now(db, run)
    assert (after.state, after.finished_at is not None) == ("failed", True)
    assert after.error == FAILURE
    assert (await run_events(db, run))[-1] == "run.failed"


async def test_a_condition_not_met_skips_what_follows_and_the_run_succeeds(db: Bench) -> None:
    source = await db.file("in.png")
    run = await start(db, [node(inputs=[Source(file=source)]), node(0), node(1)])

    await end(db, run, 0, details={"results": {"passed": [], "failed": [{}], "continue": False}})

    tasks = await tasks_of(db, run)
    assert [(task.state.value, task.skipped) for task in tasks[1:]] == [("cancelled", True), ("cancelled", True)]
    after = await now(db, run)
    assert (after.state, after.progress, after.error) == ("succeeded", 1.0, None)


async def test_a_retry_leaves_the_others_waiting(db: Bench) -> None:
    run = await start(db, [node(), node(0)])

    await end(db, run, 0, State.DELAYED, error=FAILURE, retry_in_s=1.0)

    assert await states(db, run) == ["delayed", "waiting"]
    assert (await now(db, run)).finished_at is None


async def test_a_task_lost_for_good_ends_its_run(db: Bench) -> None:
    run = await start(db, [node(max_attempts=1), node(0)])
    await db.pool.execute("UPDATE tasks SET attempts_left = 1")
    id = run.parts[0].id
    assert await db.take(id) is not None

    assert await db.take(id) is None  # its worker died, and came back to nothing

    assert await states(db, run) == ["failed", "cancelled"]
    assert (await now(db, run)).state == "failed"


async def test_cancelling_a_task_cancels_what_waits_for_it(db: Bench) -> None:
    run = await start(db, [node(), node(0), node()])

    await db.tasks.cancel(PROJECT, run.parts[0].id)

    assert await states(db, run) == ["cancelled", "cancelled", "queued"]
    await end(db, run, 2)
    assert (await now(db, run)).state == "cancelled"


async def test_cancelling_a_run_ends_what_waits_and_asks_for_what_runs(db: Bench) -> None:
    run = await start(db, [node(), node(0), node()])
    taken = await db.take(run.parts[0].id)
    assert taken is not None

    after = await Runs(db.pool).cancel(PROJECT, run.id)

    assert await states(db, run) == ["running", "cancelled", "cancelled"]
    assert (after.state, after.cancel_requested) == ("running", True)
    await db.finish(taken, State.CANCELLED)
    assert (await now(db, run)).state == "cancelled"
    assert (await Runs(db.pool).cancel(PROJECT, run.id)).state == "cancelled"


async def test_a_run_of_one_ends_with_its_task(db: Bench) -> None:
    id = await db.accept()
    taken = await db.take(id)
    assert taken is not None
    run = await Runs(db.pool).get(PROJECT, taken.task.run_id)
    assert (run.state, run.started_at is not None) == ("running", True)

    await db.finish(taken, lone=True)

    run = await now(db, run)
    assert (run.state, run.progress, run.finished_at is not None) == ("succeeded", 1.0, True)
    assert await run_events(db, run) == ["run.created", "run.updated", "run.succeeded"]
    with pytest.raises(Conflict):
        await Runs(db.pool).cancel(PROJECT, run.id)


async def test_a_run_of_one_that_is_cancelled_is_over(db: Bench) -> None:
    id = await db.accept()
    run = await Runs(db.pool).get(PROJECT, (await db.tasks.get(PROJECT, id)).run_id)

    assert (await Runs(db.pool).cancel(PROJECT, run.id)).state == "cancelled"
    assert await db.events(id) == ["task.created", "task.cancelled"]


async def test_another_projects_run_is_unknown(db: Bench) -> None:
    run = await start(db, [node()])

    with pytest.raises(NotFound):
        await Runs(db.pool).get("other", run.id)
    with pytest.raises(NotFound):
        await Runs(db.pool).cancel("other", run.id)
    assert await Runs(db.pool).tasks("other", run.id) == []


async def test_a_key_makes_one_run(db: Bench) -> None:
    first = await start(db, [node(), node(0)], idempotency_key="k", body_hash=b"1")
    second = await start(db, [node(), node(0)], idempotency_key="k", body_hash=b"1")

    assert first.id == second.id
    assert await db.pool.fetchval("SELECT count(*) FROM tasks") == 2
    with pytest.raises(IdempotencyMismatch):
        await start(db, [node()], idempotency_key="k", body_hash=b"2")


async def test_a_run_beyond_the_limit_writes_nothing(db: Bench) -> None:
    with pytest.raises(LimitReached):
        await start(db, [node(), node(0), node(0)], in_flight_limit=2)

    assert await db.pool.fetchval("SELECT count(*) FROM tasks") == 0
    assert await db.pool.fetchval("SELECT count(*) FROM runs") == 0


@pytest.mark.parametrize("ascending", [False, True])
async def test_pages_of_runs_hold_each_once(db: Bench, ascending: bool) -> None:
    made = [await start(db, [node()]) for _ in range(7)]
    await Runs(db.pool).cancel(PROJECT, made[3].id)
    wanted = [run.id for run in made if run is not made[3]]
    seen: list[str] = []
    page = Page(limit=2, ascending=ascending)

    while True:
        found = await Runs(db.pool).list(PROJECT, page, ["waiting"])
        seen += [run.id for run in found.items]
        if not found.more:
            break
        last = found.items[-1]
        page = Page(
            limit=2,
            ascending=ascending,
            after=Cursor(at=last.created_at, id=last.id),
        )

    assert seen == (wanted if ascending else wanted[::-1])


async def test_what_was_shown_early_stays_with_success_and_goes_with_failure(db: Bench) -> None:
    for state, left in ((State.SUCCEEDED, ["early", "result"]), (State.FAILED, [])):
        id = await db.accept()
        taken = await db.take(id)
        assert taken is not None
        assert await db.tasks.publish(id, taken.fence, [("early", made(f"{state}.m3u8"))])
        assert [o.role for o in (await db.tasks.get(PROJECT, id)).outputs] == ["early"]

        await db.finish(taken, state, outputs=[("result", made())] if left else [], error=FAILURE if not left else None)

        assert [o.role for o in (await db.tasks.get(PROJECT, id)).outputs] == left
        gone = await db.pool.fetchval("SELECT state FROM files WHERE filename = $1", f"{state}.m3u8")
        assert gone == ("ready" if left else "gone")
        assert not await db.tasks.publish(id, taken.fence, [("early", made())])


async def test_a_taken_over_attempt_loses_what_the_lost_one_showed(db: Bench) -> None:
    id = await db.accept()
    lost = await db.take(id)
    assert lost is not None
    await db.tasks.publish(id, lost.fence, [("early", made())])

    fresh = await db.take(id)

    assert fresh is not None
    assert (await db.tasks.get(PROJECT, id)).outputs == []
    assert await db.pool.fetchval("SELECT state FROM files") == "gone"


# --- random trees


@st.composite
def trees(draw: st.DrawFn) -> list[int | None]:
    """For each node the place of the one it waits for."""
    size = draw(st.integers(1, 12))
    return [None if n == 0 else draw(st.one_of(st.none(), st.integers(0, n - 1))) for n in range(size)]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(tree=trees(), choices=st.lists(st.integers(0, 99), min_size=60, max_size=60))
def test_a_run_always_ends_and_nothing_runs_before_what_it_waits_for(
    postgres: Any, dsn: str, tree: list[int | None], choices: list[int]
) -> None:
    asyncio.run(_random_run(dsn, tree, choices))


async def _random_run(dsn: str, tree: list[int | None], choices: list[int]) -> None:
    async with bench(dsn) as db:
        source = await db.file("in.png")
        run = await start(db, [node(after, inputs=[Source(file=source)] if after is None else []) for after in tree])
        held: dict[str, Taken] = {}
        for choice in choices:
            tasks = {task.id: task for task in await tasks_of(db, run)}
            places = list(tasks)
            for n, task in enumerate(tasks.values()):
                if task.started_at is not None and tree[n] is not None:
                    assert tasks[places[tree[n] or 0]].state is State.SUCCEEDED
            jobs = [row["payload"].decode() for row in await db.pool.fetch("SELECT payload FROM pgqueuer ORDER BY id")]
            if not jobs:
                break
            id = jobs[choice % len(jobs)]
            if id not in held:
                if (taken := await db.take(id)) is not None:
                    held[id] = taken
            elif choice % 10 < 6:
                await db.finish(held.pop(id))
            elif choice % 10 == 6:
                await db.finish(held.pop(id), State.FAILED, error=FAILURE)
            elif choice % 10 == 7:
                await db.tasks.cancel(PROJECT, id)
                await db.finish(held.pop(id), State.CANCELLED)
            else:  # its worker dies, another takes over
                fresh = await db.take(id)
                assert not await db.finish(held.pop(id), outputs=[("result", made())])
                if fresh is not None:
                    held[id] = fresh
        for _ in range(200):
            jobs = [row["payload"].decode() for row in await db.pool.fetch("SELECT payload FROM pgqueuer")]
            if not jobs:
                break
            for id in jobs:
                taken = held.pop(id, None) or await db.take(id)
                if taken is not None:
                    await db.finish(taken)
        after = await now(db, run)
        ended = await tasks_of(db, run)
        assert after.final
        assert all(task.state.final for task in ended)
        words = {task.state for task in ended}
        expected = "failed" if State.FAILED in words else "cancelled" if State.CANCELLED in words else "succeeded"
        assert after.state == expected
        for n, task in enumerate(ended):
            assert (await db.events(task.id))[-1] == f"task.{task.state}"
            before = tree[n]
            if before is not None and ended[before].state is not State.SUCCEEDED:
                assert task.state is State.CANCELLED
        assert (await run_events(db, run)).count(f"run.{after.state}") == 1


async def test_ends_of_one_run_at_the_same_moment_do_not_lock_each_other_out(db: Bench) -> None:
    runs = [await start(db, [node() for _ in range(8)]) for _ in range(3)]
    ids = [part.id for run in runs for part in run.parts]
    taken = [
        t for t in await db.tasks.take([Take(task_id=i, job_id=await db.job_of(i) or 0, worker="w") for i in ids]) if t
    ]

    await asyncio.gather(*(db.finish(t) for t in taken))

    assert [(await now(db, run)).state for run in runs] == ["succeeded"] * 3
