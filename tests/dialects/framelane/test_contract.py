"""What the contract says of errors, keys, signing up, lists, idempotency, uploads, imports and usage."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.dialects.framelane.conftest import SOURCE, Caller, ours

from mediamill.store.expiry import Expiry
from mediamill.store.upkeep import Upkeep

TEXT = {"type": "text", "text": "Hill", "duration": 2}
CLIP = "https://media.example.net/beach.mp4"


# Errors and keys (1, 2, 12)


async def test_fewer_calls_a_minute_are_told_when_to_come_again(limited: Caller) -> None:
    answers = [await limited("GET", "/tasks") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].json()["error"]["code"] == "rate_limited"
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
    open = await limited.good("GET", "/capabilities", headers={"authorization": None})
    assert open["rate_limits"] == {"requests_per_minute": 3}


SCHEDULED = """
INSERT INTO schedules (id, project_id, dialect, identifier, cron, next_at)
VALUES ('s1', $1, 'mill', 'prompt', '* * * * *', now() + interval '1 hour')
"""


async def test_an_administrators_workspace_is_not_deleted_and_another_is(call: Caller) -> None:
    admin = Caller(call.mill, "mill_key_of_the_tests")
    await admin.error(403, "forbidden", "DELETE", "/workspace")
    job = await call.tasked()
    renamed = await call.good("PATCH", "/workspace", {"name": "Night shift"})
    assert renamed == await call.good("GET", "/workspace")
    assert renamed["name"] == "Night shift"
    assert {"id", "name", "created_at", "email", "email_verified", "plan", "plan_status"} <= set(renamed)
    assert (renamed["email"], renamed["email_verified"], renamed["plan_status"]) == (None, False, "active")
    for name in ("", "x" * 256, None, 7):
        await call.error(422, "invalid_request", "PATCH", "/workspace", {"name": name})

    pool = call.mill.bench.pool
    project = await pool.fetchval("SELECT project_id FROM tasks WHERE id = $1", ours(job["id"]))
    kept = await call.mill.bench.file(project=project)
    await pool.execute(SCHEDULED, project)

    assert (await call("DELETE", "/workspace")).status_code == 204

    await call.error(401, "unauthorized", "GET", "/workspace")
    state = await pool.fetchval("SELECT state FROM tasks WHERE id = $1", ours(job["id"]))
    assert state == "cancelled"
    assert await pool.fetchval("SELECT count(*) FROM schedules WHERE project_id = $1 AND next_at IS NULL", project) == 1
    assert await pool.fetchval("SELECT expires_at < now() + interval '8 days' FROM files WHERE id = $1", kept)


async def test_keys_are_made_shown_once_and_refused_as_soon_as_they_are_revoked(call: Caller) -> None:
    made = await call.good("POST", "/api-keys", {"name": "CI"}, status=201)
    assert set(made) == {"id", "name", "key_prefix", "created_at", "last_used_at", "revoked_at", "key"}
    assert made["id"].startswith("key_")
    assert made["key"].startswith("fl_")
    assert made["key"].startswith(made["key_prefix"].rstrip("…."))
    other = Caller(call.mill, made["key"])
    mine = (await call.good("GET", "/workspace"))["id"]
    assert (await other.good("GET", "/workspace"))["id"] == mine

    assert (await call("DELETE", f"/api-keys/{made['id']}")).status_code == 204

    await other.error(401, "unauthorized", "GET", "/workspace")
    listed = (await call.good("GET", "/api-keys"))["data"]
    assert listed[0]["id"] == made["id"]
    assert listed[0]["revoked_at"]
    assert listed[0]["last_used_at"]
    assert all("key" not in one for one in listed)
    await call.error(404, "not_found", "DELETE", "/api-keys/key_01KH2Z5QF3W8M6C1V0T9R4XYBA")
    for name in ("", "x" * 256, None):
        await call.error(422, "invalid_request", "POST", "/api-keys", {"name": name})


async def test_another_workspaces_key_cannot_be_revoked(call: Caller, stranger: Caller) -> None:
    made = await call.good("POST", "/api-keys", {"name": "CI"}, status=201)

    await stranger.error(404, "not_found", "DELETE", f"/api-keys/{made['id']}")


class TestSignup:
    """Signing up; the code is where the operator reads it."""

    async def signed(self, call: Caller, log: Any, email: str) -> tuple[Caller, str]:
        body = {"workspace_name": "Dawn", "email": email}
        made = await call.good("POST", "/signup", body, status=201, headers={"authorization": None})
        assert set(made) == {"api_key", "workspace", "email_verified"}
        assert made["email_verified"] is False
        assert made["api_key"].startswith("fl_")
        assert (made["workspace"]["name"], made["workspace"]["email"]) == ("Dawn", email)
        [code] = [one["code"] for one in log.entries if one.get("email") == email]
        assert len(code) == 6
        return Caller(call.mill, made["api_key"]), code

    async def verify(self, call: Caller, email: str, code: str) -> int:
        body = {"email": email, "otp_code": code}
        return (await call("POST", "/signup/verify", body, headers={"authorization": None})).status_code

    async def test_a_key_sleeps_until_its_code_comes_back(self, call: Caller, log: Any) -> None:
        fresh, code = await self.signed(call, log, "a@dawn.example")
        error = await fresh.error(403, "email_not_verified", "GET", "/workspace")
        assert "/v1/signup/verify" in error["message"]

        assert await self.verify(call, "a@dawn.example", other(code)) == 422
        assert await self.verify(call, "A@Dawn.example", code) == 200

        workspace = await fresh.good("GET", "/workspace")
        assert (workspace["email"], workspace["email_verified"]) == ("a@dawn.example", True)
        assert await self.verify(call, "a@dawn.example", code) == 422  # used up

    async def test_a_code_is_guessed_five_times_and_no_more(self, call: Caller, log: Any) -> None:
        fresh, code = await self.signed(call, log, "b@dawn.example")

        assert [await self.verify(call, "b@dawn.example", other(code)) for _ in range(5)] == [422] * 5
        assert await self.verify(call, "b@dawn.example", code) == 422

        await fresh.error(403, "email_not_verified", "GET", "/workspace")

    async def test_who_signs_up_again_and_again_guesses_no_more_often(self, call: Caller, log: Any) -> None:
        pool = call.mill.bench.pool
        _, code = await self.signed(call, log, "d@dawn.example")
        for n in range(10):
            await self.signed(call, log, f"d{n}@dawn.example")
        await pool.execute("UPDATE signups SET tries = 5 WHERE email LIKE 'd_@dawn.example'")

        assert await self.verify(call, "d@dawn.example", code) == 429

        await pool.execute("UPDATE signups SET created_at = now() - interval '16 minutes' WHERE tries = 5")
        assert await self.verify(call, "d@dawn.example", code) == 200

    async def test_a_code_that_comes_late_is_none(self, call: Caller, log: Any) -> None:
        _, code = await self.signed(call, log, "c@dawn.example")
        late = "UPDATE signups SET created_at = now() - interval '16 minutes' WHERE email = 'c@dawn.example'"
        await call.mill.bench.pool.execute(late)

        assert await self.verify(call, "c@dawn.example", code) == 422

    async def test_what_is_no_name_or_address_is_422(self, call: Caller) -> None:
        for body in ({"workspace_name": "", "email": "a@b.c"}, {"workspace_name": "x", "email": "nowhere"}, {}):
            await call.error(422, "invalid_request", "POST", "/signup", body, headers={"authorization": None})


def other(code: str) -> str:
    return f"{(int(code) + 1) % 1_000_000:06}"


# Lists (4.1, 13)


async def _made_webhook(call: Caller, number: int) -> str:
    made = await call.good("POST", "/webhooks", {"url": f"https://hooks.example.net/{number}"}, status=201)
    return str(made["id"])


async def _made_key(call: Caller, number: int) -> str:
    return str((await call.good("POST", "/api-keys", {"name": str(number)}, status=201))["id"])


async def _made_project(call: Caller, number: int) -> str:
    return str((await call.good("POST", "/projects", {"name": str(number)}, status=201))["id"])


async def _made_render(call: Caller, number: int) -> str:
    return str((await call.good("POST", "/renders", {"elements": [TEXT]}, status=202))["id"])


async def _made_task(call: Caller, number: int) -> str:
    return str((await call.tasked())["id"])


async def _made_asset(call: Caller, number: int) -> str:
    upload = await call.good("POST", "/uploads", {"content_type": "audio/wav"}, status=201)
    sound = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0"
    assert (await call.mill.http.put(upload["upload_url"], content=sound)).status_code == 200
    found: str = upload["source_url"].rpartition("/")[2].partition(".")[0]
    return found


LISTS: dict[str, Callable[[Caller, int], Awaitable[str]]] = {
    "/tasks": _made_task,
    "/renders": _made_render,
    "/projects": _made_project,
    "/webhooks": _made_webhook,
    "/api-keys": _made_key,
    "/workspace/assets": _made_asset,
}


@pytest.mark.parametrize("path", LISTS)
async def test_every_list_is_walked_newest_first_in_the_same_envelope(call: Caller, path: str) -> None:
    made = [await LISTS[path](call, number) for number in range(5)]
    seen: list[str] = []
    query = "?limit=2"
    while True:
        page = await call.good("GET", f"{path}{query}")
        assert set(page) == {"data", "next_cursor", "has_more"}
        assert page["has_more"] is (page["next_cursor"] is not None)
        assert len(page["data"]) <= 2
        seen += [one["id"] for one in page["data"]]
        if not page["has_more"]:
            break
        await LISTS[path](call, 99)  # is not shown to whoever is on his way
        query = f"?limit=2&cursor={page['next_cursor']}"
    assert [id for id in seen if id in made] == made[::-1]
    assert len(seen) == len(set(seen))
    for limit in ("0", "201", "x"):
        await call.error(422, "invalid_request", "GET", f"{path}?limit={limit}")
    given = (await call.good("GET", f"{path}?limit=1"))["next_cursor"]
    wrong = ["nonsense", "", given[1:], given + "A", given.swapcase(), *(given[:end] for end in range(1, len(given)))]
    wrong += [given[:at] + ("A" if given[at] != "A" else "B") + given[at + 1 :] for at in range(len(given))]
    for cursor in random.Random(path).sample(wrong, 20):
        await call.error(400, "invalid_request", "GET", f"{path}?cursor={cursor}")


async def test_renders_are_listed_by_status_and_the_consoles_page_is_ignored(call: Caller) -> None:
    made = await _made_render(call, 0)
    await call("DELETE", f"/renders/{await _made_render(call, 1)}")

    found = await call.good("GET", "/renders?status=queued&page=3")

    assert [one["id"] for one in found["data"]] == [made]
    await call.error(422, "invalid_request", "GET", "/renders?status=done")


# Idempotency (13)


async def test_only_a_render_that_copies_its_sources_first_is_ingesting(call: Caller) -> None:
    async def made(**given: Any) -> Any:
        clip = {"type": "video", "source_url": "https://media.example.net/a.mp4", "out_point": 1}
        return await call.good("POST", "/renders", {"elements": [clip], **given}, status=202)

    async def listed(status: str) -> list[str]:
        found = (await call.good("GET", f"/renders?status={status}"))["data"]
        assert {one["status"] for one in found} <= {status}
        return [one["id"] for one in found]

    plain = [await made(), await made(ingest_external=False), await made(ingest_external=None)]
    copying = await made(ingest_external=True)
    assert [one["status"] for one in (*plain, copying)] == ["queued"] * 3 + ["ingesting"]
    upload = await call.good("POST", "/renders", {"elements": []}, status=202)
    assert await listed("queued") == [upload["id"], *(one["id"] for one in reversed(plain))]
    assert await listed("ingesting") == [copying["id"]]

    await call.mill.start(ours(plain[0]["id"]))
    fetching = await call.good("GET", f"/renders/{plain[0]['id']}")
    assert (fetching["status"], fetching["progress_stage"]) == ("processing", "downloading")
    await call.fetched(plain[1]["id"], mime="video/mp4")
    await call.fetched(copying["id"], mime="video/mp4")
    between = await call.good("GET", f"/renders/{plain[1]['id']}")
    assert (between["status"], between["progress_percent"]) == ("processing", 0)
    assert await listed("processing") == [plain[1]["id"], plain[0]["id"]]
    assert await listed("queued") == [upload["id"], copying["id"], plain[2]["id"]]
    assert await listed("ingesting") == []
    first = await call.good("GET", "/renders?status=queued&limit=2")
    rest = await call.good("GET", f"/renders?status=queued&limit=2&cursor={first['next_cursor']}")
    assert [one["id"] for one in (*first["data"], *rest["data"])] == [upload["id"], copying["id"], plain[2]["id"]]
    assert (first["has_more"], rest["has_more"], rest["next_cursor"]) == (True, False, None)


async def test_a_key_is_forgotten_after_a_day_and_is_each_routes_own(call: Caller) -> None:
    headers = {"idempotency-key": "k"}
    first = await call("POST", "/renders", {"elements": [TEXT]}, headers=headers)
    again = await call("POST", "/renders", {"elements": [TEXT]}, headers=headers)
    assert (first.status_code, again.status_code) == (202, 200)
    await call.error(409, "conflict", "POST", "/renders", {"elements": []}, headers=headers)
    assert (await call("POST", "/tasks/transcribe", {"source_url": SOURCE}, headers=headers)).status_code == 202

    await call.mill.bench.pool.execute("UPDATE idempotency SET created_at = now() - interval '25 hours'")
    await Upkeep(call.mill.bench.pool).prune()

    later = await call("POST", "/renders", {"elements": []}, headers=headers)
    assert later.status_code == 202
    assert later.json()["id"] != first.json()["id"]


async def test_a_replay_shows_the_job_as_it_is_now(call: Caller) -> None:
    headers = {"idempotency-key": "now"}
    made = (await call("POST", "/renders", {"elements": [TEXT]}, headers=headers)).json()
    await call("DELETE", f"/renders/{made['id']}")

    again = await call("POST", "/renders", {"elements": [TEXT]}, headers=headers)

    assert (again.status_code, again.json()["id"], again.json()["status"]) == (200, made["id"], "cancelled")


# Uploads, imports, usage (9, 12)


async def test_a_job_whose_upload_never_comes_fails_when_the_url_has_run_out(call: Caller) -> None:
    upload = await call.good("POST", "/uploads", {"content_type": "video/mp4"}, status=201)
    clip = {"type": "video", "source_url": upload["source_url"]}
    made = await call.good("POST", "/renders", {"elements": [clip]}, status=202)
    past = "UPDATE tasks SET expires_at = now() - interval '1 second' WHERE id = $1"
    await call.mill.bench.pool.execute(past, ours(made["id"]))

    assert await Expiry(call.mill.bench.pool).expire() >= 1

    ended = await call.good("GET", f"/renders/{made['id']}")
    assert (ended["status"], ended["error"]["code"]) == ("failed", "source_not_found")


async def test_an_import_says_how_it_went(call: Caller, stranger: Caller) -> None:
    made = await call.good("POST", "/imports", {"url": SOURCE, "filename": "a.mp4"}, status=202)
    assert (made["status"], made["source_url"], made["error"]) == ("processing", None, None)
    assert made["id"].startswith("import_")
    await call.mill.fail(ours(made["id"]), code="source_not_found", message="The source answered 404.")

    found = await call.good("GET", f"/imports/{made['id']}")

    assert (found["status"], found["source_url"], found["error"]["code"]) == ("failed", None, "source_not_found")
    await stranger.error(404, "not_found", "GET", f"/imports/{made['id']}")
    job = await call.tasked()
    await call.error(404, "not_found", "GET", f"/imports/import_{job['id'][5:]}")
    for body in ({}, {"url": 7}, {"url": "ftp://a.example/b"}):
        error = await call.error(422, "invalid_request", "POST", "/imports", body)
        assert error["details"]["fields"][0]["path"] == "url"


async def test_usage_counts_completed_renders_by_their_minutes_and_tasks(call: Caller) -> None:
    for seconds in (30, 90):
        render = await _made_render(call, 0)
        await call.mill.succeed(ours(render), mime="video/mp4", details={"duration_s": seconds})
    await _made_render(call, 0)
    await call.tasked()

    used = await call.good("GET", "/workspace/usage")

    assert set(used) == {
        *("period_start", "period_end", "render_minutes", "task_count", "egress_bytes"),
        *("render_minutes_limit", "renders_count"),
    }
    assert (used["render_minutes"], used["task_count"], used["renders_count"]) == (2, 1, 2)
    assert used["period_start"] < used["period_end"]
    assert used["render_minutes_limit"] is None
    for period in ("7d", "30d", "90d"):
        assert (await call.good("GET", f"/workspace/usage?period={period}"))["render_minutes"] == 2
    await call.error(422, "invalid_request", "GET", "/workspace/usage?period=1y")


async def test_usage_counts_the_bytes_that_links_served(call: Caller, stranger: Caller) -> None:
    made = await _made_render(call, 0)
    await call.mill.succeed(ours(made), b"0123456789" * 100, mime="video/mp4")
    assert (await call.good("GET", "/workspace/usage"))["egress_bytes"] == 0

    link = (await call("GET", f"/renders/{made}/download")).headers["location"]
    await call.mill.http.get(link)
    await call.mill.http.get(link, headers={"range": "bytes=0-9"})

    assert (await call.good("GET", "/workspace/usage"))["egress_bytes"] == 1010
    await call.mill.http.get(link)
    assert (await call.good("GET", "/workspace/usage?period=7d"))["egress_bytes"] == 2010
    assert (await stranger.good("GET", "/workspace/usage"))["egress_bytes"] == 0


async def test_waiting_holds_nobody_up(call: Caller) -> None:
    made = await call.tasked()
    waiting = [asyncio.create_task(call("GET", f"/tasks/{made['id']}?wait=20")) for _ in range(40)]
    await asyncio.sleep(0)

    assert (await asyncio.wait_for(call("GET", "/workspace"), 15)).status_code == 200
    await call("DELETE", f"/tasks/{made['id']}")

    done = await asyncio.wait_for(asyncio.gather(*waiting), 15)
    assert {answer.json()["status"] for answer in done} == {"cancelled"}
