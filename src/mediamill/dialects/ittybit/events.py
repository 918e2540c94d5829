"""/events: what happened, as it is told to webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mediamill.core.errors import NotFound
from mediamill.core.files import File
from mediamill.core.runs import Run
from mediamill.core.tasks import Task
from mediamill.core.webhooks import Event, EventPage, event_id, read_id
from mediamill.dialects import Links
from mediamill.dialects.ittybit import current, moments, query
from mediamill.dialects.ittybit.call import Call, Reply, Route
from mediamill.dialects.ittybit.errors import invalid
from mediamill.dialects.ittybit.objects import Json, seconds
from mediamill.dialects.ittybit.words import KINDS, worded

TOPICS = {
    "task.created": ("task.created",),
    "task.updated": ("task.started", "task.progress", "task.updated", "task.cancelled"),
    "task.succeeded": ("task.succeeded",),
    "task.failed": ("task.failed",),
    "run.created": ("run.created",),
    "run.updated": ("run.updated", "run.progress", "run.cancelled"),
    "run.succeeded": ("run.succeeded",),
    "run.failed": ("run.failed",),
}
"""The topics there are, and the types of event that each stands for."""
_TOPIC = {type: topic for topic, types in TOPICS.items() for type in types}
TEST = "endpoint.test"
"""What an operator sends to see whether an endpoint hears; no topic, and in no list."""
_LOOKS = 20
"""Pages read at most to fill one: events of tasks that cannot be worded here are left out."""


def topics_of(types: Sequence[str]) -> list[str]:
    """The topics that an endpoint made elsewhere wants."""
    return [topic for topic, known in TOPICS.items() if "*" in types or set(known) & set(types)]


def write_event(event: Event, subject: Task | Run | File | None, links: Links) -> Json | None:
    """An event with the whole task or run at that moment; None for one that is not told here."""
    if event.type == TEST:
        at = seconds(event.created_at)
        return {"id": event_id(event.id), "object": "event", "kind": TEST, "data": {}, "created_at": at}
    topic = _TOPIC.get(event.type)
    if topic is None or subject is None or isinstance(subject, File):
        return None
    data: Any
    if isinstance(subject, Task):
        if not worded(subject):
            return None
        data = current.write_task(moments.task_then(subject, event), links)
    else:
        if not any(part.kind in KINDS for part in subject.parts):
            return None
        data = current.write_run(moments.run_then(subject, event), links)
    return {
        "id": event_id(event.id),
        "object": "event",
        "kind": topic,
        "data": data,
        "created_at": seconds(event.created_at),
    }


async def list_events(call: Call) -> Reply:
    """What happened, newest first unless told."""
    limit, up = query.limit_of(call), query.ascending(call)
    after, before = await _cursor(call, "after"), await _cursor(call, "before")
    if after is not None and before is not None:
        raise invalid("after and before must not be given together.")
    topic = call.query.get("kind")
    if topic is not None and topic not in TOPICS:
        raise invalid(f"kind must be one of {', '.join(TOPICS)}.")
    types = list(TOPICS[topic]) if topic is not None else list(_TOPIC)
    verbs = call.site.service.endpoints
    shown: list[Json] = []
    here, more = after if before is None else before, True
    for _ in range(_LOOKS):
        ends = {"before": here} if before is not None else {"after": here}
        rows, more = await verbs.events(call.caller, EventPage(limit=limit, ascending=up, types=types, **ends))
        said = [write_event(event, await verbs.subject(event), call.links) for event in rows]
        found = [event for event in said if event is not None]
        if rows:
            here = rows[0].id if before is not None else rows[-1].id
        if before is not None:
            more = more or len(found) + len(shown) > limit
            shown = [*found, *shown][-limit:]
        else:
            more = more or len(found) + len(shown) > limit
            shown = [*shown, *found][:limit]
        if len(shown) >= limit or not more:
            break
    page = query.Window(limit=limit, back=before is not None)
    return Reply(body=shown, around=query.around(call, page, [event["id"] for event in shown], more))


async def get_event(call: Call) -> Reply:
    """One event."""
    id = read_id("evt_", call.ids[0])
    if id is None:
        raise NotFound("event", call.ids[0])
    verbs = call.site.service.endpoints
    try:
        event = await verbs.event(call.caller, id)
    except NotFound:
        raise NotFound("event", call.ids[0]) from None
    shown = write_event(event, await verbs.subject(event), call.links)
    if shown is None:
        raise NotFound("event", call.ids[0])
    return Reply(body=shown)


async def _cursor(call: Call, name: str) -> int | None:
    given = call.query.get(name)
    if given is None:
        return None
    id = read_id("evt_", given)
    if id is not None:
        try:
            return (await call.site.service.endpoints.event(call.caller, id)).id
        except NotFound:
            id = None
    raise invalid(f"{name} must be the id of an item of this list.")


ROUTES = [Route("GET", "/events", list_events), Route("GET", "/events/{}", get_event)]
