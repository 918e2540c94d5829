"""The API and the queue: durable accepts a second, trivial tasks a second end to end, start latency when idle.

python -m benchmarks.api
"""

from __future__ import annotations

import json
import time
from datetime import datetime

from benchmarks._load import request, send
from benchmarks._server import KEY, Server, percentile, serving

PING = json.dumps({"kind": "ping"}).encode()


def accepts(server: Server, count: int = 6000) -> None:
    raw = request("POST", "/mill/tasks", KEY, PING)
    send(server.port, [raw] * 300)
    sent = send(server.port, [raw] * count, connections=64)
    print(
        f"accepts            {count / sent.took_s:8.0f} /s   p50 {percentile(sent.latencies_s, 0.5) * 1e3:6.1f} ms  "
        f"p99 {percentile(sent.latencies_s, 0.99) * 1e3:6.1f} ms   failed {sent.failed}   (goal: 1,000 /s)"
    )


def start_latency(server: Server, count: int = 300) -> None:
    waits = []
    for n in range(-30, count):
        task = server.call("POST", "/mill/tasks?wait=10", {"kind": "ping"})
        created = datetime.fromisoformat(task["created_at"])
        started = datetime.fromisoformat(task["started_at"])
        if n >= 0:  # the first ones warm the connections
            waits.append((started - created).total_seconds())
        time.sleep(0.01)
    print(
        f"start latency idle {percentile(waits, 0.5) * 1e3:8.1f} ms p50   {percentile(waits, 0.99) * 1e3:6.1f} ms p99"
        "   (goal: 10 ms, 50 ms)"
    )


def unfinished(server: Server) -> int:
    return len(server.call("GET", "/mill/tasks?limit=1&state=ingesting,delayed,queued,running")["data"])


def trivial(count: int = 30000) -> None:
    """All tasks are accepted first, by a server without a worker; then one with a worker is started and timed."""
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory(prefix="mediamill-bench-") as folder:
        with serving("--no-worker", data=Path(folder)) as server:
            send(server.port, [request("POST", "/mill/tasks", KEY, PING)] * count, connections=64)
        with serving(data=Path(folder)) as server:
            [last] = server.call("GET", "/mill/tasks?limit=1")["data"]
            # Waited for, not asked for again and again: that would be measured too.
            while server.call("GET", f"/mill/tasks/{last['id']}?wait=60")["state"] != "succeeded":
                pass
            while unfinished(server):
                time.sleep(0.1)
            span = server.call("GET", "/mill/tasks?limit=1&order=asc")["data"]
            first = min(datetime.fromisoformat(t["started_at"]) for t in span)
            newest = server.call("GET", "/mill/tasks?limit=100")["data"]
            last = max(datetime.fromisoformat(t["finished_at"]) for t in newest)
            took_s = (last - first).total_seconds()
    print(f"trivial tasks      {count / took_s:8.0f} /s   {count} in {took_s:.2f} s   (goal: 3,000 /s)")


if __name__ == "__main__":
    with serving() as server:
        start_latency(server)
    with serving("--no-worker") as server:
        accepts(server)
    trivial()
