"""The native dialect's schedules: cron rules that start prompts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, Router, delete, get, patch, post
from litestar.params import Parameter
from msgspec import UNSET, Meta, UnsetType

from mediamill.core import schedules as core
from mediamill.core.access import Caller
from mediamill.core.errors import Invalid
from mediamill.dialects import Site
from mediamill.dialects.mill import wire
from mediamill.dialects.mill.requests import CursorWord, Limit, Order, Req, ends, page_of, read_body
from mediamill.dialects.mill.responses import json, problems, says
from mediamill.service.schedules import MOST_PROMPT, MOST_TITLE, MOST_WORD, Schedules

OverlapWord = Literal["queue", "skip", "cancel"]
MissedWord = Literal["none", "last", "all"]
Cron = Annotated[str, Meta(max_length=500, description="Five fields: minute hour day-of-month month weekday.")]
Zone = Annotated[str, Meta(max_length=100, description="Time zone by its IANA name, such as Europe/Madrid.")]
Title = Annotated[str, Meta(max_length=MOST_TITLE, description="For people.")]
Prompt = Annotated[str, Meta(max_length=MOST_PROMPT, description="What to do each time.")]
Word = Annotated[str, Meta(max_length=MOST_WORD)]
Identifier = Annotated[str, Meta(min_length=1, max_length=MOST_WORD, description="The runner of the prompt.")]
Overlapping = Annotated[
    OverlapWord,
    Meta(
        description="While an earlier run is at work: queue waits for it, until the next is due; skip lets this firing "
        "go by; cancel ends the earlier."
    ),
]
Missing = Annotated[
    MissedWord,
    Meta(
        description="Of the firings that came while no server was up, those that are made up for. Unless said: the "
        "last, or none where the operator has set MISSED_RUNS=skip."
    ),
]
MissedLimit = Annotated[int, Meta(ge=1, le=core.MOST_MISSED, description="Most of them, with missed=all; the latest.")]


class SettingsIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Limits of each run; what is not given is as the install has it."""

    max_attempts: Annotated[int, Meta(ge=1, le=10)] | UnsetType = UNSET
    max_steps: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    max_tokens: Annotated[int, Meta(ge=1)] | UnsetType = UNSET
    max_cost_cents: Annotated[float, Meta(ge=0)] | UnsetType = UNSET
    max_duration_s: Annotated[float, Meta(gt=0)] | UnsetType = UNSET
    ttl_s: Annotated[float, Meta(ge=0, description="Ends unstarted after it; 0: never.")] | UnsetType = UNSET
    priority: Annotated[int, Meta(ge=-100, le=100)] | UnsetType = UNSET
    tags: Annotated[list[Annotated[str, Meta(min_length=1, max_length=128)]], Meta(max_length=10)] | UnsetType = UNSET
    metadata: dict[str, Any] | UnsetType = UNSET


class ScheduleIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A prompt and when to start it."""

    cron: Cron
    prompt: Prompt
    timezone: Zone = "UTC"
    title: Title = ""
    identifier: Identifier = core.RUNNER
    enabled: bool = True
    model: Word | None = None
    external_id: Annotated[Word, Meta(description="Yours; told to each run.")] | None = None
    dedup_key: Annotated[Word, Meta(description="Yours; one schedule of the project has it.")] | None = None
    overlap: Overlapping = "queue"
    missed: Missing | UnsetType = UNSET
    missed_limit: MissedLimit = 100
    settings: SettingsIn = msgspec.field(default_factory=SettingsIn)


class ScheduleChange(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be another; what is not named stays."""

    cron: Cron | UnsetType = UNSET
    prompt: Prompt | UnsetType = UNSET
    timezone: Zone | UnsetType = UNSET
    title: Title | UnsetType = UNSET
    identifier: Identifier | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    model: Word | UnsetType | None = UNSET
    external_id: Word | UnsetType | None = UNSET
    dedup_key: Word | UnsetType | None = UNSET
    overlap: Overlapping | UnsetType = UNSET
    missed: Missing | UnsetType = UNSET
    missed_limit: MissedLimit | UnsetType = UNSET
    settings: SettingsIn | UnsetType = UNSET


class ScheduleOut(msgspec.Struct, kw_only=True):
    """A schedule. `upcoming`: its next ten instants, none while it is disabled; `description`: the rule in words."""

    id: str
    uuid: str
    token: str | None
    title: str
    prompt: str | None
    identifier: str
    cron: str
    timezone: str
    description: str
    enabled: bool
    model: str | None
    external_id: str | None
    dedup_key: str | None
    overlap: OverlapWord
    missed: MissedWord
    missed_limit: int
    settings: dict[str, Any]
    dialect: str
    upcoming: list[datetime]
    last_at: datetime | None
    created_at: datetime
    updated_at: datetime
    links: dict[str, str]


class SchedulePage(msgspec.Struct, kw_only=True):
    """One page; next and prev are cursors for `after` and `before`."""

    data: list[ScheduleOut]
    next: str | None
    prev: str | None


SHAPES: tuple[type[msgspec.Struct], ...] = (SettingsIn, ScheduleIn, ScheduleChange, ScheduleOut, SchedulePage)


