"""Builds and wires everything: the one place that sees every room."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pkgutil
import secrets
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from mediamill import __version__, config, engines, kinds, net
from mediamill.blobs import Blobs
from mediamill.blobs.sniff import sniff
from mediamill.config import Settings
from mediamill.core.access import Role
from mediamill.core.dispatch import Accept, Finish, Take, Taken
from mediamill.core.errors import NotFound, ToolFailed
from mediamill.core.files import File
from mediamill.core.ports import ToolRun
from mediamill.core.tasks import Task
from mediamill.store import pool as pools
from mediamill.store.batch import Batcher
from mediamill.store.embedded import Embedded
from mediamill.store.files import Files as FileTable
from mediamill.store.keys import DEFAULT_PROJECT
from mediamill.store.keys import Keys as KeyTable
from mediamill.store.listen import listen
from mediamill.store.tasks import CANCEL, WAKE
from mediamill.store.tasks import Tasks as TaskTable
from mediamill.store.upkeep import Upkeep
from mediamill.store.uploads import Uploads as UploadTable

log = structlog.get_logger()

_WORKER_PAUSE_S = 1.0


# --- what both processes need ---------------------------------------------------------------------------------------


@contextlib.contextmanager
def database(settings: Settings) -> Iterator[str]:
    """The connection string of the operator's server, or of the embedded one for as long as the block lasts."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    settings.data.mkdir(parents=True, exist_ok=True)
    with Embedded(settings.data) as embedded:
        yield embedded.dsn


def configure_logs(settings: Settings) -> None:
    """Structured logs on stderr: JSON, or lines for people on a terminal."""
    import logging

    as_json = settings.log_json if settings.log_json is not None else not sys.stderr.isatty()
    level = getattr(logging, settings.log_level.upper())
    logging.basicConfig(level=max(level, logging.WARNING), stream=sys.stderr, format="%(name)s: %(message)s")
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.processors.dict_tracebacks] if as_json else []),
            renderer,
        ],
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


def blobs_of(settings: Settings) -> Blobs:
    """The store of bytes."""
    return Blobs(settings.blobs_url if settings.blobs_url else settings.data / "files")


def net_of(settings: Settings) -> Any:
    """The guarded client."""
    limits = net.Limits(max_bytes=settings.max_fetch_bytes, total_timeout_s=settings.fetch_total_s)
    return net.Client(allow_networks=settings.allow_networks, limits=limits)


def lifetimes(settings: Settings) -> dict[str, float | None]:
    """How long files are kept, by the dialect they were made in."""
    return {"mill": settings.file_lifetime_s, "turbofiles": settings.turbofiles_lifetime_s}


def export_tools(settings: Settings) -> None:
    """Engines find the operator's tools in the environment, in this process and in the children."""
    for name in ("ffmpeg", "soffice", "fonts"):
        value = getattr(settings, name)
        if value is not None:
            os.environ[f"{config.PREFIX}{name.upper()}"] = str(value)


def installed() -> engines.Installed:
    """The engines as the server sees them: what there is, without running any."""
    return engines.open(_NoTools())


class _NoTools:
    """The server starts no program: it only asks what could be started."""

    def run(self, argv: Sequence[str | Path], *, name: str, **_: Any) -> ToolRun:
        raise ToolFailed(f"{name} runs in workers only.")


