"""One request of a known caller, and what is answered to it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from mediamill.dialects import Request
from mediamill.dialects.ittybit import ids
from mediamill.dialects.ittybit.errors import invalid
from mediamill.dialects.ittybit.profile import Profile
from mediamill.web import table


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Request):
    """A request in the profile that it chose."""

    profile: Profile
    request_id: str = field(default_factory=lambda: f"req_{secrets.token_hex(8)}")

    @property
    def project(self) -> str:
        """The caller's project as it is shown."""
        return ids.project(self.caller.project_id)

    @property
    def numbered(self) -> bool:
        """Whether lists are paged by number, as in the two older profiles."""
        return self.profile is not Profile.CURRENT

    def url(self, path: str | None = None, query: Mapping[str, str] | None = None) -> str:
        """The absolute URL of a path below the dialect's root (this call's own by default)."""
        found = self.links.base + (self.path if path is None else path)
        return f"{found}?{urlencode(query)}" if query else found

    def body(self, *, required: bool = True) -> dict[str, Any]:
        """The JSON object of the body. Raises Invalid; a missing body is an empty object where none is required."""
        if not self.raw.strip():
            if required:
                raise invalid("The request needs a body: a JSON object.")
            return {}
        return table.read_object(self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a list says of the pages beside it, ready for headers and envelope. Numbers where pages have them."""

    limit: int
    headers: Mapping[str, str]
    links: Mapping[str, str | None]
    total: int | None = None
    page: int | None = None
    pages: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A good answer. `body` is JSON to be; a list has `around`. `kept`: what an idempotent repeat is told instead."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    around: Around | None = None
    kept: Any = None


Route = table.Route[Call, Reply]
