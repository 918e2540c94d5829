"""A bucket to store into: rclone as an S3 server over a folder that goes away with it."""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import select
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from tests.support.server import until

_KEY, SECRET = "bucket-key", "bucket-secret"


class _Gate:
    """Where requests that bring bytes wait."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.waiting: set[int] = set()
        self.away = False

    def passed(self, line: socket.socket) -> bool:
        """Wait until it is open; False when the caller goes away before."""
        gone = select.poll()
        gone.register(line, select.POLLRDHUP)
        self.waiting.add(line.fileno())
        try:
            while not self.open.is_set():
                if gone.poll(20):
                    return False
            return True
        finally:
            self.waiting.discard(line.fileno())


@dataclass(frozen=True, slots=True)
class Bucket:
    """`url` is what MEDIAMILL_BLOBS_URL takes; `environment` says where and who, as any S3 client is told."""

    url: str
    endpoint: str
    folder: Path
    direct: str
    """The endpoint without what we put before it in this process: for measuring; ranges are answered wrongly."""
    _gate: _Gate

    @contextlib.contextmanager
    def shut(self) -> Iterator[Callable[[], int]]:
        """Keeps no bytes for as long; what is entered with tells how many requests wait that have brought some."""
        self._gate.open.clear()
        try:
            yield lambda: len(self._gate.waiting)
        finally:
            self._gate.open.set()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """Hangs up on whoever asks for as long."""
        self._gate.away = True
        try:
            yield
        finally:
            self._gate.away = False

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    @property
    def connection(self) -> dict[str, str]:
        """What a caller says of it to connect it."""
        return {
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "access_key_id": _KEY,
            "secret_access_key": SECRET,
        }

    def objects(self) -> set[str]:
        """What lies in the bucket."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()}


@contextlib.contextmanager
def running() -> Iterator[Bucket]:
    """An empty bucket that checks signatures."""
    root = Path(tempfile.mkdtemp(prefix="bucket-"))
    folder = root / "mill"
    folder.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    rclone = Path(sysconfig.get_path("scripts")) / "rclone"
    argv = [str(rclone), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{_KEY},{SECRET}", str(root)]
    kept = {"PATH": os.environ["PATH"], "HOME": str(root), "RCLONE_CONFIG": ""}
    process = subprocess.Popen([*argv, "--vfs-cache-mode", "off"], env=kept, stderr=subprocess.DEVNULL)
    gate = _Gate()
    front = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Front, port, gate))
    threading.Thread(target=front.serve_forever, daemon=True).start()
    try:
        until(lambda: _answers(f"http://127.0.0.1:{port}"), what="the bucket")
        here = f"http://127.0.0.1:{front.server_address[1]}"
        yield Bucket("s3://mill/files", here, folder, f"http://127.0.0.1:{port}", gate)
    finally:
        gate.open.set()
        front.shutdown()
        front.server_close()
        process.terminate()
        process.wait(15)
        shutil.rmtree(root, ignore_errors=True)


class _Front(BaseHTTPRequestHandler):
    """Hands everything on, and says 206 of a range: rclone sends the right bytes, and says 200, where S3 says 206."""

    protocol_version = "HTTP/1.1"

    def __init__(self, behind: int, gate: _Gate, *given: Any) -> None:
        self._behind, self._gate = behind, gate
        super().__init__(*given)

    def _pass(self) -> None:
        if self._gate.away:
            self.close_connection = True
            return
        announced = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(announced)
        if len(body) < announced or (self.command == "PUT" and not self._gate.passed(self.connection)):
            self.close_connection = True  # the caller has gone away
            return
        line = http.client.HTTPConnection("127.0.0.1", self._behind, timeout=30)
        with contextlib.closing(line):
            line.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                line.putheader(name, value)
            line.endheaders(body)
            answer = line.getresponse()
            content = answer.read()
        ranged = answer.status == 200 and answer.headers.get("Content-Range")
        self.send_response_only(206 if ranged else answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                self.send_header(name, value)
        length = answer.headers.get("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass

    def log_message(self, format: str, *args: Any) -> None:
        return


def _answers(url: str) -> bool:
    try:
        httpx.get(url, timeout=2)
    except httpx.TransportError:
        return False
    return True
