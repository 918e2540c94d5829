"""Errors as JSON:API documents: one error a document, with a stable reason for machines in `meta.reason`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from mediamill.core import errors as e
from mediamill.dialects import Answer, Errors, status_of
from mediamill.service.tasks import NotUploaded

MEDIA_TYPE = "application/vnd.api+json"

ERRORS: Errors = {
    e.Invalid: (422, "invalid_attribute"),
    e.Unsupported: (422, "unsupported_conversion"),
    e.Unavailable: (422, "unsupported_conversion"),
    NotUploaded: (422, "file_not_uploaded"),
    e.NotFound: (404, "not_found"),
    e.Conflict: (409, "already_uploaded"),
    e.IdempotencyMismatch: (409, "already_uploaded"),
    e.Unauthorized: (401, "unauthorized"),
    e.Denied: (403, "forbidden"),
    e.Expired: (403, "bad_signature"),
    e.TooLarge: (400, "file_too_large"),
    e.LimitReached: (429, "rate_limited"),
    e.Rejected: (400, "invalid_parameter"),
    e.Failed: (500, "internal_error"),
    e.DatabaseAway: (503, "internal_error"),
    e.Misconfigured: (500, "internal_error"),
}
_TITLES = {413: "Payload Too Large", 422: "Unprocessable Entity"}
"""Titles are stable; Python 3.13 took over RFC 9110's new words for these two."""
_BY_CODE = {"size_mismatch": (400, "size_mismatch")}
"""Errors of rooms that dialects do not see, by their code."""


class Fault(e.MediamillError):
    """An error in this dialect's own terms. At most one of pointer, parameter and header says where."""

    code = "turbofiles_fault"

    def __init__(
        self,
        status: int,
        reason: str,
        detail: str,
        *,
        pointer: str | None = None,
        parameter: str | None = None,
        header: str | None = None,
        links: Mapping[str, Any] | None = None,
        meta: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.reason = reason
        self.links = links
        self.meta = meta or {}
        self.headers = headers or {}
        where = {"pointer": pointer, "parameter": parameter, "header": header}
        self.source = {name: value for name, value in where.items() if value is not None}


class Source(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Where in the request: one of the three."""

    pointer: str | UnsetType = UNSET
    parameter: str | UnsetType = UNSET
    header: str | UnsetType = UNSET


class Error(msgspec.Struct, kw_only=True, omit_defaults=True):
    """One error. `status` and `code` are the HTTP status as a string; `meta.reason` is the slug to switch on."""

    status: str
    code: str
    title: str
    detail: str
    links: dict[str, Any] | UnsetType = UNSET
    source: Source | UnsetType = UNSET
    meta: dict[str, Any]


class Version(msgspec.Struct, kw_only=True):
    """The version of JSON:API spoken."""

    version: str = "1.1"


class ErrorDocument(msgspec.Struct, kw_only=True):
    """What every answer from 400 on holds."""

    jsonapi: Version
    errors: list[Error]


def write_error(error: e.MediamillError) -> Answer:
    """Any of our errors."""
    if isinstance(error, Fault):
        return document(error)
    status, reason = _BY_CODE.get(error.code) or status_of(error, ERRORS)
    detail = "The server failed; its log says more." if status == 500 else str(error)
    headers = {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, e.LimitReached | e.DatabaseAway):
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    return document(Fault(status, reason, detail, headers=headers))


def document(fault: Fault) -> Answer:
    """An error as a finished answer."""
    error = Error(
        status=str(fault.status),
        code=str(fault.status),
        title=_TITLES.get(fault.status) or HTTPStatus(fault.status).phrase,
        detail=str(fault),
        links=dict(fault.links) if fault.links else UNSET,
        source=Source(**fault.source) if fault.source else UNSET,
        meta={"reason": fault.reason, **fault.meta},
    )
    body = msgspec.json.encode(ErrorDocument(jsonapi=Version(), errors=[error]))
    return Answer(status=fault.status, media_type=MEDIA_TYPE, body=body, headers={"vary": "Accept", **fault.headers})
