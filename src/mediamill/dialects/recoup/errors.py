"""Errors as the two surfaces say them: `{status, error}` on /api/tasks, `{error}` where Trigger.dev's clients call."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mediamill.core import errors as e
from mediamill.dialects import Answer, Errors, status_of

MEDIA_TYPE = "application/json"
CORS: Mapping[str, str] = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, PUT, DELETE, OPTIONS, PATCH",
    "access-control-allow-headers": "Content-Type, Authorization, X-Requested-With, x-api-key",
}
"""On every answer, errors included: pages of any origin may call."""

ERRORS: Errors = {
    e.Invalid: (400, "invalid"),
    e.NotFound: (404, "not_found"),
    e.Conflict: (409, "conflict"),
    e.Unauthorized: (401, "unauthorized"),
    e.Denied: (403, "denied"),
    e.TooLarge: (413, "too_large"),
    e.LimitReached: (429, "rate_limited"),
    e.Rejected: (400, "rejected"),
    e.Failed: (500, "internal_error"),
    e.DatabaseAway: (503, "internal_error"),
    e.Misconfigured: (500, "internal_error"),
}
BROKEN = "The server failed; its log says more."


class Fault(e.Rejected):
    """An error in this dialect's own terms. body: what is said beside its text, on either surface."""

    code = "recoup_fault"

    def __init__(
        self,
        status: int,
        error: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        word: str = "error",
    ) -> None:
        """word: the name its text goes by; clients read `error` or `message`."""
        super().__init__(error)
        self.status = status
        self.body = body or {}
        self.headers = headers or {}
        self.word = word


def missing(path: Sequence[str | int], error: str) -> Fault:
    """The first field that is not as it must be; the empty path is the body itself."""
    return Fault(400, error, {"missing_fields": list(path)})


def refused(error: e.MediamillError) -> Fault:
    """Any of our errors in this dialect's terms."""
    if isinstance(error, Fault):
        return error
    status, _ = status_of(error, ERRORS)
    message = BROKEN if status >= 500 and not isinstance(error, e.DatabaseAway) else str(error)
    headers: dict[str, str] = {}
    if isinstance(error, e.LimitReached | e.DatabaseAway):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, e.Invalid):
        return missing(error.field.split(".") if error.field else [], message)
    return Fault(status, message, headers=headers)


def body_of(fault: Fault, *, bare: bool) -> dict[str, Any]:
    """What is said of it. bare: as Trigger.dev's clients read it, without `status`."""
    if bare:
        kept = {name: value for name, value in fault.body.items() if name != "missing_fields"}
        return {"error": str(fault), **kept}
    return {"status": "error", **fault.body, fault.word: str(fault)}


def write_error(error: e.MediamillError) -> Answer:
    """An error outside our own routes."""
    fault = refused(error)
    return Answer(
        status=fault.status,
        media_type=MEDIA_TYPE,
        body=msgspec.json.encode(body_of(fault, bare=False)),
        headers={**CORS, **fault.headers},
    )
