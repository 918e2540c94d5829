"""Errors as RFC 9457 problem documents."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec

from mediamill.core import errors as e
from mediamill.dialects import Answer, Errors, status_of
from mediamill.service.tasks import NotUploaded

MEDIA_TYPE = "application/problem+json"

ERRORS: Errors = {
    e.Invalid: (422, "invalid"),
    e.Unsupported: (422, "unsupported"),
    e.Unavailable: (422, "unavailable"),
    NotUploaded: (422, "file_not_uploaded"),
    e.ConnectionRequired: (422, "connection_required"),
    e.NotFound: (404, "not_found"),
    e.Conflict: (409, "conflict"),
    e.Paused: (409, "automation_paused"),
    e.IdempotencyMismatch: (422, "idempotency_mismatch"),
    e.Unauthorized: (401, "unauthorized"),
    e.Denied: (403, "denied"),
    e.Expired: (403, "bad_signature"),
    e.TooLarge: (413, "too_large"),
    e.LimitReached: (429, "rate_limited"),
    e.Rejected: (400, "rejected"),
    e.Failed: (500, "failed"),
    e.DatabaseAway: (503, "database_away"),
    e.OutcomeUnknown: (503, "outcome_unknown"),
    e.StorageFull: (503, "storage_full"),
    e.StorageAway: (503, "storage_away"),
    e.StorageRefused: (503, "storage_refused"),
    e.Misconfigured: (500, "misconfigured"),
}


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What went wrong with a request. `code` is stable; `field` is a dotted path into the request."""

    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    remedy: str | None = None
    retry_after_s: float | None = None


def problem(status: int, code: str, detail: str, **more: Any) -> Answer:
    """A problem document as an answer."""
    headers = {}
    if more.get("retry_after_s") is not None:
        headers["retry-after"] = str(max(1, round(more["retry_after_s"])))
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    body = Problem(title=HTTPStatus(status).phrase, status=status, detail=detail, code=code, **more)
    return Answer(status=status, media_type=MEDIA_TYPE, body=msgspec.json.encode(body), headers=headers)


def write_error(error: e.MediamillError) -> Answer:
    """Any of our errors."""
    status, code = status_of(error, ERRORS)
    more: dict[str, Any] = {}
    if isinstance(error, e.Invalid):
        more["field"] = error.field or None
    if isinstance(error, e.Unavailable):
        more["remedy"] = error.remedy
    if isinstance(error, e.LimitReached | e.DatabaseAway):
        more["retry_after_s"] = error.retry_after_s
    detail = "The server failed; its log says more." if status == 500 else str(error)
    return problem(status, code, detail, **more)
