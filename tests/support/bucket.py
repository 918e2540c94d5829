"""A bucket to store into: rclone as an S3 server over a folder that goes away with it."""

from __future__ import annotations

import contextlib
import functools
import http.client
import os
import shutil
import socket
import subprocess
import sysconfig
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
from tests.support.server import until

_KEY, _SECRET = "bucket-key", "bucket-secret"


@dataclass(frozen=True, slots=True)
class Bucket:
    """`url` is what MEDIAMILL_BLOBS_URL takes; `environment` says where and who, as any S3 client is told."""

    url: str
    endpoint: str
    folder: Path
    direct: str
    """The endpoint without what we put before it in this process: for measuring; ranges are answered wrongly."""

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
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
    argv = [str(rclone), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"{_KEY},{_SECRET}", str(root)]
    kept = {"PATH": os.environ["PATH"], "HOME": str(root), "RCLONE_CONFIG": ""}
    process = subprocess.Popen([*argv, "--vfs-cache-mode", "off"], env=kept, stderr=subprocess.DEVNULL)
    front = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Front, port))
    threading.Thread(target=front.serve_forever, daemon=True).start()
    try:
        until(lambda: _answers(f"http://127.0.0.1:{port}"), what="the bucket")
        yield Bucket(
            "s3://mill/files", f"http://127.0.0.1:{front.server_address[1]}", folder, f"http://127.0.0.1:{port}"
        )
    finally:
        front.shutdown()
        front.server_close()
        process.terminate()
        process.wait(15)
        shutil.rmtree(root, ignore_errors=True)


class _Front(BaseHTTPRequestHandler):
    """Hands everything on, and says 206 of a range: rclone sends the right bytes, and says 200, where S3 says 206."""

    protocol_version = "HTTP/1.1"

    def __init__(self, behind: int, *given: Any) -> None:
        self._behind = behind
        super().__init__(*given)

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
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
