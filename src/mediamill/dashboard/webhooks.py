"""Webhooks: endpoints with their secrets shown once, and deliveries with what was sent and what came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter
from litestar.response import Redirect

from mediamill.core import webhooks as core
from mediamill.core.access import Caller
from mediamill.core.errors import Invalid, LimitReached, NotFound
from mediamill.dashboard.new import FORM_BYTES, Pairs, pairs_of
from mediamill.dashboard.paging import ROWS, Ends
from mediamill.dashboard.render import Page, Renderer, Req
from mediamill.dashboard.session import safe_return
from mediamill.dialects import Site

Word = Annotated[str | None, Parameter(max_length=60)]
_SOON_S = 10.0
_MOST_BODY = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the form of an endpoint holds."""

    url: str = ""
    name: str = ""
    types: Sequence[str] = (core.EVERYTHING,)


def routes(site: Site, renderer: Renderer) -> Sequence[HTTPRouteHandler]:
    """The pages about webhooks."""
    endpoints = site.service.endpoints

    async def show(
        request: Req, caller: Caller, given: Given, error: Exception | None = None, secret: str | None = None
    ) -> Page:
        return renderer.page(
            request,
            "webhooks.html",
            caller=caller,
            status=200 if error is None else 422,
            endpoints=await endpoints.list(caller),
            given=given,
            types=core.every_type(),
            everything=core.EVERYTHING,
            fault=error.field if isinstance(error, Invalid) else "",
            reason=error.reason if isinstance(error, Invalid) else str(error or ""),
            secret=secret,
        )

    async def page(
        request: Req,
        caller: Caller,
        id: str,
        *,
        state: str = "",
        after: str | None = None,
        before: str | None = None,
        error: Exception | None = None,
        given: Given | None = None,
        secret: str | None = None,
        told: int | None = None,
    ) -> Page:
        found = await endpoints.get(caller, id)
        words = {"state": state} if state else {}
        part = core.DeliveryPage(
            limit=ROWS,
            after=_cursor("after", after),
            before=_cursor("before", before),
            endpoint_id=found.id,
            states=[_state(state)] if state else None,
        )
        deliveries, more = await endpoints.deliveries(caller, part)
        return renderer.page(
            request,
            "webhook.html",
            caller=caller,
            status=200 if error is None else 422,
            endpoint=found,
            given=given or Given(url=found.url, name=found.name, types=found.types),
            types=core.every_type(),
            everything=core.EVERYTHING,
            fault=error.field if isinstance(error, Invalid) else "",
            reason=error.reason if isinstance(error, Invalid) else str(error or ""),
            secret=secret,
            told=told,
            deliveries=deliveries,
            ends=_ends(part, deliveries, more, words),
            words=words,
            states=[one.value for one in core.DeliveryState],
        )

    @get("/webhooks", name="webhooks")
    async def table(request: Req, caller: Caller) -> Page:
        return await show(request, caller, Given())

    @post("/webhooks", status_code=200, request_max_body_size=FORM_BYTES)
    async def create(request: Req, caller: Caller) -> Page:
        """The secret is in this one answer and nowhere else."""
        given = _given(await pairs_of(request))
        new = core.NewEndpoint(
            url=given.url, types=given.types, name=given.name, origin=site.links(request.scope).origin
        )
        try:
            made, secret = await endpoints.create(caller, new)
        except (Invalid, LimitReached) as error:
            return await show(request, caller, given, error)
        return await page(request, caller, made.id, secret=secret)

    @get("/webhooks/{endpoint_id:str}", name="webhook")
    async def one(request: Req, caller: Caller, endpoint_id: str, after: Word = None, before: Word = None) -> Page:
        state = request.query_params.get("state", "")
        return await page(request, caller, endpoint_id, state=state, after=after, before=before)

    @post("/webhooks/{endpoint_id:str}", status_code=303, request_max_body_size=FORM_BYTES)
    async def change(request: Req, caller: Caller, endpoint_id: str) -> Redirect | Page:
        given = _given(await pairs_of(request))
        try:
            await endpoints.change(caller, endpoint_id, name=given.name, url=given.url, types=given.types)
        except Invalid as error:
            return await page(request, caller, endpoint_id, error=error, given=given)
        return Redirect(f"/ui/webhooks/{endpoint_id}", status_code=303)

    @post("/webhooks/{endpoint_id:str}/rotate", status_code=200)
    async def rotate(request: Req, caller: Caller, endpoint_id: str) -> Page:
        _, secret = await endpoints.rotate(caller, endpoint_id)
        return await page(request, caller, endpoint_id, secret=secret)

    @post("/webhooks/{endpoint_id:str}/missed", status_code=200)
    async def missed(request: Req, caller: Caller, endpoint_id: str) -> Page:
        """Tell again what it has not answered well, of all since it is there."""
        since = (await endpoints.get(caller, endpoint_id)).created_at
        count, _ = await endpoints.replay(caller, endpoint_id, core.Span(since=since, missed=True))
        return await page(request, caller, endpoint_id, told=count)

    @post("/webhooks/{endpoint_id:str}/test", status_code=303)
    async def test(caller: Caller, endpoint_id: str) -> Redirect:
        return _to(await endpoints.test(caller, endpoint_id))

    @post("/webhooks/{endpoint_id:str}/{word:str}", status_code=303)
    async def switch(request: Req, caller: Caller, endpoint_id: str, word: str) -> Redirect:
        """Pause, resume or delete it."""
        if word == "delete":
            await endpoints.delete(caller, endpoint_id)
            return Redirect("/ui/webhooks", status_code=303)
        if word not in ("pause", "resume"):
            raise NotFound("page", word)
        state = core.EndpointState.PAUSED if word == "pause" else core.EndpointState.ACTIVE
        await endpoints.change(caller, endpoint_id, state=state)
        back = request.query_params.get("back") or f"/ui/webhooks/{endpoint_id}"
        return Redirect(safe_return(back), status_code=303)

    @get("/deliveries/{delivery_id:str}", name="delivery")
    async def delivery(request: Req, caller: Caller, delivery_id: str) -> Page:
        found = await endpoints.delivery(caller, _id(delivery_id))
        endpoint = await endpoints.get(caller, found.endpoint_id) if found.endpoint_id else None
        soon = is_soon(found)
        return renderer.page(request, "delivery.html", caller=caller, delivery=found, endpoint=endpoint, soon=soon)

    @post("/deliveries/{delivery_id:str}/again", status_code=303)
    async def again(caller: Caller, delivery_id: str) -> Redirect:
        return _to(await endpoints.again(caller, _id(delivery_id)))

    return [table, create, one, change, rotate, missed, test, switch, delivery, again]


