"""See it work: a server of its own, sample files, real conversions over HTTP."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mediamill.cli import _samples, _show, _work
from mediamill.cli._exit import Exit, Stop

if TYPE_CHECKING:
    from mediamill.client import Client, Task

START_S = 60.0
STOP_S = 45.0


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """One conversion of the demo: which sample, what to name the result, with which options."""

    source: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)


WISHES = (
    Wish("hills.png", "hills.webp", {"quality": 80}),
    Wish("hills.png", "hills-small.avif", {"resize": {"width": 640}}),
    Wish("mill.svg", "mill.png"),
    Wish("chords.wav", "chords.mp3", {"bitrate": 128}),
    Wish("chords.wav", "chords.opus"),
    Wish("film.mp4", "film.webm"),
    Wish("film.mp4", "film.gif", {"start": 1, "duration": 2, "fps": 10, "resize": {"width": 320}}),
    Wish("letter.md", "letter.pdf"),
    Wish("letter.md", "letter.docx"),
    Wish("harvest.csv", "harvest.xlsx"),
)


@click.command("demo")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    help="Folder for samples and results (./demo-output).",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def demo(output: Path, as_json: bool) -> None:
    """Start a server on a free port, convert a picture, a sound, a film and a document through it, stop it again."""
    # Told to end, the server it started must be ended too: as by Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    started = time.monotonic()
    samples = output / "samples"
    samples.mkdir(parents=True, exist_ok=True)
    _say("Making sample files", as_json)
    chords = _samples.sound(samples)
    made = [_samples.picture(samples), _samples.drawing(samples), chords, _samples.film(samples, chords)]
    made += [_samples.letter(samples), _samples.sheet(samples)]
    sources = {path.name: path for path in made}
    _say("Starting a server with a database of its own", as_json)
    with server() as mill:
        _say(f"Converting through {mill.url}", as_json)
        tasks = _convert(mill, sources, output)
    rows = [_row(wish, task, sources, output) for wish, task in tasks.items()]
    failed = [task for task in tasks.values() if task["state"] != "succeeded"]
    if as_json:
        _show.document({"tasks": list(tasks.values()), "output": str(output)})
    else:
        click.echo()
        _show.table(("FROM", "", "TO", "", "TOOK", "BY"), rows, right=frozenset({"", "TOOK"}))
        click.echo()
        click.echo(f"{len(tasks) - len(failed)} of {len(tasks)} converted in {time.monotonic() - started:.0f} s.")
        click.echo(f"The files are in {output}{os.sep}; the server is stopped.")
    if failed:
        errors = [f"{task['id']}: {(task['error'] or {}).get('message', task['state'])}" for task in failed]
        raise Stop(Exit.FAILED, "\n".join(errors))


def _convert(mill: Client, sources: Mapping[str, Path], output: Path) -> dict[Wish, Task]:
    """Everything at once, as a caller with many files would; the server decides what runs when."""
    stored = {name: mill.upload(path)["id"] for name, path in sources.items()}
    waiting = {}
    for wish in WISHES:
        options = {"format": Path(wish.target).suffix[1:], **wish.options}
        waiting[wish] = mill.create("convert", [stored[wish.source]], options)["id"]
    tasks = {}
    for wish, id in waiting.items():
        tasks[wish] = task = mill.wait(id, timeout_s=300)
        if files := _work.results(task):
            mill.download(files[0], output / wish.target)
    return tasks


def _row(wish: Wish, task: Task, sources: Mapping[str, Path], output: Path) -> tuple[str, ...]:
    size = _show.size(sources[wish.source].stat().st_size)
    if task["state"] != "succeeded":
        return wish.source, size, wish.target, _show.state(task["state"]), "-", "-"
    result = _show.size((output / wish.target).stat().st_size)
    took = _show.took(task["started_at"], task["finished_at"])
    return wish.source, size, wish.target, result, took, str(task["details"].get("engine", ""))


@contextmanager
def server() -> Iterator[Client]:
    """A server of its own on a free port, with its data in a folder that goes away with it."""
    from mediamill.client import Client

    # A short name: PostgreSQL's socket lies below it, and such paths end at 107 letters.
    folder = Path(tempfile.mkdtemp(prefix="mill-"))
    try:
        with (folder / "server.log").open("w+b") as log:
            port = free_port()
            argv = [sys.executable, "-m", "mediamill.cli", "serve", "--host", "127.0.0.1", "--port", str(port)]
            argv += ["--data", str(folder / "data")]
            # Settings of the caller's own server must not turn the demo towards it.
            kept = {name: value for name, value in os.environ.items() if not name.startswith("MEDIAMILL_")}
            kept |= {name: os.environ[name] for name in ("MEDIAMILL_FFMPEG", "MEDIAMILL_SOFFICE") if name in os.environ}
            process = subprocess.Popen(  # noqa: S603 - our own arguments
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=kept, start_new_session=True
            )
            try:
                url = f"http://127.0.0.1:{port}"
                _until_ready(url, process, folder / "server.log")
                with Client(url, (folder / "data" / "admin.key").read_text().strip()) as mill:
                    yield mill
            finally:
                _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """A port that nothing listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    from mediamill.client import Client, Unreachable

    deadline = time.monotonic() + START_S
    with Client(url) as mill:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if mill.ready():
                    return
            except Unreachable:
                pass
            time.sleep(0.1)
    what = f"ended with status {process.poll()}" if process.poll() is not None else f"was not ready in {START_S:.0f} s"
    tail = log.read_text(errors="replace")[-3000:]
    raise Stop(
        Exit.FAILED, f"The server {what}. Its log ends:\n{tail}", remedy="`mediamill doctor` looks for the cause."
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    """As an operator would; a server that does not listen to that is a fault, and is said to be one."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        click.echo(f"The server had not stopped after {STOP_S:.0f} s and was killed.", err=True)


def _say(text: str, quiet: bool) -> None:
    if not quiet:
        click.echo(f"{text} …", err=True)


COMMAND = demo
