"""The native dialect's automations: workflows that are kept, and how their items become a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from litestar import Response, Router, delete, get, patch, post

from mediamill import kinds
from mediamill.core import automations as core
from mediamill.core.access import NOBODY, Caller
from mediamill.core.errors import Invalid
from mediamill.core.runs import NewRun
from mediamill.core.tasks import Source
from mediamill.dialects import Site
from mediamill.dialects.mill.kept import (
    AutomationChange,
    AutomationIn,
    AutomationOut,
    AutomationPage,
    StartIn,
    write_automation,
)
from mediamill.dialects.mill.requests import CursorWord, IdempotencyKey, Limit, Order, Req, ends, page_of, read_body
from mediamill.dialects.mill.responses import json, problems, says
from mediamill.dialects.mill.runs import NodeIn, RunIn, RunOut, read_run, write_run
from mediamill.service.tasks import invalid_option


def plan(workflow: Sequence[Mapping[str, Any]], given: core.Given) -> NewRun:
    """The run that items written here make of what a start gives. Raises Invalid."""
    try:
        tasks = msgspec.convert(list(workflow), list[NodeIn])
    except msgspec.ValidationError as error:
        raise invalid_option(error, "workflow") from None
    new = read_run(
        RunIn(tasks=tasks, metadata=dict(given.metadata) if given.metadata is not None else None), NOBODY, None
    )
    nodes = []
    for node in new.nodes:
        task = node.new
        if not task.inputs and not node.inherits and given.source is not None and kinds.named(task.kind).inputs[1] > 0:
            task = replace(task, inputs=[given.source])
        nodes.append(replace(node, new=task))
    return replace(new, nodes=nodes)


def router(site: Site) -> Router:
    """Everything about automations."""
    service = site.service.automations
    tags: Any = ["automations"]

    @post(
        "/automations",
        responses={201: says(AutomationOut, "The automation."), **problems(413, 415)},
        tags=tags,
        operation_id="createAutomation",
    )
    async def create_automation(request: Req, caller: Caller) -> Response[bytes]:
        """Keep a workflow. Its kinds and options are checked now, so that it does not fail by night."""
        body = await read_body(request, AutomationIn)
        new = core.NewAutomation(
            workflow=body.workflow,
            dialect="mill",
            name=body.name,
            description=body.description,
            status=body.status,
            trigger=msgspec.to_builtins(body.trigger),
        )
        return json(write_automation(await service.create(caller, new)), 201)

    @get(
        "/automations",
        responses={200: says(AutomationPage, "A page."), **problems()},
        tags=tags,
        operation_id="listAutomations",
    )
    async def list_automations(
        caller: Caller,
        limit: Limit = 20,
        after: CursorWord = None,
        before: CursorWord = None,
        order: Order = "desc",
    ) -> Response[bytes]:
        """The project's automations, newest first."""
        page = page_of(limit, after, before, order)
        found, more = await service.list(caller, page)
        next_, prev = ends(page, found, more)
        return json(AutomationPage(data=[write_automation(one) for one in found], next=next_, prev=prev))

    @get(
        "/automations/{automation_id:str}",
        responses={200: says(AutomationOut, "The automation."), **problems(404)},
        tags=tags,
        operation_id="getAutomation",
    )
    async def get_automation(caller: Caller, automation_id: str) -> Response[bytes]:
        """One automation."""
        return json(write_automation(await service.get(caller, automation_id)))

    @patch(
        "/automations/{automation_id:str}",
        responses={200: says(AutomationOut, "The automation."), **problems(404, 413, 415)},
        tags=tags,
        operation_id="changeAutomation",
    )
    async def change_automation(request: Req, caller: Caller, automation_id: str) -> Response[bytes]:
        """Make some of an automation another. Paused, it starts nothing; what it has started goes on."""
        body = await read_body(request, AutomationChange)
        changes: dict[str, Any] = msgspec.to_builtins(body)
        return json(write_automation(await service.change(caller, automation_id, changes)))

    @delete("/automations/{automation_id:str}", responses=problems(404), tags=tags, operation_id="deleteAutomation")
    async def delete_automation(caller: Caller, automation_id: str) -> None:
        """Forget an automation; what it has started goes on."""
        await service.delete(caller, automation_id)

    @post(
        "/automations/{automation_id:str}/run",
        responses={
            200: says(RunOut, "Made before with this idempotency key."),
            201: says(RunOut, "The run."),
            **problems(404, 409, 413, 415),
        },
        status_code=201,
        tags=tags,
        operation_id="startAutomation",
    )
    async def start_automation(
        request: Req,
        caller: Caller,
        automation_id: str,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[bytes]:
        """Start it: a run of its tasks, with this input for those that name none."""
        body = await read_body(request, StartIn)
        source = None
        if body.input is not None:
            if (body.input.file is None) == (body.input.url is None):
                raise Invalid("input", "needs either a file or a url.")
            source = Source(
                file=body.input.file,
                url=body.input.url,
                filename=body.input.filename,
                connection=body.input.connection,
            )
        given = core.Given(source=source, metadata=body.metadata)
        run, fresh = await service.run(caller, automation_id, given, idempotency_key=idempotency_key)
        out = write_run(run, site.links(request.scope))
        return json(out, 201 if fresh else 200, {"location": out.links["self"]})

    return Router(
        "/",
        route_handlers=[
            create_automation,
            list_automations,
            get_automation,
            change_automation,
            delete_automation,
            start_automation,
        ],
    )
