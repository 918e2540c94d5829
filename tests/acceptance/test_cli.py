"""The command line against a real server: processes, database, sandboxed workers and all."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.support.server import until

from mediamill import _transfer
from mediamill.cli import _samples, demo
from mediamill.client import Client

Cli = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="module")
def mill() -> Iterator[Client]:
    with demo.server() as mill:
        yield mill


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("samples")
    _samples.picture(folder, 640, 400).rename(folder / "photo.png")
    _samples.letter(folder)
    _samples.film(folder, _samples.sound(folder))
    return folder


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH where `mediamill` and `python3` are those of this run."""
    folder = tmp_path_factory.mktemp("bin")
    for name, words in {"mediamill": "-m mediamill.cli", "python3": ""}.items():
        (folder / name).write_text(f'#!/bin/sh\nexec "{sys.executable}" {words} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


@pytest.fixture
def environment(mill: Client, programs: Path) -> dict[str, str]:
    key = mill._auth["Authorization"].removeprefix("Bearer ")
    path = f"{programs}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "MEDIAMILL_URL": mill.url, "MEDIAMILL_KEY": key}


@pytest.fixture
def cli(environment: dict[str, str], samples: Path, tmp_path: Path) -> Cli:
    """Runs `mediamill …` in a fresh folder that holds the samples."""
    shutil.copytree(samples, tmp_path, dirs_exist_ok=True)

    def run(*arguments: str, **more: Any) -> subprocess.CompletedProcess[bytes]:
        env = environment | more.pop("env", {})
        return subprocess.run(
            ["mediamill", *arguments], cwd=tmp_path, env=env, capture_output=True, timeout=120, check=False, **more
        )

    return run


def test_a_picture_is_converted_as_asked(cli: Cli, tmp_path: Path) -> None:
    done = cli("run", "convert", "photo.png", "-o", "small.webp", "--quality", "80", "--resize-width", "320", "--json")

    assert done.returncode == 0, done.stderr
    task = json.loads(done.stdout)
    assert task["outputs"][0]["file"]["facts"]["width_px"] == 320
    with Image.open(tmp_path / "small.webp") as image:
        assert (image.format, image.size) == ("WEBP", (320, 200))


def test_a_document_goes_through_a_pipe(cli: Cli) -> None:
    letter = _samples.LETTER.encode()

    done = cli("run", "convert", "-", "--name", "letter.md", "--format", "pdf", "-o", "-", input=letter)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"%PDF-")


