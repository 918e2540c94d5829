"""/v1/webhooks: who is told of what, and the log of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mediamill.core.errors import Invalid, NotFound
from mediamill.core.tasks import Cursor
from mediamill.core.webhooks import DeliveryState, Endpoint, EndpointState, NewEndpoint, Posted
from mediamill.dialects.framelane import ids, jobs
from mediamill.dialects.framelane.call import NAME, Call, Json, Reply, Route
from mediamill.dialects.framelane.errors import Fault, invalid
from mediamill.dialects.framelane.events import EVENTS, scope_of
from mediamill.dialects.framelane.tasks import read_url

DEFAULT_DELIVERIES = 50
_STATES = {
    DeliveryState.PENDING: "pending",
    DeliveryState.DELIVERED: "succeeded",
    DeliveryState.FAILED: "dead",
    DeliveryState.DISABLED: "pending",
}
_TYPES = {type: word for word, pairs in EVENTS.items() for type in pairs}


def write_webhook(found: Endpoint, last: datetime | None) -> Json:
    """A webhook without its secret."""
    return {
        "id": ids.write("wh", found.id),
        "url": found.url,
        "events": list(found.topics),
        "enabled": found.state is EndpointState.ACTIVE,
        "created_at": jobs.instant(found.created_at),
        "last_delivery_at": jobs.instant(last) if last else None,
    }


async def list_webhooks(call: Call) -> Reply:
    """All of the workspace, newest first."""
    page = jobs.page_of(call)
    verbs = call.site.service.endpoints
    found = [one for one in await verbs.list(call.caller) if one.dialect == NAME]
    if page.after is not None:
        found = [one for one in found if (one.created_at, one.id) < (page.after.at, page.after.id)]
    last = await verbs.last_posts(call.caller)
    shown = found[: page.limit]
    end = (shown[-1].created_at, shown[-1].id) if shown else None
    body = [write_webhook(one, last.get(one.id)) for one in shown]
    return Reply(body=jobs.listed(body, len(found) > page.limit, end))


async def create_webhook(call: Call) -> Reply:
    """A new webhook; its secret is shown this once."""
    body = call.body()
    url, events = read_url(body, "url", required=True), _events(body)
    types, only = scope_of(events)
    new = NewEndpoint(url=url, types=types, topics=events, dialect=NAME, origin=call.links.origin, only_of=only)
    endpoint, secret = await _said(call.site.service.endpoints.create(call.caller, new))
    shown = write_webhook(endpoint, None)
    location = {"location": call.url(f"/v1/webhooks/{shown['id']}")}
    return Reply(body={**shown, "secret": secret}, status=201, headers=location)


async def get_webhook(call: Call) -> Reply:
    """One."""
    return Reply(body=await _shown(call, await _webhook(call)))


async def change_webhook(call: Call) -> Reply:
    """Its url, events, enabled: those that are there."""
    body = call.body(required=False)
    endpoint = await _webhook(call)
    enabled = body.get("enabled")
    if enabled is not None and not isinstance(enabled, bool):
        raise invalid("enabled", "must be a boolean")
    state = None if enabled is None else EndpointState.ACTIVE if enabled else EndpointState.PAUSED
    events = _events(body) if body.get("events") is not None else None
    types, only = scope_of(events) if events is not None else (None, None)
    changed = await _said(
        call.site.service.endpoints.change(
            call.caller,
            endpoint.id,
            url=read_url(body, "url") or None,
            types=types,
            topics=events,
            state=state,
            only_of=only,
        )
    )
    return Reply(body=await _shown(call, changed))


async def delete_webhook(call: Call) -> Reply:
    """Forget it."""
    endpoint = await _webhook(call)
    await call.site.service.endpoints.delete(call.caller, endpoint.id)
    return Reply(status=204)


async def rotate_secret(call: Call) -> Reply:
    """A new secret; the old one stops at once."""
    endpoint = await _webhook(call)
    _, secret = await call.site.service.endpoints.rotate(call.caller, endpoint.id, 0.0)
    return Reply(body={"secret": secret})


async def list_deliveries(call: Call) -> Reply:
    """Every attempt, newest first; one that is still to come stands for a delivery that was never tried."""
    endpoint = await _webhook(call)
    limit, cursor = jobs.limit_of(call, default=DEFAULT_DELIVERIES), jobs.cursor_of(call)
    found, more = await call.site.service.endpoints.posts(call.caller, endpoint.id, _before(cursor), limit)
    last = None
    if found:
        end = found[-1]
        number = end.attempt.number if end.attempt else 0
        last = (end.delivery.created_at, f"{end.delivery.id}x{number}")
    return Reply(body=jobs.listed([write_delivery(one) for one in found], more, last))


def _before(cursor: Cursor | None) -> tuple[int, int] | None:
    if cursor is None:
        return None
    id, cross, number = cursor.id.partition("x")
    if not (cross and id.isdigit() and number.isdigit() and len(id) < 19 and len(number) < 9):
        raise Fault(400, "invalid_request", "cursor: was not given out here")
    return int(id), int(number)


def write_delivery(found: Posted) -> Json:
    """One attempt of a delivery."""
    delivery, attempt = found.delivery, found.attempt
    newest = attempt is None or attempt.number == delivery.attempts
    at_ms = int(delivery.created_at.timestamp() * 1000)
    status = _STATES[delivery.state] if newest else "failed"
    if newest and attempt is not None and status == "pending":
        status = "failed"  # this attempt did; another comes
    waits = newest and delivery.state is DeliveryState.PENDING
    return {
        "id": ids.derived("dlv", str(delivery.id), str(attempt.number if attempt else 0)),
        "delivery_id": ids.numbered("dlv", at_ms, delivery.id),
        "webhook_id": ids.write("wh", delivery.endpoint_id or ""),
        "event_type": _event_type(found),
        "attempt_number": attempt.number if attempt else 1,
        "status": status,
        "created_at": jobs.instant(delivery.created_at),
        "job_id": _job(found),
        "status_code": attempt.status if attempt else None,
        "response_body": attempt.response_body.decode("utf-8", "replace") if attempt else None,
        "attempted_at": jobs.instant(attempt.started_at) if attempt else None,
        "next_retry_at": jobs.instant(delivery.next_attempt_at) if waits and delivery.next_attempt_at else None,
    }


def _event_type(found: Posted) -> str:
    delivery = found.delivery
    return _TYPES.get(f"{found.kind or ''} {delivery.type}", delivery.type)


def _job(found: Posted) -> str | None:
    if found.delivery.task_id is None:
        return None
    return ids.write("render" if found.kind == jobs.RENDER else "task", found.delivery.task_id)


def _events(body: Mapping[str, Any]) -> list[str]:
    given = body.get("events")
    if given is None or given == []:
        return list(EVENTS)
    if not isinstance(given, list):
        raise invalid("events", "must be a list")
    for number, word in enumerate(given):
        if not isinstance(word, str) or word not in EVENTS:
            raise invalid(f"events.{number}", f"must be one of {', '.join(EVENTS)}")
    return list(dict.fromkeys(given))


async def _shown(call: Call, endpoint: Endpoint) -> Json:
    last = await call.site.service.endpoints.last_posts(call.caller)
    return write_webhook(endpoint, last.get(endpoint.id))


async def _webhook(call: Call) -> Endpoint:
    try:
        found = await call.site.service.endpoints.get(call.caller, ids.read("wh", call.ids[0], "webhook"))
    except NotFound:
        raise NotFound("webhook", call.ids[0]) from None
    if found.dialect != NAME:
        raise NotFound("webhook", call.ids[0])
    return found


async def _said(verb: Any) -> Any:
    try:
        return await verb
    except Invalid as error:
        raise invalid(error.field or "url", error.reason) from error


ROUTES = [
    Route("GET", "/v1/webhooks", list_webhooks),
    Route("POST", "/v1/webhooks", create_webhook),
    Route("GET", "/v1/webhooks/{}", get_webhook),
    Route("PATCH", "/v1/webhooks/{}", change_webhook),
    Route("DELETE", "/v1/webhooks/{}", delete_webhook, json=False),
    Route("POST", "/v1/webhooks/{}/rotate-secret", rotate_secret, json=False),
    Route("GET", "/v1/webhooks/{}/deliveries", list_deliveries),
]
