"""A server that speaks just enough of /mill over real HTTP for the client and the command line to be tested with.

It keeps what it is told and does what a test asks: end a task in any state, break a connection in the middle, refuse.
The real server is spoken to in tests/acceptance.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

NOW = "2030-01-02T03:04:05.000000Z"
LATER = "2030-01-02T03:04:06.500000Z"
KEY = "mm_test_key"


@dataclass
class FakeMill:
    """What the fake holds and what it was sent. Change the fields before a request to change its answer."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    connections: dict[str, dict[str, Any]] = field(default_factory=dict)
    secrets: list[str] = field(default_factory=list)
    """Those that connections were made with."""
    uploads: dict[str, bytearray] = field(default_factory=dict)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    ends: Callable[[dict[str, Any]], None] = field(default=lambda task: succeed(task))
    """Called with a new task; it may set its state, outputs and error. The fake stores its outputs' bytes."""
    results: list[tuple[str, bytes]] = field(default_factory=lambda: [("result.webp", b"RIFF made")])
    kinds: list[dict[str, Any]] = field(default_factory=list)
    """What the capabilities say of kinds."""
    break_downloads: int = 0
    """So many downloads stop after half of the bytes."""
    break_creates: int = 0
    """So many creations are carried out but never answered."""
    break_patches: int = 0
    """So many pieces of an upload are lost half-way."""
    lose_last_patch: bool = False
    """The last piece arrives whole, its answer never does."""
    break_events: int = 0
    """So many streams of events end before the task does."""
    ranges: bool = True
    spoil: bool = False
    """Downloads hold other bytes than the checksum says."""

    def store(self, name: str, content: bytes) -> str:
        id = f"f{len(self.files) + 1}"
        self.files[id], self.names[id] = content, name
        return id

    def file(self, id: str) -> dict[str, Any]:
        content = self.files[id]
        return {
            "id": id,
            "filename": self.names[id],
            "mime": "application/octet-stream",
            "size_bytes": len(content),
            "state": "ready",
            "sha256": hashlib.sha256(content).hexdigest(),
            "facts": {},
            "created_at": NOW,
            "updated_at": NOW,
            "expires_at": None,
            "links": {
                "self": f"{self.url}/mill/files/{id}",
                "upload": None,
                "download": f"{self.url}/download/{id}?sig=x",
            },
        }

    def create(self, body: dict[str, Any], idempotency_key: str) -> dict[str, Any]:
        for task in self.tasks.values():
            if task["idempotency_key"] == idempotency_key:
                return task
        id = f"t{len(self.tasks) + 1}"
        inputs = [
            {"file": self.file(given["file"]) if "file" in given else None, "url": given.get("url")}
            for given in body["inputs"]
        ]
        task = {
            "id": id,
            "idempotency_key": idempotency_key,
            "kind": body["kind"],
            "state": "queued",
            "stage": None,
            "progress": 0.0,
            "options": body["options"],
            "metadata": body.get("metadata"),
            "priority": body["priority"],
            "inputs": inputs,
            "outputs": [],
            "details": {"engine": "fake"},
            "error": None,
            "attempt": 1,
            "max_attempts": body.get("max_attempts", 3),
            "retry_of": None,
            "created_at": NOW,
            "updated_at": NOW,
            "started_at": NOW,
            "finished_at": None,
            "links": {"self": f"{self.url}/mill/tasks/{id}"},
        }
        self.tasks[id] = task
        self.ends(task)
        if task["state"] == "succeeded":
            task["outputs"] = [
                {"role": "result" if number == 0 else "extra", "file": self.file(self.store(name, content))}
                for number, (name, content) in enumerate(self.results)
            ]
        return task


def succeed(task: dict[str, Any]) -> None:
    task |= {"state": "succeeded", "progress": 1.0, "finished_at": LATER}


