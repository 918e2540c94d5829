"""Each way a run can stand, by really getting there: a server, workers that come, die and go, and a language model
that answers as the prompt says. Nothing is written to the database by hand."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.llm import Llm, Says, answering_aside, results, turns
from tests.support.server import Server, serving, until

from mediamill.client import Client, Refused

ROOT = Path(__file__).parents[2]
STALL = "Think for ever."
DONE = "Say hello."


def script(messages: Sequence[Mapping[str, Any]]) -> Says:
    """What the model answers, by the prompt."""
    prompt = next(message["content"] for message in messages if message["role"] == "user")
    match prompt:
        case str() if prompt == STALL:
            return Says(stall=True)
        case "Be busy.":
            return Says(status=503, headers={"retry-after": "3"})  # long enough to be seen between two attempts
        case "Refuse.":
            return Says(status=400, text="no such model")
        case "Wait for a task.":
            if turns(messages) == 0:
                return Says(calls=[("create_task", {"kind": "ping", "options": {}})])
            if turns(messages) == 2:
                return Says(text="It is done.")
            [made] = results(messages)
            return Says(calls=[("wait_task", {"id": made["id"]})])
        case _:
            return Says(text="Hello.")


@dataclass(frozen=True, slots=True)
class Mill:
    """A server without workers, and ways to bring some."""

    server: Server
    llm: Llm
    client: Client

    def start(self, prompt: str = DONE, **options: Any) -> str:
        """A run; its id."""
        found: str = self.client.start_run(prompt, **options)["id"]
        return found

    def status(self, id: str) -> str:
        """How it stands."""
        found: str = self.client.run(id)["status"]
        return found

    def comes_to(self, id: str, *wanted: str, timeout_s: float = 60.0) -> dict[str, Any]:
        """The run once it stands like that."""
        until(lambda: self.status(id) in wanted, timeout_s=timeout_s, what=f"{' or '.join(wanted)} of {id}")
        return self.client.run(id)

    def workers(self) -> int:
        """How many were heard of lately."""
        with self.server.client() as http:
            [line] = re.findall(r"^mediamill_workers (.*)$", http.get("/metrics").text, re.MULTILINE)
        return int(float(line))

    @contextlib.contextmanager
    def worker(self, queues: str = "agent", **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        """A worker on some queues, told to leave at the end."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MEDIAMILL_")}
        kept |= {
            "MEDIAMILL_DATA": str(self.server.data),
            "MEDIAMILL_LLM_BASE_URL": self.llm.url,
            "MEDIAMILL_LLM_MODEL": "local/small",
            "MEDIAMILL_DRAIN_S": "0.2",
            "MEDIAMILL_HEARTBEAT_S": "3",
            "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
            **{f"MEDIAMILL_{name.upper()}": value for name, value in settings.items()},
        }
        argv = [sys.executable, "-m", "mediamill.cli", "worker", "--queues", queues]
        folder = self.server.data.parent
        log = folder / f"worker-{len(list(folder.glob('worker-*')))}.log"
        with log.open("wb") as said:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=kept)
        try:
            until(lambda: b"worker ready" in log.read_bytes(), what=f"the worker of {log}")
            yield process
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def mill() -> Iterator[Mill]:
    settings = {"MEDIAMILL_HEARTBEAT_S": "3"}
    with (
        answering_aside(script) as llm,
        serving(worker=False, environment=settings) as server,
        Client(server.url, server.key) as client,
    ):
        yield Mill(server, llm, client)


def test_unserved_until_a_worker_runs_it_then_completed(mill: Mill) -> None:
    until(lambda: mill.workers() == 0, what="the end of those before")
    id = mill.start()
    assert mill.status(id) == "unserved"
    with mill.worker():
        run = mill.comes_to(id, "completed")
    assert run["output"]["text"] == "Hello."
    assert [attempt["state"] for attempt in run["attempts"]] == ["succeeded"]
    assert run["usage"]["total_tokens"] == 120
    assert run["finished_at"] is not None


def test_expired_when_nobody_runs_it_in_time(mill: Mill) -> None:
    with mill.worker("io"):
        id = mill.start(ttl="1s")
        run = mill.comes_to(id, "expired")
    assert run["attempts"] == []
    assert "1s" in run["error"]["message"]
    assert run["finished_at"] is not None


