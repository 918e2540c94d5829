"""What routes answer, and what they say of it in the OpenAPI document."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import MediaType, Response
from litestar.openapi import ResponseSpec

from mediamill.dialects.mill.errors import MEDIA_TYPE, Problem

_PROBLEMS = {
    400: "The request cannot be read.",
    401: "No key, or one that is not known.",
    403: "The key may not do this.",
    404: "No such thing in this project.",
    409: "The thing's state forbids this.",
    410: "It has expired.",
    412: "Not the version of the protocol that is spoken here.",
    413: "Too many bytes.",
    415: "Not a body this takes.",
    422: "A field does not hold what it must.",
    429: "Too many calls, or too many tasks in flight; Retry-After says when.",
    460: "The bytes do not have the checksum.",
}


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """A struct as a JSON response; encoded here, because Litestar's own way round costs three times as much."""
    return Response(msgspec.json.encode(value), status_code=status, media_type=MediaType.JSON, headers=headers or {})


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The refusals of a route: these, and those that every route with a key may give."""
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=_PROBLEMS[status], media_type=MEDIA_TYPE)
        for status in sorted({400, 401, 422, 429, *statuses})
    }


def says(shape: Any, description: str, media_type: str = "application/json") -> ResponseSpec:
    """A good answer's body; None: it has none."""
    return ResponseSpec(shape, generate_examples=False, description=description, media_type=media_type)
