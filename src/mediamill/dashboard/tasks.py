"""The table of tasks and the page of one, both live."""

from __future__ import annotations

import shlex
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect, Stream

from mediamill.core.access import Caller
from mediamill.core.tasks import Filter, State, Task
from mediamill.dashboard.choices import Choices
from mediamill.dashboard.forms import write_options
from mediamill.dashboard.live import RETRY, STILL_HERE, may_look, stream
from mediamill.dashboard.paging import ROWS, CursorWord, ends_of, filter_of, fits, page_of, words_of
from mediamill.dashboard.render import Page, Renderer, Req, label, stamp
from mediamill.dashboard.session import safe_return
from mediamill.dashboard.timeline import timeline
from mediamill.dialects import Links, Site
from mediamill.dialects import load as load_dialects
from mediamill.web.events import EVENT_STREAM, event_bytes

CHECK_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """The task as one dialect words it."""

    dialect: str
    text: str


def routes(site: Site, renderer: Renderer, choices: Choices) -> Sequence[HTTPRouteHandler]:
    """The pages about tasks."""
    tasks = site.service.tasks
    dialects = [dialect.name for dialect in load_dialects()]

    @get("/", name="tasks")
    async def table(request: Req, caller: Caller, after: CursorWord = None, before: CursorWord = None) -> Page:
        words, page = words_of(request), page_of(after, before)
        found = await tasks.list(caller, page, filter_of(words))
        return renderer.page(
            request,
            "tasks.html",
            caller=caller,
            tasks=found.items,
            ends=ends_of(page, found.items, found.more, words),
            first=after is None and before is None,
            idle=any(not task.state.final for task in found.items) and not await worked(),
            events=urlencode({**words, **{n: c for n, c in (("after", after), ("before", before)) if c}}),
            words=words,
            filtered=bool(words),
            states=[state.value for state in State],
            kinds=sorted(choices.kinds),
            dialects=dialects,
            rows=ROWS,
        )

    checked_at, well = -CHECK_S, True

    async def worked() -> bool:
        """Whether a worker runs, as of some seconds ago."""
        nonlocal checked_at, well
        if time.monotonic() - checked_at > CHECK_S:
            checked_at = time.monotonic()
            well = (await site.health()).get("workers", "ok") == "ok"
        return well

    def row_of(task: Task, filter: Filter) -> dict[str, Any]:
        html = renderer.piece("_task.html", "row", task, datetime.now(UTC))
        return {"id": task.id, "at": stamp(task.created_at), "fits": fits(task, filter), "html": html}

    @get("/events", media_type=EVENT_STREAM)
    async def changes(request: Req, caller: Caller, after: CursorWord = None, before: CursorWord = None) -> Stream:
        """The page as it is, then every change: nothing falls between the two, nor into a break of the connection."""
        filter, page = filter_of(words_of(request)), page_of(after, before)

        async def events() -> AsyncIterator[bytes]:
            yield RETRY
            begun = False
            async for lot in tasks.lots(caller):
                if not await may_look(site, request):
                    yield event_bytes("over", {})
                    return
                if not begun:
                    begun = True
                    found = await tasks.list(caller, page, filter)
                    yield event_bytes("page", [row_of(task, filter) for task in found.items])
                for task in lot:
                    yield event_bytes("task", row_of(task, filter))
                if not lot:
                    yield STILL_HERE

        return stream(events())

    def live(task: Task) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "summary": renderer.piece("_task.html", "summary", task, now),
            "timeline": renderer.piece("_task.html", "timeline", timeline(task, now)),
            "files": renderer.piece("_task.html", "files", task),
            "attempts": renderer.piece("_task.html", "attempts", task),
            "details": renderer.piece("_task.html", "details", task, write_options(task.options)),
        }

    def wordings(task: Task, links: Links) -> list[Wording]:
        found = []
        for dialect in load_dialects():
            worded = dialect.write_task(task, replace(links, base=links.origin + dialect.prefix))
            if worded is not None:
                text = msgspec.json.format(msgspec.json.encode(worded), indent=2).decode()
                found.append(Wording(dialect=dialect.name, text=text))
        return sorted(found, key=lambda wording: wording.dialect != task.dialect)

    @get("/tasks/{task_id:str}", name="task")
    async def one(request: Req, caller: Caller, task_id: str) -> Page:
        task = await tasks.get(caller, task_id)
        links = site.links(request.scope)
        links = replace(links, base=links.origin)
        return renderer.page(
            request,
            "task.html",
            caller=caller,
            task=task,
            pieces=live(task),
            wordings=wordings(task, links),
            curls=curls(task, links.origin),
            again=again(task),
        )

    @get("/tasks/{task_id:str}/events", media_type=EVENT_STREAM)
    async def follow(request: Req, caller: Caller, task_id: str) -> Stream:
        await tasks.get(caller, task_id)
        links = site.links(request.scope)
        links = replace(links, base=links.origin)

        async def events() -> AsyncIterator[bytes]:
            yield RETRY
            async for task in tasks.follow(caller, task_id):
                if not await may_look(site, request):
                    break
                body = {
                    "state": task.state.value,
                    "title": label(task) or task.kind,
                    "pieces": live(task),
                    "json": {wording.dialect: wording.text for wording in wordings(task, links)},
                }
                yield event_bytes("task", body)
            yield event_bytes("over", {})

        return stream(events())

    @post("/tasks/{task_id:str}/cancel", status_code=303)
    async def cancel(request: Req, caller: Caller, task_id: str) -> Redirect:
        await tasks.cancel(caller, task_id)
        return Redirect(safe_return(request.query_params.get("back")), status_code=303)

    @post("/tasks/{task_id:str}/retry", status_code=303)
    async def retry(caller: Caller, task_id: str) -> Redirect:
        task = await tasks.retry(caller, task_id)
        return Redirect(f"/ui/tasks/{task.id}", status_code=303)

    return [table, changes, one, follow, cancel, retry]


def curls(task: Task, origin: str) -> list[tuple[str, str]]:
    """(what it does, the command), with the key left to the environment."""
    body: dict[str, Any] = {
        "kind": task.kind,
        "inputs": [{"file": i.file.id} if i.file else {"url": i.url} for i in task.inputs if i.file or i.url],
        "options": dict(task.options),
    }
    head = 'curl -sS -H "Authorization: Bearer $MEDIAMILL_KEY"'
    sent = shlex.quote(msgspec.json.encode(body).decode())
    return [
        (
            "Ask for the same again",
            f"{head} -H 'Content-Type: application/json' \\\n  -d {sent} \\\n  {origin}/mill/tasks",
        ),
        ("Read this task", f"{head} {origin}/mill/tasks/{task.id}"),
    ]


def again(task: Task) -> str:
    """The query of a form that is filled in as this task was asked."""
    pairs = [("kind", task.kind), *write_options(task.options).items()]
    pairs += [("file", i.file.id) for i in task.inputs if i.file]
    pairs += [("url", i.url) for i in task.inputs if i.url and not i.file]
    return urlencode(pairs)
