"""Contract section 1: tokens, media types, rate limit, in this order."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.dialects.turbofiles.conftest import JSONAPI, Caller, file_body
from tests.support import inprocess
from tests.support.inprocess import InProcess

GOOD = file_body(format="image/png", size=9)


@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Bearer ", "Bearer None", "Basic eDp5", "mill_unknown"])
async def test_a_call_without_a_known_token_is_401(call: Caller, authorization: str | None) -> None:
    answer = await call("GET", "/v1/tasks", headers={"authorization": authorization})

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["errors"][0]["meta"] == {"reason": "unauthorized"}


async def test_the_token_is_looked_at_before_everything_else(call: Caller) -> None:
    bare = {"authorization": None, "accept": "text/html", "content-type": "text/plain"}

    assert (await call("POST", "/v1/tasks?nonsense=1", raw=b"{", headers=bare)).status_code == 401
    assert (await call("GET", "/v1/files/nosuchfile", headers=bare)).status_code == 401
    assert (await call("GET", "/v1/nowhere", headers=bare)).status_code == 401


async def test_the_scheme_is_read_in_any_case(call: Caller) -> None:
    assert (await call("GET", "/v1/tasks", headers={"authorization": f"bearer {call.token}"})).status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "text/plain",
        "application/vnd.api+json; charset=utf-8",
        'application/vnd.api+json; ext="https://jsonapi.org/ext/atomic"',
        'application/vnd.api+json; ext=""',
        'application/vnd.api+json; profile="https://a.example"; charset=utf-8',
    ],
)
async def test_a_body_of_another_media_type_is_415(call: Caller, content_type: str | None) -> None:
    error = await call.error(415, "POST", "/v1/files", GOOD, headers={"content-type": content_type})

    assert error["source"] == {"header": "Content-Type"}
    assert error["meta"]["reason"] == "unsupported_media_type"


@pytest.mark.parametrize(
    "content_type",
    [
        "application/vnd.api+json",
        "Application/Vnd.API+JSON",
        "application/vnd.api+json;",
        'application/vnd.api+json; profile="https://a.example/x;y https://b.example"',
    ],
)
async def test_a_profile_is_ignored(call: Caller, content_type: str) -> None:
    answer = await call("POST", "/v1/files", GOOD, headers={"content-type": content_type})

    assert answer.status_code == 201
    assert answer.headers["content-type"] == JSONAPI


async def test_the_content_type_of_a_get_may_be_there_but_not_have_parameters(call: Caller) -> None:
    assert (await call("GET", "/v1/tasks", headers={"content-type": JSONAPI})).status_code == 200
    assert (await call("GET", "/v1/tasks", headers={"content-type": f"{JSONAPI}; charset=utf-8"})).status_code == 415
    file = await call.awaited()
    assert (await call("DELETE", f"/v1/files/{file['id']}", headers={"content-type": JSONAPI})).status_code == 204


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (None, 200),
        ("", 200),
        ("*/*", 200),
        ("application/*", 200),
        ("text/html, */*;q=0.1", 200),
        (JSONAPI, 200),
        (f"{JSONAPI};q=0.5", 200),
        (f'{JSONAPI}; profile="https://a.example"', 200),
        (f"{JSONAPI}; charset=utf-8, {JSONAPI}", 200),
        (f'text/html;x="a, b", {JSONAPI}', 200),
        ("text/html", 406),
        ("application/json", 406),
        (f"{JSONAPI}; charset=utf-8", 406),
        (f"{JSONAPI}; charset=utf-8, */*", 406),
        (f'{JSONAPI}; ext="https://jsonapi.org/ext/atomic", */*', 406),
        (f"{JSONAPI};q=0, */*", 406),
        ("*/*;q=0", 406),
        (f'text/html; x="{JSONAPI}"', 406),
    ],
)
async def test_what_is_acceptable(call: Caller, accept: str | None, status: int) -> None:
    # The client of these tests sends */* on its own unless told otherwise.
    answer = await call("GET", "/v1/tasks", headers={"accept": "*/*" if accept is None else accept})

    assert answer.status_code == status
    assert answer.headers["content-type"] == JSONAPI
    assert answer.headers["vary"] == "Accept"
    if status == 406:
        assert answer.json()["errors"][0]["source"] == {"header": "Accept"}


async def test_answers_say_how_many_calls_are_left(call: Caller) -> None:
    first = await call("GET", "/v1/tasks")

    assert first.headers["x-ratelimit-limit"] == "300"
    assert first.headers["x-ratelimit-remaining"] == "299"


async def test_calls_over_the_limit_are_429_with_the_time_to_wait(dsn: str, tmp_path: Path) -> None:
    async with inprocess.running(dsn, tmp_path, turbofiles_requests_per_minute=3) as mill:
        call = Caller(mill)
        left = [(await call("GET", "/v1/tasks")).headers["x-ratelimit-remaining"] for _ in range(3)]
        refused = await call("GET", "/v1/tasks", headers={"accept": "text/html"})

        assert left == ["2", "1", "0"]
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert refused.json()["errors"][0]["meta"]["reason"] == "rate_limited"
        # Each token has its own budget, and signed URLs use none of it.
        other = Caller(mill, await mill.token("elsewhere"))
        await other.uploaded()
        assert (await other("GET", "/v1/tasks")).headers["x-ratelimit-remaining"] == "1"


async def test_the_bare_origin_is_ours_when_the_request_speaks_json_api(mill: InProcess) -> None:
    token = {"authorization": f"Bearer {await mill.token('bare')}"}

    ours = await mill.http.get("/v1/tasks", headers={**token, "accept": JSONAPI})
    also = await mill.http.get("/v1/files", headers=token)

    assert ours.json()["data"] == []
    assert also.json()["data"] == []


async def test_a_task_of_ours_is_found_at_the_bare_origin_by_its_id_alone(call: Caller, mill: InProcess) -> None:
    token = {"authorization": f"Bearer {call.token}"}
    task = await call.converting()

    ours = await mill.http.get(f"/v1/tasks/{task}", headers=token)  # as curl sends it: Accept is */*
    gone = await mill.http.get("/v1/tasks/k3v9t1w8ab", headers=token)
    others = await mill.http.get("/v1/tasks/task_01KH2Z5QF3W8M6C1V0T9R4XYBA", headers=token)
    creator = await mill.http.get("/v1/tasks/transcribe", headers=token)

    assert ours.json()["data"]["id"] == task
    assert gone.status_code == 404
    assert "errors" in gone.json()
    assert others.json()["error"]["code"] == "not_found"
    assert creator.status_code == 405


async def test_links_use_the_base_that_the_caller_used(call: Caller, mill: InProcess) -> None:
    below = await call.awaited()
    headers = {"authorization": f"Bearer {call.token}", "accept": JSONAPI}
    bare = (await mill.http.get(f"/v1/files/{below['id']}", headers=headers)).json()

    assert below["links"]["self"] == f"http://mill.test/turbofiles/v1/files/{below['id']}"
    assert bare["links"]["self"] == f"http://mill.test/v1/files/{below['id']}"


async def test_links_use_the_configured_base(dsn: str, tmp_path: Path) -> None:
    async with inprocess.running(dsn, tmp_path, public_url="https://media.example/") as mill:
        file = await Caller(mill).awaited()

        assert file["links"]["self"] == f"https://media.example/turbofiles/v1/files/{file['id']}"
        assert file["links"]["upload"].startswith(f"https://media.example/upload/{file['id']}?expires=")
