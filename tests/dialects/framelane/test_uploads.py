"""Uploads: announced, put, used by jobs before and after they have come."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.dialects.framelane.conftest import Caller, ours

from mediamill.dialects.framelane.uploads import TYPES

WAV = b"RIFF" + struct.pack("<I", 36) + b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16000, 2, 16)
WAV += b"data" + struct.pack("<I", 0)


async def announced(call: Caller, **given: Any) -> Any:
    return await call.good(
        "POST", "/uploads", {"content_type": "audio/wav", "filename": "talk.wav", **given}, status=201
    )


async def put(call: Caller, upload: Any) -> None:
    answer = await call.mill.http.put(upload["upload_url"], content=WAV, headers={"content-type": "audio/wav"})
    assert answer.status_code == 200, answer.text


async def waits(call: Caller, job: str) -> bool:
    return await call.mill.bench.job_of(ours(job)) is None


async def test_an_upload_that_has_come_is_an_input(call: Caller) -> None:
    upload = await announced(call)
    assert set(upload) == {"upload_url", "source_url", "expires_at"}
    assert upload["source_url"].endswith(".wav")
    await put(call, upload)

    made = await call.good("POST", "/tasks/transcribe", {"source_url": upload["source_url"]}, status=202)

    assert made["status"] == "queued"
    assert not await waits(call, made["id"])
    redirect = await call.mill.http.get(upload["source_url"])
    assert redirect.status_code == 302
    assert (await call.mill.http.get(redirect.headers["location"])).content == WAV


async def test_a_job_made_earlier_waits_for_the_bytes(call: Caller) -> None:
    upload = await announced(call)
    made = await call.good("POST", "/tasks/transcribe", {"source_url": upload["source_url"]}, status=202)
    assert made["status"] == "queued"
    assert await waits(call, made["id"])

    await put(call, upload)

    assert not await waits(call, made["id"])
    taken = await call.mill.start(ours(made["id"]))
    assert [source.file is not None for source in taken.task.inputs] == [True]


async def test_a_second_put_is_refused(call: Caller) -> None:
    upload = await announced(call)
    await put(call, upload)

    answer = await call.mill.http.put(upload["upload_url"], content=WAV)

    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "conflict"


async def test_no_bytes_are_no_upload(call: Caller) -> None:
    upload = await announced(call)

    assert (await call.mill.http.put(upload["upload_url"], content=b"")).status_code == 422

    await put(call, upload)


async def test_more_than_five_gibibytes_are_refused_before_they_come(call: Caller) -> None:
    upload = await announced(call)
    said = {"content-type": "audio/wav", "content-length": str((5 << 30) + 1)}

    answer = await call.mill.http.put(upload["upload_url"], content=_piecemeal(), headers=said)

    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "source_too_large"
    await put(call, upload)


async def _piecemeal() -> AsyncIterator[bytes]:
    yield WAV


@pytest.mark.parametrize("mime", TYPES)
async def test_each_type_of_the_list_is_taken_and_gives_its_ending(call: Caller, mime: str) -> None:
    upload = await announced(call, content_type=mime, filename=None)

    assert upload["source_url"].endswith(f".{TYPES[mime]}")


@pytest.mark.parametrize("mime", ["text/html", "application/pdf", "video/x-flv", ""])
async def test_other_types_are_refused(call: Caller, mime: str) -> None:
    await call.error(422, "unsupported_content_type", "POST", "/uploads", {"content_type": mime})


@pytest.mark.parametrize(
    "given", [{"content_type": None}, {"content_type": 3}, {"filename": ""}, {"filename": 7}, {"width": -1}]
)
async def test_what_cannot_be_taken_is_422(call: Caller, given: dict[str, Any]) -> None:
    await call.error(422, "invalid_request", "POST", "/uploads", {"content_type": "audio/wav", **given})


async def test_another_workspaces_upload_is_unknown(call: Caller, stranger: Caller) -> None:
    upload = await announced(call)

    error = await stranger.error(
        422, "invalid_request", "POST", "/tasks/transcribe", {"source_url": upload["source_url"]}
    )

    assert error["details"]["fields"][0]["path"] == "source_url"
