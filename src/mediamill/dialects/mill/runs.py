"""The native dialect's runs: several tasks started together, some after others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, Router, get, post
from litestar.params import QueryParameter
from msgspec import Meta

from mediamill.core import runs as core
from mediamill.core.access import Caller
from mediamill.core.errors import Invalid
from mediamill.core.runs import Node
from mediamill.dialects import Links, Site
from mediamill.dialects.mill import wire
from mediamill.dialects.mill.requests import (
    CursorWord,
    IdempotencyKey,
    Limit,
    Order,
    Req,
    Wait,
    ends,
    page_of,
    read_body,
)
from mediamill.dialects.mill.responses import json, problems, says

RunState = Literal["waiting", "running", "succeeded", "failed", "cancelled"]
_STATES = ("waiting", "running", "succeeded", "failed", "cancelled")
_DEEPEST = 20


class NodeIn(wire.TaskIn, kw_only=True, forbid_unknown_fields=True):
    """A task of a run. What it makes is the first input of each task in `next` that names no input of its own."""

    ref: Annotated[str, Meta(max_length=200, description="Your name for it.")] | None = None
    next: Annotated[list[NodeIn], Meta(max_length=100, description="Started when this one has succeeded.")] = (
        msgspec.field(default_factory=list)
    )


class RunIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Tasks to start together; 100 in all."""

    tasks: Annotated[list[NodeIn], Meta(min_length=1, max_length=100)]
    metadata: Annotated[dict[str, Any], Meta(description="Yours; given back as it came.")] | None = None


class PartOut(msgspec.Struct, kw_only=True):
    """A task of a run in brief. `skipped`: a condition before it was not met."""

    id: str
    kind: str
    state: wire.StateWord
    stage: str | None
    progress: float
    skipped: bool
    error: wire.ErrorOut | None


class RunOut(msgspec.Struct, kw_only=True):
    """A run. It fails when a task of it does, once all others have ended."""

    id: str
    state: RunState
    progress: float
    dialect: str
    metadata: dict[str, Any] | None
    created_by: str | None
    cancel_requested: bool
    error: wire.ErrorOut | None
    tasks: list[PartOut]
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: dict[str, str]


class RunPage(msgspec.Struct, kw_only=True):
    """One page; next and prev are cursors for `after` and `before`."""

    data: list[RunOut]
    next: str | None
    prev: str | None


SHAPES = (RunIn, RunOut, RunPage)


def write_run(run: core.Run, links: Links) -> RunOut:
    """A run as JSON."""
    here = f"{links.base}/runs/{run.id}"
    return RunOut(
        id=run.id,
        state=run.state,  # type: ignore[arg-type]  # the column's own check holds it to these words
        progress=round(run.progress, 4),
        dialect=run.dialect,
        metadata=dict(run.metadata) if run.metadata is not None else None,
        created_by=run.created_by,
        cancel_requested=run.cancel_requested,
        error=wire.write_failure(run.error),
        tasks=[
            PartOut(
                id=part.id,
                kind=part.kind,
                state=part.state.value,
                stage=part.stage,
                progress=round(part.progress, 4),
                skipped=part.skipped,
                error=wire.write_failure(part.error),
            )
            for part in run.parts
        ],
        created_at=run.created_at,
        updated_at=run.updated_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        links={
            "self": here,
            "tasks": f"{links.base}/tasks?run_id={run.id}&order=asc",
            **({} if run.final else {"cancel": f"{here}/cancel"}),
        },
    )


def read_run(body: RunIn, caller: Caller, idempotency_key: str | None) -> core.NewRun:
    """A request as the core takes it. Raises Invalid with the path of the task at fault."""
    nodes: list[Node] = []

    def add(items: Sequence[NodeIn], parent: int | None, path: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise Invalid(path, f"is nested deeper than {_DEEPEST} levels.")
        for n, item in enumerate(items):
            here = f"{path}.{n}"
            try:
                new = replace(wire.read_task(item, None), dialect="mill")
            except Invalid as error:
                error.field = f"{here}.{error.field}"
                raise
            place = len(nodes)
            nodes.append(
                Node(
                    new=new, parent=parent, after=parent, inherits=parent is not None and not item.inputs, ref=item.ref
                )
            )
            add(item.next, place, f"{here}.next", depth + 1)

    add(body.tasks, None, "tasks", 1)
    return core.NewRun(nodes=nodes, metadata=body.metadata, created_by=caller.key_id, idempotency_key=idempotency_key)


def router(site: Site) -> Router:
    """Everything about runs."""
    service = site.service.runs

    def answer(run: core.Run, request: Req, status: int = 200) -> Response[bytes]:
        out = write_run(run, site.links(request.scope))
        headers = {"location": out.links["self"]} if status != 200 else {}
        return json(out, status, headers)

    @post(
        "/runs",
        responses={
            200: says(RunOut, "Made before with this idempotency key."),
            201: says(RunOut, "The run."),
            **problems(404, 413, 415),
        },
        status_code=201,
        tags=["runs"],
        operation_id="createRun",
    )
    async def create_run(request: Req, caller: Caller, idempotency_key: IdempotencyKey = None) -> Response[bytes]:
        """Accept several tasks durably, all of them or none."""
        body = await read_body(request, RunIn)
        run, fresh = await service.create(caller, read_run(body, caller, idempotency_key))
        return answer(run, request, 201 if fresh else 200)

    @get("/runs", responses={200: says(RunPage, "A page."), **problems()}, tags=["runs"], operation_id="listRuns")
    async def list_runs(
        request: Req,
        caller: Caller,
        limit: Limit = 20,
        after: CursorWord = None,
        before: CursorWord = None,
        order: Order = "desc",
        states: Annotated[str | None, QueryParameter(name="state", description="Comma list.", max_length=200)] = None,
    ) -> Response[bytes]:
        """The project's runs, newest first. Every task belongs to one."""
        page = page_of(limit, after, before, order)
        words = states.split(",") if states is not None else None
        if unknown := [word for word in words or () if word not in _STATES]:
            raise Invalid("state", f"{unknown[0][:50]!r} is none of {', '.join(_STATES)}.")
        found = await service.list(caller, page, words)
        links = site.links(request.scope)
        next_, prev = ends(page, found.items, found.more)
        out = RunPage(data=[write_run(run, links) for run in found.items], next=next_, prev=prev)
        return json(out)

    @get(
        "/runs/{run_id:str}",
        responses={200: says(RunOut, "The run."), **problems(404)},
        tags=["runs"],
        operation_id="getRun",
    )
    async def get_run(request: Req, caller: Caller, run_id: str, wait: Wait = None) -> Response[bytes]:
        """One run. With `wait`, once it has ended or the time is up."""
        return answer(await (service.wait(caller, run_id, wait) if wait else service.get(caller, run_id)), request)

    @post(
        "/runs/{run_id:str}/cancel",
        responses={200: says(RunOut, "The run."), **problems(404, 409)},
        status_code=200,
        tags=["runs"],
        operation_id="cancelRun",
    )
    async def cancel_run(request: Req, caller: Caller, run_id: str) -> Response[bytes]:
        """Stop all of a run; its processes are gone within a second."""
        return answer(await service.cancel(caller, run_id), request)

    return Router("/", route_handlers=[create_run, list_runs, get_run, cancel_run])
