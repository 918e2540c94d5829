"""A post's exchange, byte by byte: what servers may answer, what they must not, and TLS as strict as for sources."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import pytest
import trustme
from tests.support.web import FakeResolver, answer, serving

from mediamill.core.errors import SourceRefused, SourceUnreachable
from mediamill.net import Answer, Client, Limits


def client(**more: object) -> Client:
    options = {"allow_networks": [ip_network("127.0.0.0/8")], "resolver": FakeResolver(["127.0.0.1"])} | more
    return Client(**{"limits": Limits(connect_timeout_s=30, read_timeout_s=30), **options})  # type: ignore[arg-type]


async def post(url: str, timeout_s: float = 30.0, **more: object) -> Answer:
    return await client(**more).post(url, body=b"{}", headers={}, timeout_s=timeout_s)


@asynccontextmanager
async def saying(*pieces: bytes, close: bool = True) -> AsyncIterator[str]:
    """The URL of a server that reads a request and writes these, each by itself."""
    gone = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        try:
            for piece in pieces:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(0)
            if not close:
                await gone.wait()
        except ConnectionError:
            return  # it had heard enough
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        gone.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize(
    ("pieces", "status", "body"),
    [
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], 204, b""),
        ([b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"o", b"k"], 200, b"ok"),
        ([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", b"0\r\n\r\n"], 200, b"ok"),
        ([b"HTTP/1.0 200 OK\r\n\r\nto the", b" end"], 200, b"to the end"),
        ([b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", b"HTTP/1.1 202 OK\r\ncontent-length: 0\r\n\r\n"], 202, b""),
        ([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 No\r\ncontent-length: 1\r\n\r\nx"], 500, b"x"),
        ([bytes([letter]) for letter in b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n"], 410, b""),
    ],
)
async def test_every_way_to_end_an_answer_is_understood(pieces: list[bytes], status: int, body: bytes) -> None:
    async with saying(*pieces) as url:
        got = await post(url)

    assert (got.status, got.body) == (status, body)
    assert "link" not in got.headers


async def test_a_connection_kept_open_after_the_answer_is_not_waited_for() -> None:
    async with saying(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", close=False) as url:
        got = await post(url)

    assert got.took_s < 2


@pytest.mark.parametrize(
    "pieces",
    [
        [b""],
        [b"SSH-2.0-OpenSSH\r\n"],
        [b"HTTP/1.1 200 OK\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"],
        [b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx"],
        [b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\n", *[b"x-a: " + b"a" * 4096 + b"\r\n"] * 64],
    ],
)
async def test_what_is_no_whole_answer_is_none(pieces: list[bytes]) -> None:
    async with saying(*pieces) as url:
        with pytest.raises(SourceUnreachable, match=r"failed|broke off or is not HTTP"):
            await post(url)


async def test_nobody_there_is_unreachable() -> None:
    async with saying() as url:
        pass

    with pytest.raises(SourceUnreachable, match=r"The connection to 127\.0\.0\.1 failed"):
        await post(url)


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with saying(b"HTTP/1.1 204 OK\r\n\r\n") as url:
        port = url.rstrip("/").rpartition(":")[2]
        got = await post(f"http://two.example:{port}/", resolver=FakeResolver(["127.0.0.99", "127.0.0.1"]))

    assert got.status == 204


async def test_a_name_with_a_forbidden_address_among_others_is_refused() -> None:
    with pytest.raises(SourceRefused, match="not a public address"):
        await post("http://two.example:8080/", resolver=FakeResolver(["127.0.0.1", "10.0.0.1"]))


async def test_https_holds_the_certificate_to_the_name() -> None:
    authority = trustme.CA()
    server, trust = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("hooks.example").configure_cert(server)
    authority.configure_trust(trust)

    async with serving({"/": answer(b"x")}, tls=server) as web:
        got = await post(web.url(host="hooks.example"), trust=trust)
        for url in (web.url(host="other.example"), web.url()):
            with pytest.raises(SourceRefused, match="The TLS certificate of"):
                await post(url, trust=trust)
        with pytest.raises(SourceRefused, match="The TLS certificate of"):
            await post(web.url(host="hooks.example"))

    assert (got.status, got.body) == (200, b"x")


async def test_https_to_a_server_without_tls_is_unreachable() -> None:
    async with serving({"/": answer(b"x")}) as web:
        url = web.url(host="plain.example").replace("http:", "https:")
        with pytest.raises(SourceUnreachable, match=r"plain\.example"):
            await post(url, limits=Limits(connect_timeout_s=1, read_timeout_s=1))
