"""Resumable uploads below HTTP: how a request is cut, what a failure leaves, and what time takes away."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from mediamill.blobs import Blobs
from mediamill.core.access import Caller, Role
from mediamill.core.errors import NotFound
from mediamill.core.ids import KeyId, ProjectId
from mediamill.service.files import Files
from mediamill.service.uploads import Uploads
from mediamill.store import pool as pools
from mediamill.store.files import Files as FileTable
from mediamill.store.uploads import Uploads as UploadTable
from mediamill.worker import chores

CALLER = Caller(project_id=ProjectId("p1"), key_id=KeyId("k1"), role=Role.MEMBER)
CONTENT = bytes(range(256)) * 100


class Body:
    """The bytes of a request; after them the client ends, goes away, or falls silent."""

    def __init__(self, *chunks: bytes | None) -> None:
        self._chunks = list(chunks)

    async def __call__(self) -> bytes | None:
        await asyncio.sleep(0)
        if not self._chunks:
            await asyncio.Event().wait()
        return self._chunks.pop(0)


class House:
    """The verbs over a real database and real bytes."""

    def __init__(self, pool: asyncpg.Pool[Any], folder: Path) -> None:
        self.pool = pool
        self.blobs = Blobs(folder)
        self.table = UploadTable(pool)
        self.file_table = FileTable(pool)
        self.sniff_fails = 0
        self.files = Files(
            store=self.file_table,
            blobs=self.blobs,
            sniff=self._sniff,
            max_bytes=1 << 20,
            lifetime_s=lambda dialect: None,
        )

    async def _sniff(self, key: str, *, claimed: str | None, filename: str | None) -> str | None:
        if self.sniff_fails:
            self.sniff_fails -= 1
            raise OSError("the disk is away")
        return None

    def uploads(self, *, keep_s: float = 60.0, part_s: float = 60.0, silent_s: float = 60.0) -> Uploads:
        return Uploads(
            store=self.table,
            blobs=self.blobs,
            files=self.files,
            max_bytes=1 << 20,
            keep_s=keep_s,
            lifetimes={},
            part_s=part_s,
            silent_s=silent_s,
        )

    async def keys(self) -> list[str]:
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        return [key async for lot in self.blobs.older_than(tomorrow) for key in lot]

    async def content(self, file_id: str | None) -> bytes:
        file = await self.files.get(CALLER, file_id or "")
        assert file.sha256 == hashlib.sha256(CONTENT).hexdigest()
        return b"".join([chunk async for chunk in self.files.read(file)])


@pytest_asyncio.fixture
async def house(dsn: str, tmp_path: Path) -> AsyncIterator[House]:
    pool = await pools.open_pool(dsn)
    try:
        yield House(pool, tmp_path / "files")
    finally:
        await pool.close()


async def begin(uploads: Uploads) -> str:
    return (await uploads.create(CALLER, filename="a.bin", mime=None, length=len(CONTENT))).id


async def test_a_request_that_lasts_is_cut_into_parts(house: House) -> None:
    uploads = house.uploads(part_s=0.0)
    id = await begin(uploads)

    halfway = await uploads.receive(CALLER, id, 0, Body(CONTENT[:100], CONTENT[100:300], CONTENT[300:1000], None))
    assert [part.size_bytes for part in await house.table.parts(id)] == [100, 200, 700]
    done = await uploads.receive(CALLER, id, halfway.received, Body(CONTENT[1000:], b""))

    assert await house.content(done.file_id) == CONTENT
    assert len(await house.keys()) == 1


async def test_a_silent_client_is_given_up_and_its_bytes_are_kept(house: House) -> None:
    uploads = house.uploads(silent_s=0.05)
    id = await begin(uploads)

    upload = await uploads.receive(CALLER, id, 0, Body(CONTENT[:100]))

    assert upload.received == 100


async def test_two_servers_cannot_both_add_the_same_bytes(house: House) -> None:
    one, other = house.uploads(), house.uploads()
    id = await begin(one)

    ends = await asyncio.gather(
        *(server.receive(CALLER, id, 0, Body(CONTENT, b"")) for server in (one, other)), return_exceptions=True
    )

    assert sorted(type(end).__name__ for end in ends) == ["Conflict", "Upload"]
    assert len(await house.keys()) == 1
    assert await house.content((await one.get(CALLER, id)).file_id) == CONTENT


@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_whole_upload_that_could_not_become_a_file_does_when_asked_again(house: House, pieces: int) -> None:
    uploads = house.uploads()
    id = await begin(uploads)
    if pieces == 2:
        await uploads.receive(CALLER, id, 0, Body(CONTENT[:100], None))
    house.sniff_fails = 1

    with pytest.raises(OSError, match="away"):
        await uploads.receive(CALLER, id, 0 if pieces == 1 else 100, Body(CONTENT[0 if pieces == 1 else 100 :], b""))
    found = await house.uploads().get(CALLER, id)

    assert await house.content(found.file_id) == CONTENT


async def test_a_whole_upload_becomes_one_file_however_many_ask(house: House) -> None:
    id = await begin(house.uploads())
    house.sniff_fails = 1
    with pytest.raises(OSError, match="away"):
        await house.uploads().receive(CALLER, id, 0, Body(CONTENT, b""))

    found = await asyncio.gather(*(house.uploads().get(CALLER, id) for _ in range(5)))

    assert len({upload.file_id for upload in found}) == 1
    assert await house.pool.fetchval("SELECT count(*) FROM files") == 1


async def test_uploads_whose_time_has_come_go_with_their_bytes(house: House) -> None:
    late, kept = house.uploads(keep_s=0.001), house.uploads()
    for uploads in (late, kept):
        await uploads.receive(CALLER, await begin(kept), 0, Body(CONTENT[:100], None))
    gone = await begin(late)

    await chores.expire_uploads(house.table, house.blobs)()

    assert await house.pool.fetchval("SELECT count(*) FROM uploads") == 1
    assert len(await house.keys()) == 1
    with pytest.raises(NotFound):
        await kept.get(CALLER, gone)


async def test_parts_of_unfinished_uploads_are_no_orphans(house: House) -> None:
    uploads = house.uploads()
    await uploads.receive(CALLER, await begin(uploads), 0, Body(CONTENT[:100], None))
    orphan = await house.blobs.write(_one(b"nobody's"))

    assert await _unused(house) == [orphan.key]


async def _unused(house: House) -> Sequence[str]:
    return await house.file_table.unused(await house.keys())


async def _one(content: bytes) -> AsyncIterator[bytes]:
    yield content
