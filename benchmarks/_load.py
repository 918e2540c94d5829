"""A small, fast HTTP client for load: raw requests over kept-alive connections, in processes of its own."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of it."""

    count: int
    failed: int
    took_s: float
    latencies_s: list[float]


def request(method: str, path: str, key: str, body: bytes = b"", headers: Sequence[str] = ()) -> bytes:
    """A raw request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


async def _one(port: int, raws: list[bytes], latencies: list[float]) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    failed = 0
    for raw in raws:
        began = time.perf_counter()
        writer.write(raw)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        if length:
            await reader.readexactly(length)
        if not head.startswith(b"HTTP/1.1 2"):
            failed += 1
        latencies.append(time.perf_counter() - began)
    writer.close()
    return failed


def _process(
    port: int, raws: list[bytes], connections: int, out: multiprocessing.Queue[tuple[int, list[float]]]
) -> None:
    async def main() -> tuple[int, list[float]]:
        latencies: list[float] = []
        shares = [raws[n::connections] for n in range(connections)]
        failed = await asyncio.gather(*(_one(port, share, latencies) for share in shares if share))
        return sum(failed), latencies

    out.put(asyncio.run(main()))


def send(port: int, raws: list[bytes], *, connections: int = 32, processes: int = 2) -> Sent:
    """Send every request; returns when all are answered."""
    context = multiprocessing.get_context("spawn")
    out: multiprocessing.Queue[tuple[int, list[float]]] = context.Queue()
    workers = [
        context.Process(target=_process, args=(port, raws[n::processes], connections // processes, out))
        for n in range(processes)
    ]
    for worker in workers:
        worker.start()
    began = time.perf_counter()
    answers = [out.get() for _ in workers]
    took_s = time.perf_counter() - began
    for worker in workers:
        worker.join()
    latencies = [latency for _, found in answers for latency in found]
    return Sent(len(raws), sum(failed for failed, _ in answers), took_s, latencies)
