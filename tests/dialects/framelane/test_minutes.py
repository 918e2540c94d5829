"""Render minutes that a server gives a workspace for a month: counted, kept to by all at once, and given back."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.dialects.framelane.conftest import Caller, ours
from tests.support import inprocess
from tests.support.database import Postgres
from tests.support.inprocess import InProcess

from mediamill import config
from mediamill.core.errors import Misconfigured
from mediamill.core.tasks import State

CLIP = {"type": "video", "source_url": "https://media.example.net/beach.mp4"}


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def short(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InProcess]:
    """A server that gives half a minute a month."""
    settings = {"framelane_render_minutes": 0.5, "framelane_plan": "pro"}
    async with inprocess.fresh(postgres, tmp_path_factory.mktemp("d"), **settings) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def few(short: InProcess) -> Caller:
    return Caller(short, await short.token(f"p{secrets.token_hex(6)}"))


def scene(seconds: float, **more: Any) -> dict[str, Any]:
    return {"elements": [{"type": "text", "text": "Hi", "duration": seconds}], **more}


async def ended(call: Caller, render: Any, state: State, **details: Any) -> None:
    taken = await call.mill.start(ours(render["id"]))
    assert await call.mill.bench.finish(taken, state, details=details)


async def test_a_render_that_does_not_fit_is_402_and_the_rest_still_works(few: Caller) -> None:
    first = await few.good("POST", "/renders", scene(20), status=202)
    await ended(few, first, State.SUCCEEDED, duration_s=20.0)

    error = await few.error(402, "quota_exceeded", "POST", "/renders", scene(11))
    assert "0.17 of the 0.5 render minutes of this month are left" in error["message"]
    assert (await few.good("POST", "/preview", {**scene(11), "dry_run": True}))["ok"]
    project = await few.good("POST", "/projects", {"render_request": scene(11)}, status=201)
    await few.error(402, "quota_exceeded", "POST", f"/projects/{project['id']}/renders")
    await few.tasked()
    await few.good("POST", "/renders", scene(10), status=202)
    await few.error(402, "quota_exceeded", "POST", "/renders", scene(0.1))
    await few.error(402, "quota_exceeded", "POST", "/renders", scene(1, output_format="png"))
    used = await few.good("GET", "/workspace/usage")
    assert (used["render_minutes"], used["render_minutes_limit"]) == (pytest.approx(0.3333, abs=1e-4), 0.5)
    assert (await few.good("GET", "/workspace"))["plan"] == "pro"


async def test_of_many_at_once_no_more_pass_than_fit(few: Caller, stranger: Caller) -> None:
    answers = await asyncio.gather(*(few("POST", "/renders", scene(7)) for _ in range(12)))

    assert sorted(answer.status_code for answer in answers) == [202] * 4 + [402] * 8
    assert "retry-after" not in next(answer for answer in answers if answer.status_code == 402).headers


async def test_what_failed_or_was_cancelled_is_given_back(few: Caller) -> None:
    first = await few.good("POST", "/renders", scene(30), status=202)
    await few.error(402, "quota_exceeded", "POST", "/renders", scene(30))
    await few.good("DELETE", f"/renders/{first['id']}", status=200)
    second = await few.good("POST", "/renders", scene(30), status=202)
    await ended(few, second, State.FAILED)

    await few.good("POST", "/renders", scene(30), status=202)


async def test_a_repeat_is_answered_and_a_refused_request_keeps_its_key(few: Caller) -> None:
    key = {"idempotency-key": "one"}
    first = await few.good("POST", "/renders", scene(30), status=202, headers=key)
    other = {"idempotency-key": "two"}
    await few.error(402, "quota_exceeded", "POST", "/renders", scene(5), headers=other)

    assert (await few.good("POST", "/renders", scene(30), status=200, headers=key))["id"] == first["id"]
    await few.good("DELETE", f"/renders/{first['id']}", status=200)
    await few.good("POST", "/renders", scene(5), status=202, headers=other)


async def test_a_clip_whose_length_nobody_knows_yet_takes_the_rest_until_it_has_ended(few: Caller) -> None:
    first = await few.good("POST", "/renders", {"elements": [CLIP]}, status=202)
    assert "used up or under way" in (await few.error(402, "quota_exceeded", "POST", "/renders", scene(1)))["message"]
    await few.fetched(first["id"], mime="video/mp4")
    await ended(few, first, State.SUCCEEDED, duration_s=12.0)

    await few.good("POST", "/renders", scene(18), status=202)


async def test_last_months_renders_do_not_count(few: Caller) -> None:
    old = await few.good("POST", "/renders", scene(30), status=202)
    await ended(few, old, State.SUCCEEDED, duration_s=30.0)
    await few.error(402, "quota_exceeded", "POST", "/renders", scene(1))
    before = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    earlier = "UPDATE tasks SET created_at = $2::timestamptz - interval '1 s' WHERE id = $1"
    await few.mill.bench.pool.execute(earlier, ours(old["id"]), before)

    await few.good("POST", "/renders", scene(30), status=202)


async def test_the_native_api_is_held_to_them_too(few: Caller) -> None:
    async def render(seconds: float) -> httpx.Response:
        body = {"kind": "render", "options": {"elements": [{"type": "text", "text": "Hi", "duration": seconds}]}}
        headers = {"authorization": f"Bearer {few.token}"}
        return await few.mill.http.post("/mill/tasks", json=body, headers=headers)

    assert (await render(25)).status_code == 201
    assert (await render(25)).status_code == 429
    await few.error(402, "quota_exceeded", "POST", "/renders", scene(6))


def test_a_history_shorter_than_a_month_would_forget_them(tmp_path: Path) -> None:
    assert config.load(data=tmp_path, framelane_render_minutes=25, history_days=32).history_days == 32

    with pytest.raises(Misconfigured, match="HISTORY_DAYS"):
        config.load(data=tmp_path, framelane_render_minutes=25, history_days=7)
