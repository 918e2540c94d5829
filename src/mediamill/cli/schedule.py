"""Prompts that are started by a clock."""

from __future__ import annotations

import sys
from typing import Any

import click

from mediamill.cli import _connection, _show
from mediamill.cli._exit import Exit, Stop

_PAGE = 100


@click.group("schedule")
def schedule() -> None:
    """Start a prompt again and again, by a cron rule in a time zone."""


@schedule.command("add")
@click.argument("cron")
@click.argument("prompt", required=False)
@click.option("--zone", default="UTC", metavar="NAME", help="IANA time zone whose clocks count (UTC).")
@click.option("--title", default="", help="For people.")
@click.option("--model", help="The language model; the install's when not given.")
@click.option("--overlap", type=click.Choice(["queue", "skip", "cancel"]), help="While an earlier run is at work.")
@click.option("--missed", type=click.Choice(["none", "last", "all"]), help="What is made up for after a downtime.")
@click.option("--missed-limit", type=click.IntRange(1, 1000), help="The most of it, with --missed all.")
@click.option("--tag", "tags", multiple=True, help="Of each run; may be given again.")
@click.option("--max-attempts", type=click.IntRange(1, 10), help="Attempts of each run.")
@click.option("--ttl", "ttl_s", type=click.FloatRange(min=0), help="Seconds a run may wait to be started.")
@click.option("--paused", is_flag=True, help="Do not start it yet.")
@_connection.options
def add(
    at: _connection.At,
    cron: str,
    prompt: str | None,
    zone: str,
    title: str,
    model: str | None,
    tags: tuple[str, ...],
    max_attempts: int | None,
    ttl_s: float | None,
    paused: bool,
    **policies: Any,
) -> None:
    """Start PROMPT whenever CRON says: "30 8 * * MON-FRI". Without PROMPT it is read from standard input."""
    if prompt is None:
        prompt = "" if sys.stdin.isatty() else sys.stdin.read().strip()
    if not prompt:
        raise Stop(Exit.USAGE, "The prompt is missing: give it after the rule, or on standard input.")
    settings = {"tags": list(tags) or None, "max_attempts": max_attempts, "ttl_s": ttl_s}
    given = {"timezone": zone, "title": title, "model": model, **policies}
    with at.connect() as mill:
        made = mill.create_schedule(cron, prompt, enabled=not paused, settings=_said(settings), **_said(given))
    if at.json:
        _show.document(made)
        return
    click.echo(made["id"])
    coming = ", ".join(_show.moment(instant) for instant in made["upcoming"][:3])
    click.echo(f"{made['description']} ({_show.safe(made['timezone'])}); next: {coming or 'paused'}", err=True)


@schedule.command("ls")
@click.option("--enabled/--paused", "enabled", default=None, help="Only those that are at work, or are not.")
@_connection.options
def ls(at: _connection.At, enabled: bool | None) -> None:
    """List schedules, newest first; times are those of this machine."""
    found: list[dict[str, Any]] = []
    with at.connect() as mill:
        after = None
        while True:
            page = mill.schedules(limit=_PAGE, after=after, enabled=enabled)
            found += page["data"]
            after = page["next"]
            if after is None:
                break
    if at.json:
        _show.document({"data": found})
        return
    rows = [
        (
            one["id"],
            _show.safe(one["title"] or (one["prompt"] or ""))[:40],
            one["description"],
            _show.safe(one["timezone"]),
            _show.moment(one["last_at"]),
            _show.moment(one["upcoming"][0]) if one["upcoming"] else "-" if one["enabled"] else "paused",
        )
        for one in found
    ]
    _show.table(("ID", "TITLE", "WHEN", "ZONE", "LAST", "NEXT"), rows)


@schedule.command("run")
@click.argument("schedule_id")
@_connection.options
def run(at: _connection.At, schedule_id: str) -> None:
    """Run a schedule's prompt now, beside its plan. Prints the task's id."""
    with at.connect() as mill:
        task = mill.run_schedule(schedule_id)
    if at.json:
        _show.document(task)
    else:
        click.echo(task["id"])


@schedule.command("pause")
@click.argument("schedule_ids", nargs=-1, required=True)
@_connection.options
def pause(at: _connection.At, schedule_ids: tuple[str, ...]) -> None:
    """Start nothing more; runs that have not begun are cancelled."""
    _switch(at, schedule_ids, enabled=False)


@schedule.command("resume")
@click.argument("schedule_ids", nargs=-1, required=True)
@_connection.options
def resume(at: _connection.At, schedule_ids: tuple[str, ...]) -> None:
    """Go on from now; what would have been due meanwhile is not made up for."""
    _switch(at, schedule_ids, enabled=True)


@schedule.command("rm")
@click.argument("schedule_ids", nargs=-1, required=True)
@_connection.options
def rm(at: _connection.At, schedule_ids: tuple[str, ...]) -> None:
    """Forget schedules; what is at work goes on."""
    with at.connect() as mill:
        for id in schedule_ids:
            mill.remove_schedule(id)
    if at.json:
        _show.document({"removed": list(schedule_ids)})


def _switch(at: _connection.At, schedule_ids: tuple[str, ...], *, enabled: bool) -> None:
    with at.connect() as mill:
        changed = [mill.change_schedule(id, enabled=enabled) for id in schedule_ids]
    if at.json:
        _show.document({"data": changed})


def _said(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


COMMAND = schedule
