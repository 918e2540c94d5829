"""Webhook endpoints, the events they are told of, and their deliveries: making, reading, testing, telling again."""

from __future__ import annotations

import asyncio
import base64
import secrets
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Protocol

from mediamill.core.access import Caller
from mediamill.core.errors import Conflict, Invalid, NotFound
from mediamill.core.ids import new_id
from mediamill.core.runs import Run
from mediamill.core.tasks import Task
from mediamill.core.webhooks import (
    EVERYTHING,
    Delivery,
    DeliveryPage,
    Endpoint,
    EndpointState,
    Event,
    EventPage,
    NewEndpoint,
    Posted,
    Span,
    every_type,
)
from mediamill.service.watch import Watch

SECRET_PREFIX = "whsec_"  # noqa: S105 - what Standard Webhooks puts before every secret
MOST_AT_ONCE = 10_000
"""Events told again by one call."""
LONGEST_OVERLAP_S = 7 * 86_400.0
_FOLLOW_PAUSE_S = 0.05
_FOLLOW_IDLE_S = 15.0
_LATE_S = 30.0
"""Events get their ids before they are committed, so a lower one may be seen after a higher one; not by longer."""


class EndpointStore(Protocol):
    """The endpoint table."""

    async def create(self, project_id: str, id: str, new: NewEndpoint, secret: bytes) -> Endpoint: ...
    async def get(self, project_id: str, id: str) -> Endpoint: ...
    async def list(self, project_id: str) -> Sequence[Endpoint]: ...
    async def change(
        self,
        project_id: str,
        id: str,
        *,
        name: str | None = None,
        url: str | None = None,
        topics: Sequence[str] | None = None,
        types: Sequence[str] | None = None,
        state: EndpointState | None = None,
        only_of: Sequence[str] | None = None,
    ) -> Endpoint: ...
    async def rotate(self, project_id: str, id: str, secret: bytes, overlap_s: float) -> None: ...
    async def delete(self, project_id: str, id: str) -> None: ...
    async def test(self, project_id: str, id: str) -> int: ...


class DeliveryStore(Protocol):
    """The delivery and event tables."""

    async def posts(
        self, project_id: str, endpoint_id: str, before: tuple[int, int] | None, most: int
    ) -> Sequence[Posted]: ...
    async def last_posts(self, project_id: str) -> Mapping[str, datetime]: ...
    async def get(self, project_id: str, id: int) -> Delivery: ...
    async def list(self, project_id: str, page: DeliveryPage) -> tuple[Sequence[Delivery], bool]: ...
    async def again(self, project_id: str, id: int) -> Delivery: ...
    async def span(self, project_id: str, endpoint_id: str, span: Span, most: int) -> tuple[int, int | None]: ...
    async def events(self, project_id: str, page: EventPage) -> tuple[Sequence[Event], bool]: ...
    async def event(self, project_id: str, id: int) -> Event: ...
    async def since(self, project_id: str, id: int, but: Sequence[int], most: int) -> Sequence[Event]: ...
    async def newest(self, project_id: str) -> int: ...


class TaskStore(Protocol):
    """Tasks, as events tell of them."""

    async def get(self, project_id: str, id: str) -> Task: ...


class RunStore(Protocol):
    """Runs, as events tell of them."""

    async def get(self, project_id: str, id: str) -> Run: ...


