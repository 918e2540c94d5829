"""Kinds that misbehave on purpose, and engines that do nothing, for the tests of the worker's children."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, cast

from mediamill.core.errors import BadMedia, Unsupported
from mediamill.core.media import Facts
from mediamill.core.ports import Converter, Missing, Pair, Tools
from mediamill.kinds import Base, Context, Kind, Options, Output, Result

Body = Callable[[Context, "Any"], Result]


class Given(Options, frozen=True, kw_only=True):
    """Whatever a test wants to say."""

    path: str = ""
    count: int = 0
    port: int = 0


class Engines:
    """Implements core.ports.Engines with nothing but the tools and a prober of sizes."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def converter(self, pair: Pair) -> Converter | Missing | None:
        return None

    def converters(self, pair: Pair) -> list[Converter]:
        return []

    def conversions(self) -> dict[Pair, str]:
        return {}

    def absent(self) -> dict[str, Missing]:
        return {}

    def probe(self, path: Path, mime: str) -> Facts:
        if b"unreadable" in path.read_bytes()[:64]:
            raise BadMedia("It cannot be read.")
        return Facts(entries=path.stat().st_size)

    def tools(self) -> Tools:
        return self._tools


def open_engines(tools: Tools) -> Engines:
    """The entry that children are given."""
    return Engines(tools)


def trivial(ctx: Context, given: Given) -> Result:
    return Result(outputs=[], details={"pid": os.getpid()})


def copy(ctx: Context, given: Given) -> Result:
    [source] = ctx.inputs
    target = ctx.scratch / "deep" / "copy.txt"
    target.parent.mkdir()
    target.write_bytes(source.path.read_bytes().upper())
    return Result(outputs=[Output(path=target, mime="text/plain", filename=source.filename)], details={"ok": True})


def hand_on(ctx: Context, given: Given) -> Result:
    """The second input, as it is."""
    source = ctx.inputs[1]
    return Result(outputs=[Output(path=source.path, mime=source.mime, filename=source.filename)])


def hand_on_another(ctx: Context, given: Given) -> Result:
    """A file that lies with the inputs and is none."""
    return Result(outputs=[Output(path=ctx.inputs[0].path.with_name("other"), mime="text/plain", filename="a")])


def show(ctx: Context, given: Given) -> Result:
    for name in ("one", "two"):
        path = ctx.scratch / name
        path.write_text(name)
        ctx.publish([Output(path=path, mime="text/plain", filename=f"{name}.txt", role="early")])
    return Result(outputs=[])


def ask(ctx: Context, given: Given) -> Result:
    sent = ctx.scratch / "sent"
    sent.write_bytes(b"words")
    said = ctx.remote("echo", "/path", form={"a": "b"}, file=("file", sent, "text/plain"))
    again = ctx.remote("echo", "/path", json={"n": 1})
    return Result(outputs=[], details={"said": said, "again": again})


def ask_with_anothers_file(ctx: Context, given: Given) -> Result:
    ctx.remote("echo", "/path", file=("file", Path("/etc/passwd"), "text/plain"))
    return Result(outputs=[])


def progress(ctx: Context, given: Given) -> Result:
    for stage in ("fetch", "work", "encode"):
        for step in range(given.count):
            ctx.report(stage, step / given.count)
    return Result(outputs=[])


def sleep(ctx: Context, given: Given) -> Result:
    ctx.report("work")
    time.sleep(600)
    return Result(outputs=[])


def spin(ctx: Context, given: Given) -> Result:
    while True:
        pass


def hog(ctx: Context, given: Given) -> Result:
    held = [b"x" * (16 << 20) for _ in range(given.count)]
    return Result(outputs=[], details={"held": len(held)})


def shared_hog(ctx: Context, given: Given) -> Result:
    """Memory that RLIMIT_DATA does not count: shared, in many processes."""
    import mmap

    held = mmap.mmap(-1, given.count << 20)
    for at in range(0, len(held), 4096):
        held[at] = 1
    time.sleep(600)
    return Result(outputs=[])


def tool_hog(ctx: Context, given: Given) -> Result:
    code = f"import time; held = b'x' * ({given.count} << 20); time.sleep(600)"
    ctx.engines.tools().run([sys.executable, "-S", "-c", code], name="hog")
    return Result(outputs=[])


def big_file(ctx: Context, given: Given) -> Result:
    with (ctx.scratch / "big").open("wb") as file:
        for _ in range(given.count):
            file.write(bytes(1 << 20))
    return Result(outputs=[])


def many_files(ctx: Context, given: Given) -> Result:
    for number in range(given.count):
        (ctx.scratch / f"part-{number}").write_bytes(b"x" * (1 << 20))
    time.sleep(600)
    return Result(outputs=[])


def many_processes(ctx: Context, given: Given) -> Result:
    for _ in range(given.count):
        subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    time.sleep(600)
    return Result(outputs=[])


def crash(ctx: Context, given: Given) -> Result:
    os.write(2, b"about to fall over\n")
    os.kill(os.getpid(), given.count or signal.SIGABRT)
    return Result(outputs=[])


def segfault(ctx: Context, given: Given) -> Result:
    ctypes.string_at(0)
    return Result(outputs=[])


