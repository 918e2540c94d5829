"""/v1/preview: what is doubtful in a scene, and what it looks like, made by the engine that renders it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

from mediamill.core.tasks import State
from mediamill.dialects.framelane import jobs, scenes
from mediamill.dialects.framelane.call import Call, Json, Reply, Route
from mediamill.dialects.framelane.errors import Fault, invalid
from mediamill.dialects.framelane.tasks import create
from mediamill.service.tasks import invalid_option

WAIT_S = 55.0
"""A preview that takes longer is given up: whoever looks has gone."""


class _Window(msgspec.Struct):
    start: Annotated[float, msgspec.Meta(ge=0)]
    end: Annotated[float, msgspec.Meta(gt=0)]


class _Sheet(msgspec.Struct):
    frames: Annotated[int, msgspec.Meta(ge=1, le=36)] = 9


class _Ways(msgspec.Struct):
    """The ways to look, of which a body has one at most; it is held to them in a dry run too."""

    at: Annotated[float, msgspec.Meta(ge=0)] | None = None
    window: _Window | None = None
    contact_sheet: _Sheet | None = None


_MODES = _Ways.__struct_fields__


async def preview(call: Call) -> Reply:
    """Of a scene in the body: under render_request, or bare."""
    body = call.body()
    given = body.get("render_request", body)
    if not isinstance(given, dict):
        raise invalid("render_request", "must be an object")
    return await look(call, scenes.filled(given), body)


async def look(
    call: Call, request: Mapping[str, Any], body: Mapping[str, Any], *, dropped: Sequence[str] = ()
) -> Reply:
    """The answer about a filled-in scene, in the way that the body asks for. dropped: see KeptScene."""
    found = scenes.doubts(request, dropped)
    mode = _mode(body)
    dry = body.get("dry_run")
    if dry is not None and not isinstance(dry, bool):
        raise invalid("dry_run", "must be a boolean")
    shown = None
    if scenes.sound(found) and not dry:
        shown = await _shown(call, request, mode)
    return Reply(body={"ok": scenes.sound(found), "violations": found, "preview": shown})


def _mode(body: Mapping[str, Any]) -> Json:
    try:
        asked = msgspec.convert({name: body.get(name) for name in _MODES}, _Ways)
    except msgspec.ValidationError as error:
        raise invalid_option(error, "") from error
    if asked.window is not None and asked.window.end <= asked.window.start:
        raise invalid("window.end", "must lie after the start")
    given: Json = {name: part for name, part in msgspec.to_builtins(asked).items() if part is not None}
    if len(given) > 1:
        raise invalid(list(given)[1], f"{next(iter(given))} is given already")
    return given or {"contact_sheet": {}}


async def _shown(call: Call, request: Mapping[str, Any], mode: Json) -> Json:
    verbs = call.site.service.tasks
    task, _ = await create(call, scenes.new_preview(call, request, mode))
    task = await verbs.wait(call.caller, task.id, WAIT_S)
    if not task.state.final:
        await verbs.cancel(call.caller, task.id, wait_s=0.0)
        raise Fault(422, "timeout", f"The preview was not made within {WAIT_S:g} s.")
    file = task.result
    if task.state is not State.SUCCEEDED or file is None:
        if task.error is not None and task.error.code == "range_empty":
            raise invalid("window" if "window" in mode else "at", task.error.message)
        error = jobs.write_error(task.error)
        raise Fault(500 if error["code"] == "internal" else 422, error["code"], error["message"])
    facts = task.details
    return {
        "mode": facts.get("mode"),
        "url": jobs.short(call.links).download(file),
        "content_type": file.mime,
        "width": file.facts.get("width_px"),
        "height": file.facts.get("height_px"),
        "times": list(facts.get("times") or ()),
    }


ROUTES = [Route("POST", "/v1/preview", preview)]
