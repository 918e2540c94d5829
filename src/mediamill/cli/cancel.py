"""Cancel a task."""

from __future__ import annotations

import click

from mediamill.cli import _connection, _show


@click.command("cancel")
@click.argument("task_id")
@_connection.options
def cancel(at: _connection.At, task_id: str) -> None:
    """End a task that has not ended; what it made so far is dropped."""
    with at.connect() as mill:
        task = mill.cancel(task_id)
    if at.json:
        _show.document(task)
    else:
        click.echo(task["id"] + "  " + _show.state(task["state"]))


COMMAND = cancel
