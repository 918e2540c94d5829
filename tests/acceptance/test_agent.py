"""Runs of prompts on a real server with real workers: what is lost with a worker is made up for, and nothing twice."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.support.calls import picture
from tests.support.llm import Llm, Says, answering_aside, results, turns
from tests.support.server import Server, serving, until

HEARTBEAT = {"MEDIAMILL_HEARTBEAT_S": "0.3", "MEDIAMILL_ALLOW_NETWORKS": "127.0.0.0/8"}


@dataclass(frozen=True, slots=True)
class Stage:
    """A server, a worker of media beside it, and a model that follows the script of ten calls."""

    server: Server
    llm: Llm
    environment: dict[str, str]


def ten_calls(messages: Sequence[dict[str, Any]]) -> Says:
    """Ten function calls, one an answer; a child run has its own short talk."""
    if messages[1]["content"] == "Count the letters.":
        return Says(text="Eleven.")
    said, n = results(messages), turns(messages)
    hook = messages[1]["content"].split()[-1]
    made = said[1]["id"] if n > 1 else None
    calls: list[tuple[str, Any]] = (
        [
            ("list_files", {"limit": 5}),
            ("create_task", {"kind": "convert", "inputs": [{"file": said[0][0]["id"]}], "options": {"format": "webp"}}),
            ("wait_task", {"id": made}),
            ("send_webhook", {"url": hook, "body": {"say": "one", "made": made}}),
            ("create_task", {"kind": "ping"}),
            ("send_webhook", {"url": hook, "body": {"say": "two"}}),
            ("run_prompt", {"prompt": "Count the letters."}),
            ("list_kinds", {}),
            ("create_task", {"kind": "ping"}),
            ("get_task", {"id": made}),
        ]
        if n
        else [("list_files", {"limit": 5})]
    )
    return Says(calls=[calls[n]]) if n < 10 else Says(text="All ten are done.")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with answering_aside(ten_calls) as llm:
        environment = {**HEARTBEAT, "LLM_BASE_URL": llm.url, "LLM_MODEL": "local/small"}
        with serving(environment=environment, worker=False) as server:
            at = {**os.environ, **environment, "MEDIAMILL_DATA": str(server.data)}
            argv = [sys.executable, "-m", "mediamill.cli", "worker", "--queues", "cpu,io"]
            with _process(argv, at):
                yield Stage(server, llm, at)


_LEAVING_S = 120
"""A worker that is told to leave waits twice for half a minute, at most, for what it is at."""


@contextlib.contextmanager
def _process(argv: Sequence[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    # What it says on its way is shown should the test fail.
    process = subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=_LEAVING_S)


class Hook:
    """A receiver of webhooks in a thread: the bodies by the id of their event."""

    def __init__(self) -> None:
        import http.server
        import threading

        bodies: dict[str, Any] = {}

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                bodies[self.headers["webhook-id"]] = json.loads(content)
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self.bodies = bodies
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)


def _points(which: int) -> list[tuple[int, str]]:
    """A fifth of the points between and within the 21 steps, in order: a run has ten attempts, so nine deaths."""
    between = [(number, "done") for number in range(1, 21)]
    within = [(number, "undone") for number in range(1, 22)] + [(number, "begun") for number in (4, 8, 14, 18)]
    order = ("begun", "undone", "done")
    points = sorted(between + within, key=lambda point: (point[0], order.index(point[1])))
    return points[which::5]


@pytest.mark.parametrize("which", range(5))
def test_worker_killed_between_steps_repeats_no_effect(stage: Stage, which: int) -> None:
    hook, points = Hook(), _points(which)
    with stage.server.client() as http, contextlib.closing(hook):
        http.post("/mill/files", files={"file": ("a.png", picture((40, 30)), "image/png")}).raise_for_status()
        before = _tasks(http)
        asked = {"kind": "prompt", "options": {"prompt": f"Do ten things and tell {hook.url}"}, "max_attempts": 10}
        run = http.post("/mill/tasks", json=asked).raise_for_status().json()["id"]
        argv = [sys.executable, "-m", "tests.support.dying_worker", run, json.dumps(points)]
        with _process(argv, {**stage.environment, "PYTHONPATH": os.pathsep.join(sys.path)}) as worker:
            until(lambda: _task(http, run)["state"] in ("succeeded", "failed"), timeout_s=240, what="the run's end")
            until(lambda: len(hook.bodies) >= 2, what="both webhooks")
        task = _task(http, run)
        assert task["state"] == "succeeded", task["error"]
        assert worker.stdout is not None
        output = task["details"]["output"]
        assert (output["text"], output["steps"], len(output["calls"])) == ("All ten are done.", 21, 10)
        assert all(call["ok"] for call in output["calls"])
        assert len(task["attempts"]) == len(points) + 1
        assert [attempt["state"] for attempt in task["attempts"]] == ["lost"] * len(points) + ["succeeded"]
        made = {id: kind for id, kind in _tasks(http).items() if id not in before and id != run}
        assert sorted(made.values()) == ["convert", "ping", "ping", "prompt"]
        assert set(output["createdTaskIds"]) == set(made)
        assert sorted(body["say"] for body in hook.bodies.values()) == ["one", "two"]
        deliveries = http.get(f"/mill/deliveries?task_id={run}").json()["data"]
        assert len(deliveries) == 2
        assert task["details"]["usage"]["total_tokens"] == 11 * 120


def _task(http: httpx.Client, id: str) -> Any:
    return http.get(f"/mill/tasks/{id}").raise_for_status().json()


def _tasks(http: httpx.Client) -> dict[str, str]:
    """The kinds of all tasks there are, by id."""
    found = http.get("/mill/tasks?limit=100").raise_for_status().json()
    assert found["next"] is None
    return {task["id"]: task["kind"] for task in found["data"]}


def test_run_converts_a_picture_and_is_followed_letter_by_letter() -> None:
    def script(messages: Sequence[dict[str, Any]]) -> Says:
        said, n = results(messages), turns(messages)
        if n == 0:
            return Says(text="I shall look. ", calls=[("list_files", {})])
        if n == 1:
            convert = {"kind": "convert", "inputs": [{"file": said[0][0]["id"]}], "options": {"format": "webp"}}
            return Says(calls=[("create_task", convert)])
        if n == 2:
            return Says(calls=[("wait_task", {"id": said[1]["id"]})])
        return Says(text=f"It is {said[2]['outputs'][0]['id']} now.")

    with answering_aside(script) as llm:
        environment = {"LLM_BASE_URL": llm.url, "LLM_MODEL": "local/small", "LLM_PRICE_OUT": "500"}
        with serving(environment=environment) as server, server.client() as http:
            http.post("/mill/files", files={"file": ("a.png", picture((40, 30)), "image/png")}).raise_for_status()
            asked = {"kind": "prompt", "options": {"prompt": "Make the picture WebP."}}
            run = http.post("/mill/tasks", json=asked).raise_for_status().json()["id"]
            events = list(_events(http, f"/mill/tasks/{run}/tokens"))
            told = [data["state"] for name, data in events if name == "step" and data["number"] == 1]
            assert told == ["begun", "done"]
            text = "".join(data["text"] for name, data in events if name == "token" and data["step"] == 7)
            name, task = events[-1]
            assert (name, task["state"]) == ("task", "succeeded")
            assert task["details"]["output"]["text"].startswith(text)
            assert task["details"]["cost_cents"] == 4 * 20 * 500 / 1e6
            file = task["details"]["output"]["text"].split()[2]
            content = http.get(f"/mill/files/{file}/content", follow_redirects=True).content
            with Image.open(io.BytesIO(content)) as shown:
                assert (shown.format, shown.size) == ("WEBP", (40, 30))
            steps = http.get(f"/mill/tasks/{run}/steps").json()["data"]
            assert [step["state"] for step in steps] == ["done"] * 7
            assert http.get("/mill/tasks/t0/tokens").status_code == 404


def _events(http: httpx.Client, path: str) -> Iterator[tuple[str, Any]]:
    with http.stream("GET", path) as answer:
        name = ""
        for line in answer.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))
