"""The embedded server: shared, stopped by the last to leave, and found again after a crash."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from tests.support.server import until

from mediamill.core.errors import Misconfigured
from mediamill.store import embedded as room
from mediamill.store.embedded import Embedded


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path: a socket's is limited."""
    made = Path(tempfile.mkdtemp(prefix="mill-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def pid_of(folder: Path) -> int:
    return int(next(folder.glob("pg*/postmaster.pid")).read_text().split("\n")[0])


def has_ended(pid: int) -> bool:
    """Gone, or a zombie that nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


async def answers(dsn: str) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        return bool(await connection.fetchval("SELECT true"))
    finally:
        await connection.close()


async def test_two_users_share_one_server_and_the_last_stops_it(folder: Path) -> None:
    with Embedded(folder, durable=False) as first:
        pid = pid_of(folder)
        with Embedded(folder, durable=False) as second:
            assert second.dsn == first.dsn
            assert pid_of(folder) == pid
        assert await answers(first.dsn)

    until(lambda: has_ended(pid), what="the server's end")


async def test_killed_server_starts_again_with_what_was_committed(folder: Path) -> None:
    with Embedded(folder) as embedded:
        connection = await asyncpg.connect(embedded.dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        pid = pid_of(folder)
        os.kill(pid, signal.SIGKILL)
        connection.terminate()
        until(lambda: has_ended(pid), what="the server's end")

    with Embedded(folder) as again:
        connection = await asyncpg.connect(again.dsn)
        assert await connection.fetchval("SELECT n FROM kept") == 7
        await connection.close()


async def test_a_server_that_dies_under_its_users_is_started_again_by_one_of_them(folder: Path) -> None:
    with Embedded(folder) as embedded, Embedded(folder) as other:
        assert not embedded.has_fallen()
        pid = pid_of(folder)
        os.kill(pid, signal.SIGKILL)
        until(embedded.has_fallen, what="the server's end")

        assert [embedded.revive(), other.revive()] == [True, False]

        assert await answers(other.dsn)
        assert pid_of(folder) != pid


async def test_a_server_that_dies_under_one_user_is_started_again_by_another(folder: Path) -> None:
    """The one that started it may be busy with leaving, or never look: a worker does not."""
    starter = "import sys; from pathlib import Path; from mediamill.store.embedded import Embedded\n"
    starter += "with Embedded(Path(sys.argv[1]), durable=False): print(flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", starter, str(folder)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdin is not None
        assert first.stdout is not None
        first.stdout.readline()
        pid = pid_of(folder)

        os.kill(pid, signal.SIGKILL)
        until(lambda: has_ended(pid), what="the end of the server")
        with Embedded(folder, durable=False) as second:
            assert await answers(second.dsn)
            assert pid_of(folder) != pid
            first.stdin.close()
            first.wait()


async def test_a_server_that_was_stopped_in_good_order_is_left_alone(folder: Path) -> None:
    with Embedded(folder, durable=False) as embedded:
        os.kill(pid_of(folder), signal.SIGINT)
        until(lambda: not (folder / "pg18" / "postmaster.pid").exists(), what="the server's end")

        assert not embedded.has_fallen()
        assert not embedded.revive()


DEAF = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)
print(flush=True)
signal.pause()
"""
"""A shell's background jobs, and so tests that run there, begin with the second of them ignored as well."""


@contextlib.contextmanager
def deaf_server(folder: Path, status: str) -> Iterator[subprocess.Popen[bytes]]:
    """What the data folder takes for its server, and which hears of no stop in good order."""
    with subprocess.Popen([sys.executable, "-c", DEAF, "postgres"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        [data] = folder.glob("pg*")
        lines = [str(process.pid), str(data), "1", "5432", str(data), "", "1 1", status]
        (data / "postmaster.pid").write_text("\n".join(lines) + "\n")
        (data / "postmaster.pid").chmod(0o666)  # PostgreSQL's own account takes it over
        try:
            yield process
            process.wait(60)
        finally:
            process.kill()
            (data / "postmaster.pid").unlink(missing_ok=True)


def test_a_user_without_a_name_is_told_what_to_do(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.getuid() == 0:
        pytest.skip("root makes it as another user")

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(room.pwd, "getpwuid", unknown)
    with pytest.raises(Misconfigured, match="useradd"), Embedded(folder):
        pass


def test_a_server_that_hangs_in_its_stop_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Embedded(folder, durable=False):
        pass
    monkeypatch.setattr(room, "_STOP_S", 0.2)

    with deaf_server(folder, "ready") as process, Embedded(folder, durable=False):
        assert process.poll() is None

    assert process.returncode == -signal.SIGQUIT


async def test_a_server_that_another_has_left_in_its_stop_is_replaced(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Embedded(folder, durable=False):
        pass
    monkeypatch.setattr(room, "_STOP_S", 0.2)

    with deaf_server(folder, "stopping") as process:
        threading.Thread(target=process.wait, daemon=True).start()
        with Embedded(folder, durable=False) as started:
            assert await answers(started.dsn)

    assert process.returncode == -signal.SIGQUIT


async def test_long_paths_get_a_socket_elsewhere_that_only_the_owner_reaches(folder: Path) -> None:
    deep = folder / ("d" * 60) / ("e" * 60)

    with Embedded(deep, durable=False) as embedded:
        socket = Path(embedded.dsn.partition("host=")[2])

        assert await answers(embedded.dsn)
        assert len(str(socket)) < 100
        assert socket.stat().st_mode & 0o077 == 0

    assert not socket.exists()


async def test_half_made_database_is_made_anew(folder: Path) -> None:
    half = folder / "pg18"
    half.mkdir()
    (half / "base").mkdir()

    with Embedded(folder, durable=False) as embedded:
        assert await answers(embedded.dsn)
