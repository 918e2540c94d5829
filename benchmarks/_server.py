"""A Mediamill server for the benchmarks to measure: started here, in a folder of its own, and gone afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY = "mill_benchmark"


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    port: int
    data: Path
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        """A JSON call."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **(headers or {})},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            raw = answer.read()
        return json.loads(raw) if raw else None

    def upload(self, name: str, content: bytes) -> str:
        """A file's id, its bytes uploaded."""
        made = self.call("POST", "/mill/files", {"filename": name, "size_bytes": len(content)})
        request = urllib.request.Request(made["links"]["upload"], method="PUT", data=content)
        urllib.request.urlopen(request, timeout=120).close()
        return str(made["id"])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "mediamill.cli", *arguments]


def environment(data: Path, **more: str) -> dict[str, str]:
    return {
        **os.environ,
        "MEDIAMILL_ADMIN_KEY": KEY,
        "MEDIAMILL_DATA": str(data),
        "MEDIAMILL_LOG_LEVEL": "error",
        **more,
    }


def wait_ready(url: str, path: str = "/mill/ready", timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            with urllib.request.urlopen(url + path, timeout=5):
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextlib.contextmanager
def serving(*arguments: str, data: Path | None = None, **settings: str) -> Iterator[Server]:
    """`mediamill serve` until the block ends."""
    with contextlib.ExitStack() as stack:
        if data is None:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mediamill-bench-")))
        port = free_port()
        process = subprocess.Popen(
            command("serve", "--port", str(port), *arguments),
            env=environment(data, **settings),
            stdout=subprocess.DEVNULL,
        )
        server = Server(port, data, process.pid)
        try:
            wait_ready(server.url, "/mill/health" if "--no-worker" in arguments else "/mill/ready")
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=90)


def percentile(values: list[float], share: float) -> float:
    """The value below which that share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
