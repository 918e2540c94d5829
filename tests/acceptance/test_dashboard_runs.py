"""Schedules and runs of prompts as people meet them: a real server and worker, a model of the test's own, a browser."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect
from tests.support.browser import Visitor, browsing, visiting
from tests.support.llm import Says, answering_aside, results, turns
from tests.support.server import Server, serving

LOOPBACK = {"MEDIAMILL_ALLOW_NETWORKS": "127.0.0.0/8"}
HOSTILE = "<img src=x onerror=alert(1)>"
NAMELESS = """() => [...document.querySelectorAll("a, button, summary, select, textarea, input:not([type=hidden])")]
    .filter(e => !(e.labels && e.labels.length) && !e.getAttribute("aria-label")
        && !e.textContent.trim() && !e.querySelector("img[alt]:not([alt=''])"))
    .map(e => e.outerHTML)"""


@dataclass(slots=True)
class Gate:
    """Holds a model back in the middle of its answer until the test has looked."""

    opened: threading.Event = field(default_factory=threading.Event)

    async def hold(self) -> None:
        await asyncio.to_thread(self.opened.wait, 30)


@dataclass(frozen=True, slots=True)
class Stage:
    """A server whose model does as the prompt's first word says."""

    server: Server
    gate: Gate


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    gate = Gate()

    def script(messages: Sequence[Mapping[str, Any]]) -> Says:
        prompt = messages[1]["content"]
        if prompt.startswith("Fail"):
            return Says(status=400, text=f"no {HOSTILE}")
        if prompt.startswith("Wait"):
            return Says(text="First half 🎉, second half.", pieces=2, hold=gate.hold)
        if turns(messages) == 0:
            return Says(text=f"I begin {HOSTILE}.", calls=[("create_task", {"kind": "ping"})])
        if turns(messages) == 1:
            return Says(calls=[("wait_task", {"id": results(messages)[0]["id"]})])
        return Says(text="The ping came back.")

    prices = {"MEDIAMILL_LLM_PRICE_IN": "300", "MEDIAMILL_LLM_PRICE_OUT": "1500"}
    with answering_aside(script) as llm:
        settings = {"MEDIAMILL_LLM_BASE_URL": llm.url, "MEDIAMILL_LLM_MODEL": "local/small", **prices, **LOOPBACK}
        with serving(environment=settings) as server:
            yield Stage(server, gate)
            gate.opened.set()


@pytest.fixture(scope="module")
def browser(stage: Stage) -> Iterator[Browser]:
    """Comes after the model, which starts a loop of its own where Playwright's is not running yet."""
    with browsing() as running:
        yield running


@pytest.fixture(scope="module")
def signed_in(browser: Browser, stage: Stage) -> Any:
    with visiting(browser, stage.server.url) as visitor:
        visitor.sign_in(stage.server.key)
        expect(visitor.page.get_by_role("heading", name="Tasks")).to_be_visible()
        return visitor.context.storage_state()


@pytest.fixture
def visitor(browser: Browser, stage: Stage, signed_in: Any) -> Iterator[Visitor]:
    """Somebody in Tokyo; whatever a page complains of fails the test."""
    with visiting(browser, stage.server.url, storage_state=signed_in, timezone_id="Asia/Tokyo") as visitor:
        yield visitor
        assert visitor.complaints == []


@pytest.fixture
def api(stage: Stage) -> Iterator[httpx.Client]:
    with stage.server.client() as client:
        yield client


def schedule(api: httpx.Client, prompt: str = "Ping.", **given: Any) -> str:
    body = {"cron": "30 8 * * *", "timezone": "Europe/Madrid", "prompt": prompt, **given}
    return str(api.post("/mill/schedules", json=body).raise_for_status().json()["id"])


def start(api: httpx.Client, prompt: str, wait_s: float = 30, **given: Any) -> dict[str, Any]:
    made = api.post("/mill/prompts", json={"prompt": prompt, **given}).raise_for_status().json()
    if wait_s:
        made = api.get(f"/mill/prompts/{made['id']}", params={"wait": wait_s}).json()
    return dict(made)


# --- schedules


