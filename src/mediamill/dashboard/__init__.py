"""The pages at /ui: tasks, schedules, files, webhooks and keys of a project, live, for people.

No build step, nothing from elsewhere. Pages are made on the server and work without a script; small ones make them
live. They call the service, as dialects do, and add no rule of their own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast
from urllib.parse import urlencode

import structlog
from litestar import Litestar, Response, get, post
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from mediamill.core.access import Caller
from mediamill.core.errors import MediamillError, NotFound, Unauthorized
from mediamill.dashboard import files, firings, keys, new, prompts, runs, schedules, studio, tasks, traces, webhooks
from mediamill.dashboard.choices import Choices
from mediamill.dashboard.errors import ERRORS, TITLES, UNKNOWN
from mediamill.dashboard.render import HEADERS, THEME_COOKIE, THEMES, Page, Renderer, Req
from mediamill.dashboard.session import caller_of, check_origin, end_session, open_session, safe_return
from mediamill.dialects import App, Scope, Site, status_of

log = structlog.get_logger()


def build(site: Site) -> App:
    """The app, served at /ui; it answers with its own pages, whatever goes wrong."""
    renderer = Renderer()
    choices = Choices(site.engines)
    renderer.add(preview_of=files.preview_of, known=files.known, named=firings.name_of)
    renderer.add(**traces.WORDS, **webhooks.WORDS)

    async def caller(request: Req) -> Caller:
        request.state.caller = await caller_of(site, request)
        return cast(Caller, request.state.caller)

    def failed(request: Req, error: Exception) -> Response[Any]:
        return _failed(site, renderer, request, error)

    app = Litestar(
        path="/ui",
        route_handlers=[
            *_doors(site, renderer),
            *tasks.routes(site, renderer, choices),
            *new.routes(site, renderer, choices),
            *files.routes(site, renderer),
            *schedules.routes(site, renderer),
            *prompts.routes(site, renderer),
            *runs.routes(site, renderer),
            *webhooks.routes(site, renderer),
            *studio.routes(site, renderer, choices),
            *keys.routes(site, renderer),
        ],
        dependencies={"caller": Provide(caller)},
        before_request=lambda request: check_origin(site, request),
        exception_handlers={Exception: failed, MediamillError: failed, HTTPException: failed},
        openapi_config=None,
        logging_config=None,
    )
    return _Guarded(app)


class _Guarded:
    """Puts the security headers on every answer that does not bring its own."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(
        self, scope: Scope, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        async def guarded(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in given]
                message = {**message, "headers": [*message["headers"], *more]}
            await send(message)

        await self._app(scope, receive, guarded)


def _doors(site: Site, renderer: Renderer) -> Sequence[HTTPRouteHandler]:
    """What stands before the session: signing in and out, the theme, static files, an address that leads on."""

    @get("/tasks")
    async def shortened() -> Redirect:
        """Where people come who take the id off the address of a task."""
        return Redirect("/ui/", status_code=303)

    @get("/login")
    async def login_page(request: Req) -> Page:
        return renderer.page(request, "login.html", back=safe_return(request.query_params.get("next")), error=None)

    @post("/login", status_code=303, request_max_body_size=new.FORM_BYTES)
    async def login(request: Req) -> Redirect | Page:
        given = dict(await new.pairs_of(request))
        back = safe_return(given.get("next"))
        try:
            found = await site.service.keys.caller(given.get("key", "").strip())
        except Unauthorized as error:
            return renderer.page(request, "login.html", status=401, back=back, error=str(error))
        return Redirect(back, status_code=303, cookies=[open_session(site, request, found)])

    @post("/logout", status_code=303)
    async def logout(request: Req) -> Redirect:
        return Redirect("/ui/login", status_code=303, cookies=[end_session(site, request)])

    @post("/theme", status_code=303, request_max_body_size=new.FORM_BYTES)
    async def theme(request: Req) -> Redirect:
        given = dict(await new.pairs_of(request))
        chosen = given.get("theme", "")
        answer = Redirect(safe_return(given.get("back")), status_code=303)
        if chosen in THEMES:
            answer.set_cookie(THEME_COOKIE, chosen, path="/ui", max_age=365 * 86400, samesite="lax")
        return answer

    @get("/static/{digest:str}/{name:str}")
    async def static(request: Req, digest: str, name: str) -> Response[bytes]:
        asset = renderer.assets.get(name)
        if asset is None:
            raise NotFound("file", name)
        kept = "public, max-age=31536000, immutable" if digest == asset.digest else "no-cache"
        headers = {"etag": f'"{asset.digest}"', "cache-control": kept}
        if f'"{asset.digest}"' in request.headers.get("if-none-match", ""):
            return Response(b"", status_code=304, headers=headers)
        return Response(asset.body, media_type=asset.mime, headers=headers)

    return [shortened, login_page, login, logout, theme, static]


def _failed(site: Site, renderer: Renderer, request: Req, error: Exception) -> Response[Any]:
    """Any failure as a page; as JSON for the script, which asks for it."""
    if isinstance(error, MediamillError):
        status, said = status_of(error, ERRORS)[0], str(error)
    elif isinstance(error, HTTPException):
        status, said = error.status_code, UNKNOWN if error.status_code == 404 else error.detail
    else:
        status, said = 500, ""
    if status >= 500:
        log.error("page broke", path=request.scope["path"], exc_info=error)
        said = "The server failed; its log says more."
    scripted = "application/json" in request.headers.get("accept", "")
    if isinstance(error, Unauthorized) and request.method == "GET" and not scripted:
        return _to_login(renderer, request)
    if scripted:
        return Response({"detail": said}, status_code=status, media_type="application/json")
    title = TITLES.get(status, TITLES[500])
    known = request.state.get("caller")
    return renderer.page(request, "error.html", caller=known, status=status, title=title, said=said)


def _to_login(renderer: Renderer, request: Req) -> Response[Any]:
    path, query = request.scope["path"], request.scope["query_string"].decode("latin-1")
    if request.headers.get("sec-fetch-site") == "cross-site":
        # A link on another site: the strict cookie stays away from that first request. Asked for again from a page of
        # ours, it comes along; without it, that second request leads to the login.
        return renderer.page(request, "again.html", to=f"{path}?{query}" if query else path)
    if request.headers.get("accept", "").startswith("text/event-stream"):
        return Response(b"", status_code=401, media_type="text/plain")
    asked = f"{path}?{query}" if query else path
    login = "/ui/login" if asked.rstrip("/") == "/ui" else "/ui/login?" + urlencode({"next": asked})
    return Redirect(login, status_code=303)
