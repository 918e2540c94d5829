"""Bytes on their way to and from a real server: what a broken line leaves behind, and what a client gets back."""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
from tests.support.browser import browsing, visiting
from tests.support.server import Server, until

CONTENT = os.urandom(2_000_000)


def blobs(server: Server) -> set[Path]:
    return {path for path in (server.data / "files").rglob("*") if path.is_file()}


@contextlib.contextmanager
def said(server: Server, head: str, content: bytes) -> Iterator[socket.socket]:
    """A connection on which a request's head and some of its body have been sent."""
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port), timeout=30) as line:
        line.sendall(head.replace("\n", "\r\n").encode() + content)
        yield line


def target(url: str) -> str:
    return httpx.URL(url).raw_path.decode()


def test_an_upload_that_breaks_leaves_nothing_and_can_be_sent_again(http: httpx.Client, server: Server) -> None:
    file = http.post("/mill/files", json={"filename": "a.bin", "size_bytes": len(CONTENT)}).json()
    before = blobs(server)
    put = f"PUT {target(file['links']['upload'])} HTTP/1.1\nHost: mill\nContent-Length: {len(CONTENT)}\n\n"

    with said(server, put, CONTENT[:1_500_000]):
        until(lambda: bool(blobs(server) - before), what="a part")
    until(lambda: blobs(server) == before, what="the part's end")

    assert http.get(f"/mill/files/{file['id']}").json()["state"] == "awaiting"
    assert httpx.put(file["links"]["upload"], content=CONTENT).status_code == 200
    ready = http.get(f"/mill/files/{file['id']}").json()
    assert http.get(ready["links"]["download"]).content == CONTENT


def test_an_upload_of_another_size_leaves_nothing(http: httpx.Client, server: Server) -> None:
    file = http.post("/mill/files", json={"filename": "a.bin", "size_bytes": len(CONTENT)}).json()
    before = blobs(server)

    assert httpx.put(file["links"]["upload"], content=CONTENT[:-1]).status_code == 413
    assert httpx.put(file["links"]["upload"], content=CONTENT + b"x").status_code == 413

    assert blobs(server) == before
    assert http.get(f"/mill/files/{file['id']}").json()["state"] == "awaiting"


def test_a_form_that_breaks_leaves_nothing(http: httpx.Client, server: Server) -> None:
    before, rows = blobs(server), [file["id"] for file in http.get("/mill/files").json()["data"]]
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n' + CONTENT[:1_500_000]
    post = (
        f"POST /mill/files HTTP/1.1\nHost: mill\nAuthorization: Bearer {server.key}\n"
        f"Content-Type: multipart/form-data; boundary=x\nContent-Length: {len(CONTENT)}\n\n"
    )

    with said(server, post, part):
        until(lambda: bool(blobs(server) - before), what="a part")
    until(lambda: blobs(server) == before, what="the part's end")

    assert [file["id"] for file in http.get("/mill/files").json()["data"]] == rows


def test_a_form_without_its_end_is_refused_and_leaves_nothing(http: httpx.Client, server: Server) -> None:
    before = blobs(server)
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n' + CONTENT

    answer = http.post("/mill/files", content=part, headers={"content-type": "multipart/form-data; boundary=x"})

    assert answer.status_code == 422
    assert blobs(server) == before


def test_a_download_is_taken_up_where_it_broke(http: httpx.Client, server: Server) -> None:
    file = http.post("/mill/files", files={"file": ("a.bin", CONTENT)}).json()
    url = file["links"]["download"]
    etag = http.head(url).headers["etag"]

    with said(server, f"GET {target(url)} HTTP/1.1\nHost: mill\n\n", b"") as line:
        assert line.recv(15) == b"HTTP/1.1 200 OK"
    rest = http.get(url, headers={"range": "bytes=1999000-", "if-range": etag})

    assert rest.status_code == 206
    assert rest.headers["content-range"] == "bytes 1999000-1999999/2000000"
    assert rest.content == CONTENT[1_999_000:]
    assert http.get(url, headers={"if-none-match": etag}).status_code == 304


def test_what_is_handed_on_unchanged_outlives_its_source(http: httpx.Client, server: Server) -> None:
    file = http.post("/mill/files", json={"filename": "a.bin", "size_bytes": len(CONTENT)}).json()
    assert httpx.put(file["links"]["upload"], content=CONTENT).status_code == 200
    before = blobs(server)

    asked = {"kind": "ingest", "inputs": [{"file": file["id"]}]}
    task = http.post("/mill/tasks?wait=30", json=asked).json()
    [output] = task["outputs"]
    [made] = blobs(server) - before

    assert any(made.samefile(path) for path in before)  # a second name of the same bytes
    assert http.delete(f"/mill/files/{file['id']}").status_code in (200, 204)
    assert http.get(output["file"]["links"]["download"]).content == CONTENT
    assert output["file"]["sha256"] == hashlib.sha256(CONTENT).hexdigest()


def test_a_page_of_another_origin_puts_and_reads_at_signed_urls(http: httpx.Client) -> None:
    file = http.post("/mill/files", json={"filename": "a.bin", "size_bytes": 4}).json()
    put = "async ([url, body]) => (await fetch(url, {method: 'PUT', body, headers: {'x-own': '1'}})).status"
    get = (
        "async url => { const a = await fetch(url); return [a.status, await a.text(), a.headers.get('etag') !== null] }"
    )

    with browsing() as browser, visiting(browser, str(http.base_url)) as visitor:
        assert visitor.page.evaluate(put, [file["links"]["upload"], "page"]) == 200
        ready = http.get(f"/mill/files/{file['id']}").json()
        assert visitor.page.evaluate(get, ready["links"]["download"]) == [200, "page", True]
        assert visitor.complaints == []
