"""Trigger.dev's published client 4.8.3, as it is, against a running server whose runs a scripted model does."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from tests.support.llm import Llm, Says, answering_aside
from tests.support.node import NODE, npm_folder
from tests.support.server import Server, serving

TASK = "customer-prompt-task"
RUN = re.compile(r"run_[a-z0-9]{21,}")
STALL = "Wait for ever."


def _answer(messages: Sequence[Mapping[str, Any]]) -> Says:
    stalls = any(message["content"] == STALL for message in messages)
    return Says(text="Teaser queued.", usage=(812, 64), stall=stalls)


@pytest.fixture(scope="module")
def llm() -> Iterator[Llm]:
    """A model that answers at once, but never to the prompt STALL."""
    with answering_aside(_answer) as running:
        yield running


@pytest.fixture(scope="module")
def server(llm: Llm) -> Iterator[Server]:
    settings = {"LLM_BASE_URL": llm.url, "LLM_MODEL": "small", "LLM_PRICE_IN": "1000", "LLM_PRICE_OUT": "2000"}
    with serving(environment={f"MEDIAMILL_{name}": value for name, value in settings.items()}) as running:
        yield running


@pytest.fixture(scope="module")
def task(server: Server) -> Any:
    """A task made on Recoup's own surface."""
    return made(server, "Make a ten second teaser from the newest track.")


def made(server: Server, prompt: str) -> Any:
    """A task that is not due while the tests run."""
    body = {
        "title": "Morning clip",
        "prompt": prompt,
        "schedule": "30 8 1 1 *",
        "artist_account_id": "5d0c6f1e-7c1b-4a6e-9a53-2f4f0f7f9a11",
    }
    with server.client() as http:
        return http.post("/api/tasks", json=body).raise_for_status().json()["tasks"][0]


@pytest.fixture(scope="module")
def said(server: Server, task: Any) -> Any:
    """What each call gave. Everything the client reads it has held against its own schemas already."""
    folder = npm_folder("trigger_sdk")
    argv = [NODE, folder / "calls.mjs", server.url, server.key, task["id"], made(server, STALL)["id"]]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=240, cwd=folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_timezones(said: Any) -> None:
    assert said["zones"][0] == "UTC"
    assert {"Europe/Madrid", "America/New_York"} <= set(said["zones"])
    assert said["zonesWithoutUtc"] == said["zones"][1:]


def test_a_schedule_is_made_and_upserted_by_its_key(said: Any) -> None:
    made, again = said["created"], said["upserted"]

    assert (made["type"], made["task"], made["active"]) == ("IMPERATIVE", TASK, True)
    assert (made["deduplicationKey"], made["externalId"]) == ("teaser", "label-1")
    assert made["generator"]["type"] == "CRON"
    assert made["generator"]["expression"] == "30 8 * * MON-FRI"
    assert made["generator"]["description"].startswith("At 08:30")
    assert made["timezone"] == "Europe/Madrid"
    local = instant(made["nextRun"]).astimezone(ZoneInfo("Europe/Madrid"))
    assert (local.hour, local.minute) == (8, 30)
    assert local.weekday() < 5
    assert made["environments"][0]["type"] == "PRODUCTION"
    assert again["id"] == made["id"]
    assert again["generator"]["expression"] == "0 9 * * *"
    assert said["retrieved"] == again


def test_an_update_replaces_all_of_a_schedule(said: Any) -> None:
    updated = said["updated"]

    assert updated["id"] == said["created"]["id"]
    assert updated["generator"]["expression"] == "15 10 * * *"
    assert (updated["timezone"], updated["externalId"]) == ("UTC", "label-2")
    assert instant(updated["nextRun"]).strftime("%H:%M") == "10:15"


def test_a_schedule_is_switched_off_and_on_by_the_same_id(said: Any) -> None:
    off, on, id = said["deactivated"], said["activated"], said["created"]["id"]

    assert (off["id"], off["active"], off["nextRun"]) == (id, False, None)
    assert said["stillThere"] == off
    assert (on["id"], on["active"]) == (id, True)
    assert said["activatedAgain"] == on


def test_schedules_are_listed_by_page_with_those_of_tasks(said: Any, task: Any) -> None:
    assert len(said["listed"]) == 3
    assert said["page"] == {"items": 1, "pagination": {"currentPage": 1, "totalPages": 3, "count": 3}}
    of_task = said["ofTask"]
    assert of_task["id"] == task["trigger_schedule_id"]
    assert (of_task["task"], of_task["deduplicationKey"]) == (TASK, task["id"])


def test_a_deleted_schedule_is_gone(said: Any) -> None:
    assert said["deleted"] == {"id": said["created"]["id"]}
    assert (said["gone"]["name"], said["gone"]["status"]) == ("NotFoundError", 404)


def test_bad_rules_and_zones_are_told(said: Any) -> None:
    for name, text in (("badCron", "Invalid cron expression: "), ("badZone", "Invalid IANA timezone: ")):
        assert (said[name]["name"], said[name]["status"]) == ("UnprocessableEntityError", 422)
        assert text in said[name]["message"]


