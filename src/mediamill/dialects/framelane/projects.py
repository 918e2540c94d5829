"""/v1/projects: scenes that are kept, edited in batches, previewed and rendered as they stand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mediamill.core.compositions import ends
from mediamill.core.errors import NotFound
from mediamill.core.kept_scenes import Author, KeptScene
from mediamill.dialects.framelane import ids, jobs, previews, scenes
from mediamill.dialects.framelane.call import Call, Json, Reply, Route
from mediamill.dialects.framelane.errors import invalid
from mediamill.dialects.framelane.tasks import accept

LONGEST_NAME = 255
LABEL = 80


def write_project(scene: KeptScene, *, full: bool = False) -> Json:
    """A project; with its whole request where that is asked for."""
    return {
        "id": ids.write("proj", scene.id),
        "name": scene.name,
        "version": scene.version,
        "workspace_id": ids.workspace(scene.project_id),
        "created_at": jobs.instant(scene.created_at),
        "updated_at": jobs.instant(scene.updated_at),
        "summary": _summary(scene.request),
        "render_request": dict(scene.request) if full else None,
    }


def _summary(request: Mapping[str, Any]) -> Json:
    lasting = [end for element in request["elements"] if (end := ends(element)) is not None]
    return {
        "width": request["width"],
        "height": request["height"],
        "duration": request["duration"] if request["duration"] is not None else max(lasting, default=None),
        "frame_rate": request["frame_rate"],
        "output_format": request["output_format"],
        "element_count": len(request["elements"]),
        "transition_count": len(request["transitions"]),
        "elements": [_brief(element) for element in request["elements"]],
    }


def _brief(element: Mapping[str, Any]) -> Json:
    end = ends(element)
    return {
        "id": element["id"] or None,
        "type": element["type"],
        "time": element["time"],
        "duration": None if end is None else round(end - element["time"], 6),
        "label": (element.get("name") or element.get("text") or "")[:LABEL] or None,
        "source": element.get("source_url"),
    }


async def create_project(call: Call) -> Reply:
    """A new one, empty where the body has no scene; `view=full` as in `get_project`."""
    body, full = call.body(required=False), _full(call)
    name = body.get("name")
    if name is not None and (not isinstance(name, str) or len(name) > LONGEST_NAME):
        raise invalid("name", f"must be a string of at most {LONGEST_NAME} characters")
    request = body.get("render_request")
    if request is not None and not isinstance(request, dict):
        raise invalid("render_request", "must be an object")
    scene = await call.site.service.compositions.create(
        call.caller, name=name or "", request=request, author=_author(body)
    )
    shown = write_project(scene, full=full)
    return Reply(body=shown, status=201, headers={"location": call.url(f"/v1/projects/{shown['id']}")})


async def list_projects(call: Call) -> Reply:
    """Projects, newest first, in brief."""
    found, more = await call.site.service.compositions.list(call.caller, jobs.page_of(call))
    last = (found[-1].created_at, found[-1].id) if found else None
    return Reply(body=jobs.listed([write_project(scene) for scene in found], more, last))


async def get_project(call: Call) -> Reply:
    """One; `view=full` with its request."""
    full = _full(call)
    return Reply(body=write_project(await _project(call), full=full))


async def delete_project(call: Call) -> Reply:
    """Let it go."""
    scene = await _project(call)
    await call.site.service.compositions.delete(call.caller, scene.id)
    return Reply(status=204)


async def edit_project(call: Call) -> Reply:
    """A batch of edits: all of them, or none."""
    body = call.body()
    version = body.get("if_version")
    if version is not None and (isinstance(version, bool) or not isinstance(version, int)):
        raise invalid("if_version", "must be an integer")
    author = _author(body)
    try:
        scene, made = await call.site.service.compositions.edit(
            call.caller, _id(call), body.get("ops"), if_version=version, author=author
        )
    except NotFound as error:
        if error.noun == "composition":
            raise NotFound("project", call.ids[0]) from None
        raise
    found = scenes.doubts(scene.request)
    answer = {
        "version": scene.version,
        "ok": scenes.sound(found),
        "changed_ids": list(made.changed_ids),
        "diff": {
            "added_ids": list(made.added_ids),
            "removed_ids": list(made.removed_ids),
            "transitions_changed": made.transitions_changed,
        },
        "violations": found,
    }
    return Reply(body=answer)


async def preview_project(call: Call) -> Reply:
    """A look at its newest version."""
    scene = await _project(call)
    return await previews.look(call, scene.request, call.body(required=False), dropped=scene.dropped)


async def render_project(call: Call) -> Reply:
    """Render its newest version."""
    scene = await _project(call)
    body = call.body(required=False)
    found = scenes.doubts(scene.request, scene.dropped)
    new = scenes.new_render(call, scene.request, {**body, "webhook_url": scene.request.get("webhook_url")}, found)
    return await accept(call, new, headers=scenes.told(found))


def _full(call: Call) -> bool:
    view = call.query.get("view", "summary")
    if view not in ("summary", "full"):
        raise invalid("view", "must be one of summary, full")
    return view == "full"


async def _project(call: Call) -> KeptScene:
    try:
        return await call.site.service.compositions.get(call.caller, _id(call))
    except NotFound:
        raise NotFound("project", call.ids[0]) from None


def _id(call: Call) -> str:
    return ids.read("proj", call.ids[0], "project")


def _author(body: Mapping[str, Any]) -> Author:
    match body.get("author", "user"):
        case "user" | None:
            return "user"
        case "agent":
            return "agent"
        case _:
            raise invalid("author", "must be one of user, agent")


ROUTES = [
    Route("POST", "/v1/projects", create_project),
    Route("GET", "/v1/projects", list_projects),
    Route("GET", "/v1/projects/{}", get_project),
    Route("DELETE", "/v1/projects/{}", delete_project, json=False),
    Route("POST", "/v1/projects/{}/ops", edit_project),
    Route("POST", "/v1/projects/{}/preview", preview_project),
    Route("POST", "/v1/projects/{}/renders", render_project),
]
