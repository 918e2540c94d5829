"""Do one task from files to files."""

from __future__ import annotations

import click

from mediamill.cli import _kinds


@click.command("run", cls=_kinds.Group, subcommand_metavar="KIND [OPTIONS] INPUT… -o OUTPUT")
def run() -> None:
    """Do one task from files to files: upload, wait, save.

    An INPUT is a file, - for stdin, an http(s) address that the server fetches, or file:ID for one it has. `run` may be
    left out: `mediamill convert` is the same command.

    \b
    mediamill run convert photo.png -o photo.webp --quality 80 --resize-width 640
    mediamill run convert --help        the options of a kind
    """


COMMAND = run
