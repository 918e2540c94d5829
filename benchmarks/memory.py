"""Memory and speed of moving large files: python benchmarks/memory.py [--gib 4]

Memory is the proportional set size of `mediamill serve`, all its children and its PostgreSQL: what would be free if
they all went. Run it while no other server runs here: what two share counts for half in each. Bodies are made on the
fly, so that nothing of this process is measured. Needs three times --gib of disk.
"""

from __future__ import annotations

import argparse
import http.client
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).parent))
from _server import KEY, Server, serving

from mediamill.cli import _samples

_MIB = 1 << 20
_BLOCK = os.urandom(_MIB)
_EVERY_S = 0.5
_BOUNDARY = "mediamill-benchmark"
_FORM_HEAD = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'.encode()
_FORM_END = f"\r\n--{_BOUNDARY}--\r\n".encode()
_BAG = [("photo", "webp"), ("photo", "pdf"), ("letter", "pdf"), ("letter", "docx"), ("film", "gif"), ("sound", "mp3")]


# --- memory ---------------------------------------------------------------------------------------------------------


def processes(server: Server) -> dict[int, str]:
    """Every process of the server and of its database, with what it was started as."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(status.rpartition(")")[2].split()[1]), []).append(int(entry.name))
    roots = [server.pid, *(int(p.read_text().split()[0]) for p in server.data.rglob("postmaster.pid"))]
    found: dict[int, str] = {}
    while roots:
        pid = roots.pop()
        if pid not in found:
            found[pid] = named(pid)
            roots += parents.get(pid, [])
    return found


def named(pid: int) -> str:
    """What a process is, in a word."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "gone"
    line = " ".join(words)
    if "postgres" in line:
        return "postgres"
    for word in ("serve", "worker"):
        if word in words:
            return word
    return "child"


def pss(server: Server) -> dict[str, float]:
    """MB by kind of process."""
    total: dict[str, float] = {}
    for pid, name in processes(server).items():
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        for line in rollup.splitlines():
            if line.startswith("Pss:"):
                total[name] = total.get(name, 0.0) + int(line.split()[1]) / 1000
    return total


@dataclass
class Watch:
    """Samples the tree while a block runs."""

    server: Server
    seen: list[float] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Watch:
        self.seen.append(sum(pss(self.server).values()))
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._over.wait(_EVERY_S):
            self.seen.append(sum(pss(self.server).values()))


# --- transfers ------------------------------------------------------------------------------------------------------


def body(mebibytes: int) -> Iterator[bytes]:
    for _ in range(mebibytes):
        yield _BLOCK


def form(mebibytes: int) -> Iterator[bytes]:
    yield _FORM_HEAD
    yield from body(mebibytes)
    yield _FORM_END


def ask(
    server: Server, method: str, path: str, headers: dict[str, str], content: Iterator[bytes] | None = None
) -> tuple[dict[str, str], int]:
    """(answer's headers, bytes of its body), the body read and dropped."""
    line = http.client.HTTPConnection("127.0.0.1", server.port, timeout=600)
    line.request(method, path, body=content, headers={"Authorization": f"Bearer {KEY}", **headers})
    answer = line.getresponse()
    if answer.status >= 300:
        raise RuntimeError(f"{method} {path}: {answer.status} {answer.read()[:500]!r}")
    came, view = 0, memoryview(bytearray(_MIB))
    while more := answer.readinto(view):
        came += more
    line.close()
    return {name.lower(): value for name, value in answer.getheaders()}, came


def put(server: Server, mebibytes: int) -> str:
    size = mebibytes * _MIB
    made = server.call("POST", "/mill/files", {"filename": "large.bin", "size_bytes": size})
    where = urlsplit(made["links"]["upload"])
    ask(server, "PUT", f"{where.path}?{where.query}", {"Content-Length": str(size)}, body(mebibytes))
    return str(made["id"])


def post(server: Server, mebibytes: int) -> str:
    size = mebibytes * _MIB + len(_FORM_HEAD) + len(_FORM_END)
    headers = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}", "Content-Length": str(size)}
    said, _ = ask(server, "POST", "/mill/files", headers, form(mebibytes))
    return said["location"].rpartition("/")[2]


