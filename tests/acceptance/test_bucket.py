"""A whole server whose files lie in a bucket."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator

import pytest
from PIL import Image
from tests.support import bucket
from tests.support.bucket import Bucket
from tests.support.server import Server, serving, until


@pytest.fixture(scope="module")
def s3() -> Iterator[Bucket]:
    with bucket.running() as running:
        yield running


@pytest.fixture(scope="module")
def stored_away(s3: Bucket) -> Iterator[Server]:
    with serving(environment={"MEDIAMILL_BLOBS_URL": s3.url, **s3.environment}) as server:
        yield server


def test_a_picture_goes_in_is_converted_and_comes_out(stored_away: Server, s3: Bucket) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (64, 48), (200, 30, 30)).save(picture, "PNG")
    before = s3.objects()
    with stored_away.client() as http:
        made = http.post("/mill/files", json={"filename": "red.png", "size_bytes": picture.tell()}).json()
        assert http.put(made["links"]["upload"], content=picture.getvalue()).status_code == 200
        body = {"kind": "convert", "inputs": [{"file": made["id"]}], "options": {"format": "jpeg"}}
        task = http.post("/mill/tasks", params={"wait": 30}, json=body).json()
        assert task["state"] == "succeeded", task
        output = http.get(task["outputs"][0]["file"]["links"]["download"])

        with Image.open(io.BytesIO(output.content)) as result:
            assert (result.format, result.size) == ("JPEG", (64, 48))
        assert len(s3.objects() - before) == 2
        assert not (stored_away.data / "files").exists()

        for id in (made["id"], task["outputs"][0]["file"]["id"]):
            http.delete(f"/mill/files/{id}")
        assert s3.objects() == before


def test_a_bucket_that_is_away_is_told_and_costs_nothing(stored_away: Server, s3: Bucket) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (640, 480), (30, 200, 30)).save(picture, "PNG")
    with stored_away.client() as http:
        file = http.post("/mill/files", json={"filename": "green.png", "size_bytes": picture.tell()}).json()
        with s3.away():
            refused = http.put(file["links"]["upload"], content=picture.getvalue())
            assert (refused.status_code, refused.json()["code"]) == (503, "storage_away")
            assert int(refused.headers["retry-after"]) > 0
        assert http.put(file["links"]["upload"], content=picture.getvalue()).status_code == 200
        there = http.get(f"/mill/files/{file['id']}").json()["links"]["download"]

        body = {"kind": "convert", "inputs": [{"file": file["id"]}], "options": {"format": "jpeg"}, "max_attempts": 1}
        with s3.away():
            task = http.post("/mill/tasks", json=body).json()
            until(lambda: http.get(f"/mill/tasks/{task['id']}").json()["attempts"], what="a first try")
            assert http.get(there).status_code == 503
        ended = http.get(f"/mill/tasks/{task['id']}", params={"wait": 60}).json()
        assert ended["state"] == "succeeded", ended


def test_an_upload_in_pieces_is_joined_in_the_bucket(stored_away: Server, s3: Bucket) -> None:
    content, before = os.urandom(13_000_000), s3.objects()
    with stored_away.client() as http:
        http.headers["tus-resumable"] = "1.0.0"
        where = http.post("/mill/uploads", headers={"upload-length": str(len(content))}).headers["location"]
        for start, end in ((0, 6_000_000), (6_000_000, 6_000_010), (6_000_010, len(content))):
            head = {"upload-offset": str(start), "content-type": "application/offset+octet-stream"}
            answer = http.patch(where, content=content[start:end], headers=head)
            assert answer.status_code == 204, answer.text

        id = answer.headers["mill-file-id"]
        read = http.get(f"/mill/files/{id}/content", follow_redirects=True)
        part = http.get(read.url, headers={"range": "bytes=5999995-6000015"})

        assert read.content == content
        assert part.content == content[5_999_995:6_000_016]
        until(lambda: len(s3.objects() - before) == 1, what="the end of the parts")
