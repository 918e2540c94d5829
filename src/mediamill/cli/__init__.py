"""The command line. One command per file: `cli/<name>.py` carries a click command as `COMMAND`; the file is its name.

`serve`, `worker`, `migrate` and `doctor` work on this machine; every other command speaks HTTP to a server through
`mediamill.client`. Results go to stdout, everything else to stderr; `--json` makes stdout one JSON document. Exit
statuses are in `_exit.py`. Modules here import click and nothing heavier at the top: help and completion must be quick.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import click

from mediamill import __version__
from mediamill.cli import _exit, _kinds


class Commands(_kinds.Group):
    """The files of this folder as commands, each imported when it is wanted, and after them the kinds."""

    def own(self) -> list[str]:
        """The commands that are files here."""
        return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.own(), *(name for name in super().list_commands(ctx) if name not in self.own())]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.own():
            return super().get_command(ctx, cmd_name)
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").COMMAND
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        shown = [(name, command) for name in self.own() if (command := self.get_command(ctx, name)) is not None]
        width = formatter.width - 6 - max(len(name) for name, _ in shown)
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.get_short_help_str(width)) for name, command in shown])
        _kinds.write_section(formatter, "Kinds (INPUT… -o OUTPUT)")


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="%(prog)s %(version)s")
def mediamill() -> None:
    """Mediamill: one self-hosted server for media and file tasks.

    Start one with `mediamill serve`, then `mediamill video in.mov -o out.mp4 --width 1280`.
    """


def main() -> None:
    """The program `mediamill`."""
    sys.exit(_exit.run(mediamill, sys.argv[1:]))
