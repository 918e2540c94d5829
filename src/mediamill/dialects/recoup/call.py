"""One request of a known caller, and what is answered to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mediamill.dialects import Request
from mediamill.dialects.recoup.errors import Fault, missing
from mediamill.web import table
from mediamill.web.table import NotJson, TooDeep

BATCH_BYTES = 16 << 20
_DEEPEST = 60
"""Levels of a body; what is kept of it has the narrower bounds of the service."""
VERSIONED = "2025-07-16"
"""Callers who send this as x-trigger-api-version are told the newer words for a run's status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Request):
    """A request with what handlers ask of it."""

    @property
    def versioned(self) -> bool:
        """Whether the caller knows the newer words."""
        return self.headers.get("x-trigger-api-version") == VERSIONED

    def body(self) -> dict[str, Any]:
        """The JSON object of the body. Raises a 400 Fault."""
        return read_object(self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A good answer: `body` is JSON to be, `raw` is JSON already."""

    body: Any = None
    raw: bytes | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Route = table.Route[Call, Reply]


def read_object(raw: bytes) -> dict[str, Any]:
    """A JSON object. Raises a 400 Fault for anything else."""
    found = read_json(raw)
    if not isinstance(found, dict):
        raise missing([], f"Invalid input: expected object, received {kind_of(found)}")
    return found


def read_json(raw: bytes) -> Any:
    """JSON of any kind. Raises a 400 Fault."""
    try:
        return table.read_json(raw, _DEEPEST)
    except NotJson:
        raise Fault(400, "Invalid JSON body") from None
    except TooDeep:
        raise missing([], f"The body is nested deeper than {_DEEPEST} levels") from None


def kind_of(value: Any) -> str:
    """What a value is called in an error."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"
