"""Signed URLs: ranges and conditions by RFC 9110, and clients that go away in the middle."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from mediamill.blobs import Blobs
from mediamill.core.errors import Expired, MediamillError, NotFound
from mediamill.core.files import File, FileState
from mediamill.core.ids import FileId, ProjectId
from mediamill.dialects import Answer, Dialect, Site
from mediamill.service.signing import Signer
from mediamill.signed import SignedApp
from mediamill.web import table

CONTENT = bytes(range(256)) * 4
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'
MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"
BEFORE, AFTER = "Sun, 06 Nov 1994 08:49:36 GMT", "Sun, 06 Nov 1994 08:49:38 GMT"
NO_CLOCKS = (f"Sun, 06 Nov {9:9<20} 08:49:37 GMT", f"Sun, 06 Nov 1994 08:49:37 +{9:9<20}", MODIFIED[:-4])
FILE = File(
    id=FileId("f1"),
    project_id=ProjectId("p1"),
    filename='Grüße "1".png',
    mime="image/png",
    claimed_mime=None,
    size_bytes=len(CONTENT),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    blob_key="aa/aa",
    state=FileState.READY,
    facts={},
    public=True,
    dialect="mill",
    created_at=datetime(1994, 11, 6, 8, 49, 37, 500_000, tzinfo=UTC),
    updated_at=datetime(1994, 11, 6, 8, 49, 37, 500_000, tzinfo=UTC),
    expires_at=None,
)


def write_error(error: MediamillError) -> Answer:
    status = {NotFound: 404, Expired: 403}[type(error)]
    return Answer(status=status, media_type="text/plain", body=str(error).encode(), headers={})


async def app_of_none(*_: Any) -> None:
    raise AssertionError("signed URLs do not pass through a dialect")


DIALECT = Dialect(
    name="mill",
    prefix="/mill",
    build=lambda site: app_of_none,
    claims=lambda path, headers: False,
    write_task=lambda task, links: None,
    write_error=write_error,
)


class Files:
    """The verbs on files that the signed routes call, over real blobs and one file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.blobs = folder, Blobs(folder)
        self.file = FILE
        self.read_bytes = 0
        self.changed = False

    async def of_any(self, id: str) -> File:
        if id != self.file.id:
            raise NotFound("file", id)
        return self.file

    for_download = of_any

    async def dialect_of(self, id: str) -> str | None:
        return self.file.dialect

    async def read(self, file: File, start: int, end: int) -> AsyncIterator[bytes]:
        while start < end:
            chunk = CONTENT[start % len(CONTENT) :][: end - start]
            self.read_bytes += len(chunk)
            yield chunk
            start += len(chunk)

    async def receive(self, id: str, source: AsyncIterator[bytes], **_: Any) -> None:
        await self.blobs.write(source, exactly_bytes=self.file.size_bytes)
        self.changed = True


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path / "files")


@pytest.fixture
def signer() -> Signer:
    return Signer(b"secret")


@pytest.fixture
def app(files: Files, signer: Signer) -> SignedApp:
    uncounted = SimpleNamespace(counting=lambda read: read)
    site = SimpleNamespace(service=SimpleNamespace(files=files, workspaces=uncounted), signer=signer)
    return SignedApp(cast(Site, site), {"mill": DIALECT})


def get(app: SignedApp, method: str = "GET", url: str = "/download/f1", **headers: str) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://mill") as client:
            return await client.request(method, url, headers={n.replace("_", "-"): v for n, v in headers.items()})

    return asyncio.run(ask())


def test_a_whole_file_comes_with_what_is_needed_to_ask_again(app: SignedApp) -> None:
    answer = get(app)

    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["etag"] == ETAG
    assert answer.headers["last-modified"] == MODIFIED
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-length"] == "1024"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-disposition"].endswith("filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%221%22.png")
    assert 'filename="Gr??e _1_.png"' in answer.headers["content-disposition"]


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-1023", 0, 1024),
        ("bytes=10-99999", 10, 1024),
        ("bytes=1000-", 1000, 1024),
        ("bytes=1023-1023", 1023, 1024),
        ("bytes=-1", 1023, 1024),
        ("bytes=-99999", 0, 1024),
        ("Bytes= 5-6 ", 5, 7),
    ],
)
def test_a_range_is_answered_with_those_bytes(app: SignedApp, asked: str, start: int, end: int) -> None:
    answer = get(app, range=asked)

    assert answer.status_code == 206
    assert answer.content == CONTENT[start:end]
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/1024"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("asked", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_beyond_the_end_cannot_be_satisfied(app: SignedApp, asked: str) -> None:
    answer = get(app, range=asked)

    assert (answer.status_code, answer.content) == (416, b"")
    assert answer.headers["content-range"] == "bytes */1024"


