"""Errors as `{"error": {code, message, details}}`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from mediamill.core import errors as e
from mediamill.dialects import Answer, Errors, status_of
from mediamill.service.tasks import NotUploaded
from mediamill.web.table import NoSuchMethod, NotJson, Silent

MEDIA_TYPE = "application/json"

ERRORS: Errors = {
    e.Invalid: (422, "invalid_request"),
    e.Unsupported: (422, "unsupported_feature"),
    e.Unavailable: (422, "unsupported_feature"),
    e.AddressRefused: (422, "invalid_source"),
    NotUploaded: (422, "invalid_source"),
    e.NotFound: (404, "not_found"),
    e.Conflict: (409, "conflict"),
    e.IdempotencyMismatch: (409, "conflict"),
    e.Unauthorized: (401, "unauthorized"),
    e.Denied: (403, "forbidden"),
    e.Expired: (403, "forbidden"),
    e.TooLarge: (413, "invalid_request"),
    e.QuotaReached: (402, "quota_exceeded"),
    e.LimitReached: (429, "rate_limited"),
    NoSuchMethod: (405, "method_not_allowed"),
    Silent: (408, "invalid_request"),
    e.Rejected: (400, "invalid_request"),
    e.Failed: (500, "internal"),
    e.DatabaseAway: (503, "internal"),
    e.Misconfigured: (500, "internal"),
}
_INTERNAL = "The server failed; its log says more."


class Fault(e.Rejected):
    """An error in this dialect's own terms."""

    code = "framelane_fault"

    def __init__(
        self,
        status: int,
        word: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.word = word
        self.details = details or {}
        self.headers = headers or {}


class ErrorBody(msgspec.Struct, kw_only=True):
    """What went wrong: `code` is for machines, `message` for people, `details.fields` says where."""

    code: str
    message: str
    details: dict[str, Any] = {}


class Error(msgspec.Struct, kw_only=True):
    """The body of every answer that is not a good one."""

    error: ErrorBody


def invalid(field: str, reason: str) -> Fault:
    """A field of the request, or of its query, does not hold what it must."""
    return fields([(field, reason)])


def fields(found: Sequence[tuple[str, str]]) -> Fault:
    """Several fields at once; the first is the message."""
    first, reason = found[0]
    details = {"fields": [{"path": path, "message": why} for path, why in found]} if first else {}
    return Fault(422, "invalid_request", f"{first}: {reason}" if first else reason, details)


def refused(error: e.MediamillError) -> Fault:
    """Any of our errors in this dialect's terms."""
    if isinstance(error, Fault):
        return error
    status, word = status_of(error, ERRORS)
    if isinstance(error, e.DatabaseAway):
        return Fault(status, word, str(error), None, {"retry-after": f"{error.retry_after_s:.0f}"})
    if word == "internal":
        return Fault(status, word, _INTERNAL)
    headers: dict[str, str] = {}
    if isinstance(error, e.Invalid):
        field, reason = named(error.field), error.reason
        if not field:
            return Fault(400 if isinstance(error, NotJson) else 422, "invalid_request", reason)
        found = invalid(field, reason)
        return Fault(status, word, str(found), found.details)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, e.LimitReached) and status == 429:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if isinstance(error, NoSuchMethod):
        headers["allow"] = error.allow
    if isinstance(error, Silent):
        headers["connection"] = "close"
    return Fault(status, word, str(error) or word, None, headers)


def named(field: str) -> str:
    """A field of ours as callers know it: options stand at the top, and the one input is source_url."""
    if field.startswith("inputs"):
        return "source_url"
    return field.removeprefix("options.")


def body_of(fault: Fault) -> Any:
    """The body of an error."""
    return {"error": {"code": fault.word, "message": str(fault), "details": dict(fault.details)}}


def write_error(error: e.MediamillError) -> Answer:
    """An error outside our own routes: of a signed URL, say, whose bytes are too many."""
    large = isinstance(error, e.TooLarge)
    fault = Fault(422, "source_too_large", str(error)) if large else refused(error)
    return Answer(
        status=fault.status,
        media_type=MEDIA_TYPE,
        body=msgspec.json.encode(body_of(fault)),
        headers=dict(fault.headers),
    )