def write_schedule(found: core.Schedule, service: Schedules, base: str) -> ScheduleOut:
    """A schedule as JSON, with what is coming."""
    return ScheduleOut(
        id=found.id,
        uuid=found.uuid,
        token=found.token,
        title=found.title,
        prompt=found.prompt,
        identifier=found.identifier,
        cron=found.cron,
        timezone=found.zone,
        description=service.describe(found),
        enabled=found.active,
        model=found.model,
        external_id=found.external_id,
        dedup_key=found.dedup_key,
        overlap=found.overlap,
        missed=found.missed,
        missed_limit=found.missed_limit,
        settings=dict(found.settings),
        dialect=found.dialect,
        upcoming=list(service.upcoming(found)),
        last_at=found.last_at,
        created_at=found.created_at,
        updated_at=found.updated_at,
        links={"self": f"{base}/schedules/{found.id}"},
    )


def _given(body: ScheduleIn | ScheduleChange) -> dict[str, Any]:
    """What a body says, in the core's names."""
    values = {name: getattr(body, name) for name in body.__struct_fields__ if getattr(body, name) is not UNSET}
    if "timezone" in values:
        values["zone"] = values.pop("timezone")
    if "settings" in values:
        values["settings"] = msgspec.to_builtins(values["settings"])
    return values


def _told(error: Invalid) -> Invalid:
    return Invalid("timezone", error.reason) if error.field == "zone" else error


def router(site: Site) -> Router:
    """Everything about schedules."""
    service = site.service.schedules
    unsaid = {"missed": core.UNLESS_SAID[site.settings.missed_runs]}
    tags: Any = ["schedules"]

    @post(
        "/schedules",
        responses={201: says(ScheduleOut, "The schedule."), **problems(409, 413, 415)},
        tags=tags,
        operation_id="createSchedule",
    )
    async def create_schedule(request: Req, caller: Caller) -> Response[bytes]:
        """Keep a prompt and the cron rule that starts it, from now on."""
        body = await read_body(request, ScheduleIn)
        try:
            made = await service.create(caller, core.NewSchedule(**{**unsaid, **_given(body)}))
        except Invalid as error:
            raise _told(error) from None
        out = write_schedule(made, service, site.links(request.scope).base)
        return json(out, 201, {"location": out.links["self"]})

    @get(
        "/schedules",
        responses={200: says(SchedulePage, "A page."), **problems()},
        tags=tags,
        operation_id="listSchedules",
    )
    async def list_schedules(
        request: Req,
        caller: Caller,
        limit: Limit = 20,
        after: CursorWord = None,
        before: CursorWord = None,
        order: Order = "desc",
        enabled: Annotated[bool | None, Parameter(description="Only those that are, or are not.")] = None,
    ) -> Response[bytes]:
        """The project's schedules, newest first, each with its next ten instants."""
        page = page_of(limit, after, before, order)
        found = await service.list(caller, page, core.ScheduleFilter(active=enabled))
        next_, prev = ends(page, found.items, found.more)
        base = site.links(request.scope).base
        return json(
            SchedulePage(data=[write_schedule(one, service, base) for one in found.items], next=next_, prev=prev)
        )

    @get(
        "/schedules/{schedule_id:str}",
        responses={200: says(ScheduleOut, "The schedule."), **problems(404)},
        tags=tags,
        operation_id="getSchedule",
    )
    async def get_schedule(request: Req, caller: Caller, schedule_id: str) -> Response[bytes]:
        """One schedule."""
        found = await service.get(caller, schedule_id)
        return json(write_schedule(found, service, site.links(request.scope).base))

    @patch(
        "/schedules/{schedule_id:str}",
        responses={200: says(ScheduleOut, "The schedule."), **problems(404, 409, 413, 415)},
        tags=tags,
        operation_id="changeSchedule",
    )
    async def change_schedule(request: Req, caller: Caller, schedule_id: str) -> Response[bytes]:
        """Make some of a schedule another; a new rule or zone holds at once. Disabled, it starts nothing, and runs that
        have not begun are cancelled."""
        body = await read_body(request, ScheduleChange)
        try:
            changed = await service.change(caller, schedule_id, _given(body))
        except Invalid as error:
            raise _told(error) from None
        return json(write_schedule(changed, service, site.links(request.scope).base))

    @delete("/schedules/{schedule_id:str}", responses=problems(404), tags=tags, operation_id="deleteSchedule")
    async def delete_schedule(caller: Caller, schedule_id: str) -> None:
        """Forget a schedule. Runs that have not begun are cancelled; what is at work goes on."""
        await service.remove(caller, schedule_id)

    @post(
        "/schedules/{schedule_id:str}/run",
        responses={201: says(wire.TaskOut, "The task that runs it."), **problems(404)},
        tags=tags,
        operation_id="runSchedule",
    )
    async def run_schedule(request: Req, caller: Caller, schedule_id: str) -> Response[bytes]:
        """Start the prompt now, beside the plan. It waits while an earlier run is at work."""
        out = wire.write_task(await service.run_now(caller, schedule_id), site.links(request.scope))
        return json(out, 201, {"location": out.links.self})

    return Router(
        "/",
        route_handlers=[
            create_schedule,
            list_schedules,
            get_schedule,
            change_schedule,
            delete_schedule,
            run_schedule,
        ],
    )
