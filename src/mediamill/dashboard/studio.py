"""A light studio: a scene as JSON on the left, a frame or a sheet of it on the right, what is wrong in its place."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from mediamill.core import compositions
from mediamill.core.access import Caller
from mediamill.core.errors import Invalid, LimitReached, NotFound
from mediamill.core.files import File
from mediamill.core.tasks import NewTask, State
from mediamill.dashboard.choices import Choices
from mediamill.dashboard.new import FORM_BYTES, pairs_of
from mediamill.dashboard.render import Page, Renderer, Req
from mediamill.dashboard.scenes import SAMPLE, Looked, Note, look
from mediamill.dialects import Site

WAIT_S = 55.0
MODES = (("frame", "a frame"), ("sheet", "a sheet"), ("clip", "a clip"))
_CLIP_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of drawing: a file, or why not."""

    file: File | None = None
    error: str = ""
    took_s: float | None = None


def routes(site: Site, renderer: Renderer, choices: Choices) -> Sequence[HTTPRouteHandler]:
    """The pages of the studio."""
    tasks = site.service.tasks

    async def drawn(caller: Caller, looked: Looked, values: Mapping[str, str]) -> Seen:
        """Have the scene drawn, and wait for it."""
        assert looked.request is not None
        options = {**compositions.options(looked.request), **_mode(values)}
        try:
            task, _ = await tasks.create(caller, NewTask(kind="preview", options=options))
        except (Invalid, NotFound, LimitReached) as error:
            return Seen(error=str(error))
        task = await tasks.wait(caller, task.id, WAIT_S)
        if not task.state.final:
            await tasks.cancel(caller, task.id, wait_s=0.0)
            return Seen(error=f"It was not drawn within {WAIT_S:g} s. Does a worker run?")
        if task.state is not State.SUCCEEDED or task.result is None:
            return Seen(error=task.error.message if task.error else "It was not drawn.")
        took_s = (task.finished_at - task.created_at).total_seconds() if task.finished_at else None
        return Seen(file=task.result, took_s=took_s)

    def page(
        request: Req, caller: Caller, values: Mapping[str, str], looked: Looked, seen: Seen | None, status: int = 200
    ) -> Page:
        return renderer.page(
            request,
            "studio.html",
            caller=caller,
            status=status,
            values=values,
            looked=looked,
            seen=seen,
            modes=MODES,
            kind=choices.kinds.get("preview"),
        )

    async def values_in(request: Req) -> dict[str, str]:
        values = {name: value for name, value in await pairs_of(request) if "\0" not in value}
        return {**values, "scene": values.get("scene", "").replace("\r\n", "\n")}

    @get("/studio", name="studio")
    async def desk(request: Req, caller: Caller) -> Page:
        return page(request, caller, {"scene": SAMPLE}, look(SAMPLE), None)

    @post("/studio", status_code=200, request_max_body_size=FORM_BYTES)
    async def again(request: Req, caller: Caller) -> Page | Response[dict[str, Any]]:
        """What is to be said of the scene, and what it looks like. `dry`: only the former."""
        values = await values_in(request)
        looked = look(values["scene"])
        try:
            seen = await drawn(caller, looked, values) if looked.sound and not values.get("dry") else None
        except Invalid as error:
            looked = Looked(notes=[Note(severity="error", message=str(error))])
            seen = None
        if "application/json" not in request.headers.get("accept", ""):
            return page(request, caller, values, looked, seen, 200 if looked.sound else 422)
        body = {
            "notes": renderer.piece("_studio.html", "notes", looked.notes),
            "lines": {note.line: note.severity for note in reversed(looked.notes)},
            "sound": looked.sound,
            "duration_s": looked.duration_s,
            "seen": None if seen is None else renderer.piece("_studio.html", "seen", seen),
        }
        return Response(body, media_type="application/json")

    @post("/studio/render", status_code=303, request_max_body_size=FORM_BYTES)
    async def render(request: Req, caller: Caller) -> Redirect | Page:
        """Start the render of the scene as it stands."""
        values = await values_in(request)
        looked = look(values["scene"])
        if not looked.sound or looked.request is None:
            return page(request, caller, values, looked, None, 422)
        try:
            made = await tasks.create(caller, NewTask(kind="render", options=compositions.options(looked.request)))
        except (Invalid, NotFound, LimitReached) as error:
            return page(request, caller, values, looked, Seen(error=str(error)), 422)
        return Redirect(f"/ui/tasks/{made[0].id}", status_code=303)

    return [desk, again, render]


def _mode(values: Mapping[str, str]) -> dict[str, Any]:
    """What is to be drawn. Raises Invalid."""
    mode = values.get("mode", "frame")
    if mode == "sheet":
        return {"contact_sheet": {}}
    text = values.get("at", "").strip() or "0"
    try:
        at = float(text)
    except ValueError:
        at = math.nan
    if not 0 <= at < math.inf:
        raise Invalid("at", "must be seconds from the beginning.")
    return {"window": {"start": at, "end": at + _CLIP_S}} if mode == "clip" else {"at": at}
