"""One request of a known caller, and what is answered to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mediamill.dialects import Request
from mediamill.dialects.framelane.errors import fields
from mediamill.web import table

NAME = "framelane"
Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Request):
    """A request with what handlers ask of it."""

    def url(self, path: str) -> str:
        """The absolute URL of a path below the dialect's root."""
        return self.links.base + path

    def body(self, *, required: bool = True) -> Json:
        """The JSON object of the body; an empty one where none is required. Raises Invalid, or a 422 Fault for JSON
        that is no object."""
        if not self.raw.strip() and not required:
            return {}
        found = table.read_json(self.raw)
        if not isinstance(found, dict):
            raise fields([("", "The body must be a JSON object.")])
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A good answer; `body` is JSON to be."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


Route = table.Route[Call, Reply]
