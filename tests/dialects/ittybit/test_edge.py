"""What holds for every call: the key, the version, the route, the method."""

from __future__ import annotations

import pytest
from tests.dialects.ittybit.conftest import Caller

from mediamill.core.errors import Invalid
from mediamill.dialects.ittybit.profile import choose

SDK = {"x-fern-sdk-name": "ittybit"}


@pytest.mark.parametrize(
    ("headers", "profile"),
    [
        ({}, "current"),
        ({"accept-version": "latest"}, "current"),
        ({"accept-version": "2025-10-01"}, "current"),
        ({"accept-version": "2025-09-30"}, "flat"),
        ({"accept-version": "2025-08-20"}, "flat"),
        ({"accept-version": "2025-08-19"}, "envelope"),
        ({**SDK, "x-fern-sdk-version": "1.0.0"}, "flat"),
        ({**SDK, "x-fern-sdk-version": "0.9.0"}, "envelope"),
        ({"x-fern-sdk-name": "@ittybit/sdk", "x-fern-sdk-version": "1.0.0"}, "flat"),
        ({**SDK, "x-fern-sdk-version": "1.0.0", "accept-version": "latest"}, "current"),
        ({**SDK, "x-fern-sdk-version": "1.0.0", "accept_version": "latest"}, "flat"),
        ({"accept_version": "2025-08-01"}, "envelope"),
        ({"x-fern-sdk-name": "other", "x-fern-sdk-version": "1.0.0"}, "current"),
    ],
)
def test_the_first_hint_that_fits_chooses_the_profile(headers: dict[str, str], profile: str) -> None:
    assert choose(headers) == profile


@pytest.mark.parametrize("version", ["", "2025-02-30", "2025-8-2", "v1", "20250820", "٢٠٢٥-08-20"])
def test_a_version_that_is_no_date_is_refused(version: str) -> None:
    with pytest.raises(Invalid, match="Accept-Version"):
        choose({"accept-version": version})


async def test_a_key_is_asked_for_before_all_else(call: Caller) -> None:
    for header in (None, "", "Basic abc", "Bearer", "Bearer  "):
        await call.error(401, "token_missing", "GET", "/nowhere", headers={"authorization": header})
    wrong = {"authorization": "Bearer ittybit_wrong", "accept-version": "never"}
    await call.error(401, "token_invalid", "GET", "/nowhere", headers=wrong)
    await call.error(400, "request_invalid", "GET", "/nowhere", headers={"accept-version": "never"})
    await call.error(404, "not_found", "GET", "/nowhere")


async def test_a_wrong_method_is_told_which_there_are(call: Caller) -> None:
    answer = await call("PUT", "/tasks")

    assert answer.status_code == 405
    assert answer.json()["kind"] == "method_not_allowed"
    assert answer.headers["allow"] == "GET, POST, HEAD, OPTIONS"
    options = await call("OPTIONS", "/tasks")
    assert (options.status_code, options.headers["allow"]) == (204, "GET, POST, HEAD, OPTIONS")
    head = await call("HEAD", "/tasks")
    assert (head.status_code, head.content) == (200, b"")


async def test_the_bare_origin_is_this_dialect_and_links_say_so(call: Caller) -> None:
    for _ in range(2):
        await call.tasked()
    headers = {"authorization": f"Bearer {call.token}"}

    bare = await call.mill.http.get("/tasks?limit=1", headers=headers)

    assert bare.headers["link"].startswith("<http://mill.test/tasks?limit=1&after=task_")
    assert (await call("GET", "/tasks?limit=1")).headers["link"].startswith("<http://mill.test/ittybit/tasks?")


async def test_a_body_that_is_too_large_is_refused(call: Caller) -> None:
    await call.error(413, "request_too_large", "POST", "/tasks", raw=b" " * (1 << 20) + b"{}")
