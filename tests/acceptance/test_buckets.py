"""Connections, sources in buckets and destinations there, over HTTP against a real server and a real S3 server."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from PIL import Image
from tests.support import av, bucket
from tests.support.bucket import SECRET, Bucket
from tests.support.calls import picture, stored
from tests.support.children import in_company
from tests.support.server import Server, serving, until


@pytest.fixture(scope="module")
def s3() -> Iterator[Bucket]:
    with bucket.running() as running:
        yield running


@pytest.fixture(scope="module")
def mill(s3: Bucket) -> Iterator[Server]:
    with serving(environment={"MEDIAMILL_ALLOW_NETWORKS": "127.0.0.1/32", "MEDIAMILL_RETRY_FIRST_S": "0.1"}) as server:
        yield server


@pytest.fixture
def http(mill: Server) -> Iterator[httpx.Client]:
    with mill.client() as client:
        yield client


def connect(http: httpx.Client, s3: Bucket, **given: Any) -> dict[str, Any]:
    body = {"name": "ours", **s3.connection, **given}
    answer = http.post("/mill/connections", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def done(http: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = http.post("/mill/tasks", params={"wait": 30}, json=body)
    assert answer.status_code == 201, answer.text
    task: dict[str, Any] = answer.json()
    return task


@pytest.fixture
def ours(http: httpx.Client, s3: Bucket) -> Iterator[str]:
    """A connection that is the default."""
    made = connect(http, s3, is_default=True)
    yield made["id"]
    http.delete(f"/mill/connections/{made['id']}")


def test_a_picture_goes_from_bucket_to_bucket(http: httpx.Client, s3: Bucket, ours: str) -> None:
    sent = done(
        http,
        {"kind": "upload", "inputs": [{"file": stored(http, picture())}], "options": {"destination": "s3://mill/in/"}},
    )
    made = done(
        http,
        {
            "kind": "convert",
            "inputs": [{"url": "s3://mill/in/red.png"}],
            "options": {"format": "jpeg"},
            "destination": {"url": "s3://mill/out/made.jpg", "connection": ours},
        },
    )

    assert sent["state"] == "succeeded", sent
    assert sent["outputs"] == []
    assert sent["details"]["destination"] == {
        "url": "s3://mill/in/red.png",
        "filename": "red.png",
        "mime": "image/png",
        "size_bytes": len(picture()),
        "files": 1,
    }
    assert (s3.folder / "in/red.png").read_bytes() == picture()
    assert made["state"] == "succeeded", made
    assert made["destination"] == {"url": "s3://mill/out/made.jpg", "connection": ours}
    assert made["inputs"][0]["file"]["filename"] == "red.png"
    with Image.open(s3.folder / "out/made.jpg") as result:
        assert (result.format, result.size) == ("JPEG", (64, 48))
    ours_too = http.get(made["outputs"][0]["file"]["links"]["download"])
    assert ours_too.content == (s3.folder / "out/made.jpg").read_bytes()
    [attempt] = http.get(f"/mill/tasks/{sent['id']}").json()["attempts"]
    assert attempt["stages"][-1]["name"] == "store"


def test_a_bucket_url_needs_a_connection(http: httpx.Client, s3: Bucket) -> None:
    source = {"kind": "ingest", "inputs": [{"url": "s3://mill/x.png"}]}
    target = {"kind": "ping", "destination": {"url": "s3://mill/x"}}

    for body, field in ((source, "inputs.0.url"), (target, "destination.url")):
        answer = http.post("/mill/tasks", json=body)
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (
            422,
            "connection_required",
            field,
        )
    unknown = http.post("/mill/tasks", json={"kind": "ingest", "inputs": [{"url": "s3://mill/x", "connection": "c0"}]})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")
    assert "connection" in unknown.json()["detail"]


def test_another_projects_connection_is_unknown(http: httpx.Client, s3: Bucket, ours: str) -> None:
    key = http.post("/mill/keys", json={"name": "other", "project_id": "other"}).json()["secret"]
    with httpx.Client(base_url=http.base_url, headers={"authorization": f"Bearer {key}"}, timeout=60) as other:
        assert other.get("/mill/connections").json()["data"] == []
        assert other.get(f"/mill/connections/{ours}").status_code == 404
        assert other.patch(f"/mill/connections/{ours}", json={"name": "mine"}).status_code == 404
        assert other.delete(f"/mill/connections/{ours}").status_code == 404
        body = {"kind": "ingest", "inputs": [{"url": "s3://mill/x", "connection": ours}]}
        assert other.post("/mill/tasks", json=body).status_code == 404


def test_a_source_that_is_not_there_fails_the_task_with_its_class(http: httpx.Client, s3: Bucket, ours: str) -> None:
    task = done(http, {"kind": "ingest", "inputs": [{"url": "s3://mill/none.png"}]})

    assert task["state"] == "failed"
    assert (task["error"]["code"], task["error"]["class"]) == ("source_refused", "source")
    assert "s3://mill/none.png" in task["error"]["message"]


def test_a_destination_that_refuses_fails_the_task_and_keeps_nothing(
    http: httpx.Client, s3: Bucket, mill: Server
) -> None:
    wrong = connect(http, s3, secret_access_key="wrong")
    away = connect(http, s3, endpoint="http://127.0.0.1:2")
    file = stored(http, picture())
    before = sum(path.is_file() for path in (mill.data / "files").rglob("*"))

    for connection, attempts, code in ((wrong, 1, "destination_failed"), (away, 2, "destination_unreachable")):
        task = done(
            http,
            {
                "kind": "convert",
                "inputs": [{"file": file}],
                "options": {"format": "jpeg"},
                "max_attempts": 2,
                "destination": {"url": "s3://mill/never.jpg", "connection": connection["id"]},
            },
        )
        assert (task["state"], task["error"]["code"], task["error"]["stage"]) == (
            "failed",
            code,
            "store",
        )
        assert task["outputs"] == []
        assert task["attempt"] == attempts
        assert SECRET not in str(task)

    assert not (s3.folder / "never.jpg").exists()
    until(lambda: sum(path.is_file() for path in (mill.data / "files").rglob("*")) == before, what="the clearing up")


def test_a_deleted_connection_fails_what_still_wants_it(http: httpx.Client, s3: Bucket) -> None:
    gone = connect(http, s3)
    body = {
        "kind": "upload",
        "inputs": [{"file": stored(http, picture())}],
        "options": {"destination": "s3://mill/late.png", "connection": gone["id"]},
        "not_before": "2099-01-01T00:00:00Z",
    }
    waiting = http.post("/mill/tasks", json=body).json()
    http.delete(f"/mill/connections/{gone['id']}")
    http.post(f"/mill/tasks/{waiting['id']}/cancel")

    again = http.post(f"/mill/tasks/{waiting['id']}/retry")

    assert (again.status_code, again.json()["code"]) == (404, "not_found")


def test_secrets_are_masked_sealed_and_out_of_the_database(http: httpx.Client, s3: Bucket, mill: Server) -> None:
    secret = "a-secret-that-is-nowhere-else"
    made = connect(http, s3, secret_access_key=secret)
    id = made["id"]

    changed = http.patch(f"/mill/connections/{id}", json={"name": "theirs", "region": "eu-north-1"}).json()

    assert changed == {**made, "name": "theirs", "region": "eu-north-1", "updated_at": changed["updated_at"]}
    for answer in (made, changed, http.get(f"/mill/connections/{id}").json(), http.get("/mill/connections").json()):
        assert secret not in str(answer)
    assert made["secret_access_key"] == "****"
    key = mill.data / "secret.key"
    assert (key.stat().st_mode & 0o777) == 0o600
    found = subprocess.run(
        ["grep", "-rlaF", secret, str(mill.data), str(mill.log)], capture_output=True, text=True, check=False
    )
    assert found.stdout == ""
    assert http.delete(f"/mill/connections/{id}").status_code == 204
    assert http.get(f"/mill/connections/{id}").status_code == 404


def test_one_connection_is_the_default(http: httpx.Client, s3: Bucket, ours: str) -> None:
    other = connect(http, s3, is_default=True, name="other")

    found = {
        one["id"]: one["is_default"] for one in http.get("/mill/connections", params={"limit": 100}).json()["data"]
    }
    assert (found[ours], found[other["id"]]) == (False, True)
    http.patch(f"/mill/connections/{ours}", json={"is_default": True})
    assert http.get(f"/mill/connections/{other['id']}").json()["is_default"] is False
    http.delete(f"/mill/connections/{other['id']}")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("endpoint", "ftp://s3.example.com"),
        ("endpoint", "https://s3.example.com/path"),
        ("endpoint", "https://user:pw@s3.example.com"),
        ("endpoint", "http://169.254.169.254"),
        ("endpoint", "http://10.0.0.1"),
        ("endpoint", "http://0x7f000001"),
        ("region", "us east"),
        ("name", ""),
        ("access_key_id", "a\nb"),
        ("secret_access_key", ""),
        ("kind", "gcs"),
    ],
)
def test_what_is_no_connection_is_refused_with_the_field(
    http: httpx.Client, s3: Bucket, field: str, value: str
) -> None:
    body = {
        "name": "n",
        "endpoint": "https://s3.example.com",
        "region": "auto",
        "access_key_id": "a",
        "secret_access_key": "s",
    }

    answer = http.post("/mill/connections", json={**body, field: value})

    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_lists_of_connections_are_paged(http: httpx.Client, s3: Bucket) -> None:
    made = [connect(http, s3, name=f"n{n}")["id"] for n in range(5)]
    seen, after = [], None
    while True:
        page = http.get("/mill/connections", params={"limit": 2, **({"after": after} if after else {})}).json()
        seen += [one["id"] for one in page["data"]]
        after = page["next"]
        if after is None:
            break

    assert seen[:5] == made[::-1]
    for id in made:
        http.delete(f"/mill/connections/{id}")


def test_a_package_goes_there_whole_under_the_names_it_uses(
    http: httpx.Client, s3: Bucket, ours: str, tmp_path: Path
) -> None:
    film = av.film(tmp_path / "film.mp4", seconds=1, size="320x240")
    task = done(
        http,
        {
            "kind": "adaptive_video",
            "inputs": [{"file": stored(http, film.read_bytes(), "film.mp4")}],
            "destination": {"url": "s3://mill/package/master.m3u8"},
        },
    )

    assert task["state"] == "succeeded", task
    names = [one["file"]["filename"] for one in task["outputs"] if one["role"] == "part"]
    wanted = [name for name in names if not name.startswith("film-early")]
    sent = {path.name: path for path in (s3.folder / "package").iterdir()}
    assert set(sent) == {"master.m3u8", *wanted}
    assert task["details"]["destination"]["files"] == len(wanted) + 1
    for playlist in (path for path in sent.values() if path.suffix == ".m3u8"):
        lines = playlist.read_text().splitlines()
        named = {line for line in lines if line and not line.startswith("#")}
        named |= {name for line in lines for name in re.findall(r'URI="([^"]+)"', line)}
        assert named <= set(sent), playlist.name


class Curious(BaseHTTPRequestHandler):
    """An endpoint that notes what it is told, and refuses."""

    heads: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.heads.append(str(self.headers))
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_PUT = do_POST = do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        return


def test_the_operators_own_bucket_and_its_keys_stay_unknown_to_a_callers_endpoint(s3: Bucket) -> None:
    own = {"MEDIAMILL_BLOBS_URL": s3.url, **s3.environment, "AWS_SESSION_TOKEN": "token-of-the-operator"}
    endpoint = ThreadingHTTPServer(("127.0.0.1", 0), Curious)
    threading.Thread(target=endpoint.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{endpoint.server_address[1]}"
    with serving(environment={"MEDIAMILL_ALLOW_NETWORKS": "127.0.0.1/32", **own}) as server, server.client() as http:
        there = connect(http, s3, endpoint=url, access_key_id="callers-key", secret_access_key="callers-secret")
        file = stored(http, picture())
        body = {"inputs": [{"file": file}], "options": {"destination": "s3://any/x.png", "connection": there["id"]}}
        task = done(http, {"kind": "upload", **body})
        content = http.get(f"/mill/files/{file}/content", follow_redirects=True).content
    endpoint.shutdown()
    endpoint.server_close()

    assert content == picture()
    assert (task["state"], task["error"]["code"]) == ("failed", "destination_failed")
    assert "Credential=callers-key" in "".join(Curious.heads)
    for known in (
        "token-of-the-operator",
        s3.environment["AWS_ACCESS_KEY_ID"],
        "callers-secret",
        "x-amz-security-token",
    ):
        assert known not in "".join(Curious.heads)


def test_cancel_ends_a_sending_that_stands_still(http: httpx.Client, s3: Bucket) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, says nothing
        there = connect(http, s3, endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}")
        body = {
            "kind": "upload",
            "inputs": [{"file": stored(http, picture())}],
            "options": {"destination": "s3://any/x.png", "connection": there["id"]},
        }
        id = http.post("/mill/tasks", json=body).json()["id"]
        silent.settimeout(90)
        line = silent.accept()[0]  # the sending has begun
        began = time.monotonic()
        cancelled = http.post(f"/mill/tasks/{id}/cancel").json()
        line.close()

    assert cancelled["state"] == "cancelled"
    assert time.monotonic() - began < in_company(2)
