"""Writes docs/reference/ from the code: `./mill docs`. A test fails when a page is not what this would write."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import click
import msgspec
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from mediamill import config, dialects, engines, kinds
from mediamill.cli import Commands, _schema, mediamill
from mediamill.core import errors, formats
from mediamill.core.ports import Pair

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
        "api.md": api(),
    }
    return {name: MADE + "\n".join(lines).rstrip() + "\n" for name, lines in made.items()}


def settings() -> Iterator[str]:
    yield "# Settings\n"
    yield "Environment variables of `mediamill serve`, `worker`, `migrate`, `doctor`. Sizes in bytes, times in seconds."
    yield "Each may be given as a file too: `MEDIAMILL_ADMIN_KEY_FILE=/run/secrets/key` holds `MEDIAMILL_ADMIN_KEY`.\n"
    yield "| setting | value | default | what it does |\n|---|---|---|---|"
    for name, field in config.Settings.model_fields.items():
        if name == "data":
            default = "`~/.local/share/mediamill`"
        elif field.default in (None, ()):
            default = "unset"
        else:
            default = f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
        value = _setting_value(name, field)
        yield f"| `{config.PREFIX}{name.upper()}` | {value} | {default} | {_cell(field.description or '')} |"


UNITS = {"_s": "seconds", "_bytes": "bytes", "_url": "URL"}
TYPES = {bool: "`true` or `false`", int: "number", float: "number", str: "text", Path: "path", SecretStr: "secret"}


def _setting_value(name: str, field: FieldInfo) -> str:
    """What a setting holds: its unit where the name says one, else its type; then its bounds or its words."""
    bounds = {key: getattr(rule, key) for rule in field.metadata for key in ("ge", "gt", "le") if hasattr(rule, key)}
    patterns = [rule.pattern for rule in field.metadata if getattr(rule, "pattern", None)]
    if patterns:
        return ", ".join(f"`{word}`" for word in patterns[0].strip("^$()").split("|"))
    types = get_args(field.annotation) or (field.annotation,)
    word = next((TYPES[known] for known in types if known in TYPES), "list")
    unit = next((UNITS[end] for end in UNITS if name.endswith(end)), word) if word != "secret" else word
    if "ge" in bounds and "le" in bounds:
        return f"{unit}, {bounds['ge']} to {bounds['le']}"
    if bounds.get("gt") == 0:
        return f"{unit}, more than 0"
    return f"{unit}, {bounds['ge']} or more" if "ge" in bounds else unit


def commands() -> Iterator[str]:
    yield "# Commands\n"
    yield "What `--help` says. Exit statuses are in [the guide](../how-to/convert-from-the-command-line.md).\n"
    yield from _command(mediamill, None, "mediamill")


def _command(command: click.Command, parent: click.Context | None, name: str) -> Iterator[str]:
    made = {**command.context_settings, "terminal_width": 100}
    with click.Context(command, parent=parent, info_name=name.split()[-1], **made) as ctx:
        yield f"## {name}\n\n```text"
        yield command.get_help(ctx)
        yield "```\n"
        # The kinds have a page of their own.
        if isinstance(command, click.Group):
            for inner in command.own() if isinstance(command, Commands) else command.list_commands(ctx):
                if name != "mediamill run" and (found := command.get_command(ctx, inner)) is not None:
                    yield from _command(found, ctx, f"{name} {inner}")


def kinds_() -> Iterator[str]:
    yield "# Kinds\n"
    yield "What a task can ask for. What is off on a server, and why, is at its `/mill/capabilities`.\n"
    for name, kind in sorted(kinds.load().items()):
        least, most = kind.inputs
        yield f"## {name}\n\n{kind.summary}\n"
        yield f"Queue `{kind.queue}`; inputs: {least if least == most else f'{least} to {most}'}.\n"
        flags = _schema.flags(msgspec.json.schema(kind.options))
        if flags:
            yield "| option | flag | value | what it does |\n|---|---|---|---|"
        for flag in flags:
            needed = " (required)" if flag.required else ""
            yield f"| `{'.'.join(flag.path)}`{needed} | `{flag.name}` | {_value(flag.schema)} | {_about(flag.schema)} |"
        yield ""


def _about(schema: Mapping[str, Any]) -> str:
    """The description of a field, or of the first of its choices that has one."""
    told = [schema.get("description"), *(choice.get("description") for choice in schema.get("anyOf", ()))]
    return _cell(next((text for text in told if text), ""))


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


ASKS_FOR_MORE = {"office": "LibreOffice"}
"""Engines that work with a program of the machine, by its name; all others come with the install."""


def conversions() -> Iterator[str]:
    yield "# Conversions\n"
    yield "What `convert` does on an install from its packages alone, and by which engine. Names are those that"
    yield "`format` takes, beside MIME types. What a server does at this moment is at its `/mill/capabilities`.\n"
    ranked: dict[Pair, list[tuple[int, str]]] = {}
    for converter in engines.scan()[0]:
        for pair, rank in converter.pairs().items():
            ranked.setdefault(pair, []).append((rank, converter.name))
    best = {pair: name for pair, found in ranked.items() for _, name in [min(found)]}
    at_home = {
        pair: min(own)[1]
        for pair, found in ranked.items()
        if (own := [known for known in found if known[1] not in ASKS_FOR_MORE])
    }
    for family in dict.fromkeys(known.family for known in formats.FORMATS):
        yield f"## {family.capitalize()}\n\n| from | type | to |\n|---|---|---|"
        for known in formats.FORMATS:
            if known.family == family:
                yield f"| {', '.join(known.names)} | {known.mime} | {_targets(known.mime, at_home)} |"
        yield ""
    for engine, program in ASKS_FOR_MORE.items():
        yield f"## With {program} on the machine\n"
        yield f"`mediamill doctor` says whether it is found. `{engine}` then does what nothing above does as well.\n"
        more = {pair: name for pair, name in best.items() if name == engine}
        yield "| from | type | to |\n|---|---|---|"
        for known in formats.FORMATS:
            if any(source == known.mime for source, _ in more):
                yield f"| {', '.join(known.names)} | {known.mime} | {_targets(known.mime, more)} |"


def _targets(source: str, done_by: Mapping[Pair, str]) -> str:
    """The targets of a format, after the engine that does them."""
    found: dict[str, list[str]] = {}
    for (known, target), engine in sorted(done_by.items(), key=lambda item: _name(item[0][1])):
        if known == source:
            found.setdefault(engine, []).append(_name(target))
    return "; ".join(f"*{engine}* {', '.join(names)}" for engine, names in sorted(found.items())) or "-"


def _name(mime: str) -> str:
    return next((known.names[0] for known in formats.FORMATS if known.mime == mime), mime)


def errors_() -> Iterator[str]:
    tables = error_tables()
    heads, rule = " | ".join(tables), "|".join("---" for _ in tables)
    yield "# Errors\n"
    yield "Everything that can go wrong, named once; each dialect answers with a status and a code of its own. An error"
    yield "without a row has that of the nearest class above it.\n"
    yield f"## Refused requests\n\n| error | when | {heads} |\n|---|---|{rule}|"
    own = {error for table in tables.values() for error in table}
    for found in _family(errors.Rejected, own):
        rows = " | ".join(_row(found, table) for table in tables.values())
        yield f"| `{found.__name__}` | {_first(found)} | {rows} |"
    yield "\n## Failed tasks\n\nThe `code` and `class` of a task's `error`, and of the attempt that ended so.\n"
    yield "| code | class | tried again | when |\n|---|---|---|---|"
    for found in _family(errors.Failed, own):
        yield f"| `{found.code}` | {found.family} | {'yes' if found.retryable else 'no'} | {_first(found)} |"
    yield "\n## At the start\n\n| error | when |\n|---|---|"
    yield f"| `{errors.Misconfigured.__name__}` | {_first(errors.Misconfigured)} |"
    yield f"\n## At any time\n\n| error | when | {heads} |\n|---|---|{rule}|"
    for found in _family(errors.DatabaseAway, own):
        rows = " | ".join(_row(found, table) for table in tables.values())
        yield f"| `{found.__name__}` | {_first(found)} | {rows} |"


def error_tables() -> Mapping[str, dialects.Errors]:
    """The error table of each dialect, by its name."""
    names = sorted(module.name for module in pkgutil.iter_modules(dialects.__path__) if module.ispkg)
    return {name: importlib.import_module(f"{dialects.__name__}.{name}.errors").ERRORS for name in names}


def _row(error: type[errors.MediamillError], table: dialects.Errors) -> str:
    row = next((table[ancestor] for ancestor in error.__mro__ if ancestor in table), None)
    return f"{row[0]} `{row[1]}`" if row else "-"


def api() -> Iterator[str]:
    yield "# HTTP\n"
    yield "Every dialect describes itself: a running server answers with an OpenAPI 3.1 document made from the code"
    yield "that serves it, so that the two cannot differ. Feed it to a viewer or to a client generator.\n"
    yield "| dialect | under | its document | errors as |\n|---|---|---|---|"
    for dialect in sorted(dialects.load(), key=lambda known: known.name):
        kind = dialect.write_error(errors.NotFound("task", "x")).media_type
        yield f"| {dialect.name} | `{dialect.prefix}` | `GET {dialect.prefix}{dialect.document}` | `{kind}` |"
    yield "\nBesides, outside every dialect:\n"
    yield "| path | what it is |\n|---|---|"
    yield "| `PUT /upload/{id}`, `GET /download/{id}` | signed transfers: no key, good for one file until an instant |"
    yield "| `GET /metrics` | Prometheus |"
    yield "| `/ui` | the dashboard |"


def _family(base: Any, besides: Container[Any]) -> list[Any]:
    """A class and all below it that the core names, or that a table has a row for."""
    found = [base, *(inner for child in base.__subclasses__() for inner in _family(child, besides))]
    return [one for one in found if one.__module__ == errors.__name__ or one in besides]


def _first(found: type) -> str:
    return _cell(inspect.cleandoc(found.__doc__ or "").split("\n\n")[0].replace("\n", " "))


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for page, text in pages().items():
        (HERE / page).write_text(text, encoding="utf-8")