class Endpoints:
    """Verbs on endpoints, events and deliveries."""

    def __init__(
        self,
        *,
        store: EndpointStore,
        deliveries: DeliveryStore,
        tasks: TaskStore,
        runs: RunStore,
        check_url: Callable[[str], None],
        watch: Watch,
        seal: Callable[[bytes, str], bytes],
    ) -> None:
        """seal: of (secret, endpoint's id), how it is kept."""
        self._store = store
        self._deliveries = deliveries
        self._tasks = tasks
        self._runs = runs
        self._check_url = check_url
        self._watch = watch
        self._seal = seal

    async def create(self, caller: Caller, new: NewEndpoint) -> tuple[Endpoint, str]:
        """A new endpoint and its secret, shown this once. Raises Invalid, LimitReached."""
        self._check(new.url, new.types)
        secret = secrets.token_bytes(24)
        if not new.topics:
            new = replace(new, topics=new.types)
        id = new_id("endpoint")
        return await self._store.create(caller.project_id, id, new, self._seal(secret, id)), _shown(secret)

    async def get(self, caller: Caller, id: str) -> Endpoint:
        """One endpoint. Raises NotFound."""
        return await self._store.get(caller.project_id, id)

    async def list(self, caller: Caller) -> Sequence[Endpoint]:
        """The project's endpoints, newest first."""
        return await self._store.list(caller.project_id)

    async def change(
        self,
        caller: Caller,
        id: str,
        *,
        name: str | None = None,
        url: str | None = None,
        types: Sequence[str] | None = None,
        topics: Sequence[str] | None = None,
        state: EndpointState | None = None,
        only_of: Sequence[str] | None = None,
    ) -> Endpoint:
        """Change what is given. Made active again, it gets what waited for it meanwhile. Raises NotFound, Invalid."""
        if state is EndpointState.DISABLED:
            raise Invalid("state", "must be active or paused.")
        self._check(url, types)
        return await self._store.change(
            caller.project_id,
            id,
            name=name,
            url=url,
            types=types,
            topics=topics or types,
            state=state,
            only_of=only_of,
        )

    async def rotate(self, caller: Caller, id: str, overlap_s: float = 86_400.0) -> tuple[Endpoint, str]:
        """A new secret, shown this once. The old one signs as well for `overlap_s`. Raises NotFound, Invalid."""
        if not 0 <= overlap_s <= LONGEST_OVERLAP_S:
            raise Invalid("overlap_s", f"must be from 0 to {LONGEST_OVERLAP_S:g}.")
        secret = secrets.token_bytes(24)
        await self._store.rotate(caller.project_id, id, self._seal(secret, id), overlap_s)
        return await self._store.get(caller.project_id, id), _shown(secret)

    async def delete(self, caller: Caller, id: str) -> None:
        """Forget an endpoint, with its deliveries. Raises NotFound."""
        await self._store.delete(caller.project_id, id)

    async def test(self, caller: Caller, id: str) -> Delivery:
        """Send an endpoint an event of type endpoint.test. Raises NotFound, Conflict when it is not active."""
        endpoint = await self._store.get(caller.project_id, id)
        if endpoint.state is not EndpointState.ACTIVE:
            raise Conflict(f"The endpoint is {endpoint.state}; make it active first.")
        return await self._deliveries.get(caller.project_id, await self._store.test(caller.project_id, id))

    async def deliveries(self, caller: Caller, page: DeliveryPage) -> tuple[Sequence[Delivery], bool]:
        """(a page of deliveries, whether more follow). Raises NotFound for an endpoint that is not there."""
        if page.endpoint_id is not None:
            await self._store.get(caller.project_id, page.endpoint_id)
        return await self._deliveries.list(caller.project_id, page)

    async def posts(
        self, caller: Caller, id: str, before: tuple[int, int] | None, most: int
    ) -> tuple[Sequence[Posted], bool]:
        """(posts to an endpoint, newest first; whether more follow). before: (delivery, number of its post).

        Raises NotFound.
        """
        await self._store.get(caller.project_id, id)
        found = await self._deliveries.posts(caller.project_id, id, before, most + 1)
        return found[:most], len(found) > most

    async def last_posts(self, caller: Caller) -> Mapping[str, datetime]:
        """When each endpoint was last posted to, by its id; those that never were are left out."""
        return await self._deliveries.last_posts(caller.project_id)

    async def delivery(self, caller: Caller, id: int) -> Delivery:
        """One delivery with its log. Raises NotFound."""
        return await self._deliveries.get(caller.project_id, id)

    async def again(self, caller: Caller, id: int) -> Delivery:
        """The same event to the same address once more, under the same event id. Raises NotFound."""
        return await self._deliveries.again(caller.project_id, id)

    async def replay(self, caller: Caller, id: str, span: Span) -> tuple[int, int | None]:
        """Tell an endpoint events again, oldest first. (how many, the id of the last), or (…, None): that was all.

        Raises NotFound, Conflict when it is not active.
        """
        if span.first is not None and span.last is not None and span.first > span.last:
            raise Invalid("last", "must not be before first.")
        endpoint = await self._store.get(caller.project_id, id)
        if endpoint.state is not EndpointState.ACTIVE:
            raise Conflict(f"The endpoint is {endpoint.state}; make it active first.")
        count, last = await self._deliveries.span(caller.project_id, id, span, MOST_AT_ONCE)
        return count, last if count == MOST_AT_ONCE else None

    async def events(self, caller: Caller, page: EventPage) -> tuple[Sequence[Event], bool]:
        """(a page of the project's events, whether more follow)."""
        return await self._deliveries.events(caller.project_id, page)

    async def event(self, caller: Caller, id: int) -> Event:
        """One event. Raises NotFound."""
        return await self._deliveries.event(caller.project_id, id)

    async def subject(self, event: Event) -> Task | Run | None:
        """The task or the run that an event tells of, as it is now; None for a file."""
        try:
            if event.task_id is not None:
                return await self._tasks.get(event.project_id, event.task_id)
            if event.run_id is not None:
                return await self._runs.get(event.project_id, event.run_id)
        except NotFound:
            return None
        return None

    async def follow(self, caller: Caller, after: int | None = None) -> AsyncIterator[Event | None]:
        """The project's events as they happen, after the one named or from now on, each once; None now and then.

        None is a sign of life for the reader's connection.
        """
        loop = asyncio.get_running_loop()
        low = after if after is not None else await self._deliveries.newest(caller.project_id)
        told: dict[int, float] = {}
        news = self._watch.every()
        coming: asyncio.Future[str] = asyncio.ensure_future(anext(news, ""))
        try:
            await asyncio.sleep(0)  # let it begin to listen
            yield None
            while not self._watch.over:
                found = await self._deliveries.since(caller.project_id, low, [*told], 100)
                for event in found:
                    told[event.id] = loop.time()
                    yield event
                if found:
                    continue
                settled = [id for id, at in told.items() if at < loop.time() - _LATE_S]
                low = max([low, *settled])
                told = {id: at for id, at in told.items() if id > low}
                done, _ = await asyncio.wait({coming}, timeout=_FOLLOW_IDLE_S)
                if not done:
                    yield None
                    continue
                if not coming.result():
                    return
                await asyncio.sleep(_FOLLOW_PAUSE_S)
                coming = asyncio.ensure_future(anext(news, ""))
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    def _check(self, url: str | None, types: Sequence[str] | None) -> None:
        if url is not None:
            if len(url) > 2048:
                raise Invalid("url", "must be at most 2048 characters.")
            self._check_url(url)
        if types is not None:
            known = {EVERYTHING, *every_type()}
            if not types:
                raise Invalid("types", "must name at least one type of event.")
            for word in types:
                if word not in known:
                    raise Invalid("types", f"must be of {', '.join(sorted(known))}; {word[:60]} is none.")


def _shown(secret: bytes) -> str:
    return SECRET_PREFIX + base64.b64encode(secret).decode()
