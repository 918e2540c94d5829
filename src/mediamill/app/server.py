"""`mediamill serve`: the API in this process, and a worker kept beside it."""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog

from mediamill import __version__, config, kinds, tracing
from mediamill.app.asgi import api
from mediamill.app.common import configure_logs, end_all, export_tools, installed, kept_database, migrated, run
from mediamill.app.keeping import Kept
from mediamill.config import Settings
from mediamill.core.access import Role
from mediamill.core.errors import Misconfigured
from mediamill.store.embedded import Embedded
from mediamill.store.keys import DEFAULT_PROJECT
from mediamill.store.keys import Keys as KeyTable

log = structlog.get_logger()

_DATABASE_PAUSE_S = 1.0


async def first_key(settings: Settings, keys: KeyTable) -> str | None:
    """The administrator's key of the default project: the given one, or one made now (and returned, this once)."""
    await keys.project(DEFAULT_PROJECT, "default")
    if settings.admin_key is not None:
        await keys.create(DEFAULT_PROJECT, "administrator", Role.ADMIN, settings.admin_key.get_secret_value())
        return None
    if any(key.role is Role.ADMIN and key.revoked_at is None for key in await keys.list(DEFAULT_PROJECT)):
        return None
    _, secret = await keys.create(DEFAULT_PROJECT, "administrator", Role.ADMIN)
    await asyncio.to_thread(_save_key, settings.data, secret)
    return secret


def _save_key(folder: Path, secret: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "admin.key", "w", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(secret + "\n")


def _bound(settings: Settings) -> Sequence[socket.socket]:
    """Sockets at the address, which do not listen yet. Raises Misconfigured, before anything else was started."""
    where = f"{settings.host}:{settings.port}"
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            try:
                bound = socket.socket(family, kind, protocol)
                sockets.append(bound)
                # Not for a port that the system chooses: it must be nobody else's while it does not listen yet.
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, settings.port != 0)
                if family == socket.AF_INET6:
                    bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                bound.bind(address)
            except OSError as error:
                if len(sockets) < 2 or error.errno not in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
                    raise
                sockets.pop().close()  # localhost is ::1 too, where there may be no IPv6
    except (OSError, UnicodeError) as error:
        for bound in sockets:
            bound.close()
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        fix = "Choose another: --port or MEDIAMILL_PORT; --host or MEDIAMILL_HOST."
        raise Misconfigured("address", f"cannot listen at {where}: {why}.", fix) from error
    return sockets


async def _serve(
    settings: Settings, sockets: Sequence[socket.socket], dsn: str, worker: bool, embedded: Embedded | None
) -> int:
    import uvicorn

    from mediamill.app.connections import Bounded, raise_open_files

    loop, leaving = asyncio.get_running_loop(), asyncio.Event()

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            super().handle_exit(sig, frame)
            loop.call_soon_threadsafe(leaving.set)

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            """Without raising them again in the end: who was told to leave, and has left in good order, ends with 0."""
            before = {sig: signal.signal(sig, self.handle_exit) for sig in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for sig, handler in before.items():
                    signal.signal(sig, handler)

    crew = Kept(settings, leave_s=settings.drain_s + 40, on_end="worker ended; starting another")
    if worker:
        await crew.start()
    raise_open_files()
    keeper = asyncio.create_task(_keep(embedded)) if embedded is not None else None
    try:
        async with api(settings, dsn, leaving=leaving) as (asgi, keys):
            secret = await first_key(settings, keys)
            server = Server(
                uvicorn.Config(
                    asgi,
                    host=settings.host,
                    port=settings.port,
                    loop="none",
                    http=Bounded,
                    ws="none",
                    lifespan="off",
                    access_log=False,
                    log_config=None,
                    server_header=False,
                    timeout_keep_alive=75,
                    timeout_graceful_shutdown=5,
                    backlog=2048,
                    ssl_certfile=settings.tls_cert,
                    ssl_keyfile=settings.tls_key,
                )
            )
            serving = asyncio.create_task(server.serve(list(sockets)))
            while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.005)
            if server.started:
                port = server.servers[0].sockets[0].getsockname()[1]
                _announce(settings, port, secret, worker)
            await serving
            return 0 if server.started else 3
    finally:
        await crew.stop()
        if keeper is not None:
            await end_all(keeper)


async def _keep(embedded: Embedded) -> None:
    """Start the database again when it has died. What an operator stops stays so until something else starts it."""
    while True:
        await asyncio.sleep(_DATABASE_PAUSE_S)
        try:
            if embedded.has_fallen() and await asyncio.to_thread(embedded.revive):
                log.error("the database had died; started again")
        except (Misconfigured, OSError):
            log.exception("the database has died, and does not start", again_in_s=_DATABASE_PAUSE_S)


def _announce(settings: Settings, port: int, secret: str | None, worker: bool) -> None:
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    here = installed()
    missing = {name: kind.missing(here) for name, kind in sorted(kinds.load().items())}
    lines = [f"Mediamill {__version__} ready at {scheme}://{host}:{port}"]
    if secret is not None:
        lines.append(f"  key       {secret}   (shown once; also in {settings.data / 'admin.key'})")
    elif settings.admin_key is not None:
        lines.append("  key       the one in MEDIAMILL_ADMIN_KEY")
    lines.append(f"  data      {settings.data}")
    lines.append(f"  dashboard {scheme}://{host}:{port}/ui/")
    lines.append(f"  workers   {'here' if worker else 'elsewhere (mediamill worker)'}")
    on = ", ".join(name for name, why in missing.items() if why is None)
    lines.append(f"  kinds on  {on}; {len(here.conversions())} conversions")
    lines += [f"  kind off  {name}: {why.reason} {why.remedy}" for name, why in missing.items() if why is not None]
    for name, absent in sorted(here.absent().items()):
        lines.append(f"  engine off  {name}: {absent.reason} {absent.remedy}")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    data: Path | None = None,
    worker: bool = True,
    tls_cert: Path | None = None,
    tls_key: Path | None = None,
) -> int:
    """Run the API, and a worker beside it unless told not to, until a signal. Returns the exit status."""
    settings = config.load(host=host, port=port, data=data, tls_cert=tls_cert, tls_key=tls_key)
    configure_logs(settings)
    export_tools(settings)
    sockets = _bound(settings)
    # A signal while the database starts must still stop it in good order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with kept_database(settings) as (dsn, embedded):
        migrated(dsn)
        tracing.begin("api", __version__)
        try:
            return int(run(_serve(settings, sockets, dsn, worker, embedded)))
        finally:
            tracing.end()
