"""A worker by itself."""

from __future__ import annotations

from pathlib import Path

import click

from mediamill.cli.serve import FOLDER

QUEUES = ("cpu", "io", "gpu", "agent", "webhooks")


@click.command("worker")
@click.option(
    "--queues",
    default="cpu,io,agent",
    help="What to do: tasks of cpu, io, gpu, agent; or webhooks alone (cpu,io,agent).",
)
@click.option("--slots", type=click.IntRange(min=1), help="Tasks at once; by the cores when not given.")
@click.option("--data", type=FOLDER, help="Folder of a server on this machine; not needed with a database of its own.")
def worker(queues: str, slots: int | None, data: Path | None) -> int:
    """Do tasks for a server that runs elsewhere, on the same database and storage."""
    wanted = [queue.strip() for queue in queues.split(",") if queue.strip()]
    if not wanted or (unknown := [queue for queue in wanted if queue not in QUEUES]):
        found = ", ".join(unknown) if wanted else "nothing"
        raise click.BadParameter(f"{found}: there are cpu, io, gpu, agent and webhooks.")
    from mediamill import app

    return app.work(queues=wanted, slots=slots, data=data)


COMMAND = worker
