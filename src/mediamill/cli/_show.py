"""How things look in a terminal: JSON, tables, sizes, times, progress."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from mediamill.client import Task

_COLOURS = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}


def document(value: Any) -> None:
    """The one JSON document of --json."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def size(count: int | None) -> str:
    """Bytes for people: 1.4 MB."""
    if count is None:
        return "-"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def took(start: str | None, end: str | None) -> str:
    """The seconds between two wire timestamps."""
    if not start or not end:
        return "-"
    return f"{(datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds():.2f} s"


def moment(instant: str | None) -> str:
    """A wire timestamp in local time."""
    return "-" if not instant else datetime.fromisoformat(instant).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def state(word: str) -> str:
    """A state in its colour, where the terminal has colours."""
    return click.style(word, fg=_COLOURS.get(word))


def safe(text: str) -> str:
    """Names come from strangers: no control signs of theirs reach the terminal."""
    return "".join(sign if sign.isprintable() else "�" for sign in text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, right: frozenset[str] = frozenset()) -> None:
    """Columns as wide as they must be; those named in `right` set to the right."""
    lines = [tuple(head), *(tuple(row) for row in rows)]
    widths = [max(len(click.unstyle(line[i])) for line in lines) for i in range(len(head))]
    for number, line in enumerate(lines):
        cells = []
        for name, cell, width in zip(head, line, widths, strict=True):
            space = " " * (width - len(click.unstyle(cell)))
            cells.append(space + cell if name in right else cell + space)
        click.echo(click.style("  ".join(cells).rstrip(), bold=number == 0))


def task(found: Task) -> None:
    """One task, in a few lines."""
    click.echo(f"{found['id']}  {found['kind']}  {state(found['state'])}")
    if found["state"] == "running":
        click.echo(f"  {found.get('stage') or 'working'}  {found['progress']:.0%}")
    if found.get("started_at"):
        click.echo(f"  took {took(found['started_at'], found['finished_at'])}, attempt {found['attempt']}")
    for given in found["inputs"]:
        held = given.get("file")
        click.echo(f"  from {safe(held['filename'] if held else given.get('url') or '-')}")
    for made in found["outputs"]:
        if (file := made["file"]) is not None:
            click.echo(f"  made {safe(file['filename'])}  {size(file['size_bytes'])}  {file['id']}")
    if (error := found["error"]) is not None:
        click.echo(f"  {error['code']} at {error.get('stage') or 'start'}: {safe(error['message'])}")


class Meter:
    """One line on stderr that says how far things are; silent when stderr is no terminal."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._on = sys.stderr.isatty() and not quiet
        self._drawn_at = 0.0
        self._width = 0

    def __enter__(self) -> Meter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def draw(self, label: str, fraction: float | None, detail: str = "") -> None:
        now = time.monotonic()
        # Twenty times a second is as often as anyone can see.
        if not self._on or (now - self._drawn_at < 0.05 and fraction not in (None, 1.0)):
            return
        self._drawn_at = now
        done = round(24 * min(max(fraction or 0.0, 0.0), 1.0))
        bar = "█" * done + "░" * (24 - done)
        line = f"{label:<9} {bar} {fraction or 0.0:>4.0%}  {detail}"[:100]
        self._write(line)

    def bytes(self, label: str) -> Any:
        """A progress callback for a transfer."""
        return lambda done, all: self.draw(label, done / all if all else 1.0, f"{size(done)} of {size(all)}")

    def task(self, found: Task) -> None:
        self.draw(found.get("stage") or found["state"], found["progress"], found["kind"])

    def clear(self) -> None:
        if self._width:
            self._write("")
            sys.stderr.write("\r")
            self._width = 0

    def _write(self, line: str) -> None:
        sys.stderr.write("\r" + line + " " * max(0, self._width - len(line)))
        sys.stderr.flush()
        self._width = len(line)
