"""Runs of prompts."""

from __future__ import annotations

from typing import Any

import click

from mediamill.cli import _connection, _show

STATUSES = [
    "unserved",
    "delayed",
    "queued",
    "dequeued",
    "executing",
    "reattempting",
    "frozen",
    "completed",
    "canceled",
    "failed",
    "crashed",
    "interrupted",
    "system_failure",
    "expired",
    "timed_out",
]
_COLOURS = {"completed": "green", "canceled": "yellow", "executing": "cyan", "frozen": "cyan", "reattempting": "yellow"}
_BAD = frozenset(("failed", "crashed", "interrupted", "system_failure", "expired", "timed_out"))
_WIDEST = 60


@click.group("runs", invoke_without_command=True)
@click.pass_context
def runs(context: click.Context) -> None:
    """Follow, end and repeat the runs of prompts; alone it lists them."""
    if context.invoked_subcommand is None:
        with ls.make_context("ls", [], parent=context) as alone:  # which reads the environment; context.invoke does not
            ls.invoke(alone)


@runs.command("ls")
@click.option("-n", "--limit", type=click.IntRange(1, 100), default=20, help="Rows on a page (20).")
@click.option("--status", type=click.Choice(STATUSES), multiple=True, help="Only these; may be repeated.")
@click.option("--tag", multiple=True, help="Only with one of these; may be repeated.")
@click.option("--schedule", "schedule_id", multiple=True, help="Only of these schedules; may be repeated.")
@click.option("--batch", "batch_id", help="Only of this batch.")
@click.option("--since", metavar="DATE", help="Only from then on.")
@click.option("--until", metavar="DATE", help="Only up to then.")
@click.option("--after", metavar="CURSOR", help="Go on after a page.")
@click.option("--oldest-first", is_flag=True, help="Oldest on top.")
@_connection.options
def ls(at: _connection.At, oldest_first: bool, **filters: Any) -> None:
    """List runs, newest first."""
    with at.connect() as mill:
        page = mill.runs(order="asc" if oldest_first else None, **filters)
    if at.json:
        _show.document(page)
        return
    rows = []
    for run in page["data"]:
        text = _show.safe(" ".join((run["prompt"] or "").split()))
        rows.append(
            (
                run["id"],
                _status(run["status"]),
                text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…",
                str(run["attempt"]),
                _cents(run["cost_cents"]),
                _show.took(run["started_at"], run["finished_at"]),
                _show.moment(run["created_at"]),
            )
        )
    head = ("ID", "STATUS", "PROMPT", "TRY", "COST", "TOOK", "CREATED")
    _show.table(head, rows, right=frozenset({"TRY", "COST", "TOOK"}))
    if page["next"]:
        click.echo(f"more: mediamill runs ls --after {page['next']}", err=True)


@runs.command("start")
@click.argument("prompt")
@click.option("--model", help="Model to ask; the server's by default.")
@click.option("--tag", "tags", multiple=True, help="May be repeated.")
@click.option("--delay", metavar="WHEN", help="A duration such as 1h30m, or a date.")
@click.option("--ttl", metavar="DURATION", help="How long it may wait to be started.")
@click.option("--idempotency-key", metavar="KEY", help="The same key answers the same run, unless it failed.")
@click.option("--wait", type=click.IntRange(1, 60), metavar="SECONDS", help="Wait for its end.")
@_connection.options
def start(at: _connection.At, prompt: str, wait: int | None, tags: tuple[str, ...], **options: Any) -> None:
    """Have a prompt done."""
    with at.connect() as mill:
        made = mill.start_run(prompt, tags=list(tags), **options)
        found = mill.run(made["id"], wait_s=wait) if wait else made
    if at.json:
        _show.document(found)
    elif wait:
        _one(found)
    else:
        click.echo(found["id"])


