"""A database that goes away and comes back under a running server, as when an operator restarts it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait

import asyncpg
import httpx
from tests.support.server import Server, serving, until

from mediamill.store import embedded
from mediamill.store.embedded import Embedded

DOORS = ("/mill/tasks", "/turbofiles/v1/tasks", "/ittybit/tasks", "/recoup/api/tasks", "/framelane/v1/tasks")

ANY = {"accept": "*/*"}
WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


def stop(server: Server, meanwhile: Callable[[], None] = lambda: None) -> None:
    """Stop its PostgreSQL as `pg_ctl stop -m fast` does; `meanwhile` is called once it has been told to."""
    said = server.data / f"pg{embedded.MAJOR}" / "postmaster.pid"
    os.kill(int(said.read_text().split()[0]), signal.SIGINT)
    meanwhile()
    until(lambda: not said.exists(), what="the end of PostgreSQL")


def test_requests_are_put_off_while_the_database_is_away_and_taken_when_it_is_back() -> None:
    with serving() as server, server.client() as http:
        before = http.post("/mill/tasks", params={"wait": 30}, json={"kind": "ping"}).json()
        stop(server)

        # The connections that were open have to notice first.
        until(lambda: http.get("/mill/tasks").status_code == 503, what="an answer that says so")
        for door in DOORS:
            answer = http.get(door, headers=ANY)
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


def test_a_database_that_dies_is_started_again_and_its_work_goes_on() -> None:
    with serving(environment={"MEDIAMILL_HEARTBEAT_S": "3"}) as server, server.client() as http:
        said = server.data / f"pg{embedded.MAJOR}" / "postmaster.pid"
        died = said.read_text().split()[0]
        before = [http.post("/mill/tasks", json={"kind": "ping"}).json()["id"] for _ in range(5)]

        os.kill(int(died), signal.SIGKILL)

        until(lambda: said.read_text().split()[:1] not in ([], [died]), timeout_s=60, what="another database")
        until(lambda: http.get("/mill/ready").status_code == 200, timeout_s=60, what="readiness")
        until(
            lambda: all(http.get(f"/mill/tasks/{id}").json()["state"] == "succeeded" for id in before),
            timeout_s=60,
            what="the end of what was asked before",
        )


async def under_way(server: Server, http: httpx.Client) -> dict[str, httpx.Response]:
    """What is answered to requests whose query is on the line when the database is stopped."""
    dsn = Embedded(server.data).dsn
    database, beside = await asyncpg.connect(dsn), await asyncpg.connect(dsn)
    with ThreadPoolExecutor(len(DOORS) + 1) as threads:
        await database.execute("BEGIN")
        await database.execute("LOCK TABLE tasks, files IN ACCESS EXCLUSIVE MODE")
        asked = {door: threads.submit(http.get, door, headers=ANY) for door in DOORS}
        asked["posted"] = threads.submit(http.post, "/mill/tasks", json={"kind": "ping"})
        while await beside.fetchval(WAITING) < len(asked):
            await asyncio.sleep(0)
        # Whoever holds the lock must be the last to go, or the others are answered in their last moments.
        holder: int = await database.fetchval("SELECT pg_backend_pid()")
        os.kill(holder, signal.SIGSTOP)

        def let_go() -> None:
            wait(asked.values(), timeout=60)
            os.kill(holder, signal.SIGCONT)

        await asyncio.to_thread(stop, server, let_go)
        answers = {door: answer.result() for door, answer in asked.items()}
    database.terminate()
    beside.terminate()
    return answers


def test_requests_whose_query_is_on_the_line_are_put_off_too() -> None:
    with serving(worker=False) as server, server.client() as http:
        until(lambda: http.get("/mill/tasks").status_code == 200, what="the lists")

        answers = asyncio.run(under_way(server, http))

        for door, answer in answers.items():
            assert (door, answer.status_code) == (door, 503)
            assert int(answer.headers["retry-after"]) > 0
        assert answers["posted"].json()["code"] == "database_away"
        assert answers["/turbofiles/v1/tasks"].json()["errors"][0]["status"] == "503"
        assert answers["/ittybit/tasks"].json()["kind"] == "internal_error"
        assert answers["/recoup/api/tasks"].json()["status"] == "error"
        assert answers["/framelane/v1/tasks"].json()["error"]["code"] == "internal"
        assert http.get("/metrics").status_code == 503
        assert http.get("/download/0000").status_code == 503
        assert "request broke" not in server.log.read_text()


def done(http: httpx.Client) -> bool:
    """Whether a task that is posted now is done in a while."""
    answer = http.post("/mill/tasks", params={"wait": 20}, json={"kind": "ping"})
    return bool(answer.status_code == 201 and answer.json()["state"] == "succeeded")
