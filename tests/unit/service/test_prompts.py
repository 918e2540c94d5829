"""Runs: what can be asked of them, and what each of the answers changes."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.prompts import CALLER, Table, table
from tests.support.records import PROJECT

from mediamill.core.dispatch import Take
from mediamill.core.errors import Conflict, Invalid, LimitReached, NotFound
from mediamill.core.ids import ProjectId
from mediamill.core.prompts import NewPrompt, PromptFilter, Settings, Status, as_task, status
from mediamill.core.tasks import NewTask, Origin, Page, State
from mediamill.store.expiry import Expiry


def _soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def _status(db: Table, id: str) -> Status:
    return status((await db.prompts.get(CALLER, id)).task)


async def test_a_run_keeps_what_it_was_started_with(dsn: str) -> None:
    async with table(dsn) as db:
        new = NewPrompt(
            prompt="Cut a teaser.",
            model="local/small",
            payload={"a": [1]},
            settings=Settings(max_attempts=2, max_steps=5, tags=["one", "two", "one"], metadata={"m": 1}, priority=7),
            server_tags=["account:1"],
            idempotency_key="hash",
            shown_key="mine",
            is_test=True,
        )
        task, fresh = await db.prompts.trigger(CALLER, new)

        assert fresh
        assert (task.kind, task.state, task.priority, task.max_attempts) == ("prompt", State.QUEUED, 7, 2)
        assert task.options == {
            "prompt": "Cut a teaser.",
            "model": "local/small",
            "payload": {"a": [1]},
            "max_steps": 5,
        }
        assert task.metadata == {"m": 1}
        assert list(task.origin.tags) == ["account:1", "one", "two"]
        assert task.extra["prompt"]["idempotency_key"] == "mine"
        assert task.extra["prompt"]["is_test"] is True
        assert await db.bench.job_of(task.id) is not None


async def test_an_unknown_identifier_is_not_found(dsn: str) -> None:
    async with table(dsn) as db:
        with pytest.raises(NotFound):
            await db.start(NewPrompt(identifier="nobody's", prompt="x"))


async def test_a_run_that_no_worker_runs_is_held(dsn: str) -> None:
    async with table(dsn) as db:
        task = await db.start(NewPrompt(identifier="idle", prompt="x"))

        assert status(task) is Status.UNSERVED
        assert await db.bench.job_of(task.id) is None


async def test_the_same_key_answers_the_first_run_whatever_the_body(dsn: str) -> None:
    async with table(dsn) as db:
        first, _ = await db.prompts.trigger(CALLER, NewPrompt(prompt="a", idempotency_key="k"))
        again, fresh = await db.prompts.trigger(CALLER, NewPrompt(prompt="b", idempotency_key="k"))
        other, elsewhere = await db.prompts.trigger(
            CALLER, NewPrompt(identifier="idle", prompt="a", idempotency_key="k")
        )

        assert (again.id, fresh) == (first.id, False)
        assert elsewhere
        assert other.id != first.id


async def test_a_failed_run_frees_its_key_and_no_other_does(dsn: str) -> None:
    async with table(dsn) as db:

        async def key(name: str) -> tuple[str, bool]:
            task, fresh = await db.prompts.trigger(CALLER, NewPrompt(prompt="a", idempotency_key=name))
            return task.id, fresh

        failed, done, cancelled = (await key("f"))[0], (await key("d"))[0], (await key("c"))[0]
        await db.fail(failed)
        await db.finish(done)
        await db.prompts.cancel(CALLER, cancelled)

        assert (await key("d")) == (done, False)
        assert (await key("c")) == (cancelled, False)
        second, fresh = await key("f")
        assert fresh
        assert second != failed


async def test_a_key_is_kept_for_its_lifetime(dsn: str) -> None:
    async with table(dsn) as db:
        first, _ = await db.prompts.trigger(CALLER, NewPrompt(prompt="a", idempotency_key="k", idempotency_s=3600))
        kept = await db.bench.pool.fetchval("SELECT expires_at - created_at FROM idempotency")
        assert timedelta(minutes=59) < kept < timedelta(minutes=61)

        await db.bench.pool.execute("UPDATE idempotency SET expires_at = now() - interval '1 second'")
        second, fresh = await db.prompts.trigger(CALLER, NewPrompt(prompt="a", idempotency_key="k"))

        assert fresh
        assert second.id != first.id


async def test_a_batch_is_written_whole_or_not_at_all(dsn: str) -> None:
    async with table(dsn, limit=3) as db:
        batch, found = await db.prompts.batch(CALLER, [NewPrompt(prompt=str(n)) for n in range(2)])
        with pytest.raises(LimitReached):
            await db.prompts.batch(CALLER, [NewPrompt(prompt=str(n), idempotency_key=str(n)) for n in range(2)])
        with pytest.raises(Invalid) as bad:
            await db.prompts.batch(CALLER, [NewPrompt(prompt="a"), NewPrompt(prompt=" ")])
        assert bad.value.field == "items.1.prompt"

        listed = (await db.prompts.list(CALLER, Page(), PromptFilter(batch_id=batch))).items
        assert {task.id for task in listed} == {task.id for task, _ in found}
        assert await db.bench.pool.fetchval("SELECT count(*) FROM tasks") == 2
        assert await db.bench.pool.fetchval("SELECT count(*) FROM idempotency") == 0


async def test_a_batch_may_name_a_key_twice(dsn: str) -> None:
    async with table(dsn) as db:
        new = NewPrompt(prompt="a", idempotency_key="k")
        _, [(first, fresh), (second, again)] = await db.prompts.batch(CALLER, [new, new])

        assert (second.id, fresh, again) == (first.id, True, False)


async def test_a_delayed_run_is_put_off_and_brought_forward_with_its_entry(dsn: str) -> None:
    async with table(dsn) as db:
        new = NewPrompt(prompt="a", not_before=_soon(3600), settings=Settings(ttl_s=60), ttl="1m")
        task = await db.start(new)
        assert await _status(db, task.id) is Status.DELAYED
        assert task.expires_at is not None
        assert task.not_before is not None
        assert (task.expires_at - task.not_before).total_seconds() == pytest.approx(60, abs=1)

        moved = await db.prompts.reschedule(CALLER, task.id, "2d")
        assert moved.not_before is not None
        assert moved.expires_at is not None
        assert moved.not_before > _soon(47 * 3600)
        assert moved.expires_at == moved.not_before + timedelta(seconds=60)
        jobs = await db.bench.pool.fetch("SELECT id, execute_after FROM pgqueuer WHERE payload = $1", task.id.encode())
        assert len(jobs) == 1
        assert abs((jobs[0]["execute_after"] - moved.not_before).total_seconds()) < 1

        sooner = await db.prompts.reschedule(CALLER, task.id, _soon(-5))
        assert status(sooner) is Status.QUEUED
        with pytest.raises(Conflict):
            await db.prompts.reschedule(CALLER, task.id, "1h")


@pytest.mark.parametrize("delay", ["", "soon", "1h 30m", "-1h", "400d", "2026-13-01"])
async def test_a_bad_delay_is_refused(dsn: str, delay: str) -> None:
    async with table(dsn) as db:
        task = await db.start(NewPrompt(prompt="a", not_before=_soon(3600)))
        with pytest.raises(Invalid):
            await db.prompts.reschedule(CALLER, task.id, delay)


async def test_an_entry_that_was_taken_while_its_run_was_put_off_starts_nothing(dsn: str) -> None:
    async with table(dsn) as db:
        task = await db.start(NewPrompt(prompt="a", not_before=_soon(3600)))
        job = await db.bench.job_of(task.id)
        await db.prompts.reschedule(CALLER, task.id, "2h")

        [taken] = await db.bench.tasks.take([_take(task.id, job)])

        assert taken is None
        assert await _status(db, task.id) is Status.DELAYED
        assert await db.bench.job_of(task.id) is not None


def _take(id: str, job: int | None) -> Take:
    return Take(task_id=id, job_id=job or 0, worker="w")


async def test_what_is_not_started_within_its_ttl_expires_without_an_attempt(dsn: str) -> None:
    async with table(dsn) as db:
        task = await db.start(NewPrompt(prompt="a", settings=Settings(ttl_s=5400), ttl="1h30m"))
        started = await db.start(NewPrompt(prompt="a", settings=Settings(ttl_s=5400)))
        await db.take(started.id)
        await db.bench.pool.execute("UPDATE tasks SET expires_at = now() - interval '1 second'")

        assert await Expiry(db.bench.pool).expire() == 1

        run = await db.prompts.get(CALLER, task.id)
        assert status(run.task) is Status.EXPIRED
        assert run.task.error is not None
        assert "1h30m" in run.task.error.message
        assert run.task.attempts == []
        assert run.task.finished_at is not None
        assert await db.bench.events(task.id) == ["task.created", "task.failed"]
        assert await db.bench.pool.fetchval("SELECT state FROM runs WHERE id = $1", task.run_id) == "failed"
        assert await _status(db, started.id) is Status.DEQUEUED


async def test_a_worker_does_not_start_what_has_expired(dsn: str) -> None:
    async with table(dsn) as db:
        task = await db.start(ttl_s=60)
        await db.bench.pool.execute("UPDATE tasks SET expires_at = now() - interval '1 second'")

        assert await db.bench.take(task.id) is None
        assert await _status(db, task.id) is Status.EXPIRED
        assert await db.bench.job_of(task.id) is None


async def test_a_ttl_of_nothing_is_none_and_the_longest_is_a_fortnight() -> None:
    def ttl(seconds: float) -> float | None:
        return as_task(NewPrompt(prompt="a", settings=Settings(ttl_s=seconds))).origin.ttl_s

    assert ttl(0) is None
    assert ttl(10**9) == 14 * 86400


async def test_a_cancelled_run_takes_along_all_that_it_asked_for(dsn: str) -> None:
    async with table(dsn) as db:
        root = await db.start()
        await db.take(root.id)
        child = await db.start(NewPrompt(prompt="b", caller_id=root.id))
        grandchild = await db.start(NewPrompt(prompt="c", caller_id=child.id))
        made, _ = await db.tasks.create(CALLER, NewTask(kind="ping", origin=Origin(caller_id=grandchild.id)))
        other = await db.start()
        assert (child.origin.depth, grandchild.origin.depth, made.origin.depth) == (1, 2, 3)
        assert {child.origin.root_id, grandchild.origin.root_id, made.origin.root_id} == {root.id}

        run = await db.prompts.cancel(CALLER, root.id, wait_s=0)

        assert run.task.cancel_requested
        assert run.task.state is State.RUNNING
        for task in (child, grandchild, made):
            assert (await db.bench.tasks.get(PROJECT, task.id)).state is State.CANCELLED
        assert await _status(db, other.id) is Status.QUEUED
        with pytest.raises(Conflict):
            await db.start(NewPrompt(prompt="d", caller_id=root.id))


async def test_cancelling_twice_and_cancelling_what_has_ended_change_nothing(dsn: str) -> None:
    async with table(dsn) as db:
        task, done = await db.start(), await db.start()
        await db.finish(done.id)

        first = await db.prompts.cancel(CALLER, task.id)
        second = await db.prompts.cancel(CALLER, task.id)
        assert status(first.task) is Status.CANCELED
        assert second.task == first.task
        assert status((await db.prompts.cancel(CALLER, done.id)).task) is Status.COMPLETED
        with pytest.raises(NotFound):
            await db.prompts.cancel(CALLER, "t0")


async def test_a_run_is_read_with_those_it_belongs_with(dsn: str) -> None:
    async with table(dsn) as db:
        root = await db.start()
        child = await db.start(NewPrompt(prompt="b", caller_id=root.id))
        leaf = await db.start(NewPrompt(prompt="c", caller_id=child.id))
        made, _ = await db.tasks.create(CALLER, NewTask(kind="ping", origin=Origin(caller_id=child.id)))

        run = await db.prompts.get(CALLER, child.id)

        assert run.root is not None
        assert run.parent is not None
        assert (run.root.id, run.parent.id) == (root.id, root.id)
        assert [each.id for each in run.children] == [leaf.id]
        assert [each.id for each in run.created] == [made.id]
        alone = await db.prompts.get(CALLER, root.id)
        assert (alone.root, alone.parent) == (None, None)
        assert [each.id for each in alone.children] == [child.id]


async def test_a_replay_asks_the_same_without_key_ttl_and_delay(dsn: str) -> None:
    async with table(dsn) as db:
        old = await db.start(
            NewPrompt(
                prompt="Cut.",
                payload={"x": 1},
                settings=Settings(
                    tags=["t"], metadata={"mine": 1, "currentStep": "x", "logs": []}, ttl_s=60, max_steps=4
                ),
                ttl="1m",
                server_tags=["account:1"],
                not_before=_soon(60),
                idempotency_key="k",
            )
        )
        new = await db.prompts.replay(CALLER, old.id)

        assert new.id != old.id
        assert new.retry_of == old.id
        assert status(new) is Status.QUEUED
        assert new.options == old.options
        assert new.origin.tags == old.origin.tags
        assert new.metadata == {"mine": 1}
        assert new.extra["prompt"] == {
            "function": "trigger", "is_test": False, "payload": {"x": 1}, "server_tags": ["account:1"],
        }  # fmt: skip
        assert (new.expires_at, new.not_before) == (None, None)


async def test_tags_are_added_up_to_ten_of_the_callers(dsn: str) -> None:
    async with table(dsn) as db:
        task = await db.start(
            NewPrompt(prompt="a", settings=Settings(tags=[str(n) for n in range(9)]), server_tags=["account:1"])
        )
        grown = await db.prompts.add_tags(CALLER, task.id, ["new", "1"])
        assert list(grown.origin.tags)[-1] == "new"
        with pytest.raises(Invalid):
            await db.prompts.add_tags(CALLER, task.id, ["eleventh"])
        found = await db.prompts.list(CALLER, Page(), PromptFilter(tags=["new", "1"]))
        assert [each.id for each in found.items] == [task.id]


@pytest.mark.parametrize("tags", [["x" * 129], [""], [str(n) for n in range(11)]])
async def test_bad_tags_are_refused(dsn: str, tags: list[str]) -> None:
    async with table(dsn) as db:
        with pytest.raises(Invalid):
            await db.start(tags=tags)


async def test_metadata_is_replaced_while_a_run_is_at_work(dsn: str) -> None:
    async with table(dsn) as db:
        task = await db.start(metadata={"old": 1})
        await db.take(task.id)
        assert (await db.prompts.set_metadata(CALLER, task.id, {"new": 2})).metadata == {"new": 2}


async def test_the_result_is_there_once_a_run_has_ended(dsn: str) -> None:
    async with table(dsn) as db:
        done, bad = await db.start(), await db.start()
        with pytest.raises(NotFound):
            await db.prompts.result(CALLER, done.id)
        await db.finish(done.id, details={"output": {"text": "hi"}})
        await db.fail(bad.id)

        good, not_good = await db.prompts.result(CALLER, done.id), await db.prompts.result(CALLER, bad.id)
        assert (good.ok, good.output) == (True, {"text": "hi"})
        assert (not_good.ok, not_good.output, not_good.status) == (False, None, Status.FAILED)


async def test_runs_of_other_projects_and_other_kinds_are_not_there(dsn: str) -> None:
    async with table(dsn) as db:
        plain = await db.bench.accept()
        mine = await db.start()
        stranger = replace(CALLER, project_id=ProjectId("other"))
        with pytest.raises(NotFound):
            await db.prompts.get(CALLER, plain)
        for verb in (db.prompts.get, db.prompts.cancel, db.prompts.replay, db.prompts.result, db.prompts.steps):
            with pytest.raises(NotFound):
                await verb(stranger, mine.id)
        with pytest.raises(NotFound):
            await db.prompts.add_tags(stranger, mine.id, ["a"])
        with pytest.raises(NotFound):
            await db.prompts.set_metadata(stranger, mine.id, {})
        with pytest.raises(NotFound):
            await db.prompts.reschedule(stranger, mine.id, "1h")
        assert (await db.prompts.list(stranger, Page())).items == []


async def test_many_with_one_key_at_once_start_one_run(dsn: str) -> None:
    async with table(dsn) as db:
        for _ in range(5):
            ones, lots = await asyncio.gather(
                asyncio.gather(
                    *(db.prompts.trigger(CALLER, NewPrompt(prompt=str(n), idempotency_key="k")) for n in range(20))
                ),
                asyncio.gather(
                    *(db.prompts.batch(CALLER, [NewPrompt(prompt="b", idempotency_key="k")]) for _ in range(5))
                ),
            )
            tasks = [*ones, *(entry for _, entries in lots for entry in entries)]
            assert len({task.id for task, _ in tasks}) == 1
            assert sum(fresh for _, fresh in tasks) == 1
            await db.fail(tasks[0][0].id)
