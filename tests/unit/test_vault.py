"""The vault: what it seals opens again, for what it belongs to and with a key that it has, and in no other case."""

from __future__ import annotations

import base64
import threading
from pathlib import Path

import pytest

from mediamill.core.errors import Misconfigured
from mediamill.vault import FILE, Unopenable, Vault

OLD, NEW = base64.b64encode(b"o" * 32).decode(), (b"n" * 32).hex()


def test_what_is_sealed_opens_and_cannot_be_read_in_between(tmp_path: Path) -> None:
    vault = Vault(OLD, tmp_path)

    sealed = vault.seal("s3cret", "connection c1")

    assert b"s3cret" not in sealed
    assert vault.open(sealed, "connection c1") == "s3cret"
    assert sealed != vault.seal("s3cret", "connection c1")
    assert not (tmp_path / FILE).exists()


def test_a_secret_moved_to_another_row_does_not_open(tmp_path: Path) -> None:
    vault = Vault(OLD, tmp_path)

    with pytest.raises(Unopenable, match="changed"):
        vault.open(vault.seal("s3cret", "connection c1"), "connection c2")


@pytest.mark.parametrize("place", [0, 1, 9, 25, -1])
def test_a_changed_byte_does_not_open(tmp_path: Path, place: int) -> None:
    vault = Vault(OLD, tmp_path)
    sealed = bytearray(vault.seal("s3cret", "connection c1"))
    sealed[place] ^= 1

    with pytest.raises(Unopenable):
        vault.open(bytes(sealed), "connection c1")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + b"x" * 12])
def test_what_is_no_sealed_value_is_said_to_be_none(tmp_path: Path, sealed: bytes) -> None:
    with pytest.raises(Unopenable, match="form"):
        Vault(OLD, tmp_path).open(sealed, "connection c1")


def test_the_first_key_seals_and_all_open(tmp_path: Path) -> None:
    before, after = Vault(OLD, tmp_path), Vault(f"{NEW}, {OLD}", tmp_path)
    sealed = before.seal("s3cret", "connection c1")

    assert after.open(sealed, "connection c1") == "s3cret"
    assert after.key_id != before.key_id
    with pytest.raises(Unopenable, match=before.key_id):
        Vault(NEW, tmp_path).open(sealed, "connection c1")


def test_without_a_setting_one_key_is_made_that_only_we_can_read(tmp_path: Path) -> None:
    sealed = Vault(None, tmp_path / "data").seal("s3cret", "connection c1")

    assert ((tmp_path / "data" / FILE).stat().st_mode & 0o777) == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == [FILE]
    assert Vault(None, tmp_path / "data").open(sealed, "connection c1") == "s3cret"


def test_opening_alone_makes_no_key(tmp_path: Path) -> None:
    sealed = Vault(OLD, tmp_path).seal("s3cret", "connection c1")

    with pytest.raises(Unopenable, match="MEDIAMILL_SECRET_KEY"):
        Vault(None, tmp_path).open(sealed, "connection c1")
    assert not (tmp_path / FILE).exists()


def test_of_many_that_come_at_once_one_makes_the_key(tmp_path: Path) -> None:
    together = threading.Barrier(8)
    ids: list[str] = []

    def start() -> None:
        vault = Vault(None, tmp_path)
        together.wait()
        ids.append(vault.key_id)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(ids) == 8
    assert len(set(ids)) == 1


@pytest.mark.parametrize("keys", ["", " , ", "short", base64.b64encode(b"x" * 31).decode(), "ä" * 43, f"{OLD},short"])
def test_what_is_no_key_is_refused_with_how_to_make_one(tmp_path: Path, keys: str) -> None:
    with pytest.raises(Misconfigured, match="openssl rand"):
        Vault(keys, tmp_path)
