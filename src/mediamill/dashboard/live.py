"""What keeps a page live: server-sent events, for as long as whoever looks may."""

from __future__ import annotations

from collections.abc import AsyncIterator

from litestar.response import Stream

from mediamill.core.errors import Unauthorized
from mediamill.dashboard.render import Req
from mediamill.dashboard.session import caller_of
from mediamill.dialects import Site
from mediamill.web.events import EVENT_STREAM

RETRY = b"retry: 2000\n\n"
STILL_HERE = b": still here\n\n"


def stream(events: AsyncIterator[bytes]) -> Stream:
    """Events as a response."""
    unbuffered = {"x-accel-buffering": "no"}  # nginx would hold events back otherwise
    return Stream(events, media_type=EVENT_STREAM, headers=unbuffered)


async def may_look(site: Site, request: Req) -> bool:
    """Whether the session that a stream was opened with still holds: it may end meanwhile."""
    try:
        await caller_of(site, request)
    except Unauthorized:
        return False
    return True
