"""The native dialect's webhooks: endpoints, the log of events, deliveries and telling again."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from litestar import Response, Router, delete, get, patch, post
from litestar.params import HeaderParameter, Parameter
from litestar.response import Stream

from mediamill.core import webhooks as core
from mediamill.core.access import Caller
from mediamill.core.errors import Invalid
from mediamill.dialects import Site
from mediamill.dialects.mill import events as wire
from mediamill.dialects.mill.requests import Limit, Order, Req, ends, read_body
from mediamill.dialects.mill.responses import json, problems, says, stream
from mediamill.web.events import EVENT_STREAM, event_bytes

CursorWord = Annotated[str | None, Parameter(description="A cursor from `next` or `prev`: an id.", max_length=60)]


def router(site: Site) -> Router:
    """Everything about webhooks."""
    service = site.service.endpoints

    @post(
        "/endpoints",
        responses={201: says(wire.EndpointOut, "The endpoint, with its secret."), **problems(413, 415)},
        tags=["webhooks"],
        operation_id="createEndpoint",
    )
    async def create_endpoint(request: Req, caller: Caller) -> Response[bytes]:
        """A new endpoint; the secret that signs what it is sent is shown this once."""
        body = await read_body(request, wire.EndpointIn)
        new = core.NewEndpoint(url=body.url, types=body.types, name=body.name, origin=site.links(request.scope).origin)
        endpoint, secret = await service.create(caller, new)
        return json(wire.write_endpoint(endpoint, secret), 201)

    @get(
        "/endpoints",
        responses={200: says(wire.EndpointPage, "Endpoints."), **problems()},
        tags=["webhooks"],
        operation_id="listEndpoints",
    )
    async def list_endpoints(caller: Caller) -> Response[bytes]:
        """The project's endpoints, newest first."""
        return json(wire.EndpointPage(data=[wire.write_endpoint(e) for e in await service.list(caller)]))

    @get(
        "/endpoints/{endpoint_id:str}",
        responses={200: says(wire.EndpointOut, "The endpoint."), **problems(404)},
        tags=["webhooks"],
        operation_id="getEndpoint",
    )
    async def get_endpoint(caller: Caller, endpoint_id: str) -> Response[bytes]:
        """One endpoint."""
        return json(wire.write_endpoint(await service.get(caller, endpoint_id)))

    @patch(
        "/endpoints/{endpoint_id:str}",
        responses={200: says(wire.EndpointOut, "The endpoint."), **problems(404, 413, 415)},
        tags=["webhooks"],
        operation_id="changeEndpoint",
    )
    async def change_endpoint(request: Req, caller: Caller, endpoint_id: str) -> Response[bytes]:
        """Change an endpoint. Made active again, it gets what waited for it meanwhile."""
        body = await read_body(request, wire.EndpointChange)
        state = core.EndpointState(body.state) if body.state is not None else None
        changed = await service.change(caller, endpoint_id, name=body.name, url=body.url, types=body.types, state=state)
        return json(wire.write_endpoint(changed))

    @delete("/endpoints/{endpoint_id:str}", responses=problems(404), tags=["webhooks"], operation_id="deleteEndpoint")
    async def delete_endpoint(caller: Caller, endpoint_id: str) -> None:
        """Forget an endpoint and its deliveries."""
        await service.delete(caller, endpoint_id)

    @post(
        "/endpoints/{endpoint_id:str}/rotate",
        responses={200: says(wire.EndpointOut, "The endpoint, with its new secret."), **problems(404, 413, 415)},
        status_code=200,
        tags=["webhooks"],
        operation_id="rotateEndpoint",
    )
    async def rotate_endpoint(request: Req, caller: Caller, endpoint_id: str) -> Response[bytes]:
        """A new secret, shown this once; for a while the old one signs beside it."""
        body = await read_body(request, wire.RotateIn)
        endpoint, secret = await service.rotate(caller, endpoint_id, body.overlap_s)
        return json(wire.write_endpoint(endpoint, secret))

    @post(
        "/endpoints/{endpoint_id:str}/test",
        responses={202: says(wire.DeliveryOut, "The delivery."), **problems(404, 409)},
        status_code=202,
        tags=["webhooks"],
        operation_id="testEndpoint",
    )
    async def test_endpoint(caller: Caller, endpoint_id: str) -> Response[bytes]:
        """Send an endpoint an event of type endpoint.test; the delivery tells how it was answered."""
        return json(wire.write_delivery(await service.test(caller, endpoint_id)), 202)

    @post(
        "/endpoints/{endpoint_id:str}/replay",
        responses={202: says(wire.ReplayOut, "How many."), **problems(404, 409, 413, 415)},
        status_code=202,
        tags=["webhooks"],
        operation_id="replayEvents",
    )
    async def replay_events(request: Req, caller: Caller, endpoint_id: str) -> Response[bytes]:
        """Tell an endpoint events again: of a range of ids, since an instant, all that it missed."""
        body = await read_body(request, wire.ReplayIn)
        count, last = await service.replay(caller, endpoint_id, wire.read_span(body))
        return json(wire.ReplayOut(count=count, next=core.event_id(last + 1) if last is not None else None), 202)

    @get(
        "/endpoints/{endpoint_id:str}/deliveries",
        responses={200: says(wire.DeliveryPage, "A page."), **problems(404)},
        tags=["webhooks"],
        operation_id="listEndpointDeliveries",
    )
    async def list_endpoint_deliveries(
        caller: Caller,
        endpoint_id: str,
        limit: Limit = 20,
        after: CursorWord = None,
        before: CursorWord = None,
        order: Order = "desc",
        states: Annotated[str | None, Parameter(query="state", description="Comma list.", max_length=200)] = None,
    ) -> Response[bytes]:
        """An endpoint's deliveries, newest first."""
        page = _deliveries(limit, after, before, order, states, endpoint_id=endpoint_id)
        return await answer(caller, page)

    @get(
        "/deliveries",
        responses={200: says(wire.DeliveryPage, "A page."), **problems(404)},
        tags=["webhooks"],
        operation_id="listDeliveries",
    )
    async def list_deliveries(
        caller: Caller,
        limit: Limit = 20,
        after: CursorWord = None,
        before: CursorWord = None,
        order: Order = "desc",
        states: Annotated[str | None, Parameter(query="state", description="Comma list.", max_length=200)] = None,
        task_id: Annotated[str | None, Parameter(pattern="^[a-z0-9]{1,64}$")] = None,
        event_id: CursorWord = None,
    ) -> Response[bytes]:
        """The project's deliveries, newest first; also those to addresses that tasks named."""
        about = wire.event_number(event_id) if event_id is not None else None
        return await answer(caller, _deliveries(limit, after, before, order, states, task_id=task_id, event_id=about))

    async def answer(caller: Caller, page: core.DeliveryPage) -> Response[bytes]:
        found, more = await service.deliveries(caller, page)
        next_, prev = ends(page, found, more, lambda d: core.delivery_id(d.id))
        return json(wire.DeliveryPage(data=[wire.write_delivery(d) for d in found], next=next_, prev=prev))

    @get(
        "/deliveries/{delivery_id:str}",
        responses={200: says(wire.DeliveryOut, "The delivery with its log."), **problems(404)},
        tags=["webhooks"],
        operation_id="getDelivery",
    )
    async def get_delivery(caller: Caller, delivery_id: str) -> Response[bytes]:
        """One delivery with the log of its attempts: request, answer, time."""
        found = await service.delivery(caller, wire.delivery_number(delivery_id))
        return json(wire.write_delivery(found, log=True))

    @post(
        "/deliveries/{delivery_id:str}/replay",
        responses={202: says(wire.DeliveryOut, "The new delivery."), **problems(404)},
        status_code=202,
        tags=["webhooks"],
        operation_id="replayDelivery",
    )
    async def replay_delivery(caller: Caller, delivery_id: str) -> Response[bytes]:
        """The same event to the same address once more, under the same event id."""
        found = await service.again(caller, wire.delivery_number(delivery_id))
        return json(wire.write_delivery(found), 202)

    @get(
        "/events/log",
        responses={200: says(wire.EventLog, "A page."), **problems()},
        tags=["webhooks"],
        operation_id="listEvents",
    )
    async def list_events(
        caller: Caller,
        limit: Limit = 20,
        after: CursorWord = None,
        before: CursorWord = None,
        order: Order = "desc",
        types: Annotated[str | None, Parameter(query="type", description="Comma list.", max_length=500)] = None,
    ) -> Response[bytes]:
        """What happened in the project, newest first."""
        page = core.EventPage(
            limit=limit,
            ascending=order == "asc",
            after=_cursor("after", "evt_", after),
            before=_cursor("before", "evt_", before),
            types=_split(types),
        )
        found, more = await service.events(caller, page)
        next_, prev = ends(page, found, more, lambda e: core.event_id(e.id))
        return json(wire.EventLog(data=[wire.write_line(e) for e in found], next=next_, prev=prev))

    @get(
        "/events/follow",
        responses={
            200: says(str, "Events named `event`; data is what a webhook says.", EVENT_STREAM),
            **problems(),
        },
        tags=["webhooks"],
        operation_id="followEvents",
        media_type=EVENT_STREAM,
    )
    async def follow_events(
        request: Req,
        caller: Caller,
        last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID", max_length=60)] = None,
    ) -> Stream:
        """Events as they happen, as server-sent events; from after Last-Event-ID on, or from now."""
        links = site.links(request.scope)
        after = _cursor("Last-Event-ID", "evt_", last_event_id)

        async def told() -> AsyncIterator[bytes]:
            async for event in service.follow(caller, after):
                if event is None:
                    yield b": here\n\n"
                    continue
                said = wire.write_event(event, await service.subject(event), links)
                yield b"id: " + core.event_id(event.id).encode() + b"\n" + event_bytes("event", said)

        return stream(told())

    @get(
        "/events/{event_id:str}",
        responses={200: says(wire.EventOut, "The event, as a webhook says it now."), **problems(404)},
        tags=["webhooks"],
        operation_id="getEvent",
    )
    async def get_event(request: Req, caller: Caller, event_id: str) -> Response[bytes]:
        """One event with what it is about."""
        event = await service.event(caller, wire.event_number(event_id))
        return json(wire.write_event(event, await service.subject(event), site.links(request.scope)))

    return Router(
        path="/",
        route_handlers=[
            create_endpoint,
            list_endpoints,
            get_endpoint,
            change_endpoint,
            delete_endpoint,
            rotate_endpoint,
            test_endpoint,
            replay_events,
            list_endpoint_deliveries,
            list_deliveries,
            get_delivery,
            replay_delivery,
            list_events,
            follow_events,
            get_event,
        ],
    )


def _deliveries(
    limit: int,
    after: str | None,
    before: str | None,
    order: str,
    states: str | None,
    *,
    endpoint_id: str | None = None,
    task_id: str | None = None,
    event_id: int | None = None,
) -> core.DeliveryPage:
    words = _split(states)
    try:
        wanted = [core.DeliveryState(word) for word in words] if words is not None else None
    except ValueError:
        raise Invalid("state", f"must be of {', '.join(core.DeliveryState)}.") from None
    return core.DeliveryPage(
        limit=limit,
        ascending=order == "asc",
        after=_cursor("after", "dlv_", after),
        before=_cursor("before", "dlv_", before),
        endpoint_id=endpoint_id,
        task_id=task_id,
        event_id=event_id,
        states=wanted,
    )


def _cursor(field: str, prefix: str, word: str | None) -> int | None:
    if word is None:
        return None
    number = core.read_id(prefix, word)
    if number is None:
        raise Invalid(field, "is not a cursor of ours.")
    return number


def _split(words: str | None) -> list[str] | None:
    return [word.strip() for word in words.split(",") if word.strip()] if words is not None else None
