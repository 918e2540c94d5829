"""Wait for a task."""

from __future__ import annotations

import click

from mediamill.cli import _connection, _show, _work


@click.command("wait")
@click.argument("task_id")
@click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), help="Seconds; status 7 when they are over.")
@click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
@_connection.options
def wait(at: _connection.At, task_id: str, timeout_s: float | None, quiet: bool) -> None:
    """Wait for a task to end; the status says how it did."""
    with at.connect() as mill, _show.Meter(quiet=quiet) as meter:
        task = _work.follow(mill, task_id, timeout_s=timeout_s, meter=meter)
    _work.end(task, as_json=at.json)
    if at.json:
        _show.document(task)
    else:
        _show.task(task)


COMMAND = wait
