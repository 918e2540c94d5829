"""Callers' buckets, against a real S3 server: what is read and written, and what a hostile endpoint gets."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from tests.support import bucket
from tests.support.bucket import Bucket

from mediamill.blobs.buckets import Buckets, forget_environment
from mediamill.core.connections import Access, Place
from mediamill.core.errors import (
    DestinationAway,
    DestinationFailed,
    Failed,
    Misconfigured,
    SourceRefused,
    SourceUnreachable,
)
from mediamill.net import Client, Limits

LOOPBACK = ip_network("127.0.0.0/8")


@pytest.fixture(scope="module")
def s3() -> Iterator[Bucket]:
    with bucket.running() as running:
        yield running


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a worker that has called forget_environment; put back for the tests that come after."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def buckets() -> Buckets:
    return Buckets(Client(allow_networks=[LOOPBACK]), total_s=60)


def access(s3: Bucket, **given: str) -> Access:
    return Access(**{**s3.connection, **given})


async def chunks(content: bytes, step: int = 1 << 20) -> AsyncIterator[bytes]:
    for start in range(0, len(content), step):
        yield content[start : start + step]


def at(key: str) -> Place:
    return Place(bucket="mill", key=key)


@pytest.mark.parametrize("size", [0, 10, 20_000_001])
async def test_what_is_pushed_is_fetched_again(s3: Bucket, buckets: Buckets, tmp_path: Path, size: int) -> None:
    content, told = os.urandom(size), []
    place = at(f"out/a b ü%20+{size}.bin")

    await buckets.push(
        access(s3), place, chunks(content), size_bytes=size, mime="video/mp4", on_progress=lambda *a: told.append(a)
    )
    found = await buckets.fetch(access(s3), place, tmp_path / "in", max_bytes=size)

    assert (s3.folder / place.key).read_bytes() == content
    assert (tmp_path / "in").read_bytes() == content
    assert (found.size_bytes, found.sha256) == (size, hashlib.sha256(content).hexdigest())
    assert (found.filename, found.content_type) == (place.name, "video/mp4")
    assert not told or told[-1] == (size, size)


async def test_memory_stays_flat_however_large_the_object(s3: Bucket, buckets: Buckets, tmp_path: Path) -> None:
    size, block = 200 << 20, bytes(1 << 20)

    async def zeros() -> AsyncIterator[bytes]:
        for _ in range(size // len(block)):
            yield block

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before, most = resident(), 0

    def look(*_: object) -> None:
        nonlocal most
        most = max(most, resident())

    place = at("large.bin")
    there = access(s3, endpoint=s3.direct)
    await buckets.push(there, place, zeros(), size_bytes=size, mime="a/b", on_progress=look)
    await buckets.fetch(there, place, tmp_path / "in", max_bytes=size, on_progress=look)

    assert (tmp_path / "in").stat().st_size == size
    print(f"\n200 MiB both ways: {(most - before) >> 20} MiB more")
    assert most - before < 120 << 20


async def test_what_is_not_there_or_too_large_is_refused_and_leaves_nothing(
    s3: Bucket, buckets: Buckets, tmp_path: Path
) -> None:
    await buckets.push(access(s3), at("ten.bin"), chunks(b"0123456789"), size_bytes=10, mime="a/b")

    with pytest.raises(SourceRefused, match=r"no s3://mill/none\.bin"):
        await buckets.fetch(access(s3), at("none.bin"), tmp_path / "in", max_bytes=10)
    with pytest.raises(SourceRefused, match="limit of 9"):
        await buckets.fetch(access(s3), at("ten.bin"), tmp_path / "in", max_bytes=9)
    with pytest.raises(SourceRefused):
        await buckets.fetch(access(s3), Place(bucket="other", key="x"), tmp_path / "in", max_bytes=9)

    assert list(tmp_path.iterdir()) == []


async def test_a_wrong_secret_is_told_from_a_bucket_that_is_away(s3: Bucket, buckets: Buckets, tmp_path: Path) -> None:
    wrong = access(s3, secret_access_key="wrong")
    nobody = access(s3, endpoint="http://127.0.0.1:2")

    with pytest.raises(DestinationFailed, match=r"does not let|answered 403") as refused:
        await buckets.push(wrong, at("x"), chunks(b"x"), size_bytes=1, mime="a/b")
    with pytest.raises(DestinationAway) as away:
        await buckets.push(nobody, at("x"), chunks(b"x"), size_bytes=1, mime="a/b")
    with pytest.raises(SourceUnreachable):
        await buckets.fetch(nobody, at("x"), tmp_path / "in", max_bytes=1)

    assert (refused.value.code, refused.value.retryable) == ("destination_failed", False)
    assert (away.value.code, away.value.retryable) == ("destination_unreachable", True)
    for error in refused.value, away.value:
        assert "secret" not in str(error)
        assert "127.0.0.1" not in str(error)


async def test_an_endpoint_inside_is_never_spoken_to(s3: Bucket, tmp_path: Path) -> None:
    closed = Buckets(Client(), total_s=10)

    with pytest.raises(SourceRefused, match="loopback"):
        await closed.fetch(access(s3), at("x"), tmp_path / "in", max_bytes=1)
    with pytest.raises(DestinationFailed, match="loopback"):
        await closed.push(access(s3), at("x"), chunks(b"x"), size_bytes=1, mime="a/b")
    with pytest.raises(SourceRefused, match="metadata"):
        await closed.fetch(access(s3, endpoint="http://169.254.169.254"), at("x"), tmp_path / "in", max_bytes=1)


class Turning:
    """A name whose first answer is public and whose later ones are loopback: DNS rebinding."""

    def __init__(self) -> None:
        self.asked = 0

    async def resolve(self, host: str) -> list[object]:
        from ipaddress import ip_address

        self.asked += 1
        return [ip_address("93.184.215.14" if self.asked == 1 else "127.0.0.1")]


async def test_a_name_that_turns_inward_after_the_check_reaches_nothing(s3: Bucket, tmp_path: Path) -> None:
    names = Turning()
    closed = Buckets(Client(resolver=names), total_s=20)  # type: ignore[arg-type]
    port = s3.endpoint.rsplit(":", 1)[1]

    there = access(s3, endpoint=f"http://rebind.example:{port}")

    with pytest.raises(Failed):
        await closed.fetch(there, at("inside.bin"), tmp_path / "in", max_bytes=100)

    assert names.asked > 1
    assert not (tmp_path / "in").exists()


class Endpoint:
    """A hostile endpoint: what it is asked is noted, its answer is given."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heads: list[str] = []

    async def __aenter__(self) -> str:
        self.server = await asyncio.start_server(self._served, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self.server.close()

    async def _served(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self.answer)
        await writer.drain()
        writer.close()


async def test_a_redirect_inward_is_not_followed(s3: Bucket, tmp_path: Path) -> None:
    only_here = ip_network("127.0.0.1/32")
    inside = Endpoint(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\ninside")
    async with inside:
        port = inside.server.sockets[0].getsockname()[1]
        moved = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:{port}/mill/x\r\nContent-Length: 0\r\n\r\n"
        async with Endpoint(moved.encode()) as url:
            with pytest.raises(Failed):
                await Buckets(Client(allow_networks=[only_here]), total_s=20).fetch(
                    access(s3, endpoint=url), at("x"), tmp_path / "in", max_bytes=100
                )

    assert inside.heads == []


async def test_an_endpoint_learns_neither_the_secret_nor_the_tunnels_password(
    s3: Bucket, buckets: Buckets, tmp_path: Path
) -> None:
    endpoint = Endpoint(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
    async with endpoint as url:
        with pytest.raises(SourceRefused):
            await buckets.fetch(access(s3, endpoint=url), at("x"), tmp_path / "in", max_bytes=100)

    assert endpoint.heads
    for head in endpoint.heads:
        assert "authorization: aws4-hmac-sha256" in head.lower()
        assert "proxy" not in head.lower()
        assert "bucket-secret" not in head


async def test_the_operators_own_keys_are_never_near_a_callers_endpoint(
    s3: Bucket, buckets: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of the operator")

    with pytest.raises(Misconfigured):
        await buckets.fetch(access(s3), at("x"), tmp_path / "in", max_bytes=1)
    forget_environment()
    with pytest.raises(SourceRefused):
        await buckets.fetch(access(s3), at("x"), tmp_path / "in", max_bytes=1)

    assert "AWS_SESSION_TOKEN" not in os.environ


async def test_an_endpoint_that_falls_silent_is_given_up(s3: Bucket, tmp_path: Path) -> None:
    when = b"Last-Modified: Sat, 01 Jan 2022 00:00:00 GMT"
    started = b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: "a"\r\n' + when + b"\r\n\r\nabc"
    client = Client(allow_networks=[LOOPBACK], limits=Limits(read_timeout_s=0.2))
    async with Endpoint(started) as url:
        with pytest.raises(SourceUnreachable):
            await Buckets(client, total_s=20).fetch(access(s3, endpoint=url), at("x"), tmp_path / "in", max_bytes=100)

    assert not (tmp_path / "in").exists()


async def test_a_cancelled_push_leaves_no_object(s3: Bucket, buckets: Buckets) -> None:
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 20)
            begun.set()
            await asyncio.sleep(0)

    push = asyncio.create_task(buckets.push(access(s3), at("never.bin"), endless(), size_bytes=1 << 40, mime="a/b"))
    await begun.wait()
    push.cancel()
    with pytest.raises(asyncio.CancelledError):
        await push

    assert not (s3.folder / "never.bin").exists()


def test_a_tunnel_takes_only_those_who_know_its_password() -> None:
    async def ask() -> bytes:
        async with Client(allow_networks=[LOOPBACK]).tunnel() as way:
            port = int(way.url.rsplit(":", 1)[1])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"CONNECT 127.0.0.1:9 HTTP/1.1\r\nHost: x\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer

    assert asyncio.run(ask()).startswith(b"HTTP/1.1 407 ")
