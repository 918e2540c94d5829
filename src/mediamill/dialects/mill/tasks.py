"""The native dialect's tasks: asking for them, reading and following them, ending and repeating them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any

from litestar import Response, Router, get, post
from litestar.params import Parameter, QueryParameter
from litestar.response import Stream

from mediamill.core.access import Caller
from mediamill.core.errors import Invalid
from mediamill.dialects import Site
from mediamill.dialects import load as load_dialects
from mediamill.dialects.mill import wire
from mediamill.dialects.mill.requests import (
    CursorWord,
    IdempotencyKey,
    Limit,
    Order,
    Req,
    Wait,
    ends,
    filter_of,
    page_of,
    read_body,
)
from mediamill.dialects.mill.responses import json, link_header, problems, says, stream
from mediamill.web.events import EVENT_STREAM, event_bytes

Words = Annotated[str | None, Parameter(description="Comma list.", max_length=500)]
StateWords = Annotated[str | None, QueryParameter(name="state", description="Comma list.", max_length=500)]


def router(site: Site) -> Router:
    """Everything about tasks."""
    service = site.service.tasks
    task_or_404 = {200: says(wire.TaskOut, "The task."), **problems(404)}

    @post(
        "/tasks",
        responses={
            200: says(wire.TaskOut, "Made before with this idempotency key."),
            201: says(wire.TaskOut, "The task."),
            **problems(404, 413, 415),
        },
        status_code=201,
        tags=["tasks"],
        operation_id="createTask",
    )
    async def create_task(
        request: Req,
        caller: Caller,
        idempotency_key: IdempotencyKey = None,
        wait: Wait = None,
    ) -> Response[bytes]:
        """Accept a task durably. With `wait`, the answer comes when it has ended or the time is up."""
        body = await read_body(request, wire.TaskIn)
        task, fresh = await service.create(caller, wire.read_task(body, idempotency_key))
        if wait:
            task = await service.wait(caller, task.id, wait)
        out = wire.write_task(task, site.links(request.scope))
        return json(out, 201 if fresh else 200, {"location": out.links.self})

    @get(
        "/tasks",
        responses={200: says(wire.TaskPage, "A page."), **problems()},
        tags=["tasks"],
        operation_id="listTasks",
    )
    async def list_tasks(
        request: Req,
        caller: Caller,
        limit: Limit = 20,
        after: CursorWord = None,
        before: CursorWord = None,
        order: Order = "desc",
        states: StateWords = None,
        kind: Words = None,
        dialect: Words = None,
        run_id: Annotated[str | None, Parameter(pattern="^[a-z0-9]{1,64}$")] = None,
        q: Annotated[str | None, Parameter(max_length=200)] = None,
    ) -> Response[bytes]:
        """The project's tasks, newest first."""
        page = page_of(limit, after, before, order)
        found = await service.list(caller, page, filter_of(states, kind, dialect, run_id, q))
        links = site.links(request.scope)
        next_, prev = ends(page, found.items, found.more)
        out = wire.TaskPage(data=[wire.write_task(t, links) for t in found.items], next=next_, prev=prev)
        return json(out, headers=link_header(request, links, next_, prev))

    @get("/tasks/{task_id:str}", responses=task_or_404, tags=["tasks"], operation_id="getTask")
    async def get_task(request: Req, caller: Caller, task_id: str, wait: Wait = None) -> Response[bytes]:
        """One task with its attempts. With `wait`, once it has ended or the time is up."""
        task = await (service.wait(caller, task_id, wait) if wait else service.get(caller, task_id))
        return json(wire.write_task(task, site.links(request.scope)))

    @get(
        "/tasks/{task_id:str}/as/{dialect:str}",
        responses={200: says(dict[str, Any], "The task in the dialect's own words."), **problems(404)},
        tags=["tasks"],
        operation_id="getTaskAs",
    )
    async def get_task_as(request: Req, caller: Caller, task_id: str, dialect: str) -> Response[bytes]:
        """The same task as another dialect words it."""
        task = await service.get(caller, task_id)
        links = site.links(request.scope)
        for known in load_dialects():
            if known.name == dialect:
                base = links.origin + known.prefix
                worded = known.write_task(task, replace(links, base=base))
                if worded is None:
                    break
                return json(worded)
        raise Invalid("dialect", f"{dialect} has no words for this task.")

    @post(
        "/tasks/{task_id:str}/cancel",
        responses={200: says(wire.TaskOut, "The task."), **problems(404, 409)},
        status_code=200,
        tags=["tasks"],
        operation_id="cancelTask",
    )
    async def cancel_task(request: Req, caller: Caller, task_id: str) -> Response[bytes]:
        """Stop a task; its processes are gone within a second."""
        return json(wire.write_task(await service.cancel(caller, task_id), site.links(request.scope)))

    @post(
        "/tasks/{task_id:str}/retry",
        responses={201: says(wire.TaskOut, "The new task."), **problems(404, 409)},
        tags=["tasks"],
        operation_id="retryTask",
    )
    async def retry_task(request: Req, caller: Caller, task_id: str) -> Response[bytes]:
        """A new task that asks the same as a failed or cancelled one."""
        out = wire.write_task(await service.retry(caller, task_id), site.links(request.scope))
        return json(out, 201, {"location": out.links.self})

    @get(
        "/tasks/{task_id:str}/events",
        responses={200: says(str, "Events named `task`; data is the task.", EVENT_STREAM), **problems(404)},
        tags=["tasks"],
        operation_id="followTask",
        media_type=EVENT_STREAM,
    )
    async def follow_task(request: Req, caller: Caller, task_id: str) -> Stream:
        """The task at each change, as server-sent events, to its end."""
        await service.get(caller, task_id)
        links = site.links(request.scope)

        async def events() -> AsyncIterator[bytes]:
            async for task in service.follow(caller, task_id):
                yield event_bytes("task", wire.write_task(task, links))

        return stream(events())

    @get(
        "/events",
        responses={200: says(str, "Events named `task`; data is the task.", EVENT_STREAM), **problems()},
        tags=["tasks"],
        operation_id="followTasks",
        media_type=EVENT_STREAM,
    )
    async def follow_all(request: Req, caller: Caller) -> Stream:
        """Every change of the project's tasks, as server-sent events, from now on."""
        links = site.links(request.scope)

        async def events() -> AsyncIterator[bytes]:
            yield b": hello\n\n"
            async for task in service.changes(caller):
                yield event_bytes("task", wire.write_task(task, links))

        return stream(events())

    return Router(
        "/",
        route_handlers=[
            create_task,
            list_tasks,
            get_task,
            get_task_as,
            cancel_task,
            retry_task,
            follow_task,
            follow_all,
        ],
    )
