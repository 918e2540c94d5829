"""From files and addresses to a task, and from its end to files: what run, submit, wait and retry share."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mediamill.cli import _show
from mediamill.cli._exit import Exit, Stop

if TYPE_CHECKING:
    from mediamill.client import Client, File, Task

PART = "part"
"""The role of a file that a manifest names."""
WHOLE = "This makes a manifest and the files that it names, which are of use together only."
_ENDS = {"failed": Exit.FAILED, "cancelled": Exit.CANCELLED}


def inputs(mill: Client, given: Sequence[str], *, name: str | None, meter: _show.Meter) -> list[dict[str, Any]]:
    """Addresses as they are, `file:ID` for what the server has already, and everything else uploaded ("-": stdin)."""
    for one in given:
        if not one.startswith(("http://", "https://", "file:")) and one != "-" and not Path(one).is_file():
            what = "is a folder; name the files in it." if Path(one).is_dir() else "no such file."
            raise Stop(Exit.USAGE, f"{one}: {what}", code="no_such_file")
    return [_input(mill, one, name, meter) for one in given]


def _input(mill: Client, given: str, name: str | None, meter: _show.Meter) -> dict[str, Any]:
    if given.startswith(("http://", "https://")):
        return {"url": given} | ({"filename": name} if name else {})
    if given.startswith("file:"):
        return {"file": given.removeprefix("file:")}
    with _on_disk(given) as path:
        filename = name or ("stdin" if given == "-" else path.name)
        return {"file": mill.upload(path, filename=filename, on_progress=meter.bytes("upload"))["id"]}


@contextmanager
def _on_disk(given: str) -> Iterator[Path]:
    """The path; standard input is kept on disk first, since its length is not known before its end."""
    if given != "-":
        yield Path(given)
        return
    with tempfile.NamedTemporaryFile(prefix="mediamill-") as kept:
        while chunk := sys.stdin.buffer.read(1 << 20):
            kept.write(chunk)
        kept.flush()
        yield Path(kept.name)


def follow(mill: Client, id: str, *, timeout_s: float | None, meter: _show.Meter) -> Task:
    """The task once it has ended; Ctrl-C says that it goes on."""
    try:
        ended = mill.wait(id, timeout_s=timeout_s, on_change=meter.task)
    except KeyboardInterrupt:
        meter.clear()
        click.echo(f"{id} goes on; `mediamill cancel {id}` ends it.", err=True)
        raise
    meter.clear()
    return ended


def end(task: Task, *, as_json: bool) -> None:
    """Report a task that did not succeed, and stop with its status."""
    status = _ENDS.get(task["state"])
    if status is None:
        return
    if as_json:
        _show.document(task)
    error = task["error"]
    reason = f"{error['message']} ({error['code']})" if error else task["state"]
    click.echo(f"Error: {task['kind']} {task['id']}: {_show.safe(reason)}", err=True)
    raise Stop(status)


def own_name(file: File) -> str:
    """What a file is saved as. A server's word for a name is not a path: only its last part counts, and nothing hidden
    is written."""
    return Path(file["filename"]).name.lstrip(".") or file["id"]


def results(task: Task) -> list[File]:
    """The files that a task made, the asked-for one first."""
    made = sorted(task["outputs"], key=lambda output: output["role"] != "result")
    return [output["file"] for output in made if output["file"] is not None]


def is_package(task: Task) -> bool:
    """Whether its result is a manifest, worth nothing without the files that it names."""
    return any(output["role"] == PART for output in task["outputs"])


def check_place(target: str | None) -> None:
    """Refuse a file in a folder that is not there, before any work for it; a folder by itself is made."""
    if target is None or target == "-" or target.endswith("/"):
        return
    if not (folder := Path(target).parent).is_dir():
        raise Stop(Exit.USAGE, f"{folder}: no such folder.", code="no_such_folder")


def save(
    mill: Client,
    files: Sequence[File],
    target: str | None,
    *,
    force: bool,
    meter: _show.Meter,
    package: bool = False,
) -> list[Path]:
    """Download results: into a folder under their own names, or the first as the file named; "-" is stdout.

    package: the files are saved together, whatever is named: a folder, or the manifest with the others beside it.
    """
    if not files:
        raise Stop(Exit.FAILED, "The task made no file.", code="no_output")
    if package and target == "-":
        raise Stop(Exit.USAGE, WHOLE, code="package", remedy="Name a folder with -o.")
    if target == "-":
        for chunk in mill.read(files[0]):
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return []
    folder = Path(target or ".")
    manifest = package and not folder.is_dir() and folder.suffix == Path(files[0]["filename"]).suffix
    if package or target is None or target.endswith("/") or folder.is_dir():
        wanted = [(file, (folder.parent if manifest else folder) / own_name(file)) for file in files]
        if manifest:
            wanted[0] = files[0], folder
        paths = [path for _, path in wanted]
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        if len(set(paths)) < len(paths):
            raise Stop(Exit.USAGE, f"{folder} is the name of another of its files.", code="exists")
        for path in paths[1:] if manifest else paths:
            if path.exists() and not force:
                raise Stop(
                    Exit.USAGE, f"{path} is there already.", code="exists", remedy="Name it with -o, or --force."
                )
    else:
        wanted = [(files[0], folder)]
        if len(files) > 1:
            click.echo(f"{len(files) - 1} more files were made; -o FOLDER/ saves them all.", err=True)
    for file, path in wanted:
        mill.download(file, path, on_progress=meter.bytes("download"))
    meter.clear()
    return [path for _, path in wanted]
