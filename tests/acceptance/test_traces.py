"""OpenTelemetry: a request, the attempts at its task and the webhook that tells of it are one trace at a collector."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from tests.support.calls import upload
from tests.support.documents import picture
from tests.support.receiver import Listening
from tests.support.server import Server, serving, until

PARENT = "b7ad6b7169203331"


@pytest.fixture(scope="module")
def collector() -> Iterator[Listening]:
    with Listening() as made:
        yield made


@pytest.fixture(scope="module")
def traced(collector: Listening) -> Iterator[Server]:
    environment = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.receiver.url(""),
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        "MEDIAMILL_ALLOW_NETWORKS": "127.0.0.0/8",
    }
    with serving(environment=environment) as running:
        yield running


def spans(collector: Listening) -> list[tuple[str, Any]]:
    """(what sent it, span), as far as they have come."""
    found = []
    for post in [post for post in collector.posts if post.path == "/v1/traces"]:
        body = gzip.decompress(post.body) if post.headers.get("content-encoding") == "gzip" else post.body
        for sent in ExportTraceServiceRequest.FromString(body).resource_spans:
            said = {one.key: one.value.string_value for one in sent.resource.attributes}
            assert said["service.name"] == "mediamill"
            found += [(said["mediamill.part"], span) for scope in sent.scope_spans for span in scope.spans]
    return found


def of(collector: Listening, trace: str) -> dict[str, Any]:
    """The spans of a trace, by "process: name"."""
    return {f"{part}: {span.name}": span for part, span in spans(collector) if span.trace_id.hex() == trace}


def asked_in(trace: str) -> dict[str, str]:
    return {"traceparent": f"00-{trace}-{PARENT}-01"}


def said(span: Any) -> dict[str, Any]:
    return {one.key: one.value.string_value or one.value.int_value for one in span.attributes}


def test_a_request_its_attempt_and_its_webhook_are_one_trace(traced: Server, collector: Listening) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    with traced.client() as http:
        file = upload(http, picture("#336699", size=(400, 300)), "a.png")
        body = {
            "kind": "convert",
            "inputs": [{"file": file}],
            "options": {"format": "webp"},
            "webhook_url": collector.receiver.url("/told"),
        }
        task = http.post("/mill/tasks", params={"wait": 30}, json=body, headers=asked_in(trace)).json()
        assert task["state"] == "succeeded", task["error"]
        assert "traceparent" not in task
        assert http.get("/mill/health").status_code == 200

    wanted = ("api: POST /mill", "worker: convert", "webhooks: webhook")
    until(lambda: set(wanted) <= set(of(collector, trace)), what="the spans")

    found = of(collector, trace)
    asked, attempt, told = [found[name] for name in wanted]
    assert asked.parent_span_id.hex() == PARENT
    assert attempt.parent_span_id == told.parent_span_id == asked.span_id
    assert said(asked) == {"http.request.method": "POST", "url.path": "/mill/tasks", "http.response.status_code": 201}
    assert {name: said(attempt)[name] for name in ("mediamill.task", "mediamill.state", "mediamill.attempt")} == {
        "mediamill.task": task["id"],
        "mediamill.state": "succeeded",
        "mediamill.attempt": 1,
    }
    stages = [span for span in found.values() if span.parent_span_id == attempt.span_id]
    assert stages
    assert all(
        attempt.start_time_unix_nano <= one.start_time_unix_nano <= one.end_time_unix_nano <= attempt.end_time_unix_nano
        for one in stages
    )
    assert said(told)["mediamill.event"] == "task.succeeded"
    assert not [span for _, span in spans(collector) if said(span).get("url.path") == "/mill/health"]


def test_a_failure_is_marked_with_its_code(traced: Server, collector: Listening) -> None:
    trace = "11112222333344445555666677778888"
    with traced.client() as http:
        file = upload(http, b"\x89PNG\r\n\x1a\n" + bytes(64), "broken.png")
        body = {"kind": "convert", "inputs": [{"file": file}], "options": {"format": "webp"}}
        task = http.post("/mill/tasks", params={"wait": 30}, json=body, headers=asked_in(trace)).json()
        assert task["state"] == "failed"

    until(lambda: "worker: convert" in of(collector, trace), what="the span")

    attempt = of(collector, trace)["worker: convert"]
    assert (attempt.status.code, attempt.status.message) == (2, task["error"]["code"])
