"""A web server of scripted answers, byte for byte, to be rude with; and a resolver that says what a test wants."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address

Page = Callable[[asyncio.StreamWriter], Awaitable[None]]
"""Writes a whole answer, status line and all."""


@dataclass
class Web:
    """Pages by path (query included). `requests` holds the head and body of each request as it came."""

    pages: Mapping[str, Page | bytes] = field(default_factory=dict)
    requests: list[bytes] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)
    port: int = 0
    host: str = "127.0.0.1"
    scheme: str = "http"

    def url(self, path: str = "/", host: str | None = None) -> str:
        return f"{self.scheme}://{host or self.host}:{self.port}{path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
            )
            self.requests.append(head + await reader.readexactly(length))
            self.peers.append(writer.get_extra_info("sockname")[0])
            page = self.pages[head.split(b" ", 2)[1].decode()]
            if isinstance(page, bytes):
                writer.write(page)
                await writer.drain()
            else:
                await page(writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            return  # the client left; that is often the point
        finally:
            writer.close()


@asynccontextmanager
async def serving(
    pages: Mapping[str, Page | bytes], *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Web]:
    """A running server on a port of its own."""
    web = Web(pages=pages, host=f"[{host}]" if ":" in host else host, scheme="https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(web.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, host, 0, ssl=tls)
    web.port = server.sockets[0].getsockname()[1]
    try:
        yield web
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def answer(body: bytes = b"", *, status: str = "200 OK", **headers: str) -> bytes:
    """A plain answer with its length; header names with underscores for dashes, an empty value drops the header."""
    rows = {"content-length": str(len(body))} | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in rows.items() if value)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def redirect(status: int, location: str) -> bytes:
    return answer(status=f"{status} Moved", location=location)


class FakeResolver:
    """Answers each question with the next of the scripted lists, the last one for ever. Counts the questions."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.asked: list[str] = []
        self._answers = [[ip_address(one) for one in rows] for rows in answers]

    async def resolve(self, host: str) -> Sequence[IPv4Address | IPv6Address]:
        self.asked.append(host)
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
