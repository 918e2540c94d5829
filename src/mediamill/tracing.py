"""OpenTelemetry traces of requests, of attempts at tasks with their stages, and of webhooks sent.

Off, and nothing of OpenTelemetry is loaded, until one of its own variables says where spans go:
OTEL_EXPORTER_OTLP_ENDPOINT or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT. Names follow its semantic conventions where these
have one. A task remembers the trace it was asked for in, so that what a worker does is in the same trace, whichever
machine it is on.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mediamill.core.tasks import State, Task

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Tracer

TRACE = "traceparent"
"""The word of a task's `extra` that says which trace it was asked for in (W3C Trace Context)."""
_WHERE = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_QUIET = ("/metrics", "/mill/health", "/mill/ready")
"""Asked every few seconds by machines."""
_LEAVING_S = 3.0

App = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass(slots=True)
class _On:
    provider: TracerProvider
    tracer: Tracer


_on: _On | None = None


def begin(part: str, version: str, environment: Mapping[str, str] = os.environ) -> None:
    """Send traces of this process from now on, if the environment says where. part: api, worker or webhooks."""
    global _on
    off = (
        environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none"
    )
    if off or _on is not None or not any(environment.get(name) for name in _WHERE):
        return
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    named = {} if environment.get("OTEL_SERVICE_NAME") else {"service.name": "mediamill"}
    provider = TracerProvider(
        resource=Resource.create({**named, "service.version": version, "mediamill.part": part}), shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    _on = _On(provider=provider, tracer=provider.get_tracer("mediamill", version))


def end() -> None:
    """Send what is left, unless that takes long: whoever leaves does not wait for a collector that is away."""
    global _on
    if _on is not None:
        last = threading.Thread(target=_on.provider.shutdown, daemon=True)
        last.start()
        last.join(_LEAVING_S)
        _on = None


def carried() -> str | None:
    """The trace that is under way here, in the words of W3C Trace Context; None where there is none."""
    if _on is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    words: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(words)
    return words.get(TRACE)


def served(app: App) -> App:
    """The ASGI app, with a span for every request but those of machines that look whether it is well."""
    on = _on
    if on is None:
        return app
    from opentelemetry.trace import SpanKind, Status, StatusCode

    async def traced(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        if scope["type"] != "http" or scope["path"] in _QUIET:
            await app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        first = scope["path"].lstrip("/").partition("/")[0][:40]
        attributes = {"http.request.method": scope["method"], "url.path": scope["path"][:500]}
        with on.tracer.start_as_current_span(
            f"{scope['method']} /{first}", _context(headers.get(TRACE)), SpanKind.SERVER, attributes
        ) as span:

            async def watched(message: Any) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            await app(scope, receive, watched)

    return traced


def attempted(
    task: Task, began_s: float, stages: Sequence[tuple[str, float]], *, state: State, error: str | None
) -> None:
    """An attempt at a task that has just ended. began_s: of the monotonic clock; stages: (name, seconds after that);
    state: the task's from now on; error: the code of what went wrong."""
    if _on is None:
        return
    from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context

    took_s, ended_ns = time.monotonic() - began_s, time.time_ns()
    began_ns = ended_ns - int(took_s * 1e9)
    attributes: dict[str, str | int] = {
        "mediamill.task": task.id,
        "mediamill.project": task.project_id,
        "mediamill.dialect": task.dialect,
        "mediamill.attempt": task.attempt,
        "mediamill.state": state.value,
    }
    context = _context(task.extra.get(TRACE))
    span = _on.tracer.start_span(task.kind, context, SpanKind.CONSUMER, attributes, start_time=began_ns)
    inside = set_span_in_context(span)
    ends = [at_s for _, at_s in stages[1:]] + [took_s]
    for (stage, at_s), until_s in zip(stages, ends, strict=True):
        part = _on.tracer.start_span(stage, inside, start_time=began_ns + int(at_s * 1e9))
        part.end(began_ns + int(max(at_s, until_s) * 1e9))
    if error is not None:
        span.set_status(Status(StatusCode.ERROR, error))
    span.end(ended_ns)


def posted(type: str, *, trace: str | None, took_s: float, status: int | None, error: str | None) -> None:
    """A webhook that was just sent, or was not."""
    if _on is None:
        return
    from opentelemetry.trace import SpanKind, Status, StatusCode

    ended_ns = time.time_ns()
    attributes = {"http.request.method": "POST", "mediamill.event": type}
    began_ns = ended_ns - int(took_s * 1e9)
    span = _on.tracer.start_span("webhook", _context(trace), SpanKind.CLIENT, attributes, start_time=began_ns)
    if status is not None:
        span.set_attribute("http.response.status_code", status)
    if error is not None or status is None or status >= 400:
        span.set_status(Status(StatusCode.ERROR, error))
    span.end(ended_ns)


def _context(trace: str | None) -> Any:
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    # An empty one, not the current one: what a worker or a delivery does is in the trace of its task or in none.
    return TraceContextTextMapPropagator().extract({TRACE: trace}, Context()) if trace else Context()
