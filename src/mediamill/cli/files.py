"""Stored files."""

from __future__ import annotations

from pathlib import Path

import click

from mediamill.cli import _connection, _show, _work


@click.group("files")
def files() -> None:
    """List, store, fetch and delete stored files."""


@files.command("ls")
@click.option("-n", "--limit", type=click.IntRange(1, 100), default=20, help="Rows on a page (20).")
@click.option("--after", metavar="CURSOR", help="Go on after a page.")
@_connection.options
def ls(at: _connection.At, limit: int, after: str | None) -> None:
    """List files, newest first."""
    with at.connect() as mill:
        page = mill.files(limit=limit, after=after)
    if at.json:
        _show.document(page)
        return
    rows = [
        (
            file["id"],
            _show.safe(file["filename"])[:48],
            file["mime"] or "-",
            _show.size(file["size_bytes"]),
            file["state"],
            _show.moment(file["created_at"]),
        )
        for file in page["data"]
    ]
    _show.table(("ID", "NAME", "TYPE", "SIZE", "STATE", "CREATED"), rows, right=frozenset({"SIZE"}))
    if page["next"]:
        click.echo(f"more: mediamill files ls --after {page['next']}", err=True)


@files.command("get")
@click.argument("file_id")
@_connection.options
def get(at: _connection.At, file_id: str) -> None:
    """Show a file and its facts."""
    with at.connect() as mill:
        file = mill.file(file_id)
    if at.json:
        _show.document(file)
        return
    click.echo(f"{file['id']}  {_show.safe(file['filename'])}")
    click.echo(f"  {file['mime']}  {_show.size(file['size_bytes'])}  {file['state']}")
    for name, value in file["facts"].items():
        if value not in (None, {}, []):
            click.echo(f"  {name}: {_show.safe(str(value))}")
    if file["sha256"]:
        click.echo(f"  sha256: {file['sha256']}")


@files.command("put")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_connection.options
def put(at: _connection.At, paths: tuple[Path, ...]) -> None:
    """Store files and print their ids, in their order."""
    stored = []
    with at.connect() as mill, _show.Meter() as meter:
        for path in paths:
            stored.append(mill.upload(path, on_progress=meter.bytes("upload")))
            if not at.json:
                meter.clear()
                click.echo(stored[-1]["id"])
    if at.json:
        _show.document({"data": stored})


@files.command("download")
@click.argument("file_id")
@click.option("-o", "--output", help="Where to save: a file, a folder, or - for stdout (its own name, here).")
@click.option("--force", is_flag=True, help="Overwrite a file in the output folder.")
@_connection.options
def download(at: _connection.At, file_id: str, output: str | None, force: bool) -> None:
    """Save a file's bytes."""
    if at.json and output == "-":
        raise click.UsageError("stdout cannot hold both the file and the JSON document.")
    with at.connect() as mill, _show.Meter() as meter:
        file = mill.file(file_id)
        saved = _work.save(mill, [file], output, force=force, meter=meter)
    if at.json:
        _show.document({**file, "saved": [str(path) for path in saved]})
    else:
        for path in saved:
            click.echo(str(path), err=True)


@files.command("rm")
@click.argument("file_ids", nargs=-1, required=True)
@_connection.options
def rm(at: _connection.At, file_ids: tuple[str, ...]) -> None:
    """Delete files."""
    with at.connect() as mill:
        for file_id in file_ids:
            mill.remove(file_id)
    if at.json:
        _show.document({"removed": list(file_ids)})


COMMAND = files