def bug(ctx: Context, given: Given) -> Result:
    raise RuntimeError("a detail that no caller may see: /secret")


def refuse(ctx: Context, given: Given) -> Result:
    raise Unsupported("format", "not this one")


def bad(ctx: Context, given: Given) -> Result:
    ctx.report("decode", 0.5)
    raise BadMedia("The bytes make no sense.")


DAEMON = """
import os, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
os.wait()  # until the daemon is out of our group, all of which is killed when we end
time.sleep(600)
"""


def tool_tree(ctx: Context, given: Given) -> Result:
    """A program that forks a daemon out of its group and session, then sleeps. Says when the tree stands."""
    ctx.report("work")
    ctx.engines.tools().run([sys.executable, "-S", "-c", DAEMON, ctx.scratch / "daemon"], name="tree")
    return Result(outputs=[])


def leave_daemon(ctx: Context, given: Given) -> Result:
    """Ends well, but a daemon of its program stays behind."""
    mark = ctx.scratch / "daemon"
    script = DAEMON.rpartition("time.sleep(600)")[0]
    ctx.engines.tools().run([sys.executable, "-S", "-c", script, mark], name="tree")
    while not mark.exists() or not mark.read_text():
        time.sleep(0.01)
    return Result(outputs=[], details={"daemon": int(mark.read_text())})


def read(ctx: Context, given: Given) -> Result:
    return _tried(lambda: Path(given.path).read_bytes()[:1])


def listing(ctx: Context, given: Given) -> Result:
    return _tried(lambda: os.listdir(given.path))


def write(ctx: Context, given: Given) -> Result:
    def attempt() -> None:
        with open(given.path, "ab") as file:
            file.write(b"mine")

    return _tried(attempt)


def write_input(ctx: Context, given: Given) -> Result:
    [source] = ctx.inputs

    def attempt() -> None:
        with source.path.open("r+b") as file:
            file.write(b"mine")

    return _tried(attempt)


def relink_input(ctx: Context, given: Given) -> Result:
    """Give a hard-linked input a second name where writing is allowed."""
    [source] = ctx.inputs
    return _tried(lambda: os.link(source.path, ctx.scratch / "second"))


def connect(ctx: Context, given: Given) -> Result:
    def attempt() -> None:
        with socket.create_connection(("127.0.0.1", given.port), timeout=5):
            pass

    return _tried(attempt)


def connect_unix(ctx: Context, given: Given) -> Result:
    def attempt() -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(given.path)

    return _tried(attempt)


def send_udp(ctx: Context, given: Given) -> Result:
    def attempt() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
            connection.sendto(b"x", ("127.0.0.1", given.port))

    return _tried(attempt)


def signal_process(ctx: Context, given: Given) -> Result:
    return _tried(lambda: os.kill(given.count, 0))


def tool_read(ctx: Context, given: Given) -> Result:
    run = ctx.engines.tools().run(["/bin/cat", given.path], name="cat", ok=(0, 1))
    return Result(outputs=[], details={"allowed": bool(run.stdout), "why": run.stderr_tail})


def move_within(ctx: Context, given: Given) -> Result:
    """What every tool may want: a temporary file that is renamed into another folder."""
    (ctx.scratch / "tmp" / "part").write_text("whole")
    os.replace(ctx.scratch / "tmp" / "part", ctx.scratch / "done")
    return Result(outputs=[Output(path=ctx.scratch / "done", mime="text/plain", filename="done.txt")])


def two_outputs(ctx: Context, given: Given) -> Result:
    """Eight bytes each."""
    for name in ("a", "b"):
        (ctx.scratch / name).write_bytes(bytes(8))
    return Result(outputs=[Output(path=ctx.scratch / name, mime="text/plain", filename=name) for name in ("a", "b")])


def link_out(ctx: Context, given: Given) -> Result:
    os.symlink(given.path, ctx.scratch / "out")
    return Result(outputs=[Output(path=ctx.scratch / "out", mime="text/plain", filename="out")])


def closed_folder(ctx: Context, given: Given) -> Result:
    folder = ctx.scratch / "closed" / "deeper"
    folder.mkdir(parents=True)
    (folder / "file").write_text("x")
    folder.chmod(0)
    folder.parent.chmod(0)
    return Result(outputs=[])


def environment(ctx: Context, given: Given) -> Result:
    return Result(outputs=[], details={"environment": dict(os.environ)})


def capabilities(ctx: Context, given: Given) -> Result:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    return Result(outputs=[], details={"effective": status["CapEff"], "no_new_privs": status["NoNewPrivs"]})


def _tried(attempt: Callable[[], object]) -> Result:
    try:
        attempt()
    except OSError as error:
        return Result(outputs=[], details={"allowed": False, "why": str(error)})
    return Result(outputs=[], details={"allowed": True})


class Doing(Base[Given]):
    """A kind made of one of the functions above."""

    name: ClassVar[str] = "doing"
    summary: ClassVar[str] = "For tests."
    options: ClassVar[type[Options]] = Given

    def __init__(self, body: Body) -> None:
        self._body = body

    def run(self, ctx: Context, options: Given) -> Result:
        return self._body(ctx, options)


def named(name: str) -> Kind[Any]:
    """The entry that children are given: a function of this file as a kind."""
    return cast("Kind[Any]", Doing(globals()[name]))
