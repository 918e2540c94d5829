"""Writes docs/reference/ from the code: `./mill docs`. A test fails when a page is not what this would write."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import msgspec

from mediamill import config, engines, kinds
from mediamill.cli import _schema, mediamill
from mediamill.core import errors, formats

HERE = Path(__file__).parent / "reference"
MADE = "<!-- Made from the code by ./mill docs; do not edit. -->\n"


def pages() -> Mapping[str, str]:
    """Every page of the reference by its file name."""
    made = {
        "settings.md": settings(),
        "commands.md": commands(),
        "kinds.md": kinds_(),
        "conversions.md": conversions(),
        "errors.md": errors_(),
    }
    return {name: MADE + "\n".join(lines).rstrip() + "\n" for name, lines in made.items()}


def settings() -> Iterator[str]:
    yield "# Settings\n"
    yield "Environment variables of `mediamill serve`, `worker`, `migrate`, `doctor`. Sizes in bytes, times in seconds."
    yield "Each may be given as a file too: `MEDIAMILL_ADMIN_KEY_FILE=/run/secrets/key` holds `MEDIAMILL_ADMIN_KEY`.\n"
    yield "| setting | default | what it does |\n|---|---|---|"
    for name, field in config.Settings.model_fields.items():
        if name == "data":
            default = "`~/.local/share/mediamill`"
        elif field.default in (None, ()):
            default = "unset"
        else:
            default = f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
        yield f"| `{config.PREFIX}{name.upper()}` | {default} | {_cell(field.description or '')} |"


def commands() -> Iterator[str]:
    yield "# Commands\n"
    yield "What `--help` says. Exit statuses are in [the guide](../how-to/convert-from-the-command-line.md).\n"
    yield from _command(mediamill, None, "mediamill")


def _command(command: click.Command, parent: click.Context | None, name: str) -> Iterator[str]:
    with click.Context(command, parent=parent, info_name=name.split()[-1], terminal_width=100) as ctx:
        yield f"## {name}\n\n```text"
        yield command.get_help(ctx)
        yield "```\n"
        # The commands of `run` are the kinds, which have a page of their own.
        if isinstance(command, click.Group) and name != "mediamill run":
            for inner in command.list_commands(ctx):
                if (found := command.get_command(ctx, inner)) is not None:
                    yield from _command(found, ctx, f"{name} {inner}")


def kinds_() -> Iterator[str]:
    yield "# Kinds\n"
    yield "What a task can ask for. What is off on a server, and why, is at its `/mill/capabilities`.\n"
    for name, kind in sorted(kinds.load().items()):
        least, most = kind.inputs
        yield f"## {name}\n\n{kind.summary}\n"
        yield f"Queue `{kind.queue}`; inputs: {least if least == most else f'{least} to {most}'}.\n"
        yield "| option | flag | value | what it does |\n|---|---|---|---|"
        for flag in _schema.flags(msgspec.json.schema(kind.options)):
            needed = " (required)" if flag.required else ""
            about = _cell(str(flag.schema.get("description", "")))
            yield f"| `{'.'.join(flag.path)}`{needed} | `{flag.name}` | {_value(flag.schema)} | {about} |"
        yield ""


def _value(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_value(choice) for choice in schema["anyOf"])
    least = schema.get("minimum", schema.get("exclusiveMinimum"))
    most = schema.get("maximum", schema.get("exclusiveMaximum"))
    bounds = f" {'' if least is None else least} to {'' if most is None else most}".replace(" to ", "…")
    word = str(schema.get("type", "JSON"))
    return word if least is most is None else f"{word}, {bounds.strip()}"


def conversions() -> Iterator[str]:
    yield "# Conversions\n"
    yield "What `convert` can do when every engine is there. Names are those that `format` takes, beside MIME types.\n"
    targets: dict[str, set[str]] = {}
    for converter in engines.scan()[0]:
        for source, target in converter.pairs():
            targets.setdefault(source, set()).add(target)
    for family in dict.fromkeys(known.family for known in formats.FORMATS):
        yield f"## {family.capitalize()}\n\n| from | type | to |\n|---|---|---|"
        for known in formats.FORMATS:
            if known.family == family:
                names = sorted(_name(target) for target in targets.get(known.mime, ()))
                yield f"| {', '.join(known.names)} | {known.mime} | {', '.join(names) or '-'} |"
        yield ""


def _name(mime: str) -> str:
    return next((known.names[0] for known in formats.FORMATS if known.mime == mime), mime)


def errors_() -> Iterator[str]:
    yield "# Errors\n"
    yield "The `code` of a problem document or of a task's `error`. Dialects word them in their own way.\n"
    yield "## Refused requests\n\n| code | when |\n|---|---|"
    yield from (f"| `{found.code}` | {_first(found)} |" for found in _leaves(errors.Rejected))
    yield "\n## Failed tasks\n\n| code | class | tried again | when |\n|---|---|---|---|"
    for found in _leaves(errors.Failed):
        yield f"| `{found.code}` | {found.family} | {'yes' if found.retryable else 'no'} | {_first(found)} |"


def _leaves(base: Any) -> list[Any]:
    found = [base, *(inner for child in base.__subclasses__() for inner in _leaves(child))]
    return [one for one in found if one.__module__ == errors.__name__]


def _first(found: type) -> str:
    return _cell(inspect.cleandoc(found.__doc__ or "").split("\n\n")[0].replace("\n", " "))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for page, text in pages().items():
        (HERE / page).write_text(text, encoding="utf-8")
