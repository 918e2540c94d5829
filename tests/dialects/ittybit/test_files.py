"""Files, media and signatures: put, fetched, shown together, read back."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.dialects.ittybit.conftest import ENVELOPE, PNG, Caller, ours

from mediamill.dialects.ittybit import files as routes
from mediamill.dialects.ittybit import ids

FILE = {"id", "media_id", "object", "kind", "type", "filesize", "url", "created", "updated", "status"}
MEDIA = {
    "id", "object", "kind", "title", "alt", "width", "height", "duration", "files", "urls", "background", "metadata",
    "created", "updated",
}  # fmt: skip


async def signed(call: Caller, **given: Any) -> str:
    return str((await call.good("POST", "/signatures", given))["url"])


async def test_a_file_that_is_put_is_shown_and_read_back(call: Caller) -> None:
    file = await call.uploaded(PNG, "cat.png", "pets/black")

    assert set(file) > FILE
    assert (file["filename"], file["folder"], file["status"]) == ("cat.png", "pets/black", "ready")
    assert (file["object"], file["kind"], file["type"]) == ("source", "image", "image/png")
    assert file["filesize"] == len(PNG)
    assert file["original"] is True
    assert await call.good("GET", f"/files/{file['id']}") == file
    assert await call.good("GET", "/files") == [file]
    got = await call.mill.http.get(file["url"])
    assert (got.content, got.headers["content-type"]) == (PNG, "image/png")
    by_key = await call.mill.http.get(
        (await signed(call, filename="cat.png", folder="pets/black")).split("?")[0],
        headers={"authorization": f"Bearer {call.token}"},
    )
    assert by_key.content == PNG


async def test_bytes_are_served_in_ranges_with_their_true_type_and_length(call: Caller) -> None:
    file = await call.uploaded()

    part = await call.mill.http.get(file["url"], headers={"range": "bytes=1-3"})
    head = await call.mill.http.head(file["url"])

    assert (part.status_code, part.content) == (206, b"PNG")
    assert part.headers["content-range"] == f"bytes 1-3/{len(PNG)}"
    assert head.headers["content-length"] == str(len(PNG))
    assert head.headers["x-content-type-options"] == "nosniff"
    assert head.headers["access-control-allow-origin"] == "*"
    past = await call.mill.http.get(file["url"], headers={"range": "bytes=9999-"})
    assert past.status_code == 416


async def test_a_signature_holds_for_one_method_on_one_file_until_its_time(call: Caller) -> None:
    put = await call.good("POST", "/signatures", {"filename": "a b.png", "folder": "in", "method": "put"})
    assert set(put) == {"domain", "filename", "folder", "expiry", "method", "signature", "url"}
    assert put["expiry"] == pytest.approx(time.time() + 3600, abs=30)
    assert put["url"].startswith(f"http://{put['domain']}/in/a%20b.png?")
    http = call.mill.http

    assert (await http.put(put["url"], content=PNG)).status_code == 201
    assert (await http.get(put["url"])).status_code == 403
    for name, other in (("a%20b.png", "c.png"), ("/in/", "/out/"), (str(put["expiry"]), str(put["expiry"] + 1))):
        answer = await http.put(put["url"].replace(name, other), content=PNG)
        assert (answer.status_code, answer.json()["kind"]) == (403, "signature_invalid")
    assert (await http.get(await signed(call, filename="a b.png", folder="in"))).content == PNG


async def test_a_signature_is_void_once_its_time_has_passed(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    await call.uploaded(name="late.png")
    url = await signed(call, filename="late.png", folder="in", expiry=int(time.time()) + 60)
    later = time.time() + 61
    monkeypatch.setattr("mediamill.dialects.ittybit.signatures.time.time", lambda: later)

    answer = await call.mill.http.get(url)

    assert (answer.status_code, answer.json()["kind"]) == (403, "signature_invalid")


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "filename"),
        ({"filename": "../a"}, "filename"),
        ({"filename": "what is this?.mp4"}, "?"),
        ({"filename": "10:30.mp4"}, ":"),
        ({"filename": "é" * 120}, "200 bytes"),
        ({"filename": 3}, "filename"),
        ({"filename": "a", "method": "post"}, "get, put"),
        ({"filename": "a", "method": []}, "method"),
        ({"filename": "a", "expiry": 5}, "expiry"),
        ({"filename": "a", "expiry": "soon"}, "expiry"),
        ({"filename": "a", "expiry": True}, "expiry"),
        ({"filename": "a", "expiry": 1 << 70}, "expiry"),
        ({"filename": "a", "folder": "../b"}, "folder"),
    ],
)
async def test_a_signature_that_cannot_be_is_refused_by_name(call: Caller, body: Any, word: str) -> None:
    assert word in await call.error(400, "request_invalid", "POST", "/signatures", body)


async def test_delivery_wants_a_key_of_the_project_or_a_signature(call: Caller) -> None:
    url = (await signed(call, filename="a.png", folder="in", method="put")).split("?")[0]
    other = await call.mill.token("another")
    http = call.mill.http

    assert (await http.put(url, content=PNG)).status_code == 401
    assert (await http.put(url, content=PNG, headers={"authorization": "Bearer nope"})).status_code == 401
    assert (await http.put(url, content=PNG, headers={"authorization": f"Bearer {other}"})).status_code == 404
    mine = {"authorization": f"Bearer {call.token}"}
    assert (await http.put(url, content=PNG, headers=mine)).status_code == 201
    assert (await http.put(url, content=b"", headers=mine)).status_code == 400
    assert (await http.post(url, headers=mine)).status_code == 405
    assert (await http.get(url.replace("a.png", "b.png"), headers=mine)).status_code == 404


async def test_a_project_is_shown_and_read_back() -> None:
    for project in ("default", "p", "x" * 64, "a-b_c", "p0ab"):
        word = ids.project(project)
        assert ids.read_project(word) == project
        assert len(word) >= 15
        assert word[5:].isalnum()


async def fetching(call: Caller, body: Any, content: bytes | None = PNG) -> Any:
    """POST /files with a worker that fetches the content, or fails to."""
    asked = asyncio.create_task(call("POST", "/files", body))
    while not (found := await call.good("GET", "/tasks?kind=ingest")):
        assert not asked.done(), (await asked).text
    task = ours(found[0]["id"])
    if content is None:
        await call.mill.fail(task, code="source_unreachable", message="The source answered 404.")
    else:
        await call.fetched(task, content)
        await call.mill.succeed(task, content, mime="image/png", facts={"width_px": 2, "height_px": 1})
    return await asked


async def test_a_file_of_a_url_is_here_when_it_is_answered(call: Caller) -> None:
    answer = await fetching(
        call, {"url": "https://a.example/b/cat.png", "folder": "in", "ref": "cat", "metadata": {"a": 1}}
    )

    assert answer.status_code == 201, answer.text
    file = answer.json()
    assert (file["status"], file["filesize"], file["width"], file["orientation"]) == ("ready", len(PNG), 2, "landscape")
    assert (file["folder"], file["ref"], file["metadata"], file["original"]) == ("in", "cat", {"a": 1}, True)
    assert (await call.mill.http.get(file["url"])).content == PNG
    [listed] = await call.good("GET", "/files")
    assert listed["id"] == file["id"]
    media = await call.good("GET", f"/media/{file['media_id']}")
    assert set(media) == MEDIA
    assert (media["kind"], media["width"], media["urls"]) == ("image", 2, {"cat": file["url"]})
    assert [f["id"] for f in media["files"]] == [file["id"]]


async def test_a_source_that_cannot_be_had_leaves_no_file(call: Caller) -> None:
    answer = await fetching(call, {"url": "https://a.example/gone.png"}, None)

    assert answer.status_code == 400
    assert answer.json() == {"kind": "request_invalid", "message": "url: The source answered 404."}
    assert await call.good("GET", "/files") == []
    assert await call.good("GET", "/media") == []


async def test_a_slow_source_is_answered_before_its_bytes_are_here(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "FETCH_WAIT_S", 0.0)

    answer = await call("POST", "/files", {"url": "https://a.example/slow.png"})

    assert answer.status_code == 202
    file = answer.json()
    assert (file["status"], file["filesize"]) == ("processing", 0)
    [task] = await call.good("GET", "/tasks")
    await call.fetched(ours(task["id"]))
    await call.mill.succeed(ours(task["id"]), PNG, mime="image/png")
    later = await call.good("GET", f"/files/{file['id']}")
    assert (later["status"], later["filesize"], later["media_id"]) == ("ready", len(PNG), file["media_id"])


async def test_a_file_that_was_fetched_asks_for_each_automation_once_and_tells_whose_it_is(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "FETCH_WAIT_S", 0.0)
    trigger = {"kind": "event", "event": "media.created"}
    await call.good("POST", "/automations", {"workflow": [{"kind": "image"}], "trigger": trigger}, status=201)
    file = await call.good("POST", "/files", {"url": "https://a.example/slow.png"}, status=202)
    [task] = await call.good("GET", "/tasks")

    await call.fetched(ours(task["id"]))
    await call.mill.succeed(ours(task["id"]), PNG, mime="image/png")

    asked = await call.mill.bench.pool.fetch(
        "SELECT file_id FROM automation_starts WHERE file_id = $1", ours(file["id"])
    )
    assert len(asked) == 1
    assert (await call.good("GET", f"/files/{file['id']}"))["created_by"].startswith("key_")


async def test_a_slow_source_that_fails_is_told_so(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "FETCH_WAIT_S", 0.0)
    file = await call.good("POST", "/files", {"url": "https://a.example/slow.png"}, status=202)
    [task] = await call.good("GET", "/tasks")

    await call.mill.fail(ours(task["id"]))

    assert (await call.good("GET", f"/files/{file['id']}"))["status"] == "failed"


async def test_what_a_task_makes_of_a_file_joins_its_media(call: Caller) -> None:
    source = await call.uploaded()
    given = {"kind": "ingest", "file_id": source["id"], "ref": "small", "folder": "out", "filename": "small.webp"}
    task = await call.good("POST", "/tasks", given)
    await call.mill.succeed(ours(task["id"]))

    media = await call.good("GET", f"/media/{source['media_id']}")
    done = await call.good("GET", f"/tasks/{task['id']}")
    flat = (await call.speaking(ENVELOPE).good("GET", f"/tasks/{task['id']}"))["data"]

    assert [(f["ref"], f["original"]) for f in media["files"]] == [(None, True), ("small", False)]
    assert media["files"][1]["created_by"] == done["run_id"]
    assert media["urls"] == {"small": done["output"]["url"]}
    assert done["output"]["filename"] == "small.webp"
    assert done["output"]["url"].endswith(f"/{task['id']}/small.webp")
    assert done["input"]["kind"] == "internal"
    assert flat["output"]["media_id"] == flat["input"]["media_id"] == source["media_id"]
    assert flat["status"] == "completed"
    assert (await call.mill.http.get(done["output"]["url"])).content == b"made"
    assert (await call.mill.http.get(await signed(call, filename="small.webp", folder="out"))).content == b"made"


async def test_what_a_task_makes_of_a_url_has_a_media_of_its_own(call: Caller) -> None:
    task = await call.tasked("ingest")
    await call.fetched(ours(task["id"]))
    await call.mill.succeed(ours(task["id"]), PNG, mime="image/png")

    [media] = await call.good("GET", "/media")

    assert [(f["type"], f["original"]) for f in media["files"]] == [("image/png", True)]


async def test_files_can_be_renamed_and_let_go(call: Caller) -> None:
    file = await call.uploaded()

    body = {"folder": None, "filename": "b.png", "ref": "r", "metadata": {"x": 1}, "kind": "video"}
    changed = await call.good("PATCH", f"/files/{file['id']}", body)
    again = await call.good("PATCH", f"/files/{file['id']}", {})
    gone = await call.good("DELETE", f"/files/{file['id']}", status=200)

    names = {name: changed[name] for name in ("folder", "filename", "ref", "metadata", "kind")}
    assert names == {"folder": None, "filename": "b.png", "ref": "r", "metadata": {"x": 1}, "kind": "image"}
    assert again["filename"] == "b.png"
    assert isinstance(gone["message"], str)
    await call.error(404, "file_not_found", "GET", f"/files/{file['id']}")
    await call.error(404, "file_not_found", "DELETE", f"/files/{file['id']}")
    assert (await call.mill.http.get(changed["url"])).status_code == 404


async def test_media_are_made_changed_and_let_go_with_their_files(call: Caller) -> None:
    empty = await call.good("POST", "/media", status=201)
    media = await call.good("POST", "/media", {"title": "A", "alt": "B", "metadata": {"c": 1}}, status=201)
    file = await call.uploaded()

    changed = await call.good("PATCH", f"/media/{media['id']}", {"title": None})
    shown = [m["id"] for m in await call.good("GET", "/media")]
    page = await call.speaking(ENVELOPE).good("GET", "/media?limit=2")
    await call.good("DELETE", f"/media/{file['media_id']}")

    assert (empty["kind"], empty["files"], empty["urls"]) == (None, [], {})
    assert (changed["title"], changed["alt"], changed["metadata"]) == (None, "B", {"c": 1})
    assert shown == [file["media_id"], media["id"], empty["id"]]
    assert (page["meta"]["total"], page["meta"]["pages"], len(page["data"])) == (3, 2, 2)
    gone = await call.error(404, "media_not_found", "GET", f"/media/{file['media_id']}")
    assert ours(file["media_id"]) not in gone  # that spelling is nobody's business
    await call.error(404, "file_not_found", "GET", f"/files/{file['id']}")


@pytest.mark.parametrize("path", ["/files", "/media"])
async def test_pages_past_the_end_are_empty(call: Caller, path: str) -> None:
    assert await call.good("GET", f"{path}?page=7&limit=3") == []
    await call.error(400, "request_invalid", "GET", f"{path}?page=x")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({}, "url_required"),
        ({"url": None}, "url_required"),
        ({"url": 3}, "request_invalid"),
        ({"url": "file:///etc/passwd"}, "request_invalid"),
        ({"url": "http://127.0.0.1/a"}, "request_invalid"),
        ({"url": "https://a.example/b", "metadata": []}, "request_invalid"),
        ({"url": "https://a.example/b", "filename": ""}, "request_invalid"),
        ({"url": "https://a.example/b", "folder": "a/../b"}, "request_invalid"),
        ({"url": "https://a.example/b", "metadata": {"a": "x" * 20_000}}, "request_invalid"),
    ],
)
async def test_a_file_that_cannot_be_is_refused(call: Caller, body: Any, kind: str) -> None:
    await call.error(400, kind, "POST", "/files", body)
    assert await call.good("GET", "/files") == []


async def test_a_file_for_a_media_that_is_not_there_is_refused(call: Caller) -> None:
    body = {"url": "https://a.example/b", "media_id": "med_nosuchmedia"}

    await call.error(404, "media_not_found", "POST", "/files", body)


async def test_nothing_is_delivered_by_a_wrong_path(call: Caller) -> None:
    file = await call.uploaded()
    path = urlsplit(file["url"]).path
    other = ids.project("another")
    http = call.mill.http

    for wrong in (path + "/x", path.rsplit("/", 1)[0], path.replace(path.split("/")[3], other), "/ittybit/cdn/a/b/c"):
        answer = await http.get(wrong)
        assert (answer.status_code, answer.json()["kind"]) == (404, "file_not_found")
    assert (await http.post(path)).status_code == 405
    assert (await http.options(path)).status_code == 204