def test_a_broken_picture_fails_with_a_reason(cli: Cli, tmp_path: Path) -> None:
    whole = (tmp_path / "photo.png").read_bytes()
    (tmp_path / "broken.png").write_bytes(whole[: len(whole) // 3])

    done = cli("run", "convert", "broken.png", "-o", "x.webp", "--json")

    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == "bad_media"
    assert not (tmp_path / "x.webp").exists()


def test_a_pair_that_nothing_converts_is_refused_with_its_field(cli: Cli) -> None:
    done = cli("run", "convert", "letter.md", "-o", "letter.mp3", "--json")

    assert done.returncode == 4
    assert json.loads(done.stdout)["error"]["code"] == "unsupported"


def test_a_running_task_is_cancelled(cli: Cli, mill: Client, samples: Path) -> None:
    sound = samples / "chords.wav"
    (samples / "long").mkdir()
    film = _samples.film(samples / "long", sound, seconds=8)
    file = mill.upload(film)
    # The slowest thing there is to do with it: VP9 at several times its size.
    task = mill.create("convert", [file["id"]], {"format": "webm", "resize": {"width": 2560}})
    for state in mill.events(task["id"]):
        if state["state"] == "running":
            break

    cancelled = cli("cancel", task["id"])
    waited = cli("wait", task["id"], "--timeout", "90")

    assert cancelled.returncode == 0, cancelled.stderr
    assert waited.returncode == 6, waited.stderr
    assert mill.task(task["id"])["state"] == "cancelled"


def test_the_same_idempotency_key_makes_one_task(cli: Cli) -> None:
    words = ["submit", "convert", "https://example.org/a.png", "--options", '{"format":"webp"}', "--not-before"]
    words += ["2090-01-01T00:00:00Z", "--idempotency-key", "once"]

    first, second = cli(*words), cli(*words)

    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout


def test_a_member_key_works_until_it_is_revoked(cli: Cli) -> None:
    made = json.loads(cli("keys", "create", "visitor", "--json").stdout)
    visitor = {"MEDIAMILL_KEY": made["secret"]}

    assert cli("ls", env=visitor).returncode == 0
    assert cli("keys", "ls", env=visitor).returncode == 4
    assert cli("keys", "revoke", made["id"]).returncode == 0
    assert cli("ls", env=visitor).returncode == 4


def test_a_large_file_goes_up_in_pieces_and_comes_back(
    mill: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_transfer, "RESUMABLE_FROM_BYTES", 1_000_000)
    monkeypatch.setattr(_transfer, "PIECE_BYTES", 1 << 20)
    source = tmp_path / "large.bin"
    source.write_bytes(os.urandom(5_500_000))

    file = mill.upload(source)
    back = mill.download(file, tmp_path / "back.bin")

    assert file["filename"] == "large.bin"
    assert back.read_bytes() == source.read_bytes()


def test_unknown_tasks_and_no_server_have_their_statuses(cli: Cli) -> None:
    assert cli("get", "tnosuchtask").returncode == 3
    assert cli("ls", "--server", "http://127.0.0.1:9").returncode == 5


def test_ctrl_c_leaves_the_task_to_the_server(
    environment: dict[str, str], mill: Client, samples: Path, tmp_path: Path
) -> None:
    waiting = mill.create(
        "convert", ["https://example.org/a.png"], {"format": "webp"}, not_before="2090-01-01T00:00:00Z"
    )
    with subprocess.Popen(
        ["mediamill", "wait", waiting["id"], "--json"],
        env=environment,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        # A shell's job in the background ignores it, and so would all that the tests start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        try:
            until_connected(process.pid, mill.url)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=90)
        finally:
            process.kill()

    assert process.returncode == 130
    assert f"{waiting['id']} goes on".encode() in said
    assert mill.cancel(waiting["id"])["state"] == "cancelled"


def until_connected(pid: int, url: str) -> None:
    """Returns once the process has a connection open to the server, so that it is past its start."""
    port = f":{int(url.rpartition(':')[2]):04X}"

    def connected() -> bool:
        sockets = set()
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # it was closed just now
                sockets.add(os.readlink(link))
        rows = (line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:])
        return any(row[2].endswith(port) and row[3] == "01" and f"socket:[{row[9]}]" in sockets for row in rows)

    until(connected, what="the command's word with the server")


def test_a_folder_that_is_not_there_is_said_before_any_work(cli: Cli, mill: Client) -> None:
    before = mill.tasks()["data"][0]["id"]

    done = cli("run", "convert", "photo.png", "-o", "no/such/small.webp")

    assert done.returncode == 2
    assert b"no/such: no such folder." in done.stderr
    assert mill.tasks()["data"][0]["id"] == before


def test_an_address_that_is_taken_is_said_before_anything_is_started(cli: Cli, mill: Client, tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost"):
        done = cli("serve", "--host", host, "--port", mill.url.rpartition(":")[2], "--data", "data")

        assert done.returncode == 2
        assert b"Address already in use. Choose another: --port" in done.stderr
        assert b"Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_the_demo_converts_everything_and_leaves_no_process(programs: Path, tmp_path: Path) -> None:
    # A short path: the socket of the embedded database lies below it.
    temporary = tempfile.mkdtemp(prefix="m-")
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": temporary}
    if "PYTHONPATH" in os.environ:
        environment["PYTHONPATH"] = os.environ["PYTHONPATH"]

    done = subprocess.run(
        ["mediamill", "demo", "--json"], cwd=tmp_path, env=environment, capture_output=True, timeout=180, check=False
    )

    assert done.returncode == 0, done.stderr
    assert {task["state"] for task in json.loads(done.stdout)["tasks"]} == {"succeeded"}
    results = sorted(path for path in (tmp_path / "demo-output").iterdir() if path.is_file())
    assert [path.name for path in results] == sorted(wish.target for wish in demo.WISHES)
    with Image.open(tmp_path / "demo-output" / "film.gif") as image:
        assert (image.width, getattr(image, "n_frames", 1)) == (320, 20)
    assert [line for line in command_lines() if temporary in line] == []
    # Empty: this fails when the demo left anything there.
    Path(temporary).rmdir()


def command_lines() -> Iterator[str]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                yield (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
