"""Clients that connect and do not come to the point, and those that take their time with good reason."""

from __future__ import annotations

import asyncio
import contextlib
import resource
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from mediamill.app import connections
from mediamill.app.connections import HEAD_BYTES, Bounded, most_connections, raise_open_files

Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]
GET = b"GET / HTTP/1.1\r\nHost: x\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
SOON_S = 30.0
"""What is closed is closed long before; the test fails then, and does not hang."""


class Hasty(Bounded):
    head_s = silent_s = stalled_s = 0.2
    look_every_s = 0.02


class Host:
    """A server whose app says how long a body was; at /late not before `go`, at /long without end."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self.port = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.set()
        if scope["path"] == "/late":
            await self.go.wait()
        if scope["path"] == "/long":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while (await asyncio.wait([asyncio.ensure_future(receive())], timeout=0))[1]:
                await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
            self.left.set()
            return
        size, more = 0, scope["path"] != "/unread"
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left.set()
                return
            size, more = size + len(message["body"]), message["more_body"]
        body = str(size).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def line(self) -> Line:
        return await asyncio.open_connection("127.0.0.1", self.port)


@contextlib.asynccontextmanager
async def hosted(protocol: type[Bounded]) -> AsyncIterator[Host]:
    app = Host()
    config = uvicorn.Config(
        app, port=0, http=protocol, ws="none", lifespan="off", log_config=None, timeout_keep_alive=1, access_log=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.005)
    app.port = server.servers[0].sockets[0].getsockname()[1]
    yield app
    app.go.set()
    server.should_exit = True
    await serving


@pytest.fixture
async def hasty() -> AsyncIterator[Host]:
    async with hosted(Hasty) as app:
        yield app


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with hosted(Bounded) as app:
        yield app


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """All that was still said. A connection may be reset where some of what we sent was not read."""
    said = b""
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                chunk = await reader.read(65536)
            except ConnectionError:
                return said
            if not chunk:
                return said
            said += chunk


async def answer(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(SOON_S):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        return await reader.readexactly(length)


@pytest.mark.parametrize("begun", [b"", b"\r\n", b"GET", GET, GET + b"X-Slow: a", POST + b"\r\n", POST + b"\r\n12345"])
async def test_who_says_no_more_is_hung_up_on(hasty: Host, begun: bytes) -> None:
    reader, writer = await hasty.line()
    writer.write(begun)

    assert await until_closed(reader) == b""

    writer.close()
    if begun.startswith(POST):
        async with asyncio.timeout(SOON_S):
            await hasty.left.wait()


@pytest.mark.parametrize("first", [b"", GET + b"\r\n", POST.replace(b" / ", b" /unread ") + b"\r\n"])
async def test_a_drip_does_not_hold_the_line(hasty: Host, first: bytes) -> None:
    reader, writer = await hasty.line()
    writer.write(first)
    closed = asyncio.create_task(until_closed(reader))
    drip = GET if not first or first.startswith(GET) else b"1"
    for n in range(100_000):
        if closed.done():
            break
        writer.write(drip[n : n + 1] if n < len(drip) else b"x" if drip == GET else b"")
        await asyncio.wait([closed], timeout=0.01)

    assert (await closed).endswith(b"0" if first else b"")
    writer.close()


@pytest.mark.parametrize("pieces", [1, 40])
@pytest.mark.parametrize(
    "head",
    [GET + b"X: " + b"a" * HEAD_BYTES, b"GET /?" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\n", GET + b"X: y\r\n" * 15_000],
)
async def test_a_head_has_an_end(host: Host, head: bytes, pieces: int) -> None:
    reader, writer = await host.line()
    whole = head + b"\r\n\r\n"
    for n in range(pieces):
        writer.write(whole[len(whole) * n // pieces : len(whole) * (n + 1) // pieces])
        await asyncio.sleep(0)

    assert (await until_closed(reader)).split(b"\r\n")[0] in (b"HTTP/1.1 400 Bad Request", b"")
    assert not host.asked.is_set()
    writer.close()


async def test_a_request_that_names_two_hosts_is_refused(host: Host) -> None:
    reader, writer = await host.line()
    writer.write(GET + b"host: y\r\n\r\n")

    assert (await until_closed(reader)).startswith(b"HTTP/1.1 400 ")
    assert not host.asked.is_set()
    writer.close()


async def test_a_long_head_that_is_within_bounds_is_answered(host: Host) -> None:
    reader, writer = await host.line()
    writer.write(GET + b"X: " + b"a" * (HEAD_BYTES - 100) + b"\r\n\r\n")

    assert await answer(reader) == b"0"
    writer.close()


class Clock:
    """The running loop, whose time goes on only when told to; what is due then is called by `advance`."""

    def __init__(self) -> None:
        self.now, self._due = 0.0, list[tuple[float, Any, Any]]()

    def time(self) -> float:
        return self.now

    def create_task(self, work: Any) -> asyncio.Task[Any]:
        return asyncio.get_running_loop().create_task(work)

    def call_later(self, in_s: float, work: Any) -> Any:
        handle = SimpleNamespace(cancel=lambda: None)
        self._due.append((self.now + in_s, work, handle))
        return handle

    async def advance(self, s: float) -> None:
        end = self.now + s
        while due := [one for one in self._due if one[0] <= end]:
            first = min(due, key=lambda one: one[0])
            self._due.remove(first)
            self.now = first[0]
            first[1]()
        self.now = end
        await asyncio.sleep(0)


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.said, self.closed, self.untaken = b"", False, 0

    def write(self, data: Any) -> None:
        self.said += data

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return self.untaken

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """Nothing is read."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def app() -> Host:
    return Host()


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def protocol(clock: Clock, app: Host, wire: Wire) -> Bounded:
    config = uvicorn.Config(app, ws="none", lifespan="off", log_config=None, timeout_keep_alive=75)
    config.load()
    made = Bounded(config, ServerState(), {}, clock)  # type: ignore[arg-type]  # as much of a loop as it asks for
    made.connection_made(wire)
    return made