def is_soon(delivery: core.Delivery) -> bool:
    """Whether a delivery, with its log, is worth another look at once: its time comes, or it is on its way just now."""
    if delivery.state is not core.DeliveryState.PENDING:
        return False
    due = delivery.next_attempt_at
    # While an attempt is under way, the next is put off to where this one would be taken for lost.
    under_way = delivery.attempts > len(delivery.log)
    return under_way or due is None or (due - datetime.now(UTC)).total_seconds() < _SOON_S


def body_of(body: bytes) -> str:
    """What was posted or answered, as text; JSON laid out for reading."""
    text = body[:_MOST_BODY].decode("utf-8", "replace")
    try:
        return msgspec.json.format(text, indent=2) if len(body) <= _MOST_BODY else text
    except (msgspec.DecodeError, RecursionError):
        return text


WORDS = {"delivery_id": core.delivery_id, "event_id": core.event_id, "posted": body_of}
"""What templates say of deliveries."""


def _given(pairs: Pairs) -> Given:
    values: Mapping[str, str] = {name: value.strip() for name, value in pairs}
    return Given(
        url=values.get("url", ""),
        name=values.get("name", "")[:200],
        types=list(dict.fromkeys(value for name, value in pairs if name == "types")),
    )


def _to(delivery: core.Delivery) -> Redirect:
    return Redirect(f"/ui/deliveries/{core.delivery_id(delivery.id)}", status_code=303)


def _id(word: str) -> int:
    number = core.read_id("dlv_", word)
    if number is None:
        raise NotFound("delivery", word)
    return number


def _cursor(field: str, word: str | None) -> int | None:
    number = core.read_id("dlv_", word) if word is not None else None
    if word is not None and number is None:
        raise Invalid(field, "is not a cursor of ours.")
    return number


def _state(word: str) -> core.DeliveryState:
    try:
        return core.DeliveryState(word)
    except ValueError:
        raise Invalid("state", f"must be of {', '.join(core.DeliveryState)}.") from None


def _ends(page: core.DeliveryPage, found: Sequence[core.Delivery], more: bool, words: Mapping[str, str]) -> Ends:
    if not found:
        return Ends(newer=None, older=None)
    backward = page.before is not None and page.after is None
    newer = core.delivery_id(found[0].id) if (more if backward else page.after is not None) else None
    older = core.delivery_id(found[-1].id) if (backward or more) else None
    return Ends(
        newer=urlencode({**words, "before": newer}) if newer else None,
        older=urlencode({**words, "after": older}) if older else None,
    )
