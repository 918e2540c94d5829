"""Runs: tasks started together, as a tree with their states."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect, Stream

from mediamill.core.access import Caller
from mediamill.core.errors import Invalid
from mediamill.core.runs import Run
from mediamill.core.tasks import Task
from mediamill.dashboard.live import RETRY, STILL_HERE, may_look, stream
from mediamill.dashboard.paging import CursorWord, ends_of, page_of
from mediamill.dashboard.render import Page, Renderer, Req
from mediamill.dialects import Site
from mediamill.web.events import EVENT_STREAM, event_bytes

STATES = ("waiting", "running", "succeeded", "failed", "cancelled")


@dataclass(slots=True, kw_only=True)
class Branch:
    """A task of a run with those that come after it."""

    task: Task
    next: list[Branch] = field(default_factory=list)


def tree(tasks: Sequence[Task]) -> list[Branch]:
    """The tasks of a run, in its order, each below the one it follows."""
    branches = {task.id: Branch(task=task) for task in tasks}
    roots: list[Branch] = []
    for task in tasks:
        above = branches.get(task.parent_id) if task.parent_id else None  # type: ignore[call-overload]  # a TaskId is a str
        (above.next if above is not None else roots).append(branches[task.id])
    return roots


def routes(site: Site, renderer: Renderer) -> Sequence[HTTPRouteHandler]:
    """The pages about runs."""
    runs = site.service.runs

    @get("/runs", name="runs")
    async def table(request: Req, caller: Caller, after: CursorWord = None, before: CursorWord = None) -> Page:
        state = request.query_params.get("state", "")
        if state and state not in STATES:
            raise Invalid("state", f"must be of {', '.join(STATES)}.")
        page, words = page_of(after, before), {"state": state} if state else {}
        found = await runs.list(caller, page, [state] if state else None)
        return renderer.page(
            request,
            "runs.html",
            caller=caller,
            runs=found.items,
            ends=ends_of(page, found.items, found.more, words),
            words=words,
            states=STATES,
        )

    async def pieces(caller: Caller, run: Run) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "summary": renderer.piece("_run.html", "summary", run, now),
            "tree": renderer.piece("_run.html", "tree", tree(await runs.tasks(caller, run.id)), now),
        }

    @get("/runs/{run_id:str}", name="run")
    async def one(request: Req, caller: Caller, run_id: str) -> Page:
        run = await runs.get(caller, run_id)
        return renderer.page(request, "run.html", caller=caller, run=run, pieces=await pieces(caller, run))

    @get("/runs/{run_id:str}/events", media_type=EVENT_STREAM)
    async def follow(request: Req, caller: Caller, run_id: str) -> Stream:
        """The run as it is, then whenever one of its tasks changes, to its end."""
        await runs.get(caller, run_id)

        async def events() -> AsyncIterator[bytes]:
            yield RETRY
            begun = over = False
            async for lot in site.service.tasks.lots(caller):
                if not await may_look(site, request):
                    over = True
                    break
                if begun and not any(task.run_id == run_id for task in lot):
                    yield STILL_HERE
                    continue
                begun = True
                run = await runs.get(caller, run_id)
                yield event_bytes(
                    "task", {"state": run.state, "title": "Run", "pieces": await pieces(caller, run), "json": {}}
                )
                if run.final:
                    over = True
                    break
            if over:  # else the server is leaving, and whoever looks comes back
                yield event_bytes("over", {})

        return stream(events())

    @post("/runs/{run_id:str}/cancel", status_code=303)
    async def cancel(caller: Caller, run_id: str) -> Redirect:
        await runs.cancel(caller, run_id)
        return Redirect(f"/ui/runs/{run_id}", status_code=303)

    return [table, one, follow, cancel]
