"""A job goes to a warm child and its result comes back."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import uvloop
from tests.support.children import LIMITS, alive, children_in, job, run, until

from mediamill.core.errors import BadMedia, Cancelled, SourceUnreachable, TimedOut, ToolFailed, WorkerLost
from mediamill.worker import _tree
from mediamill.worker.child import REPORT_EVERY_S
from mediamill.worker.children import Children, Done, OutputFile
from mediamill.worker.messages import Answered, Call, Made

Reports = list[tuple[str, float | None]]


@pytest.fixture
async def children(tmp_path: Path) -> AsyncIterator[Children]:
    async with children_in(tmp_path / "slots", slots=1) as found:
        yield found


async def test_a_job_returns_its_files_and_facts(children: Children) -> None:
    async with children.slot() as slot:
        (slot.inputs / "0.txt").write_bytes(b"words")

        done = await slot.run(job("copy", inputs=[("0.txt", "text/plain", "a name.txt")], probe=True), ignore)

        [output] = done.outputs
        with output.open() as file:
            assert file.read() == b"WORDS"
        assert output.path == slot.work / "deep" / "copy.txt"
        assert (output.mime, output.filename, output.role) == ("text/plain", "a name.txt", "result")
        assert (output.size_bytes, output.facts) == (5, {"entries": 5})
        assert done.input_facts == [{"entries": 5}]
        assert done.details == {"ok": True}


async def test_an_input_that_cannot_be_probed_has_no_facts_and_the_work_goes_on(children: Children) -> None:
    async with children.slot() as slot:
        (slot.inputs / "0.txt").write_bytes(b"unreadable")

        done = await slot.run(job("copy", inputs=[("0.txt", "text/plain", "a.txt")], probe=True), ignore)

        assert done.input_facts == [{}]
        assert done.outputs[0].size_bytes == 10


async def test_an_input_can_be_handed_on_as_it_is(children: Children) -> None:
    names = ["0.txt", "1.txt"]
    async with children.slot() as slot:
        for name in [*names, "other"]:
            (slot.inputs / name).write_bytes(name.encode())
        inputs = [(name, "text/plain", f"my {name}") for name in names]

        [output] = (await slot.run(job("hand_on", inputs=inputs), ignore)).outputs

        with output.open() as file:
            assert file.read() == b"1.txt"
        assert (output.input, output.filename, output.size_bytes) == (1, "my 1.txt", 5)
        with pytest.raises(ToolFailed, match="not a file of its own"):
            await slot.run(job("hand_on_another", inputs=inputs), ignore)


async def test_a_child_cannot_hand_on_an_input_that_it_was_not_given(children: Children) -> None:
    async with children.slot() as slot:
        for claimed in (1, -1):
            lie = Made(path="", mime="text/plain", filename="a", role="result", facts={}, input=claimed)
            with pytest.raises(WorkerLost, match="did not make"):
                slot._output(lie, job("hand_on", inputs=[("0.txt", "text/plain", "a")]))


async def test_the_child_stays_for_the_next_job(children: Children) -> None:
    first = await run(children, "trivial")
    second = await run(children, "trivial")

    assert first.details["pid"] == second.details["pid"]


async def test_reports_arrive_in_order_and_few(children: Children) -> None:
    reports: Reports = []
    began_s = time.monotonic()

    await run(children, "progress", count=5000, on_report=lambda *report: reports.append(report))

    stages = [stage for stage, _ in reports]
    assert list(dict.fromkeys(stages)) == ["fetch", "work", "encode"]
    assert [dict(reversed(reports))[stage] for stage in ("fetch", "work", "encode")] == [0, 0, 0]  # the first of each
    assert reports == sorted(reports, key=lambda r: (["fetch", "work", "encode"].index(r[0]), r[1] or 0))
    took_s = time.monotonic() - began_s
    assert len(reports) <= 6 + took_s / REPORT_EVERY_S, "one of each stage, and then one every twentieth of a second"


async def test_the_folders_are_empty_for_the_next_job(children: Children) -> None:
    async with children.slot() as slot:
        (slot.inputs / "0.txt").write_bytes(b"words")
        await slot.run(job("copy", inputs=[("0.txt", "text/plain", "a.txt")]), ignore)

    async with children.slot() as slot:
        assert list(slot.inputs.iterdir()) == []
        assert [path.name for path in slot.work.iterdir()] == ["tmp"]


async def test_a_folder_closed_by_a_job_is_wiped_too(children: Children) -> None:
    await run(children, "closed_folder")

    async with children.slot() as slot:
        assert [path.name for path in slot.work.iterdir()] == ["tmp"]


async def test_a_slot_is_one_job_at_a_time(children: Children) -> None:
    both = await asyncio.gather(run(children, "trivial"), run(children, "trivial"))

    assert both[0].details["pid"] == both[1].details["pid"]


async def test_a_job_too_large_for_one_packet_goes_through(children: Children) -> None:
    done = await run(children, "trivial", path="x" * 3_000_000)

    assert done.outputs == []


async def test_a_failure_keeps_its_class_message_and_stage(children: Children) -> None:
    with pytest.raises(BadMedia, match=r"^The bytes make no sense\.$") as caught:
        await run(children, "bad")

    assert caught.value.stage == "decode"
    assert caught.value.code == "bad_media"


async def test_a_refusal_found_late_is_a_failure_of_the_input_with_its_own_code(children: Children) -> None:
    with pytest.raises(BadMedia, match=r"^format: not this one$") as caught:
        await run(children, "refuse")

    assert caught.value.code == "unsupported"


async def test_options_that_do_not_fit_are_refused(children: Children) -> None:
    with pytest.raises(BadMedia) as caught:
        await run(children, "trivial", count="many")

    assert caught.value.code == "invalid"


async def test_a_bug_shows_no_detail_but_logs_its_trace(children: Children) -> None:
    with pytest.raises(ToolFailed) as caught:
        await run(children, "bug")

    assert str(caught.value) == "The work failed unexpectedly."
    assert "RuntimeError: a detail that no caller may see" in caught.value.private


async def test_a_crash_names_the_signal_and_keeps_what_was_said_before(children: Children) -> None:
    with pytest.raises(WorkerLost, match="SIGABRT") as caught:
        await run(children, "crash")

    assert "about to fall over" in caught.value.stderr_tail


async def test_after_a_crash_the_slot_works_again(children: Children) -> None:
    with pytest.raises(WorkerLost, match="SIGSEGV"):
        await run(children, "segfault")

    assert (await run(children, "trivial")).outputs == []


async def test_children_are_replaced_after_their_number_of_tasks(tmp_path: Path) -> None:
    async with children_in(tmp_path / "slots", slots=1, recycle_after_tasks=2) as children:
        pids = [(await run(children, "trivial")).details["pid"] for _ in range(4)]

    assert pids[0] == pids[1] != pids[2] == pids[3]


async def test_a_child_grown_too_large_is_replaced(tmp_path: Path) -> None:
    async with children_in(tmp_path / "slots", slots=1, recycle_above_bytes=1) as children:
        first = await run(children, "trivial")
        second = await run(children, "trivial")

    assert first.details["pid"] != second.details["pid"]


async def test_a_large_child_that_nobody_wants_is_replaced(tmp_path: Path) -> None:
    async with children_in(tmp_path / "slots", slots=1, idle_s=0.01, large_bytes=1) as children:
        first = await run(children, "trivial")
        await until(lambda: not alive(first.details["pid"]))
        second = await run(children, "trivial")

    assert first.details["pid"] != second.details["pid"]


async def test_a_small_child_waits_for_the_next_task_however_long(tmp_path: Path) -> None:
    async with children_in(tmp_path / "slots", slots=1, idle_s=0.01, large_bytes=1 << 40) as children:
        first = await run(children, "trivial")
        await until(lambda: children._free[0].idle_since_s == 0.0)  # judged
        second = await run(children, "trivial")

    assert first.details["pid"] == second.details["pid"]


async def test_no_child_serves_two_owners(tmp_path: Path) -> None:
    async with children_in(tmp_path / "slots", slots=2) as children:
        pids: dict[str, set[int]] = {}
        for owner in ("a", "b", "a", "b", "c", "a", "a"):
            async with children.slot(owner) as slot:
                done = await slot.run(job("trivial"), ignore)
            pids.setdefault(owner, set()).add(done.details["pid"])

    assert not pids["a"] & pids["b"]
    assert not pids["c"] & (pids["a"] | pids["b"])
    assert len(pids["b"]) == 1  # kept while there was room


async def test_a_child_that_has_done_the_like_is_taken_first(tmp_path: Path) -> None:
    async with children_in(tmp_path / "slots", slots=2) as children:
        async with children.slot("a") as other, children.slot("a") as slot:
            await other.run(job("environment"), ignore)
            done = await slot.run(job("trivial"), ignore)
        async with children.slot("a") as last:
            await last.run(job("environment"), ignore)

        async with children.slot("a", "trivial") as slot:
            again = await slot.run(job("trivial"), ignore)

    assert last is other
    assert again.details["pid"] == done.details["pid"]


async def test_cancel_ends_the_whole_tree_within_a_second(children: Children) -> None:
    loop = asyncio.get_running_loop()
    async with children.slot() as slot:
        running = asyncio.create_task(slot.run(job("tool_tree"), ignore))
        daemon = await until(lambda: _number_in(slot.work / "daemon"))

        began_s = loop.time()
        await slot.kill()
        took_s = loop.time() - began_s

        assert not alive(daemon)
        assert took_s < 1
        with pytest.raises(Cancelled):
            await running

    assert (await run(children, "trivial")).outputs == []


def test_the_server_s_event_loop_serves_as_well(tmp_path: Path) -> None:
    async def work() -> None:
        async with children_in(tmp_path / "slots", slots=1) as children:
            assert (await run(children, "trivial", path="x" * 3_000_000)).outputs == []
            with pytest.raises(WorkerLost, match="SIGABRT") as caught:
                await run(children, "crash")
            assert "about to fall over" in caught.value.stderr_tail
            assert (await run(children, "trivial")).outputs == []

    uvloop.run(work())


async def test_cancel_before_the_start_is_honoured(children: Children) -> None:
    async with children.slot() as slot:
        await slot.kill()

        with pytest.raises(Cancelled):
            await slot.run(job("trivial"), ignore)

    assert (await run(children, "trivial")).outputs == []


async def test_a_caller_that_is_cancelled_leaves_nothing_running(children: Children) -> None:
    daemons: list[int] = []

    async def work() -> None:
        async with children.slot() as slot:
            running = asyncio.create_task(slot.run(job("tool_tree"), ignore))
            daemons.append(await until(lambda: _number_in(slot.work / "daemon")))
            await running

    working = asyncio.create_task(work())
    await until(lambda: daemons)
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working

    assert not alive(daemons[0])
    assert (await run(children, "trivial")).outputs == []


async def test_a_daemon_left_by_a_finished_job_is_ended(children: Children) -> None:
    done = await run(children, "leave_daemon")

    assert not alive(done.details["daemon"])


async def test_an_output_that_is_a_link_is_refused(children: Children, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("secret")

    with pytest.raises(ToolFailed, match="not a file of its own"):
        await run(children, "link_out", path=str(tmp_path / "private"))


async def test_the_environment_of_the_server_is_not_the_child_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MEDIAMILL_DATABASE_URL", "postgresql://secret")
    async with children_in(tmp_path / "slots", slots=1) as children:
        done = await run(children, "environment")

    environment = done.details["environment"]
    assert "MEDIAMILL_DATABASE_URL" not in environment
    assert environment["TMPDIR"] == str(tmp_path / "slots" / "slot-0" / "work" / "tmp")


async def test_close_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    async with children_in(tmp_path / "slots", slots=2) as children:
        pid = (await run(children, "trivial")).details["pid"]

    assert not alive(pid)
    assert list((tmp_path / "slots").iterdir()) == []


async def test_what_a_killed_worker_left_is_gone_at_the_next_start(tmp_path: Path) -> None:
    stale = tmp_path / "slots" / "slot-0" / "work" / "stale"
    stale.mkdir(parents=True)

    async with children_in(tmp_path / "slots", slots=1):
        assert not stale.exists()


async def test_the_limits_of_one_job_do_not_bind_the_next(children: Children) -> None:
    for _ in range(3):
        done = await run(children, "hog", count=4)
        assert done.details == {"held": 4}
    assert LIMITS.memory_bytes < 3 * 4 * (16 << 20)


def ignore(stage: str, fraction: float | None) -> None:
    """For jobs whose progress does not matter."""


def _number_in(path: Path) -> int | None:
    return int(path.read_text()) if path.exists() and path.read_text() else None


# --- several small jobs at one go


async def test_small_jobs_go_together_and_are_answered_in_order(children: Children) -> None:
    async with children.slot() as slot:
        found = await slot.run_all([job("trivial"), job("bad"), job("bug"), job("trivial")], LIMITS)

    done = [answer for answer in found if isinstance(answer, Done)]
    assert [type(answer) for answer in found] == [Done, BadMedia, ToolFailed, Done]
    assert len({answer.details["pid"] for answer in done}) == 1
    assert "secret" not in str(found[2])


async def test_a_job_that_ends_the_child_leaves_the_others_to_be_done_alone(children: Children) -> None:
    async with children.slot() as slot:
        with pytest.raises(WorkerLost):
            await slot.run_all([job("trivial"), job("segfault"), job("trivial")], LIMITS)

    assert (await run(children, "trivial")).details["pid"]


async def test_jobs_together_have_their_time_together(children: Children) -> None:
    async with children.slot() as slot:
        with pytest.raises(TimedOut):
            await slot.run_all([job("trivial"), job("sleep")], dataclasses.replace(LIMITS, wall_s=0.2))


@pytest.mark.parametrize("left", ["in/a", "work/a", "work/tmp/a"])
async def test_a_seal_is_broken_by_whatever_lies_in_a_folder(tmp_path: Path, left: str) -> None:
    _tree.make(tmp_path)
    seal = _tree.Seal(tmp_path / "in", tmp_path / "work")
    made_ns = max((tmp_path / name).stat().st_ctime_ns for name in ("in", "work", "work/tmp"))
    await until(lambda: time.time_ns() - made_ns > 100_000_000)  # old enough to go by the times alone
    assert seal.holds()
    assert seal.holds()

    (tmp_path / left).write_bytes(b"")
    broken = not seal.holds()
    (tmp_path / left).unlink()

    assert broken
    assert seal.holds()


def test_a_link_in_place_of_a_folder_breaks_the_seal(tmp_path: Path) -> None:
    _tree.make(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "work" / "tmp").rmdir()
    (tmp_path / "work" / "tmp").symlink_to(tmp_path / "elsewhere")

    assert not _tree.Seal(tmp_path / "in", tmp_path / "work").holds()


# --- what a child shows and asks for while it works


async def test_files_are_shown_while_the_work_goes_on(children: Children) -> None:
    shown: list[tuple[str, str, bytes]] = []

    def see(outputs: list[OutputFile]) -> None:
        shown.extend((output.role, output.filename, output.path.read_bytes()) for output in outputs)

    async with children.slot() as slot:
        await slot.run(job("show"), ignore, on_shown=see)

    assert shown == [("early", "one.txt", b"one"), ("early", "two.txt", b"two")]


async def test_a_child_asks_a_service_through_the_worker(children: Children) -> None:
    asked: list[tuple[str, str, Any, bytes | None]] = []

    async def answer(call: Call, file: BinaryIO | None) -> Answered:
        asked.append((call.service, call.path, call.json or call.form, file.read() if file else None))
        return Answered({"number": len(asked)}, "", "")

    async with children.slot() as slot:
        done = await slot.run(job("ask"), ignore, on_call=answer)

    assert asked == [("echo", "/path", {"a": "b"}, b"words"), ("echo", "/path", {"n": 1}, None)]
    assert done.details == {"said": {"number": 1}, "again": {"number": 2}}


async def test_a_service_that_fails_fails_the_work_with_its_words(children: Children) -> None:
    async def answer(call: Call, file: BinaryIO | None) -> Answered:
        return Answered(None, "SourceUnreachable", "It answered 503.")

    async with children.slot() as slot:
        with pytest.raises(SourceUnreachable, match="503"):
            await slot.run(job("ask"), ignore, on_call=answer)


async def test_a_file_that_is_not_the_childs_own_is_never_sent(children: Children) -> None:
    async def answer(call: Call, file: BinaryIO | None) -> Answered:
        raise AssertionError("asked")

    async with children.slot() as slot:
        with pytest.raises(ToolFailed, match="not its own"):
            await slot.run(job("ask_with_anothers_file"), ignore, on_call=answer)


async def test_without_anybody_to_ask_the_work_fails(children: Children) -> None:
    with pytest.raises(ToolFailed, match="not set up"):
        await run(children, "ask")
