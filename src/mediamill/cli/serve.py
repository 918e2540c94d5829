"""The server."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("serve")
@click.option("--host", help="Address to listen at (127.0.0.1).")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen at (8484).")
@click.option("--data", type=FOLDER, help="Folder for the database and the files.")
@click.option("--worker/--no-worker", default=True, help="Do tasks here too, or only take them.")
@click.option("--tls-cert", type=FILE, help="Certificate chain, PEM.")
@click.option("--tls-key", type=FILE, help="Its private key, PEM.")
def serve(
    host: str | None,
    port: int | None,
    data: Path | None,
    worker: bool,
    tls_cert: Path | None,
    tls_key: Path | None,
) -> int:
    """Start the server: API, dashboard and workers, with a database of its own unless one is set.

    Every setting is an environment variable too: see docs/reference/settings.md.
    """
    if (tls_cert is None) != (tls_key is None):
        raise click.UsageError("--tls-cert and --tls-key go together.")
    from mediamill import app

    return app.serve(host=host, port=port, data=data, worker=worker, tls_cert=tls_cert, tls_key=tls_key)


COMMAND = serve
