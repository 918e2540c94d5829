"""Asking for a task: a form made from the kind's own schema, for the input that was chosen."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect

from mediamill.core.access import Caller
from mediamill.core.errors import Invalid, LimitReached, NotFound
from mediamill.core.files import File
from mediamill.core.tasks import MAX_ATTEMPTS, NewTask, Source
from mediamill.core.tasks import Page as Part
from mediamill.dashboard.choices import Choices, mime_of_url
from mediamill.dashboard.forms import read_options
from mediamill.dashboard.render import Page, Renderer, Req
from mediamill.dialects import Site

FORM_BYTES = 1 << 20
_RECENT = 30
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the form holds so far. Inputs are in the order they were given in."""

    kind: str
    files: Sequence[str]
    urls: Sequence[str]
    values: dict[str, str]


def routes(site: Site, renderer: Renderer, choices: Choices) -> Sequence[HTTPRouteHandler]:
    """The form, and what it sends."""
    service = site.service
    first = "convert" if "convert" in choices.kinds else min(choices.kinds)

    def given_by(pairs: Pairs) -> Given:
        values = {name: value.strip() for name, value in pairs if "\0" not in value}
        kind = values.get("kind", "")
        most = choices.kinds[kind if kind in choices.kinds else first].inputs[1]
        dropped = {value for name, value in pairs if name == "drop"}
        files = list(dict.fromkeys(v for n, v in pairs if n == "file" and v and v not in dropped))
        return Given(
            kind=kind if kind in choices.kinds else first,
            # The latest wins where only some may stay: a new upload replaces what was chosen before.
            files=files[-most:] if most else [],
            urls=[line for n, v in pairs if n == "url" for line in v.split() if line][:100],
            values=values,
        )

    async def files_of(caller: Caller, ids: Sequence[str]) -> list[File]:
        found = await asyncio.gather(*(service.files.get(caller, id) for id in ids), return_exceptions=True)
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, NotFound):
                raise one
        return [one for one in found if isinstance(one, File)]

    async def show(request: Req, caller: Caller, given: Given, error: Exception | None = None) -> Page:
        chosen, recent = await asyncio.gather(
            files_of(caller, given.files), service.files.list(caller, Part(limit=_RECENT))
        )
        mime = chosen[0].mime if chosen else mime_of_url(given.urls[0]) if given.urls else None
        ask = choices.ask(given.kind, mime, given.values.get("o.format"))
        values = {**given.values, "o.format": ask.target} if ask.target else given.values
        kind = choices.kinds[given.kind]
        held = {file.id for file in chosen}
        fault = error.field if isinstance(error, Invalid) else ""
        fields = {field.name for field in (*ask.fields, *ask.idle)}
        return renderer.page(
            request,
            "new.html",
            caller=caller,
            status=200 if error is None else 422,
            given=given,
            values=values,
            kind=kind,
            kinds=choices.kinds,
            ask=ask,
            chosen=chosen,
            recent=[file for file in recent.items if file.ready and file.id not in held],
            error=error,
            reason=error.reason if isinstance(error, Invalid) else str(error or ""),
            fault=next((n for n in fields if fault and f"options.{n[2:]}" == fault), fault),
            fault_shown=any(f"options.{n[2:]}" == fault for n in fields),
            attempts=MAX_ATTEMPTS,
        )

    @get("/new", name="new")
    async def form(request: Req, caller: Caller) -> Page:
        return await show(request, caller, given_by(list(request.query_params.multi_items())))

    @post("/new", status_code=303, request_max_body_size=FORM_BYTES)
    async def create(request: Req, caller: Caller) -> Redirect | Page:
        given = given_by(await pairs_of(request))
        try:
            task, _ = await service.tasks.create(caller, new_task(given, choices))
        except (Invalid, NotFound, LimitReached) as error:
            return await show(request, caller, given, error)
        return Redirect(f"/ui/tasks/{task.id}", status_code=303)

    return [form, create]


async def pairs_of(request: Req) -> Pairs:
    """The fields of a form, in order."""
    body = (await request.body()).decode("utf-8", "replace")
    try:
        return parse_qsl(body, keep_blank_values=True, max_num_fields=1000)
    except ValueError:
        raise Invalid("", "The form has too many fields.") from None


def new_task(given: Given, choices: Choices) -> NewTask:
    """The request that a filled-in form means. Raises Invalid with the field."""
    sources = [Source(file=id) for id in given.files] + [Source(url=url) for url in given.urls]
    return NewTask(
        kind=given.kind,
        inputs=sources if choices.kinds[given.kind].inputs[1] else [],
        options=read_options(choices.fields(given.kind), given.values),
        priority=_whole(given, "priority", 0),
        max_attempts=_whole(given, "max_attempts", MAX_ATTEMPTS),
        not_before=_instant(given),
    )


def _whole(given: Given, name: str, otherwise: int) -> int:
    text = given.values.get(name, "")
    try:
        return int(text) if text else otherwise
    except ValueError:
        raise Invalid(name, "must be a whole number.") from None


def _instant(given: Given) -> datetime | None:
    """The instant in UTC; a script turns the viewer's own time into it before sending."""
    text = given.values.get("not_before", "")
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise Invalid("not_before", "must be a date and a time.") from None
