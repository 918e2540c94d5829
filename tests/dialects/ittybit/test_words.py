"""The dialect's words for states, failures and options."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from tests.dialects.ittybit.conftest import Caller, ours

from mediamill.core import errors
from mediamill.core.errors import Failed
from mediamill.core.tasks import Failure
from mediamill.dialects.ittybit.objects import failure

KINDS = {
    "input_unreachable", "input_unsupported", "input_too_large", "no_video_stream", "no_audio_stream", "range_empty",
    "encode_failed", "timeout", "destination_failed", "kind_unavailable", "internal_error",
}  # fmt: skip
FAILURES = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, Failed)]


@pytest.mark.parametrize("error", FAILURES, ids=lambda error: error.code)
def test_every_failure_has_a_word_of_the_contract(error: type[Failed]) -> None:
    said = failure(Failure(code=error.code, family=error.family, message="why"))

    assert said is not None
    assert said["kind"] in KINDS
    assert said["message"] == "why"


@pytest.mark.parametrize(
    ("code", "family", "kind"),
    [
        ("source_unreachable", "source", "input_unreachable"),
        ("source_refused", "source", "input_unreachable"),
        ("source_too_large", "source", "input_too_large"),
        ("bad_media", "input", "input_unsupported"),
        ("no_audio_stream", "input", "no_audio_stream"),
        ("no_video_stream", "input", "no_video_stream"),
        ("range_empty", "input", "range_empty"),
        ("tool_failed", "tool", "encode_failed"),
        ("timed_out", "limit", "timeout"),
        ("destination_failed", "source", "destination_failed"),
        ("worker_lost", "internal", "internal_error"),
        ("a_new_one", "input", "input_unsupported"),
    ],
)
def test_a_failure_is_told_by_its_kind(code: str, family: str, kind: str) -> None:
    assert failure(Failure(code=code, family=family, message="")) == {"kind": kind, "message": "The task failed."}


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        ("image", {"fit": "squash"}, ("fit", "contain", "cover", "fill")),
        ("video", {"quality": "super"}, ("quality", "very_low", "very_high")),
        ("conditions", {"conditions": [{"prop": "a", "value": 1, "operator": "near"}]}, ("operator", "contains")),
        ("image", {"width": 0}, ("width",)),
        ("image", {"width": "wide"}, ("width",)),
    ],
)
async def test_a_wrong_option_is_told_what_it_takes(
    call: Caller, kind: str, options: dict[str, Any], words: tuple[str, ...]
) -> None:
    body = {"kind": kind, "url": "https://a.example/b.png", "options": options}

    message = await call.error(400, "request_invalid", "POST", "/tasks", body)

    assert all(word in message for word in words), message


async def test_a_task_goes_through_its_states_in_order(call: Caller) -> None:
    task = await call.tasked()
    id, path = ours(task["id"]), f"/tasks/{task['id']}"
    seen = [task["status"]]
    for step in (call.fetched, call.mill.start):
        await step(id)
        found = await call.good("GET", path)
        seen.append(found["status"])
        assert [t["id"] for t in await call.good("GET", f"/tasks?status={found['status']}")] == [task["id"]]
    pool = call.mill.bench.pool
    await pool.execute("UPDATE tasks SET stage = 'store', progress = 1 WHERE id = $1", id)
    storing = await call.good("GET", path)

    assert seen == ["waiting", "queued", "processing"]
    assert (storing["status"], storing["progress"]) == ("finishing", 99)
    assert [t["id"] for t in await call.good("GET", "/tasks?status=finishing")] == [task["id"]]
    assert await call.good("GET", "/tasks?status=processing") == []
