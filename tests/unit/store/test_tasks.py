"""The task table: what one transaction holds together, fences, idempotency, cancel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio
from tests.support.records import PROJECT, Bench, bench, url

from mediamill.core.dispatch import Finish, Take, Tick, Unwritable
from mediamill.core.errors import Conflict, IdempotencyMismatch, LimitReached, NotFound
from mediamill.core.files import NewFile
from mediamill.core.tasks import Failure, Origin, Source, State
from mediamill.queue import Entry, enqueue
from mediamill.store.batch import Batcher
from mediamill.store.notices import OFFER

FAILURE = Failure(code="bad_media", family="input", message="No picture.", stage="work")
MADE = NewFile(project_id=PROJECT, filename="a.webp", mime="image/webp", size_bytes=3, blob_key="bb/1")
WAITING = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"


@pytest_asyncio.fixture
async def db(dsn: str) -> AsyncIterator[Bench]:
    async with bench(dsn) as found:
        yield found


async def test_accepted_task_has_its_queue_entry_run_and_event(db: Bench) -> None:
    id = await db.accept()

    task = await db.tasks.get(PROJECT, id)
    assert task.state is State.QUEUED
    assert await db.job_of(id) is not None
    assert await db.events(id) == ["task.created"]
    assert await db.pool.fetchval("SELECT count(*) FROM runs WHERE id = $1", task.run_id) == 1


async def test_nothing_of_a_refused_batch_is_written(db: Bench) -> None:
    good = db.item()
    bad = db.item(kind="x\0y")  # a text column cannot hold it

    with pytest.raises(Exception, match="0x00"):
        await db.tasks.accept([good, bad])

    assert await db.pool.fetchval("SELECT count(*) FROM tasks") == 0
    assert await db.pool.fetchval("SELECT count(*) FROM pgqueuer") == 0


async def test_one_item_that_cannot_be_written_fails_nobody_else(db: Bench) -> None:
    accept: Batcher[object, tuple[str, bool]] = Batcher(db.tasks.accept)  # type: ignore[arg-type]  # items are Accepts

    answers = await asyncio.gather(
        accept(db.item()), accept(db.item(kind="x\0y")), accept(db.item()), return_exceptions=True
    )

    assert [isinstance(answer, BaseException) for answer in answers] == [False, True, False]
    assert await db.pool.fetchval("SELECT count(*) FROM tasks") == 2


async def test_urls_are_ingested_by_the_io_queue_first(db: Bench) -> None:
    id = await db.accept(kind="convert", queue="cpu", inputs=[url()])

    assert (await db.tasks.get(PROJECT, id)).state is State.INGESTING
    assert await db.pool.fetchval("SELECT entrypoint FROM pgqueuer") == "io"


async def test_fetched_input_moves_the_task_to_its_own_queue_with_all_attempts(db: Bench) -> None:
    id = await db.accept(kind="convert", queue="cpu", inputs=[url()], max_attempts=2)
    taken = await db.take(id)
    assert taken is not None
    assert taken.task.state is State.INGESTING

    assert await db.finish(taken, State.QUEUED, inputs=[MADE])

    task = await db.tasks.get(PROJECT, id)
    assert (task.state, task.attempts_left) == (State.QUEUED, 2)
    assert task.inputs[0].file is not None
    assert task.inputs[0].url == "https://example.org/a.png"
    assert await db.pool.fetchval("SELECT entrypoint FROM pgqueuer") == "cpu"


async def test_delayed_task_waits_in_the_queue_until_its_instant(db: Bench) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)

    id = await db.accept(not_before=later)

    assert (await db.tasks.get(PROJECT, id)).state is State.DELAYED
    due = await db.pool.fetchval("SELECT execute_after FROM pgqueuer")
    assert abs((due - later).total_seconds()) < 5


@pytest.mark.parametrize(("ttl_s", "told"), [(2.0, [""]), (60.0, []), (None, [])])
async def test_workers_are_told_of_what_expires_before_they_look_again(
    db: Bench, dsn: str, ttl_s: float | None, told: list[str]
) -> None:
    heard: list[str] = []
    listener = await asyncpg.connect(dsn)
    await listener.add_listener(OFFER, lambda *said: heard.append(said[3]))

    await db.accept(origin=Origin(ttl_s=ttl_s))
    await listener.fetchval("SELECT 1")  # what was sent before is here by now

    assert heard == told
    await listener.close()


async def test_64_parallel_posts_of_one_key_make_one_task(db: Bench) -> None:
    accept: Batcher[object, tuple[str, bool]] = Batcher(db.tasks.accept, most=5, width=4)  # type: ignore[arg-type]

    answers = await asyncio.gather(
        *(accept(db.item(idempotency_key="k", body_hash=b"1", scope="mill")) for _ in range(64))
    )

    assert len({id for id, _ in answers}) == 1
    assert sum(fresh for _, fresh in answers) == 1
    assert await db.pool.fetchval("SELECT count(*) FROM tasks") == 1
    assert await db.pool.fetchval("SELECT count(*) FROM pgqueuer") == 1


async def test_same_key_with_another_body_is_a_mismatch(db: Bench) -> None:
    await db.accept(idempotency_key="k", body_hash=b"1", scope="mill")

    with pytest.raises(IdempotencyMismatch):
        await db.accept(idempotency_key="k", body_hash=b"2", scope="mill")


async def test_a_key_belongs_to_one_project_and_dialect(db: Bench) -> None:
    first = await db.accept(idempotency_key="k", body_hash=b"1", scope="mill")
    second = await db.accept(idempotency_key="k", body_hash=b"2", scope="mill", project="other")
    third = await db.accept(idempotency_key="k", body_hash=b"3", scope="turbofiles")

    assert len({first, second, third}) == 3


async def test_in_flight_limit_counts_within_the_batch_and_frees_the_key(db: Bench) -> None:
    items = [db.item(in_flight_limit=2, idempotency_key=f"k{n}", body_hash=b"1", scope="s") for n in range(3)]

    answers = await db.tasks.accept(items)

    assert [isinstance(answer, LimitReached) for answer in answers] == [False, False, True]
    assert await db.pool.fetchval("SELECT count(*) FROM idempotency") == 2


async def test_taking_sets_a_fence_and_records_the_attempt(db: Bench) -> None:
    id = await db.accept()

    taken = await db.take(id, "worker-1")

    assert taken is not None
    task = await db.tasks.get(PROJECT, id)
    assert (task.state, task.attempt) == (State.RUNNING, 1)
    assert [(a.number, a.worker, a.state) for a in task.attempts] == [(1, "worker-1", "running")]


async def test_finish_writes_state_files_event_and_clears_the_queue(db: Bench) -> None:
    id = await db.accept()
    taken = await db.take(id)
    assert taken is not None

    held = await db.finish(taken, outputs=[("result", MADE)], details={"engine": "e"}, lifetime_s=60.0)

    task = await db.tasks.get(PROJECT, id)
    assert held
    assert task.state is State.SUCCEEDED
    assert task.result is not None
    assert task.result.expires_at is not None
    assert task.details == {"engine": "e"}
    assert await db.events(id) == ["task.created", "task.started", "task.succeeded"]
    assert await db.job_of(id) is None


async def test_late_worker_is_fenced_off_and_leaves_the_new_attempts_job_alone(db: Bench) -> None:
    id = await db.accept()
    late = await db.take(id, "late")
    fresh = await db.take(id, "fresh")
    assert late is not None
    assert fresh is not None

    assert fresh.resumed
    assert not await db.finish(late, outputs=[("result", MADE)])
    assert await db.job_of(id) is not None  # were the fresh worker to die now, it must come back
    assert await db.finish(fresh)

    task = await db.tasks.get(PROJECT, id)
    assert [a.state for a in task.attempts] == ["lost", "succeeded"]
    assert task.outputs == []
    assert (await db.events(id)).count("task.succeeded") == 1
    assert await db.pool.fetchval("SELECT count(*) FROM files") == 0


async def test_task_whose_last_attempt_is_lost_fails_with_the_reason(db: Bench) -> None:
    id = await db.accept(max_attempts=1)
    await db.take(id)

    assert await db.take(id) is None

    task = await db.tasks.get(PROJECT, id)
    assert task.state is State.FAILED
    assert task.error is not None
    assert (task.error.code, task.attempts[0].state) == ("worker_lost", "lost")
    assert await db.job_of(id) is None
    assert await db.events(id) == ["task.created", "task.started", "task.failed"]


async def test_retry_is_put_back_with_its_delay_and_shows_no_error_yet(db: Bench) -> None:
    id = await db.accept()
    taken = await db.take(id)
    assert taken is not None

    await db.finish(taken, State.DELAYED, error=FAILURE, retry_in_s=30, log="tail\0")

    task = await db.tasks.get(PROJECT, id)
    assert (task.state, task.error, task.attempts_left) == (State.DELAYED, None, 2)
    assert task.attempts[0].error == FAILURE
    assert task.attempts[0].log == "tail�"
    assert await db.pool.fetchval("SELECT count(*) FROM pgqueuer WHERE execute_after > now()") == 1


async def test_attempt_given_back_does_not_count(db: Bench) -> None:
    id = await db.accept(max_attempts=1)
    taken = await db.take(id)
    assert taken is not None

    await db.finish(taken, State.QUEUED, given_back=True)

    assert (await db.tasks.get(PROJECT, id)).attempts_left == 1
    assert await db.take(id) is not None


async def test_cancel_of_a_queued_task_is_final_and_its_job_starts_nothing(db: Bench) -> None:
    id = await db.accept()

    assert await db.tasks.cancel(PROJECT, id) is State.CANCELLED
    assert await db.take(id) is None

    assert await db.events(id) == ["task.created", "task.cancelled"]
    assert await db.job_of(id) is None


async def test_cancel_of_a_running_task_asks_its_worker(db: Bench) -> None:
    id = await db.accept()
    taken = await db.take(id)
    assert taken is not None

    assert await db.tasks.cancel(PROJECT, id) is State.RUNNING
    assert (await db.tasks.get(PROJECT, id)).cancel_requested
    await db.finish(taken, State.CANCELLED)

    assert await db.tasks.cancel(PROJECT, id) is State.CANCELLED
    assert await db.events(id) == ["task.created", "task.started", "task.cancelled"]


async def test_cancelled_task_whose_worker_died_ends_cancelled(db: Bench) -> None:
    id = await db.accept()
    await db.take(id)
    await db.tasks.cancel(PROJECT, id)

    assert await db.take(id) is None

    assert (await db.tasks.get(PROJECT, id)).state is State.CANCELLED


@pytest.mark.parametrize("state", [State.DELAYED, State.QUEUED, State.INGESTING])
async def test_cancel_while_the_attempt_is_being_put_back_ends_the_task_at_once(db: Bench, state: State) -> None:
    """The worker has written off the attempt already when the word comes: nobody would hear it before the next one."""
    id = await db.accept()
    taken = await db.take(id)
    assert taken is not None
    await db.tasks.cancel(PROJECT, id)

    await db.finish(taken, state, error=FAILURE, retry_in_s=3600)

    task = await db.tasks.get(PROJECT, id)
    assert (task.state, task.error, task.finished_at is not None) == (State.CANCELLED, None, True)
    assert await db.events(id) == ["task.created", "task.started", "task.cancelled"]
    assert await db.pool.fetchval("SELECT count(*) FROM pgqueuer") == 0


@pytest.mark.parametrize("cancelled", [False, True])
async def test_what_a_lost_attempt_showed_early_goes_with_the_task(db: Bench, cancelled: bool) -> None:
    id = await db.accept(max_attempts=1)
    taken = await db.take(id)
    assert taken is not None
    assert await db.tasks.publish(id, taken.fence, [("result", MADE)])
    if cancelled:
        await db.tasks.cancel(PROJECT, id)

    assert await db.take(id) is None

    assert (await db.tasks.get(PROJECT, id)).outputs == []
    assert await db.pool.fetchval("SELECT array_agg(state) FROM files") == ["gone"]


async def test_an_end_of_a_lost_attempt_does_not_hide_that_of_the_next_one(db: Bench) -> None:
    """Both in one worker: it was frozen, the task came to another and back, and both attempts end together."""
    id = await db.accept()
    late, fresh = await db.take(id), await db.take(id)
    assert late is not None
    assert fresh is not None
    ends = [
        Finish(task_id=id, fence=taken.fence, job_id=taken.job_id, state=State.SUCCEEDED, outputs=[("result", MADE)])
        for taken in (fresh, late)
    ]

    assert await db.tasks.finish(ends) == [True, False]

    assert (await db.tasks.get(PROJECT, id)).state is State.SUCCEEDED
    assert await db.pool.fetchval("SELECT count(*) FROM files") == 1


async def test_cancel_of_an_ended_or_foreign_task_is_refused(db: Bench) -> None:
    id = await db.accept()
    taken = await db.take(id)
    assert taken is not None
    await db.finish(taken)

    with pytest.raises(Conflict):
        await db.tasks.cancel(PROJECT, id)
    with pytest.raises(NotFound):
        await db.tasks.cancel("other", id)


async def test_progress_never_falls_and_a_stale_fence_writes_nothing(db: Bench) -> None:
    id = await db.accept()
    late = await db.take(id)
    fresh = await db.take(id)
    assert late is not None
    assert fresh is not None

    for fence, stage, progress in (fresh.fence, "encode", 0.5), (fresh.fence, "store", 0.2), (late.fence, "late", 0.9):
        await db.tasks.progress([Tick(task_id=id, fence=fence, stage=stage, progress=progress)])

    task = await db.tasks.get(PROJECT, id)
    assert (task.progress, task.stage) == (0.5, "store")


async def test_an_attempt_keeps_when_its_stages_began(db: Bench) -> None:
    id = await db.accept()
    taken = await db.take(id)
    assert taken is not None

    await db.tasks.progress(
        [Tick(task_id=id, fence=taken.fence, stage="encode", progress=0.5, stages=[("probe", 0.0), ("encode", 0.25)])]
    )
    [running] = (await db.tasks.get(PROJECT, id)).attempts
    await db.finish(taken, stages=[("probe", 0.0), ("encode", 0.25), ("store", 1.5)])
    [ended] = (await db.tasks.get(PROJECT, id)).attempts

    assert [stage.name for stage in running.stages] == ["probe", "encode"]
    assert [(s.name, (s.started_at - ended.started_at).total_seconds()) for s in ended.stages] == [
        ("probe", 0.0),
        ("encode", 0.25),
        ("store", 1.5),
    ]
    assert ended.stage == "store"


async def test_a_second_entry_of_a_task_goes_and_starts_nothing(db: Bench) -> None:
    id = await db.accept()
    await enqueue(db.pool, [Entry("cpu", id)])
    first, second = (row["id"] for row in await db.pool.fetch("SELECT id FROM pgqueuer ORDER BY id"))

    found = await db.tasks.take([Take(task_id=id, job_id=job, worker="w") for job in (first, second)])

    assert [taken and taken.job_id for taken in found] == [None, second]
    assert [row["id"] for row in await db.pool.fetch("SELECT id FROM pgqueuer")] == [second]
    assert (await db.tasks.get(PROJECT, id)).attempt == 1


async def test_whoever_takes_a_task_and_whoever_ends_its_run_do_not_wait_for_each_other(db: Bench) -> None:
    """Cancelling locks the run and then its tasks. A taker that locked the task first waited for the run in turn."""
    id = await db.accept()
    await db.pool.execute("UPDATE tasks SET place = 0 WHERE id = $1", id)
    async with db.pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM runs r JOIN tasks t ON t.run_id = r.id WHERE t.id = $1 FOR UPDATE OF r", id)
        taking = asyncio.create_task(db.take(id))
        async with asyncio.timeout(30):
            while not await other.fetchval(WAITING):
                await asyncio.sleep(0)

        await other.execute("SELECT FROM tasks WHERE id = $1 FOR UPDATE NOWAIT", id)

    assert await taking is not None


async def test_two_takers_never_hold_one_task(db: Bench) -> None:
    ids = [await db.accept() for _ in range(20)]
    jobs = [Take(task_id=id, job_id=await db.job_of(id) or 0, worker="w") for id in ids]

    first, second = await asyncio.gather(db.tasks.take(jobs), db.tasks.take(jobs[::-1]))
    ended = [await db.finish(taken) for taken in [*first, *second] if taken is not None]

    assert sum(ended) == 20
    assert await db.pool.fetchval("SELECT count(*) FROM events WHERE type = 'task.succeeded'") == 20


async def test_deleted_input_and_output_read_as_null(db: Bench) -> None:
    file = await db.file()
    id = await db.accept(kind="convert", queue="cpu", inputs=[Source(file=file)])
    taken = await db.take(id)
    assert taken is not None
    await db.finish(taken, outputs=[("result", MADE)])
    made = (await db.tasks.get(PROJECT, id)).result
    assert made is not None

    await db.files.delete(PROJECT, file)
    await db.files.delete(PROJECT, made.id)

    task = await db.tasks.get(PROJECT, id)
    assert (task.inputs[0].file, task.result) == (None, None)


async def test_nul_characters_in_results_do_not_lose_them(db: Bench) -> None:
    id = await db.accept(metadata={"a\0": "b\ud800"})
    taken = await db.take(id)
    assert taken is not None

    await db.finish(taken, details={"title": "x\0y", "kept": "\\u0000"})

    task = await db.tasks.get(PROJECT, id)
    assert task.details == {"title": "x\ufffdy", "kept": "\\u0000"}
    assert task.metadata == {"a\ufffd": "b?"}


async def test_a_result_that_cannot_be_written_is_told_from_a_database_that_is_away(db: Bench) -> None:
    taken = await db.take(await db.accept())
    assert taken is not None

    with pytest.raises(Unwritable):
        await db.finish(taken, outputs=[("result", replace(MADE, size_bytes=1 << 70))])

    assert (await db.tasks.get(PROJECT, taken.task.id)).state is State.RUNNING
