"""/automations: workflows that are kept, and started by a call or by new media."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mediamill import kinds
from mediamill.core import automations as core
from mediamill.core.errors import Invalid, MediamillError
from mediamill.core.tasks import Cursor
from mediamill.dialects.ittybit import current, ids, objects, query, workflow
from mediamill.dialects.ittybit.call import Call, Reply, Route
from mediamill.dialects.ittybit.errors import Fault, invalid, refused
from mediamill.dialects.ittybit.objects import NAME, Json
from mediamill.dialects.ittybit.profile import Profile
from mediamill.dialects.ittybit.reading import key_of, read_source
from mediamill.dialects.ittybit.words import GONE, KINDS, OLD

_KEPT = frozenset((*KINDS, *OLD, *GONE, "workflow"))
_FIELDS = ("name", "description", "workflow", "status", "trigger")


def write_automation(found: core.Automation, call: Call) -> Json:
    """An automation in the call's profile."""
    shown: Json = {
        "id": ids.write("automation", found.id),
        "object": "automation",
        "name": found.name,
        "description": found.description,
        "workflow": list(found.workflow),
        "status": found.status.value,
        "problem": found.problem,
    }
    dates = {"created": objects.iso(found.created_at), "updated": objects.iso(found.updated_at)}
    if call.profile is Profile.CURRENT:
        seconds = {
            "created_at": objects.seconds(found.created_at),
            "updated_at": objects.seconds(found.updated_at),
        }
        more = {"trigger": dict(found.trigger), **dates} if found.trigger is not None else {}
        return {**shown, **more, **seconds}
    return {**shown, "trigger": dict(found.trigger) if found.trigger is not None else None, **dates}


async def list_automations(call: Call) -> Reply:
    """The automations, newest first unless told."""
    verbs = call.site.service.automations
    if call.numbered:
        asked = query.numbered(call)
        rows, total = await verbs.numbered(call.caller, limit=asked.limit, skip=asked.skip)
        return Reply(body=[write_automation(a, call) for a in rows], around=query.number_around(call, asked, total))
    page = await query.window(call, lambda id: _place(call, id))
    found, more = await verbs.list(call.caller, page)
    shown = [write_automation(a, call) for a in found]
    return Reply(body=shown, around=query.cursor_around(call, page, [a["id"] for a in shown], more))


async def create_automation(call: Call) -> Reply:
    """Keep a workflow."""
    body = call.body()
    given = _read(body)
    if "workflow" not in given:
        raise invalid("workflow is required: a list of task items.")
    if call.numbered and given.get("trigger") is None:
        raise invalid(f'trigger is required: {{"kind": "event", "event": "{core.MEDIA_CREATED}"}}.')
    new = core.NewAutomation(
        workflow=given["workflow"],
        dialect=NAME,
        name=given.get("name"),
        description=given.get("description"),
        status=given.get("status") or core.Status.ACTIVE,
        trigger=given.get("trigger"),
    )
    found = await _said(call.site.service.automations.create(call.caller, new, look_over=_whole(given["workflow"])))
    shown = write_automation(found, call)
    return Reply(body=shown, status=201, headers={"location": call.url(f"/automations/{shown['id']}")})


async def get_automation(call: Call) -> Reply:
    """One automation."""
    found = await call.site.service.automations.get(call.caller, ids.read("automation", call.ids[0]))
    return Reply(body=write_automation(found, call))


async def change_automation(call: Call) -> Reply:
    """Those of its fields that are there."""
    changes = _read(call.body(required=False))
    id = ids.read("automation", call.ids[0])
    verbs = call.site.service.automations
    if not changes:
        return await get_automation(call)
    whole = _whole(changes.get("workflow", []))
    return Reply(body=write_automation(await _said(verbs.change(call.caller, id, changes, look_over=whole)), call))


async def delete_automation(call: Call) -> Reply:
    """Forget it; what it has started goes on."""
    await call.site.service.automations.delete(call.caller, ids.read("automation", call.ids[0]))
    return Reply(body={"message": f"Automation {call.ids[0]} was deleted."})


async def run_automation(call: Call) -> Reply:
    """Start it with an input of the call's."""
    body = call.body(required=False)
    source = read_source(body)
    connection = query.text(body, "connection_id", most=80)
    if source is not None and connection is not None and source.url is not None:
        source = replace(source, connection=ids.read("connection", connection))
    given = core.Given(source=source, metadata=query.mapping(body, "metadata"))
    id = ids.read("automation", call.ids[0])
    run, fresh = await _said(call.site.service.automations.run(call.caller, id, given, idempotency_key=key_of(call)))
    shown = current.write_run(run, call.links)
    return Reply(body=shown, status=201 if fresh else 200, headers={"location": call.url(f"/runs/{shown['id']}")})


async def _place(call: Call, id: str) -> Cursor:
    found = await call.site.service.automations.get(call.caller, ids.read("automation", id))
    return Cursor(at=found.created_at, id=found.id)


async def _said(verb: Any) -> Any:
    try:
        return await verb
    except workflow.Refused as error:
        raise error.fault from error
    except Invalid as error:
        said = refused(error)
        if error.field.startswith("inputs") or ".inputs" in error.field:
            raise Fault(400, "url_required" if error.field.endswith("inputs") else said.kind, str(said)) from error
        raise said from error
    except MediamillError as error:
        raise refused(error) from error


def _read(body: Mapping[str, Any]) -> dict[str, Any]:
    found = {name: body[name] for name in _FIELDS if name in body}
    for name in ("name", "description"):
        if name in found and found[name] is not None and not isinstance(found[name], str):
            raise invalid(f"{name} must be a string.")
    if "status" in found and found["status"] not in tuple(core.Status):
        raise invalid(f"status must be one of {', '.join(core.Status)}.")
    if "workflow" in found:
        _check_kinds(found["workflow"], "workflow", 1)
    return found


def _check_kinds(items: Any, path: str, depth: int) -> None:
    """Raises a 400 Fault for what is no list of items of kinds that there are, or were."""
    if not isinstance(items, list) or (depth == 1 and not items):
        raise invalid(f"{path} must be a list of task items" + (" that is not empty." if depth == 1 else "."))
    if depth > workflow.DEEPEST:
        raise invalid(f"{path} is nested deeper than {workflow.DEEPEST} levels.")
    for n, item in enumerate(items):
        if not isinstance(item, dict):
            raise invalid(f"{path}[{n}] must be an object.")
        if not isinstance(item.get("kind"), str) or item["kind"] not in _KEPT:
            raise invalid(f"{path}[{n}].kind must be one of {', '.join(KINDS)}.")
        if item.get("next") is not None:
            _check_kinds(item["next"], f"{path}[{n}].next", depth + 1)


def _whole(items: Any) -> bool:
    """Whether every item is of a kind there is, so that it can be looked over now; older words stay as they came."""
    return all(item["kind"] in KINDS and _whole(item.get("next") or []) and _known(item["kind"]) for item in items)


def _known(kind: str) -> bool:
    return kind in kinds.load()


ROUTES = [
    Route("GET", "/automations", list_automations),
    Route("POST", "/automations", create_automation),
    Route("GET", "/automations/{}", get_automation),
    Route("PATCH", "/automations/{}", change_automation),
    Route("DELETE", "/automations/{}", delete_automation),
    Route("POST", "/automations/{}/run", run_automation),
]