def test_a_triggered_run_ends_well(said: Any, task: Any) -> None:
    run = said["polled"]

    assert RUN.fullmatch(said["triggered"]["id"])
    assert run["id"] == said["triggered"]["id"] == said["triggeredAgain"]["id"]
    assert (run["status"], run["taskIdentifier"]) == ("COMPLETED", TASK)
    assert (run["isCompleted"], run["isSuccess"], run["isFailed"]) == (True, True, False)
    assert run["payload"] == {"externalId": task["id"], "at": "2026-01-02T03:04:05.678Z", "list": [1, None, "two"]}
    assert run["output"]["text"] == "Teaser queued."
    assert run["output"]["usage"] == {"promptTokens": 812, "completionTokens": 64, "totalTokens": 876}
    assert run["idempotencyKey"] == "first"
    assert set(run["tags"]) == {f"account:{task['account_id']}", f"task:{task['id']}", "one", "two"}
    assert run["metadata"]["from"] == "sdk"
    assert (run["ttl"], run["depth"], run["triggerFunction"]) == ("1h", 0, "trigger")
    assert run["attemptCount"] == 1
    assert run["costInCents"] == pytest.approx(812 * 1000 / 1e6 + 64 * 2000 / 1e6)
    assert run["durationMs"] > 0
    assert "error" not in run
    assert instant(run["createdAt"]) <= instant(run["startedAt"]) <= instant(run["finishedAt"])


def test_the_result_of_a_run_is_told_once_it_is_over(said: Any) -> None:
    assert said["result"]["ok"] is True
    assert json.loads(said["result"]["output"]) == said["polled"]["output"]
    assert said["unfinished"] is None


def test_what_is_not_known_is_not_found(said: Any) -> None:
    for name in ("unknownTask", "unknownRun"):
        assert (said[name]["name"], said[name]["status"]) == ("NotFoundError", 404)


def test_a_delayed_run_is_put_off(said: Any) -> None:
    run, moved = said["delayedRun"], said["rescheduled"]

    assert (run["status"], run["isQueued"]) == ("DELAYED", True)
    assert abs(instant(run["delayedUntil"]) - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=5)
    assert abs(instant(moved["delayedUntil"]) - instant(run["delayedUntil"]) - timedelta(hours=1)) < timedelta(
        minutes=1
    )
    assert moved["status"] == "DELAYED"
    assert (said["notReschedulable"]["name"], said["notReschedulable"]["status"]) == ("BadRequestError", 400)


def test_tags_and_metadata_are_added(said: Any) -> None:
    run = said["cancelledRun"]

    assert {"late", "later", "still"} <= set(run["tags"])
    assert said["tooManyTags"]["status"] == 422
    assert said["metadata"] == said["metadataRead"] == {"metadata": {"a": {"b": 1}}}
    assert run["metadata"] == {"a": {"b": 1}}


def test_a_cancelled_run_stays_cancelled(said: Any) -> None:
    run = said["cancelledRun"]

    assert said["cancelled"] == said["cancelledAgain"] == {"id": said["delayed"]["id"]}
    assert (run["status"], run["isCancelled"], run["isCompleted"]) == ("CANCELED", True, True)
    assert run["finishedAt"]


def test_a_replay_asks_the_same_at_once(said: Any) -> None:
    run = said["replay"]

    assert run["id"] == said["replayed"]["id"] != said["delayed"]["id"]
    assert run["payload"] == {"n": 1}
    assert {"late", "later", "still"} <= set(run["tags"])
    assert run["metadata"]["a"] == {"b": 1}
    assert "delayedUntil" not in run
    assert run["isCompleted"]


def test_a_run_at_work_is_cancelled(said: Any) -> None:
    assert said["stalledRun"]["status"] == "CANCELED"


def test_a_batch_starts_all_of_its_runs(said: Any) -> None:
    runs = said["batchRuns"]

    assert said["batch"]["runCount"] == 2
    assert len(runs) == 2
    assert {run["id"] for run in runs} == set(said["batchState"]["runs"])
    assert said["batchState"]["runCount"] == 2
    assert said["batchState"]["id"] == said["batch"]["batchId"]


def test_runs_are_listed_by_page(said: Any) -> None:
    listed = [run["id"] for run in said["all"]]
    first, second, back = said["pages"]

    assert len(listed) == len(set(listed)) == 6
    assert [run["createdAt"] for run in said["all"]] == sorted((run["createdAt"] for run in said["all"]), reverse=True)
    assert (first, second, back) == (listed[:2], listed[2:4], listed[:2])


def test_runs_are_filtered(said: Any) -> None:
    found, everything = said["filtered"], {run["id"] for run in said["all"]}

    assert said["triggered"]["id"] in found["completed"]
    assert set(found["cancelled"]) == {said["delayed"]["id"], said["stalled"]["id"]}
    assert set(found["late"]) == {said["delayed"]["id"], said["replayed"]["id"]}
    assert len(found["either"]) == 2
    assert said["triggered"]["id"] in found["either"]
    assert set(found["task"]) == set(found["recent"]) == set(found["period"]) == everything
    assert found["otherTask"] == found["early"] == found["tests"] == []