# --- the API process ------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def api(
    settings: Settings, dsn: str, *, leaving: asyncio.Event | None = None
) -> AsyncIterator[tuple[Any, KeyTable]]:
    """(the ASGI app, the key table), with the pool and the listener behind them.

    leaving: once set, waits and streams of events end, so that the server's connections can.
    """
    from mediamill import dashboard
    from mediamill.dialects import Site
    from mediamill.dialects import load as load_dialects
    from mediamill.front import Front
    from mediamill.metrics import Metrics
    from mediamill.service import Service
    from mediamill.service.files import Files
    from mediamill.service.keys import Keys
    from mediamill.service.signing import Signer
    from mediamill.service.tasks import Tasks
    from mediamill.service.uploads import Uploads
    from mediamill.service.watch import Watch
    from mediamill.signed import SignedApp

    pool = await pools.open_pool(dsn, least=2, most=10)
    blobs, client = blobs_of(settings), net_of(settings)
    task_table, file_table, key_table, upkeep = TaskTable(pool), FileTable(pool), KeyTable(pool), Upkeep(pool)
    watch = Watch()
    here = installed()
    lasting = lifetimes(settings)
    goodbye = asyncio.create_task(_goodbye(leaving, watch)) if leaving is not None else None
    listener = asyncio.create_task(listen(dsn, {WAKE: lambda payload: watch.told(payload.split(" "))}, watch.wake_all))

    async def sniffed(key: str, *, claimed: str | None, filename: str | None) -> str | None:
        def look() -> str | None:
            with blobs.open(key) as file:
                return sniff(file, claimed=claimed, filename=filename)

        return await asyncio.to_thread(look)

    async def read_many(ids: Sequence[str]) -> list[Task | BaseException]:
        found = await task_table.get_many(ids)
        return [task or NotFound("task", id) for id, task in zip(ids, found, strict=True)]

    accept: Batcher[Accept, tuple[str, bool]] = Batcher(task_table.accept, width=2)
    read: Batcher[str, Task] = Batcher(read_many, width=2)
    input_files: Batcher[str, File | None] = Batcher(file_table.get_many, width=2)
    files = Files(
        store=file_table,
        blobs=blobs,
        sniff=sniffed,
        max_bytes=settings.max_upload_bytes,
        lifetime_s=lambda dialect: lasting.get(dialect),
    )
    service = Service(
        tasks=Tasks(
            store=task_table,
            accept=accept,
            read=read,
            files=input_files,
            kinds=kinds.named,
            hint=kinds.Hint,
            engines=here,
            check_url=client.check_url,
            watch=watch,
            in_flight_limit=settings.tasks_in_flight,
        ),
        files=files,
        uploads=Uploads(
            store=UploadTable(pool),
            blobs=blobs,
            files=files,
            max_bytes=settings.max_upload_bytes,
            keep_s=settings.resumable_upload_s,
            lifetimes=lasting,
        ),
        keys=Keys(key_table),
        watch=watch,
    )
    given = settings.signing_secret
    secret = given.get_secret_value().encode() if given else await upkeep.secret("signing", secrets.token_bytes(32))

    async def health() -> Mapping[str, str]:
        return {
            "database": await _said(upkeep.alive()),
            "files": await _said(blobs.check()),
            "workers": "ok" if await upkeep.workers(settings.heartbeat_s) else "no worker is running",
        }

    site = Site(service=service, settings=settings, signer=Signer(secret), engines=here, health=health)
    dialects = {d.prefix.strip("/"): d for d in load_dialects()}
    signed = SignedApp(site, {d.name: d for d in dialects.values()})
    metrics = Metrics(upkeep, settings.heartbeat_s)
    apps: dict[str, Any] = {"ui": dashboard.build(site), "upload": signed, "download": signed, "metrics": metrics}
    front = Front({name: (d, d.build(site)) for name, d in dialects.items()}, apps, "/ui/")
    try:
        yield metrics.counted(front, time.perf_counter), key_table
    finally:
        kept = [task for task in (listener, goodbye) if task is not None]
        for task in kept:
            task.cancel()
        await asyncio.gather(*kept, return_exceptions=True)
        await client.close()
        await pool.close()


async def _goodbye(leaving: asyncio.Event, watch: Any) -> None:
    await leaving.wait()
    watch.end()


async def _said(check: Any) -> str:
    try:
        await asyncio.wait_for(check, timeout=5)
    except Exception as error:
        log.warning("not ready", error=repr(error))
        return type(error).__name__
    return "ok"


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