@runs.command("show")
@click.argument("run_id")
@click.option("--steps", is_flag=True, help="What it has done, too.")
@_connection.options
def show(at: _connection.At, run_id: str, steps: bool) -> None:
    """Show a run with its attempts."""
    with at.connect() as mill:
        found = mill.run(run_id)
        done = mill.steps(run_id) if steps else []
    if at.json:
        _show.document(found | ({"trace": done} if steps else {}))
        return
    _one(found)
    if done:
        click.echo()
        rows = [
            (
                str(step["number"]),
                step["kind"],
                _show.safe(step["name"]),
                step["state"],
                str(step["prompt_tokens"] + step["completion_tokens"]),
                _cents(step["cost_cents"]),
                _show.took(step["started_at"], step["finished_at"]),
            )
            for step in done
        ]
        head = ("STEP", "KIND", "NAME", "STATE", "TOKENS", "COST", "TOOK")
        _show.table(head, rows, right=frozenset({"STEP", "TOKENS", "COST", "TOOK"}))


@runs.command("cancel")
@click.argument("run_ids", nargs=-1, required=True)
@_connection.options
def cancel(at: _connection.At, run_ids: tuple[str, ...]) -> None:
    """End runs with all that they started; those that have ended stay as they are."""
    with at.connect() as mill:
        _brief(at, [mill.cancel_run(id) for id in run_ids])


@runs.command("replay")
@click.argument("run_ids", nargs=-1, required=True)
@_connection.options
def replay(at: _connection.At, run_ids: tuple[str, ...]) -> None:
    """Start new runs that ask the same."""
    with at.connect() as mill:
        _brief(at, [mill.replay_run(id) for id in run_ids])


@runs.command("reschedule")
@click.argument("run_id")
@click.argument("delay", metavar="WHEN")
@_connection.options
def reschedule(at: _connection.At, run_id: str, delay: str) -> None:
    """Put a delayed run off, or bring it forward: to a duration such as 1h30m from now, or a date."""
    with at.connect() as mill:
        _brief(at, [mill.reschedule_run(run_id, delay)])


def _brief(at: _connection.At, found: list[dict[str, Any]]) -> None:
    if at.json:
        _show.document(found[0] if len(found) == 1 else {"data": found})
        return
    for run in found:
        until = f"  until {_show.moment(run['delayed_until'])}" if run["status"] == "delayed" else ""
        click.echo(f"{run['id']}  {_status(run['status'])}{until}")


def _one(run: dict[str, Any]) -> None:
    click.echo(f"{run['id']}  {_status(run['status'])}")
    click.echo(f"  {_show.safe(' '.join((run['prompt'] or run['identifier']).split()))[:200]}")
    if run["tags"]:
        click.echo(f"  tags {_show.safe(', '.join(run['tags']))}")
    usage = run["usage"]
    click.echo(
        f"  {run['steps']['model_calls']} model calls, {run['steps']['function_calls']} function calls, "
        f"{usage['total_tokens']} tokens, {_cents(run['cost_cents'])}, {run['duration_ms'] / 1000:.2f} s at work"
    )
    for attempt in run["attempts"]:
        why = f"  {_show.safe(attempt['error']['message'])}" if attempt["error"] else ""
        took = _show.took(attempt["started_at"], attempt["finished_at"])
        click.echo(f"  attempt {attempt['number']}  {attempt['state']}  {took}{why}")
    for child in run["children"]:
        click.echo(f"  started {child['id']}  {_status(child['status'])}")
    for made in run["created"]:
        click.echo(f"  asked for {made['id']}  {made['kind']}  {_show.state(made['state'])}")
    if run["error"] is not None:
        click.echo(f"  {run['error']['name'] or run['error']['code']}: {_show.safe(run['error']['message'])}")
    if run["output"] is not None:
        output = run["output"]
        text = output.get("text") if isinstance(output, dict) else output
        click.echo("\n".join(f"  {_show.safe(line)}" for line in str(text).splitlines()))


def _status(word: str) -> str:
    return click.style(word, fg="red" if word in _BAD else _COLOURS.get(word))


def _cents(amount: float) -> str:
    return "-" if not amount else f"{amount:.2f} ct"


COMMAND = runs
