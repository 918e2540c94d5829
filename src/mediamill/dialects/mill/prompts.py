"""The native dialect's prompts: starting them, reading what became of them, putting them off, ending them.

`/mill/runs` are tasks started together; a prompt at work, which most people call a run, is `/mill/prompts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from litestar import Response, Router, get, post, put
from litestar.params import HeaderParameter, Parameter, QueryParameter

from mediamill.core.access import Caller
from mediamill.core.errors import Invalid
from mediamill.core.prompts import MOST_KEY, PromptFilter, PromptRun, Status
from mediamill.core.tasks import Task
from mediamill.dialects import Site
from mediamill.dialects.mill import prompt_bodies as bodies
from mediamill.dialects.mill.requests import CursorWord, Limit, Order, Req, Wait, ends, page_of, read_body
from mediamill.dialects.mill.responses import json, problems, says

Words = Annotated[str | None, Parameter(description="Comma list.", max_length=2000)]


def filter_of(
    status: str | None,
    identifier: str | None,
    tag: str | None,
    schedule_id: str | None,
    batch_id: str | None,
    is_test: bool | None,
    since: str | None,
    until: str | None,
) -> PromptFilter:
    """The filter a query asks for. Raises Invalid."""
    statuses = None
    if status is not None:
        try:
            statuses = [Status(word) for word in _words(status)]
        except ValueError:
            raise Invalid("status", f"must be of {', '.join(Status)}.") from None
    return PromptFilter(
        statuses=statuses,
        identifiers=_words(identifier) if identifier is not None else None,
        tags=_words(tag) if tag is not None else None,
        schedule_ids=_words(schedule_id) if schedule_id is not None else None,
        batch_id=batch_id,
        is_test=is_test,
        created_from=_date("since", since),
        created_to=_date("until", until),
    )


def _words(text: str) -> Sequence[str]:
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _date(field: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(field, "must be a date such as 2026-05-01T12:00:00Z.") from None


def router(site: Site) -> Router:
    """Everything about prompts."""
    service = site.service.prompts
    attempts = site.settings.run_max_attempts
    one = says(bodies.PromptOneOut, "The run.")

    def encoded(out: Any, status: int = 200, location: str | None = None) -> Response[bytes]:
        headers = {"location": location} if location is not None else {}
        return json(out, status, headers)

    def answer(run: PromptRun, request: Req) -> Response[bytes]:
        return encoded(bodies.write_one(run, site.links(request.scope)))

    def brief(task: Task, request: Req, status: int = 200) -> Response[bytes]:
        out = bodies.write_prompt(task, site.links(request.scope))
        return encoded(out, status, out.links.self if status == 201 else None)

    @post(
        "/prompts",
        responses={
            200: says(bodies.PromptOut, "Started before with this idempotency key."),
            201: says(bodies.PromptOut, "The run."),
            **problems(404, 409, 413, 415),
        },
        status_code=201,
        tags=["prompts"],
        operation_id="createPrompt",
    )
    async def create_prompt(
        request: Req,
        caller: Caller,
        idempotency_key: Annotated[
            str | None, HeaderParameter(name="Idempotency-Key", max_length=MOST_KEY, min_length=1)
        ] = None,
    ) -> Response[bytes]:
        """Accept a prompt durably. A key that is known answers its run, whatever the body says, unless that failed."""
        body = await read_body(request, bodies.PromptIn)
        task, fresh = await service.trigger(caller, bodies.read_prompt(body, idempotency_key, attempts))
        return brief(task, request, 201 if fresh else 200)

    @post(
        "/prompts/batch",
        responses={201: says(bodies.BatchOut, "The runs."), **problems(404, 409, 413, 415)},
        status_code=201,
        tags=["prompts"],
        operation_id="createPrompts",
    )
    async def create_prompts(request: Req, caller: Caller) -> Response[bytes]:
        """Accept several prompts durably, all of them or none."""
        body = await read_body(request, bodies.BatchIn)
        new = []
        for n, item in enumerate(body.items):
            try:
                new.append(bodies.read_prompt(item, None, attempts))
            except Invalid as error:
                error.field = f"items.{n}.{error.field}"
                raise
        id, found = await service.batch(caller, new)
        links = site.links(request.scope)
        out = bodies.BatchOut(
            id=id,
            data=[bodies.write_prompt(task, links) for task, _ in found],
            cached=[not fresh for _, fresh in found],
        )
        return encoded(out, 201)

    @get(
        "/prompts",
        responses={200: says(bodies.PromptPage, "A page."), **problems()},
        tags=["prompts"],
        operation_id="listPrompts",
    )
    async def list_prompts(
        request: Req,
        caller: Caller,
        limit: Limit = 20,
        after: CursorWord = None,
        before: CursorWord = None,
        order: Order = "desc",
        statuses: Annotated[
            str | None, QueryParameter(name="status", description="Comma list.", max_length=500)
        ] = None,
        identifier: Words = None,
        tag: Words = None,
        schedule_id: Words = None,
        batch_id: Annotated[str | None, Parameter(max_length=64)] = None,
        is_test: bool | None = None,
        since: Annotated[str | None, Parameter(description="Started to wait then or later.", max_length=40)] = None,
        until: Annotated[str | None, Parameter(description="Then or earlier.", max_length=40)] = None,
    ) -> Response[bytes]:
        """The project's runs, newest first; one that a schedule started counts from the instant it was due."""
        page = page_of(limit, after, before, order)
        filter = filter_of(statuses, identifier, tag, schedule_id, batch_id, is_test, since, until)
        found = await service.list(caller, page, filter)
        links = site.links(request.scope)
        next_, prev = ends(page, found.items, found.more)
        return encoded(
            bodies.PromptPage(data=[bodies.write_prompt(t, links) for t in found.items], next=next_, prev=prev)
        )

    @get("/prompts/{prompt_id:str}", responses={200: one, **problems(404)}, tags=["prompts"], operation_id="getPrompt")
    async def get_prompt(request: Req, caller: Caller, prompt_id: str, wait: Wait = None) -> Response[bytes]:
        """One run with its attempts. With `wait`, once it has ended or the time is up."""
        return answer(
            await (service.wait(caller, prompt_id, wait) if wait else service.get(caller, prompt_id)), request
        )

    @get(
        "/prompts/{prompt_id:str}/steps",
        responses={200: says(bodies.StepsOut, "Its steps."), **problems(404)},
        tags=["prompts"],
        operation_id="listSteps",
    )
    async def list_steps(caller: Caller, prompt_id: str) -> Response[bytes]:
        """What a run has done: model calls and function calls, in order."""
        return encoded(bodies.StepsOut(data=[bodies.write_step(s) for s in await service.steps(caller, prompt_id)]))

    @post(
        "/prompts/{prompt_id:str}/cancel",
        responses={200: one, **problems(404)},
        status_code=200,
        tags=["prompts"],
        operation_id="cancelPrompt",
    )
    async def cancel_prompt(request: Req, caller: Caller, prompt_id: str) -> Response[bytes]:
        """End a run with all that it started. One that has ended stays as it is."""
        return answer(await service.cancel(caller, prompt_id), request)

    @post(
        "/prompts/{prompt_id:str}/replay",
        responses={201: says(bodies.PromptOut, "The new run."), **problems(404)},
        status_code=201,
        tags=["prompts"],
        operation_id="replayPrompt",
    )
    async def replay_prompt(request: Req, caller: Caller, prompt_id: str) -> Response[bytes]:
        """A new run that asks the same, without the key, the ttl and the delay of the old."""
        return brief(await service.replay(caller, prompt_id), request, 201)

    @post(
        "/prompts/{prompt_id:str}/reschedule",
        responses={200: says(bodies.PromptOut, "The run."), **problems(404, 409, 413, 415)},
        status_code=200,
        tags=["prompts"],
        operation_id="reschedulePrompt",
    )
    async def reschedule_prompt(request: Req, caller: Caller, prompt_id: str) -> Response[bytes]:
        """Put a delayed run off, or bring it forward."""
        body = await read_body(request, bodies.DelayIn)
        return brief(await service.reschedule(caller, prompt_id, body.delay), request)

    @post(
        "/prompts/{prompt_id:str}/tags",
        responses={200: says(bodies.PromptOut, "The run."), **problems(404, 413, 415)},
        status_code=200,
        tags=["prompts"],
        operation_id="tagPrompt",
    )
    async def tag_prompt(request: Req, caller: Caller, prompt_id: str) -> Response[bytes]:
        """Give a run more tags."""
        body = await read_body(request, bodies.TagsIn)
        return brief(await service.add_tags(caller, prompt_id, body.tags), request)

    @put(
        "/prompts/{prompt_id:str}/metadata",
        responses={200: says(bodies.PromptOut, "The run."), **problems(404, 413, 415)},
        tags=["prompts"],
        operation_id="describePrompt",
    )
    async def describe_prompt(request: Req, caller: Caller, prompt_id: str) -> Response[bytes]:
        """Replace a run's metadata, also while it is at work."""
        body = await read_body(request, bodies.MetadataIn)
        return brief(await service.set_metadata(caller, prompt_id, body.metadata), request)

    return Router(
        "/",
        route_handlers=[
            create_prompt,
            create_prompts,
            list_prompts,
            get_prompt,
            list_steps,
            cancel_prompt,
            replay_prompt,
            reschedule_prompt,
            tag_prompt,
            describe_prompt,
        ],
    )
