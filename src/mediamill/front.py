"""The front door: which app a request belongs to. Prefixed paths always; bare ones by what the real clients send."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from mediamill.core.errors import DatabaseAway, MediamillError, NotFound
from mediamill.dialects import App, Dialect, Scope
from mediamill.signed import send_answer

log = structlog.get_logger()

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


class Front:
    """An ASGI app over all others. `apps` are keyed by first path segment; dialects are asked in order for the rest."""

    def __init__(self, dialects: Mapping[str, tuple[Dialect, App]], apps: Mapping[str, App], home: str) -> None:
        self._dialects = dialects
        self._apps = apps
        self._home = home

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1000})
            return
        scope = _single(scope)
        started = False

        async def watched(message: Any) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        app, inner, dialect = self._choose(scope)
        try:
            if "\0" in scope["path"]:
                # No id and no name holds one, and the database takes none.
                answer = (dialect or self._dialects["mill"][0]).write_error(NotFound("path", scope["path"]))
                await send_answer(watched, answer)
            elif app is None:
                await self._elsewhere(scope, watched)
            else:
                await app(inner, receive, watched)
        except DatabaseAway as error:
            # Where no dialect was there to word it: of figures, say, or of whose file a signed URL is.
            if started:
                raise
            await send_answer(send, (dialect or self._dialects["mill"][0]).write_error(error))
        except Exception:
            # The last catch: nothing above may fall through, and whatever does is told in the log, not to the caller.
            log.exception("request broke", method=scope["method"], path=scope["path"])
            if started:
                raise
            answer = (dialect or self._dialects["mill"][0]).write_error(_Broken())
            await send_answer(send, answer)

    def _choose(self, scope: Scope) -> tuple[App | None, Scope, Dialect | None]:
        path: str = scope["path"]
        first = path.split("/", 2)[1] if path.startswith("/") else ""
        if first in self._dialects:
            dialect, app = self._dialects[first]
            return app, _below(scope, dialect.prefix), dialect
        if first in self._apps:
            return self._apps[first], scope, None
        headers: dict[bytes, bytes] = dict(scope["headers"])
        for dialect, app in self._dialects.values():
            if dialect.claims(path, headers):
                return app, scope, dialect
        return None, scope, None

    async def _elsewhere(self, scope: Scope, send: Send) -> None:
        if scope["path"] == "/" and scope["method"] in ("GET", "HEAD"):
            headers = [(b"location", self._home.encode()), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 307, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        await send_answer(send, self._dialects["mill"][0].write_error(NotFound("path", scope["path"])))


def _below(scope: Scope, prefix: str) -> Scope:
    path = scope["path"][len(prefix) :] or "/"
    raw = scope.get("raw_path") or b""
    inner = {
        **scope,
        "path": path,
        "raw_path": raw[len(prefix) :] or b"/",
        "root_path": str(scope.get("root_path") or "") + prefix,
    }
    return _single(inner)


def _single(scope: Scope) -> Scope:
    """The scope with one slash at the start of its path: clients that join a base URL which ends in one send two."""
    if not scope["path"].startswith("//"):
        return scope
    raw = b"/" + (scope.get("raw_path") or b"").lstrip(b"/")
    return {**scope, "path": "/" + scope["path"].lstrip("/"), "raw_path": raw}


class _Broken(MediamillError):
    """Something nobody foresaw."""

    def __init__(self) -> None:
        super().__init__("The server failed; its log says more.")
