"""List tasks."""

from __future__ import annotations

import click

from mediamill.cli import _connection, _show

STATES = ["waiting", "ingesting", "delayed", "queued", "running", "succeeded", "failed", "cancelled"]


@click.command("ls")
@click.option("-n", "--limit", type=click.IntRange(1, 100), default=20, help="Rows on a page (20).")
@click.option("--state", type=click.Choice(STATES), multiple=True, help="Only these; may be repeated.")
@click.option("--kind", multiple=True, help="Only these; may be repeated.")
@click.option("--search", metavar="TEXT", help="Only tasks that hold this text.")
@click.option("--after", metavar="CURSOR", help="Go on after a page.")
@click.option("--oldest-first", is_flag=True, help="Oldest on top.")
@_connection.options
def ls(
    at: _connection.At,
    limit: int,
    state: tuple[str, ...],
    kind: tuple[str, ...],
    search: str | None,
    after: str | None,
    oldest_first: bool,
) -> None:
    """List tasks, newest first."""
    with at.connect() as mill:
        order = "asc" if oldest_first else None
        page = mill.tasks(limit=limit, state=state, kind=kind, q=search, after=after, order=order)
    if at.json:
        _show.document(page)
        return
    rows = []
    for task in page["data"]:
        names = [
            file["filename"] if (file := given.get("file")) else given.get("url") or "" for given in task["inputs"]
        ]
        state_cell = _show.state(task["state"])
        if task["state"] == "running":
            state_cell += f" {task['progress']:.0%}"
        took = _show.took(task["started_at"], task["finished_at"])
        made = sum((output["file"] or {}).get("size_bytes") or 0 for output in task["outputs"])
        rows.append(
            (
                task["id"],
                task["kind"],
                state_cell,
                _show.safe(", ".join(names))[:48],
                _show.size(made) if task["outputs"] else "-",
                took,
                _show.moment(task["created_at"]),
            )
        )
    _show.table(("ID", "KIND", "STATE", "INPUT", "MADE", "TOOK", "CREATED"), rows, right=frozenset({"MADE", "TOOK"}))
    if page["next"]:
        click.echo(f"more: mediamill ls --after {page['next']}", err=True)


COMMAND = ls