def test_a_schedule_is_made_run_now_and_its_trace_and_letters_arrive(visitor: Visitor, stage: Stage) -> None:
    page = visitor.go("/ui/schedules/new")
    expect(page.get_by_label("Time zone")).to_have_value("Asia/Tokyo")
    page.get_by_label("Title").fill("Slow talk")
    page.get_by_label("Prompt").fill("Wait for me.")
    page.get_by_label("Time zone").fill("Europe/Madrid")
    page.get_by_label("Rule").fill("30 8 1 1 *")
    expect(page.locator("[data-foreseen]")).to_contain_text("At 08:30, on day 1 of the month, in January")
    expect(page.locator("[data-foreseen] tbody tr")).to_have_count(10)
    first = page.locator("[data-foreseen] tbody tr").first
    expect(first.locator("td").first).to_contain_text("08:30")
    expect(first.locator("time")).to_contain_text("16:30")
    page.get_by_role("button", name="Create schedule").click()

    expect(page.get_by_role("heading", name="Slow talk")).to_be_visible()
    expect(page.locator(".firings tbody tr")).to_have_count(10)
    page.get_by_role("button", name="Run now").click()

    answer = page.locator("#step-1 [data-answer]")
    expect(answer).to_have_text("First half 🎉,")
    expect(page.locator(".headline .state").first).to_have_text("executing")
    page.reload()
    expect(answer).to_have_text("First half 🎉,")
    stage.gate.opened.set()

    expect(answer).to_have_text("First half 🎉, second half.")
    expect(page.locator(".headline .state").first).to_have_text("completed")
    expect(page.locator("#outcome")).to_have_text("First half 🎉, second half.")
    expect(page.locator(".numbers")).to_contain_text("120 (100 read, 20 written)")
    expect(page.locator(".numbers")).to_contain_text("0.06 ¢")
    page.get_by_role("link", name="Slow talk").click()
    expect(page.locator(".strip .cell.completed")).to_have_count(1)


def test_what_the_rule_lacks_is_said_while_it_is_written_and_at_its_field(visitor: Visitor) -> None:
    page = visitor.go("/ui/schedules/new")
    page.get_by_label("Prompt").fill("Ping.")
    page.get_by_label("Rule").fill("61 * * * *")
    expect(page.locator("[data-foreseen] .bad")).to_contain_text("Rule:")

    page.get_by_role("button", name="Create schedule").click()

    expect(page.locator("#cron-help .bad")).to_be_visible()
    expect(page.get_by_label("Rule")).to_have_value("61 * * * *")
    expect(page.get_by_label("Prompt")).to_have_value("Ping.")
    visitor.complaints.clear()  # Chromium's of the 422


def test_editing_keeps_what_the_form_does_not_name(visitor: Visitor, api: httpx.Client) -> None:
    id = schedule(api, title="Before", settings={"max_steps": 7, "metadata": {"a": 1}, "tags": ["x"]}, overlap="skip")
    before = api.get(f"/mill/schedules/{id}").json()
    page = visitor.go(f"/ui/schedules/{id}/edit")
    page.get_by_label("Title").fill("After")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="After")).to_be_visible()

    after = api.get(f"/mill/schedules/{id}").json()

    own = ("title", "updated_at", "upcoming")
    assert {n: v for n, v in after.items() if n not in own} == {n: v for n, v in before.items() if n not in own}
    assert after["title"] == "After"


def test_pause_resume_and_run_now_from_the_list_while_its_strip_stays_live(visitor: Visitor, api: httpx.Client) -> None:
    id = schedule(api, title=f"Live {HOSTILE}")
    page = visitor.go("/ui/schedules")
    row = page.locator(f"tr#{id}")
    expect(row.get_by_role("link", name="Live")).to_have_text(f"Live {HOSTILE}")
    expect(row.locator(".there")).to_contain_text("08:30 Europe/Madrid")
    row.get_by_role("button", name="Pause").click()
    expect(row).to_contain_text("paused")
    row.get_by_role("button", name="Resume").click()
    expect(row).to_contain_text("active")
    expect(page.locator("[data-live-state]")).to_have_text("live")

    api.post(f"/mill/schedules/{id}/run").raise_for_status()

    expect(row.locator(".cell.completed")).to_have_count(1)
    row.locator(".cell").click()
    expect(page).to_have_url(re.compile("/ui/prompts/"))


