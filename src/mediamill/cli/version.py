"""Versions of this program and of the server it speaks to."""

from __future__ import annotations

import platform

import click

from mediamill import __version__
from mediamill.cli import _connection, _show


@click.command("version")
@_connection.options
def version(at: _connection.At) -> None:
    """Print the versions of this program and, when it answers, of the server."""
    from mediamill import client

    try:
        with at.connect() as mill:
            server = mill.version().get("version")
    except client.ClientError:
        server = None
    found = {"mediamill": __version__, "python": platform.python_version(), "server": server, "url": at.url}
    if at.json:
        _show.document(found)
    else:
        click.echo(f"mediamill {__version__} (Python {found['python']})")
        click.echo(f"server    {server or 'not reached'} at {at.url}")


COMMAND = version