async def test_a_body_may_take_its_time_as_long_as_something_comes(protocol: Bounded, clock: Clock, wire: Wire) -> None:
    protocol.data_received(POST + b"\r\n")
    for _ in range(10):
        await clock.advance(protocol.silent_s * 0.9)
        assert not wire.closed
        protocol.data_received(b"1")
    await clock.advance(0.1)
    await asyncio.sleep(0)

    assert wire.said.endswith(b"10")


async def test_who_waits_for_us_is_not_hung_up_on(protocol: Bounded, clock: Clock, wire: Wire, app: Host) -> None:
    protocol.data_received(GET.replace(b" / ", b" /late ") + b"\r\n")
    await clock.advance(3600)
    assert not wire.closed
    app.go.set()
    for _ in range(5):
        await clock.advance(0)

    assert wire.said.endswith(b"0")
    assert not wire.closed


async def test_who_is_asked_to_go_on_when_we_are_ready_is_waited_for(
    protocol: Bounded, clock: Clock, wire: Wire
) -> None:
    protocol.data_received(POST.replace(b" / ", b" /late ") + b"Expect: 100-continue\r\n\r\n")
    await clock.advance(3600)

    assert not wire.closed


async def test_who_takes_the_answer_slowly_is_not_hung_up_on(protocol: Bounded, clock: Clock, wire: Wire) -> None:
    protocol.data_received(GET.replace(b" / ", b" /late ") + b"\r\n")
    for left in range(10, 0, -1):
        wire.untaken = left
        await clock.advance(protocol.stalled_s * 0.9)
    assert not wire.closed
    await clock.advance(protocol.stalled_s * 1.2)

    assert wire.closed


async def test_who_does_not_take_the_answer_is_hung_up_on(hasty: Host) -> None:
    reader, writer = await hasty.line()
    writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a transport that reads
    writer.write(GET.replace(b" / ", b" /long ") + b"\r\n")

    async with asyncio.timeout(SOON_S):
        await hasty.left.wait()
    writer.close()
    del reader


async def test_there_is_an_end_to_connections_and_others_are_served_again(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "most_connections", lambda: 3)
    kept = [await host.line() for _ in range(3)]
    for reader, writer in kept:
        writer.write(GET + b"\r\n")
        assert await answer(reader) == b"0"
    more, writer = await host.line()

    assert await until_closed(more) == b""

    writer.close()
    for _, writer in kept:
        writer.close()


def test_open_files_are_raised_to_what_is_allowed_and_some_are_spared() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        assert most_connections() == 256
        raise_open_files()
        raised = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert raised[0] == (65_536 if before[1] == resource.RLIM_INFINITY else min(before[1], 65_536))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
