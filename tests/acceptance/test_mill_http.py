"""The edges of /mill on a real server: doors, keys, methods, bodies, and what it says of itself."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from tests.support.bad_files import good_picture
from tests.support.server import Server, serving, until

PROBLEM = "application/problem+json"
JSON = {"content-type": "application/json"}


def raw(server: Server, request: bytes) -> bytes:
    """The answer's head to bytes that a client library would not send."""
    place = urlsplit(server.url)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        connection.sendall(request)
        said = b""
        while b"\r\n\r\n" not in said and (chunk := connection.recv(4096)):
            said += chunk
    return said


# --- doors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_bare_root_leads_to_the_dashboard(http: httpx.Client, method: str) -> None:
    answer = http.request(method, "/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/ui/")


@pytest.mark.parametrize("path", ["/nope", "/mill/nope", "/mill", "/%00", "/%ff", "/nope/..%2f..", "/mill/tasks/a/b/c"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_unknown_paths_are_problems(http: httpx.Client, path: str, method: str) -> None:
    answer = http.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, PROBLEM)
    assert (answer.json()["status"], answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "accept", "dialect"),
    [
        ("/v1/tasks", "application/vnd.api+json", "turbofiles"),
        ("/turbofiles/v1/tasks", "*/*", "turbofiles"),
        ("/mill/tasks", "application/vnd.api+json", "mill"),
    ],
)
def test_the_front_door_knows_whom_a_path_is_for(server: Server, path: str, accept: str, dialect: str) -> None:
    answer = httpx.get(server.url + path, headers={"accept": accept})
    media = {"mill": PROBLEM, "turbofiles": "application/vnd.api+json"}[dialect]
    assert (answer.status_code, answer.headers["content-type"]) == (401, media)


