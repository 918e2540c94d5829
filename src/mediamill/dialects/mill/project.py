"""The native dialect's view of the caller's project."""

from __future__ import annotations

import msgspec
from litestar import Response, Router, get, patch

from mediamill.core.access import Caller
from mediamill.dialects import Site
from mediamill.dialects.mill.requests import Req, read_body
from mediamill.dialects.mill.responses import json, problems, says


class ProjectIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change."""

    reuse: bool | None = None


class ProjectOut(msgspec.Struct, kw_only=True):
    """The caller's project. `reuse`: whether a task that asks the same as an earlier one is answered from its files."""

    id: str
    reuse: bool


SHAPES = (ProjectIn, ProjectOut)


def router(site: Site) -> Router:
    """Everything about the project."""
    service = site.service.projects

    async def answer(caller: Caller) -> Response[bytes]:
        out = ProjectOut(id=caller.project_id, reuse=await service.reuses(caller))
        return json(out)

    @get(
        "/project",
        responses={200: says(ProjectOut, "The project."), **problems()},
        tags=["project"],
        operation_id="getProject",
    )
    async def get_project(caller: Caller) -> Response[bytes]:
        """The caller's project."""
        return await answer(caller)

    @patch(
        "/project",
        responses={200: says(ProjectOut, "The project."), **problems(403, 413, 415)},
        tags=["project"],
        operation_id="changeProject",
    )
    async def change_project(request: Req, caller: Caller) -> Response[bytes]:
        """Change what holds for all of the project; for administrators."""
        body = await read_body(request, ProjectIn)
        if body.reuse is not None:
            await service.reuse(caller, body.reuse)
        return await answer(caller)

    return Router("/", route_handlers=[get_project, change_project])
