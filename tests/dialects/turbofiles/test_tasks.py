"""Contract sections 4, 8 and 9: creating tasks, in the documented form and in the published client's; their life."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.dialects.turbofiles.conftest import PNG, Caller, task_body
from tests.support.inprocess import InProcess

from mediamill.core.tasks import Failure, State

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
WEBP = {"input": "image/png", "output": "image/webp"}


def legacy_body(file: str, **attributes: Any) -> Any:
    related = {"source": {"data": {"type": "files", "id": file}}}
    return {"data": {"type": "tasks", "attributes": attributes, "relationships": related}}


async def test_a_new_task_is_pending_and_brings_its_input(call: Caller) -> None:
    file = await call.uploaded()

    answer = await call("POST", "/v1/tasks", task_body(file, format=WEBP, settings={"resize": {"width": 320}}))

    document = answer.json()
    task = document["data"]
    here = f"http://mill.test/turbofiles/v1/tasks/{task['id']}"
    assert answer.status_code == 201
    assert answer.headers["location"] == task["links"]["self"] == document["links"]["self"] == here
    assert task["type"] == "tasks"
    assert re.fullmatch(r"[a-z0-9]{9,}", task["id"])
    assert INSTANT.fullmatch(task["attributes"].pop("created_at"))
    assert INSTANT.fullmatch(task["attributes"].pop("updated_at"))
    assert task["attributes"] == {
        "public": False,
        "settings": {"resize": {"width": 320}},
        "status": "PENDING",
        "format": WEBP,
        "started_at": None,
        "processed_at": None,
        "processing_metadata": {},
    }
    assert task["relationships"] == {
        "input": {
            "data": {"type": "files", "id": file},
            "links": {"self": f"{here}/relationships/input", "related": f"{here}/input"},
        },
        "output": {"data": None, "links": {"self": f"{here}/relationships/output", "related": f"{here}/output"}},
    }
    assert "download" not in task["links"]
    assert [one["id"] for one in document["included"]] == [file]


@pytest.mark.parametrize("place", ["relationships", "relationship"])
@pytest.mark.parametrize("name", ["input", "source"])
async def test_the_input_is_found_under_each_name_it_has_had(call: Caller, place: str, name: str) -> None:
    file = await call.uploaded()
    body = {"data": {"attributes": {"format": {"output": "webp"}}, place: {name: {"data": {"id": file}}}}}

    task = await call.data("POST", "/v1/tasks", body)

    assert task["relationships"]["input"]["data"] == {"type": "files", "id": file}
    assert task["attributes"]["format"] == WEBP


@pytest.mark.parametrize("form", [{"input": "png", "output": "WEBP"}, {"output": "image/webp"}])
async def test_formats_are_said_as_mime_types(call: Caller, form: Any) -> None:
    task = await call.data("POST", "/v1/tasks", task_body(await call.uploaded(), format=form))

    assert task["attributes"]["format"] == WEBP


async def test_the_same_format_again_is_an_optimisation(call: Caller, mill: InProcess) -> None:
    task = await call.converting(output="png")

    assert await mill.bench.pool.fetchval("SELECT kind FROM tasks WHERE id = $1", task) == "optimise"
    assert (await call.attributes(task))["format"] == {"input": "image/png", "output": "image/png"}


async def test_the_published_clients_form_makes_a_file_smaller(call: Caller, mill: InProcess) -> None:
    file = await call.uploaded()
    body = legacy_body(file, action="compress", parameters={"quality": 40, "level9": True})

    task = await call.data("POST", "/v1/tasks", body)

    assert task["attributes"]["format"] == {"input": "image/png", "output": "image/png"}
    assert task["attributes"]["settings"] == {"quality": 40, "level9": True}
    kind, options = await mill.bench.pool.fetchrow("SELECT kind, options FROM tasks WHERE id = $1", task["id"])
    assert (kind, options) == ("optimise", {"quality": 40})
    await mill.succeed(task["id"], mime="image/png")
    done = await call.data("GET", f"/v1/tasks/{task['id']}")
    assert (await mill.http.get(done["links"]["download"])).content == b"made"


async def test_another_action_is_422(call: Caller) -> None:
    error = await call.error(422, "POST", "/v1/tasks", legacy_body(await call.uploaded(), action="explode"))

    assert error["source"] == {"pointer": "/data/attributes/action"}


async def test_an_action_for_what_cannot_be_compressed_is_422(call: Caller) -> None:
    file = await call.uploaded("application/x-nobody", b"\x01\x02\x03\x04")

    error = await call.error(422, "POST", "/v1/tasks", legacy_body(file, action="compress", parameters={}))

    assert error["source"] == {"pointer": "/data/attributes/action"}
    assert error["meta"]["reason"] == "unsupported_conversion"


async def test_unknown_settings_are_echoed_and_named(call: Caller, mill: InProcess) -> None:
    settings = {"resize": {"width": 9, "zoom": 2}, "shine": [1, {"a": None}], "format": "x", "ü": "\U0001f434", "": 0}

    task = await call.converting(settings=settings)

    found = await call.attributes(task)
    assert found["settings"] == settings
    assert found["processing_metadata"]["ignored_settings"] == sorted(["resize.zoom", "shine", "format", "ü", ""])
    options = await mill.bench.pool.fetchval("SELECT options FROM tasks WHERE id = $1", task)
    assert options == {"format": "image/webp", "resize": {"width": 9}}
    await mill.succeed(task, details={"ignored_settings": ["resize"]})
    assert "resize" in (await call.attributes(task))["processing_metadata"]["ignored_settings"]


@pytest.mark.parametrize(
    ("settings", "pointer"),
    [
        (None, ""), ([], ""), ("x", ""), (7, ""),
        ({"resize": 9}, "/resize"),
        ({"resize": {"width": 0}}, "/resize/width"),
        ({"resize": {"width": 16385}}, "/resize/width"),
        ({"resize": {"width": "9"}}, "/resize/width"),
        ({"resize": {"height": 1.5}}, "/resize/height"),
        ({"resize": {"max_width": 10**30}}, "/resize/max_width"),
        ({"quality": True}, "/quality"), ({"quality": 101}, "/quality"), ({"quality": None}, "/quality"),
        ({"lossless": 1}, "/lossless"),
        ({"background": "red"}, "/background"),
        ({"start": -1}, "/start"),
        ({"sheet": {}}, "/sheet"),
        ({"x": "\0"}, ""), ({"\0": 1}, ""),
        ({"x": "x" * 70_000}, ""),
    ],
)  # fmt: skip
async def test_a_known_setting_of_a_wrong_value_is_422(call: Caller, settings: Any, pointer: str) -> None:
    file = await call.uploaded()

    error = await call.error(422, "POST", "/v1/tasks", task_body(file, format=WEBP, settings=settings))
    legacy = await call.error(422, "POST", "/v1/tasks", legacy_body(file, action="compress", parameters=settings))

    assert error["source"] == {"pointer": f"/data/attributes/settings{pointer}"}
    assert legacy["source"] == {"pointer": f"/data/attributes/parameters{pointer}"}
    assert error["meta"]["reason"] == "invalid_attribute"


async def test_settings_nested_without_end_are_422(call: Caller) -> None:
    body = task_body(await call.uploaded(), format=WEBP, settings={"x": 1})
    raw = json.dumps(body).replace('"x": 1', '"x": ' + "[" * 300 + "]" * 300).encode()

    assert (await call.error(422, "POST", "/v1/tasks", raw=raw))["source"] == {"pointer": "/data/attributes/settings"}


REL = "/data/relationships"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        (lambda data: data.pop("attributes"), "/data"),
        (lambda data: data.update(attributes=[]), "/data/attributes"),
        (lambda data: data["attributes"].pop("format"), "/data/attributes"),
        (lambda data: data["attributes"].update(format="webp"), "/data/attributes/format"),
        (lambda data: data["attributes"].update(format={}), "/data/attributes/format"),
        (lambda data: data["attributes"].update(format={"output": None}), "/data/attributes/format/output"),
        (lambda data: data["attributes"]["format"].update(input=7), "/data/attributes/format/input"),
        (lambda data: data["attributes"]["format"].update(input="gibberish"), "/data/attributes/format/input"),
        (lambda data: data["attributes"]["format"].update(input="image/gif"), "/data/attributes/format/input"),
        (lambda data: data["attributes"].update(public="yes"), "/data/attributes/public"),
        (lambda data: data["attributes"].update(public=None), "/data/attributes/public"),
        (lambda data: data.pop("relationships"), "/data"),
        (lambda data: data.update(relationships=None), REL),
        (lambda data: data.update(relationships={}), REL),
        (lambda data: data["relationships"].update(input=None), f"{REL}/input"),
        (lambda data: data["relationships"].update(input={}), f"{REL}/input"),
        (lambda data: data["relationships"]["input"].update(data=None), f"{REL}/input/data"),
        (lambda data: data["relationships"]["input"].update(data=[{"id": "x"}]), f"{REL}/input/data"),
        (lambda data: data["relationships"]["input"].update(data={}), f"{REL}/input/data"),
        (lambda data: data["relationships"]["input"]["data"].update(id=7), f"{REL}/input/data/id"),
        (lambda data: data["relationships"]["input"]["data"].update(type="tasks"), f"{REL}/input/data/type"),
    ],
)
async def test_a_wrong_member_is_422_and_pointed_at(call: Caller, change: Any, pointer: str) -> None:
    body = task_body(await call.uploaded(), format=dict(WEBP))
    change(body["data"])

    error = await call.error(422, "POST", "/v1/tasks", body)

    assert (error["source"], error["meta"]["reason"]) == ({"pointer": pointer}, "invalid_attribute")


async def test_another_type_is_409(call: Caller) -> None:
    body = task_body(await call.uploaded(), format=WEBP)
    body["data"]["type"] = "files"

    assert (await call.error(409, "POST", "/v1/tasks", body))["source"] == {"pointer": "/data/type"}


@pytest.mark.parametrize("id", ["f0000000000000000nope", "", "x\0y", "ä", "../../etc"])
async def test_an_unknown_input_is_404(call: Caller, id: str) -> None:
    error = await call.error(404, "POST", "/v1/tasks", task_body(id, format=WEBP))

    assert (error["source"], error["meta"]["reason"]) == ({"pointer": f"{REL}/input/data/id"}, "not_found")


async def test_anothers_input_is_404(call: Caller) -> None:
    other = Caller(call.mill, await call.mill.token("stranger"))

    await call.error(404, "POST", "/v1/tasks", task_body(await other.uploaded(), format=WEBP))


async def test_an_input_without_its_bytes_is_422(call: Caller) -> None:
    error = await call.error(422, "POST", "/v1/tasks", task_body((await call.awaited())["id"], format=WEBP))

    assert (error["source"], error["meta"]["reason"]) == ({"pointer": f"{REL}/input/data/id"}, "file_not_uploaded")


@pytest.mark.parametrize("output", ["audio/mpeg", "video/x-nothing", "gibberish", "font/ttf"])
async def test_a_pair_that_nothing_does_is_422(call: Caller, output: str) -> None:
    error = await call.error(422, "POST", "/v1/tasks", task_body(await call.uploaded(), format={"output": output}))

    assert error["title"] == "Unprocessable Entity"
    assert error["source"] == {"pointer": "/data/attributes/format/output"}
    assert error["meta"]["reason"] == "unsupported_conversion"


async def test_bytes_that_are_not_what_was_declared_are_accepted_and_fail_later(call: Caller, mill: InProcess) -> None:
    for content in (b"\x00\x01\x02nothing that anyone knows", b"a plain text, and no picture at all\n"):
        file = await call.uploaded("image/png", content)

        task = await call.converting(file)

        assert (await call.attributes(task))["format"] == WEBP
        # So the decoder for PNG will be given it, and refuse.
        assert await mill.bench.pool.fetchval("SELECT mime FROM files WHERE id = $1", file) == "image/png"


async def test_a_png_that_is_called_jpeg_is_converted_as_what_it_is(call: Caller, mill: InProcess) -> None:
    file = await call.uploaded("image/jpeg", PNG)

    task = await call.data("POST", "/v1/tasks", task_body(file, format={"input": "image/jpeg", "output": "image/jpeg"}))

    assert task["attributes"]["format"] == {"input": "image/jpeg", "output": "image/jpeg"}
    assert await mill.bench.pool.fetchval("SELECT kind FROM tasks WHERE id = $1", task["id"]) == "convert"


async def test_a_task_goes_from_pending_over_processing_to_completed(call: Caller, mill: InProcess) -> None:
    file = await call.uploaded()
    task = await call.converting(file)

    taken = await mill.start(task)
    running = (await call("GET", f"/v1/tasks/{task}")).json()
    assert running["data"]["attributes"]["status"] == "PROCESSING"
    assert INSTANT.fullmatch(running["data"]["attributes"]["started_at"])
    assert running["data"]["attributes"]["processed_at"] is None
    assert running["data"]["relationships"]["output"]["data"] is None
    assert [one["id"] for one in running["included"]] == [file]

    # A lost attempt is tried again: for callers that is still processing.
    assert await mill.bench.finish(taken, State.DELAYED, retry_in_s=60.0)
    assert (await call.attributes(task))["status"] == "PROCESSING"

    facts = {"width_px": 3, "height_px": 2, "pages": 1, "duration_s": 1.5, "title": "secret"}
    await mill.succeed(task, b"webp bytes", facts=facts)
    done = (await call("GET", f"/v1/tasks/{task}")).json()
    found, output = done["data"]["attributes"], done["data"]["relationships"]["output"]["data"]
    assert found["status"] == "COMPLETED"
    assert found["created_at"] <= found["started_at"] <= found["processed_at"] <= found["updated_at"]
    assert found["processing_metadata"].pop("duration_ms") >= 0
    assert found["processing_metadata"] == {
        "input_size": len(PNG), "output_size": 10, "width": 3, "height": 2, "pages": 1, "duration_s": 1.5,
    }  # fmt: skip
    assert [one["id"] for one in done["included"]] == [file, output["id"]]
    link = done["included"][1]["links"]["download"]
    assert done["included"][1]["attributes"] | {"created_at": "", "updated_at": ""} == {
        "format": "image/webp", "size": 10, "created_at": "", "updated_at": "",
    }  # fmt: skip
    assert done["included"][1]["links"]["upload"] is None
    assert done["data"]["links"]["download"].split("?")[0] == link.split("?")[0]
    download = await mill.http.get(link)
    assert (download.content, download.headers["content-type"]) == (b"webp bytes", "image/webp")


async def test_a_failed_task_says_why_and_is_still_200(call: Caller, mill: InProcess) -> None:
    task = await call.converting()

    await mill.fail(task, "bad_media", "The picture breaks off.")

    document = (await call("GET", f"/v1/tasks/{task}")).json()
    found = document["data"]["attributes"]
    assert found["status"] == "FAILED"
    assert found["processed_at"] is not None
    assert found["processing_metadata"]["error"] == {"code": "bad_media", "message": "The picture breaks off."}
    assert document["data"]["relationships"]["output"]["data"] is None
    assert "download" not in document["data"]["links"]
    assert len(document["included"]) == 1


async def test_a_cancelled_task_is_failed(call: Caller, mill: InProcess) -> None:
    task = await call.converting()

    headers = {"authorization": f"Bearer {call.token}"}
    assert (await mill.http.post(f"/mill/tasks/{task}/cancel", headers=headers)).status_code == 200

    found = await call.attributes(task)
    assert found["status"] == "FAILED"
    assert found["started_at"] is None
    assert found["processed_at"] is not None
    assert found["processing_metadata"]["error"]["code"] == "cancelled"


async def test_the_result_of_a_public_task_has_a_stable_unsigned_url(call: Caller, mill: InProcess) -> None:
    task = await call.converting(public=True)
    await mill.succeed(task, b"for all")

    done = (await call("GET", f"/v1/tasks/{task}")).json()

    assert done["data"]["attributes"]["public"] is True
    link = done["data"]["links"]["download"]
    assert "?" not in link
    assert (await mill.http.get(link + "?")).content == b"for all"
    source = done["included"][0]["links"]["download"]
    assert (await mill.http.get(source.split("?")[0])).status_code == 403


async def test_linkage_and_related_files(call: Caller, mill: InProcess) -> None:
    file = await call.uploaded()
    task = await call.converting(file)
    here = f"http://mill.test/turbofiles/v1/tasks/{task}"
    links = {"self": f"{here}/relationships/output", "related": f"{here}/output"}

    before = (await call("GET", f"/v1/tasks/{task}/relationships/output")).json()
    assert before == {"jsonapi": {"version": "1.1"}, "links": links, "data": None}
    assert (await call("GET", f"/v1/tasks/{task}/output")).json()["data"] is None

    await mill.succeed(task)
    identifier = await call.data("GET", f"/v1/tasks/{task}/relationships/output")
    assert identifier["type"] == "files"
    assert (await call.data("GET", f"/v1/tasks/{task}/output"))["id"] == identifier["id"]
    assert await call.data("GET", f"/v1/tasks/{task}/relationships/input") == {"type": "files", "id": file}
    assert (await call("GET", f"/v1/tasks/{task}/input")).json()["links"]["self"] == f"{here}/input"

    # A deleted result leaves the task, and nothing of itself.
    await call("DELETE", f"/v1/files/{identifier['id']}")
    done = (await call("GET", f"/v1/tasks/{task}")).json()
    assert done["data"]["attributes"]["status"] == "COMPLETED"
    assert done["data"]["relationships"]["output"]["data"] is None
    assert "download" not in done["data"]["links"]
    assert [one["id"] for one in done["included"]] == [file]


async def test_anothers_task_is_404(call: Caller) -> None:
    other = Caller(call.mill, await call.mill.token("stranger"))
    task = await other.converting()

    for path in ("", "/input", "/relationships/input"):
        await call.error(404, "GET", f"/v1/tasks/{task}{path}")


async def test_tasks_of_the_native_dialect_are_shown_when_there_are_words_for_them(
    call: Caller, mill: InProcess
) -> None:
    headers = {"authorization": f"Bearer {call.token}", "content-type": "application/json"}
    file = await call.uploaded()

    async def make(**body: Any) -> str:
        answer = await mill.http.post("/mill/tasks", content=json.dumps(body), headers=headers)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    convert = await make(kind="convert", inputs=[{"file": file}], options={"format": "webp", "quality": 7})
    fetched = await make(kind="convert", inputs=[{"url": "https://example.org/a.gif?x"}], options={"format": "png"})
    ping = await make(kind="ping")

    assert [task["id"] for task in await call.data("GET", "/v1/tasks")] == [fetched, convert]
    found = await call.attributes(convert)
    assert (found["format"], found["settings"]) == (WEBP, {"quality": 7})
    found = await call.attributes(fetched)
    assert (found["format"], found["status"]) == ({"input": "image/gif", "output": "image/png"}, "PENDING")
    await call.error(404, "GET", f"/v1/tasks/{ping}")
    as_other = await mill.http.get(f"/mill/tasks/{convert}/as/turbofiles", headers=headers)
    assert as_other.json()["data"]["id"] == convert
    assert as_other.json()["links"]["self"] == f"http://mill.test/turbofiles/v1/tasks/{convert}"
    assert (await mill.http.get(f"/mill/tasks/{ping}/as/turbofiles", headers=headers)).status_code == 422
    await mill.bench.finish(
        await mill.start(convert), State.FAILED, error=Failure(code="x", family="tool", message="y")
    )
    assert (await call.attributes(convert))["processing_metadata"]["error"] == {"code": "x", "message": "y"}


async def test_a_second_post_makes_a_second_task(call: Caller) -> None:
    file = await call.uploaded()

    assert await call.converting(file) != await call.converting(file)
