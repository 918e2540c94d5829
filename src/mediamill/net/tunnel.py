"""A way out for libraries that connect by themselves: a proxy on loopback whose every connection the guard makes.

They are told its address and nothing else; what they then ask for is resolved, judged and connected to by the same
`Guard` as our own requests, redirects and retries included. It takes only those who know its password, which is made
anew for each tunnel.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
from typing import TYPE_CHECKING

import httpcore

from mediamill.core.errors import SourceRefused, SourceUnreachable
from mediamill.net import urls

if TYPE_CHECKING:
    from mediamill.net.guard import Guard

_HEAD_BYTES = 64 << 10
_HEAD_S = 10.0
_CHUNK_BYTES = 256 << 10
_ALLOWED = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE"})
# Of one connection only, or ours: not to be handed on.
_DROPPED = frozenset({"proxy-authorization", "proxy-connection", "connection", "keep-alive", "te", "upgrade"})


class Tunnel:
    """The proxy. `async with` opens and closes it; `url` is what a library's proxy setting takes."""

    def __init__(self, guard: Guard, *, connect_timeout_s: float = 10.0, silent_s: float = 60.0) -> None:
        self._guard = guard
        self._connect_s = connect_timeout_s
        self._silent_s = silent_s
        self._password = secrets.token_hex(16)
        self._server: asyncio.Server | None = None
        self._busy: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """With its password in it."""
        assert self._server is not None, "it is open"
        port = self._server.sockets[0].getsockname()[1]
        return f"http://mill:{self._password}@127.0.0.1:{port}"

    async def __aenter__(self) -> Tunnel:
        self._server = await asyncio.start_server(self._served, "127.0.0.1", 0, limit=_CHUNK_BYTES)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None, "it is open"
        self._server.close()
        for task in list(self._busy):
            task.cancel()
        await asyncio.gather(*self._busy, return_exceptions=True)

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "this runs in one"
        self._busy.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, EOFError, TimeoutError, httpcore.NetworkError, httpcore.TimeoutException):
            return  # either side has gone; the library says so in its own words
        except asyncio.CancelledError:
            return  # the tunnel is closed
        finally:
            self._busy.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            head = b""
        if not head or len(head) > _HEAD_BYTES:
            return await _refuse(writer, 431, "The head is too long.")
        first, *lines = head[:-4].decode("latin-1").split("\r\n")
        method, _, rest = first.partition(" ")
        target, _, version = rest.rpartition(" ")
        headers = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
        if not self._known(headers):
            return await _refuse(writer, 407, "Not for you.")
        try:
            there = urls.parse(f"https://{target}" if method == "CONNECT" else target)
        except urls.BadUrl as error:
            return await _refuse(writer, 400, f"The URL {error}.")
        if version != "HTTP/1.1" or method not in _ALLOWED | {"CONNECT"}:
            return await _refuse(writer, 400, "Not a request this takes.")
        if method != "CONNECT" and there.scheme != "http":
            return await _refuse(writer, 400, "TLS goes by CONNECT.")
        try:
            stream = await self._guard.connect_tcp(there.host, there.port, self._connect_s)
        except SourceRefused as error:
            return await _refuse(writer, 403, str(error))
        except (SourceUnreachable, httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            return await _refuse(writer, 502, str(error) or "No connection.")
        try:
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
                await writer.drain()
            else:
                kept = [f"{name}: {value}" for name, value in headers if name.lower() not in _DROPPED]
                path = "/" + target.split("/", 3)[3] if target.count("/") > 2 else "/"  # to the letter: it is signed
                lines = [f"{method} {path} HTTP/1.1", *kept, "Connection: close"]
                await stream.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), self._silent_s)
            await self._relay(reader, writer, stream)
        finally:
            await stream.aclose()

    def _known(self, headers: list[tuple[str, str]]) -> bool:
        wanted = "Basic " + base64.b64encode(f"mill:{self._password}".encode()).decode()
        given = next((value for name, value in headers if name.lower() == "proxy-authorization"), "")
        return hmac.compare_digest(given.encode("latin-1"), wanted.encode())

    async def _relay(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: httpcore.AsyncNetworkStream
    ) -> None:
        """Bytes both ways, until the far end says no more or nothing has moved in either direction for a while."""
        loop = asyncio.get_running_loop()
        moved = loop.time()

        async def out() -> None:
            nonlocal moved
            while chunk := await reader.read(_CHUNK_BYTES):
                await stream.write(chunk, self._silent_s)
                moved = loop.time()

        async def back() -> None:
            nonlocal moved
            while True:
                try:
                    chunk = await stream.read(_CHUNK_BYTES, self._silent_s)
                except httpcore.ReadTimeout:
                    if loop.time() - moved < self._silent_s:
                        continue  # the other way was busy: a long upload has no answer for a while
                    raise
                if not chunk:
                    return
                writer.write(chunk)
                await writer.drain()
                moved = loop.time()

        ways = [asyncio.ensure_future(out()), asyncio.ensure_future(back())]
        try:
            # A library that hangs up wants no more of the answer; an endpoint that does has said all of it.
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in done:
                way.result()
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)


async def _refuse(writer: asyncio.StreamWriter, status: int, why: str) -> None:
    body = why.encode("utf-8", "replace")
    head = f"HTTP/1.1 {status} Refused\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
    await writer.drain()
