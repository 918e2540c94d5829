"""Which pages of other origins may use signed URLs and tus from a browser, and what they may read of the answers."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from mediamill.web.cors import Cors

HERE, THERE = "https://app.example.com", "https://evil.example.com"


async def answering(scope: Any, receive: Any, send: Any) -> None:
    """Every answer allows all, as those of stored bytes do."""
    headers = [(b"access-control-allow-origin", b"*"), (b"etag", b'"1"')]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def ask(origins: str, path: str, origin: str, method: str = "OPTIONS") -> httpx.Headers:
    transport = httpx.ASGITransport(app=Cors(answering, origins))
    async with httpx.AsyncClient(transport=transport, base_url="http://mill") as http:
        return (await http.request(method, path, headers={"origin": origin})).headers


@pytest.mark.parametrize("path", ["/upload/f1?signature=a", "/download/f1?signature=a"])
async def test_pages_of_any_origin_may_use_a_signed_url(path: str) -> None:
    said = await ask("*", path, THERE)

    assert said.get_list("access-control-allow-origin") == ["*"]
    assert "PUT" in said["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in said
    assert int(said["access-control-max-age"]) > 0


async def test_where_origins_are_named_others_are_let_nowhere() -> None:
    for path in ("/upload/f1", "/download/f1", "/mill/uploads", "/mill/uploads/u1"):
        for method in ("OPTIONS", "PATCH"):
            mine = await ask(f"{HERE}, https://b.example.com/", path, HERE, method)
            other = await ask(HERE, path, THERE, method)
            assert mine.get_list("access-control-allow-origin") == [HERE]
            assert "access-control-allow-origin" not in other
            assert mine["vary"] == other["vary"] == "Origin"


async def test_tus_shows_pages_what_they_need_to_go_on_and_is_open_to_named_origins_alone() -> None:
    said = await ask(HERE, "/mill/uploads", HERE, "POST")
    shown = said["access-control-expose-headers"].split(", ")
    assert {"Location", "Tus-Resumable", "Upload-Offset", "Mill-File-Id"} <= set(shown)

    # Of the app beneath, untouched: nothing is added for all the world.
    assert "access-control-expose-headers" not in await ask("*", "/mill/uploads", HERE, "POST")


async def test_all_else_is_left_to_the_dialects() -> None:
    assert "access-control-allow-methods" not in await ask("*", "/mill/tasks", HERE)
    assert (await ask(HERE, "/framelane/v1/tasks", THERE))["access-control-allow-origin"] == "*"
