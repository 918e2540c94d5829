"""What recognisers say of how far they are, and what is made of it."""

from __future__ import annotations

import io
from typing import Any

import pytest

from mediamill.core.errors import ToolFailed
from mediamill.engines._speech_farm import Farm, _Recogniser
from mediamill.engines._speech_voice import Span

FARM = Farm(
    name="any", program="", arguments=(), processes=1, load_s=0.5, speed=0.2, piece_s=0.25, block_s=0.5, later=0.25
)


@pytest.fixture
def one() -> _Recogniser:
    made = _Recogniser(FARM, io.BytesIO(), io.BytesIO())
    made.give(0, [Span(0.0, 4.0)])
    return made


def test_the_first_block_counts_as_loading_and_those_after_it_as_speech(one: _Recogniser) -> None:
    assert one.told({"at": 0.5, "used": 0.7})
    assert one.told({"at": 2.5, "used": 1.1})

    assert one.load_s == 0.7
    assert one.first == pytest.approx((2.0, 0.4))
    assert one.ahead_s == pytest.approx(1.5)


@pytest.mark.parametrize(
    "said",
    [{"at": 0.2, "used": 0.9}, {"at": 1.0, "used": 0.1}, {"at": float("nan"), "used": 1.0}, {"at": 1.0}, {"at": "x"}],
    ids=str,
)
def test_a_recogniser_that_goes_back_or_babbles_has_failed(one: _Recogniser, said: dict[str, Any]) -> None:
    one.told({"at": 0.5, "used": 0.7})

    with pytest.raises(ToolFailed):
        one.told(said)


def test_an_answer_is_no_place(one: _Recogniser) -> None:
    assert not one.told([["word", 0.1, 0.4, 0.9]])
    assert not one.told({"language": "en", "turns": []})
