"""Do one task from files to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mediamill.cli import _connection, _schema, _show, _work


class Kinds(click.Group):
    """One command per kind, its options made from the kind's own schema."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        from mediamill import kinds

        return sorted(kinds.load())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        from mediamill import kinds

        return command(cmd_name) if cmd_name in kinds.load() else None


def command(name: str) -> click.Command:
    """The command of one kind."""
    import msgspec

    from mediamill import kinds
    from mediamill.core import formats

    kind = kinds.load()[name]
    flags = _schema.flags(msgspec.json.schema(kind.options))
    # The format may be read off the name of the output, so click must not ask for it.
    made_options = [flag.option(check_required=flag.path != ("format",)) for flag in flags]

    @click.command(name, help=kind.summary, context_settings={"show_default": False})
    @click.argument("inputs", nargs=-1)
    @click.option("-o", "--output", help="Where to save: a file, a folder, or - for stdout.")
    @click.option("--force", is_flag=True, help="Overwrite files in the output folder.")
    @click.option("--name", help="File name to send an input under.")
    @click.option("--priority", type=click.IntRange(-100, 100), default=0, help="Higher goes first.")
    @click.option("--timeout", "timeout_s", type=click.FloatRange(min=0), help="Seconds to wait for the end.")
    @click.option("-q", "--quiet", is_flag=True, help="No progress bar.")
    @_connection.options
    def run(
        at: _connection.At,
        inputs: tuple[str, ...],
        output: str | None,
        force: bool,
        name: str | None,
        priority: int,
        timeout_s: float | None,
        quiet: bool,
        **given: Any,
    ) -> None:
        options = _schema.gather(flags, given)
        if "format" in kind.options.__struct_fields__ and "format" not in options:
            said = next(flag for flag in flags if flag.path == ("format",))
            word = Path(output or "").suffix[1:].lower()
            if word and (said.required or word in said.schema.get("enum", [word]) or formats.find(word)):
                options["format"] = word
            elif said.required:
                raise click.UsageError("Give --format, or -o with a name that ends in the format.")
        try:
            msgspec.convert(options, kind.options)
        except msgspec.ValidationError as error:
            raise click.UsageError(str(error)) from error
        least, most = kind.inputs
        if not least <= len(inputs) <= most:
            count = str(least) if least == most else f"{least} to {most}"
            raise click.UsageError(f"{kind.name} takes {count} input{'' if count == '1' else 's'}; got {len(inputs)}.")
        if at.json and output == "-":
            raise click.UsageError("stdout cannot hold both the file and the JSON document.")
        with at.connect() as mill, _show.Meter(quiet=quiet) as meter:
            sent = _work.inputs(mill, inputs, name=name, meter=meter)
            task = mill.create(kind.name, sent, options, priority=priority)
            task = _work.follow(mill, task["id"], timeout_s=timeout_s, meter=meter)
            _work.end(task, as_json=at.json)
            files = _work.results(task)
            saved = _work.save(mill, files, output, force=force, meter=meter)
        if at.json:
            _show.document({**task, "saved": [str(path) for path in saved]})
            return
        for path in saved:
            size = _show.size(path.stat().st_size)
            click.echo(f"{path}  {size}  {_show.took(task['started_at'], task['finished_at'])}", err=True)
        for setting in task["details"].get("ignored_settings", []):
            click.echo(f"--{setting.replace('_', '-')} does nothing for this pair of formats.", err=True)

    run.params.extend(made_options)
    return run


@click.command("run", cls=Kinds, subcommand_metavar="KIND [OPTIONS] INPUT… -o OUTPUT")
def run() -> None:
    """Do one task from files to files: upload, wait, save.

    An INPUT is a file, - for stdin, an http(s) address that the server fetches, or file:ID for one it has.

    \b
    mediamill run convert photo.png -o photo.webp --quality 80 --resize-width 640
    mediamill run convert --help        the options of a kind
    """


COMMAND = run
