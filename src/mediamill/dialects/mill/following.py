"""What a run of a prompt does, step by step and letter by letter."""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from litestar import Response, Router, get
from litestar.response import Stream

from mediamill.core.access import Caller
from mediamill.core.steps import Chunk, Step
from mediamill.dialects import Site
from mediamill.dialects.mill import wire
from mediamill.dialects.mill.prompt_bodies import StepsOut, write_step
from mediamill.dialects.mill.requests import Req
from mediamill.dialects.mill.responses import json, problems, says, stream
from mediamill.web.events import EVENT_STREAM, event_bytes


class TokenOut(msgspec.Struct, kw_only=True):
    """Letters of a model's answer while it comes. step: its step's number; offset: how many letters came before."""

    step: int
    offset: int
    text: str


SHAPES = (TokenOut,)
_STREAM = (
    "Events named `step` (data is the step, when it begins and when it ends), `token` (letters of an answer as they"
    " come) and `task` (the task, once it has ended; the last)."
)


def router(site: Site) -> Router:
    """The routes."""
    steps = site.service.steps

    @get(
        "/{task_id:str}/steps",
        responses={200: says(StepsOut, "Its steps; none for a task of another kind."), **problems(404)},
        tags=["tasks"],
        operation_id="listTaskSteps",
    )
    async def list_steps(caller: Caller, task_id: str) -> Response[bytes]:
        """What the run of a prompt has done, in order."""
        found = StepsOut(data=[write_step(step) for step in await steps.list(caller, task_id)])
        return json(found)

    @get(
        "/{task_id:str}/tokens",
        responses={200: says(str, _STREAM, EVENT_STREAM), **problems(404)},
        tags=["tasks"],
        operation_id="followTaskSteps",
        media_type=EVENT_STREAM,
    )
    async def follow_steps(request: Req, caller: Caller, task_id: str) -> Stream:
        """The run of a prompt as it goes, as server-sent events, from its beginning to its end."""
        await site.service.tasks.get(caller, task_id)
        links = site.links(request.scope)

        async def events() -> AsyncIterator[bytes]:
            async for one in steps.follow(caller, task_id):
                if one is None:
                    yield b": nothing new\n\n"
                elif isinstance(one, Step):
                    yield event_bytes("step", write_step(one))
                elif isinstance(one, Chunk):
                    yield event_bytes("token", TokenOut(step=one.number, offset=one.offset, text=one.text))
                else:
                    yield event_bytes("task", wire.write_task(one, links))

        return stream(events())

    return Router("/tasks", route_handlers=[list_steps, follow_steps])
