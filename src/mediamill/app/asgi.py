"""The API as an ASGI app, with the pool and the listener behind it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import structlog

from mediamill import tracing
from mediamill.app._lean import without_optional
from mediamill.app.common import blobs_of, end_all, installed, net_of, signing_secret, vault_of
from mediamill.app.sealing import again
from mediamill.config import Settings
from mediamill.store import pool as pools
from mediamill.store.automations import STARTS
from mediamill.store.endpoints import Endpoints as EndpointTable
from mediamill.store.keys import Keys as KeyTable
from mediamill.store.listen import listen
from mediamill.store.notices import WAKE
from mediamill.store.steps import TOKENS
from mediamill.store.upkeep import Upkeep

log = structlog.get_logger()

_LOOK_EVERY_S = 10.0
_HEARD_S = 15.0
"""Workers are heard of every five seconds."""


@contextlib.asynccontextmanager
async def api(
    settings: Settings, dsn: str, *, leaving: asyncio.Event | None = None
) -> AsyncIterator[tuple[Any, KeyTable]]:
    """(the ASGI app, the key table), with the pool and the listener behind them.

    leaving: once set, waits and streams of events end, so that the server's connections can.
    """
    from mediamill.app._later import Later
    from mediamill.app.service import service_of
    from mediamill.dialects import Site
    from mediamill.dialects import load as load_dialects
    from mediamill.front import Front
    from mediamill.metrics import Metrics
    from mediamill.service.signing import Signer
    from mediamill.service.steps import Letters
    from mediamill.service.watch import Watch
    from mediamill.signed import SignedApp
    from mediamill.web.cors import Cors

    _lean_web()
    pool = await pools.open_pool(dsn, least=1, most=10)
    blobs, client, vault = blobs_of(settings), net_of(settings), vault_of(settings)
    upkeep, watch, letters = Upkeep(pool), Watch(), Letters()
    here = installed()
    goodbye = asyncio.create_task(_goodbye(leaving, watch)) if leaving is not None else None
    asked = asyncio.Event()

    def anew() -> None:
        watch.wake_all()
        asked.set()

    listener = asyncio.create_task(
        listen(
            dsn,
            {WAKE: lambda payload: watch.told(payload.split(" ")), TOKENS: letters.told, STARTS: lambda _: asked.set()},
            anew,
        )
    )
    service = service_of(
        settings,
        pool=pool,
        blobs=blobs,
        vault=vault,
        check_url=client.check_url,
        engines=here,
        watch=watch,
        letters=letters,
        runners=_runners(upkeep, max(_HEARD_S, settings.heartbeat_s)),
    )
    if settings.secret_key is not None:
        await service.connections.reseal()  # what another key has sealed
        await EndpointTable(pool).reseal(vault.mark(), again(settings, vault))
    starter = asyncio.create_task(_starting(service.automations.start_due, asked))

    async def health() -> Mapping[str, str]:
        return {
            "database": await _said(upkeep.alive()),
            "files": await _said(blobs.check()),
            "workers": "ok" if await upkeep.workers(settings.heartbeat_s) else "no worker is running",
        }

    site = Site(
        service=service,
        settings=settings,
        signer=Signer(await signing_secret(settings, upkeep)),
        engines=here,
        health=health,
    )
    dialects = {d.prefix.strip("/"): d for d in load_dialects()}
    signed = SignedApp(site, {d.name: d for d in dialects.values()})
    metrics = Metrics(upkeep, settings.heartbeat_s, [*dialects, "ui", "upload", "download", "v1", "metrics"])
    apps: dict[str, Any] = {
        "ui": Later(lambda: _dashboard(site)),
        "upload": signed,
        "download": signed,
        "metrics": metrics,
    }
    front = Front({name: (d, d.build(site)) for name, d in dialects.items()}, apps, "/ui/")
    try:
        yield tracing.served(metrics.counted(Cors(front, settings.cors_origins), time.perf_counter)), KeyTable(pool)
    finally:
        await end_all(*(task for task in (listener, starter, goodbye) if task is not None))
        await client.close()
        await pool.close()


def _dashboard(site: Any) -> Any:
    from mediamill import dashboard

    return dashboard.build(site)


def _lean_web() -> None:
    """The web framework without what it does for models of other libraries, which are loaded for that: 3 MB."""
    from litestar.exceptions import MissingDependencyException

    without_optional("litestar.plugins.pydantic", MissingDependencyException, "pydantic")
    without_optional("litestar.plugins.attrs", MissingDependencyException, "attrs")


async def _starting(start_due: Callable[[], Awaitable[int]], asked: asyncio.Event) -> None:
    """Start automations as soon as they are asked for; now and then unasked, for what was put off or not heard."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_EVERY_S):
                await asked.wait()
        asked.clear()
        try:
            await start_due()
        except Exception:
            log.exception("automations not started", again_in_s=_LOOK_EVERY_S)


async def _goodbye(leaving: asyncio.Event, watch: Any) -> None:
    await leaving.wait()
    watch.end()


def _runners(upkeep: Upkeep, within_s: float) -> Callable[[], Awaitable[Mapping[str, bool]]]:
    """What runs prompts, here or at a worker, each with whether a worker runs it now; asked once a second at most."""
    from mediamill.agent.runners import runners

    found: dict[str, bool] = {}
    asked_at = float("-inf")

    async def ask() -> Mapping[str, bool]:
        nonlocal found, asked_at
        if time.monotonic() - asked_at > 1.0:
            asked_at = time.monotonic()
            found = dict.fromkeys(runners(), False) | await upkeep.runners(within_s)
        return found

    return ask


async def _said(check: Any) -> str:
    try:
        async with asyncio.timeout(5):
            await check
    except Exception as error:
        log.warning("not ready", exc_info=error)
        return type(error).__name__
    return "ok"
