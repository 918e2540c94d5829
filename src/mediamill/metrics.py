"""/metrics for Prometheus: what the tables say at the moment of asking, and what this process has answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from mediamill.dialects import App, Scope

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Figures(Protocol):
    """What the tables are asked."""

    async def depth(self) -> dict[str, int]: ...
    async def unfinished(self) -> dict[str, int]: ...
    async def workers(self, within_s: float) -> list[dict[str, Any]]: ...


class Metrics:
    """The registry of one server."""

    def __init__(self, figures: Figures, heartbeat_s: float, apps: Collection[str]) -> None:
        """apps: the first path segments that are told apart."""
        self._apps = frozenset(apps)
        self._figures = figures
        self._heartbeat_s = heartbeat_s
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "mediamill_http_requests_total", "Requests answered.", ["app", "method", "status"], registry=self._registry
        )
        self._took = Histogram(
            "mediamill_http_request_seconds", "Time to the end of the answer.", ["app"], buckets=_SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self._queue = Gauge("mediamill_queue_entries", "Queue entries.", ["queue", "status"], registry=self._registry)
        self._tasks = Gauge("mediamill_tasks_unfinished", "Unfinished tasks.", ["state"], registry=self._registry)
        self._workers = Gauge("mediamill_workers", "Workers heard of lately.", registry=self._registry)
        self._slots = Gauge("mediamill_worker_slots", "Their slots.", ["use"], registry=self._registry)

    def counted(self, app: App, clock: Callable[[], float]) -> App:
        """The app, with its answers counted."""

        async def counting(scope: Scope, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            began, status = clock(), 0

            async def watched(message: Any) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            name = scope["path"].lstrip("/").partition("/")[0]
            name = name if name in self._apps else "other"
            try:
                await app(scope, receive, watched)
            finally:
                method = scope["method"] if scope["method"] in _METHODS else "other"
                self._requests.labels(name, method, str(status)).inc()
                self._took.labels(name).observe(clock() - began)

        return counting

    async def __call__(self, scope: Scope, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await send({"type": "http.response.start", "status": 405, "headers": [(b"allow", b"GET, HEAD")]})
            await send({"type": "http.response.body", "body": b""})
            return
        self._queue.clear()
        for name, n in (await self._figures.depth()).items():
            queue, status = name.split(" ")
            self._queue.labels(queue, status).set(n)
        self._tasks.clear()
        for state, n in (await self._figures.unfinished()).items():
            self._tasks.labels(state).set(n)
        workers = await self._figures.workers(self._heartbeat_s)
        self._workers.set(len(workers))
        self._slots.labels("all").set(sum(w["slots"] for w in workers))
        self._slots.labels("busy").set(sum(w["busy"] for w in workers))
        body = generate_latest(self._registry)
        headers = [(b"content-type", CONTENT_TYPE_LATEST.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
