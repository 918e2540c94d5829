"""A language model for tests: an OpenAI-compatible server that answers by what has been said so far.

A script is a function from the messages to an `Says`; the conversation itself tells how far it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Says:
    """An answer. calls: (function, arguments). status: an error instead. stall: no answer until the asker has gone.
    chunks: the data of its events, as they are, in place of all that."""

    text: str = ""
    calls: Sequence[tuple[str, Mapping[str, Any] | str]] = ()
    finish: str | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    stall: bool = False
    usage: tuple[int, int] | None = (100, 20)
    breaks_off: bool = False
    pieces: int = 4
    chunks: Sequence[str] | None = None
    hold: Callable[[], Any] | None = None
    """Awaited between the pieces of its text."""


Script = Callable[[Sequence[Mapping[str, Any]]], Says]


@dataclass(slots=True)
class Llm:
    """A running server. `asked` are the bodies of requests, `headers` theirs."""

    url: str
    script: Script
    asked: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._one(reader, writer):
                continue
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            return
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        line = await reader.readline()
        if not line:
            return False
        headers = {}
        while (row := await reader.readline()) not in (b"\r\n", b""):
            name, _, value = row.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        body = json.loads(await reader.readexactly(int(headers.get("content-length", 0))))
        self.asked.append(body)
        self.headers.append({**headers, ":path": line.split()[1].decode()})
        says = self.script(body["messages"])
        if says.stall:
            await reader.read()
            return False
        if says.status != 200:
            await _send(writer, says.status, {"error": {"message": says.text or "no"}}, says.headers)
            return True
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        for chunk in says.chunks or ():
            await _chunk(writer, b"data: " + chunk.encode() + b"\n\n")
        for event in _events(body["model"], says, len(self.asked)) if says.chunks is None else ():
            await _chunk(writer, b"data: " + json.dumps(event).encode() + b"\n\n")
            if says.hold is not None and event["choices"] and event["choices"][0]["delta"].get("content"):
                await says.hold()
        if says.breaks_off:
            return False
        await _chunk(writer, b"data: [DONE]\n\n")
        await _chunk(writer, b"")
        return True


def _events(model: str, says: Says, number: int) -> Iterator[dict[str, Any]]:
    def event(delta: dict[str, Any] | None, finish: str | None = None, usage: Any = None) -> dict[str, Any]:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
        found = {"id": f"c{number}", "object": "chat.completion.chunk", "created": 1, "model": model}
        return {**found, "choices": choices, **({"usage": usage} if usage else {})}

    yield event({"role": "assistant", "content": ""})
    step = max(1, -(-len(says.text) // says.pieces))
    for start in range(0, len(says.text), step):
        yield event({"content": says.text[start : start + step]})
    if says.breaks_off:
        return
    for index, (name, arguments) in enumerate(says.calls):
        written = arguments if isinstance(arguments, str) else json.dumps(arguments)
        begun = {"index": index, "id": f"call_{number}_{index}", "type": "function"}
        yield event({"tool_calls": [{**begun, "function": {"name": name, "arguments": ""}}]})
        half = len(written) // 2
        for part in (written[:half], written[half:]):
            yield event({"tool_calls": [{"index": index, "function": {"arguments": part}}]})
    yield event({}, says.finish or ("tool_calls" if says.calls else "stop"))
    if says.usage is not None:
        read, wrote = says.usage
        yield event(None, usage={"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote})


async def _send(writer: asyncio.StreamWriter, status: int, body: Any, headers: Mapping[str, str]) -> None:
    content = json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(content)}"]
    head += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*head, "", ""]).encode() + content)
    await writer.drain()


async def _chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
    await writer.drain()


def turns(messages: Sequence[Mapping[str, Any]]) -> int:
    """How often the model has answered."""
    return sum(message["role"] == "assistant" for message in messages)


def results(messages: Sequence[Mapping[str, Any]]) -> list[Any]:
    """What functions have returned, in order."""
    return [json.loads(message["content"]) for message in messages if message["role"] == "tool"]


def scripted(*answers: Says) -> Script:
    """One answer after the other."""
    return lambda messages: answers[turns(messages)]


@contextlib.asynccontextmanager
async def answering(script: Script) -> AsyncIterator[Llm]:
    """A server in this event loop."""
    llm = Llm("", script)
    server = await asyncio.start_server(llm._serve, "127.0.0.1", 0)
    llm.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield llm
    finally:
        server.close()


@contextlib.contextmanager
def answering_aside(script: Script) -> Iterator[Llm]:
    """A server in a thread of its own, for tests that wait in theirs."""
    loop = asyncio.new_event_loop()
    llm = Llm("", script)

    async def start() -> asyncio.Server:
        server = await asyncio.start_server(llm._serve, "127.0.0.1", 0)
        llm.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        return server

    server = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield llm
    finally:

        async def stop() -> None:
            server.close()
            rest = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
            for task in rest:
                task.cancel()
            await asyncio.gather(*rest, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
