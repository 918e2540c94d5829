"""How much is read at a time: it lies in memory until it is taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediamill import blobs as room
from mediamill.blobs import Blobs

KB = 1 << 10


@pytest.mark.parametrize(
    ("slow_s", "lengths"),
    [(60.0, [128] * 8 + [256] * 4 + [512] * 2 + [1024, 1024]), (-1.0, [128] * 40)],
    ids=["taken at once", "taken slowly"],
)
async def test_slow_readers_are_given_little_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow_s: float, lengths: list[int]
) -> None:
    content = bytes(range(256)) * 4 * 5120
    store = Blobs(tmp_path / "files")
    path = tmp_path / "given"
    path.write_bytes(content)
    with path.open("rb") as file:
        stored = await store.adopt(file, path)
    monkeypatch.setattr(room, "_SLOW_S", slow_s)
    monkeypatch.setattr(room, "_TRUST_BYTES", 1024 * KB)

    found = [chunk async for chunk in store.read(stored.key)]

    assert [len(chunk) // KB for chunk in found] == lengths
    assert b"".join(found) == content