def test_a_deleted_schedule_is_gone_after_asking(visitor: Visitor, api: httpx.Client) -> None:
    id = schedule(api)
    page = visitor.go(f"/ui/schedules/{id}")
    page.locator("summary", has_text="Delete").click()
    page.get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", name="Schedules")).to_be_visible()

    assert api.get(f"/mill/schedules/{id}").status_code == 404


# --- runs


def test_a_run_shows_its_calls_what_they_made_and_hostile_words_as_text(visitor: Visitor, api: httpx.Client) -> None:
    made = start(api, f"Ping {HOSTILE}", tags=["pinged"])
    page = visitor.go(f"/ui/prompts/{made['id']}")

    expect(page.locator(".trace > li")).to_have_count(5)
    expect(page.locator("#step-1 .answer")).to_have_text(f"I begin {HOSTILE}.")
    expect(page.locator("#step-2")).to_contain_text("create_task")
    page.locator("#step-4 summary").click()
    expect(page.locator("#step-4 details[open]")).to_contain_text('"state": "succeeded"')
    assert page.locator("main img").count() == 0
    task = api.get("/mill/tasks", params={"kind": "ping", "limit": 1}).json()["data"][0]["id"]
    expect(page.locator(f"a[href='/ui/tasks/{task}']")).to_have_count(2)
    page.get_by_role("link", name="pinged").click()
    expect(page.locator(f"tr#{made['id']}")).to_be_visible()


def test_a_failed_run_says_why_and_is_replayed(visitor: Visitor, api: httpx.Client) -> None:
    made = start(api, "Fail at once.")
    page = visitor.go(f"/ui/prompts/{made['id']}")
    expect(page.get_by_role("alert")).to_contain_text(f"answered 400: no {HOSTILE}")
    expect(page.get_by_role("alert")).to_contain_text("llm_http_error")
    expect(page.locator(".attempts")).to_contain_text("LlmHttpError")

    page.get_by_role("button", name="Replay").click()

    page.wait_for_url(re.compile(rf"/ui/prompts/(?!{made['id']})"))
    expect(page.get_by_role("link", name=made["id"])).to_be_visible()


def test_a_delayed_run_is_put_off_and_cancelled(visitor: Visitor, api: httpx.Client) -> None:
    made = start(api, "Later.", wait_s=0, delay="1h")
    page = visitor.go(f"/ui/prompts/{made['id']}")
    page.get_by_label("Start it at another time").fill("soon")
    page.get_by_role("button", name="Reschedule").click()
    expect(page.get_by_role("alert")).to_contain_text("must be a duration such as 1h30m, or a date.")
    visitor.complaints.clear()  # Chromium's of the 422
    page.get_by_label("Start it at another time").fill("2100-01-01T00:00Z")
    page.get_by_role("button", name="Reschedule").click()
    expect(page.get_by_role("alert")).to_contain_text("within a year")
    visitor.complaints.clear()
    page.get_by_label("Start it at another time").fill("5h")
    page.get_by_role("button", name="Reschedule").click()
    expect(page.locator(".numbers")).to_contain_text("in 4 h 59 min")

    page.get_by_role("button", name="Cancel").click()

    expect(page.locator(".headline .state").first).to_have_text("canceled")


def test_runs_are_filtered_and_paged_by_their_place(visitor: Visitor, api: httpx.Client) -> None:
    items = [{"prompt": "Later.", "delay": "1h", "tags": ["many"]} for _ in range(60)]
    made = {
        one["id"] for one in api.post("/mill/prompts/batch", json={"items": items}).raise_for_status().json()["data"]
    }

    page = visitor.go("/ui/prompts?tag=many&status=delayed")
    seen = page.locator("table.prompts tbody tr").evaluate_all("rows => rows.map(row => row.id)")
    page.get_by_role("link", name="Older").click()
    expect(page).to_have_url(re.compile("after="))
    seen += page.locator("table.prompts tbody tr").evaluate_all("rows => rows.map(row => row.id)")

    assert set(seen) == made
    assert len(seen) == 60
    visitor.go("/ui/prompts?status=completed&tag=many")
    expect(page.get_by_text("No run fits this filter.")).to_be_visible()


# --- webhooks


