"""Recoup over HTTP against a running server, as its command line speaks: the bare origin, `x-api-key`, JSON both ways.

The command line itself is not published as a package; these are its notes from the contract.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from tests.support.llm import Llm, Says, answering_aside, turns
from tests.support.server import Server, serving, until

from mediamill.client import Client

PROMPT = "Make a ten second teaser from the newest track."
NEW = {
    "title": "Morning clip",
    "prompt": PROMPT,
    "schedule": "30 8 * * MON-FRI",
    "timezone": "Europe/Madrid",
    "artist_account_id": "5d0c6f1e-7c1b-4a6e-9a53-2f4f0f7f9a11",
    "model": "local/small",
}


class Cli:
    """The client notes: `RECOUP_API_URL` gives the origin and loses its path; errors are `error`, else `message`."""

    def __init__(self, url: str, key: str) -> None:
        self.url, self.key = url, key

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"x-api-key": self.key, "content-type": "application/json"}
        content = None if body is None else json.dumps(body).encode()
        answer = httpx.request(method, urljoin(self.url, path), headers=headers, content=content, timeout=60)
        said = answer.json()  # a body on every answer, or this raises
        if not answer.is_success or said.get("status") == "error":
            raise RuntimeError(said.get("error") or said["message"])
        return said


@pytest.fixture(scope="module")
def llm() -> Iterator[Llm]:
    """A model that fails its first answer, has a task made, and says that it was."""

    def script(messages: Any) -> Says:
        if turns(messages) == 0:
            return Says(calls=[("create_task", {"kind": "ping", "options": {}})])
        return Says(text="Teaser queued.")

    with answering_aside(script) as running:
        yield running


@pytest.fixture(scope="module")
def server(llm: Llm) -> Iterator[Server]:
    settings = {"LLM_BASE_URL": llm.url, "LLM_MODEL": "small"}
    with serving(environment={f"MEDIAMILL_{name}": value for name, value in settings.items()}) as running:
        yield running


@pytest.fixture(scope="module")
def recoup(server: Server) -> Cli:
    return Cli(f"{server.url}/some/path/that/is/lost", server.key)


def newest(recoup: Cli, task: str) -> Any:
    [found] = recoup("GET", f"/api/tasks?id={task}")["tasks"]
    return found["recent_runs"][0] if found["recent_runs"] else None


def test_a_task_from_its_making_to_its_end(recoup: Cli, server: Server, llm: Llm) -> None:
    account = recoup("GET", "/api/accounts/id")["accountId"]
    [task] = recoup("POST", "/api/tasks", NEW)["tasks"]
    assert (task["account_id"], len(task["upcoming"]), task["recent_runs"]) == (account, 10, [])

    run = recoup("POST", "/api/v1/tasks/customer-prompt-task/trigger", {"payload": {"externalId": task["id"]}})["id"]
    until(lambda: newest(recoup, task["id"])["isCompleted"], what="the end of the run")

    found = newest(recoup, task["id"])
    assert (found["id"], found["status"], found["error"]) == (run, "COMPLETED", None)
    assert (found["output"]["text"], found["output"]["model"]) == ("Teaser queued.", "local/small")
    assert len(found["output"]["createdTaskIds"]) == 1
    assert [attempt["status"] for attempt in found["attempts"]] == ["COMPLETED"]
    assert any(asked["model"] == "local/small" for asked in llm.asked)
    assert any(message["content"] == PROMPT for asked in llm.asked for message in asked["messages"])
    assert recoup("GET", f"/api/tasks/runs?runId={run}")["runs"] == [found]

    [off] = recoup("PATCH", "/api/tasks", {"id": task["id"], "enabled": False})["tasks"]
    assert (off["upcoming"], off["trigger_schedule_id"]) == ([], None)
    assert off["recent_runs"] == [found]
    recoup("DELETE", "/api/tasks", {"id": task["id"]})
    assert recoup("GET", f"/api/tasks?id={task['id']}")["tasks"] == []
    assert recoup("GET", f"/api/tasks/runs?runId={run}")["runs"][0]["output"] == found["output"]


def test_what_the_command_line_prints_of_errors(recoup: Cli) -> None:
    with pytest.raises(RuntimeError, match=r"^Task not found$"):
        recoup("DELETE", "/api/tasks", {"id": "00000000-0000-4000-8000-000000000000"})
    with pytest.raises(RuntimeError, match=r"^Unauthorized$"):
        Cli(recoup.url, "recoup_sk_wrong")("GET", "/api/tasks")
    with pytest.raises(RuntimeError, match=r"^Task run not found$"):
        recoup("GET", "/api/tasks/runs?runId=run_none")
    with pytest.raises(RuntimeError, match=r"^Method not allowed$"):
        recoup("PUT", "/api/tasks", {})


def test_each_dialect_shows_the_tasks_and_runs_of_the_other(recoup: Cli, server: Server) -> None:
    [task] = recoup("POST", "/api/tasks", NEW)["tasks"]
    with server.client() as http:
        body = {"cron": "0 7 * * *", "prompt": "Say what is new.\nBriefly.", "timezone": "Asia/Tokyo"}
        made = http.post("/mill/schedules", json=body)
        assert made.status_code == 201, made.text
        ran = http.post(f"/mill/schedules/{made.json()['id']}/run").raise_for_status().json()
        kept = http.get("/mill/schedules").raise_for_status().json()["data"]

    assert {NEW["title"]} <= {one["title"] for one in kept}
    [shown] = [one for one in recoup("GET", "/api/tasks")["tasks"] if one["id"] != task["id"]]
    assert (shown["title"], shown["prompt"]) == ("Say what is new.", body["prompt"])
    assert (shown["schedule"], shown["timezone"]) == (body["cron"], body["timezone"])
    assert shown["artist_account_id"] == shown["account_id"]
    assert [run["id"] for run in shown["recent_runs"]] == [f"run_{ran['id']}"]


def test_accounts_are_kept_by_the_command_line(server: Server, recoup: Cli) -> None:
    def mediamill(*arguments: str) -> str:
        argv = [sys.executable, "-m", "mediamill.cli", "accounts", *arguments, "--server", server.url]
        done = subprocess.run([*argv, "--key", server.key], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    with Client(server.url, server.key) as mill:
        theirs = Cli(server.url, mill.create_key("of the label", "member", project_id="label")["secret"])
        other = Cli(server.url, mill.create_key("of the studio", "member", project_id="studio")["secret"])
    [task] = theirs("POST", "/api/tasks", NEW)["tasks"]
    account = theirs("GET", "/api/accounts/id")["accountId"]
    assert account in mediamill("ls")

    mediamill("email", "label", "ana@label.example")
    assert mediamill("add-org", "The label").strip()
    mediamill("join", "The label", "label", "studio")

    [shown] = other("GET", f"/api/tasks?account_id={account}")["tasks"]
    assert (shown["id"], shown["owner_email"]) == (task["id"], "ana@label.example")
    assert "label studio" in mediamill("orgs")
    mediamill("leave", "The label", "studio")
    with pytest.raises(RuntimeError, match=r"^Access denied to specified account_id$"):
        other("GET", f"/api/tasks?account_id={account}")
    mediamill("join", "operators", "studio")
    assert other("GET", f"/api/tasks?account_id={account}")["tasks"]
    mediamill("leave", "operators", "studio")
    mediamill("rm-org", "The label")
    assert [one["name"] for one in json.loads(mediamill("orgs", "--json"))["data"]] == ["operators"]
