"""Kinds as commands: their options are made from the kind's own schema, by this install's or, for a kind that only the
server has, by the server's. `mediamill KIND` and `mediamill run KIND` are the same command."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from mediamill.cli import _connection, _options_file, _schema, _show, _work

_COMMAND = re.compile(r'^    command = "([a-z][a-z-]*)"$', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a command is made of. `options`: the type that checks them before anything is sent, where there is one."""

    name: str
    summary: str
    inputs: tuple[int, int]
    schema: Mapping[str, Any]
    options: Any = None
    package: bool = False


_MANIFESTS = {"m3u8": "hls", "mpd": "dash"}
"""What the name of a manifest ends in, and the format that makes it."""


def names() -> list[str]:
    """The kinds of this install. Nothing of them is imported: help and completion must be quick."""
    return sorted(module.name for module in pkgutil.iter_modules(_folders()) if not module.name.startswith("_"))


def shorter() -> Mapping[str, str]:
    """The shorter names that kinds have as commands, and the kinds'. Read off their files, as their first lines are."""
    found = {}
    for name in names():
        for folder in _folders():
            if said := _COMMAND.search(Path(folder, f"{name}.py").read_text(encoding="utf-8")):
                found[said[1]] = name
    return found


def short_help(name: str) -> str:
    """A kind's first line, read off its file."""
    for folder in _folders():
        with Path(folder, f"{name}.py").open(encoding="utf-8") as source:
            return source.readline().strip().strip('"')
    return ""


def _folders() -> Sequence[str]:
    found = importlib.util.find_spec("mediamill.kinds")
    return list(found.submodule_search_locations or ()) if found else []


def local(name: str) -> click.Command | None:
    """The command of a kind of this install, by its name or a shorter one."""
    if name not in names():
        name = shorter().get(name, name)
    if name not in names():
        return None
    import msgspec

    from mediamill import kinds

    kind = kinds.load()[name]
    schema = msgspec.json.schema(kind.options)
    return command(
        Offer(
            name=name,
            summary=kind.summary,
            inputs=kind.inputs,
            schema=schema,
            options=kind.options,
            package=kind.package,
        )
    )


def remote(name: str, arguments: Sequence[str]) -> click.Command | None:
    """The command of a kind that the server offers and this install does not know; None where nobody answers."""
    from mediamill.client import ClientError

    at = _connection.named(arguments)
    try:
        with at.connect() as mill:
            offered = mill.capabilities()["kinds"]
    except ClientError:
        return None
    for kind in offered:
        if kind["name"] == name:
            least, most = kind["inputs"]
            return command(Offer(name=name, summary=kind["summary"], inputs=(least, most), schema=kind["options"]))
    return None


class Group(click.Group):
    """The kinds as its commands, each made when it is wanted; the server is asked for what this install lacks."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return names()

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return local(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-") and not ctx.resilient_parsing:
            found = remote(name, args[1:])
            if found is not None:
                return name, found, args[1:]
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_section(formatter, "Kinds")


def write_section(formatter: click.HelpFormatter, title: str) -> None:
    """The kinds with their first lines, as help shows commands."""
    also = {name: short for short, name in shorter().items()}
    listed = {name: f"{name}, {also[name]}" if name in also else name for name in names()}
    width = formatter.width - 6 - max(map(len, listed.values()), default=0)
    with formatter.section(title):
        formatter.write_dl([(shown, _shortened(short_help(name), width)) for name, shown in listed.items()])


def _shortened(text: str, width: int) -> str:
    text = text.removesuffix(".")
    return text if len(text) <= width else text[: text.rindex(" ", 0, width - 2)].rstrip(",;:") + " …"


def command(kind: Offer) -> click.Command:
    """The command of one kind."""
    flags = _schema.flags(kind.schema)
    # The format may be read off the name of the output, so click must not ask for it.
    made_options = [flag.option(check_required=flag.path != ("format",)) for flag in flags]

    @click.command(kind.name, help=kind.summary, context_settings={"show_default": False})
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
        folder = None
        if kind.inputs == (0, 0) and len(inputs) == 1:  # its options, then: flags say more than the file
            folder, options = Path(inputs[0]).parent, {**_options_file.read(inputs[0]), **options}
            inputs = ()
        if kind.package:
            _check_folder(output)
        else:
            _work.check_place(output)
        _format(flags, options, output)
        _check(kind, options, inputs)
        if at.json and output == "-":
            raise click.UsageError("stdout cannot hold both the file and the JSON document.")
        with at.connect() as mill, _show.Meter(quiet=quiet) as meter:
            sent = _work.inputs(mill, inputs, name=name, meter=meter)
            if folder is not None:
                options = _options_file.uploaded(mill, options, folder, meter=meter)
            task = mill.create(kind.name, sent, options, priority=priority)
            task = _work.follow(mill, task["id"], timeout_s=timeout_s, meter=meter)
            _work.end(task, as_json=at.json)
            files = _work.results(task)
            package = kind.package or _work.is_package(task)
            saved = (
                []
                if not files and output is None
                else _work.save(mill, files, output, force=force, meter=meter, package=package)
            )
        if at.json:
            _show.document({**task, "saved": [str(path) for path in saved]})
            return
        if not files:
            _show.document(task["details"])  # its answer is not a file
        for path in saved:
            size = _show.size(path.stat().st_size)
            click.echo(f"{path}  {size}  {_show.took(task['started_at'], task['finished_at'])}", err=True)
        for setting in task["details"].get("ignored_settings", []):
            click.echo(f"--{setting.replace('_', '-')} does nothing for this pair of formats.", err=True)

    run.params.extend(made_options)
    return run


def _format(flags: Sequence[_schema.Flag], options: dict[str, Any], output: str | None) -> None:
    """Where no format was given, the one that the output's name ends in."""
    from mediamill.core import formats

    said = next((flag for flag in flags if flag.path == ("format",)), None)
    if said is None or "format" in options:
        return
    word = Path(output or "").suffix[1:].lower()
    if (made := _MANIFESTS.get(word)) in said.schema.get("enum", []):
        options["format"] = made
        return
    if word and (said.required or word in said.schema.get("enum", [word]) or formats.find(word)):
        options["format"] = word
    elif said.required:
        raise click.UsageError("Give --format, or -o with a name that ends in the format.")


def _check_folder(output: str | None) -> None:
    """Refuse, before any work, a place that cannot hold a package: it is a folder, or a manifest in one."""
    from mediamill.core import formats

    if output is None:
        return
    path, word = Path(output), Path(output).suffix[1:].lower()
    another = not output.endswith("/") and not path.is_dir() and formats.find(word) is not None
    if output == "-" or another or (path.is_file() and word not in _MANIFESTS):
        known = ", ".join(f".{word}" for word in _MANIFESTS)
        raise click.UsageError(f"{_work.WHOLE} Give -o a folder, or a name that ends in one of {known}.")


def _check(kind: Offer, options: Mapping[str, Any], inputs: Sequence[str]) -> None:
    if kind.options is not None:
        import msgspec

        from mediamill.core import schema_words

        try:
            msgspec.convert(options, kind.options)
        except msgspec.ValidationError as error:
            field, reason = schema_words.read(str(error))
            option = f"--{field.replace('.', '-').replace('_', '-')} " if field else "An option "
            raise click.UsageError(f"{option}{reason}.") from error
    least, most = kind.inputs
    if not least <= len(inputs) <= most:
        count = str(least) if least == most else f"{least} to {most}"
        raise click.UsageError(f"{kind.name} takes {count} input{'' if count == '1' else 's'}; got {len(inputs)}.")
