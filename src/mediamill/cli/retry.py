"""Try a failed task again."""

from __future__ import annotations

import click

from mediamill.cli import _connection, _show


@click.command("retry")
@click.argument("task_id")
@_connection.options
def retry(at: _connection.At, task_id: str) -> None:
    """Make a new task like a failed or cancelled one, and print its id."""
    with at.connect() as mill:
        task = mill.retry(task_id)
    if at.json:
        _show.document(task)
    else:
        click.echo(task["id"])


COMMAND = retry
