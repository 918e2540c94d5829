"""Access keys."""

from __future__ import annotations

from typing import Literal

import click

from mediamill.cli import _connection, _show


@click.group("keys")
def keys() -> None:
    """List, create and revoke access keys (for admins)."""


@keys.command("ls")
@_connection.options
def ls(at: _connection.At) -> None:
    """List keys; secrets are never shown again."""
    with at.connect() as mill:
        found = mill.keys()
    if at.json:
        _show.document({"data": found})
        return
    rows = [
        (
            key["id"],
            _show.safe(key["name"]),
            key["role"],
            _show.safe(key["hint"]),
            _show.moment(key["last_used_at"]),
            "revoked" if key["revoked_at"] else "good",
        )
        for key in found
    ]
    _show.table(("ID", "NAME", "ROLE", "HINT", "LAST USED", "STATE"), rows)


@keys.command("create")
@click.argument("name")
@click.option("--role", type=click.Choice(["admin", "member"]), default="member", help="What it may do (member).")
@click.option("--project", "project_id", metavar="ID", help="Project it belongs to; your own by default.")
@_connection.options
def create(at: _connection.At, name: str, role: Literal["admin", "member"], project_id: str | None) -> None:
    """Create a key and print its secret: the only time it is shown."""
    with at.connect() as mill:
        key = mill.create_key(name, role, project_id=project_id)
    if at.json:
        _show.document(key)
    else:
        click.echo(f"{key['id']}: keep the secret now, it is not shown again.", err=True)
        click.echo(key["secret"])


@keys.command("revoke")
@click.argument("key_ids", nargs=-1, required=True)
@_connection.options
def revoke(at: _connection.At, key_ids: tuple[str, ...]) -> None:
    """Make keys worthless, at once."""
    with at.connect() as mill:
        for key_id in key_ids:
            mill.revoke_key(key_id)
    if at.json:
        _show.document({"revoked": list(key_ids)})


COMMAND = keys
