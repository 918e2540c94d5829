"""Webhooks on a real server: tasks are done, receivers told, and three strangers vouch for the signature."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from replicate.webhook import Webhooks, WebhookSigningSecret
from standardwebhooks import Webhook
from tests.support.receiver import Listening, Post, Reply
from tests.support.server import Server, serving, until


@pytest.fixture
def listening() -> Iterator[Listening]:
    with Listening() as made:
        yield made


@pytest.fixture(scope="module")
def open_server() -> Iterator[Server]:
    """A server whose operator allows receivers on this machine."""
    with serving(environment={"MEDIAMILL_ALLOW_NETWORKS": "127.0.0.0/8"}) as running:
        yield running


@pytest.fixture
def http(open_server: Server) -> Iterator[httpx.Client]:
    with open_server.client() as client:
        yield client


def ping(http: httpx.Client, **given: Any) -> dict[str, Any]:
    """A task that is done at once, as it ended."""
    answer = http.post("/mill/tasks", params={"wait": 30}, json={"kind": "ping", **given})
    assert answer.status_code == 201, answer.text
    task: dict[str, Any] = answer.json()
    assert task["state"] == "succeeded"
    return task


def vouched(secret: str, post: Post) -> None:
    """Raises unless all three verifiers take it."""
    from openai import OpenAI  # here: its import is a tenth of what collecting all tests takes

    headers, text = dict(post.headers), post.body.decode()
    Webhook(secret).verify(text, headers)
    OpenAI(api_key="none").webhooks.verify_signature(text, headers, secret=secret)
    Webhooks.validate(headers=headers, body=text, secret=WebhookSigningSecret(key=secret), tolerance=300)


def test_a_task_is_told_of_and_three_verifiers_take_the_signature(http: httpx.Client, listening: Listening) -> None:
    made = http.post("/mill/endpoints", json={"url": listening.receiver.url("/told"), "types": ["task.succeeded"]})
    assert made.status_code == 201
    secret = made.json()["secret"]

    task = ping(http)
    until(lambda: len(listening.at("/told")) == 1, what="the webhook")

    [post] = listening.at("/told")
    vouched(secret, post)
    said = post.json
    assert (said["id"], said["type"]) == (post.id, "task.succeeded")
    # The log of attempts is no part of what is told, and links differ by how the server was addressed.
    assert {k: said["data"][k] for k in ("id", "kind", "state", "progress", "run_id", "finished_at")} == {
        k: task[k] for k in ("id", "kind", "state", "progress", "run_id", "finished_at")
    }
    spoilt = Post(post.path, post.headers, post.body.replace(b"succeeded", b"failed"))
    with pytest.raises(Exception, match=r"(?i)signature"):
        vouched(secret, spoilt)
    assert "secret" not in http.get(f"/mill/endpoints/{made.json()['id']}").json()
    http.delete(f"/mill/endpoints/{made.json()['id']}")


def test_a_rotated_secret_signs_beside_the_old_one(http: httpx.Client, listening: Listening) -> None:
    made = http.post("/mill/endpoints", json={"url": listening.receiver.url("/rotated")}).json()
    rotated = http.post(f"/mill/endpoints/{made['id']}/rotate", json={"overlap_s": 60}).json()

    assert http.post(f"/mill/endpoints/{made['id']}/test").status_code == 202
    until(lambda: len(listening.at("/rotated")) == 1, what="the test")

    [post] = listening.at("/rotated")
    assert rotated["secret"] != made["secret"]
    vouched(made["secret"], post)
    vouched(rotated["secret"], post)
    assert post.json["type"] == "endpoint.test"
    http.delete(f"/mill/endpoints/{made['id']}")


def test_an_address_that_a_task_names_is_told_of_its_end(http: httpx.Client, listening: Listening) -> None:
    task = ping(http, webhook_url=listening.receiver.url("/mine"))
    until(lambda: len(listening.at("/mine")) == 1, what="the webhook")

    assert listening.at("/mine")[0].json["id"] == task["id"]
    [delivery] = http.get("/mill/deliveries", params={"task_id": task["id"]}).json()["data"]
    until(lambda: http.get(f"/mill/deliveries/{delivery['id']}").json()["state"] == "delivered", what="its record")
    assert delivery["endpoint_id"] is None

    cancelled = http.post(
        "/mill/tasks",
        json={"kind": "ping", "not_before": "2999-01-01T00:00:00Z", "webhook_url": listening.receiver.url("/mine")},
    ).json()
    http.post(f"/mill/tasks/{cancelled['id']}/cancel")
    until(lambda: len(listening.at("/mine")) == 2, what="the second webhook")
    assert listening.at("/mine")[1].json["state"] == "cancelled"


def test_the_log_tells_request_and_answer_and_all_missed_are_sent_again(
    http: httpx.Client, listening: Listening
) -> None:
    listening.receiver.answer(500, {"x-why": "a bad day"}, b"the receiver's own words" * 1000)
    made = http.post(
        "/mill/endpoints", json={"url": listening.receiver.url("/log"), "types": ["task.succeeded"]}
    ).json()
    first, second = ping(http), ping(http)
    path = f"/mill/endpoints/{made['id']}"

    def tried() -> list[dict[str, Any]]:
        page = http.get(f"{path}/deliveries").json()["data"]
        return [d for d in page if d["status"] == 500]

    until(lambda: len(tried()) == 2, what="two attempts")
    [post] = http.get(f"/mill/deliveries/{tried()[0]['id']}").json()["log"]
    assert post["response_headers"]["x-why"] == "a bad day"
    assert post["response_body"].startswith("the receiver's own words")
    assert len(post["response_body"]) == 4096
    assert post["request_headers"]["webhook-id"] == json.loads(post["request_body"])["id"]
    assert json.loads(post["request_body"])["data"]["id"] == second["id"]
    assert 0 < post["took_s"] < 5

    listening.receiver.answer(200)
    again = http.post(f"/mill/deliveries/{tried()[0]['id']}/replay")
    assert again.status_code == 202
    until(lambda: http.get(f"/mill/deliveries/{again.json()['id']}").json()["state"] == "delivered", what="the replay")
    # All since before the first; the two that are still on their ladder would come by themselves.
    http.patch(path, json={"state": "paused"})
    http.patch(path, json={"state": "active"})
    until(lambda: {d["state"] for d in http.get(f"{path}/deliveries").json()["data"]} == {"delivered"}, what="the rest")
    before = len(listening.at("/log"))
    events = http.get("/mill/events/log", params={"type": "task.succeeded", "limit": 2}).json()["data"]
    assert [event["task_id"] for event in events] == [second["id"], first["id"]]
    assert http.post(f"{path}/replay", json={"since": events[1]["created_at"], "missed": True}).json()["count"] == 0
    assert http.post(f"{path}/replay", json={"since": events[1]["created_at"]}).json()["count"] == 2
    assert http.post(f"{path}/replay", json={"first": events[0]["id"], "last": events[0]["id"]}).json()["count"] in (
        0,
        1,
    )
    until(lambda: len(listening.at("/log")) >= before + 2, what="both again")
    assert {post.id for post in listening.at("/log")} == {event["id"] for event in events}
    http.delete(path)


def test_a_redirect_is_not_followed(http: httpx.Client, listening: Listening) -> None:
    listening.receiver.answer(307, {"location": listening.receiver.url("/elsewhere")})
    made = http.post("/mill/endpoints", json={"url": listening.receiver.url("/redirects")}).json()
    delivery = http.post(f"/mill/endpoints/{made['id']}/test").json()

    until(lambda: http.get(f"/mill/deliveries/{delivery['id']}").json()["status"] == 307, what="the answer")

    assert listening.at("/elsewhere") == []
    assert "redirect" in http.get(f"/mill/deliveries/{delivery['id']}").json()["error"]
    http.delete(f"/mill/endpoints/{made['id']}")


def test_the_process_that_delivers_is_killed_in_mid_post_and_the_event_comes_again(listening: Listening) -> None:
    forever = asyncio.Event()

    async def answers(_: Post) -> Reply:
        if len(listening.receiver.posts) == 1:
            await forever.wait()
        return Reply()

    listening.receiver.answer_with(answers)
    settings = {"MEDIAMILL_ALLOW_NETWORKS": "127.0.0.0/8", "MEDIAMILL_WEBHOOK_TIMEOUT_S": "2"}
    with serving(environment=settings) as server, server.client() as http:
        http.post("/mill/endpoints", json={"url": listening.receiver.url(), "types": ["task.succeeded"]})
        ping(http)
        until(lambda: len(listening.posts) == 1, what="the first post")
        [pid] = deliverers(server)
        os.kill(pid, signal.SIGKILL)
        until(lambda: len(listening.posts) == 2, timeout_s=60, what="the second post")

    first, second = listening.posts
    assert first.id == second.id
    assert first.json["data"]["id"] == second.json["data"]["id"]


def deliverers(server: Server) -> list[int]:
    """Processes of the server's that deliver webhooks."""
    found = []
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        try:
            argv = (path / "cmdline").read_bytes().split(b"\0")
            mine = f"MEDIAMILL_DATA={server.data}".encode() in (path / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"--queues" in argv and b"webhooks" in argv and mine:
            found.append(int(path.name))
    return found


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "http://localhost/", "http://10.0.0.1/", "http://[::1]/", "ftp://example.org/", "x"]
)
def test_addresses_inside_are_refused_unless_the_operator_allows_them(server: Server, url: str) -> None:
    with server.client() as http:
        answer = http.post("/mill/endpoints", json={"url": url})
        assert (answer.status_code, answer.json()["field"]) == (422, "url")


