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
from mediamill.cli import _exit


class Commands(click.Group):
    """The files of this folder as commands, each imported when it is wanted."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").COMMAND
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, message="%(prog)s %(version)s")
def mediamill() -> None:
    """Mediamill: one self-hosted server for media and file tasks.

    Start one with `mediamill serve`, then `mediamill run convert photo.png -o photo.webp`.
    """


def main() -> None:
    """The program `mediamill`."""
    sys.exit(_exit.run(mediamill, sys.argv[1:]))
