"""/v1/renders: list, create, read, cancel, download."""

from __future__ import annotations

from mediamill.dialects.framelane import jobs, scenes
from mediamill.dialects.framelane.call import Call, Reply, Route
from mediamill.dialects.framelane.tasks import accept


async def list_renders(call: Call) -> Reply:
    """Renders, newest first."""
    return await jobs.list_jobs(call, [jobs.RENDER])


async def create_render(call: Call) -> Reply:
    """Render a scene."""
    body = call.body()
    request = scenes.filled(body)
    found = scenes.doubts(request)
    return await accept(call, scenes.new_render(call, request, body, found), headers=scenes.told(found))


async def get_render(call: Call) -> Reply:
    """One render."""
    return await jobs.get_job(call, "render")


async def cancel_render(call: Call) -> Reply:
    """Stop it."""
    return await jobs.cancel_job(call, "render")


async def download_render(call: Call) -> Reply:
    """Where its result is."""
    return await jobs.download(call, "render")


ROUTES = [
    Route("GET", "/v1/renders", list_renders),
    Route("POST", "/v1/renders", create_render),
    Route("GET", "/v1/renders/{}", get_render),
    Route("DELETE", "/v1/renders/{}", cancel_render, json=False),
    Route("GET", "/v1/renders/{}/download", download_render),
]
