"""Exit statuses, and the one place that turns what went wrong into a message and a status.

The statuses are part of the contract of the command line: they never change meaning.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from enum import IntEnum

import click

COMPLETE_VARIABLE = "_MEDIAMILL_COMPLETE"
_KEY = "Name one with --key or MEDIAMILL_KEY. A server keeps its operator's as admin.key in its data folder."


class Exit(IntEnum):
    """What a script learns from `$?`."""

    OK = 0
    FAILED = 1
    """The task failed, or a check of `doctor` did."""
    USAGE = 2
    """The command line, a local file or a setting is wrong; nothing was sent."""
    NOT_FOUND = 3
    """The server knows no such task, file or key."""
    REFUSED = 4
    """The server refused: bad key, bad option, wrong state, too much."""
    UNREACHABLE = 5
    """No server answered, or it broke while answering."""
    CANCELLED = 6
    """The task was cancelled."""
    TIMED_OUT = 7
    """The task was still going when --timeout ended; it goes on."""
    INTERRUPTED = 130
    """Ctrl-C."""


class Stop(Exception):
    """End the command with this status; `message` goes to stderr, or into the document with --json."""

    def __init__(self, status: Exit, message: str = "", *, code: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code or status.name.lower()
        self.remedy = remedy


def run(command: click.Command, arguments: Sequence[str]) -> int:
    """Run a command line; the status to exit with. Nothing but a programming fault leaves a stack trace."""
    if COMPLETE_VARIABLE in os.environ:
        command.main(list(arguments), "mediamill", complete_var=COMPLETE_VARIABLE)
    try:
        status = command.main(list(arguments), "mediamill", standalone_mode=False)
    except click.Abort:
        click.echo("Interrupted.", err=True)
        return Exit.INTERRUPTED
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        return Exit.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except Stop as stop:
        return _end(stop, "--json" in arguments)
    except BrokenPipeError:
        # The reader went away (`mediamill ls | head`): that is its right. Python must not complain at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception as error:
        stop_for = _known(error)
        if stop_for is None:
            raise
        return _end(stop_for, "--json" in arguments)
    return int(status) if isinstance(status, int) else Exit.OK


def _end(stop: Stop, as_json: bool) -> int:
    if stop.message:
        click.echo(f"Error: {stop.message}" if stop.status else stop.message, err=True)
    if stop.remedy:
        click.echo(f"Remedy: {stop.remedy}", err=True)
    if as_json and stop.message:
        from mediamill.cli import _show

        _show.document({"error": {"code": stop.code, "message": stop.message, "remedy": stop.remedy or None}})
    return stop.status


def _known(error: Exception) -> Stop | None:
    """The errors that commands let through: the client's and the core's, and those of local files."""
    from mediamill.core.errors import MediamillError, Misconfigured, Unauthorized

    if "mediamill.client" in sys.modules:
        from mediamill import client

        match error:
            case client.NotFound():
                return Stop(Exit.NOT_FOUND, str(error), code=error.code)
            case client.Refused():
                remedy = error.remedy or (_KEY if error.code == Unauthorized.code else "")
                return Stop(Exit.REFUSED, str(error), code=error.code, remedy=remedy)
            case client.Unreachable():
                return Stop(Exit.UNREACHABLE, str(error), remedy=error.remedy)
            case client.WaitedTooLong():
                return Stop(Exit.TIMED_OUT, str(error))
    match error:
        case Misconfigured():
            return Stop(Exit.USAGE, str(error), code=error.code)
        case MediamillError():
            return Stop(Exit.FAILED, str(error), code=error.code)
        case OSError():
            name = f"{error.filename}: " if error.filename else ""
            return Stop(Exit.USAGE, f"{name}{error.strerror or error}")
    return None
