"""What can be chosen of a prompt. The work itself is the agent's: tests/unit/agent, tests/acceptance/test_agent.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from mediamill.core.errors import Invalid, ToolFailed
from mediamill.kinds import Context
from mediamill.kinds.prompt import KIND, Options

NOTHING: Any = None


def test_it_is_done_by_the_worker_on_a_queue_of_its_own_and_never_answered_from_an_earlier_one() -> None:
    assert (KIND.hosted, KIND.queue, KIND.inputs, KIND.reusable) == (True, "agent", (0, 0), False)


def test_an_empty_prompt_is_refused_and_none_is_not() -> None:
    assert KIND.check(Options(), [], NOTHING) == Options()
    with pytest.raises(Invalid) as refused:
        KIND.check(Options(prompt=" \n"), [], NOTHING)
    assert refused.value.field == "prompt"


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_steps": 0},
        {"max_steps": 1001},
        {"max_tokens": 0},
        {"max_cost_cents": -1},
        {"max_duration_s": 0},
        {"max_duration_s": 86_401},
        {"prompt": "x" * 200_001},
        {"temperature": 1},
    ],
)
def test_limits_are_within_reason(wrong: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, Options)


def test_no_child_does_it(tmp_path: Path) -> None:
    ctx = Context(inputs=[], scratch=tmp_path, engines=NOTHING, report=NOTHING)
    with pytest.raises(ToolFailed):
        KIND.run(ctx, Options(prompt="Go."))
