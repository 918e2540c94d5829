"""Database migrations."""

from __future__ import annotations

from pathlib import Path

import click

from mediamill.cli.serve import FOLDER


@click.command("migrate")
@click.option("--data", type=FOLDER, help="Folder of a server with its own database.")
def migrate(data: Path | None) -> None:
    """Bring the database to this version's schema. `serve` and `worker` do it by themselves."""
    from mediamill import app

    app.migrate(data=data)


COMMAND = migrate