@pytest.mark.parametrize(
    "request_line",
    [b"GET *", b"OPTIONS *", b"GET //", b"GET /mill/" + b"a" * 20_000, b"GET /mill/tasks?a=" + b"%00" * 9],
)
def test_odd_targets_are_answered_without_a_server_error(server: Server, request_line: bytes) -> None:
    said = raw(server, request_line + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert int(said.split(b" ", 2)[1]) in (307, 400, 401, 404, 414)


# --- methods --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/mill/tasks", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("/mill/tasks/x", {"GET", "HEAD", "OPTIONS"}),
        ("/mill/tasks/x/cancel", {"OPTIONS", "POST"}),
        ("/mill/files/x", {"DELETE", "GET", "HEAD", "OPTIONS"}),
        ("/mill/keys", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("/mill/health", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_allow_names_every_method_of_a_path(http: httpx.Client, path: str, methods: set[str]) -> None:
    options = http.options(path)
    refused = http.request("PATCH", path)
    assert (options.status_code, refused.status_code) == (204, 405)
    assert refused.json()["code"] == "method_not_allowed"
    for answer in (options, refused):
        assert set(answer.headers["allow"].split(", ")) == methods


@pytest.mark.parametrize(
    "path", ["/mill/tasks", "/mill/health", "/mill/capabilities", "/mill/openapi.json", "/metrics"]
)
def test_head_is_get_without_the_body(http: httpx.Client, path: str) -> None:
    get, head = http.get(path), http.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


def test_head_of_a_stream_ends(http: httpx.Client) -> None:
    answer = http.head("/mill/events")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert http.head("/mill/tasks/none").status_code == 404


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/mill/tasks", "/mill/tasks?limit=0", "/mill/events", "/mill/keys", "/mill/files/x"])
@pytest.mark.parametrize(
    "headers",
    [{}, {"authorization": "Bearer"}, {"authorization": "Basic eDp5"}, {"x-api-key": "none"}, {"x-api-key": ""},
     {"authorization": "Bearer " + "a" * 9000}, {"authorization": b"Bearer \xff\xfe"}],
    ids=range(7),
)  # fmt: skip
def test_without_a_known_key_everything_else_is_401(server: Server, path: str, headers: Any) -> None:
    answer = httpx.get(server.url + path, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (401, PROBLEM)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_body_is_not_looked_at_before_the_key(server: Server) -> None:
    assert httpx.post(f"{server.url}/mill/tasks", content=b"{", headers=JSON).status_code == 401
    assert httpx.post(f"{server.url}/mill/keys", content=b"{", headers=JSON).status_code == 401


def test_keys_are_made_listed_and_ended(server: Server, http: httpx.Client) -> None:
    project = f"p{secrets.token_hex(6)}"
    made = http.post("/mill/keys", json={"name": "one", "role": "admin", "project_id": project}).json()
    headers = {"authorization": f"Bearer {made['secret']}"}
    with httpx.Client(base_url=server.url, headers=headers) as admin:
        [seen] = admin.get("/mill/keys").json()["data"]
        assert "secret" not in seen
        assert made["secret"].startswith(seen["hint"])
        assert made["secret"] not in admin.get("/mill/keys").text
        member = admin.post("/mill/keys", json={"name": "two"}).json()
        assert (member["role"], member["project_id"]) == ("member", project)
        with httpx.Client(base_url=server.url, headers={"x-api-key": member["secret"]}) as low:
            assert low.get("/mill/tasks").status_code == 200
            refused = [
                low.get("/mill/keys"),
                low.post("/mill/keys", json={"name": "three"}),
                low.delete(f"/mill/keys/{made['id']}"),
            ]
            assert {(answer.status_code, answer.json()["code"]) for answer in refused} == {(403, "denied")}
            assert admin.delete(f"/mill/keys/{member['id']}").status_code == 204
            assert low.get("/mill/tasks").status_code == 401
        assert admin.delete(f"/mill/keys/{made['id']}").status_code == 422
        assert admin.delete("/mill/keys/k0none").status_code == 404
    # Another project's key is unknown here.
    assert http.delete(f"/mill/keys/{made['id']}").status_code == 404


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "x" * 201}, "name"),
        ({}, "name"),
        ({"name": "x", "role": "root"}, "role"),
        ({"name": "x", "project_id": "a b"}, "project_id"),
        ({"name": "x", "project_id": "a\n"}, "project_id"),
        ({"name": "x", "project_id": "x" * 65}, "project_id"),
        ({"name": "x", "more": 1}, "more"),
    ],
)
def test_a_key_that_cannot_be_made_names_its_field(http: httpx.Client, body: dict[str, Any], field: str) -> None:
    answer = http.post("/mill/keys", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_calls_beyond_the_budget_are_429_and_say_when(server: Server) -> None:
    with serving(environment={"MEDIAMILL_REQUESTS_PER_MINUTE": "5"}, worker=False) as other, other.client() as http:
        answers = [http.get("/mill/tasks") for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert answers[-1].json()["code"] == "rate_limited"
        assert http.get("/mill/health").status_code == 200


def test_tasks_beyond_the_limit_in_flight_are_429() -> None:
    environment = {"MEDIAMILL_TASKS_IN_FLIGHT": "5"}
    with (
        serving(environment=environment, worker=False) as other,
        other.client() as http,
        ThreadPoolExecutor(16) as pool,
    ):
        answers = list(pool.map(lambda _: http.post("/mill/tasks", json={"kind": "ping"}), range(16)))
        assert sorted(answer.status_code for answer in answers) == [201] * 5 + [429] * 11
        task = http.get("/mill/tasks").json()["data"][0]["id"]
        headers = {"idempotency-key": "k"}
        assert http.post("/mill/tasks", json={"kind": "ping"}, headers=headers).status_code == 429
        assert http.post(f"/mill/tasks/{task}/cancel").status_code == 200
        assert http.post("/mill/tasks", json={"kind": "ping"}, headers=headers).status_code == 201
        assert http.get("/mill/ready").status_code == 503


# --- bodies ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/mill/tasks", "/mill/files", "/mill/keys"])
@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b'{"kind":"\xff"}', b"\xef\xbb\xbf{}", b'{"kind":NaN}', b'{"kind":"\\ud800"}', b"\0",
     b"[" * 100_000, '{"kind":"ping"}'.encode("utf-16"), b'{"metadata":{"a":1e999}}',
     b'{"metadata":{"a":' + b"9" * 9000 + b"}}"],
    ids=range(12),
)  # fmt: skip
def test_what_is_no_json_is_malformed(http: httpx.Client, path: str, body: bytes) -> None:
    answer = http.post(path, content=body, headers=JSON)
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == PROBLEM
    assert answer.json()["code"] in ("malformed", "invalid")


