"""What the page of a run makes of its steps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.runs import prompt, run, schedule, step
from tests.support.tasks import at, attempt, task

from mediamill.core.errors import Invalid
from mediamill.core.prompts import Status, StepTotals
from mediamill.core.steps import Chunk
from mediamill.core.tasks import Failure, Origin, State
from mediamill.dashboard import files, traces
from mediamill.dashboard.firings import name_of
from mediamill.dashboard.letters import Gaps
from mediamill.dashboard.merging import merged
from mediamill.dashboard.prompts import filter_of
from mediamill.dashboard.render import Renderer

HOSTILE = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def renderer() -> Renderer:
    made = Renderer()
    made.add(preview_of=files.preview_of, known=files.known, named=name_of, **traces.WORDS)
    return made


def shown(renderer: Renderer, **given: Any) -> str:
    return renderer.piece("_prompt.html", "step", traces.show(step(**given)))


def test_prompts_answers_calls_results_and_errors_stay_text(renderer: Renderer) -> None:
    error = Failure(code="e", family="source", message=HOSTILE, name=HOSTILE, stack=HOSTILE)
    failed = run(
        state=State.FAILED, error=error, attempts=[attempt(1, 1, 2, "failed", error=error)], metadata={"m": HOSTILE},
        options={"prompt": HOSTILE, "model": HOSTILE, "max_steps": 3}, details={"output": {"text": HOSTILE}},
        extra={"prompt": {"payload": HOSTILE}}, origin=Origin(identifier=HOSTILE, tags=[HOSTILE], schedule_id="s1"),
        children=[prompt(id="t2", options={"prompt": HOSTILE})], created=[task(id="t3", inputs=[], kind=HOSTILE)],
    )  # fmt: skip
    answer = {"content": HOSTILE, "calls": [["c", HOSTILE, HOSTILE]], "model": HOSTILE}

    pieces = [
        shown(renderer, name=HOSTILE, result=answer, request={"messages": [{"role": HOSTILE, "content": HOSTILE}]}),
        shown(renderer, kind="call", name=HOSTILE, request={"arguments": {HOSTILE: HOSTILE}}, result={"id": HOSTILE}),
        shown(renderer, kind="call", name="create_task", request={"arguments": HOSTILE}, result={"id": HOSTILE}),
        shown(renderer, state="failed", result={"error": {"name": HOSTILE, "message": HOSTILE}}),
        renderer.piece("_prompt.html", "summary", failed, at(9)),
        renderer.piece("_prompt.html", "outcome", failed),
        renderer.piece("_prompt.html", "attempts", failed.task),
        renderer.piece("_prompt.html", "related", failed, at(9)),
        renderer.piece("_prompt.html", "details", failed.task, {"s1": schedule(title=HOSTILE)}),
        renderer.piece("_prompt.html", "rows", [failed.task], {"s1": schedule(title=HOSTILE)}, at(9)),
    ]

    for piece in pieces:
        assert "alert" in piece
        assert "<script" not in piece


def test_a_step_of_somebody_elses_runner_is_shown_whatever_it_holds(renderer: Renderer) -> None:
    odd: list[Any] = [None, 7, "text", ["a", 1], {"content": 3}, {"calls": "x"}, {"calls": [1, ["a"]]}, {"error": []}]
    for result in odd:
        for state in ("begun", "done", "failed"):
            for kind in ("model", "call"):
                for request in ({}, {"messages": [1, {}]}, {"messages": "x"}, {"arguments": None}):
                    assert "step-1" in shown(renderer, kind=kind, state=state, result=result, request=request)


def test_a_model_call_shows_what_it_was_told_said_asked_for_and_cost(renderer: Renderer) -> None:
    result = {"content": "I look.", "calls": [["c1", "list_files", '{"limit": 5}']], "model": "m"}
    html = shown(renderer, result=result, request={"messages": [{"role": "user", "content": "Do it."}]})

    for part in ("Do it.", "I look.", "list_files", "100 + 20 tokens", "0.5 ¢", "2.0 s"):
        assert part in html
    assert "at work" not in html


def test_an_answer_under_way_shows_how_far_it_is(renderer: Renderer) -> None:
    html = shown(renderer, state="begun", finished_at=None, result={"content": "So f"})

    assert 'aria-busy="true">So f<' in html
    assert "at work" in html


def test_a_function_call_shows_arguments_and_result_and_leads_to_what_it_made(renderer: Renderer) -> None:
    call: dict[str, Any] = {
        "kind": "call",
        "name": "create_task",
        "request": {"id": "c", "arguments": {"kind": "ping"}},
    }

    assert 'href="/ui/tasks/t9"' in shown(renderer, **call, result={"id": "t9"})
    assert 'href="/ui/prompts/t9"' in shown(renderer, **{**call, "name": "run_prompt"}, result={"id": "t9"})
    refused = shown(renderer, **call, state="failed", result={"error": "kind: is none."})
    assert "kind: is none." in refused
    assert "/ui/tasks" not in refused


def test_what_is_too_long_for_a_page_is_cut() -> None:
    found = traces.show(step(result={"content": "x" * 50_000}))

    assert len(found.text) < traces.MOST_SHOWN + 100
    assert found.text.endswith("30,000 letters more")


def test_tokens_and_cost_count_the_attempts_that_were_lost() -> None:
    found = run(
        steps=StepTotals(prompt_tokens=300, completion_tokens=40, cost_cents=2.0),
        details={"usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}, "cost_cents": 1.0},
    )

    assert traces.tokens_of(found) == (300, 40)
    assert traces.cents_of(found) == 2.0


@pytest.mark.parametrize(
    ("cents", "said"), [(0, "0 ¢"), (0.0042, "0.0042 ¢"), (0.5, "0.5 ¢"), (12.34, "12.3 ¢"), (250, "$2.50")]
)
def test_cost_in_words(cents: float, said: str) -> None:
    assert traces.cost(cents) == said


def test_attempts_show_the_name_and_the_stack_of_an_error(renderer: Renderer) -> None:
    error = Failure(code="c", family="internal", message="It broke.", name="KeyError", stack="at line 3")
    html = renderer.piece("_prompt.html", "attempts", prompt(attempts=[attempt(1, 1, 2, "failed", error=error)]))

    for part in ("KeyError", "It broke.", "at line 3"):
        assert part in html


@pytest.mark.parametrize(("state", "cancels"), [(State.RUNNING, True), (State.FAILED, False), (State.DELAYED, True)])
def test_a_run_can_be_cancelled_until_it_has_ended_and_replayed_always(
    renderer: Renderer, state: State, cancels: bool
) -> None:
    html = renderer.piece("_prompt.html", "summary", run(state=state), at(5))

    assert ("/ui/prompts/t1/cancel" in html) is cancels
    assert "/ui/prompts/t1/replay" in html


def test_the_filter_of_an_address() -> None:
    found = filter_of({"status": "failed,timed_out", "tag": "a, b", "schedule": "s1"})

    assert found.statuses == [Status.FAILED, Status.TIMED_OUT]
    assert (found.tags, found.schedule_ids, found.identifiers) == (["a", "b"], ["s1"], None)
    with pytest.raises(Invalid):
        filter_of({"status": "odd"})


async def test_streams_are_read_as_one_and_closed_with_their_reader() -> None:
    closed = []
    gate = asyncio.Event()

    async def stream(name: str, *items: int) -> AsyncIterator[int]:
        try:
            for item in items:
                if item == 3:
                    await gate.wait()
                yield item
        finally:
            closed.append(name)

    found = []
    async for item in merged(stream("a", 1, 3), stream("b", 2)):
        found.append(item)
        if len(found) == 2:
            gate.set()
    assert sorted(found[:2]) == [1, 2]
    assert found[2:] == [3]

    reader = merged(stream("c", 1, 2), stream("d", 1, 2))
    await anext(reader)
    await reader.aclose()  # type: ignore[attr-defined]
    assert sorted(closed) == ["a", "b", "c", "d"]


def test_letters_that_did_not_come_are_made_up_for_once_they_are_kept() -> None:
    def said(text: str) -> list[Any]:
        return [step(1), step(2, state="begun", finished_at=None, result={"content": text})]

    gaps = Gaps()
    for offset, text in ((3, "def"), (6, "gh"), (10, "kl")):
        gaps.chunk(Chunk(task_id="t1", number=2, offset=offset, text=text))

    assert gaps.any
    assert gaps.filled(said("ab")) == []
    assert [(chunk.offset, chunk.text) for chunk in gaps.filled(said("abcde"))] == [(0, "abc")]
    assert [(chunk.offset, chunk.text) for chunk in gaps.filled(said("abcdefghij"))] == [(8, "ij")]
    assert not gaps.any
    gaps.chunk(Chunk(task_id="t1", number=3, offset=1, text="b"))
    gaps.step(3)
    assert not gaps.any
