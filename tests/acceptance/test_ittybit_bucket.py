"""Connections, the kind `upload` and destinations in a bucket, through the Ittybit API and a real S3 server."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import httpx
import obstore
import pytest
from obstore.store import S3Store
from PIL import Image
from tests.support import bucket
from tests.support.bucket import Bucket
from tests.support.calls import ended, picture
from tests.support.server import Server, serving


@pytest.fixture(scope="module")
def s3() -> Iterator[Bucket]:
    with bucket.running() as running:
        yield running


@pytest.fixture(scope="module")
def server(s3: Bucket) -> Iterator[Server]:
    with serving(environment={"MEDIAMILL_ALLOW_NETWORKS": "127.0.0.1/32", "MEDIAMILL_RETRY_FIRST_S": "0.1"}) as running:
        yield running


@pytest.fixture
def call(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def connection(call: httpx.Client, s3: Bucket) -> Iterator[str]:
    """A connection to the bucket that is not the default."""
    asked = {"kind": "s3", "name": "ours", **s3.connection}
    made = call.post("/connections", json=asked).raise_for_status().json()
    assert (made["id"][:4], made["object"], made["secret_access_key"]) == ("con_", "storage_connection", "****")
    yield made["id"]
    call.delete(f"/connections/{made['id']}").raise_for_status()


def put(call: httpx.Client, content: bytes, filename: str = "red.png") -> Any:
    signed = call.post("/signatures", json={"filename": filename, "method": "put"}).raise_for_status().json()
    return httpx.put(signed["url"], content=content).raise_for_status().json()


def directly(s3: Bucket) -> S3Store:
    """The bucket as any S3 client sees it."""
    there = s3.environment
    return S3Store(
        "mill",
        endpoint=there["AWS_ENDPOINT_URL"],
        access_key_id=there["AWS_ACCESS_KEY_ID"],
        secret_access_key=there["AWS_SECRET_ACCESS_KEY"],
        region="us-east-1",
        client_options={"allow_http": True},
    )


def in_bucket(s3: Bucket, key: str) -> bytes:
    return bytes(obstore.get(directly(s3), key).bytes())


def made(call: httpx.Client, kind: str, **given: Any) -> Any:
    answer = call.post("/tasks", json={"kind": kind, **given})
    assert answer.status_code == 201, answer.text
    return ended(call, f"/tasks/{answer.json()['id']}")


@pytest.mark.parametrize("named", ["destination", "url"])
def test_upload_puts_the_very_bytes_under_the_key_that_was_asked_for(
    call: httpx.Client, s3: Bucket, connection: str, named: str
) -> None:
    file = put(call, picture())
    options = {named: f"s3://mill/sent/{named}.png", "connection_id": connection}

    task = made(call, "upload", file_id=file["id"], options=options)

    assert (task["status"], task["progress"], task["error"]) == ("succeeded", 100, None), task
    assert task["options"] == options
    output = task["output"]
    assert (output["kind"], output["url"]) == ("s3", f"s3://mill/sent/{named}.png")
    assert (output["filesize"], output["mimetype"], output["width"]) == (len(picture()), "image/png", 64)
    assert in_bucket(s3, f"sent/{named}.png") == picture()


def test_upload_takes_what_lies_behind_a_url_and_the_files_own_name(
    call: httpx.Client, s3: Bucket, connection: str
) -> None:
    file = put(call, picture(colour=(1, 2, 3)), "blue.png")

    task = made(
        call, "upload", url=file["url"], options={"destination": "s3://mill/folder/", "connection_id": connection}
    )

    assert task["status"] == "succeeded", task
    assert task["output"]["url"] == "s3://mill/folder/blue.png"
    assert in_bucket(s3, "folder/blue.png") == picture(colour=(1, 2, 3))


def test_a_source_in_the_bucket_goes_back_into_it_as_another_format(
    call: httpx.Client, s3: Bucket, connection: str
) -> None:
    obstore.put(directly(s3), "in.png", picture())

    task = made(
        call,
        "image",
        url="s3://mill/in.png",
        connection_id=connection,
        destination="s3://mill/made/out.webp",
        options={"format": "webp", "width": 32},
    )

    assert task["status"] == "succeeded", task
    assert (task["input"]["kind"], task["input"]["url"]) == ("s3", "s3://mill/in.png")
    output = task["output"]
    assert (output["kind"], output["destination"]) == ("internal", "s3://mill/made/out.webp")
    content = in_bucket(s3, "made/out.webp")
    assert httpx.get(output["url"]).content == content
    with Image.open(io.BytesIO(content)) as result:
        assert (result.format, result.size) == ("WEBP", (32, 24))


def test_output_means_destination_and_a_default_connection_is_used(
    call: httpx.Client, s3: Bucket, connection: str
) -> None:
    call.patch(f"/connections/{connection}", json={"is_default": True}).raise_for_status()
    file = put(call, picture())

    task = made(call, "image", file_id=file["id"], options={"format": "jpeg"}, output="s3://mill/made/same.jpg")

    assert task["status"] == "succeeded", task
    assert in_bucket(s3, "made/same.jpg") == httpx.get(task["output"]["url"]).content


def test_a_run_makes_a_picture_and_uploads_it(call: httpx.Client, s3: Bucket, connection: str) -> None:
    file = put(call, picture())
    upload = {"kind": "upload", "options": {"destination": "s3://mill/run/last.png", "connection_id": connection}}
    tasks = [{"kind": "image", "options": {"width": 16, "format": "png"}, "next": [upload]}]

    asked = call.post("/runs", json={"url": file["url"], "tasks": tasks}).raise_for_status().json()
    run = ended(call, f"/runs/{asked['id']}")

    assert (run["status"], [one["status"] for one in run["tasks"]]) == ("succeeded", ["succeeded"] * 2), run
    with Image.open(io.BytesIO(in_bucket(s3, "run/last.png"))) as result:
        assert (result.format, result.size) == ("PNG", (16, 12))


def test_what_cannot_be_sent_fails_as_the_contract_says(call: httpx.Client, s3: Bucket, connection: str) -> None:
    file = put(call, picture())
    call.patch(f"/connections/{connection}", json={"secret_access_key": "wrong"}).raise_for_status()

    options = {"destination": "s3://mill/never.png", "connection_id": connection}
    task = made(call, "upload", file_id=file["id"], options=options)
    without = call.post("/tasks", json={"kind": "upload", "file_id": file["id"]})
    unknown = call.post(
        "/tasks", json={"kind": "upload", "file_id": file["id"], "options": {**options, "connection_id": "con_0"}}
    )
    no_default = call.post(
        "/tasks", json={"kind": "upload", "file_id": file["id"], "options": {"destination": "s3://mill/x.png"}}
    )

    assert (task["status"], task["error"]["kind"], task["output"]) == ("failed", "destination_failed", None)
    assert (without.status_code, without.json()["kind"]) == (400, "request_invalid")
    assert (unknown.status_code, unknown.json()["kind"]) == (404, "connection_not_found")
    assert (no_default.status_code, no_default.json()["kind"]) == (400, "connection_required")
    assert "never.png" not in s3.objects()
