"""Runs of prompts: the list, and the page of one with its trace, told live letter by letter."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect, Stream

from mediamill.core.access import Caller
from mediamill.core.errors import Conflict, Invalid
from mediamill.core.prompts import PromptFilter, PromptRun, Status, status
from mediamill.core.schedules import Schedule
from mediamill.core.steps import Chunk, Step
from mediamill.core.tasks import Task
from mediamill.dashboard import traces
from mediamill.dashboard.letters import Gaps
from mediamill.dashboard.live import RETRY, may_look, stream
from mediamill.dashboard.merging import merged
from mediamill.dashboard.new import FORM_BYTES, pairs_of
from mediamill.dashboard.paging import CursorWord, ends_of, page_of
from mediamill.dashboard.render import Page, Renderer, Req
from mediamill.dashboard.timeline import timeline
from mediamill.dialects import Site
from mediamill.web.events import EVENT_STREAM, event_bytes

_LOOK_S = 0.5
_NAMES = ("status", "identifier", "tag", "schedule", "batch")


def routes(site: Site, renderer: Renderer) -> Sequence[HTTPRouteHandler]:
    """The pages about runs of prompts."""
    prompts, steps, tasks = site.service.prompts, site.service.steps, site.service.tasks

    async def titles(caller: Caller, runs: Sequence[Task]) -> Mapping[str, Schedule]:
        ids = dict.fromkeys(run.origin.schedule_id for run in runs if run.origin.schedule_id)
        found = await site.service.schedules.read(list(ids))
        return {one.id: one for one in found if one.project_id == caller.project_id}

    @get("/prompts", name="prompts")
    async def table(request: Req, caller: Caller, after: CursorWord = None, before: CursorWord = None) -> Page:
        words, page = words_of(request), page_of(after, before)
        found = await prompts.list(caller, page, filter_of(words))
        return renderer.page(
            request,
            "prompts.html",
            caller=caller,
            runs=found.items,
            titles=await titles(caller, found.items),
            ends=ends_of(page, found.items, found.more, words),
            words=words,
            first=after is None and before is None,
            statuses=[one.value for one in Status],
        )

    async def pieces(caller: Caller, run: PromptRun) -> dict[str, str]:
        now = datetime.now(UTC)
        schedules = await titles(caller, [run.task])
        return {
            "summary": renderer.piece("_prompt.html", "summary", run, now),
            "timeline": renderer.piece("_task.html", "timeline", timeline(run.task, now)),
            "outcome": renderer.piece("_prompt.html", "outcome", run),
            "attempts": renderer.piece("_prompt.html", "attempts", run.task),
            "related": renderer.piece("_prompt.html", "related", run, now),
            "details": renderer.piece("_prompt.html", "details", run.task, schedules),
        }

    async def page(
        request: Req, caller: Caller, id: str, error: Exception | None = None, given: Mapping[str, str] | None = None
    ) -> Page:
        run = await prompts.get(caller, id)
        parts, done = await asyncio.gather(pieces(caller, run), prompts.steps(caller, id))
        return renderer.page(
            request,
            "prompt.html",
            caller=caller,
            status=200 if error is None else 422,
            run=run,
            pieces=parts,
            steps=[traces.show(step) for step in done],
            delayed=status(run.task) is Status.DELAYED,
            error=error,
            given=given or {},
        )

    @get("/prompts/{prompt_id:str}", name="prompt")
    async def one(request: Req, caller: Caller, prompt_id: str) -> Page:
        return await page(request, caller, prompt_id)

    @get("/prompts/{prompt_id:str}/events", media_type=EVENT_STREAM)
    async def follow(request: Req, caller: Caller, prompt_id: str) -> Stream:
        """The run from its beginning: steps as they begin and end, letters as they come, the parts of the page that
        change beside them."""
        await prompts.get(caller, prompt_id)

        async def told(item: Step | Chunk | Task | None) -> bytes:
            if isinstance(item, Step):
                shown = renderer.piece("_prompt.html", "step", traces.show(item))
                return event_bytes("step", {"number": item.number, "html": shown})
            if isinstance(item, Chunk):
                return event_bytes("token", {"step": item.number, "offset": item.offset, "text": item.text})
            if item is None:
                return b": nothing new\n\n"
            run = await prompts.get(caller, prompt_id)
            body: dict[str, Any] = {
                "status": status(run.task).value,
                "title": traces.name_of(run.task),
                "pieces": await pieces(caller, run),
            }
            return event_bytes("run", body)

        async def events() -> AsyncIterator[bytes]:
            yield RETRY
            over, checked, gaps, looked_s = False, False, Gaps(), 0.0
            async for item in merged(tasks.follow(caller, prompt_id), steps.follow(caller, prompt_id)):
                if not isinstance(item, Chunk) or not checked:
                    if not await may_look(site, request):
                        over = True
                        break
                    checked = True
                over = over or (isinstance(item, Task) and item.state.final)
                yield await told(item)
                if isinstance(item, Step):
                    gaps.step(item.number)
                if isinstance(item, Chunk):
                    gaps.chunk(item)
                    if gaps.any and time.monotonic() - looked_s > _LOOK_S:
                        looked_s = time.monotonic()
                        for chunk in gaps.filled(await prompts.steps(caller, prompt_id)):
                            yield await told(chunk)
            if over:  # else the server is leaving, and whoever looks comes back
                yield event_bytes("over", {})

        return stream(events())

    @post("/prompts/{prompt_id:str}/cancel", status_code=303)
    async def cancel(caller: Caller, prompt_id: str) -> Redirect:
        await prompts.cancel(caller, prompt_id)
        return Redirect(f"/ui/prompts/{prompt_id}", status_code=303)

    @post("/prompts/{prompt_id:str}/replay", status_code=303)
    async def replay(caller: Caller, prompt_id: str) -> Redirect:
        return Redirect(f"/ui/prompts/{(await prompts.replay(caller, prompt_id)).id}", status_code=303)

    @post("/prompts/{prompt_id:str}/reschedule", status_code=303, request_max_body_size=FORM_BYTES)
    async def reschedule(request: Req, caller: Caller, prompt_id: str) -> Redirect | Page:
        given = dict(await pairs_of(request))
        try:
            await prompts.reschedule(caller, prompt_id, given.get("delay", "").strip())
        except (Invalid, Conflict) as error:
            return await page(request, caller, prompt_id, error, given)
        return Redirect(f"/ui/prompts/{prompt_id}", status_code=303)

    @post("/prompts/{prompt_id:str}/tags", status_code=303, request_max_body_size=FORM_BYTES)
    async def tag(request: Req, caller: Caller, prompt_id: str) -> Redirect | Page:
        given = dict(await pairs_of(request))
        try:
            await prompts.add_tags(caller, prompt_id, _split(given.get("tags", "")))
        except Invalid as error:
            return await page(request, caller, prompt_id, error, given)
        return Redirect(f"/ui/prompts/{prompt_id}", status_code=303)

    return [table, one, follow, cancel, replay, reschedule, tag]


def words_of(request: Req) -> dict[str, str]:
    """The filter of an address; what is empty is left out."""
    asked = request.query_params
    found = {name: ",".join(filter(None, asked.getall(name, []))) for name in _NAMES}
    return {name: text.replace("\0", "")[:500] for name, text in found.items() if text.strip()}


def filter_of(words: Mapping[str, str]) -> PromptFilter:
    """The filter that words stand for. Raises Invalid."""
    try:
        statuses = [Status(word) for word in _split(words["status"])] if "status" in words else None
    except ValueError:
        raise Invalid("status", f"must be of {', '.join(Status)}.") from None
    lists = {name: _split(words[name]) if name in words else None for name in ("identifier", "tag", "schedule")}
    return PromptFilter(
        statuses=statuses,
        identifiers=lists["identifier"],
        tags=lists["tag"],
        schedule_ids=lists["schedule"],
        batch_id=words.get("batch"),
    )


def _split(words: str) -> list[str]:
    return [word.strip() for word in words.split(",") if word.strip()]
