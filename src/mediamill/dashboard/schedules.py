"""Schedules: the list with what comes next and how the last runs went, the page of one, its form."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect, Stream

from mediamill import cron
from mediamill.core.access import Caller
from mediamill.core.errors import Conflict, Invalid, LimitReached, NotFound
from mediamill.core.prompts import PromptFilter
from mediamill.core.schedules import UNLESS_SAID, NewSchedule, Schedule, ScheduleFilter
from mediamill.core.tasks import Page as Part
from mediamill.dashboard.firings import Cell, Line, cell, firings, foresee
from mediamill.dashboard.live import RETRY, STILL_HERE, may_look, stream
from mediamill.dashboard.new import FORM_BYTES, pairs_of
from mediamill.dashboard.paging import CursorWord, ends_of, page_of
from mediamill.dashboard.render import Page, Renderer, Req
from mediamill.dashboard.schedule_form import EXAMPLES, FRESH, field_of, read_values, values_of
from mediamill.dashboard.session import safe_return
from mediamill.dialects import Site
from mediamill.web.events import EVENT_STREAM, event_bytes

_STRIP, _LONG_STRIP = 14, 60
_RECENT = 10


def routes(site: Site, renderer: Renderer) -> Sequence[HTTPRouteHandler]:
    """The pages about schedules."""
    schedules, prompts = site.service.schedules, site.service.prompts

    async def strips(found: Sequence[Schedule], most: int) -> Mapping[str, list[Cell]]:
        """The newest runs of each, oldest first."""
        recent = await prompts.recent([one.id for one in found], most)
        read = await prompts.read([one.id for one in recent])
        now = datetime.now(UTC)
        strip: defaultdict[str, list[Cell]] = defaultdict(list)
        for one, run in zip(recent, read, strict=True):
            if run is not None:
                strip[one.schedule_id].insert(0, cell(run.task, now))
        return strip

    async def lines(found: Sequence[Schedule], most: int = _STRIP) -> list[Line]:
        strip = await strips(found, most)
        return [
            Line(
                schedule=one,
                words=schedules.describe(one),
                next=next(iter(firings(schedules, one, 1)), None),
                cells=strip.get(one.id, []),
            )
            for one in found
        ]

    @get("/schedules", name="schedules")
    async def table(
        request: Req, caller: Caller, active: str = "", after: CursorWord = None, before: CursorWord = None
    ) -> Page:
        page = page_of(after, before)
        words = {"active": active} if active in ("yes", "no") else {}
        filter = ScheduleFilter(active={"yes": True, "no": False}.get(active))
        found = await schedules.list(caller, page, filter)
        return renderer.page(
            request,
            "schedules.html",
            caller=caller,
            lines=await lines(found.items),
            ends=ends_of(page, found.items, found.more, words),
            first=after is None and before is None,
            words=words,
        )

    async def details(found: Schedule) -> dict[str, str]:
        [line] = await lines([found], _LONG_STRIP)
        return {
            "strip": renderer.piece("_schedule.html", "strip", line.cells),
            "summary": renderer.piece("_schedule.html", "summary", line, datetime.now(UTC)),
        }

    @get("/schedules/{schedule_id:str}", name="schedule")
    async def one(request: Req, caller: Caller, schedule_id: str) -> Page:
        found = await schedules.get(caller, schedule_id)
        pieces, recent = await asyncio.gather(
            details(found), prompts.list(caller, Part(limit=_RECENT), PromptFilter(schedule_ids=[found.id]))
        )
        return renderer.page(
            request,
            "schedule.html",
            caller=caller,
            schedule=found,
            words=schedules.describe(found),
            pieces=pieces,
            firings=firings(schedules, found),
            runs=recent.items,
            more=recent.more,
        )

    @get("/schedules/events", media_type=EVENT_STREAM)
    async def changes(request: Req, caller: Caller) -> Stream:
        """The strips of schedules, whenever one of their runs changes."""

        async def events() -> AsyncIterator[bytes]:
            yield RETRY
            async for lot in site.service.tasks.lots(caller):
                if not await may_look(site, request):
                    return
                ids = list(dict.fromkeys(task.origin.schedule_id for task in lot if task.origin.schedule_id))
                found = await schedules.read(ids)
                for one, line in zip(found, await lines(found, _LONG_STRIP), strict=True):
                    body = {
                        "id": one.id,
                        "strip": renderer.piece("_schedule.html", "strip", line.cells),
                        "short": renderer.piece("_schedule.html", "strip", line.cells[-_STRIP:]),
                    }
                    yield event_bytes("strip", body)
                if not ids:
                    yield STILL_HERE

        return stream(events())

    # --- making and changing

    def show(
        request: Req,
        caller: Caller,
        values: Mapping[str, str],
        schedule: Schedule | None = None,
        error: Exception | None = None,
    ) -> Page:
        said = values.get("cron", "").strip()
        fault = field_of(error) if isinstance(error, Invalid) else ""
        return renderer.page(
            request,
            "schedule_form.html",
            caller=caller,
            status=200 if error is None else 422,
            schedule=schedule,
            values=values,
            fault=fault,
            reason=error.reason if isinstance(error, Invalid) else str(error or ""),
            foreseen=foresee(said, values.get("zone", "").strip(), datetime.now(UTC)) if said else None,
            zones=sorted(cron.zones()),
            examples=[(rule, cron.describe(rule)) for rule in EXAMPLES],
        )

    def filled(request: Req) -> dict[str, str]:
        """What the address says of the form, as its button for the coming firings sends it."""
        return {name: value for name, value in request.query_params.multi_items() if "\0" not in value}

    async def values_in(request: Req) -> dict[str, str]:
        return {name: value for name, value in await pairs_of(request) if "\0" not in value}

    @get("/schedules/new", name="new-schedule")
    async def blank(request: Req, caller: Caller) -> Page:
        usual = {**FRESH, "missed": UNLESS_SAID[site.settings.missed_runs]}
        return show(request, caller, {**usual, **filled(request)})

    @get("/schedules/upcoming")
    async def upcoming(rule: str = "", zone: str = "UTC") -> Response[dict[str, Any]]:
        """What a rule comes to, while it is being written."""
        found = foresee(rule.strip()[:500], zone.strip()[:100], datetime.now(UTC))
        html = renderer.piece("_schedule.html", "foreseen", found, datetime.now(UTC)) if rule.strip() else ""
        return Response({"html": html}, media_type="application/json")

    @post("/schedules/new", status_code=303, request_max_body_size=FORM_BYTES)
    async def create(request: Req, caller: Caller) -> Redirect | Page:
        values = await values_in(request)
        try:
            made = await schedules.create(
                caller, NewSchedule(**read_values(values), enabled=values.get("enabled") == "yes")
            )
        except (Invalid, Conflict, LimitReached) as error:
            return show(request, caller, values, error=error)
        return Redirect(f"/ui/schedules/{made.id}", status_code=303)

    @get("/schedules/{schedule_id:str}/edit")
    async def edit(request: Req, caller: Caller, schedule_id: str) -> Page:
        found = await schedules.get(caller, schedule_id)
        return show(request, caller, {**values_of(found), **filled(request)}, found)

    @post("/schedules/{schedule_id:str}/edit", status_code=303, request_max_body_size=FORM_BYTES)
    async def change(request: Req, caller: Caller, schedule_id: str) -> Redirect | Page:
        found, values = await schedules.get(caller, schedule_id), await values_in(request)
        try:
            await schedules.change(caller, found.id, read_values(values))
        except (Invalid, Conflict) as error:
            return show(request, caller, values, found, error)
        return Redirect(f"/ui/schedules/{found.id}", status_code=303)

    @post("/schedules/{schedule_id:str}/run", status_code=303)
    async def run_now(caller: Caller, schedule_id: str) -> Redirect:
        started = await schedules.run_now(caller, schedule_id)
        return Redirect(f"/ui/prompts/{started.id}", status_code=303)

    @post("/schedules/{schedule_id:str}/{word:str}", status_code=303)
    async def switch(request: Req, caller: Caller, schedule_id: str, word: str) -> Redirect:
        """Pause, resume or delete it."""
        if word == "delete":
            await schedules.remove(caller, schedule_id)
            return Redirect("/ui/schedules", status_code=303)
        if word not in ("pause", "resume"):
            raise NotFound("page", word)
        await schedules.change(caller, schedule_id, {"enabled": word == "resume"})
        back = request.query_params.get("back") or f"/ui/schedules/{schedule_id}"
        return Redirect(safe_return(back), status_code=303)

    return [table, one, changes, blank, upcoming, create, edit, change, run_now, switch]
