"""Errors as `{kind, message}`; the two older profiles say the same in their own wrapping."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from mediamill.core import errors as e
from mediamill.core.access import Caller
from mediamill.dialects import Answer, Errors, status_of
from mediamill.dialects.ittybit import ids
from mediamill.dialects.ittybit.profile import Profile
from mediamill.service.tasks import NotUploaded
from mediamill.web.table import NoSuchMethod, Silent

MEDIA_TYPE = "application/json"

ERRORS: Errors = {
    e.Invalid: (400, "request_invalid"),
    e.Unsupported: (400, "request_invalid"),
    e.Unavailable: (400, "kind_unavailable"),
    NotUploaded: (400, "request_invalid"),
    e.NotFound: (404, "not_found"),
    e.Conflict: (409, "conflict"),
    e.Paused: (409, "automation_paused"),
    e.IdempotencyMismatch: (409, "idempotency_conflict"),
    e.Unauthorized: (401, "token_invalid"),
    e.Denied: (403, "forbidden"),
    e.Expired: (403, "signature_invalid"),
    e.TooLarge: (413, "request_too_large"),
    NoSuchMethod: (405, "method_not_allowed"),
    Silent: (408, "request_timeout"),
    e.LimitReached: (429, "rate_limited"),
    e.Rejected: (400, "request_invalid"),
    e.Failed: (500, "internal_error"),
    e.DatabaseAway: (503, "internal_error"),
    e.Misconfigured: (500, "internal_error"),
}
_NOUNS = {
    "task": "task_not_found",
    "run": "run_not_found",
    "automation": "automation_not_found",
    "file": "file_not_found",
    "media": "media_not_found",
    "event": "event_not_found",
    "connection": "connection_not_found",
    "key": "key_not_found",
    "endpoint": "webhook_endpoint_not_found",
    "job": "job_not_found",
}
_SAID = {"internal_error": "The server failed; its log says more."}


class Fault(e.Rejected):
    """An error in this dialect's own terms."""

    code = "ittybit_fault"

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.headers = headers or {}


class Error(msgspec.Struct, kw_only=True):
    """What went wrong: `kind` is for machines, `message` for people."""

    kind: str
    message: str


def invalid(message: str) -> Fault:
    """The request does not say what it must."""
    return Fault(400, "request_invalid", message)


def refused(error: e.MediamillError) -> Fault:
    """Any of our errors in this dialect's terms."""
    if isinstance(error, Fault):
        return error
    status, kind = status_of(error, ERRORS)
    message = str(error) if status == 503 else _SAID.get(kind) or str(error) or kind
    headers: dict[str, str] = {}
    if isinstance(error, e.NotFound):
        kind, message = _NOUNS.get(error.noun, kind), f"There is no such {error.noun}."
    elif isinstance(error, e.Invalid):
        kind, message = _worded(error, kind)
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, NoSuchMethod):
        headers["allow"] = error.allow
    if isinstance(error, Silent):
        headers["connection"] = "close"
    if isinstance(error, e.LimitReached | e.DatabaseAway):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    return Fault(status, kind, message, headers)


def _worded(error: e.Invalid, kind: str) -> tuple[str, str]:
    field = error.field
    if field.startswith("inputs"):
        # One input here, and callers know it as url or file_id.
        field = "file_id" if field.endswith(".file") else "url"
    if error.code == "connection_required":
        return error.code, f"connection_id is required: {field} {error.reason}"
    return kind, f"{field}: {error.reason}" if field else error.reason


def body_of(fault: Fault, profile: Profile, meta: Mapping[str, Any] | None = None, here: str | None = None) -> Any:
    """The body of an error in a profile."""
    if profile is Profile.ENVELOPE:
        return {
            "meta": {**(meta or blank_meta()), "type": "error"},
            "data": None,
            "error": {"kind": fault.kind, "message": str(fault)},
            "links": {"self": here},
        }
    return {"kind": fault.kind, "message": str(fault)}


def blank_meta() -> dict[str, Any]:
    """What an envelope says of a request whose caller is not known."""
    return {
        "request_id": f"req_{secrets.token_hex(8)}",
        "org_id": None,
        "project_id": None,
        "version": Profile.ENVELOPE.version,
    }


def project_of(caller: Caller) -> str:
    """The caller's project as it is shown."""
    return ids.project(caller.project_id)


def write_error(error: e.MediamillError) -> Answer:
    """An error outside our own routes, where no profile was chosen."""
    fault = refused(error)
    return Answer(
        status=fault.status,
        media_type=MEDIA_TYPE,
        body=msgspec.json.encode(body_of(fault, Profile.CURRENT)),
        headers=dict(fault.headers),
    )
