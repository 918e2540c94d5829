"""What routes answer, and what they say of it in the OpenAPI document."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import msgspec
from litestar import MediaType, Response
from litestar.openapi import ResponseSpec
from litestar.response import Stream

from mediamill.dialects import Links
from mediamill.dialects.mill.errors import MEDIA_TYPE, Problem
from mediamill.dialects.mill.requests import Req
from mediamill.web.events import EVENT_STREAM

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


def stream(events: AsyncIterator[bytes]) -> Stream:
    """Server-sent events as a response, which nobody on the way may keep."""
    return Stream(events, media_type=EVENT_STREAM, headers={"cache-control": "no-store"})


def link_header(request: Req, links: Links, next_: str | None, prev: str | None) -> dict[str, str]:
    """RFC 8288 links of a page, with all of its other parameters kept."""
    kept = [(k, v) for k, v in request.query_params.multi_items() if k not in ("after", "before")]
    found = []
    for relation, name, cursor in (("next", "after", next_), ("prev", "before", prev)):
        if cursor is not None:
            query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in [*kept, (name, cursor)])
            path = request.scope.get("path", "")
            found.append(f'<{links.base}{path}?{query}>; rel="{relation}"')
    return {"link": ", ".join(found)} if found else {}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """The refusals of a route: these, and those that every route with a key may give."""
    return {
        status: ResponseSpec(Problem, generate_examples=False, description=_PROBLEMS[status], media_type=MEDIA_TYPE)
        for status in sorted({400, 401, 422, 429, *statuses})
    }


def says(shape: Any, description: str, media_type: str = "application/json") -> ResponseSpec:
    """A good answer's body; None: it has none."""
    return ResponseSpec(shape, generate_examples=False, description=description, media_type=media_type)
