"""Deliveries and runs of several tasks in the templates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.support.tasks import NOON, at, failure, task

from mediamill.core.ids import ProjectId, RunId
from mediamill.core.runs import Part, Run
from mediamill.core.tasks import State
from mediamill.core.webhooks import Attempt, Delivery, DeliveryPage, DeliveryState, delivery_id
from mediamill.dashboard import files, webhooks
from mediamill.dashboard.render import Renderer, label
from mediamill.dashboard.runs import tree
from mediamill.dashboard.webhooks import Given, _ends, body_of, is_soon

HOSTILE = '<script>alert("x")</script>'
ATTEMPT = Attempt(
    number=1, url=HOSTILE, started_at=NOON, took_s=1.0, request_headers={}, request_body=b"", status=500,
    response_headers={}, response_body=b"", error=None,
)  # fmt: skip


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    made = Renderer()
    made.add(preview_of=files.preview_of, known=files.known, **webhooks.WORDS)
    return made


def delivery(id: int = 1, **given: Any) -> Delivery:
    values: dict[str, Any] = {
        "project_id": ProjectId("default"), "endpoint_id": "w1", "url": HOSTILE, "event_id": 3, "type": "task.failed",
        "task_id": "t1", "run_id": None, "state": DeliveryState.PENDING, "attempts": 1, "next_attempt_at": at(60),
        "status": 500, "error": HOSTILE, "replay_of": None, "created_at": NOON, "updated_at": NOON,
    }  # fmt: skip
    return Delivery(id=id, **{**values, **given})


def test_errors_names_and_addresses_stay_text(renderer: Renderer) -> None:
    rows = renderer.piece("_webhook.html", "rows", [delivery()])
    given = Given(url=HOSTILE, name=HOSTILE, types=(HOSTILE,))
    fields = renderer.piece("_webhook.html", "fields", given, ("task.created",), "*", "url", HOSTILE)

    for piece in (rows, fields):
        assert "alert" in piece
        assert "<script" not in piece
    assert f"/ui/deliveries/{delivery_id(1)}" in rows


@pytest.mark.parametrize(
    ("due_s", "attempts", "logged", "state", "soon"),
    [
        (None, 0, 0, DeliveryState.PENDING, True),
        (5, 0, 0, DeliveryState.PENDING, True),
        (60, 1, 0, DeliveryState.PENDING, True),  # on its way, and lent for a minute
        (60, 1, 1, DeliveryState.PENDING, False),
        (None, 1, 1, DeliveryState.DELIVERED, False),
    ],
)
def test_the_page_of_a_delivery_looks_again_while_it_may_change(
    due_s: float | None, attempts: int, logged: int, state: DeliveryState, soon: bool
) -> None:
    due = None if due_s is None else datetime.now(UTC) + timedelta(seconds=due_s)
    log = [ATTEMPT] * logged

    assert is_soon(delivery(next_attempt_at=due, attempts=attempts, log=log, state=state)) is soon


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"a":[1]}', '{\n  "a": [\n    1\n  ]\n}'),
        (b"plain", "plain"),
        (b"\xff\x00", "\ufffd\x00"),
        (b"[" * 5000, "[" * 5000),
        (b"", ""),
    ],
)
def test_what_was_posted_is_laid_out_for_reading(body: bytes, shown: str) -> None:
    assert body_of(body) == shown


@pytest.mark.parametrize(
    ("page", "more", "newer", "older"),
    [
        (DeliveryPage(), False, False, False),
        (DeliveryPage(), True, False, True),
        (DeliveryPage(after=9), False, True, False),
        (DeliveryPage(before=1), True, True, True),
        (DeliveryPage(before=1), False, False, True),
    ],
)
def test_pages_of_deliveries_lead_on_by_their_place(page: DeliveryPage, more: bool, newer: bool, older: bool) -> None:
    ends = _ends(page, [delivery(5), delivery(4)], more, {"state": "failed"})

    assert ends.newer == (f"state=failed&before={delivery_id(5)}" if newer else None)
    assert ends.older == (f"state=failed&after={delivery_id(4)}" if older else None)


def test_tasks_of_a_run_stand_below_those_they_follow(renderer: Renderer) -> None:
    found = [task(id="t1"), task(id="t2", parent_id="t1"), task(id="t3", parent_id="t2", ref=HOSTILE), task(id="t4")]
    found.append(task(id="t5", parent_id="gone", state=State.FAILED, error=failure(HOSTILE)))

    roots = tree(found)

    assert [(one.task.id, [below.task.id for below in one.next]) for one in roots] == [
        ("t1", ["t2"]), ("t4", []), ("t5", []),
    ]  # fmt: skip
    html = renderer.piece("_run.html", "tree", roots, at(9))
    assert html.count("<li>") == 5
    assert "<script" not in html


def test_a_task_that_a_condition_left_out_is_called_skipped(renderer: Renderer) -> None:
    skipped = task(state=State.CANCELLED, details={"skipped": True})

    assert ">skipped<" in renderer.piece("_run.html", "tree", tree([skipped]), at(9))


@pytest.mark.parametrize(("finished", "cancels"), [(None, True), (at(5), False)])
def test_a_run_can_be_cancelled_until_it_has_ended(renderer: Renderer, finished: Any, cancels: bool) -> None:
    part = Part(
        id="t1", kind="ping", dialect="mill", state=State.RUNNING, stage=None, progress=0.5, error=None, skipped=False,
        started_at=NOON,
    )  # fmt: skip
    run = Run(
        id=RunId("r1"), project_id=ProjectId("default"), dialect="mill", state="failed" if finished else "running",
        metadata=None, extra={}, created_by=HOSTILE, cancel_requested=False, error=failure(HOSTILE), parts=[part],
        created_at=NOON, updated_at=NOON, started_at=NOON, finished_at=finished,
    )  # fmt: skip

    html = renderer.piece("_run.html", "summary", run, at(9))

    assert ("/ui/runs/r1/cancel" in html) is cancels
    assert "<script" not in html


def test_a_prompt_is_known_by_its_first_line() -> None:
    assert label(task(kind="prompt", inputs=[], options={"prompt": " Say it.\nAnd more."})) == "Say it."
    assert label(task(kind="prompt", inputs=[], options={})) == ""
