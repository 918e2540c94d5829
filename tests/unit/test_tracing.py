"""Traces are off, and cost nothing, until somebody says where they go."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mediamill import tracing

WHERE = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}


async def app(scope: object, receive: object, send: object) -> None:
    """An app that is never called."""


@pytest.mark.parametrize(
    "environment", [{}, {**WHERE, "OTEL_SDK_DISABLED": "true"}, {**WHERE, "OTEL_TRACES_EXPORTER": "none"}]
)
def test_nothing_is_traced_unless_a_collector_is_named(environment: dict[str, str]) -> None:
    tracing.begin("api", "1", environment)

    assert tracing.carried() is None
    assert tracing.served(app) is app
    tracing.posted("task.succeeded", trace=None, took_s=1.0, status=200, error=None)
    tracing.end()


def test_nothing_of_opentelemetry_is_loaded_while_it_is_off() -> None:
    code = (
        "import sys, mediamill.app.asgi, mediamill.app.worker; print([m for m in sys.modules if 'opentelemetry' in m])"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PATH": ""})

    assert said.stdout.strip() == "[]"
