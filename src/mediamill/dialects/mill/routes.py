"""The native dialect's app: its resources together, who calls, and errors in its words."""

from __future__ import annotations

from typing import Any

import structlog
from litestar import Litestar, MediaType, Response, get
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException

from mediamill.core import schema_words
from mediamill.core.access import Caller
from mediamill.core.errors import MediamillError
from mediamill.dialects import Answer, App, Site
from mediamill.dialects.mill import (
    accounts,
    automations,
    connections,
    files,
    following,
    keys,
    openapi,
    project,
    prompts,
    runs,
    schedules,
    server,
    tasks,
    uploads,
    webhooks,
)
from mediamill.dialects.mill.errors import problem, write_error
from mediamill.dialects.mill.requests import Malformed, NotJson, Queries, Req, secret_of
from mediamill.dialects.mill.responses import problems
from mediamill.dialects.mill.shell import with_allow, with_head

log = structlog.get_logger()


def respond(answer: Answer) -> Response[bytes]:
    """A finished answer as Litestar's."""
    return Response(answer.body, status_code=answer.status, media_type=answer.media_type, headers=dict(answer.headers))


def build(site: Site) -> App:
    """The dialect's app, served below /mill."""
    service, settings = site.service, site.settings
    queries = Queries()

    async def caller(request: Req) -> Caller:
        found = await service.keys.caller(secret_of(request))
        service.keys.spend(found, "mill", settings.requests_per_minute)
        queries.check(request)
        return found

    @get("/openapi.json", include_in_schema=False)
    async def describe() -> Response[bytes]:
        """This interface, as OpenAPI 3.1."""
        return Response(await described(), media_type=MediaType.JSON)

    app = Litestar(
        route_handlers=[
            tasks.router(site),
            files.router(site),
            keys.router(site),
            server.router(site),
            describe,
            runs.router(site),
            prompts.router(site),
            following.router(site),
            project.router(site),
            accounts.router(site),
            webhooks.router(site),
            connections.router(site),
            automations.router(site),
            schedules.router(site),
            uploads.router(site, problems(403, 404, 409, 410, 412, 413, 415, 460), _worded, _http),
        ],
        dependencies={"caller": Provide(caller)},
        exception_handlers={
            MediamillError: lambda request, error: respond(_worded(error)),
            HTTPException: lambda request, error: respond(_http(error)),
            Exception: lambda request, error: respond(_broken(request, error)),
        },
        openapi_config=openapi.config(),
        logging_config=None,
    )
    queries.learn(app)
    described = openapi.Described(app)
    return with_head(with_allow(app))


def _worded(error: MediamillError) -> Answer:
    if isinstance(error, Malformed):
        return problem(400, "malformed", str(error))
    if isinstance(error, NotJson):
        return problem(415, "unsupported_media_type", str(error))
    return write_error(error)


def _words(message: str) -> str:
    """What is wrong with a parameter, which is never null."""
    return schema_words.read(message.replace(" | null`", "`"))[1]


def _http(error: HTTPException) -> Answer:
    """What Litestar itself refuses, in our words."""
    status = error.status_code
    if isinstance(error, ValidationException):
        found: Any = error.extra
        faults = found if isinstance(found, list) else []
        first = faults[0] if faults else {}
        return problem(
            422,
            "invalid",
            "; ".join(_words(str(f.get("message", ""))) for f in faults) or error.detail,
            field="Idempotency-Key" if first.get("source") == "header" else first.get("key"),
        )
    codes = {
        400: "malformed",
        404: "not_found",
        405: "method_not_allowed",
        413: "too_large",
        415: "unsupported_media_type",
    }
    answer = problem(
        status,
        codes.get(status, "invalid" if status < 500 else "internal_error"),
        error.detail if status < 500 else "The server failed; its log says more.",
    )
    return Answer(
        status=answer.status,
        media_type=answer.media_type,
        body=answer.body,
        headers={**answer.headers, **(dict(error.headers) if error.headers else {})},
    )


def _broken(request: Req, error: Exception) -> Answer:
    """Something nobody foresaw: told in the log, not to the caller."""
    log.error("request broke", method=request.method, path=request.url.path, exc_info=error)
    return problem(500, "internal_error", "The server failed; its log says more.")
