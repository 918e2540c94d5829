"""The models that engines use beyond what the install brings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mediamill.cli import _show
from mediamill.cli._exit import Exit, Stop

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mediamill.models import Model

FOLDER = click.option("--data", type=click.Path(file_okay=False, path_type=Path), help="The server's data folder.")
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")


@click.group("models")
def models() -> None:
    """List and fetch the models of engines on this machine."""


@models.command("ls")
@FOLDER
@JSON
def ls(data: Path | None, as_json: bool) -> None:
    """List the models, with their licence, where they come from, and whether they are here."""
    from mediamill.models import is_whole, manifest

    where, *further = _folders(data)
    rows = []
    documents = []
    for model in manifest().values():
        here = any(is_whole(model, place / model.file) for place in (where, *further))
        state = "here" if here else "damaged" if (where / model.file).exists() else "not here"
        source = " and ".join(f"{part.wheel.package} {part.wheel.version}" for part in model.parts)
        rows.append((model.name, state, _show.size(model.bytes), model.licence, source, model.about))
        documents.append(
            {
                "name": model.name,
                "state": state.replace(" ", "_"),
                "file": model.file,
                "bytes": model.bytes,
                "sha256": model.sha256,
                "licence": model.licence,
                "source": source,
                "about": model.about,
            }
        )
    if as_json:
        _show.document({"folder": str(where), "data": documents})
        return
    _show.table(("NAME", "STATE", "SIZE", "LICENCE", "FROM", "WHAT IT DOES"), rows)


@models.command("fetch")
@click.argument("names", nargs=-1)
@FOLDER
@JSON
def fetch(names: tuple[str, ...], data: Path | None, as_json: bool) -> None:
    """Download models (all by default) from the packages they are published in; those that are here are left alone."""
    from mediamill.models import fetch as fetching
    from mediamill.models import lacking, manifest

    known = manifest()
    where, *further = _folders(data)
    wanted = [_named(name, known) for name in names] or list(known.values())
    absent = wanted
    for place in further:
        absent = lacking(absent, place)
    try:
        brought = fetching.fetch(absent, where, lambda line: click.echo(line, err=True))
    except fetching.NotFetched as error:
        raise Stop(Exit.UNREACHABLE, str(error), code=error.code) from error
    if as_json:
        _show.document({"folder": str(where), "fetched": [model.name for model in brought]})
    else:
        click.echo(f"{len(brought)} fetched, {len(wanted) - len(brought)} were here: {where}", err=True)


def _named(name: str, known: Mapping[str, Model]) -> Model:
    if name not in known:
        raise click.BadParameter(f"{name!r} is none of {', '.join(known)}.")
    return known[name]


@models.command("path")
@click.argument("name", required=False)
@FOLDER
def path(name: str | None, data: Path | None) -> None:
    """Print the folder of models, or the file of one."""
    from mediamill.models import manifest

    where = _folders(data)
    if name is None:
        click.echo(where[0])
        return
    file = _named(name, manifest()).file
    click.echo(next((place / file for place in where if (place / file).is_file()), where[0] / file))


def _folders(data: Path | None) -> list[Path]:
    """The operator's, and further ones."""
    from mediamill import models as room

    own, *further = room.folders()
    return [data / "models" if data is not None else own, *further]


COMMAND = models