def fail(task: dict[str, Any]) -> None:
    error = {"code": "bad_media", "class": "input", "stage": "work", "message": "The picture ends early."}
    task |= {"state": "failed", "finished_at": LATER, "error": error}


def cancel(task: dict[str, Any]) -> None:
    task |= {"state": "cancelled", "finished_at": LATER}


def linger(task: dict[str, Any]) -> None:
    task |= {"state": "running", "stage": "encode", "progress": 0.5}


@contextmanager
def fake_mill() -> Iterator[FakeMill]:
    """A fake that listens on a free port."""
    mill = FakeMill()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"mill": mill}))
    server.daemon_threads = True
    mill.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield mill
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    mill: FakeMill
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_PATCH(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        url = urlsplit(self.path)
        self.mill.seen.append((self.command, self.path, dict(self.headers)))
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        if parts[0] == "download":
            self._download(parts[1])
            return
        if parts[1:] != ["version"] and self.headers.get("Authorization") != f"Bearer {KEY}":
            self._read()
            self._problem(401, "unauthorized", "No such key.")
            return
        getattr(self, f"_{parts[1]}")(parts[2:], parse_qs(url.query))

    def _version(self, rest: list[str], query: Any) -> None:
        self._answer(200, {"version": "9.9.9"})

    def _capabilities(self, rest: list[str], query: Any) -> None:
        self._answer(200, {"kinds": self.mill.kinds, "conversions": [], "absent": [], "formats": []})

    def _tasks(self, rest: list[str], query: Any) -> None:
        mill = self.mill
        match (self.command, rest):
            case ("POST", []):
                task = mill.create(json.loads(self._read()), self.headers["Idempotency-Key"])
                if mill.break_creates:
                    mill.break_creates -= 1
                    self.close_connection = True
                    return
                self._answer(201, task)
            case ("GET", []):
                data = list(reversed(mill.tasks.values()))[: int(query.get("limit", ["20"])[0])]
                self._answer(200, {"data": data, "next": "c2" if len(data) < len(mill.tasks) else None, "prev": None})
            case (_, [id, *_]) if id not in mill.tasks:
                self._problem(404, "not_found", f"No task {id!r}.")
            case ("GET", [id]):
                self._answer(200, mill.tasks[id] | {"attempts": []})
            case ("GET", [id, "events"]):
                self._stream(mill.tasks[id])
            case ("POST", [id, "cancel"]):
                if mill.tasks[id]["state"] in ("succeeded", "failed"):
                    self._problem(409, "conflict", "The task has ended.")
                else:
                    cancel(mill.tasks[id])
                    self._answer(200, mill.tasks[id])
            case ("POST", [id, "retry"]):
                old = mill.tasks[id]
                body = {"kind": old["kind"], "inputs": [], "options": old["options"], "priority": 0}
                self._answer(201, mill.create(body, f"retry-{id}") | {"retry_of": id})

    def _stream(self, task: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        states = [task | {"state": "running", "stage": "work", "progress": 0.25}, task]
        if self.mill.break_events:
            self.mill.break_events -= 1
            states.pop()
        for state in states:
            self.wfile.write(b": here\n\nevent: task\ndata: " + json.dumps(state).encode() + b"\n\n")
        self.close_connection = True

    def _files(self, rest: list[str], query: Any) -> None:
        mill = self.mill
        match (self.command, rest):
            case ("POST", []) if self.headers["Content-Type"].startswith("multipart/"):
                head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
                [part] = BytesParser(policy=HTTP).parsebytes(head + self._read()).iter_parts()
                content = part.get_payload(decode=True)
                assert isinstance(content, bytes)
                self._answer(201, mill.file(mill.store(part.get_filename() or "", content)))
            case ("GET", []):
                self._answer(200, {"data": [mill.file(id) for id in mill.files], "next": None, "prev": None})
            case (_, [id]) if id not in mill.files:
                self._problem(404, "not_found", f"No file {id!r}.")
            case ("GET", [id]):
                self._answer(200, mill.file(id))
            case ("DELETE", [id]):
                del mill.files[id]
                self._answer(204)

    def _uploads(self, rest: list[str], query: Any) -> None:
        mill = self.mill
        assert self.headers["Tus-Resumable"] == "1.0.0"
        if self.command == "POST":
            id = f"u{len(mill.uploads) + 1}"
            mill.uploads[id] = bytearray()
            pairs = dict(pair.split(" ") for pair in self.headers["Upload-Metadata"].split(","))
            mill.names[id] = base64.b64decode(pairs["filename"]).decode()
            mill.names[f"{id} length"] = self.headers["Upload-Length"]
            self._answer(201, headers={"Location": f"/mill/uploads/{id}"})
            return
        [id] = rest
        held = mill.uploads[id]
        whole = int(mill.names[f"{id} length"])
        if self.command == "HEAD":
            became = {"Mill-File-Id": mill.names[f"{id} file"]} if len(held) == whole else {}
            self._answer(200, headers={"Upload-Offset": str(len(held)), **became})
            return
        assert int(self.headers["Upload-Offset"]) == len(held)
        piece = self._read()
        if mill.break_patches:
            mill.break_patches -= 1
            held += piece[: len(piece) // 2]
            self.close_connection = True
            return
        held += piece
        headers = {"Upload-Offset": str(len(held))}
        if len(held) == whole:
            headers["Mill-File-Id"] = mill.names[f"{id} file"] = mill.store(mill.names[id], bytes(held))
            if mill.lose_last_patch:
                self.close_connection = True
                return
        self._answer(204, headers=headers)

    def _keys(self, rest: list[str], query: Any) -> None:
        mill = self.mill
        match (self.command, rest):
            case ("GET", []):
                self._answer(200, {"data": list(mill.keys.values())})
            case ("POST", []):
                body = json.loads(self._read())
                id = f"k{len(mill.keys) + 1}"
                mill.keys[id] = {
                    "id": id, "name": body["name"], "role": body["role"], "hint": "mm_…x9",
                    "created_at": NOW, "last_used_at": None, "revoked_at": None,
                }  # fmt: skip
                self._answer(201, mill.keys[id] | {"secret": "mm_secret"})
            case ("DELETE", [id]) if id in mill.keys:
                mill.keys[id]["revoked_at"] = NOW
                self._answer(204)
            case _:
                self._problem(404, "not_found", "No such key.")

    def _connections(self, rest: list[str], query: Any) -> None:
        mill = self.mill
        match (self.command, rest):
            case ("GET", []):
                self._answer(200, {"data": list(mill.connections.values()), "next": None, "prev": None})
            case ("POST", []):
                body = json.loads(self._read())
                mill.secrets.append(body["secret_access_key"])
                id = f"c{len(mill.connections) + 1}"
                mill.connections[id] = {**body, "id": id, "kind": "s3", "secret_access_key": "****"}
                self._answer(201, mill.connections[id])
            case ("DELETE", [id]) if id in mill.connections:
                del mill.connections[id]
                self._answer(204)
            case _:
                self._problem(404, "not_found", "No such connection.")

    def _download(self, id: str) -> None:
        content = b"other bytes" if self.mill.spoil else self.mill.files[id]
        start = 0
        if self.mill.ranges and (asked := self.headers.get("Range")):
            assert self.headers.get("If-Range") in (None, '"e1"')
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        body = content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"e1"')
        self.end_headers()
        if self.mill.break_downloads:
            self.mill.break_downloads -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            raise AssertionError("the client knows the length of what it sends")
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _problem(self, status: int, code: str, detail: str) -> None:
        self._answer(status, {"type": "about:blank", "title": "No", "status": status, "detail": detail, "code": code})

    def _answer(self, status: int, body: Any = None, headers: dict[str, str] | None = None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