def tus(server: Server, mebibytes: int, pieces: int) -> str:
    size = mebibytes * _MIB
    told = {"Tus-Resumable": "1.0.0"}
    said, _ = ask(server, "POST", "/mill/uploads", {**told, "Upload-Length": str(size), "Content-Length": "0"})
    path = urlsplit(said["location"]).path
    step = mebibytes // pieces
    for n in range(pieces):
        headers = {"Content-Type": "application/offset+octet-stream", "Content-Length": str(step * _MIB)}
        headers["Upload-Offset"] = str(n * step * _MIB)
        said, _ = ask(server, "PATCH", path, {**told, **headers}, body(step))
    return said["mill-file-id"]


def download(server: Server, id: str) -> None:
    where = urlsplit(server.call("GET", f"/mill/files/{id}")["links"]["download"])
    _, came = ask(server, "GET", f"{where.path}?{where.query}", {})
    if came != server.call("GET", f"/mill/files/{id}")["size_bytes"]:
        raise RuntimeError(f"{came} bytes came")


def convert_a_bag(server: Server) -> None:
    """A mixed bag of conversions, four at a time, twice over."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sound = _samples.sound(folder, 5.0)
        made = {
            "photo": _samples.picture(folder, 1600, 1200),
            "letter": _samples.letter(folder),
            "sound": sound,
            "film": _samples.film(folder, sound, seconds=5),
        }
        ids = {word: server.upload(path.name, path.read_bytes()) for word, path in made.items()}
    for _ in range(4):
        tasks = [
            server.call(
                "POST",
                "/mill/tasks",
                {"kind": "convert", "inputs": [{"file": ids[word]}], "options": {"format": to}, "reuse": False},
            )["id"]
            for word, to in _BAG
        ]
        for id in tasks:
            done = server.call("GET", f"/mill/tasks/{id}?wait=60")
            if done["state"] != "succeeded":
                raise RuntimeError(f"{done['options']}: {done['error']}")


# --- the table ------------------------------------------------------------------------------------------------------


def say(what: str, total: float, *more: str) -> None:
    sys.stdout.write(f"{what:34} {total:7.0f} MB  {'  '.join(more)}\n")
    sys.stdout.flush()


def parts(found: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.0f}" for name, value in sorted(found.items()))


def transfer(server: Server, what: str, mebibytes: int, move: Callable[[], object]) -> object:
    begun = time.monotonic()
    with Watch(server) as watch:
        result = move()
    took_s = time.monotonic() - begun
    before, most = watch.seen[0], max(watch.seen)
    rate = mebibytes * _MIB / took_s / 1e6
    say(f"{what}, {mebibytes / 1024:g} GiB", most, f"{most - before:+.0f} MB over before", f"{rate:.0f} MB/s")
    return result


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--gib", type=float, default=4.0, help="Size of the files that are moved.")
    mebibytes = int(arguments.parse_args().gib * 1024)
    with serving() as server:
        found = pss(server)
        say("before the first task", sum(found.values()), parts(found))
        convert_a_bag(server)
        time.sleep(3)
        found = pss(server)
        say("3 s after a mixed bag", sum(found.values()), parts(found))
        time.sleep(12)
        found = pss(server)
        say("15 s after it", sum(found.values()), parts(found))
        moves: list[tuple[str, Callable[[], str]]] = [
            ("upload by PUT", lambda: put(server, mebibytes)),
            ("upload by form", lambda: post(server, mebibytes)),
            ("upload by tus, one PATCH", lambda: tus(server, mebibytes, 1)),
            ("upload by tus, 64 PATCHes", lambda: tus(server, mebibytes, 64)),
        ]
        for what, move in moves:
            id = transfer(server, what, mebibytes, move)
            if what == "upload by PUT":
                transfer(server, "download", mebibytes, lambda id=str(id): download(server, id))  # type: ignore[misc]
            server.call("DELETE", f"/mill/files/{id}")
        found = pss(server)
        say("afterwards", sum(found.values()), parts(found))


if __name__ == "__main__":
    main()
