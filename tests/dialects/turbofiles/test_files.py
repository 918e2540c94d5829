"""Contract section 3: registering, uploading, downloading, deleting, expiring."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.dialects.turbofiles.conftest import PNG, Caller, file_body, single
from tests.support import inprocess
from tests.support.inprocess import InProcess

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


async def test_a_new_file_awaits_its_bytes(call: Caller) -> None:
    answer = await call("POST", "/v1/files", file_body(format="image/png", size=48213))

    document = answer.json()
    file = document["data"]
    assert answer.status_code == 201
    assert document["jsonapi"] == {"version": "1.1"}
    assert answer.headers["location"] == file["links"]["self"] == document["links"]["self"]
    assert re.fullmatch(r"[a-z0-9]{9,}", file["id"])
    assert (file["type"], file["attributes"]["format"], file["attributes"]["size"]) == ("files", "image/png", 48213)
    assert INSTANT.fullmatch(file["attributes"]["created_at"])
    assert INSTANT.fullmatch(file["attributes"]["updated_at"])
    assert f"/upload/{file['id']}?expires=" in file["links"]["upload"]
    assert file["links"]["download"] is None


@pytest.mark.parametrize(
    ("word", "format"),
    [
        ("png", "image/png"), ("PNG", "image/png"), ("image/jpg", "image/jpeg"), ("jpg", "image/jpeg"),
        ("audio/x-wav", "audio/wav"), ("image/vnd.microsoft.icon", "image/x-icon"),
        ("Text/Plain; charset=utf-8", "text/plain"),
        ("application/x-zip-compressed", "application/zip"), ("tar.gz", "application/gzip"),
        ("application/octet-stream", "application/octet-stream"), ("Application/X-Nobody", "application/x-nobody"),
    ],
)  # fmt: skip
async def test_a_format_is_said_as_its_canonical_mime_type(call: Caller, word: str, format: str) -> None:
    assert (await call.awaited(word))["attributes"]["format"] == format


async def test_mime_type_is_an_older_word_for_format(call: Caller) -> None:
    old = await call.data("POST", "/v1/files", file_body(mime_type="audio/x-wav", size=9))
    both = await call.data("POST", "/v1/files", file_body(mime_type="image/gif", format="image/png", size=9))

    assert old["attributes"]["format"] == "audio/wav"
    assert both["attributes"]["format"] == "image/png"


async def test_type_may_be_absent_and_unknown_attributes_are_ignored(call: Caller) -> None:
    body = {"data": {"attributes": {"format": "png", "size": 9, "name": "x"}}, "meta": {"more": True}}

    assert (await call("POST", "/v1/files", body)).status_code == 201


async def test_another_type_is_409(call: Caller) -> None:
    body = {"data": {"type": "tasks", "attributes": {"format": "png", "size": 9}}}

    error = await call.error(409, "POST", "/v1/files", body)

    assert (error["source"], error["meta"]["reason"]) == ({"pointer": "/data/type"}, "type_mismatch")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ([], ""),
        ({}, ""),
        ({"data": None}, "/data"),
        ({"data": []}, "/data"),
        ({"data": {}}, "/data"),
        ({"data": {"attributes": 1}}, "/data/attributes"),
        (file_body(size=9), "/data/attributes"),
        (file_body(format="png"), "/data/attributes"),
        (file_body(format=7, size=9), "/data/attributes/format"),
        (file_body(format="", size=9), "/data/attributes/format"),
        (file_body(format="gibberish", size=9), "/data/attributes/format"),
        (file_body(format="a/b/c", size=9), "/data/attributes/format"),
        (file_body(format="image/\0png", size=9), "/data/attributes/format"),
        (file_body(mime_type=None, size=9), "/data/attributes/mime_type"),
        (file_body(format="png", size=0), "/data/attributes/size"),
        (file_body(format="png", size=-1), "/data/attributes/size"),
        (file_body(format="png", size="9"), "/data/attributes/size"),
        (file_body(format="png", size=True), "/data/attributes/size"),
        (file_body(format="png", size=1.5), "/data/attributes/size"),
        (file_body(format="png", size=None), "/data/attributes/size"),
    ],
)
async def test_a_wrong_member_is_422_and_pointed_at(call: Caller, body: Any, pointer: str) -> None:
    error = await call.error(422, "POST", "/v1/files", body)

    assert (error["source"], error["meta"]["reason"]) == ({"pointer": pointer}, "invalid_attribute")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nonsense",
        b"\xff\xfe",
        b'{"data": "\\ud800"}',
        b'{"data": NaN}',
        b"[" * 100_000,
        b"9" * 5000,
        b"{}x",
    ],
)
async def test_what_is_no_json_is_400(call: Caller, raw: bytes) -> None:
    error = await call.error(400, "POST", "/v1/files", raw=raw)

    assert error["meta"]["reason"] == "malformed_json"


@pytest.mark.parametrize("size", [(1 << 30) + 1, 1 << 63, 1 << 64, 10**400])
async def test_more_than_the_ceiling_is_400(call: Caller, size: int) -> None:
    error = await call.error(400, "POST", "/v1/files", file_body(format="png", size=size))

    assert (error["title"], error["detail"]) == ("Bad Request", "Max file size exceeded")
    assert (error["source"], error["meta"]["reason"]) == ({"pointer": "/data/attributes/size"}, "file_too_large")


async def test_a_document_of_megabytes_is_refused(call: Caller) -> None:
    body = file_body(format="png", size=9, note="x" * (2 << 20))

    assert (await call("POST", "/v1/files", body)).status_code == 413


async def test_an_upload_turns_one_link_into_the_other(call: Caller) -> None:
    id = await call.uploaded()

    file = await call.data("GET", f"/v1/files/{id}")

    assert file["links"]["upload"] is None
    answer = await call.mill.http.get(file["links"]["download"])
    assert answer.status_code == 200
    assert answer.content == PNG
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == str(len(PNG))
    assert re.match(r'attachment; filename="\S+\.png"', answer.headers["content-disposition"])


async def test_a_part_of_a_download_can_be_asked_for(call: Caller) -> None:
    file = await call.data("GET", f"/v1/files/{await call.uploaded()}")

    answer = await call.mill.http.get(file["links"]["download"], headers={"range": "bytes=1-3"})

    assert (answer.status_code, answer.content) == (206, b"PNG")
    assert answer.headers["content-range"] == f"bytes 1-3/{len(PNG)}"


@pytest.mark.parametrize("content", [PNG[:-1], PNG + b"x", b"x" * 3_000_000])
async def test_an_upload_of_another_length_is_400_and_leaves_nothing(call: Caller, content: bytes) -> None:
    file = await call.awaited(size=len(PNG))

    answer = await call.mill.http.put(file["links"]["upload"], content=content)

    assert answer.status_code == 400
    assert single(answer)["meta"]["reason"] == "size_mismatch"
    again = await call.data("GET", f"/v1/files/{file['id']}")
    assert again["links"]["download"] is None
    assert (await call.mill.http.put(again["links"]["upload"], content=PNG)).status_code == 200


async def test_a_second_upload_is_409(call: Caller) -> None:
    file = await call.awaited()
    await call.mill.http.put(file["links"]["upload"], content=PNG)

    answer = await call.mill.http.put(file["links"]["upload"], content=PNG)

    assert answer.status_code == 409
    assert single(answer)["meta"]["reason"] == "already_uploaded"


async def test_signed_urls_take_any_accept_and_content_type_and_no_token(call: Caller) -> None:
    file = await call.awaited("image/jpeg")
    headers = {"accept": "text/html", "content-type": "image/jpg; x=y", "authorization": "Bearer None"}

    answer = await call.mill.http.put(file["links"]["upload"], content=PNG, headers=headers)

    assert (answer.status_code, answer.text) == (200, "")


async def test_an_altered_or_spent_signature_is_403(call: Caller) -> None:
    link = (await call.awaited())["links"]["upload"]
    altered = link[:-1] + ("0" if link[-1] != "0" else "1")
    later = re.sub(r"expires=(\d+)", lambda m: f"expires={int(m[1]) + 1}", link)

    for url in (altered, later, link.split("?")[0], link.split("?")[0] + "?", link.split("&")[0]):
        answer = await call.mill.http.put(url, content=PNG)
        assert answer.status_code == 403, url
        assert single(answer)["meta"]["reason"] == "bad_signature"


async def test_an_expired_upload_url_is_403(dsn: str, tmp_path: Path) -> None:
    async with inprocess.running(dsn, tmp_path, upload_url_s=0.001) as mill:
        call = Caller(mill)
        link = (await call.awaited())["links"]["upload"]
        expires = int(re.search(r"expires=(\d+)", link)[1])  # type: ignore[index]
        await _until(mill, expires + 1)

        answer = await mill.http.put(link, content=PNG)

    assert answer.status_code == 403
    assert single(answer)["meta"]["reason"] == "bad_signature"


async def _until(mill: InProcess, instant: int) -> None:
    """The database waits for the clock, so that the test need not."""
    await mill.bench.pool.execute(
        "SELECT pg_sleep(greatest(0, $1::float8 - extract(epoch FROM clock_timestamp())))", instant
    )


@pytest.mark.parametrize("method", ["PUT", "GET"])
async def test_a_signed_url_of_no_file_is_404(call: Caller, method: str) -> None:
    verb = "upload" if method == "PUT" else "download"
    for id in ("f0000000000000000nope", "a%00b", "%C3%A4", "x" * 200):
        answer = await call.mill.http.request(method, f"/{verb}/{id}?expires=1&signature=2")
        assert answer.status_code == 404, id


async def test_a_deleted_file_is_gone_at_once(call: Caller) -> None:
    id = await call.uploaded()
    link = (await call.data("GET", f"/v1/files/{id}"))["links"]["download"]

    deleted = await call("DELETE", f"/v1/files/{id}")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert (await call.error(404, "GET", f"/v1/files/{id}"))["meta"]["reason"] == "not_found"
    await call.error(404, "DELETE", f"/v1/files/{id}")
    answer = await call.mill.http.get(link)
    assert answer.status_code == 404
    assert single(answer)["meta"]["reason"] == "not_found"  # in the words of the dialect it was made in
    assert await call.data("GET", "/v1/files") == []


async def test_files_live_for_48_hours(call: Caller) -> None:
    id = await call.uploaded()
    left: timedelta = await call.mill.bench.pool.fetchval("SELECT expires_at - created_at FROM files WHERE id = $1", id)

    assert abs(left - timedelta(hours=48)) < timedelta(seconds=1)


async def test_an_expired_file_is_404_and_its_task_stays(call: Caller) -> None:
    id = await call.uploaded()
    link = (await call.data("GET", f"/v1/files/{id}"))["links"]["download"]
    task = await call.converting(id)

    await call.mill.bench.pool.execute("UPDATE files SET expires_at = now() - interval '1 s' WHERE id = $1", id)

    await call.error(404, "GET", f"/v1/files/{id}")
    assert (await call.mill.http.get(link)).status_code == 404
    document = (await call("GET", f"/v1/tasks/{task}")).json()
    assert document["data"]["relationships"]["input"]["data"] is None
    assert document["data"]["attributes"]["format"] == {"input": "image/png", "output": "image/webp"}
    assert document["included"] == []


async def test_a_download_url_is_no_good_beyond_its_file(call: Caller) -> None:
    id = await call.uploaded()
    until = datetime.now(UTC) + timedelta(minutes=5)
    await call.mill.bench.pool.execute("UPDATE files SET expires_at = $2 WHERE id = $1", id, until)

    link = (await call.data("GET", f"/v1/files/{id}"))["links"]["download"]

    assert f"expires={int(until.timestamp())}&" in link


async def test_anothers_file_is_404(call: Caller) -> None:
    other = Caller(call.mill, await call.mill.token("stranger"))
    id = await other.uploaded()

    await call.error(404, "GET", f"/v1/files/{id}")
    await call.error(404, "DELETE", f"/v1/files/{id}")
    assert (await other("GET", f"/v1/files/{id}")).status_code == 200


@pytest.mark.parametrize("id", ["nope", "F0MWRJG47", "a%00b", "%F0%9F%90%B4", "..%2F..", "x" * 300, "%25", "a%20b"])
async def test_an_id_that_cannot_be_ours_is_404(call: Caller, id: str) -> None:
    for path in (f"/v1/files/{id}", f"/v1/tasks/{id}", f"/v1/tasks/{id}/input", f"/v1/tasks/{id}/relationships/output"):
        await call.error(404, "GET", path)


async def test_head_is_answered_as_get_without_the_body(call: Caller) -> None:
    file = (await call.awaited())["id"]

    for path in (f"/v1/files/{file}", "/v1/files", "/v1/tasks/", "/v1/users/me", "/v1/files/nope", "/v1/tasks?x=1"):
        shown, asked = await call("GET", path), await call("HEAD", path)
        assert (asked.status_code, asked.content) == (shown.status_code, b""), path
        for name in ("content-type", "vary", "x-ratelimit-limit"):
            assert asked.headers.get(name) == shown.headers.get(name), path


async def test_a_wrong_method_is_405_and_an_unknown_path_404(call: Caller) -> None:
    wrong = await call("PATCH", "/v1/files", {})

    assert wrong.status_code == 405
    assert {"GET", "POST"} <= set(wrong.headers["allow"].split(", "))
    assert single(wrong)["meta"]["reason"] == "method_not_allowed"
    assert (await call.error(404, "GET", "/v1/nowhere"))["meta"]["reason"] == "not_found"
    assert (await call.error(404, "GET", "/nowhere"))["meta"]["reason"] == "not_found"


async def test_the_caller_is_told_who_it_is(call: Caller) -> None:
    answer = await call("GET", "/v1/users/me")

    user = answer.json()["data"]
    assert user["type"] == "users"
    assert re.fullmatch(r"[a-z0-9]{9,}", user["id"])
    assert INSTANT.fullmatch(user["attributes"]["created_at"])
    assert (await call.data("GET", "/v1/users/me"))["id"] == user["id"]


async def test_a_file_of_another_dialect_is_shown_too(call: Caller) -> None:
    headers = {"authorization": f"Bearer {call.token}", "content-type": "application/json"}
    body = json.dumps({"filename": "a.png", "size_bytes": 9})
    made = (await call.mill.http.post("/mill/files", content=body, headers=headers)).json()

    file = await call.data("GET", f"/v1/files/{made['id']}")

    assert file["attributes"]["format"] == "image/png"