@pytest.mark.parametrize("path", ["/mill/tasks", "/mill/files", "/mill/keys"])
@pytest.mark.parametrize("body", [b"null", b"[]", b"1", b'"x"', b"true"])
def test_what_is_no_object_is_invalid(http: httpx.Client, path: str, body: bytes) -> None:
    answer = http.post(path, content=body, headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ("application/vnd.mill+json", 201),
        (None, 201),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/xml", 415),
        ("garbage", 415),
    ],
)
def test_a_body_is_json_or_says_nothing(http: httpx.Client, content_type: str | None, status: int) -> None:
    headers = {} if content_type is None else {"content-type": content_type}
    answer = http.post("/mill/tasks", content=b'{"kind":"ping"}', headers=headers)
    assert answer.status_code == status, answer.text
    if status == 415:
        assert answer.json()["code"] == "unsupported_media_type"


@pytest.mark.parametrize("path", ["/mill/tasks", "/mill/files", "/mill/keys"])
def test_a_body_without_a_length_is_read_no_further_than_a_megabyte(http: httpx.Client, path: str) -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"kind":"'
        for _ in range(40):
            yield b"a" * (1 << 16)
        yield b'"}'

    answer = http.post(path, content=endless(), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n"),
        ("multipart/form-data; boundary=", b"--x\r\n"),
        ("multipart/form-data; boundary=x", b""),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
        (
            "multipart/form-data; boundary=x",
            b'--x\r\nContent-Disposition: form-data; name="other"\r\n\r\na\r\n--x--\r\n',
        ),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\na\r\n--x--\r\n"),
        ("multipart/form-data; boundary=" + "x" * 500, b"--x--"),
        ("multipart/form-data; boundary=x", b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\na\r\n--x--\r\n"),
    ],
    ids=range(8),
)
def test_a_form_that_cannot_be_read_is_invalid(http: httpx.Client, content_type: str, body: bytes) -> None:
    answer = http.post("/mill/files", content=body, headers={"content-type": content_type})
    assert (answer.status_code, answer.json()["field"]) == (422, "file")


def test_a_form_cut_off_stores_nothing(server: Server, http: httpx.Client) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="cut-off.png"\r\n\r\n'
    answer = http.post(
        "/mill/files", content=head + good_picture(), headers={"content-type": "multipart/form-data; boundary=x"}
    )
    assert answer.status_code == 422
    names = [file["filename"] for file in http.get("/mill/files?limit=100").json()["data"]]
    assert "cut-off.png" not in names


def test_a_client_that_leaves_in_mid_upload_is_no_fault_of_the_server(server: Server, http: httpx.Client) -> None:
    before = len(server.log.read_text())
    place = urlsplit(server.url)
    head = f"POST /mill/files HTTP/1.1\r\nHost: x\r\nX-Api-Key: {server.key}\r\nContent-Length: 9999\r\n".encode()
    head += b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="left.png"\r\n\r\nabc'
    for body in (b"", part):
        with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
            connection.sendall(head + body)
    until(lambda: http.get("/mill/health").status_code == 200)
    said = server.log.read_text()[before:]
    assert "request broke" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"kind": "none"}, "kind"),
        ({"kind": "ping", "priority": 101}, "priority"),
        ({"kind": "ping", "priority": 10**30}, "priority"),
        ({"kind": "ping", "priority": 1.5}, "priority"),
        ({"kind": "ping", "max_attempts": 0}, "max_attempts"),
        ({"kind": "ping", "options": {"a": 1}}, "options.a"),
        ({"kind": "ping", "inputs": [{}]}, "inputs.0"),
        ({"kind": "ping", "inputs": [{"file": "a", "url": "b"}]}, "inputs.0"),
        ({"kind": "ping", "inputs": [{"file": 1}]}, "inputs.0.file"),
        ({"kind": "ping", "zzz": 1}, "zzz"),
        ({"kind": "convert", "inputs": []}, "inputs"),
        ({"kind": "convert", "inputs": [{"url": "https://example.com/"}], "options": {}}, "options.format"),
        ({"kind": "convert", "inputs": [{"url": "http://127.0.0.1/"}], "options": {"format": "png"}}, "inputs.0.url"),
        ({"kind": "convert", "inputs": [{"url": "file:///etc/passwd"}], "options": {"format": "png"}}, "inputs.0.url"),
        ({"kind": "convert", "inputs": [{"url": "http://[::1"}], "options": {"format": "png"}}, "inputs.0.url"),
        ({"kind": "convert", "inputs": [{"url": "http://a\0b/"}], "options": {"format": "png"}}, "inputs.0.url"),
        (
            {"kind": "convert", "inputs": [{"url": "https://example.com/"}], "options": {"format": "exe"}},
            "options.format",
        ),
        (
            {"kind": "convert", "inputs": [{"url": "https://example.com/"}], "options": {"format": "a\0"}},
            "options.format",
        ),
    ],
)
def test_a_task_that_cannot_be_taken_names_its_field(http: httpx.Client, body: dict[str, Any], field: str) -> None:
    answer = http.post("/mill/tasks", json=body)
    assert (answer.status_code, answer.json().get("field")) == (422, field), answer.text


