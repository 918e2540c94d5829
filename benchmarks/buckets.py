"""Sending to and fetching from a caller's bucket, through the guarded tunnel, against bare obstore in the same run.

`python benchmarks/buckets.py [MEBIBYTES]`: an rclone S3 server on this machine is the bucket. Each way is done three
times by turns; the ratio is of the best times.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_network
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import uvloop
from tests.support import bucket

from mediamill.blobs.buckets import Buckets, forget_environment
from mediamill.core.connections import Access, Place
from mediamill.net import Client

ROUNDS = 3
BLOCK = os.urandom(1 << 20)


async def blocks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield BLOCK


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


async def measure(s3: bucket.Bucket, folder: Path, mib: int) -> None:
    import obstore
    from obstore.store import S3Store

    there = s3.environment
    access = Access(
        endpoint=s3.direct,
        region="us-east-1",
        access_key_id=there["AWS_ACCESS_KEY_ID"],
        secret_access_key=there["AWS_SECRET_ACCESS_KEY"],
    )
    guarded = Buckets(Client(allow_networks=[ip_network("127.0.0.0/8")]), total_s=600)
    bare = S3Store(
        "mill",
        endpoint=s3.direct,
        region="us-east-1",
        access_key_id=access.access_key_id,
        secret_access_key=access.secret_access_key,
        client_options={"allow_http": True},
    )
    size, most, before = mib << 20, 0, resident()

    def look(*_: object) -> None:
        nonlocal most
        most = max(most, resident())

    async def push(key: str) -> None:
        await guarded.push(
            access, Place(bucket="mill", key=key), blocks(mib), size_bytes=size, mime="a/b", on_progress=look
        )

    async def bare_push(key: str) -> None:
        await obstore.put_async(bare, key, blocks(mib), use_multipart=True, chunk_size=8 << 20, max_concurrency=3)

    async def fetch(key: str) -> None:
        target = folder / "fetched"
        await guarded.fetch(access, Place(bucket="mill", key=key), target, max_bytes=size, on_progress=look)
        target.unlink()

    async def bare_fetch(key: str) -> None:
        found = await obstore.get_async(bare, key)
        with (folder / "bare").open("wb", buffering=0) as file:
            async for chunk in found.stream(min_chunk_size=1 << 20):
                file.write(chunk)
        (folder / "bare").unlink()

    times: dict[str, list[float]] = {"push": [], "bare push": [], "fetch": [], "bare fetch": []}
    for n in range(ROUNDS):
        times["bare push"].append(await timed(lambda: bare_push("bare.bin")))
        times["push"].append(await timed(lambda n=n: push(f"{n}.bin")))
        times["bare fetch"].append(await timed(lambda: bare_fetch("bare.bin")))
        times["fetch"].append(await timed(lambda n=n: fetch(f"{n}.bin")))
    best = {name: min(found) for name, found in times.items()}
    for name, seconds in best.items():
        print(f"{name:10}  {mib / seconds:7.0f} MiB/s")
    print(f"push   {best['push'] / best['bare push']:.2f} of the bare time")
    print(f"fetch  {best['fetch'] / best['bare fetch']:.2f} of the bare time, with SHA-256")
    print(f"memory {(most - before) >> 20} MiB more at most")


def main() -> None:
    mib = int(sys.argv[1]) if len(sys.argv) > 1 else 256
    forget_environment()
    with (
        bucket.running() as s3,
        tempfile.TemporaryDirectory() as folder,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,  # as a worker has it
    ):
        runner.run(measure(s3, Path(folder), mib))


if __name__ == "__main__":
    main()
