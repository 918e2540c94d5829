"""Connections to buckets of one's own."""

from __future__ import annotations

import sys

import click

from mediamill.cli import _connection, _show
from mediamill.cli._exit import Exit, Stop


@click.group("connections")
def connections() -> None:
    """Keep credentials for buckets that tasks read from and send results to."""


@connections.command("add")
@click.argument("name")
@click.option("--endpoint", required=True, metavar="URL", help="Like https://s3.eu-central-1.amazonaws.com.")
@click.option("--region", required=True, help="Where the endpoint has none: auto or us-east-1.")
@click.option("--key-id", "access_key_id", required=True, metavar="ID", help="Access key id.")
@click.option("--default", "is_default", is_flag=True, help="Have s3:// URLs that name no connection use it.")
@_connection.options
def add(at: _connection.At, name: str, endpoint: str, region: str, access_key_id: str, is_default: bool) -> None:
    """Keep credentials. The secret is asked for, or read from standard input: never an argument, which others see."""
    secret = _secret()
    with at.connect() as mill:
        made = mill.create_connection(
            name,
            endpoint=endpoint,
            region=region,
            access_key_id=access_key_id,
            secret_access_key=secret,
            is_default=is_default,
        )
    if at.json:
        _show.document(made)
    else:
        click.echo(made["id"])


@connections.command("ls")
@_connection.options
def ls(at: _connection.At) -> None:
    """List connections; secrets are never shown."""
    with at.connect() as mill:
        found = mill.connections()
    if at.json:
        _show.document({"data": found})
        return
    rows = [
        (
            one["id"],
            _show.safe(one["name"]),
            _show.safe(one["endpoint"]),
            _show.safe(one["region"]),
            _show.safe(one["access_key_id"]),
            "default" if one["is_default"] else "",
        )
        for one in found
    ]
    _show.table(("ID", "NAME", "ENDPOINT", "REGION", "KEY ID", ""), rows)


@connections.command("rm")
@click.argument("connection_ids", nargs=-1, required=True)
@_connection.options
def rm(at: _connection.At, connection_ids: tuple[str, ...]) -> None:
    """Forget connections and their secrets; tasks that still want them will fail."""
    with at.connect() as mill:
        for id in connection_ids:
            mill.remove_connection(id)
    if at.json:
        _show.document({"removed": list(connection_ids)})


def _secret() -> str:
    if sys.stdin.isatty():
        found: str = click.prompt("Secret access key", hide_input=True, err=True)
    else:
        found = sys.stdin.readline()
    if not found.strip():
        raise Stop(Exit.USAGE, "The secret access key is missing: type it, or give it on standard input.")
    return found.strip()


COMMAND = connections
