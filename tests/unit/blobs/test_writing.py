"""Writing to local disk: steps in threads, while the next bytes come."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import io
import os
import shutil
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import mediamill.blobs.disk as module
from mediamill.blobs import Blobs
from mediamill.core.errors import StorageFull
from mediamill.net.behind import write_all

STEP = b"x" * (1 << 20)


def left(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def source() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield STEP

    def full(file: io.FileIO, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(module, "write_all", full)

    with pytest.raises(StorageFull):
        await Blobs(tmp_path).write(source())

    assert left(tmp_path) == []


async def test_a_result_of_another_disk_that_finds_no_room_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(source: io.BufferedIOBase, target: io.BufferedIOBase, *_: object) -> None:
        target.write(source.read(3))
        raise OSError(errno.EDQUOT, "full")

    def elsewhere(*_: object) -> None:
        raise OSError(errno.EXDEV, "another file system")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    monkeypatch.setattr(os, "rename", elsewhere)
    made = tmp_path / "made"
    made.write_bytes(b"0123456789")

    with made.open("rb") as file, pytest.raises(StorageFull):
        await Blobs(tmp_path / "blobs").adopt(file, made)

    assert left(tmp_path / "blobs") == []


async def test_a_full_disk_is_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "full")

    blobs = Blobs(tmp_path)
    await blobs.check()
    monkeypatch.setattr(Path, "write_bytes", full)

    with pytest.raises(StorageFull):
        await blobs.check()


def test_a_write_that_takes_less_goes_on_with_the_rest(tmp_path: Path) -> None:
    class Sparing(io.FileIO):
        def write(self, data: memoryview) -> int:  # type: ignore[override]
            return super().write(data[:3])

    with Sparing(tmp_path / "a", "wb") as file:
        write_all(file, b"0123456789")

    assert (tmp_path / "a").read_bytes() == b"0123456789"


async def test_a_cancelled_write_ends_when_its_thread_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on, closed_under = threading.Event(), threading.Event(), []

    def slow(file: io.FileIO, data: bytes) -> None:
        begun.set()
        go_on.wait(10)
        closed_under.append(file.closed)

    async def source() -> AsyncIterator[bytes]:
        yield STEP
        await asyncio.to_thread(begun.wait, 10)
        await asyncio.Event().wait()

    monkeypatch.setattr(module, "write_all", slow)
    writing = asyncio.create_task(Blobs(tmp_path).write(source()))
    await asyncio.to_thread(begun.wait, 10)

    writing.cancel()
    await asyncio.sleep(0)
    assert not writing.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await writing

    assert closed_under == [False]
    assert left(tmp_path) == []


async def test_a_large_file_is_summed_up_while_it_is_written(tmp_path: Path) -> None:
    content = [bytes([n]) * size for n, size in enumerate((1, 3 << 20, 1 << 16, 1 << 20, 5))]

    async def source() -> AsyncIterator[bytes]:
        for piece in content:
            yield piece

    blobs = Blobs(tmp_path / "files")
    stored = await blobs.write(source())

    with blobs.open(stored.key) as file:
        assert file.read() == b"".join(content)
    assert stored.sha256 == hashlib.sha256(b"".join(content)).hexdigest()
    assert stored.head == b"".join(content)[: 1 << 16]


async def test_a_file_whose_sum_is_known_is_taken_over_unread(tmp_path: Path) -> None:
    path = tmp_path / "came"
    path.write_bytes(STEP)
    blobs = Blobs(tmp_path / "files")

    with path.open("rb") as file:
        stored = await blobs.adopt(file, path, sha256="of our own making")

    assert (stored.sha256, stored.size_bytes, stored.head) == ("of our own making", len(STEP), STEP[: 1 << 16])
    assert not path.exists()


@pytest.mark.parametrize("late", [False, True], ids=["while it is read", "when it has been moved"])
async def test_a_file_that_is_given_up_while_it_is_taken_over_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: bool
) -> None:
    reached, go_on = threading.Event(), threading.Event()
    hold = "chmod" if late else "fsync"
    real = getattr(os, hold)

    def held(*given: object) -> None:
        reached.set()
        go_on.wait(30)
        real(*given)

    path = tmp_path / "came"
    path.write_bytes(STEP)
    monkeypatch.setattr(os, hold, held)
    with path.open("rb") as file:
        adopting = asyncio.ensure_future(Blobs(tmp_path / "files").adopt(file, path))
        await asyncio.to_thread(reached.wait, 30)
        adopting.cancel()
        asyncio.get_running_loop().call_soon(go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await adopting

    assert left(tmp_path / "files") == []
