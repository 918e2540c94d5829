"""What endpoints send that call themselves OpenAI-compatible, and are so more or less."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from tests.support.llm import Says, answering

from mediamill.agent import chat
from mediamill.agent.context import Endpoint
from mediamill.agent.journal import Answer
from mediamill.core.errors import LlmBusy


@pytest_asyncio.fixture(autouse=True)
async def without_connections() -> AsyncIterator[None]:
    """Those of a test go with its endpoint."""
    yield
    await chat.close()


def chunk(delta: Any, finish: Any = None, **more: Any) -> str:
    """One event of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return json.dumps({"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [choice], **more})


def used(read: Any, wrote: Any) -> str:
    """The event that counts."""
    return json.dumps({"id": "c", "choices": [], "usage": {"prompt_tokens": read, "completion_tokens": wrote}})


def called(name: Any, arguments: Any, *, id: Any = "a", index: Any = 0) -> Any:
    """A delta with a whole call."""
    return {"tool_calls": [{"index": index, "id": id, "function": {"name": name, "arguments": arguments}}]}


async def asked(*chunks: str) -> Answer:
    """The answer that these events make."""
    async with answering(lambda messages: Says(chunks=chunks)) as llm:
        return await chat.ask(
            Endpoint(base_url=llm.url, api_key=None, model="m", timeout_s=30),
            model="m",
            messages=[{"role": "user", "content": "Say hi."}],
            functions=[],
            most_tokens=None,
            on_text=lambda text: None,
        )


@pytest.mark.parametrize(
    "usage",
    [used(10**18, 1), used(3_000_000_000, 1), used(10**30, 1), used(-5, 1), used(1.5, 2), used("x", 1), used(True, 1)],
)
async def test_counts_that_nobody_can_have_counted_are_worked_out_instead(usage: str) -> None:
    answer = await asked(chunk({"content": "hi"}, "stop"), usage)

    assert answer.text == "hi"
    assert not answer.counted
    assert 0 < answer.prompt_tokens < 100
    assert 0 < answer.completion_tokens < 100


async def test_counts_are_taken_as_they_are() -> None:
    answer = await asked(chunk({"content": "hi"}, "stop"), used(812, None))

    assert (answer.prompt_tokens, answer.completion_tokens, answer.counted) == (812, 0, True)


@pytest.mark.parametrize(
    "bad",
    [
        chunk({"content": ["a", {"b": 1}]}),
        chunk({"content": 5}),
        chunk("text"),
        chunk({"content": "a"}, 7),
        chunk({"content": "a"}, model=[1]),
        chunk(called(5, "{}")),
        chunk(called("list_kinds", {"a": 1})),
        chunk(called("list_kinds", "{}", id=5)),
        chunk(called("list_kinds", "{}", index="z")),
        json.dumps({"choices": "abc"}),
        "5",
        "null",
        "[1, 2]",
    ],
)
async def test_what_is_no_chat_completion_is_the_endpoints_fault(bad: str) -> None:
    with pytest.raises(LlmBusy, match="no chat completion"):
        await asked(chunk({"content": "hi"}), bad, chunk({}, "stop"))


def pieces(*deltas: Any) -> Sequence[str]:
    return [*(chunk(delta) for delta in deltas), chunk({}, "tool_calls")]


async def test_calls_come_in_pieces_or_whole_with_or_without_places() -> None:
    """As OpenAI sends them, as some send several whole ones of one place, and as some send no place and no id."""
    in_pieces = await asked(
        *pieces(
            called("list_files", "", id="a", index=0),
            called(None, '{"li', id=None, index=0),
            called("list_kinds", "", id="b", index=1),
            called(None, 'mit":1}', id=None, index=0),
            called(None, "{}", id=None, index=1),
        )
    )
    one_place = await asked(*pieces(called("list_files", '{"limit":1}', id="a"), called("list_kinds", "{}", id="b")))
    no_place = await asked(*pieces(called("list_files", '{"limit":1}', id=None, index=None)))

    assert in_pieces.calls == one_place.calls == [("a", "list_files", '{"limit":1}'), ("b", "list_kinds", "{}")]
    assert no_place.calls == [("call_0", "list_files", '{"limit":1}')]