def test_delayed_queued_dequeued_executing_and_canceled(mill: Mill) -> None:
    with mill.worker(agent_slots="1"):
        mill.comes_to(mill.start(), "completed")  # it is here, and is known to be
        until(lambda: mill.client.start_run(DONE)["status"] == "queued", what="a worker that is known")
        later = mill.start(delay="1h")
        first = mill.start(STALL)
        assert mill.status(later) == "delayed"
        mill.comes_to(first, "executing")
        # One has the seat; those behind it are in the worker's hands, and what is behind those is on the queue.
        crowd = mill.client.start_runs([{"prompt": STALL} for _ in range(40)])["data"]
        until(
            lambda: (
                {run["status"] for run in mill.client.runs(limit=100, batch_id=crowd[0]["batch_id"])["data"]}
                == {"dequeued", "queued"}
            ),
            what="runs before and behind the worker's hands",
        )
        with mill.server.client() as http:
            dequeued = mill.client.runs(limit=1, batch_id=crowd[0]["batch_id"], status=["dequeued"])["data"][0]
            [shown] = http.get("/api/tasks/runs", params={"runId": f"run_{dequeued['id']}"}).json()["runs"]
            assert (shown["status"], shown["attempts"][0]["status"]) == ("EXECUTING", "PENDING")
        with pytest.raises(Refused):
            mill.client.reschedule_run(first, "2h")
        soon = mill.client.reschedule_run(later, "2h")
        assert soon["status"] == "delayed"

        assert mill.client.cancel_run(first)["status"] == "canceled"
        for run in crowd:
            mill.client.cancel_run(run["id"])
        for run in crowd:
            mill.comes_to(run["id"], "canceled")
        assert [attempt["state"] for attempt in mill.client.run(first)["attempts"]] == ["cancelled"]
        assert mill.client.cancel_run(later)["attempts"] == []

        due = mill.comes_to(mill.start(delay="1s"), "completed")
        waited = datetime.fromisoformat(due["started_at"]) - datetime.fromisoformat(due["created_at"])
        assert waited >= timedelta(seconds=0.5)  # its second begins when it is asked for


def test_reattempting_between_attempts_and_failed_after_the_last(mill: Mill) -> None:
    with mill.worker():
        id = mill.start("Be busy.", max_attempts=2)
        mill.comes_to(id, "reattempting")
        run = mill.comes_to(id, "failed")
    assert [attempt["state"] for attempt in run["attempts"]] == ["failed", "failed"]
    assert run["error"]["name"] == "LlmHttpError"
    assert all(attempt["error"]["name"] == "LlmHttpError" for attempt in run["attempts"])


def test_failed_at_once_when_another_try_would_end_alike(mill: Mill) -> None:
    with mill.worker():
        run = mill.comes_to(mill.start("Refuse."), "failed")
    assert len(run["attempts"]) == 1


def test_frozen_while_it_waits_for_what_it_started_and_goes_on_after(mill: Mill) -> None:
    with mill.worker():  # of prompts alone: nobody does the task that it waits for
        id, waits = mill.start("Wait for a task."), mill.start("Wait for a task.")
        run = mill.comes_to(id, "frozen")
        [made] = run["created"]
        assert made["kind"] == "ping"
        assert mill.client.cancel_run(id)["status"] == "canceled"
        assert mill.client.task(made["id"])["state"] == "cancelled"

        mill.comes_to(waits, "frozen")
        with mill.worker("io"):
            run = mill.comes_to(waits, "completed")
        assert len(run["attempts"]) == 1
        assert [made["state"] for made in run["created"]] == ["succeeded"]
        assert (run["steps"]["model_calls"], run["steps"]["function_calls"]) == (3, 2)


def test_timed_out_after_its_longest_work(mill: Mill) -> None:
    with mill.worker():
        run = mill.comes_to(mill.start(STALL, max_duration_s=0.5), "timed_out")
    assert len(run["attempts"]) == 1


def test_system_failure_when_the_runner_itself_breaks(mill: Mill) -> None:
    with mill.worker(task_runner="tests.support.broken_runner.run"):
        run = mill.comes_to(mill.start(max_attempts=1), "system_failure")
    assert len(run["attempts"]) == 1


def test_interrupted_when_the_worker_is_stopped_and_no_attempt_is_left(mill: Mill) -> None:
    with mill.worker() as process:
        last, again = mill.start(STALL, max_attempts=1), mill.start(STALL, max_attempts=2)
        for id in (last, again):
            mill.comes_to(id, "executing")
        process.send_signal(signal.SIGTERM)
        process.wait(90)
    assert mill.comes_to(last, "interrupted")["attempts"][0]["error"]["name"] == "InterruptedError"
    assert mill.status(again) == "reattempting"
    mill.client.cancel_run(again)


def test_crashed_when_its_worker_dies_while_others_live(mill: Mill) -> None:
    until(lambda: mill.workers() == 0, what="the end of those before")
    with mill.worker() as one, mill.worker() as other:
        until(lambda: mill.workers() == 2, what="word of both")  # who is not known yet counts as started later
        id = mill.start(STALL, max_attempts=1)
        run = mill.comes_to(id, "executing")
        killed, left = (one, other) if f"-{one.pid}-" in run["attempts"][0]["worker"] else (other, one)
        killed.kill()
        killed.wait()
        run = mill.comes_to(id, "crashed", "interrupted", timeout_s=60)
        assert left.poll() is None
    assert run["status"] == "crashed"
    assert [(attempt["state"], attempt["error"]["name"]) for attempt in run["attempts"]] == [
        ("lost", "InterruptedError")
    ]
