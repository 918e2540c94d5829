"""What every store of bytes must do: local disk and a bucket alike."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.support import bucket
from tests.support.bucket import Bucket

from mediamill.blobs import Blobs, SizeMismatch
from mediamill.core.errors import NotFound, StorageAway, StorageRefused, TooLarge

# More than two parts of a multipart upload, and no multiple of any block size.
CONTENT = os.urandom(11_000_003)
BACKENDS = ("local", "s3")


@pytest.fixture(scope="module")
def s3() -> Iterator[Bucket]:
    with bucket.running() as running:
        yield running


@pytest.fixture(params=BACKENDS)
def blobs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Blobs:
    if request.param == "local":
        return Blobs(tmp_path / "files")
    running: Bucket = request.getfixturevalue("s3")
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    return Blobs(f"{running.url}-{tmp_path.name}")


async def chunks(content: bytes, size: int = 70_001) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def keys(blobs: Blobs) -> list[str]:
    """Every key there is, finished or not."""
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return [key async for lot in blobs.older_than(tomorrow) for key in lot]


async def read(blobs: Blobs, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in blobs.read(key, start, end)])


@pytest.mark.parametrize("size", [1, 65_536, 5 << 20, len(CONTENT)])
async def test_what_is_written_is_read_back(blobs: Blobs, size: int) -> None:
    stored = await blobs.write(chunks(CONTENT[:size]))

    assert stored.size_bytes == size
    assert stored.sha256 == hashlib.sha256(CONTENT[:size]).hexdigest()
    assert stored.head == CONTENT[: min(size, 65_536)]
    assert await read(blobs, stored.key) == CONTENT[:size]
    assert await blobs.size(stored.key) == size
    assert await keys(blobs) == [stored.key]


async def test_no_bytes_at_all_can_be_stored(blobs: Blobs) -> None:
    stored = await blobs.write(chunks(b""))

    assert stored.size_bytes == 0
    assert await read(blobs, stored.key) == b""


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (1, 2), (65_535, 65_537), (1 << 20, 3 << 20), (len(CONTENT) - 1, None)]
)
async def test_a_range_is_read_to_the_byte(blobs: Blobs, start: int, end: int | None) -> None:
    stored = await blobs.write(chunks(CONTENT))

    assert await read(blobs, stored.key, start, end) == CONTENT[start:end]


async def test_parts_can_be_looked_at(blobs: Blobs) -> None:
    stored = await blobs.write(chunks(CONTENT))

    with blobs.open(stored.key) as file:
        assert file.read(10) == CONTENT[:10]
        file.seek(-10, os.SEEK_END)
        assert file.read() == CONTENT[-10:]
        file.seek(5_000_000)
        assert file.read(100_000) == CONTENT[5_000_000:5_100_000]


async def test_a_source_that_fails_leaves_nothing(blobs: Blobs) -> None:
    async def broken() -> AsyncIterator[bytes]:
        async for chunk in chunks(CONTENT):
            yield chunk
        raise ConnectionResetError("the client went away")

    with pytest.raises(ConnectionResetError, match="went away"):
        await blobs.write(broken())

    assert await keys(blobs) == []


async def test_too_many_bytes_leave_nothing(blobs: Blobs) -> None:
    with pytest.raises(TooLarge, match="More than 6000000 bytes"):
        await blobs.write(chunks(CONTENT), most_bytes=6_000_000)

    assert await keys(blobs) == []


@pytest.mark.parametrize("declared", [len(CONTENT) - 1, len(CONTENT) + 1])
async def test_another_size_than_declared_leaves_nothing(blobs: Blobs, declared: int) -> None:
    with pytest.raises(SizeMismatch):
        await blobs.write(chunks(CONTENT), exactly_bytes=declared)

    assert await keys(blobs) == []


async def test_a_finished_file_is_taken_over(blobs: Blobs, tmp_path: Path) -> None:
    made = tmp_path / "made.bin"
    made.write_bytes(CONTENT)

    with made.open("rb") as file:
        stored = await blobs.adopt(file, made)

    assert stored.size_bytes == len(CONTENT)
    assert stored.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert stored.head == CONTENT[:65_536]
    assert await read(blobs, stored.key) == CONTENT


async def test_the_open_file_is_taken_over_not_what_lies_at_its_path(blobs: Blobs, tmp_path: Path) -> None:
    made = tmp_path / "made.bin"
    made.write_bytes(b"what was made")

    with made.open("rb") as file:
        made.unlink()
        made.write_bytes(b"what a hostile child put there since")
        stored = await blobs.adopt(file, made)

    assert await read(blobs, stored.key) == b"what was made"


async def test_several_are_joined_into_one(blobs: Blobs) -> None:
    parts = [await blobs.write(chunks(part)) for part in (CONTENT[:7], CONTENT[7:6_000_000], CONTENT[6_000_000:])]

    joined = await blobs.join([part.key for part in parts])

    assert (joined.size_bytes, joined.sha256) == (len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    assert joined.head == CONTENT[:65_536]
    assert await read(blobs, joined.key) == CONTENT
    assert sorted(await keys(blobs)) == sorted([joined.key, *(part.key for part in parts)])


async def test_joining_what_is_not_there_leaves_nothing(blobs: Blobs) -> None:
    part = await blobs.write(chunks(CONTENT[:100]))

    with pytest.raises(NotFound):
        await blobs.join([part.key, "ff/none"])

    assert await keys(blobs) == [part.key]


@pytest.mark.parametrize("link", [True, False])
async def test_bytes_are_lent_to_a_job(blobs: Blobs, tmp_path: Path, link: bool) -> None:
    stored = await blobs.write(chunks(CONTENT))

    await blobs.lend(stored.key, tmp_path / "input.bin", link=link)

    assert (tmp_path / "input.bin").read_bytes() == CONTENT


async def test_what_is_deleted_is_gone_and_deleting_it_again_is_fine(blobs: Blobs, tmp_path: Path) -> None:
    kept, removed = await blobs.write(chunks(b"kept")), await blobs.write(chunks(b"removed"))

    await blobs.delete([removed.key, "ff/none"])
    await blobs.delete([removed.key])

    assert await keys(blobs) == [kept.key]
    with pytest.raises(NotFound):
        await read(blobs, removed.key)
    with pytest.raises(NotFound):
        await read(blobs, removed.key, 0, 1)
    with pytest.raises(NotFound):
        await blobs.size(removed.key)
    with pytest.raises(NotFound):
        blobs.open(removed.key)
    with pytest.raises(NotFound):
        await blobs.lend(removed.key, tmp_path / "lent", link=False)
    assert not (tmp_path / "lent").exists()


async def test_old_bytes_are_told_from_new_ones(blobs: Blobs) -> None:
    stored = await blobs.write(chunks(b"some"))

    assert [key async for lot in blobs.older_than(datetime.now(UTC) - timedelta(minutes=1)) for key in lot] == []
    assert await keys(blobs) == [stored.key]


async def test_the_check_passes_and_leaves_nothing(blobs: Blobs) -> None:
    await blobs.check()

    assert await keys(blobs) == []


async def test_a_bucket_that_is_away_is_no_missing_file_and_no_fault_of_whoever_sends(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    blobs = Blobs(f"{s3.url}-{tmp_path.name}")
    key = (await blobs.write(chunks(b"kept"))).key

    async def cut() -> AsyncIterator[bytes]:
        yield b"some"
        raise ConnectionResetError

    with s3.away():
        asked = (blobs.write(chunks(b"new")), blobs.size(key), read(blobs, key, 0, 4), blobs.copy(key))
        *answers, deleted = await asyncio.gather(*asked, blobs.delete([key]), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StorageAway] * 4
    assert deleted is None
    with pytest.raises(ConnectionResetError):
        await blobs.write(cut())

    assert await read(blobs, key) == b"kept"


async def test_a_bucket_that_refuses_us_is_another_thing_than_one_that_is_away(
    s3: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**s3.environment, "AWS_SECRET_ACCESS_KEY": "wrong"}.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(StorageRefused):
        await Blobs(s3.url).size("a")