async def _serve(settings: Settings, dsn: str, worker: bool) -> int:
    import uvicorn

    loop, leaving = asyncio.get_running_loop(), asyncio.Event()

    class Server(uvicorn.Server):
        def handle_exit(self, sig: int, frame: Any) -> None:
            super().handle_exit(sig, frame)
            loop.call_soon_threadsafe(leaving.set)

    crew = Crew(settings) if worker else None
    if crew is not None:
        await crew.start()
    try:
        async with api(settings, dsn, leaving=leaving) as (asgi, keys):
            secret = await first_key(settings, keys)
            server = Server(
                uvicorn.Config(
                    asgi,
                    host=settings.host,
                    port=settings.port,
                    loop="none",
                    http="httptools",
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
            serving = asyncio.create_task(server.serve())
            while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
                await asyncio.sleep(0.005)
            if server.started:
                port = server.servers[0].sockets[0].getsockname()[1]
                _announce(settings, port, secret, worker)
            await serving
            return 0 if server.started else 3
    finally:
        if crew is not None:
            await crew.stop()


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


class Crew:
    """The worker process that `serve` keeps: started again when it dies, told to leave when we do."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and keep it."""
        self._process = await self._spawn()
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End it in good order; by force when it takes too long."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), timeout=self._settings.drain_s + 40)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _spawn(self) -> asyncio.subprocess.Process:
        environment = {**os.environ, f"{config.PREFIX}DATA": str(self._settings.data), _SUPERVISED: str(os.getpid())}
        if self._settings.database_url is not None:
            environment[f"{config.PREFIX}DATABASE_URL"] = self._settings.database_url.get_secret_value()
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mediamill.cli", "worker", env=environment, start_new_session=True
        )

    async def _keep(self) -> None:
        while True:
            assert self._process is not None
            status = await self._process.wait()
            log.error("worker ended; starting another", status=status)
            await asyncio.sleep(_WORKER_PAUSE_S)
            self._process = await self._spawn()


_SUPERVISED = f"{config.PREFIX}SUPERVISED_BY"


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
    # A signal while the database starts must still stop it in good order.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with database(settings) as dsn:
        _run(pools.migrate(dsn))
        return int(_run(_serve(settings, dsn, worker)))


def migrate(*, data: Path | None = None) -> None:
    """Bring the database's schema up to date."""
    settings = config.load(data=data)
    configure_logs(settings)
    with database(settings) as dsn:
        _run(pools.migrate(dsn))


def _run(work: Any) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


# --- the worker process ---------------------------------------------------------------------------------------------


def work(*, queues: Sequence[str] | None = None, slots: int | None = None, data: Path | None = None) -> int:
    """Run a worker until a signal. Returns the exit status."""
    settings = config.load(data=data, slots=slots)
    configure_logs(settings)
    export_tools(settings)
    _die_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with database(settings) as dsn:
        _run(pools.migrate(dsn))
        _run(_work(settings, dsn, queues or ("cpu", "io")))
    return 0


def _die_with_parent() -> None:
    """When a server keeps us and is killed, leave as if told to."""
    keeper = os.environ.pop(_SUPERVISED, None)
    if keeper is None:
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, prctl(2)
    if os.getppid() != int(keeper):
        sys.exit(143)


async def _work(settings: Settings, dsn: str, queues: Sequence[str]) -> None:
    from pgqueuer.queries import Queries

    from mediamill.worker import chores
    from mediamill.worker.children import Children, Limits
    from mediamill.worker.dispatch import Dispatcher
    from mediamill.worker.execute import Executor, Rules
    from mediamill.worker.run import Parts, Ticks, Worker, new_worker_id

    pool = await pools.open_pool(dsn, least=1, most=6)
    loose = await pools.open_pool(dsn, least=1, most=6, synced=False)
    id = new_worker_id()
    blobs, client = blobs_of(settings), net_of(settings)
    task_table, file_table, upkeep = TaskTable(pool, loose), FileTable(pool), Upkeep(pool)
    scratch = settings.data / "scratch" / id
    _sweep(settings.data / "scratch")
    wanted = {"cpu": settings.slots or os.cpu_count() or 1, "gpu": 1, "io": settings.io_slots}
    children = {
        queue: Children(
            slots=wanted[queue],
            folder=scratch / queue,
            warm=None if queue == "cpu" else 1,
            recycle_after_tasks=settings.child_tasks,
            recycle_above_bytes=settings.child_bytes,
            require_sandbox=settings.require_sandbox,
            preload=PRELOAD,
            readable=_readable(),
            environment=_tool_environment(),
        )
        for queue in queues
    }
    take: Batcher[Take, Taken | None] = Batcher(task_table.take, width=2)
    finish: Batcher[Finish, bool] = Batcher(task_table.finish)
    ticks = Ticks(task_table.progress)
    executor = Executor(
        worker=id,
        take=take,
        finish=finish,
        tick=ticks,
        children=children,
        blobs=blobs,
        net=client,
        sniff=sniff,
        unused=file_table.unused,
        scratch=scratch,
        rules=Rules(
            limits=Limits(
                wall_s=settings.task_wall_s,
                cpu_s=settings.task_cpu_s,
                memory_bytes=settings.task_memory_bytes,
                output_bytes=settings.task_output_bytes,
                scratch_bytes=settings.task_scratch_bytes,
                processes=settings.task_processes,
            ),
            max_fetch_bytes=settings.max_fetch_bytes,
            retry_first_s=settings.retry_first_s,
            retry_cap_s=settings.retry_cap_s,
            lifetime_s=lifetimes(settings),
        ),
    )
    queries = Queries.from_asyncpg_pool(loose)

    def dispatcher(queue: str) -> Dispatcher:
        async def execute(task_id: str, job_id: int) -> None:
            await executor.run(task_id, job_id, queue=queue)

        return Dispatcher(
            queue=queue,
            # Light tasks are taken in lots well beyond their slots, so that starting and finishing them is shared.
            slots=wanted[queue] if queue != "io" else wanted[queue] * 64,
            queries=queries,
            execute=execute,
            heartbeat_s=settings.heartbeat_s,
        )

    async def listening(on_queue: Callable[[str], None], on_cancel: Callable[[str], None]) -> None:
        from mediamill.queue import CHANNEL

        await listen(dsn, {CHANNEL: on_queue, CANCEL: on_cancel}, lambda: on_queue(""))

    async def seen(busy: int) -> None:
        await upkeep.seen(
            id,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=list(queues),
            slots=sum(wanted[queue] for queue in queues),
            busy=busy,
            version=__version__,
        )

    parts = Parts(
        id=id,
        executor=executor,
        dispatchers=[dispatcher(queue) for queue in queues],
        children=list(children.values()),
        ticks=ticks,
        listen=listening,
        seen=seen,
        gone=lambda: upkeep.gone(id),
        chores=[
            chores.expire_files(file_table, blobs),
            chores.expire_uploads(UploadTable(pool), blobs),
            chores.remove_orphans(file_table, blobs),
            upkeep.prune,
        ],
        drain_s=settings.drain_s,
    )
    try:
        await Worker(parts).run()
    finally:
        await client.close()
        await loose.close()
        await pool.close()
        shutil.rmtree(scratch, ignore_errors=True)


PRELOAD = (
    "mediamill.kinds.convert",
    "mediamill.kinds.optimise",
    *(f"mediamill.engines.{module.name}" for module in pkgutil.iter_modules(engines.__path__)),
    "PIL.Image",
)
"""Imported once, before children are forked, which share the memory of it: every engine (each child would import all,
7 MB) and what small image work would wait for. Nothing that starts a thread."""


def _readable() -> list[Path]:
    """Folders children may read besides the system and the interpreter."""
    from mediamill import fonts

    found = [fonts.folder()]
    for name in ("FFMPEG", "SOFFICE"):
        if value := os.environ.get(f"{config.PREFIX}{name}"):
            found.append(Path(value).resolve().parent)
    if value := os.environ.get(f"{config.PREFIX}FONTS"):
        found.append(Path(value))
    return [path for path in found if path.exists()]


def _tool_environment() -> dict[str, str]:
    names = [f"{config.PREFIX}{name}" for name in ("FFMPEG", "SOFFICE", "FONTS")]
    return {name: os.environ[name] for name in names if name in os.environ}


def _sweep(folder: Path) -> None:
    """Remove scratch of workers of this machine that were killed before they could."""
    if not folder.is_dir():
        return
    here = socket.gethostname()
    for left in folder.iterdir():
        host, _, rest = left.name.rpartition("-")[0].rpartition("-")
        if host == here and rest.isdigit() and not Path(f"/proc/{rest}").exists():
            shutil.rmtree(left, ignore_errors=True)
