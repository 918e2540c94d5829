"""A database that goes away and comes back under a running server, as when an operator restarts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import httpx
from tests.support.server import Server, serving, until

from mediamill.store import embedded

DOORS = ("/mill/tasks", "/turbofiles/v1/tasks", "/ittybit/tasks", "/recoup/api/tasks", "/framelane/v1/tasks")


def stop(server: Server) -> None:
    """Stop its PostgreSQL as `pg_ctl stop -m fast` does."""
    said = server.data / f"pg{embedded.MAJOR}" / "postmaster.pid"
    os.kill(int(said.read_text().split()[0]), signal.SIGINT)
    until(lambda: not said.exists(), what="the end of PostgreSQL")


def test_requests_are_put_off_while_the_database_is_away_and_taken_when_it_is_back() -> None:
    with serving() as server, server.client() as http:
        before = http.post("/mill/tasks", params={"wait": 30}, json={"kind": "ping"}).json()
        stop(server)

        # The connections that were open have to notice first.
        until(lambda: http.get("/mill/tasks").status_code == 503, what="an answer that says so")
        for door in DOORS:
            answer = http.get(door, headers={"accept": "*/*"})
            assert (door, answer.status_code) == (door, 503)
            assert int(answer.headers["retry-after"]) > 0
        refused = http.post("/mill/tasks", json={"kind": "ping"})
        assert (refused.status_code, refused.json()["code"]) == (503, "database_away")
        assert http.get("/mill/health").status_code == 200
        assert http.get("/mill/ready").status_code == 503

        # Any command that uses the database starts it, and leaves it to those who use it too.
        migrate = [sys.executable, "-P", "-m", "mediamill.cli", "migrate", "--data", str(server.data)]
        subprocess.run(migrate, check=True, timeout=60)
        until(lambda: http.get("/mill/tasks").status_code == 200, what="the lists again")
        assert [task["id"] for task in http.get("/mill/tasks").json()["data"]] == [before["id"]]
        until(lambda: done(http), timeout_s=60, what="a task that is done")


def done(http: httpx.Client) -> bool:
    """Whether a task that is posted now is done in a while."""
    answer = http.post("/mill/tasks", params={"wait": 20}, json={"kind": "ping"})
    return bool(answer.status_code == 201 and answer.json()["state"] == "succeeded")
