"""The moves between states, and backoff."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mediamill.core.files import safe_name
from mediamill.core.ids import new_id
from mediamill.core.tasks import NEXT, State, backoff_s


def test_every_state_has_its_moves_and_only_ends_are_final() -> None:
    assert set(NEXT) == set(State)
    assert {state for state in State if state.final} == {State.SUCCEEDED, State.FAILED, State.CANCELLED}


def test_every_state_can_be_reached_and_can_end() -> None:
    reached = {State.WAITING}
    while more := {after for state in reached for after in NEXT[state]} - reached:
        reached |= more

    assert reached == set(State)
    assert all(state.final or State.CANCELLED in NEXT[state] for state in State)


@given(st.integers(1, 10_000))
def test_backoff_grows_and_is_capped(attempt: int) -> None:
    assert 0 < backoff_s(attempt) <= backoff_s(attempt + 1) <= 300


def test_ids_are_unique_lower_case_and_sort_by_time() -> None:
    ids = [new_id("task") for _ in range(2000)]

    assert len(set(ids)) == 2000
    assert all(id.isalnum() and id.islower() and len(id) == 21 for id in ids)
    assert [id[:10] for id in ids] == sorted(id[:10] for id in ids)


@given(st.text())
def test_safe_names_are_base_names_that_fit_a_header(name: str) -> None:
    safe = safe_name(name)

    assert safe
    assert "/" not in safe
    assert "\\" not in safe
    assert safe.isprintable()
    assert len(safe.encode("utf-8", "replace")) <= 200
    assert safe not in (".", "..")


def test_long_names_keep_their_extension() -> None:
    assert safe_name("ä" * 400 + ".jpeg").endswith("ä.jpeg")
