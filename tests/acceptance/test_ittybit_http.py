"""The Ittybit API in profile `current` against a running server: real work, and its results as a player sees them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from PIL import Image
from tests.support.calls import ended
from tests.support.server import Server, serving, until


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that may fetch from itself."""
    with serving(environment={"MEDIAMILL_ALLOW_NETWORKS": "127.0.0.1/32"}) as running:
        yield running


@pytest.fixture(scope="module")
def film(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A film of two seconds without sound, put to the server; the file as it was answered."""
    path = tmp_path_factory.mktemp("film") / "in.mp4"
    with av.open(str(path), "w") as made:
        stream: Any = made.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for n in range(50):
            picture = Image.new("RGB", (320, 240), (n * 5, 40, 255 - n * 5))
            frame: Any = av.VideoFrame
            made.mux(stream.encode(frame.from_image(picture)))
        made.mux(stream.encode())
    return put(server, path)


def put(server: Server, path: Path) -> Any:
    with server.client() as call:
        signed = call.post("/signatures", json={"filename": path.name, "method": "put"}).raise_for_status().json()
        return httpx.put(signed["url"], content=path.read_bytes()).raise_for_status().json()


def made(server: Server, kind: str, **given: Any) -> Any:
    with server.client() as call:
        task = call.post("/tasks", json={"kind": kind, **given}).raise_for_status().json()
        assert task["status"] == "waiting"
        return ended(call, f"/tasks/{task['id']}")


def test_a_film_becomes_another_and_both_are_told_in_full(server: Server, film: Any) -> None:
    task = made(server, "video", url=film["url"], width=160, options={"format": "mp4"}, metadata={"a": [1]})

    assert (task["status"], task["progress"], task["error"]) == ("succeeded", 100, None), task
    assert (task["options"], task["metadata"]) == ({"width": 160, "format": "mp4"}, {"a": [1]})
    given, output = task["input"], task["output"]
    assert (given["kind"], given["width"], given["height"], given["framerate"]) == ("url", 320, 240, 25)
    assert given["duration"] == pytest.approx(2, abs=0.1)
    assert given["codecs"]["video"]["name"] == "h264"
    assert given["codecs"]["audio"] is None
    assert (output["kind"], output["mimetype"], output["filename"]) == ("internal", "video/mp4", "in.mp4")
    answer = httpx.get(output["url"])
    assert answer.headers["content-type"] == "video/mp4"
    assert int(answer.headers["content-length"]) == len(answer.content) == output["filesize"]
    with av.open(io.BytesIO(answer.content)) as opened:
        stream = opened.streams.video[0]
        assert (stream.width, stream.height) == (output["width"], output["height"]) == (160, 120)
    part = httpx.get(output["url"], headers={"range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")


def test_a_package_is_followed_by_its_relative_names(server: Server, film: Any) -> None:
    task = made(server, "adaptive_video", file_id=film["id"])

    assert task["status"] == "succeeded", task
    output = task["output"]
    assert (output["mimetype"], output["width"], output["height"]) == ("application/vnd.apple.mpegurl", 320, 240)
    total = len(httpx.get(output["url"]).content)
    seen, left = set(), [output["url"]]
    while left:
        url = left.pop()
        answer = httpx.get(url)
        assert answer.status_code == 200, url
        if answer.headers["content-type"] == "application/vnd.apple.mpegurl":
            lines = answer.text.splitlines()
            names = [line for line in lines if line and not line.startswith("#")]
            names += [name for line in lines for name in re.findall(r'URI="([^"]+)"', line)]
            left += [str(httpx.URL(url).join(name)) for name in names if str(httpx.URL(url).join(name)) not in seen]
        seen.add(url)
    assert len(seen) >= 3
    assert output["filesize"] > total
    with server.client() as call:
        media = call.get(f"/media/{film['media_id']}").raise_for_status().json()
        packages = [file for file in media["files"] if file["type"] == "application/vnd.apple.mpegurl"]
        assert len(packages) == 1
        call.delete(f"/files/{packages[0]['id']}").raise_for_status()
    assert {httpx.get(url).status_code for url in seen} == {404}


def test_a_run_goes_its_way_by_what_its_input_is(server: Server, film: Any) -> None:
    tall = {"prop": "media.height", "operator": "gt", "value": 1000}
    small = {"prop": "height", "operator": "lte", "value": 1000}
    tree = [
        {"kind": "conditions", "conditions": [tall], "next": [{"kind": "video"}]},
        {"kind": "conditions", "conditions": [small], "next": [{"kind": "image", "options": {"width": 32}}]},
    ]
    with server.client() as call:
        run = call.post("/runs", json={"url": film["url"], "tasks": tree}).raise_for_status().json()

    with server.client() as call:
        over = ended(call, f"/runs/{run['id']}")

    assert (over["status"], over["progress"]) == ("succeeded", 100), over
    by_kind = {task["kind"]: task for task in over["tasks"]}
    assert by_kind["video"]["status"] == "cancelled"
    assert by_kind["image"]["output"]["width"] == 32
    assert [task["results"]["continue"] for task in over["tasks"] if task["kind"] == "conditions"] == [False, True]


def test_a_condition_can_ask_for_all_that_an_input_is_told_with(server: Server, film: Any) -> None:
    for source in ({"url": film["url"]}, {"file_id": film["id"]}):
        seen = made(server, "ingest", **source)["input"]
        video = seen.pop("codecs")["video"]
        told = {**seen, "kind": "video", **{f"codecs.video.{name}": value for name, value in video.items()}}
        asked = [{"prop": prop, "value": value} for prop, value in told.items()]
        asked += [{"prop": "codecs", "operator": "contains", "value": "h264"}]
        asked += [{"prop": "codecs.audio", "operator": "exists", "value": False}]

        results = made(server, "conditions", **source, conditions=asked)["results"]

        assert results["failed"] == []
        assert {one["prop"] for one in results["passed"]} >= {"url", "filename", "mimetype", "width", "framerate"}


def test_what_cannot_be_read_or_had_fails_by_its_name(server: Server, film: Any, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no film at all")
    notes = put(server, text)
    project = film["url"].split("/cdn/")[1].split("/")[0]

    gone = made(server, "video", url=f"{server.url}/ittybit/cdn/{project}/file_nosuchfile1/a.mp4")
    late = made(server, "video", file_id=film["id"], options={"start": 60})
    silent = made(server, "audio", file_id=film["id"])
    unread = made(server, "video", file_id=notes["id"])

    kinds = [task["error"]["kind"] for task in (gone, late, silent, unread)]
    assert kinds == ["input_unreachable", "range_empty", "no_audio_stream", "input_unsupported"]
    assert all(task["output"] is None and task["finished_at"] for task in (gone, late, silent, unread))


def test_new_media_start_an_automation(server: Server, tmp_path: Path) -> None:
    picture = tmp_path / "new.png"
    Image.new("RGB", (64, 48), "teal").save(picture)
    body = {
        "workflow": [{"kind": "image", "options": {"width": 16}, "ref": "tiny"}],
        "trigger": {"kind": "event", "event": "media.created"},
    }
    with server.client() as call:
        automation = call.post("/automations", json=body).raise_for_status().json()
        file = put(server, picture)
        media = f"/media/{file['media_id']}"
        until(lambda: "tiny" in call.get(media).json()["urls"], timeout_s=60, what="the automation's result")
        found = call.get(media).json()
        [run] = [run for run in call.get("/runs").json() if run["created_by"] == automation["id"]]
        call.delete(f"/automations/{automation['id']}").raise_for_status()
    assert [(f["width"], f["original"]) for f in found["files"]] == [(64, True), (16, False)]
    assert run["tasks"][0]["kind"] == "image"


def test_why_new_media_did_not_start_an_automation_is_told(server: Server, tmp_path: Path) -> None:
    Image.new("RGB", (41, 30), "green").save(tmp_path / "in.png")
    trigger = {"kind": "event", "event": "media.created"}
    with server.client() as call:
        # As an old sample has it: what there is no engine for is kept, and stands in the way of the whole.
        body = {"workflow": [{"kind": "image"}, {"kind": "thumbnail"}], "trigger": trigger}
        made = call.post("/automations", json=body).raise_for_status().json()
        assert made["problem"] is None

        put(server, tmp_path / "in.png")

        at = f"/automations/{made['id']}"
        until(lambda: call.get(at).json()["problem"] is not None, what="the problem")
        for version in ("latest", "2025-08-20"):
            found = call.get(at, headers={"accept-version": version}).json()
            assert found["problem"] == "workflow[1].kind: there is no engine for thumbnail here."
        call.delete(at).raise_for_status()


def test_the_words_of_a_task_are_told_by_webhook_events(server: Server, film: Any) -> None:
    task = made(server, "image", file_id=film["id"], options={"start": 1, "format": "jpeg"})

    with server.client() as call:
        events = call.get("/events?limit=100&kind=task.succeeded").raise_for_status().json()
    told = next(event for event in events if event["data"]["id"] == task["id"])

    assert json.loads(json.dumps(told["data"])) == task
