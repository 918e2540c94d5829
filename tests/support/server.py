"""A real server, as processes: `mediamill serve` on a free port, with data in a folder that goes away with it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
from tests.support import database

KEY = "mill_key_of_the_tests"
START_S = 90.0
STOP_S = 45.0


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: `url` has no slash at its end, `key` is its administrator's, `log` what it has said."""

    url: str
    key: str
    data: Path
    log: Path
    process: subprocess.Popen[bytes]

    def client(self, **given: object) -> httpx.Client:
        """An HTTP client that sends the key; close it, or use it as a context manager."""
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60, **given)  # type: ignore[arg-type]


@contextlib.contextmanager
def serving(
    *arguments: str, environment: Mapping[str, str] | None = None, worker: bool = True, verify: str | bool = True
) -> Iterator[Server]:
    """A server with `arguments` after `mediamill serve`, ready for work on entering, stopped in good order on leaving.

    environment: MEDIAMILL_ settings over the tests' own; none of the caller's are handed on. verify: the CA file that
    vouches for the server's certificate, when it is given one.
    """
    # A short name: PostgreSQL's socket lies below it, and such paths end at 107 letters.
    folder = Path(tempfile.mkdtemp(prefix="mill-"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MEDIAMILL_")}
    kept |= {"MEDIAMILL_ADMIN_KEY": KEY, "MEDIAMILL_PORT": "0", "MEDIAMILL_DATA": str(folder / "data")}
    # Of names that are none, the answer is sometimes lost; the C library asks again after five seconds.
    kept |= {"RES_OPTIONS": "timeout:1 attempts:3"}
    kept |= environment or {}
    if kept["MEDIAMILL_DATA"] == str(folder / "data") and "MEDIAMILL_DATABASE_URL" not in kept:
        _begin_with_a_cluster(folder)
    argv = [sys.executable, "-m", "mediamill.cli", "serve", *([] if worker else ["--no-worker"]), *arguments]
    try:
        with (folder / "server.log").open("wb") as log:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=kept, start_new_session=True
            )
        try:
            url = _said_url(process, folder / "server.log")
            server = Server(url, kept["MEDIAMILL_ADMIN_KEY"], folder / "data", folder / "server.log", process)
            if worker:
                with httpx.Client(verify=_context(verify)) as http:
                    until(lambda: http.get(f"{url}/mill/ready").status_code == 200, timeout_s=START_S, what="readiness")
            yield server
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def until(holds: Callable[[], bool], *, timeout_s: float = 60.0, what: str = "the condition") -> None:
    """Return as soon as `holds()`; fail the test when it does not in time."""
    pause, deadline = threading.Event(), time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, f"{what} did not come within {timeout_s:.0f} s"
        pause.wait(0.02)


def _begin_with_a_cluster(folder: Path) -> None:
    """Spare a server the making of its database, which is half of its start; the command's own tests see it done."""
    made = database.ready_made()
    (folder / "data").mkdir()
    for way in (folder, folder / "data"):
        way.chmod(0o711)  # as root, PostgreSQL runs under an account of its own, which must get there
    subprocess.run(["cp", "-a", str(made), str(folder / "data" / made.name)], check=True)


def _context(verify: str | bool) -> ssl.SSLContext | bool:
    return ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify


def _said_url(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where it listens, from the line it prints once it does."""
    assert process.stdout is not None
    watchdog = threading.Timer(START_S, process.kill)
    watchdog.start()
    try:
        for line in process.stdout:
            if b" ready at " in line:
                return line.decode().rsplit(" ready at ", 1)[1].strip()
    finally:
        watchdog.cancel()
    raise AssertionError(f"the server ended with {process.wait()}:\n{log.read_text(errors='replace')[-3000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """As an operator would. One that does not listen to that is a fault, and fails the test."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise AssertionError(f"the server had not stopped {STOP_S:.0f} s after SIGTERM") from None
    finally:
        if process.stdout is not None:
            process.stdout.close()