def test_an_inner_address_that_a_task_names_is_refused(server: Server, listening: Listening) -> None:
    with server.client() as http:
        answer = http.post("/mill/tasks", json={"kind": "ping", "webhook_url": listening.receiver.url("/inside")})

    assert (answer.status_code, answer.json()["field"]) == (422, "webhook_url")


def test_endpoints_of_other_projects_are_unknown(http: httpx.Client, listening: Listening, open_server: Server) -> None:
    made = http.post("/mill/endpoints", json={"url": listening.receiver.url()}).json()
    other = http.post("/mill/keys", json={"name": "x", "project_id": "stranger"}).json()["secret"]
    delivery = http.post(f"/mill/endpoints/{made['id']}/test").json()
    with httpx.Client(base_url=open_server.url, headers={"authorization": f"Bearer {other}"}) as stranger:
        paths = [f"/mill/endpoints/{made['id']}", f"/mill/endpoints/{made['id']}/deliveries"]
        paths += [f"/mill/deliveries/{delivery['id']}", f"/mill/events/{delivery['event_id']}"]
        assert [stranger.get(path).status_code for path in paths] == [404] * 4
        assert stranger.post(f"/mill/deliveries/{delivery['id']}/replay").status_code == 404
        assert stranger.delete(f"/mill/endpoints/{made['id']}").status_code == 404
        assert stranger.get("/mill/endpoints").json() == {"data": []}
        assert stranger.get("/mill/events/log").json()["data"] == []
    http.delete(f"/mill/endpoints/{made['id']}")


