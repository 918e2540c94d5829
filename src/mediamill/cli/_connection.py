"""Which server the commands speak to, and with which key."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mediamill.client import Client

DEFAULT_URL = "http://127.0.0.1:8484"


@dataclass(frozen=True, slots=True, kw_only=True)
class At:
    """What the shared options said."""

    url: str
    key: str | None
    json: bool

    def connect(self) -> Client:
        """A client; nothing is sent yet."""
        from mediamill.client import Client

        return Client(self.url, self.key)


def admin_key() -> str | None:
    """The key that a server on this machine made for its operator, when we may read it."""
    # The settings library costs 0.2 s, too much for `ls`: this repeats `config.default_data`, and a test compares.
    if not (folder := os.environ.get("MEDIAMILL_DATA")):
        base = os.environ.get("XDG_DATA_HOME")
        folder = os.path.join(base or os.path.expanduser("~/.local/share"), "mediamill")
    try:
        return (Path(folder) / "admin.key").read_text().strip() or None
    except OSError:
        return None


def named(arguments: Sequence[str]) -> At:
    """What --server and --key say on a command line that is not understood yet, else the environment and defaults."""
    found = {"--server": os.environ.get("MEDIAMILL_URL") or DEFAULT_URL, "--key": os.environ.get("MEDIAMILL_KEY", "")}
    for place, word in enumerate(arguments):
        name, given, value = word.partition("=")
        if name in found:
            found[name] = value if given else next(iter(arguments[place + 1 :]), "")
    return At(url=found["--server"].rstrip("/"), key=found["--key"] or admin_key(), json=False)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds --server, --key and --json to a command, which gets them as `at`."""

    @click.option("--server", envvar="MEDIAMILL_URL", default=DEFAULT_URL, metavar="URL", help="Server to speak to.")
    @click.option("--key", envvar="MEDIAMILL_KEY", metavar="KEY", help="Access key; a local server's own by default.")
    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
    @functools.wraps(command)
    def with_at(server: str, key: str | None, as_json: bool, **given: Any) -> Any:
        return command(at=At(url=server.rstrip("/"), key=key or admin_key(), json=as_json), **given)

    return with_at
