"""Accounts, and the organisations in which they see each other's scheduled prompts."""

from __future__ import annotations

import click

from mediamill.cli import _connection, _show


@click.group("accounts")
def accounts() -> None:
    """List accounts, and join them in organisations (for admins)."""


@accounts.command("ls")
@_connection.options
def ls(at: _connection.At) -> None:
    """List projects with the account ids that the Recoup API knows them by."""
    with at.connect() as mill:
        found = mill.accounts()
    if at.json:
        _show.document({"data": found})
        return
    rows = [
        (one["project_id"], one["account_id"], _show.safe(one["email"] or ""), _show.safe(one["name"])) for one in found
    ]
    _show.table(("PROJECT", "ACCOUNT", "EMAIL", "NAME"), rows)


@accounts.command("email")
@click.argument("project_id")
@click.argument("address", required=False)
@_connection.options
def email(at: _connection.At, project_id: str, address: str | None) -> None:
    """Say how a project's owner is reached; without an address, not at all."""
    with at.connect() as mill:
        made = mill.set_email(project_id, address)
    if at.json:
        _show.document(made)


@accounts.command("orgs")
@_connection.options
def orgs(at: _connection.At) -> None:
    """List organisations. Members of `operators` reach every account."""
    with at.connect() as mill:
        found = mill.organisations()
    if at.json:
        _show.document({"data": found})
        return
    rows = [
        (one["id"], _show.safe(one["name"]), "all" if one["operates"] else "members", " ".join(one["members"]))
        for one in found
    ]
    _show.table(("ID", "NAME", "REACH", "MEMBERS"), rows)


@accounts.command("add-org")
@click.argument("name")
@_connection.options
def add_org(at: _connection.At, name: str) -> None:
    """Make an organisation."""
    with at.connect() as mill:
        made = mill.create_organisation(name)
    if at.json:
        _show.document(made)
    else:
        click.echo(made["id"])


@accounts.command("rm-org")
@click.argument("name")
@_connection.options
def rm_org(at: _connection.At, name: str) -> None:
    """Dissolve an organisation; its accounts stay."""
    with at.connect() as mill:
        mill.delete_organisation(name)
    if at.json:
        _show.document({"removed": name})


@accounts.command("join")
@click.argument("name")
@click.argument("project_ids", nargs=-1, required=True)
@_connection.options
def join(at: _connection.At, name: str, project_ids: tuple[str, ...]) -> None:
    """Make projects members of an organisation."""
    with at.connect() as mill:
        for project_id in project_ids:
            made = mill.join(name, project_id)
    if at.json:
        _show.document(made)


@accounts.command("leave")
@click.argument("name")
@click.argument("project_ids", nargs=-1, required=True)
@_connection.options
def leave(at: _connection.At, name: str, project_ids: tuple[str, ...]) -> None:
    """End memberships."""
    with at.connect() as mill:
        for project_id in project_ids:
            mill.leave(name, project_id)
    if at.json:
        _show.document({"removed": list(project_ids)})


COMMAND = accounts