# --- what it says of itself -----------------------------------------------------------------------------------------


def test_health_version_and_readiness_need_no_key(server: Server) -> None:
    with httpx.Client(base_url=server.url) as anyone:
        assert anyone.get("/mill/health").json() == {"status": "ok"}
        assert anyone.get("/mill/version").json()["name"] == "mediamill"
        ready = anyone.get("/mill/ready")
        assert (ready.status_code, ready.json()["status"]) == (200, "ok")
        assert ready.json()["checks"] == {"database": "ok", "files": "ok", "workers": "ok"}


def test_capabilities_hold_the_schema_that_options_are_checked_by(server: Server) -> None:
    found = httpx.get(f"{server.url}/mill/capabilities").json()
    kinds = {kind["name"]: kind for kind in found["kinds"]}
    assert {"convert", "ingest", "optimise", "ping"} <= set(kinds)
    for kind in kinds.values():
        assert kind["on"] or (kind["reason"] and kind["remedy"])
        assert kind["options"]
        assert kind["inputs"][0] <= kind["inputs"][1]
    pairs = {(pair["input"], pair["output"]) for pair in found["conversions"]}
    assert len(pairs) == len(found["conversions"]) > 500
    assert ("image/png", "image/avif") in pairs
    known = {format["mime"] for format in found["formats"]}
    assert {mime for pair in pairs for mime in pair} <= known


def test_metrics_count_what_was_answered(server: Server, http: httpx.Client) -> None:
    http.get("/mill/tasks/none")
    text = httpx.get(f"{server.url}/metrics").text
    assert 'mediamill_http_requests_total{app="mill",method="GET",status="404"}' in text
    assert "mediamill_workers 1.0" in text
    assert httpx.delete(f"{server.url}/metrics").status_code == 405


def test_a_file_is_read_by_a_signed_url_and_by_no_other(server: Server, http: httpx.Client) -> None:
    content = good_picture()
    file = http.post("/mill/files", files={"file": ("a.png", content)}).json()
    answer = http.get(f"/mill/files/{file['id']}/content")
    assert answer.status_code == 302
    with httpx.Client() as anyone:
        assert anyone.get(answer.headers["location"]).content == content
        part = anyone.get(file["links"]["download"], headers={"range": "bytes=1-3"})
        assert (part.status_code, part.content) == (206, b"PNG")
        bare = anyone.get(file["links"]["download"].partition("?")[0])
        forged = anyone.get(file["links"]["download"][:-1] + ("0" if file["links"]["download"][-1] != "0" else "1"))
        assert {(a.status_code, a.json()["code"]) for a in (bare, forged)} == {(403, "bad_signature")}
    assert http.delete(f"/mill/files/{file['id']}").status_code == 204
    assert httpx.get(file["links"]["download"]).status_code == 404
    assert http.delete(f"/mill/files/{file['id']}").status_code == 404


def test_open_streams_and_waits_do_not_keep_the_server_from_leaving() -> None:
    with serving(worker=False) as leaving, leaving.client() as http, ThreadPoolExecutor(2) as pool:
        task = http.post("/mill/tasks", json={"kind": "ping"}).json()
        waiting = pool.submit(http.get, f"/mill/tasks/{task['id']}", params={"wait": 60})
        with http.stream("GET", "/mill/events") as events, http.stream("GET", task["links"]["events"]) as its:
            lines = its.iter_lines()
            assert next(lines) == "event: task"
            leaving.process.terminate()
            assert list(events.iter_lines())[:2] == [": hello", ""]
            assert list(lines)
            assert waiting.result().json()["state"] == "queued"
        assert leaving.process.wait(60) == 0
        said = leaving.log.read_text()
        assert "graceful" not in said, "it left them no more time"
        assert "Traceback" not in said
