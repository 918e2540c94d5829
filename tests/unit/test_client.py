"""The Python client against a server that misbehaves on demand."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.fake_mill import KEY, FakeMill, fail, fake_mill, linger

from mediamill import _transfer
from mediamill.client import Client, NotFound, Refused, Unreachable, WaitedTooLong


@pytest.fixture
def server() -> Iterator[FakeMill]:
    with fake_mill() as server:
        yield server


@pytest.fixture
def mill(server: FakeMill, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setattr(_transfer, "FIRST_PAUSE_S", 0.001)
    with Client(server.url, KEY) as mill:
        yield mill


def stored(mill: Client, tmp_path: Path, content: bytes) -> str:
    source = tmp_path / "source.bin"
    source.write_bytes(content)
    return mill.upload(source)["id"]


def test_an_upload_arrives_as_it_was_and_says_how_far_it_is(mill: Client, server: FakeMill, tmp_path: Path) -> None:
    source = tmp_path / "Grüße 1.bin"
    source.write_bytes(bytes(range(256)) * 1000)
    told: list[tuple[int, int]] = []

    file = mill.upload(source, on_progress=lambda done, all: told.append((done, all)))

    assert server.files[file["id"]] == source.read_bytes()
    assert file["filename"] == "Grüße 1.bin"
    assert told[-1] == (256000, 256000)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_large_upload_goes_in_pieces_and_goes_on_where_it_broke(
    mill: Client, server: FakeMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_transfer, "RESUMABLE_FROM_BYTES", 1000)
    monkeypatch.setattr(_transfer, "PIECE_BYTES", 4096)
    content = bytes(range(251)) * 100
    server.break_patches = 2

    id = stored(mill, tmp_path, content)

    assert server.files[id] == content
    assert [method for method, _, _ in server.seen].count("HEAD") == 2


def test_an_upload_whose_last_answer_was_lost_is_one_file(
    mill: Client, server: FakeMill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_transfer, "RESUMABLE_FROM_BYTES", 1000)
    server.lose_last_patch = True

    id = stored(mill, tmp_path, b"x" * 5000)

    assert server.files == {id: b"x" * 5000}


def test_a_download_goes_on_where_it_broke(mill: Client, server: FakeMill, tmp_path: Path) -> None:
    content = bytes(range(256)) * 2000
    id = stored(mill, tmp_path, content)
    server.break_downloads = 3

    target = mill.download(mill.file(id), tmp_path / "back.bin")

    assert target.read_bytes() == content
    ranges = [headers.get("Range") for _, path, headers in server.seen if path.startswith("/download")]
    assert ranges == [None, "bytes=256000-", "bytes=384000-", "bytes=448000-"]


def test_a_server_without_ranges_is_asked_for_all_again(mill: Client, server: FakeMill, tmp_path: Path) -> None:
    content = b"0123456789" * 1000
    id = stored(mill, tmp_path, content)
    server.break_downloads, server.ranges = 1, False

    assert mill.download(mill.file(id), tmp_path / "back.bin").read_bytes() == content


def test_a_download_that_never_completes_leaves_no_file(mill: Client, server: FakeMill, tmp_path: Path) -> None:
    id = stored(mill, tmp_path, b"x" * 1000)
    server.break_downloads = 99

    with pytest.raises(Unreachable):
        mill.download(mill.file(id), tmp_path / "back.bin")

    assert [path.name for path in tmp_path.iterdir()] == ["source.bin"]


def test_bytes_that_differ_from_the_checksum_are_not_saved(mill: Client, server: FakeMill, tmp_path: Path) -> None:
    id = stored(mill, tmp_path, b"right bytes")
    server.spoil = True

    with pytest.raises(Unreachable, match="not those that the server stored"):
        mill.download(mill.file(id), tmp_path / "back.bin")

    assert not (tmp_path / "back.bin").exists()


def test_the_key_is_not_sent_along_to_download_addresses(mill: Client, server: FakeMill, tmp_path: Path) -> None:
    id = stored(mill, tmp_path, b"bytes")

    mill.download(mill.file(id), tmp_path / "back.bin")

    [headers] = [headers for _, path, headers in server.seen if path.startswith("/download")]
    assert "Authorization" not in headers


def test_a_creation_whose_answer_was_lost_is_one_task(mill: Client, server: FakeMill) -> None:
    server.break_creates = 1

    task = mill.create("convert", ["https://example.org/a.png"], {"format": "webp"})

    assert list(server.tasks) == [task["id"]]


def test_waiting_outlives_a_stream_that_breaks_off(mill: Client, server: FakeMill) -> None:
    server.break_events = 2
    id = mill.create("convert", ["https://example.org/a.png"])["id"]
    states: list[str] = []

    task = mill.wait(id, on_change=lambda task: states.append(task["state"]))

    assert task["state"] == "succeeded"
    assert states[0] == "running"


def test_a_failed_task_is_an_answer_and_no_exception(mill: Client, server: FakeMill) -> None:
    server.ends = fail

    task = mill.wait(mill.create("convert", ["https://example.org/a.png"])["id"])

    assert task["error"] is not None
    assert task["error"]["code"] == "bad_media"


def test_waiting_ends_at_its_deadline(mill: Client, server: FakeMill) -> None:
    server.ends = linger
    id = mill.create("convert", ["https://example.org/a.png"])["id"]

    with pytest.raises(WaitedTooLong, match="still running"):
        mill.wait(id, timeout_s=0.05)


def test_an_id_with_slashes_stays_one_path_segment(mill: Client, server: FakeMill) -> None:
    with pytest.raises(NotFound):
        mill.task("../keys")

    assert server.seen[-1][1] == "/mill/tasks/..%2Fkeys"


def test_a_refusal_carries_status_code_and_words(server: FakeMill) -> None:
    with Client(server.url, "wrong") as mill, pytest.raises(Refused, match="No such key") as caught:
        mill.tasks()

    assert (caught.value.status, caught.value.code) == (401, "unauthorized")


def test_no_server_is_said_with_its_remedy() -> None:
    with Client("http://127.0.0.1:9", KEY) as mill, pytest.raises(Unreachable, match="No server answers") as caught:
        mill.tasks()

    assert "mediamill serve" in caught.value.remedy


def test_a_link_is_written_through_and_a_pipe_is_written_to(mill: Client, tmp_path: Path) -> None:
    content = b"some bytes"
    file = mill.file(stored(mill, tmp_path, content))
    (tmp_path / "kept").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "kept" / "real.bin")
    reading, writing = os.pipe()

    mill.download(file, tmp_path / "link")
    mill.download(file, Path(f"/dev/fd/{writing}"))
    os.close(writing)

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "kept" / "real.bin").read_bytes() == content
    with os.fdopen(reading, "rb") as pipe:
        assert pipe.read() == content


def test_a_device_is_never_replaced(mill: Client, tmp_path: Path) -> None:
    file = mill.file(stored(mill, tmp_path, b"some bytes"))
    (tmp_path / "null").symlink_to("/dev/null")  # a mistake here must not cost the machine its own

    mill.download(file, tmp_path / "null")

    assert (tmp_path / "null").is_char_device()
    assert not list(tmp_path.glob(".*.part"))


def test_a_place_that_cannot_be_written_to_is_named_as_the_caller_names_it(mill: Client, tmp_path: Path) -> None:
    file = mill.file(stored(mill, tmp_path, b"some bytes"))

    with pytest.raises(FileNotFoundError) as refused:
        mill.download(file, tmp_path / "none" / "x.bin")

    assert refused.value.filename == str(tmp_path / "none" / "x.bin")


@pytest.mark.parametrize("url", ["nonsense", "ftp://host", "http://[::1", "http://host:port"])
def test_what_is_no_address_of_a_server_is_said_to_be_none(url: str) -> None:
    with pytest.raises(Unreachable, match="no http"), Client(url, KEY) as mill:
        mill.tasks()


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ("format: no such format.", "format: no such format."),
        ("resize.width: too wide.", "resize.width: too wide."),
        ("idth: a word that only looks like it.", "options.resize.width: idth: a word that only looks like it."),
        ("must not be so.", "options.resize.width: must not be so."),
    ],
)
def test_a_refusal_names_its_field_once(detail: str, said: str) -> None:
    field = "options.format" if detail.startswith("format") else "options.resize.width"

    assert str(Refused(422, {"field": field, "detail": detail})) == said