@pytest.mark.parametrize(
    "asked", ["bytes=", "bytes=-", "bytes=5-4", "bytes=a-b", "bytes=1 2-30", "lines=0-1", "bytes=0-1,5-6", "bytes=-1-2"]
)
def test_a_range_that_is_none_is_ignored(app: SignedApp, asked: str) -> None:
    answer = get(app, range=asked)

    assert (answer.status_code, answer.content) == (200, CONTENT)


def test_a_range_is_for_get_alone(app: SignedApp) -> None:
    answer = get(app, "HEAD", range="bytes=0-0")

    assert answer.status_code == 200
    assert answer.headers["content-length"] == "1024"
    assert answer.content == b""


@pytest.mark.parametrize(
    ("validator", "status"),
    [
        *[(ETAG, 206), (MODIFIED, 206), ('"other"', 200), (f"W/{ETAG}", 200), (BEFORE, 200), (AFTER, 200)],
        *[("rubbish", 200), *((date, 200) for date in NO_CLOCKS)],
    ],
)
def test_if_range_gives_all_when_the_bytes_are_others(app: SignedApp, validator: str, status: int) -> None:
    assert get(app, range="bytes=0-0", if_range=validator).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"if_none_match": ETAG}, 304),
        ({"if_none_match": f"W/{ETAG}"}, 304),
        ({"if_none_match": f'"other", {ETAG}'}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": '"other"'}, 200),
        ({"if_modified_since": MODIFIED}, 304),
        ({"if_modified_since": AFTER}, 304),
        ({"if_modified_since": BEFORE}, 200),
        ({"if_modified_since": "yesterday"}, 200),
        ({"if_none_match": '"other"', "if_modified_since": AFTER}, 200),
        ({"if_none_match": ETAG, "range": "bytes=0-0"}, 304),
        ({"if_match": ETAG}, 200),
        ({"if_match": "*"}, 200),
        ({"if_match": '"other"'}, 412),
        ({"if_match": f"W/{ETAG}"}, 412),
        ({"if_match": '"other"', "if_none_match": ETAG}, 412),
        ({"if_unmodified_since": MODIFIED}, 200),
        ({"if_unmodified_since": BEFORE}, 412),
        ({"if_unmodified_since": "yesterday"}, 200),
        ({"if_match": ETAG, "if_unmodified_since": BEFORE}, 200),
        *(({f"if_{how}_since": date}, 200) for how in ("modified", "unmodified") for date in NO_CLOCKS),
    ],
)
def test_conditions_are_weighed_in_the_order_of_the_rfc(app: SignedApp, headers: dict[str, str], status: int) -> None:
    answer = get(app, **headers)

    assert answer.status_code == status
    assert answer.content == (CONTENT if status == 200 else b"")
    assert status == 412 or answer.headers["etag"] == ETAG


def test_a_private_file_needs_its_signature(app: SignedApp, files: Files, signer: Signer) -> None:
    files.file = replace(FILE, public=False)

    assert get(app).status_code == 403
    assert get(app, url=f"/download/f1?{signer.query('upload', 'f1', 60)}").status_code == 403
    assert get(app, url=f"/download/f1?{signer.query('download', 'f1', 60)}").status_code == 200
    assert get(app, url="/download/f2").status_code == 404
    assert get(app, "PATCH").status_code == 405


async def call(app: SignedApp, method: str, path: str, query: str, messages: list[Any]) -> list[Any]:
    """The messages sent for those received; after the last, nothing more ever comes."""
    sent: list[Any] = []
    incoming = iter(messages)

    async def receive() -> Any:
        await asyncio.sleep(0)
        for message in incoming:
            return message
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": []}
    await app(scope, receive, send)
    return sent


async def test_a_download_stops_reading_once_the_client_is_gone(app: SignedApp, files: Files) -> None:
    files.file = replace(FILE, size_bytes=1 << 40)
    end = {"type": "http.request", "body": b"", "more_body": False}

    sent = await call(app, "GET", "/download/f1", "", [end, {"type": "http.disconnect"}])

    assert sent[0]["status"] == 200
    assert files.read_bytes < 100 * len(CONTENT)


async def test_an_upload_whose_client_goes_away_leaves_nothing(app: SignedApp, files: Files, signer: Signer) -> None:
    some = {"type": "http.request", "body": CONTENT[:500], "more_body": True}

    sent = await call(app, "PUT", "/upload/f1", signer.query("upload", "f1", 60), [some, {"type": "http.disconnect"}])

    assert sent == []
    assert not files.changed
    assert [path for path in files.folder.rglob("*") if path.is_file()] == []


async def test_an_upload_that_falls_silent_is_given_up(
    app: SignedApp, files: Files, signer: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "_SILENT_S", 0.05)
    some = {"type": "http.request", "body": CONTENT[:500], "more_body": True}

    sent = await call(app, "PUT", "/upload/f1", signer.query("upload", "f1", 60), [some])

    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]
    assert [path for path in files.folder.rglob("*") if path.is_file()] == []
