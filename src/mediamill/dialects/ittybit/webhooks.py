"""/webhooks/endpoints: who is told of what happens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mediamill.core.errors import Invalid
from mediamill.core.webhooks import Endpoint, EndpointState, NewEndpoint
from mediamill.dialects.ittybit import ids, objects, query
from mediamill.dialects.ittybit.call import Call, Reply, Route
from mediamill.dialects.ittybit.errors import Fault, invalid
from mediamill.dialects.ittybit.events import TOPICS, topics_of
from mediamill.dialects.ittybit.objects import NAME, Json
from mediamill.dialects.ittybit.reading import secure

_STATES = {"active": EndpointState.ACTIVE, "paused": EndpointState.PAUSED}


def write_endpoint(found: Endpoint) -> Json:
    """An endpoint without its secret. One that switched itself off is shown as paused, with the reason."""
    shown: Json = {
        "id": ids.write("endpoint", found.id),
        "object": "webhook_endpoint",
        "url": found.url,
        "topics": list(found.topics) if found.dialect == NAME else topics_of(found.types),
        "status": "active" if found.state is EndpointState.ACTIVE else "paused",
        "created_at": objects.seconds(found.created_at),
        "updated_at": objects.seconds(found.updated_at),
    }
    return {**shown, "reason": found.reason} if found.reason else shown


async def list_endpoints(call: Call) -> Reply:
    """The endpoints, newest first unless told."""
    found = await call.site.service.endpoints.list(call.caller)
    return query.small(call, [write_endpoint(endpoint) for endpoint in found if endpoint.dialect == NAME])


async def create_endpoint(call: Call) -> Reply:
    """A new endpoint; its secret is shown this once, and not to a repeat of the request."""
    body = call.body()
    url = query.text(body, "url", most=2048)
    if url is None:
        raise Fault(400, "url_required", "url is required: where to send events.")
    topics, state = _topics(body), _state(body)
    new = NewEndpoint(
        url=secure(url, "url"),
        types=[type for topic in topics for type in TOPICS[topic]],
        topics=topics,
        dialect=NAME,
        origin=call.links.origin,
    )
    endpoint, secret = await _said(call.site.service.endpoints.create(call.caller, new))
    if state not in (None, endpoint.state):
        endpoint = await call.site.service.endpoints.change(call.caller, endpoint.id, state=state)
    shown = write_endpoint(endpoint)
    location = {"location": call.url(f"/webhooks/endpoints/{shown['id']}")}
    return Reply(body={**shown, "secret": secret}, status=201, headers=location, kept=shown)


async def get_endpoint(call: Call) -> Reply:
    """One endpoint."""
    return Reply(body=write_endpoint(await _endpoint(call)))


async def change_endpoint(call: Call) -> Reply:
    """Its url, topics, status: those that are there."""
    body = call.body(required=False)
    endpoint = await _endpoint(call)
    url = query.text(body, "url", most=2048)
    topics = _topics(body) if "topics" in body else None
    changed = await _said(
        call.site.service.endpoints.change(
            call.caller,
            endpoint.id,
            url=secure(url, "url") if url is not None else None,
            types=[type for topic in topics for type in TOPICS[topic]] if topics is not None else None,
            topics=topics,
            state=_state(body),
        )
    )
    return Reply(body=write_endpoint(changed))


async def delete_endpoint(call: Call) -> Reply:
    """Forget it."""
    endpoint = await _endpoint(call)
    await call.site.service.endpoints.delete(call.caller, endpoint.id)
    return Reply(body={"message": f"Webhook endpoint {call.ids[0]} was deleted."})


async def _endpoint(call: Call) -> Endpoint:
    return await call.site.service.endpoints.get(call.caller, ids.read("endpoint", call.ids[0]))


async def _said(verb: Any) -> Any:
    try:
        return await verb
    except Invalid as error:
        raise invalid(f"{error.field}: {error.reason}" if error.field else error.reason) from error


def _topics(body: Mapping[str, Any]) -> list[str]:
    given = body.get("topics")
    if not isinstance(given, list) or not given or not all(isinstance(t, str) and t in TOPICS for t in given):
        raise invalid(f"topics must be a list of at least one of {', '.join(TOPICS)}.")
    return list(dict.fromkeys(given))


def _state(body: Mapping[str, Any]) -> EndpointState | None:
    status = body.get("status")
    if status is not None and (not isinstance(status, str) or status not in _STATES):
        raise invalid(f"status must be one of {', '.join(_STATES)}.")
    return _STATES[status] if status is not None else None


ROUTES = [
    Route("GET", "/webhooks/endpoints", list_endpoints),
    Route("POST", "/webhooks/endpoints", create_endpoint),
    Route("GET", "/webhooks/endpoints/{}", get_endpoint),
    Route("PATCH", "/webhooks/endpoints/{}", change_endpoint),
    Route("DELETE", "/webhooks/endpoints/{}", delete_endpoint),
]
