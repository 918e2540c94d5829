"""What every call passes before its route: the token, the rate limit, the media types, in this order.

It stands outside the router, so that an unknown path and a wrong method are answered by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mediamill.core.errors import MediamillError
from mediamill.dialects import App, Scope, Site
from mediamill.dialects.turbofiles import negotiation
from mediamill.dialects.turbofiles.errors import write_error

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
OPENAPI_PATH = "/v1/openapi.json"
COLLECTIONS = ("/v1/files", "/v1/tasks")
"""The paths that documents are posted to; a POST to another is a wrong method, whatever it holds."""


class Edge:
    """An ASGI app around the routes. The caller is left in the scope's state."""

    def __init__(self, routes: App, site: Site, methods: Mapping[str, str]) -> None:
        """methods: what Allow says, by the pattern of a path."""
        self._routes = routes
        self._site = site
        self._methods = {re.compile(pattern): allow for pattern, allow in methods.items()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, silent = scope["path"].rstrip("/"), scope["method"] == "HEAD"
        allow = next((allow for pattern, allow in self._methods.items() if pattern.fullmatch(path)), "")
        if silent and ("GET" in allow.split(", ") or path == OPENAPI_PATH):
            scope = {**scope, "method": "GET"}
        own: list[tuple[bytes, bytes]] = [(b"vary", b"Accept")]
        replaced = {b"vary"}

        async def marked(message: Any) -> None:
            if message["type"] == "http.response.start":
                if message["status"] == 405:
                    own.append((b"allow", allow.encode()))
                    replaced.add(b"allow")
                kept = [(name, value) for name, value in message["headers"] if name.lower() not in replaced]
                message = {**message, "headers": [*kept, *own]}
            elif silent:
                message = {**message, "body": b""}
            await send(message)

        if path == OPENAPI_PATH:
            await self._routes(scope, receive, marked)
            return

        try:
            headers = _headers(scope)
            caller = await self._site.service.keys.caller(_token(headers.get("authorization", "")))
            limit = self._site.settings.turbofiles_requests_per_minute
            if (spent := self._site.service.keys.spend(caller, "turbofiles", limit)) is not None:
                own.append((b"x-ratelimit-limit", str(spent[0]).encode()))
                own.append((b"x-ratelimit-remaining", str(spent[1]).encode()))
            takes_body = scope["method"] == "POST" and path in COLLECTIONS
            negotiation.check(headers, takes_body=takes_body)
        except MediamillError as error:
            answer = write_error(error)
            lines = {"content-type": answer.media_type, "content-length": str(len(answer.body)), **answer.headers}
            raw = [(name.encode(), value.encode("latin-1", "replace")) for name, value in lines.items()]
            await marked({"type": "http.response.start", "status": answer.status, "headers": raw})
            await marked({"type": "http.response.body", "body": answer.body})
            return
        if scope["method"] == "OPTIONS" and allow:
            await marked({"type": "http.response.start", "status": 204, "headers": [(b"allow", allow.encode())]})
            await marked({"type": "http.response.body", "body": b""})
            return
        await self._routes({**scope, "state": {**scope.get("state", {}), "caller": caller}}, receive, marked)


def _headers(scope: Scope) -> dict[str, str]:
    """Header values by lower-case name; repeated ones are one list (RFC 9110 5.2)."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _token(authorization: str) -> str | None:
    scheme, _, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None
