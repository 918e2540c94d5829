"""The tunnel for libraries that connect by themselves: what it carries, and what it refuses."""

from __future__ import annotations

import asyncio
import base64
import ssl
from ipaddress import ip_network

import httpx
import pytest
import trustme
from tests.support.web import FakeResolver, answer, redirect, serving

from mediamill.net import Client, Limits
from mediamill.net.tunnel import Tunnel

LOOPBACK = [ip_network("127.0.0.1/32")]


def client(*addresses: str, allow: bool = True, read_timeout_s: float = 5.0) -> Client:
    return Client(
        allow_networks=LOOPBACK if allow else [],
        resolver=FakeResolver(list(addresses or ["127.0.0.1"])),
        limits=Limits(connect_timeout_s=30, read_timeout_s=read_timeout_s),
    )


async def said(tunnel: Tunnel, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(tunnel.url.rsplit(":", 1)[1]))
    writer.write(request)
    found = await reader.read()
    writer.close()
    return found


def known(tunnel: Tunnel) -> bytes:
    """The header that only a library we told has."""
    userinfo = tunnel.url.split("//")[1].split("@")[0]
    return b"Proxy-Authorization: Basic " + base64.b64encode(userinfo.encode()) + b"\r\n"


async def test_plain_http_is_carried_both_ways_under_the_hosts_name() -> None:
    async with (
        serving({"/a%20b?x=1%2F2": answer(b"there")}) as web,
        client().tunnel() as tunnel,
        httpx.AsyncClient(proxy=tunnel.url) as http,
    ):
        found = await http.post(web.url("/a%20b?x=1%2F2", host="bucket.example"), content=b"z" * 100_000)

    assert found.content == b"there"
    [request] = web.requests
    assert request.startswith(b"POST /a%20b?x=1%2F2 HTTP/1.1\r\n")
    assert request.endswith(b"z" * 100_000)
    assert f"host: bucket.example:{web.port}".encode() in request.lower()
    assert b"proxy" not in request.lower()


async def test_tls_goes_through_untouched_and_is_checked_by_whoever_began_it() -> None:
    authority = trustme.CA()
    there, here = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("bucket.example").configure_cert(there)
    authority.configure_trust(here)
    async with serving({"/": answer(b"over TLS")}, tls=there) as web, client().tunnel() as tunnel:
        async with httpx.AsyncClient(proxy=tunnel.url, verify=here) as http:
            found = await http.get(web.url("/", host="bucket.example"))
        async with httpx.AsyncClient(proxy=tunnel.url) as stranger:
            with pytest.raises(httpx.ConnectError, match="certificate"):
                await stranger.get(web.url("/", host="bucket.example"))

    assert found.content == b"over TLS"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1"])
async def test_no_connection_goes_inward(address: str) -> None:
    async with (
        serving({"/": answer(b"inside")}) as web,
        client(address, allow=False).tunnel() as tunnel,
        httpx.AsyncClient(proxy=tunnel.url) as http,
    ):
        plain = await http.get(web.url("/", host="bucket.example"))
        with pytest.raises(httpx.ProxyError, match="403"):
            await http.get(f"https://bucket.example:{web.port}/")

    assert plain.status_code == 403
    assert web.requests == []


async def test_a_redirect_inward_ends_at_the_tunnel() -> None:
    async with (
        serving({"/": redirect(302, "http://127.0.0.2/")}) as web,
        client().tunnel() as tunnel,
        httpx.AsyncClient(proxy=tunnel.url, follow_redirects=True) as http,
    ):
        found = await http.get(web.url("/", host="bucket.example"))

    assert found.status_code == 403
    assert "loopback" in found.text


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"CONNECT 127.0.0.1:9 HTTP/1.1\r\nHost: x\r\n\r\n", 407),
        (b"CONNECT 127.0.0.1:9 HTTP/1.1\r\nProxy-Authorization: Basic bWlsbDptaWxs\r\n\r\n", 407),
        (b"CONNECT 127.0.0.1:25 HTTP/1.1\r\n@\r\n", 400),
        (b"CONNECT user@host:443 HTTP/1.1\r\n@\r\n", 400),
        (b"GET / HTTP/1.1\r\n@\r\n", 400),
        (b"GET https://bucket.example/ HTTP/1.1\r\n@\r\n", 400),
        (b"GET ftp://bucket.example/ HTTP/1.1\r\n@\r\n", 400),
        (b"TRACE http://bucket.example/ HTTP/1.1\r\n@\r\n", 400),
        (b"GET http://bucket.example/ HTTP/1.0\r\n@\r\n", 400),
        (b"nonsense\r\n@\r\n", 400),
        (b"GET http://bucket.example/ HTTP/1.1\r\n@X: " + b"x" * 70_000 + b"\r\n\r\n", 431),
    ],
)
async def test_what_no_library_of_ours_asks_for_is_refused(request_: bytes, status: int) -> None:
    async with client().tunnel() as tunnel:
        found = await said(tunnel, request_.replace(b"\n@", b"\n" + known(tunnel)))

    assert found.startswith(f"HTTP/1.1 {status} ".encode())


async def test_an_endpoint_that_falls_silent_is_cut_off() -> None:
    async def silent(writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with (
        serving({"/": silent}) as web,
        client(read_timeout_s=0.2).tunnel() as tunnel,
        httpx.AsyncClient(proxy=tunnel.url) as http,
    ):
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(web.url("/", host="bucket.example"))


async def test_closing_it_ends_what_is_under_way() -> None:
    begun = asyncio.Event()

    async def silent(writer: asyncio.StreamWriter) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with serving({"/": silent}) as web:
        async with client().tunnel() as tunnel:
            http = httpx.AsyncClient(proxy=tunnel.url)
            asking = asyncio.create_task(http.get(web.url("/", host="bucket.example")))
            await begun.wait()
        with pytest.raises(httpx.TransportError):
            await asking
        await http.aclose()