def test_pages_of_events_and_deliveries_hold_each_once(http: httpx.Client, listening: Listening) -> None:
    made = http.post("/mill/endpoints", json={"url": listening.receiver.url("/pages")}).json()
    sent = [http.post(f"/mill/endpoints/{made['id']}/test").json() for _ in range(7)]
    for path, wanted in [
        (f"/mill/endpoints/{made['id']}/deliveries", [d["id"] for d in sent]),
        ("/mill/events/log", [d["event_id"] for d in sent]),
    ]:
        for order in ("desc", "asc"):
            expected = wanted[::-1] if order == "desc" else wanted
            query = {"limit": 3, "order": order} | ({"type": "endpoint.test"} if "log" in path else {})
            found: list[str] = []
            page = http.get(path, params=query).json()
            while True:
                found += [row["id"] for row in page["data"]]
                if page["next"] is None:
                    break
                page = http.get(path, params={**query, "after": page["next"]}).json()
            assert [id for id in found if id in wanted] == expected
            back = http.get(path, params={**query, "before": page["data"][0]["id"]}).json()
            assert [row["id"] for row in back["data"]] == found[-len(page["data"]) - 3 : -len(page["data"])]
    http.delete(f"/mill/endpoints/{made['id']}")


def test_listen_posts_to_a_laptop_what_happens(http: httpx.Client, listening: Listening, open_server: Server) -> None:
    argv = [sys.executable, "-m", "mediamill.cli", "webhooks", "listen", "--forward-to", listening.receiver.url("/dev")]
    argv += ["--server", open_server.url, "--key", open_server.key, "--json", "--count", "3"]
    ping(http)  # so that there is an event to go on after; without one, what comes before it has connected is missed
    [newest] = http.get("/mill/events/log", params={"limit": 1}).json()["data"]
    argv += ["--after", newest["id"]]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        secret = process.stderr.readline().split()[1]
        process.stderr.readline()
        task = ping(http)
        until(lambda: len(listening.at("/dev")) == 3 or process.poll() is not None, what="the events")
        out, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    said = [json.loads(line) for line in out.splitlines()]
    assert {line["status"] for line in said} == {200}
    for post in listening.at("/dev"):
        vouched(secret, post)
    mine = [post.json for post in listening.at("/dev") if (post.json["data"] or {}).get("id") == task["id"]]
    assert next(event["type"] for event in mine) == "task.created"


def test_the_command_line_adds_tests_shows_replays_and_removes(
    http: httpx.Client, listening: Listening, open_server: Server
) -> None:
    def mill(*arguments: str) -> Any:
        argv = [sys.executable, "-m", "mediamill.cli", "webhooks", *arguments, "--json"]
        argv += ["--server", open_server.url, "--key", open_server.key]
        run = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    made = mill("add", listening.receiver.url("/cli"), "--type", "task.succeeded", "--name", "mine")
    tested = mill("test", made["id"])
    assert (tested["state"], tested["status"]) == ("delivered", 200)
    vouched(made["secret"], listening.at("/cli")[0])
    [listed] = [e for e in mill("ls")["data"] if e["id"] == made["id"]]
    assert (listed["name"], listed["state"], listed["types"]) == ("mine", "active", ["task.succeeded"])

    assert mill("pause", made["id"])["state"] == "paused"
    ping(http)
    assert mill("resume", made["id"])["state"] == "active"
    assert mill("replay", made["id"], "--first", tested["event_id"], "--missed")["count"] == 1
    until(lambda: len(listening.at("/cli")) == 2, what="what was missed")

    assert [d["type"] for d in mill("deliveries", made["id"])["data"]] == ["task.succeeded", "endpoint.test"]
    again = mill("replay", tested["id"])
    assert (again["replay_of"], again["event_id"]) == (tested["id"], tested["event_id"])
    [post] = mill("log", tested["id"])["log"]
    assert post["status"] == 200
    assert mill("rotate", made["id"])["secret"] != made["secret"]
    assert mill("rm", made["id"]) == {"removed": [made["id"]]}
    assert http.get(f"/mill/endpoints/{made['id']}").status_code == 404
