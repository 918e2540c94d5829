"""Show one task."""

from __future__ import annotations

import click

from mediamill.cli import _connection, _show, _work


@click.command("get")
@click.argument("task_id")
@click.option("-o", "--output", help="Save its results: a file, a folder, or - for stdout.")
@click.option("--force", is_flag=True, help="Overwrite files in the output folder.")
@_connection.options
def get(at: _connection.At, task_id: str, output: str | None, force: bool) -> None:
    """Show a task, and save what it made when -o is given."""
    if at.json and output == "-":
        raise click.UsageError("stdout cannot hold both the file and the JSON document.")
    with at.connect() as mill, _show.Meter() as meter:
        task = mill.task(task_id)
        if output is not None:
            _work.end(task, as_json=at.json)
            package = _work.is_package(task)
            _work.save(mill, _work.results(task), output, force=force, meter=meter, package=package)
    if at.json:
        _show.document(task)
    elif output != "-":
        _show.task(task)


COMMAND = get
