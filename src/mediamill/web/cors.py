"""What pages of other origins may do from a browser: use signed URLs, and upload by tus where the operator names them.

The dialects say for themselves what their clients expect. No cookie counts at any of these addresses: a signed URL is
all that its holder needs, and tus wants a key.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_SIGNED = ("/upload/", "/download/")
_TUS = "/mill/uploads"
_OF_SIGNED = {
    "access-control-allow-methods": "GET, HEAD, PUT, OPTIONS",
    "access-control-allow-headers": "*, Authorization",
    "access-control-expose-headers": (
        "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Last-Modified, Retry-After"
    ),
}
_OF_TUS = {
    "access-control-allow-methods": "POST, HEAD, PATCH, DELETE, OPTIONS",
    "access-control-allow-headers": (
        "Authorization, Content-Type, Tus-Resumable, Upload-Length, Upload-Defer-Length, Upload-Offset, "
        "Upload-Metadata, Upload-Checksum, X-HTTP-Method-Override, X-Requested-With"
    ),
    "access-control-expose-headers": (
        "Location, Tus-Resumable, Tus-Version, Tus-Extension, Tus-Max-Size, Tus-Checksum-Algorithm, Upload-Length, "
        "Upload-Defer-Length, Upload-Offset, Upload-Metadata, Upload-Expires, Mill-File-Id, Retry-After"
    ),
}
_ANY = "*"
_ORIGIN = "access-control-allow-origin"


class Cors:
    """An ASGI app that adds to another's answers what browsers ask for before they let a page read them."""

    def __init__(self, app: Any, origins: str) -> None:
        """origins: with commas between, as browsers word them (https://app.example.com); "*" is all of them."""
        self._app = app
        self._origins = frozenset(part.strip().rstrip("/") for part in origins.split(",") if part.strip())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or (said := self._said(scope)) is None:
            await self._app(scope, receive, send)
            return
        if scope["method"] == "OPTIONS":
            said = {**said, "access-control-max-age": "86400"}
        add = [(name.encode(), value.encode("latin-1")) for name, value in said.items()]

        async def saying(message: Any) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message["headers"] if name.lower() != _ORIGIN.encode()]
                message = {**message, "headers": [*kept, *add]}
            await send(message)

        await self._app(scope, receive, saying)

    def _said(self, scope: Any) -> Mapping[str, str] | None:
        """The headers of an answer; None where it is none of our business."""
        path: str = scope["path"]
        signed = path.startswith(_SIGNED)
        if not signed and path != _TUS and not path.startswith(f"{_TUS}/"):
            return None
        if _ANY in self._origins:
            return {_ORIGIN: _ANY, **_OF_SIGNED} if signed else None
        origin = dict(scope["headers"]).get(b"origin", b"").decode("latin-1")
        if origin not in self._origins:
            return {"vary": "Origin"}
        return {_ORIGIN: origin, **(_OF_SIGNED if signed else _OF_TUS), "vary": "Origin"}
