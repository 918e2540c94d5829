"""What holds for every call: the key, the version, the route, the method."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.dialects.ittybit.conftest import ENVELOPE, FLAT, Caller, ours
from tests.support import database, inprocess
from tests.support.database import Postgres

from mediamill.core.errors import Invalid
from mediamill.dialects import Links
from mediamill.dialects.ittybit import DIALECT
from mediamill.dialects.ittybit.profile import choose
from mediamill.service.signing import Signer
from mediamill.store.tasks import Tasks

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


async def test_too_many_calls_are_told_when_to_come_back(postgres: Postgres, tmp_path: Path) -> None:
    async with database.copy(postgres) as dsn, inprocess.running(dsn, tmp_path, ittybit_requests_per_minute=2) as mill:
        call = Caller(mill, inprocess.KEY)
        for _ in range(2):
            await call.good("GET", "/tasks")

        answer = await call("GET", "/nowhere")

    assert (answer.status_code, answer.json()["kind"]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_reply_that_is_still_at_work_or_failed_is_not_kept(call: Caller) -> None:
    key = {"idempotency-key": "z" * 16}
    await call.error(400, "request_invalid", "POST", "/media", {"title": 3}, headers=key)

    made = await call("POST", "/media", {"title": "a"}, headers=key)
    again = await call("POST", "/media", {"title": "a"}, headers=key)
    elsewhere = await call("POST", "/signatures", {"filename": "a"}, headers=key)

    assert (made.status_code, again.status_code, elsewhere.status_code) == (201, 200, 200)
    assert made.json() == again.json()
    await call.error(409, "idempotency_conflict", "POST", "/media", {"title": "b"}, headers=key)
    assert len(await call.good("GET", "/media")) == 1


@pytest.mark.parametrize("url", ["http://hooks.example/end", "nowhere", "ftp://a/b", "http://[/"])
async def test_a_tasks_own_webhook_is_an_https_url(url: str, call: Caller) -> None:
    body = {"kind": "ingest", "url": "https://a.example/b.png", "webhook_url": url}
    assert "webhook_url" in await call.error(400, "request_invalid", "POST", "/tasks", body)


async def test_a_tasks_own_webhook_tells_it_in_the_profile_it_was_asked_for_in(call: Caller) -> None:
    url = "https://hooks.example/end"
    made = {}
    for name, headers in (("current", {}), ("flat", FLAT), ("envelope", ENVELOPE)):
        body = {"kind": "ingest", "url": "https://a.example/b.png", "webhook_url": url}
        task = await call.speaking(headers).good("POST", "/tasks", body, status=201)
        made[name] = ours((task["data"] if name == "envelope" else task)["id"])
        await call.mill.fail(made[name])
    rows = await call.mill.bench.pool.fetch("SELECT task_id, url, type FROM deliveries WHERE endpoint_id IS NULL")
    assert {(made[name], url, "task.failed") for name in made} <= {tuple(row) for row in rows}

    signer = Signer(b"secret")
    links = Links(origin="http://a", base="http://a/ittybit", signer=signer, upload_s=1, download_s=1)
    found = await Tasks(call.mill.bench.pool).get_many(list(made.values()))
    words = {name: DIALECT.write_task(task, links) for name, task in zip(made, found, strict=True) if task}
    assert (words["current"]["status"], "created_at" in words["current"]) == ("failed", True)
    assert (words["flat"]["status"], "created" in words["flat"]) == ("failed", True)
    assert words["envelope"]["data"]["created"].endswith("Z")


@pytest.mark.parametrize("base", ["http://mill.test/", "http://mill.test/ittybit/", "http://mill.test//ittybit"])
async def test_a_base_url_may_end_in_a_slash(call: Caller, base: str) -> None:
    """The published client joins base, slash and path."""
    answer = await call("GET", f"{base}/tasks")

    assert (answer.status_code, answer.json()) == (200, [])
