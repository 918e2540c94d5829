"""What one client may keep of the server before it has asked for anything: seconds, bytes, and its share of sockets.

uvicorn's protocol waits for the head of a request for ever, takes one of any length, and forgets how long a connection
has been idle at the first byte that comes. A thousand connections that say nothing would be all that a process may
have open, and one endless header would be its memory.
"""

from __future__ import annotations

import asyncio
import resource

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
"""The longest head: any URL that we give or take, and the headers beside it, many times over."""
_PER_HEADER = 4  # of a header's bytes: what stands between name and value, and the end of its line
_SPARED = 256
"""Open files that connections leave to the database, to stored files and to the way out."""
_MOST_FILES = 65_536


class Refused(Exception):
    """The head of a request is longer than is taken, or names two hosts. The parser makes a 400 of it."""


class Bounded(HttpToolsProtocol):
    """A connection that is closed when its client does not come to the point."""

    head_s = 30.0
    """For the whole head of a request."""
    silent_s = 75.0
    """A body of which nothing comes for so long is given up; who reads one answers 408 before that."""
    stalled_s = 300.0
    """An answer of which nothing is taken for so long is given up."""
    look_every_s = 5.0

    _looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        now = self.loop.time()
        self._heads = self._head_bytes = 0
        self._in_head = False
        self._heard_at = now  # or when it became the client's turn
        self._taken_at, self._to_take = now, 0
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.abort()
        else:
            self._looking = self.loop.call_later(self.look_every_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._looking is not None:
            self._looking.cancel()

    def data_received(self, data: bytes) -> None:
        in_head, heads = self._in_head, self._heads
        super().data_received(data)
        if in_head and self._in_head and heads == self._heads:
            # Of a header that is not over the parser says nothing, and keeps all of it.
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response("The head of the request is too long.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes, self._heard_at = True, 0, self.loop.time()
        self._heads += 1

    def on_headers_complete(self) -> None:
        if len(self.url) + sum(len(name) + len(value) + _PER_HEADER for name, value in self.headers) > HEAD_BYTES:
            raise Refused
        if sum(name == b"host" for name, _ in self.headers) > 1:
            raise Refused  # RFC 9112 3.2: what stands before us may have gone by the other one
        self._in_head, self._heard_at = False, self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        if not self.cycle.response_complete:
            self._heard_at = self.loop.time()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._in_head:
            self._heard_at = self.loop.time()

    def _look(self) -> None:
        """Now and then: close the connection if it was the client's turn for too long."""
        now = self.loop.time()
        to_take = self.transport.get_write_buffer_size()
        if to_take == 0 or to_take != self._to_take:
            self._taken_at, self._to_take = now, to_take
        elif now - self._taken_at > self.stalled_s:
            self.transport.abort()
            return
        allowed_s = self._allowed_s()
        if allowed_s is None:
            self._heard_at = now
        elif now - self._heard_at > allowed_s and not self.transport.is_closing():
            self.transport.close()  # with what is still to be taken
        self._looking = self.loop.call_later(self.look_every_s, self._look)

    def _allowed_s(self) -> float | None:
        """How long the client has for what it is to send next; None while it is our turn."""
        if self._in_head or self.cycle is None:
            return self.head_s
        if self.cycle.response_complete:
            return self.timeout_keep_alive
        to_come = self.cycle.more_body and not self.cycle.waiting_for_100_continue
        return self.silent_s if to_come and not self.flow.read_paused else None


def most_connections() -> int:
    """How many connections this process takes: more are closed as they come."""
    return max(64, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - _SPARED)


def raise_open_files() -> None:
    """Let this process have as many files open as it may: each connection is one, and 1,024 is the usual beginning."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
