"""Runs of prompts, attempt by attempt: what they do, what they are told, how they fail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.support.agents import Agents, agents
from tests.support.children import in_company
from tests.support.llm import Llm, Says, answering, results, scripted, turns
from tests.support.records import PROJECT

from mediamill.core.prompts import STAGE_WAITS
from mediamill.core.tasks import Origin, State

T = TypeVar("T")


async def soon(look: Callable[[], Awaitable[T]]) -> T:
    """What `look` finds, once it finds anything."""
    async with asyncio.timeout(90):
        while not (found := await look()):
            await asyncio.sleep(0.02)
    return found


async def waits(found: Agents) -> bool:
    return bool(found.ticks.seen) and found.ticks.seen[-1].stage == STAGE_WAITS


async def asked(llm: Llm) -> bool:
    return bool(llm.asked)


async def created_by(found: Agents, id: str) -> list[Any]:
    return list(await found.bench.pool.fetch("SELECT * FROM tasks WHERE caller_id = $1 ORDER BY created_at", id))


async def test_answer_without_calls_is_the_output(dsn: str, tmp_path: Path) -> None:
    script = scripted(Says(text="All is done.", usage=(50, 7)))
    async with answering(script) as llm, agents(dsn, tmp_path, llm, llm_price_in=100, llm_price_out=1000) as found:
        task = await found.run("Say that all is done.")
        assert task.state is State.SUCCEEDED
        assert task.details["output"] == {
            "text": "All is done.",
            "model": "local/small",
            "finishReason": "stop",
            "steps": 1,
            "usage": {"promptTokens": 50, "completionTokens": 7, "totalTokens": 57},
            "calls": [],
            "createdTaskIds": [],
        }
        assert task.details["cost_cents"] == pytest.approx((50 * 100 + 7 * 1000) / 1e6)
        assert task.details["usage"] == {"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57}
        assert task.details["duration_ms"] > 0
        assert task.metadata is not None
        assert task.metadata["taskId"] == task.id
        assert task.metadata["currentStep"] == "done"
        assert task.metadata["logs"] == ["1. local/small: 12 letters"]
        assert [message["role"] for message in llm.asked[0]["messages"]] == ["system", "user"]
        assert llm.asked[0]["messages"][1]["content"] == "Say that all is done."
        assert llm.headers[0][":path"] == "/v1/chat/completions"
        assert "authorization" not in llm.headers[0]


async def test_key_is_sent_and_a_model_of_its_own_is_passed_on(dsn: str, tmp_path: Path) -> None:
    async with (
        answering(scripted(Says(text="ok"))) as llm,
        agents(dsn, tmp_path, llm, llm_api_key="sk-of-the-tests") as found,
    ):
        task = await found.run(model="vendor/some-model:v9")
        assert task.state is State.SUCCEEDED
        assert llm.asked[0]["model"] == "vendor/some-model:v9"
        assert llm.headers[0]["authorization"] == "Bearer sk-of-the-tests"


async def test_without_an_endpoint_a_run_fails_once_and_says_what_to_set(dsn: str, tmp_path: Path) -> None:
    async with agents(dsn, tmp_path) as found:
        task = await found.run()
        assert task.state is State.FAILED
        assert task.error is not None
        assert task.error.name == "RunnerNotConfigured"
        assert "LLM_BASE_URL" in task.error.message
        assert len(task.attempts) == 1


async def test_what_it_creates_has_it_as_caller_and_waiting_is_frozen(dsn: str, tmp_path: Path) -> None:
    script = _create_and_wait
    async with answering(script) as llm, agents(dsn, tmp_path, llm) as found:
        id = await found.accept()
        running = asyncio.create_task(found.attempt(id))
        made = await soon(lambda: created_by(found, id))
        await soon(lambda: waits(found))
        assert made[0]["kind"] == "ping"
        assert (made[0]["depth"], made[0]["root_id"]) == (1, id)
        taken = await found.bench.take(made[0]["id"])
        assert taken is not None
        assert await found.bench.finish(taken, details={"pong": True})
        task = await running
        assert task.state is State.SUCCEEDED
        assert task.details["output"]["createdTaskIds"] == [made[0]["id"]]
        assert task.details["output"]["calls"][1]["result"]["state"] == "succeeded"
        steps = await found.steps.list(id)
        assert [(step.number, step.kind, step.state) for step in steps] == [
            (1, "model", "done"),
            (2, "call", "done"),
            (3, "model", "done"),
            (4, "call", "done"),
            (5, "model", "done"),
        ]


def _create_and_wait(messages: Any) -> Says:
    if turns(messages) == 0:
        return Says(calls=[("create_task", {"kind": "ping"})])
    if turns(messages) == 1:
        return Says(calls=[("wait_task", {"id": results(messages)[0]["id"]})])
    return Says(text="Done.")


async def test_bad_arguments_are_told_and_fail_nothing(dsn: str, tmp_path: Path) -> None:
    calls: list[tuple[str, Any]] = [
        ("create_task", {"kind": "no such kind"}),
        ("create_task", {"kind": "convert", "inputs": [{"url": "http://127.0.0.1/x"}], "options": {"format": "webp"}}),
        ("create_task", {"kind": "prompt"}),
        ("get_task", {"id": "t000"}),
        ("get_task", {"id": 7}),
        ("read_file", "{not json"),
        ("send_webhook", {"url": "http://10.0.0.1/", "body": {}}),
        ("send_webhook", {"url": "file:///etc/passwd", "body": {}}),
        ("run_shell", {"command": "id"}),
        ("list_files", {"limit": 10_000}),
    ]
    async with (
        answering(scripted(Says(calls=calls), Says(text="Nothing worked."))) as llm,
        agents(dsn, tmp_path, llm) as found,
    ):
        task = await found.run()
        assert task.state is State.SUCCEEDED
        told = task.details["output"]["calls"]
        assert [call["ok"] for call in told] == [False] * len(calls)
        assert all(call["result"]["error"] for call in told)
        assert await created_by(found, task.id) == []
        assert await found.bench.pool.fetchval("SELECT count(*) FROM deliveries") == 0


async def test_reads_only_text_and_only_its_own_project(dsn: str, tmp_path: Path) -> None:
    def script(messages: Any) -> Says:
        if turns(messages):
            return Says(text="Read.")
        return Says(calls=[("read_file", {"id": id, "length": 5}) for id in ids])

    async with answering(script) as llm, agents(dsn, tmp_path, llm) as found:
        text = await found.store(b"h\xc3\xa4llo world")
        binary = await found.store(b"\x89PNG\r\n\0\0", "a.png", "image/png")
        foreign = await found.bench.file(project="another")
        ids = [text, binary, foreign]
        task = await found.run()
        calls = task.details["output"]["calls"]
        assert (calls[0]["result"]["text"], calls[0]["result"]["more"]) == ("häll", True)
        assert [call["ok"] for call in calls] == [True, False, False]


async def test_webhook_is_one_delivery_with_the_body_it_was_given(dsn: str, tmp_path: Path) -> None:
    call = ("send_webhook", {"url": "https://example.org/hook", "body": {"made": ["f1"]}})
    async with (
        answering(scripted(Says(calls=[call]), Says(text="Sent."))) as llm,
        agents(dsn, tmp_path, llm) as found,
    ):
        task = await found.run()
        rows = await found.bench.pool.fetch("SELECT url, body, task_id, type, endpoint_id FROM deliveries")
        assert [tuple(row) for row in rows] == [
            ("https://example.org/hook", {"made": ["f1"]}, task.id, "prompt.webhook", None)
        ]


async def test_child_run_belongs_to_its_caller(dsn: str, tmp_path: Path) -> None:
    def script(messages: Any) -> Says:
        if messages[1]["content"] == "Be the child.":
            return Says(text="I was.")
        if turns(messages):
            return Says(text=results(messages)[0]["output"])
        return Says(calls=[("run_prompt", {"prompt": "Be the child."})])

    async with answering(script) as llm, agents(dsn, tmp_path, llm) as found:
        id = await found.accept(origin=Origin(identifier="prompt", tags=("account:a1",)))
        running = asyncio.create_task(found.attempt(id))
        made = await soon(lambda: created_by(found, id))
        child = await found.attempt(made[0]["id"])
        assert child.origin.caller_id == id
        assert child.origin.root_id == id
        assert (child.origin.depth, tuple(child.origin.tags)) == (1, ("account:a1",))
        assert child.extra["prompt"]["function"] == "triggerAndWait"
        assert (await running).details["output"]["text"] == "I was."


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 503])
async def test_endpoint_that_is_busy_is_tried_again_after_a_backoff(dsn: str, tmp_path: Path, status: int) -> None:
    async with (
        answering(lambda messages: Says(status=status, text="later")) as llm,
        agents(dsn, tmp_path, llm) as found,
    ):
        id = await found.accept(max_attempts=3)
        waits = []
        for _ in range(3):
            task = await found.attempt(id)
            waits.append(found.finishes[-1].retry_in_s)
        assert task.state is State.FAILED
        assert task.error is not None
        assert (task.error.name, task.error.message) == (
            "LlmHttpError",
            f"The model's endpoint answered {status}: later",
        )
        assert 1.0 <= waits[0] <= 2.0
        assert 2.0 <= waits[1] <= 4.0
        assert [attempt.state for attempt in task.attempts] == ["failed"] * 3
        assert all(attempt.error and attempt.error.name == "LlmHttpError" for attempt in task.attempts)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 302])
async def test_endpoint_that_refuses_is_asked_once(dsn: str, tmp_path: Path, status: int) -> None:
    async with (
        answering(lambda messages: Says(status=status, text="no", headers={"location": "/x"})) as llm,
        agents(dsn, tmp_path, llm) as found,
    ):
        task = await found.run()
        assert task.state is State.FAILED
        assert task.error is not None
        assert task.error.name == "LlmHttpError"
        assert len(llm.asked) == 1


async def test_retry_after_is_obeyed(dsn: str, tmp_path: Path) -> None:
    async with (
        answering(lambda messages: Says(status=429, headers={"retry-after": "37"})) as llm,
        agents(dsn, tmp_path, llm) as found,
    ):
        task = await found.run()
        assert task.state is State.DELAYED
        assert found.finishes[-1].retry_in_s == 37.0


async def test_error_tells_no_path_and_no_key(dsn: str, tmp_path: Path) -> None:
    async with (
        answering(lambda messages: Says(status=401, text="bad key sk-secret-1")) as llm,
        agents(dsn, tmp_path, llm, llm_api_key="sk-secret-1") as found,
    ):
        task = await found.run()
        assert task.error is not None
        assert task.error.stack is not None
        said = task.error.message + task.error.stack
        assert "sk-secret-1" not in said
        assert "mediamill/agent/chat.py:" in task.error.stack
        assert str(Path(__file__).parents[3]) not in said
        assert "/site-packages" not in said


async def test_endpoint_that_cannot_be_reached_or_breaks_off_is_tried_again(dsn: str, tmp_path: Path) -> None:
    async with (
        answering(scripted(Says(text="half of it", breaks_off=True))) as llm,
        agents(dsn, tmp_path, llm) as found,
    ):
        task = await found.run()
        assert task.state is State.DELAYED
    async with agents(dsn, tmp_path, llm) as found:  # nobody listens there any more
        task = await found.run(max_attempts=1)
        assert task.error is not None
        assert (task.error.name, task.error.code) == ("LlmHttpError", "llm_busy")


async def test_slow_model_is_a_timeout(dsn: str, tmp_path: Path) -> None:
    async with (
        answering(lambda messages: Says(stall=True)) as llm,
        agents(dsn, tmp_path, llm, llm_timeout_s=0.2) as found,
    ):
        task = await found.run(max_attempts=1)
        assert task.error is not None
        assert task.error.name == "LlmTimeout"


def _for_ever(messages: Any) -> Says:
    return Says(calls=[("list_files", {})], usage=(100, 20))


@pytest.mark.parametrize(
    ("limit", "name", "steps"),
    [
        ({"max_steps": 4}, "StepLimit", 4),
        ({"max_tokens": 300}, "TokenLimit", 6),
        ({"max_cost_cents": 0.5}, "CostLimit", 10),
        ({"max_cost_cents": 0}, "CostLimit", 2),
    ],
)
async def test_limits_end_a_run_without_another_attempt(
    dsn: str, tmp_path: Path, limit: dict[str, Any], name: str, steps: int
) -> None:
    async with answering(_for_ever) as llm, agents(dsn, tmp_path, llm, llm_price_in=1000) as found:
        task = await found.run(**limit)
        assert task.state is State.FAILED
        assert task.error is not None
        assert (task.error.name, task.error.family) == (name, "limit")
        assert len(await found.steps.list(task.id)) == steps
        assert len(task.attempts) == 1
        assert task.details["usage"]["total_tokens"] == 120 * -(-steps // 2)


async def test_answer_cut_off_by_the_token_limit_is_one(dsn: str, tmp_path: Path) -> None:
    async with answering(scripted(Says(text="It is", finish="length"))) as llm, agents(dsn, tmp_path, llm) as found:
        task = await found.run(max_tokens=500)
        assert llm.asked[0]["max_tokens"] == 500
        assert task.error is not None
        assert task.error.name == "TokenLimit"


async def test_work_that_takes_too_long_is_timed_out_and_not_tried_again(dsn: str, tmp_path: Path) -> None:
    async with answering(lambda messages: Says(stall=True)) as llm, agents(dsn, tmp_path, llm) as found:
        task = await found.run(max_duration_s=0.3)
        assert task.state is State.FAILED
        assert task.error is not None
        assert task.error.code == "timed_out"
        assert task.details["duration_ms"] >= 300


class Time:
    """The clock on the wall, which may be put forward."""

    def __init__(self) -> None:
        self.forward_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.forward_s


async def test_waiting_is_not_work(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wall = Time()
    monkeypatch.setattr("mediamill.agent.clock.time", wall)
    async with answering(_create_and_wait) as llm, agents(dsn, tmp_path, llm) as found:
        id = await found.accept(max_duration_s=600)
        running = asyncio.create_task(found.attempt(id))
        await soon(lambda: waits(found))
        wall.forward_s = 3600
        [made] = await created_by(found, id)
        taken = await found.bench.take(made["id"])
        assert taken is not None
        await found.bench.finish(taken)
        task = await running
        assert task.state is State.SUCCEEDED
        assert task.details["duration_ms"] < 600_000


async def test_cancel_ends_it_within_a_second_with_what_it_started(dsn: str, tmp_path: Path) -> None:
    async with answering(_create_and_wait) as llm, agents(dsn, tmp_path, llm) as found:
        id = await found.accept()
        running = asyncio.create_task(found.attempt(id))
        await soon(lambda: waits(found))
        await found.bench.tasks.cancel(PROJECT, id)
        began = asyncio.get_running_loop().time()
        await found.executor.cancel(id)
        task = await running
        assert asyncio.get_running_loop().time() - began < in_company(1.0)
        assert task.state is State.CANCELLED
        assert task.attempts[0].state == "cancelled"
        assert [row["state"] for row in await created_by(found, id)] == ["cancelled"]


async def test_late_worker_writes_nothing(dsn: str, tmp_path: Path) -> None:
    release = asyncio.Event()

    def script(messages: Any) -> Says:
        if turns(messages) == 0:
            return Says(text="one two three four", calls=[("create_task", {"kind": "ping"})], hold=release.wait)
        return Says(text="Done.")

    async with answering(script) as llm, agents(dsn, tmp_path, llm) as found:
        id = await found.accept()
        late = asyncio.create_task(found.attempt(id))
        await soon(lambda: asked(llm))
        second = await found.bench.take(id, worker="another")  # whose heart beats
        assert second is not None
        assert second.resumed
        release.set()
        task = await late
        assert task.state is State.RUNNING
        assert await created_by(found, id) == []
        [step] = await found.steps.list(id)
        assert (step.state, step.attempt) == ("begun", 1)
        assert task.attempts[0].error is not None
        assert task.attempts[0].error.name == "InterruptedError"


async def test_stopped_server_uses_up_an_attempt_and_goes_on_after_the_last_step(dsn: str, tmp_path: Path) -> None:
    async with answering(_create_and_wait) as llm, agents(dsn, tmp_path, llm) as found:
        id = await found.accept(max_attempts=2)
        for state in (State.QUEUED, State.FAILED):
            found.ticks.seen.clear()
            running = asyncio.create_task(found.attempt(id))
            await soon(lambda: waits(found))
            await found.executor.give_back()
            task = await running
            assert task.state is state
        assert task.error is not None
        assert (task.error.code, task.error.name) == ("interrupted", "InterruptedError")
        assert len(await created_by(found, id)) == 1
        assert len(llm.asked) == 2  # the second attempt went on where the first was


@pytest.mark.parametrize(("restarted", "code"), [(True, "interrupted"), (False, "crashed")])
async def test_lost_worker_is_a_crash_unless_the_server_was_started_anew(
    dsn: str, tmp_path: Path, restarted: bool, code: str
) -> None:
    async with agents(dsn, tmp_path) as found:
        id = await found.accept(max_attempts=1)
        seen = """
            INSERT INTO workers (id, host, pid, queues, slots, version, started_at)
            VALUES ('taker', '', 1, '{}', 1, '', clock_timestamp())
        """
        if not restarted:
            await found.bench.pool.execute(seen)
        assert await found.bench.take(id) is not None
        if restarted:
            await found.bench.pool.execute(seen)
        assert await found.bench.take(id, worker="taker") is None
        task = await found.task(id)
        assert task.state is State.FAILED
        assert task.error is not None
        assert (task.error.code, task.error.name) == (code, "InterruptedError")
        assert task.attempts[0].error is not None
        assert task.attempts[0].error.name == "InterruptedError"


async def test_own_fault_is_a_system_failure(dsn: str, tmp_path: Path) -> None:
    async with answering(scripted(Says(text="ok"))) as llm, agents(dsn, tmp_path, llm) as found:
        await found.bench.pool.execute("ALTER TABLE steps RENAME COLUMN request TO other")
        task = await found.run()
        assert task.error is not None
        assert (task.error.code, len(task.attempts)) == ("system_failure", 1)


async def test_runner_by_dotted_name_and_its_faults(dsn: str, tmp_path: Path) -> None:
    name = "tests.support.agents_runner.run"
    async with agents(dsn, tmp_path, task_runner=name) as found:
        task = await found.run("Count to three.")
        assert task.details["output"] == {"said": "Count to three."}
        assert (task.details["cost_cents"], task.details["engine"]) == (0.25, name)
    for wrong in ("no.such.module", "tests.support.agents_runner.nothing", "unheard", "json.dumps"):
        async with agents(dsn, tmp_path, task_runner=wrong) as found:
            task = await found.run()
            assert task.error is not None
            assert (task.error.name, len(task.attempts)) == ("RunnerNotConfigured", 1)
    async with agents(dsn, tmp_path, task_runner=name) as found:
        task = await found.run(origin=Origin(identifier="of-another-worker"))
        assert task.error is not None
        assert "'of-another-worker'" in task.error.message


async def test_prices_of_the_table_count_and_are_read_anew(dsn: str, tmp_path: Path) -> None:
    table = tmp_path / "prices.toml"
    table.write_text('["local/small"]\nin_cents = 1_000_000\n')
    async with (
        answering(scripted(Says(text="ok", usage=(3, 1)))) as llm,
        agents(dsn, tmp_path, llm, llm_prices=table) as found,
    ):
        assert (await found.run()).details["cost_cents"] == 3.0
        table.write_text('["local/small"]\nin_cents = 1_000_000\nout_cents = 2_000_000\n')
        assert (await found.run()).details["cost_cents"] == 5.0
        table.write_text("[broken")
        task = await found.run()
        assert task.error is not None
        assert task.error.name == "RunnerNotConfigured"


async def test_prompt_is_found_by_schedule_or_external_id(dsn: str, tmp_path: Path) -> None:
    async with (
        answering(lambda messages: Says(text=messages[1]["content"])) as llm,
        agents(dsn, tmp_path, llm) as found,
    ):
        await found.bench.pool.execute(
            """
            INSERT INTO schedules (id, project_id, dialect, identifier, prompt, cron, zone, artist_id, external_id)
            VALUES ('s1', 'default', 'mill', 'prompt', 'From the schedule.', '0 9 * * *', 'Asia/Kolkata', 'x9', 'e1')
            """
        )
        origin = Origin(identifier="prompt", schedule_id="s1")
        first = await found.run(None, origin=origin)
        second = await found.run(None, extra={"prompt": {"payload": {"externalId": "e1"}}})
        for task in (first, second):
            assert task.details["output"]["text"] == "From the schedule."
            assert task.metadata is not None
            assert task.metadata["taskId"] == "e1"
        system = llm.asked[0]["messages"][0]["content"]
        assert "+05:30, time zone Asia/Kolkata." in system
        assert "Artist account: x9." in system
        nothing = await found.run(None)
        assert nothing.error is not None
        assert nothing.error.name == "RunnerNotConfigured"


async def test_endpoint_that_counts_no_tokens_still_meets_the_limit(dsn: str, tmp_path: Path) -> None:
    async with (
        answering(lambda messages: Says(calls=[("list_files", {})], usage=None)) as llm,
        agents(dsn, tmp_path, llm) as found,
    ):
        task = await found.run(max_tokens=600)
        assert task.error is not None
        assert task.error.name == "TokenLimit"