class _Receiver(BaseHTTPRequestHandler):
    """Answers well where the path says so."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps({"say": HOSTILE}).encode()
        self.send_response(200 if self.path == "/well" else 500)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def receiver() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_an_endpoint_is_added_tested_rotated_and_paused(visitor: Visitor, receiver: str) -> None:
    page = visitor.go("/ui/webhooks")
    page.get_by_label("Address").fill(f"{receiver}/well")
    page.get_by_label("Name").fill(f"Shop {HOSTILE}")
    page.get_by_role("button", name="Add endpoint").click()
    first = page.locator("#secret").inner_text()
    assert first.startswith("whsec_")
    here = page.locator(".crumbs code").inner_text()

    page.get_by_role("button", name="Send a test").click()
    expect(page.get_by_role("heading", name="endpoint.test")).to_be_visible()
    expect(page.locator(".headline .state")).to_have_text("delivered", timeout=30_000)
    expect(page.locator(".post pre").last).to_contain_text(HOSTILE)
    page.get_by_role("button", name="Send again").click()
    expect(page.locator(".numbers")).to_contain_text("again for")
    page.get_by_role("link", name="Shop").click()
    expect(page.locator("table.deliveries tbody tr")).to_have_count(2)
    assert first not in page.content()

    page.locator("summary", has_text="Rotate secret").click()
    page.get_by_role("button", name="Rotate secret").click()
    expect(page.locator("#secret")).not_to_have_text(first)
    visitor.go(f"/ui/webhooks/{here}")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".headline .state")).to_have_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".headline .state")).to_have_text("active")


def test_a_delivery_that_fails_shows_each_try(visitor: Visitor, api: httpx.Client, receiver: str) -> None:
    body = {"url": f"{receiver}/badly", "types": ["task.succeeded"]}
    id = api.post("/mill/endpoints", json=body).raise_for_status().json()["id"]
    api.post("/mill/tasks", json={"kind": "ping"}, params={"wait": 30}).raise_for_status()
    page = visitor.go(f"/ui/webhooks/{id}")
    page.get_by_role("link", name="task.succeeded").click()

    expect(page.get_by_role("heading", name="Try 1")).to_be_visible()
    expect(page.locator(".post .bad").first).to_have_text("500")


def test_what_an_endpoint_missed_is_told_again(visitor: Visitor, api: httpx.Client, receiver: str) -> None:
    body = {"url": f"{receiver}/well", "types": ["task.failed"]}
    id = api.post("/mill/endpoints", json=body).raise_for_status().json()["id"]
    api.post("/mill/tasks", json={"kind": "ping"}, params={"wait": 30}).raise_for_status()
    page = visitor.go(f"/ui/webhooks/{id}")
    page.get_by_text("Address and events").click()
    page.get_by_label("task.failed").uncheck()
    page.get_by_label("task.succeeded").check()
    page.get_by_role("button", name="Save").click()

    page.get_by_role("button", name="Tell missed again").click()

    expect(page.get_by_role("status").first).to_have_text("1 event is told again.")


def test_an_address_that_is_refused_is_said_at_its_field(visitor: Visitor) -> None:
    page = visitor.go("/ui/webhooks")
    page.get_by_label("Address").fill("http://10.0.0.1/hook")
    page.get_by_role("button", name="Add endpoint").click()

    expect(page.locator("#url-help .bad")).to_be_visible()
    expect(page.get_by_label("Address")).to_have_value("http://10.0.0.1/hook")
    visitor.complaints.clear()  # Chromium's of the 422


# --- runs of several tasks


def test_a_run_of_several_tasks_is_a_tree_that_ends_in_place(visitor: Visitor, api: httpx.Client) -> None:
    later = {"kind": "ping", "ref": "later", "not_before": "2100-01-01T00:00:00Z", "next": [{"kind": "ping"}]}
    made = api.post("/mill/runs", json={"tasks": [{"kind": "ping", "next": [later]}]}).raise_for_status().json()
    page = visitor.go("/ui/")
    page.get_by_label("Within").get_by_role("link", name="Runs").click()
    page.locator(f"tr#{made['id']}").get_by_role("link").click()
    expect(page.locator(".tree > li")).to_have_count(1)
    expect(page.locator(".tree ul ul li .state")).to_have_text("waiting")
    expect(page.locator(".tree > li > .leaf .state")).to_have_text("succeeded")

    page.get_by_role("button", name="Cancel").click()

    expect(page.locator(".tree ul ul li .state")).to_have_text("cancelled")
    expect(page.locator(".headline .state").first).to_have_text("cancelled")
    page.locator(".tree a").first.click()
    expect(page.get_by_text("of several tasks")).to_be_visible()


# --- for everyone


def test_another_projects_schedules_and_runs_are_not_there(stage: Stage, api: httpx.Client) -> None:
    id, run = schedule(api), start(api, "Ping.")["id"]
    other = api.post("/mill/keys", json={"name": "other", "project_id": "other"}).json()["secret"]
    with httpx.Client(base_url=stage.server.url, headers={"origin": stage.server.url}, timeout=30) as theirs:
        assert theirs.post("/ui/login", data={"key": other}).status_code == 303
        for path in (f"schedules/{id}", f"schedules/{id}/edit", f"prompts/{run}", f"prompts/{run}/events"):
            assert theirs.get(f"/ui/{path}").status_code == 404, path
        for path in (f"schedules/{id}/run", f"schedules/{id}/pause", f"schedules/{id}/delete", f"prompts/{run}/cancel",
                     f"prompts/{run}/replay"):  # fmt: skip
            assert theirs.post(f"/ui/{path}").status_code == 404, path
        assert id not in theirs.get("/ui/schedules").text
        assert run not in theirs.get("/ui/prompts").text


def test_nothing_is_changed_by_pages_of_other_sites(stage: Stage, api: httpx.Client) -> None:
    id, run = schedule(api), start(api, "Later.", wait_s=0, delay="1h")["id"]
    with httpx.Client(base_url=stage.server.url, headers={"origin": stage.server.url}, timeout=30) as client:
        assert client.post("/ui/login", data={"key": stage.server.key}).status_code == 303
        client.headers["origin"] = "https://elsewhere.example"
        for path in (f"schedules/{id}/run", f"schedules/{id}/pause", f"schedules/{id}/delete", "schedules/new",
                     f"prompts/{run}/cancel", f"prompts/{run}/tags"):  # fmt: skip
            assert client.post(f"/ui/{path}").status_code == 403, path


def test_everything_works_without_a_script(browser: Browser, stage: Stage, signed_in: Any, api: httpx.Client) -> None:
    with visiting(browser, stage.server.url, java_script_enabled=False, storage_state=signed_in) as visitor:
        page = visitor.go("/ui/schedules/new")
        page.get_by_label("Title").fill("Plain")
        page.get_by_label("Prompt").fill("Ping.")
        page.get_by_label("Rule").fill("0 9 * * *")
        page.get_by_role("button", name="Show the next firings").click()
        expect(page.locator("[data-foreseen] tbody tr")).to_have_count(10)
        expect(page.locator("[data-foreseen] time").first).to_contain_text("09:00 UTC")
        expect(page.get_by_label("Prompt")).to_have_value("Ping.")
        page.get_by_role("button", name="Create schedule").click()
        page.get_by_role("button", name="Run now").click()
        id = page.url.rsplit("/", 1)[1]
        assert api.get(f"/mill/prompts/{id}", params={"wait": 30}).json()["status"] == "completed"
        page.reload()
        expect(page.locator("#outcome")).to_have_text("The ping came back.")


def test_every_control_has_a_name_and_nothing_is_wider_than_a_phone(
    browser: Browser, stage: Stage, signed_in: Any, api: httpx.Client
) -> None:
    id = schedule(api, title="A rather long title that somebody gave it on a very talkative day of the year")
    run = start(api, "Fail " + "without_any_space_" * 20, tags=["t" * 128])["id"]
    phone: dict[str, Any] = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "storage_state": signed_in}
    with visiting(browser, stage.server.url, **phone) as visitor:
        for path in (
            "schedules",
            "schedules/new",
            f"schedules/{id}",
            f"schedules/{id}/edit",
            "prompts",
            f"prompts/{run}",
        ):
            page = visitor.go(f"/ui/{path}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
            nameless = page.evaluate(NAMELESS)
            assert nameless == [], path
