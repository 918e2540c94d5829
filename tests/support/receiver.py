"""A webhook receiver on loopback, in the test's own loop: it keeps what it was sent and answers as it is told."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from mediamill import net

LOOPBACK = ip_network("127.0.0.0/8")


@dataclass(frozen=True, slots=True)
class Post:
    """One request as it came. Header names are lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The event's."""
        return self.headers["webhook-id"]

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


Answers = Callable[[Post], Awaitable[Reply]]


class Receiver:
    """Where it listens, what it got so far, and how it answers from now on."""

    def __init__(self) -> None:
        self.posts: list[Post] = []
        self.port = 0
        self._answers: Answers = _well
        self._came = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._serving: set[asyncio.Task[Any]] = set()

    def url(self, path: str = "/hook") -> str:
        """An address here."""
        return f"http://127.0.0.1:{self.port}{path}"

    def answer(self, status: int = 200, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        """Answer so from now on."""

        async def same(_: Post) -> Reply:
            return Reply(status, headers or {}, body)

        self._answers = same

    def answer_with(self, answers: Answers) -> None:
        """Answer each post as the function says."""
        self._answers = answers

    async def got(self, count: int, *, timeout_s: float = 60.0) -> list[Post]:
        """The posts so far, once there are so many."""
        async with asyncio.timeout(timeout_s), self._came:
            await self._came.wait_for(lambda: len(self.posts) >= count)
        return list(self.posts)

    async def start(self) -> None:
        """Listen; where it listened before, if it did."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Be down."""
        if self._server is not None:
            self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()  # from Python 3.12 on also for each connection
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine = asyncio.current_task()
        assert mine is not None
        self._serving.add(mine)
        mine.add_done_callback(self._serving.discard)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            rows = (line.partition(":") for line in head[1:] if line)
            headers = {name.lower(): value.strip() for name, _, value in rows}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            post = Post(head[0].split(" ")[1], headers, body)
            async with self._came:
                self.posts.append(post)
                self._came.notify_all()
            reply = await self._answers(post)
            lines = [f"HTTP/1.1 {reply.status} It is so", f"content-length: {len(reply.body)}", "connection: close"]
            lines += [f"{name}: {value}" for name, value in reply.headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode() + reply.body)
            await writer.drain()
        writer.close()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await writer.wait_closed()


async def _well(_: Post) -> Reply:
    return Reply()


class Listening:
    """A receiver in a thread of its own, for tests that are not coroutines."""

    def __init__(self) -> None:
        self.receiver = Receiver()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Listening:
        self._thread.start()
        self.call(self.receiver.start())
        return self

    def __exit__(self, *_: object) -> None:
        self.call(self.receiver.stop())
        self.call(_finished())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def posts(self) -> list[Post]:
        """What came so far."""
        return list(self.receiver.posts)

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine on the receiver's own loop returns."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def at(self, path: str) -> list[Post]:
        """What came to this path so far."""
        return [post for post in self.posts if post.path == path]


async def _finished() -> None:
    """Once nothing but this runs: a connection may have been taken in the moment the receiver stopped."""
    while rest := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(rest)
    await asyncio.sleep(0)  # transports end in the round after their close


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver that answers 200 until told otherwise."""
    receiver = Receiver()
    await receiver.start()
    try:
        yield receiver
    finally:
        await receiver.stop()


@contextlib.asynccontextmanager
async def way_out(**given: Any) -> AsyncIterator[net.Client]:
    """The guarded client, with loopback opened as an operator may."""
    client = net.Client(**{"allow_networks": [LOOPBACK], **given})
    try:
        yield client
    finally:
        await client.close()
