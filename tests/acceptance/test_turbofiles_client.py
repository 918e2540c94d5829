"""The published client `turbofiles` 0.1.0, as it is, against a running server; and real work in the newer form."""

from __future__ import annotations

import asyncio
import http.client
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import trustme
import turbofiles
from PIL import Image
from tests.support.server import KEY, Server, serving

JSONAPI = "application/vnd.api+json"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA of the tests, and a certificate of it for localhost."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(folder / "cert.pem", append=True)
    return folder


@pytest.fixture(scope="module")
def secure(ca: Path) -> Iterator[Server]:
    """A server that speaks TLS, which is all that the synchronous client speaks."""
    arguments = ("--host", "localhost", "--tls-cert", str(ca / "cert.pem"), "--tls-key", str(ca / "key.pem"))
    with serving(*arguments, verify=str(ca / "ca.pem")) as server:
        yield server


@pytest.fixture
def sync_client(secure: Server, ca: Path, monkeypatch: pytest.MonkeyPatch) -> turbofiles.Client:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca / "ca.pem"))
    monkeypatch.setattr(turbofiles.Client, "BASE_URL", f"{secure.url}/v1")
    return turbofiles.Client(KEY)


@pytest.fixture
def async_client(server: Server, monkeypatch: pytest.MonkeyPatch) -> turbofiles.AsyncClient:
    monkeypatch.setattr(turbofiles.AsyncClient, "BASE_URL", f"{server.url}/v1")
    return turbofiles.AsyncClient(KEY)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A picture that can be made smaller: gradients, without any compression."""
    path = tmp_path / "photo.png"
    Image.radial_gradient("L").resize((400, 300)).convert("RGB").save(path, compress_level=0)
    return path


def test_the_synchronous_client_compresses_over_tls(sync_client: turbofiles.Client, photo: Path) -> None:
    link = sync_client.compress(str(photo), delay=0.2, max_tries=100)

    assert link.startswith("https://localhost:")
    small = httpx.get(link).raise_for_status().content
    assert len(small) < photo.stat().st_size
    with Image.open(io.BytesIO(small)) as made, Image.open(photo) as source:
        assert (made.format, made.size) == ("PNG", (400, 300))
        assert made.convert("RGB").tobytes() == source.tobytes()  # a PNG loses nothing


def test_the_synchronous_client_takes_open_files_and_parameters(sync_client: turbofiles.Client, photo: Path) -> None:
    jpeg = io.BytesIO()
    with Image.open(photo) as image:
        image.save(jpeg, "JPEG", quality=98)

    link = sync_client.compress(jpeg, {"quality": 30, "sparkle": 1}, mime="image/jpg", delay=0.2, max_tries=100)

    small = httpx.get(link).raise_for_status()
    assert small.headers["content-type"] == "image/jpeg"
    assert len(small.content) < len(jpeg.getvalue())


def test_the_synchronous_client_is_told_of_a_failure(sync_client: turbofiles.Client) -> None:
    broken = io.BytesIO(b"\x89PNG\r\n\x1a\n" + b"\x00" * 50)

    with pytest.raises(turbofiles.CompressionFailedException):
        sync_client.compress(broken, mime="image/png", delay=0.2, max_tries=100)


def test_the_synchronous_client_raises_on_refusals(
    sync_client: turbofiles.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(turbofiles.ClientException, match="404"):
        sync_client.get_status("nosuchtask")
    # Without an argument it sends the word None, whatever the environment holds.
    monkeypatch.setenv("TURBOFILES_API_KEY", KEY)
    with pytest.raises(turbofiles.ClientException, match="401"):
        turbofiles.Client().get_upload_url("image/png", 9)


async def test_the_asynchronous_client_compresses(async_client: turbofiles.AsyncClient, photo: Path) -> None:
    link = await async_client.compress(str(photo), delay=0.2, max_tries=100)

    async with httpx.AsyncClient() as http:
        small = (await http.get(link)).raise_for_status().content
    assert len(small) < photo.stat().st_size
    with Image.open(io.BytesIO(small)) as made:
        assert (made.format, made.size) == ("PNG", (400, 300))


async def test_the_asynchronous_client_compresses_a_sound_by_its_platforms_type(
    async_client: turbofiles.AsyncClient,
) -> None:
    import wave

    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(range(256)) * 60)
    source = sound.getvalue()

    link = await async_client.compress(io.BytesIO(source), mime="audio/x-wav", delay=0.2, max_tries=100)

    async with httpx.AsyncClient() as http:
        made = await http.get(link)
    assert made.headers["content-type"] == "audio/wav"
    with wave.open(io.BytesIO(made.content)) as file:
        assert file.getnframes() == 60 * 128


async def test_the_asynchronous_client_gives_up_on_a_bad_key(
    async_client: turbofiles.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turbofiles.AsyncClient, "RETRY_DELAY", 0)

    with pytest.raises(turbofiles.ClientException, match="401"):
        await turbofiles.AsyncClient("mill_wrong").get_upload_url("image/png", 9)


# --- the documented form, with real work ----------------------------------------------------------------------------


def made(server: Server, content: bytes, format: str, output: str, **attributes: Any) -> Any:
    """The task document once it has ended. It is waited for in the native dialect, which needs no polling."""
    with server.client() as call:
        call.headers.update({"accept": JSONAPI, "content-type": JSONAPI})
        body = {"data": {"type": "files", "attributes": {"format": format, "size": len(content)}}}
        file = call.post("/v1/files", content=json.dumps(body)).raise_for_status().json()["data"]
        httpx.put(file["links"]["upload"], content=content).raise_for_status()
        body = {
            "data": {
                "type": "tasks",
                "attributes": {"format": {"input": format, "output": output}, **attributes},
                "relationships": {"input": {"data": {"type": "files", "id": file["id"]}}},
            }
        }
        task = call.post("/v1/tasks", content=json.dumps(body)).raise_for_status().json()["data"]
        call.get(f"/mill/tasks/{task['id']}?wait=60", headers={"accept": "*/*"})
        return call.get(task["links"]["self"]).raise_for_status().json()


def test_a_picture_is_converted_as_its_settings_say(server: Server, photo: Path) -> None:
    settings = {"resize": {"width": 200}, "quality": 70, "sparkle": True}

    document = made(server, photo.read_bytes(), "image/png", "webp", settings=settings)

    found = document["data"]["attributes"]
    assert found["status"] == "COMPLETED"
    assert found["settings"] == settings
    content = httpx.get(document["data"]["links"]["download"]).raise_for_status().content
    with Image.open(io.BytesIO(content)) as image:
        assert (image.format, image.size) == ("WEBP", (200, 150))
    facts = found["processing_metadata"]
    assert facts.pop("duration_ms") > 0
    assert facts == {
        "input_size": photo.stat().st_size,
        "output_size": len(content),
        "width": 200,
        "height": 150,
        "ignored_settings": ["sparkle"],
    }


def test_a_text_becomes_a_page(server: Server) -> None:
    document = made(server, "Grüße aus der Mühle.\n".encode(), "text/plain", "application/pdf")

    assert document["data"]["attributes"]["status"] == "COMPLETED"
    assert document["data"]["attributes"]["processing_metadata"]["pages"] == 1
    download = httpx.get(document["data"]["links"]["download"])
    assert download.content.startswith(b"%PDF-")
    assert download.headers["content-disposition"].startswith('attachment; filename="file.pdf"')


@pytest.mark.parametrize(
    "content", [b"no picture at all, but a text\n", b"\x00\x01\x02\x03" * 9, b"\x89PNG\r\n\x1a\nxx"]
)
def test_what_is_no_picture_fails_after_it_was_taken(server: Server, content: bytes) -> None:
    document = made(server, content, "image/png", "image/webp")

    found = document["data"]["attributes"]
    assert found["status"] == "FAILED"
    assert found["processing_metadata"]["error"]["code"] == "bad_media"
    assert document["data"]["relationships"]["output"]["data"] is None


def test_an_upload_of_another_length_is_answered_on_the_wire(server: Server) -> None:
    with server.client() as call:
        call.headers.update({"accept": JSONAPI, "content-type": JSONAPI})
        body = {"data": {"attributes": {"format": "image/png", "size": 1000}}}
        link = urlsplit(call.post("/v1/files", content=json.dumps(body)).json()["data"]["links"]["upload"])
    for content in (b"x" * 999, b"x" * 1001, b"x" * 9_000_000):
        connection = http.client.HTTPConnection(link.netloc, timeout=30)
        try:
            connection.request("PUT", f"{link.path}?{link.query}", body=content)
            answer = connection.getresponse()
            assert answer.status == 400
            assert json.loads(answer.read())["errors"][0]["meta"]["reason"] == "size_mismatch"
        finally:
            connection.close()


async def test_calls_at_once_are_all_answered(server: Server) -> None:
    headers = {"authorization": f"Bearer {KEY}", "accept": JSONAPI}
    async with httpx.AsyncClient(base_url=server.url, headers=headers) as http_:
        answers = await asyncio.gather(*(http_.get("/v1/tasks?page[size]=5") for _ in range(20)))

    assert {answer.status_code for answer in answers} == {200}
