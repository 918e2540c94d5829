"""Create a task and go."""

from __future__ import annotations

from typing import Any

import click

from mediamill.cli import _connection, _show, _work
from mediamill.cli._schema import Json


@click.command("submit")
@click.argument("kind")
@click.argument("inputs", nargs=-1)
@click.option("--options", "given", type=Json(), help="The kind's options as JSON, or @FILE.")
@click.option("--priority", type=click.IntRange(-100, 100), default=0, help="Higher goes first.")
@click.option("--not-before", metavar="INSTANT", help="Start no earlier: RFC 3339, such as 2030-01-31T08:00:00Z.")
@click.option("--max-attempts", type=click.IntRange(1, 10), help="Tries before it counts as failed.")
@click.option("--metadata", type=Json(), help="A JSON object kept with the task.")
@click.option("--idempotency-key", help="The same key and task again make no second one.")
@_connection.options
def submit(
    at: _connection.At,
    kind: str,
    inputs: tuple[str, ...],
    given: Any,
    priority: int,
    not_before: str | None,
    max_attempts: int | None,
    metadata: Any,
    idempotency_key: str | None,
) -> None:
    """Create a task and print its id, without waiting.

    Works for every kind of the server, also those that this program does not know. INPUTs as for `run`.
    """
    with at.connect() as mill, _show.Meter(quiet=at.json) as meter:
        task = mill.create(
            kind,
            _work.inputs(mill, inputs, name=None, meter=meter),
            given,
            priority=priority,
            not_before=not_before,
            max_attempts=max_attempts,
            metadata=metadata,
            idempotency_key=idempotency_key,
        )
    if at.json:
        _show.document(task)
    else:
        click.echo(task["id"])


COMMAND = submit
