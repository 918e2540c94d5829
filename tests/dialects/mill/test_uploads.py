"""Resumable uploads over tus 1.0: every rule of the protocol that is spoken, and what happens when the line breaks."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from tests.support.server import Server, until

TUS = {"tus-resumable": "1.0.0"}
BYTES = os.urandom(300_000)


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        client.headers.update(TUS)
        yield client


@pytest.fixture(scope="module")
def stranger(http: httpx.Client) -> Iterator[httpx.Client]:
    """A caller of another project."""
    made = http.post("/mill/keys", json={"name": "stranger", "project_id": "elsewhere"}).json()
    headers = {"authorization": f"Bearer {made['secret']}", **TUS}
    with httpx.Client(base_url=http.base_url, headers=headers, timeout=60) as client:
        yield client


def metadata(**named: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in named.items())


def begin(http: httpx.Client, size: int = len(BYTES), said: str = "") -> str:
    answer = http.post("/mill/uploads", headers={"upload-length": str(size), "upload-metadata": said})
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def add(http: httpx.Client, where: str, offset: int, content: bytes, **headers: str) -> httpx.Response:
    said = {"upload-offset": str(offset), "content-type": "application/offset+octet-stream", **headers}
    return http.patch(where, content=content, headers=said)


def checksum(content: bytes, algorithm: str = "sha1") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, content).digest()).decode()}"


def stored(http: httpx.Client, id: str) -> bytes:
    return http.get(f"/mill/files/{id}/content", follow_redirects=True).content


def blobs(server: Server) -> set[Path]:
    return {path for path in (server.data / "files").rglob("*") if path.is_file()}


@contextlib.contextmanager
def broken_off(server: Server, where: str, offset: int, content: bytes, promised: int) -> Iterator[socket.socket]:
    """A PATCH that promises more than it sends; the connection stays open until the block ends."""
    host, port = httpx.URL(server.url).host, httpx.URL(server.url).port
    with socket.create_connection((host, port)) as line:
        head = (
            f"PATCH {httpx.URL(where).path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.key}\r\n"
            f"Tus-Resumable: 1.0.0\r\nUpload-Offset: {offset}\r\nContent-Length: {promised}\r\n"
            "Content-Type: application/offset+octet-stream\r\n\r\n"
        )
        line.sendall(head.encode() + content)
        yield line


def test_options_tells_what_is_spoken_without_a_key(server: Server) -> None:
    for path in ("/mill/uploads", "/mill/uploads/u1"):
        answer = httpx.options(server.url + path)

        assert answer.status_code == 204
        assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
        assert set(answer.headers["tus-extension"].split(",")) >= {
            "creation",
            "creation-with-upload",
            "expiration",
            "termination",
            "checksum",
        }
        assert int(answer.headers["tus-max-size"]) == 16 << 30
        assert set(answer.headers["tus-checksum-algorithm"].split(",")) == {"sha1", "sha256", "md5"}


def test_an_upload_in_pieces_becomes_one_file(http: httpx.Client, server: Server) -> None:
    where = begin(http, said=metadata(filename="Größe 1.bin", filetype="application/octet-stream"))
    before = blobs(server)

    first = add(http, where, 0, BYTES[:100_000])
    second = add(http, where, 100_000, BYTES[100_000:250_000])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "100000")
    assert "mill-file-id" not in second.headers
    last = add(http, where, 250_000, BYTES[250_000:])

    file = http.get(f"/mill/files/{last.headers['mill-file-id']}").json()
    assert file["filename"] == "Größe 1.bin"
    assert file["size_bytes"] == len(BYTES)
    assert file["sha256"] == hashlib.sha256(BYTES).hexdigest()
    assert stored(http, file["id"]) == BYTES
    assert len(blobs(server) - before) == 1


def test_an_upload_in_one_piece_is_sniffed_and_keeps_its_bytes_where_they_came(
    http: httpx.Client, server: Server
) -> None:
    page = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"
    where = begin(http, len(page), metadata(filename="page.pdf"))

    done = add(http, where, 0, page)

    file = http.get(f"/mill/files/{done.headers['mill-file-id']}").json()
    assert (file["mime"], file["state"]) == ("application/pdf", "ready")
    assert stored(http, file["id"]) == page


def test_head_tells_how_far_it_is_and_later_the_file(http: httpx.Client) -> None:
    said = metadata(filename="a.bin", other="x") + ",flag"
    where = begin(http, said=said)
    add(http, where, 0, BYTES[:7])

    halfway = http.head(where)
    done = add(http, where, 7, BYTES[7:])
    later = http.head(where)

    assert halfway.status_code == 200
    assert halfway.headers["upload-offset"] == "7"
    assert halfway.headers["upload-length"] == str(len(BYTES))
    assert halfway.headers["upload-metadata"] == said
    assert halfway.headers["cache-control"] == "no-store"
    assert "upload-expires" in halfway.headers
    assert "mill-file-id" not in halfway.headers
    assert later.headers["upload-offset"] == str(len(BYTES))
    assert later.headers["mill-file-id"] == done.headers["mill-file-id"]


def test_creation_takes_the_first_bytes_along(http: httpx.Client) -> None:
    answer = http.post(
        "/mill/uploads",
        content=BYTES,
        headers={"upload-length": str(len(BYTES)), "content-type": "application/offset+octet-stream"},
    )

    assert (answer.status_code, answer.headers["upload-offset"]) == (201, str(len(BYTES)))
    assert stored(http, answer.headers["mill-file-id"]) == BYTES


def test_the_length_may_be_said_with_the_last_bytes(http: httpx.Client) -> None:
    where = http.post("/mill/uploads", headers={"upload-defer-length": "1"}).headers["location"]
    add(http, where, 0, BYTES[:1000])
    assert http.head(where).headers["upload-defer-length"] == "1"

    done = add(http, where, 1000, BYTES[1000:], **{"upload-length": str(len(BYTES))})

    assert stored(http, done.headers["mill-file-id"]) == BYTES


def test_what_came_before_the_line_broke_is_kept(http: httpx.Client, server: Server) -> None:
    where = begin(http)
    with broken_off(server, where, 0, BYTES[:120_000], len(BYTES)):
        pass

    until(lambda: http.head(where).headers["upload-offset"] == "120000", what="the bytes that came")
    done = add(http, where, 120_000, BYTES[120_000:])

    assert stored(http, done.headers["mill-file-id"]) == BYTES


def test_asking_how_far_it_is_ends_a_request_that_hangs(http: httpx.Client, server: Server) -> None:
    where = begin(http)
    with broken_off(server, where, 0, BYTES[:50_000], len(BYTES)) as line:
        # The server has begun to read once a part lies on its disk.
        until(lambda: any(p.stat().st_size or p.suffix == ".part" for p in blobs(server)), what="a part")
        until(lambda: http.head(where).headers["upload-offset"] == "50000", what="the bytes that came")
        line.settimeout(30)
        assert line.recv(4096).startswith(b"HTTP/1.1 409 ")

    done = add(http, where, 50_000, BYTES[50_000:])

    assert stored(http, done.headers["mill-file-id"]) == BYTES


def test_a_broken_request_with_a_checksum_counts_for_nothing(http: httpx.Client, server: Server) -> None:
    where = begin(http)
    host, port = httpx.URL(server.url).host, httpx.URL(server.url).port
    before = blobs(server)
    with socket.create_connection((host, port)) as line:
        head = (
            f"PATCH {httpx.URL(where).path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {server.key}\r\n"
            f"Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Length: {len(BYTES)}\r\n"
            f"Upload-Checksum: {checksum(BYTES)}\r\nContent-Type: application/offset+octet-stream\r\n\r\n"
        )
        line.sendall(head.encode() + BYTES[:1000])
        until(lambda: bool(blobs(server) - before), what="a part")

    until(lambda: not blobs(server) - before, what="the part's end")
    assert http.head(where).headers["upload-offset"] == "0"


@pytest.mark.parametrize("algorithm", ["sha1", "sha256", "md5"])
def test_a_right_checksum_is_taken(http: httpx.Client, algorithm: str) -> None:
    where = begin(http)

    done = add(http, where, 0, BYTES, **{"upload-checksum": checksum(BYTES, algorithm)})

    assert (done.status_code, done.headers["upload-offset"]) == (204, str(len(BYTES)))


def test_a_wrong_checksum_discards_the_bytes(http: httpx.Client, server: Server) -> None:
    where = begin(http)
    before = blobs(server)

    answer = add(http, where, 0, BYTES[:1000], **{"upload-checksum": checksum(b"other")})

    assert answer.status_code == 460
    assert answer.json()["code"] == "checksum_mismatch"
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert http.head(where).headers["upload-offset"] == "0"
    assert blobs(server) == before


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"upload-checksum": "crc99 AAAA"}, 400),
        ({"upload-checksum": "sha1 not!base64"}, 422),
        ({"content-type": "application/octet-stream"}, 415),
        ({"upload-offset": "-1"}, 400),
        ({"upload-offset": "9" * 30}, 400),
        ({"upload-offset": "5"}, 409),
        ({"tus-resumable": "0.2.2"}, 412),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused_and_changes_nothing(
    http: httpx.Client, headers: dict[str, str], status: int
) -> None:
    where = begin(http)

    answer = add(http, where, 0, BYTES[:10], **headers)

    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["tus-version"] == "1.0.0"
    assert http.head(where).headers["upload-offset"] == "0"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 400),
        ({"upload-length": "10", "upload-defer-length": "1"}, 400),
        ({"upload-defer-length": "2"}, 400),
        ({"upload-length": "ten"}, 400),
        ({"upload-length": "0"}, 422),
        ({"upload-length": str((16 << 30) + 1)}, 413),
        ({"upload-length": "10", "upload-metadata": "filename ***"}, 422),
        ({"upload-length": "10", "upload-metadata": "filename " + "A" * 5000}, 422),
        ({"upload-length": "10", "tus-resumable": ""}, 412),
        ({"upload-length": "10", "authorization": ""}, 401),
    ],
)
def test_a_creation_that_breaks_a_rule_is_refused(http: httpx.Client, headers: dict[str, str], status: int) -> None:
    answer = http.post("/mill/uploads", headers=headers)

    assert answer.status_code == status, answer.text
    assert answer.headers["tus-resumable"] == "1.0.0"


def test_more_bytes_than_were_announced_are_refused(http: httpx.Client, server: Server) -> None:
    where = begin(http, 100)
    before = blobs(server)

    answer = add(http, where, 0, BYTES[:101])

    assert answer.status_code == 413
    assert http.head(where).headers["upload-offset"] == "0"
    assert blobs(server) == before


def test_of_two_requests_with_the_same_bytes_one_counts(http: httpx.Client, server: Server) -> None:
    where = begin(http)
    before = blobs(server)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: add(http, where, 0, BYTES).status_code, range(8)))

    assert set(answers) <= {204, 409}
    assert answers.count(204) == 1
    id = http.head(where).headers["mill-file-id"]
    assert stored(http, id) == BYTES
    assert len(blobs(server) - before) == 1


def test_another_projects_upload_is_unknown(http: httpx.Client, stranger: httpx.Client) -> None:
    where = begin(http)
    add(http, where, 0, BYTES[:10])

    assert stranger.head(where).status_code == 404
    assert add(stranger, where, 10, BYTES[10:]).status_code == 404
    assert stranger.delete(where).status_code == 404
    assert http.head(where).headers["upload-offset"] == "10"


def test_termination_forgets_the_upload_and_its_bytes(http: httpx.Client, server: Server) -> None:
    before = blobs(server)
    where = begin(http)
    add(http, where, 0, BYTES[:10])
    add(http, where, 10, BYTES[10:20])

    answer = http.delete(where)

    assert answer.status_code == 204
    assert http.head(where).status_code == 404
    assert add(http, where, 20, BYTES[20:]).status_code == 404
    assert blobs(server) == before


def test_termination_of_a_whole_upload_takes_the_file_with_it(http: httpx.Client) -> None:
    where = begin(http)
    id = add(http, where, 0, BYTES).headers["mill-file-id"]

    http.delete(where)

    assert http.get(f"/mill/files/{id}").status_code == 404


def test_the_method_may_ride_in_a_header(http: httpx.Client) -> None:
    where = begin(http)
    head = {"upload-offset": "0", "content-type": "application/offset+octet-stream"}

    patched = http.post(where, content=BYTES[:10], headers={**head, "x-http-method-override": "PATCH"})
    plain = http.post(where)
    removed = http.post(where, headers={"x-http-method-override": "DELETE"})

    assert (patched.status_code, patched.headers["upload-offset"]) == (204, "10")
    assert plain.status_code == 405
    assert removed.status_code == 204
    assert http.head(where).status_code == 404


def test_an_address_that_cannot_be_fetched_is_named_as_it_was_sent(http: httpx.Client) -> None:
    for url, code in (("http://example.com:1/x.png", "invalid"), ("ftp://example.com/x.png", "invalid")):
        refused = http.post("/mill/files", json={"url": url})

        assert (refused.status_code, refused.json()["field"], refused.json()["code"]) == (422, "url", code)
        assert "inputs" not in refused.json()["detail"]
