"""What the native dialect says of the server itself, to anyone: what works, which version, whether it is well."""

from __future__ import annotations

import msgspec
from litestar import MediaType, Response, Router, get

from mediamill import __version__
from mediamill.dialects import Site
from mediamill.dialects.mill import wire
from mediamill.dialects.mill.responses import json, says
from mediamill.web.capabilities import Capabilities, read_capabilities


def router(site: Site) -> Router:
    """Everything about the server."""
    capabilities = msgspec.json.encode(read_capabilities(site.engines))

    @get(
        "/capabilities",
        responses={200: says(Capabilities, "What works here.")},
        tags=["server"],
        operation_id="getCapabilities",
        security=[{}],
    )
    async def get_capabilities() -> Response[bytes]:
        """Kinds with their options, conversions that work here, engines that are off and why."""
        return Response(capabilities, media_type=MediaType.JSON)

    @get(
        "/health",
        responses={200: says(wire.Health, "It does.")},
        tags=["server"],
        operation_id="getHealth",
        security=[{}],
    )
    async def health() -> Response[bytes]:
        """Whether the process answers."""
        return json(wire.Health(status="ok"))

    @get(
        "/version",
        responses={200: says(wire.Version, "Name and version.")},
        tags=["server"],
        operation_id="getVersion",
        security=[{}],
    )
    async def version() -> Response[bytes]:
        """What runs here."""
        return json(wire.Version(name="mediamill", version=__version__))

    @get(
        "/ready",
        tags=["server"],
        operation_id="getReady",
        security=[{}],
        responses={
            200: says(wire.Ready, "Everything is there."),
            503: says(wire.Ready, "Something it needs is away."),
        },
    )
    async def ready() -> Response[bytes]:
        """Whether the database, the files and a worker are there."""
        checks = dict(await site.health())
        good = all(value == "ok" for value in checks.values())
        return json(wire.Ready(status="ok" if good else "unavailable", checks=checks), 200 if good else 503)

    return Router("/", route_handlers=[get_capabilities, health, version, ready])
