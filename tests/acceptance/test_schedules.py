"""Schedules by the command line and over HTTP, at a real server."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.support.children import in_company
from tests.support.server import Server, until

from mediamill.cli import _exit, mediamill


@pytest.fixture
def cli(server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What a command prints: JSON where it is asked for."""
    monkeypatch.setenv("MEDIAMILL_URL", server.url)
    monkeypatch.setenv("MEDIAMILL_KEY", server.key)

    def run(*arguments: str, status: int = 0) -> Any:
        assert _exit.run(mediamill, ("schedule", *arguments)) == status
        said = capsys.readouterr()
        return said.err if status else json.loads(said.out) if "--json" in arguments else said.out

    return run


def test_a_schedule_goes_its_way_by_the_command_line(cli: Callable[..., Any], http: httpx.Client) -> None:
    id = cli("add", "30 8 * * MON-FRI", "Say hello.", "--zone", "Europe/Madrid", "--tag", "greeting").strip()

    made = http.get(f"/mill/schedules/{id}").json()
    assert made["description"] == "At 08:30, Monday to Friday"
    assert made["settings"] == {"tags": ["greeting"]}
    assert len(made["upcoming"]) == 10
    assert "At 08:30, Monday to Friday" in cli("ls")

    task = cli("run", id).strip()
    ended = http.get(f"/mill/tasks/{task}", params={"wait": 30}).json()
    assert (ended["kind"], ended["state"]) == ("prompt", "failed")
    assert ended["error"]["code"] == "runner_not_configured"
    assert "LLM_BASE_URL" in ended["error"]["message"]

    [paused] = cli("pause", id, "--json")["data"]
    assert (paused["enabled"], paused["upcoming"], paused["token"]) == (False, [], None)
    assert "paused" in cli("ls", "--paused")
    [resumed] = cli("resume", id, "--json")["data"]
    assert resumed["token"] != made["token"]
    cli("rm", id)
    assert http.get(f"/mill/schedules/{id}").status_code == 404
    assert id in cli("run", id, status=3)


def test_a_rule_that_is_none_is_refused_with_its_reason(cli: Callable[..., Any], http: httpx.Client) -> None:
    before = len(http.get("/mill/schedules").json()["data"])

    assert "dates that never come" in cli("add", "0 0 30 2 *", "x", status=4)
    answer = http.post("/mill/schedules", json={"cron": "* * * * *", "prompt": "x", "timezone": "+05:30"})

    assert (answer.status_code, answer.json()["field"]) == (422, "timezone")
    assert "IANA" in answer.json()["detail"]
    assert len(http.get("/mill/schedules").json()["data"]) == before


def test_it_fires_when_its_minute_comes(http: httpx.Client) -> None:
    while True:
        due = datetime.now(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
        rule = f"{due.minute} {due.hour} * * *"
        made = http.post("/mill/schedules", json={"cron": rule, "prompt": "x", "title": "minute"}).json()
        if datetime.now(UTC) < due:
            break
        http.delete(f"/mill/schedules/{made['id']}").raise_for_status()  # its minute came while we asked
    assert made["upcoming"][0] == due.strftime("%Y-%m-%dT%H:%M:%SZ")

    def fired() -> list[dict[str, Any]]:
        tasks = http.get("/mill/tasks", params={"kind": "prompt"}).json()["data"]
        return [task for task in tasks if task["options"]["payload"].get("scheduleId") == made["token"]]

    until(lambda: bool(fired()) and fired()[0]["started_at"] is not None, timeout_s=150, what="the firing")

    [task] = fired()
    assert task["created_at"] == due.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert datetime.fromisoformat(task["started_at"]) - due < timedelta(seconds=in_company(5))
    now = http.get(f"/mill/schedules/{made['id']}").json()
    assert now["last_at"] == made["upcoming"][0]
    assert now["upcoming"][0] == made["upcoming"][1]
    http.delete(f"/mill/schedules/{made['id']}").raise_for_status()
