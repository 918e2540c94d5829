"""What the server and the worker both need, made from the settings."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sys
from collections.abc import Iterator, MutableMapping, Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import structlog

from mediamill import config, engines, models, net
from mediamill.blobs import Blobs
from mediamill.config import Settings
from mediamill.core.errors import ToolFailed
from mediamill.core.files import File
from mediamill.core.firings import Runner
from mediamill.core.ports import ToolRun
from mediamill.core.tasks import Task
from mediamill.store import pool as pools
from mediamill.store.embedded import Embedded
from mediamill.store.upkeep import Upkeep
from mediamill.vault import Vault

SUPERVISED = f"{config.PREFIX}SUPERVISED_BY"
"""Set for a worker that a server keeps: that server's pid."""


@contextlib.contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The connection string of the operator's server, or of the embedded one for as long as the block lasts."""
    with kept_database(settings) as (dsn, _):
        yield dsn


@contextlib.contextmanager
def kept_database(settings: Settings) -> Iterator[tuple[str, Embedded | None]]:
    """(the connection string, the embedded server if it is that one), likewise."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value(), None
        return
    settings.data.mkdir(parents=True, exist_ok=True)
    with Embedded(settings.data) as embedded:
        yield embedded.dsn, embedded


def configure_logs(settings: Settings) -> None:
    """Structured logs on stderr: JSON, or lines for people on a terminal."""
    import logging

    as_json = settings.log_json if settings.log_json is not None else not sys.stderr.isatty()
    level = getattr(logging, settings.log_level.upper())
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, format="%(name)s: %(message)s")
    # Where it broke, and not what the variables held there: keys, prompts and addresses of callers are among that.
    frames = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
    for_people = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    renderer: Any = structlog.processors.JSONRenderer() if as_json else for_people
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            frames if as_json else _plain,
            renderer,
        ],
        logger_factory=_Loggers(),
        cache_logger_on_first_use=True,
    )


def _plain(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event with nothing in its words that a terminal would act on: a caller's name may hold anything."""
    return {name: _shown(value) if isinstance(value, str) else value for name, value in event.items()}


def _shown(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class _Loggers:
    """Makes loggers that write to stderr while that takes anything: what cannot be told must not break the work."""

    def __call__(self, *_: Any) -> Any:
        return _Logger(sys.stderr)


class _Logger(structlog.WriteLogger):
    def msg(self, message: str) -> None:
        with contextlib.suppress(OSError):  # a full disk, a reader that has gone
            super().msg(message)

    log = debug = info = warn = warning = fatal = failure = err = error = critical = exception = msg


def blobs_of(settings: Settings) -> Blobs:
    """The store of bytes."""
    return Blobs(settings.blobs_url if settings.blobs_url else settings.data / "files")


def vault_of(settings: Settings) -> Vault:
    """Where secrets are sealed and opened."""
    return Vault(settings.secret_key.get_secret_value() if settings.secret_key else None, settings.data)


def net_of(settings: Settings) -> Any:
    """The guarded client."""
    limits = net.Limits(max_bytes=settings.max_fetch_bytes, total_timeout_s=settings.fetch_total_s)
    return net.Client(allow_networks=settings.allow_networks, limits=limits)


def net_for_services() -> Any:
    """The client for services that the operator has set up: wherever they are, and however long they think."""
    everywhere = (ip_network("0.0.0.0/0"), ip_network("::/0"))
    return net.Client(allow_networks=everywhere, limits=net.Limits(read_timeout_s=3600.0))


def services_of(settings: Settings) -> dict[str, Any]:
    """Each service with a base URL: the settings NAME_base_url and NAME_api_key, found by their names."""
    from mediamill.worker.services import Service

    found = {}
    for setting in Settings.model_fields:
        name, _, rest = setting.rpartition("_base_url")
        if name and not rest and (base_url := getattr(settings, setting)):
            key = getattr(settings, f"{name}_api_key", None)
            headers = {} if key is None else {"authorization": _credential(name, key.get_secret_value())}
            found[name] = Service(base_url=str(base_url), headers=headers)
    return found


def _credential(service: str, key: str) -> str:
    return key if service == "assemblyai" else f"Bearer {key}"  # which takes its key bare


def lifetimes(settings: Settings) -> dict[str, float | None]:
    """How long files are kept, by the dialect they were made in."""
    own = {
        name.removesuffix("_lifetime_s"): getattr(settings, name)
        for name in Settings.model_fields
        if name.endswith("_lifetime_s")
    }
    return {**own, "mill": settings.file_lifetime_s}


async def signing_secret(settings: Settings, upkeep: Upkeep) -> bytes:
    """What signs our links: as set, else one made once for this database."""
    given = settings.signing_secret
    return given.get_secret_value().encode() if given else await upkeep.secret("signing", secrets.token_bytes(32))


def origin_of(settings: Settings, reached: str | None) -> str:
    """Scheme and host of the addresses that we tell: as set, else as the caller reached us, else as we listen."""
    scheme, host = "https" if settings.tls_cert else "http", settings.host
    here = f"{scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"
    return (settings.public_url or reached or here).rstrip("/")


def address_of(settings: Settings, task: Task, file: File) -> str | None:
    """Where a stored file is read without a key, as the task's dialect says it."""
    from mediamill import dialects

    address = {dialect.name: dialect.address for dialect in dialects.load()}.get(task.dialect)
    return address(origin_of(settings, task.extra.get("webhook_origin")), file) if address is not None else None


def runner_of(kind: Any, settings: Settings) -> Runner:
    """The kind as what schedules start."""
    options = frozenset(kind.options.__struct_fields__)
    return Runner(kind=kind.name, queue=kind.queue, options=options, max_attempts=settings.run_max_attempts)


def export_tools(settings: Settings) -> None:
    """Engines find the operator's tools in the environment, in this process and in the children."""
    for name in config.for_engines():
        value = getattr(settings, name)
        if value is not None:
            os.environ[f"{config.PREFIX}{name.upper()}"] = str(value)
    os.environ[models.SETTING] = str(settings.models or settings.data / "models")


def installed() -> engines.Installed:
    """The engines as the server sees them: what there is, without running any."""
    return engines.open(_NoTools())


class _NoTools:
    """The server starts no program: it only asks what could be started."""

    def run(self, argv: Sequence[str | Path], *, name: str, **_: Any) -> ToolRun:
        raise ToolFailed(f"{name} runs in workers only.")

    def spawn(self, argv: Sequence[str | Path], *, name: str, **_: Any) -> Any:
        raise ToolFailed(f"{name} runs in workers only.")


def migrate(*, data: Path | None = None) -> None:
    """Bring the database's schema up to date."""
    settings = config.load(data=data)
    configure_logs(settings)
    with database(settings) as dsn:
        run(pools.migrate(dsn))


def migrated(dsn: str) -> None:
    """Bring the database's schema up to date, in a process of its own: what that takes is not to stay in this one.

    To be called before there are threads.
    """
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            run(pools.migrate(dsn))
            status = 0
        finally:
            # Not by way of our caller's clean-up, which is the parent's to do.
            sys.stdout.flush()
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    if status:
        run(pools.migrate(dsn))  # so that what is wrong is raised here


async def end_all(*tasks: asyncio.Task[Any]) -> None:
    """Cancel what runs beside, and wait until it is over, however it ends."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def run(work: Any) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
