"""Resumable uploads as a published client sends them."""

from __future__ import annotations

import hashlib
import io
import os

import pytest
from tests.support.server import Server
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError

CONTENT = os.urandom(3_000_000)


@pytest.fixture
def tus(server: Server) -> TusClient:
    return TusClient(f"{server.url}/mill/uploads", headers={"Authorization": f"Bearer {server.key}"})


def stored(server: Server, url: str | None) -> tuple[str, bytes]:
    """The name and the bytes of the file that an upload has become."""
    assert url is not None
    with server.client() as http:
        done = http.head(url, headers={"tus-resumable": "1.0.0"})
        file = http.get(f"/mill/files/{done.headers['mill-file-id']}").json()
        return file["filename"], http.get(file["links"]["download"]).content


@pytest.mark.parametrize("checksum", [False, True], ids=["plain", "checksum"])
def test_a_file_goes_up_in_chunks(tus: TusClient, server: Server, checksum: bool) -> None:
    uploader = tus.uploader(
        file_stream=io.BytesIO(CONTENT),
        chunk_size=1_000_000,
        metadata={"filename": "Straße.bin"},
        upload_checksum=checksum,
    )

    uploader.upload()

    assert stored(server, uploader.url) == ("Straße.bin", CONTENT)


def test_another_client_goes_on_with_the_upload(tus: TusClient, server: Server) -> None:
    first = tus.uploader(file_stream=io.BytesIO(CONTENT), chunk_size=700_000)
    first.upload_chunk()  # type: ignore[no-untyped-call]  # the package leaves it so
    first.upload_chunk()  # type: ignore[no-untyped-call]  # the package leaves it so

    second = tus.uploader(file_stream=io.BytesIO(CONTENT), chunk_size=700_000, url=first.url)
    assert second.get_offset() == 1_400_000
    second.upload()

    _, content = stored(server, first.url)
    assert hashlib.sha256(content).digest() == hashlib.sha256(CONTENT).digest()


def test_a_wrong_key_is_told(server: Server) -> None:
    stranger = TusClient(f"{server.url}/mill/uploads", headers={"Authorization": "Bearer mill_wrong"})

    with pytest.raises(TusCommunicationError) as refused:
        stranger.uploader(file_stream=io.BytesIO(b"x")).upload()

    assert refused.value.status_code == 401
