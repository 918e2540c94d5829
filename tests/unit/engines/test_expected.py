"""What is said of steps that say nothing of themselves."""

from __future__ import annotations

import threading

import pytest

from mediamill.engines import _expected
from mediamill.engines._expected import expecting, told


def test_what_takes_longer_than_expected_is_told_ever_slower_and_never_as_over() -> None:
    said = [told(share / 20) for share in range(80)]

    assert said[:17] == pytest.approx([share / 20 for share in range(17)])
    assert said == sorted(set(said))
    assert said[-1] < 1


def test_a_long_step_is_told_while_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    used_s = iter([100.0, *(100.0 + n / 10 for n in range(1, 1000))])
    monkeypatch.setattr(_expected, "used_s", lambda: next(used_s))
    monkeypatch.setattr(_expected, "_LOOK_S", 0.001)
    said: list[float | None] = []
    enough = threading.Event()

    def report(stage: str, fraction: float | None = None) -> None:
        said.append(fraction)
        if len(said) == 3:
            enough.set()

    with expecting(report, "encode", 1.0, done_s=1.0):
        assert enough.wait(30)

    assert said[:3] == pytest.approx([0.55, 0.6, 0.65])
    before = len(said)
    assert not [thread for thread in threading.enumerate() if thread.name == "expecting"]
    assert len(said) == before


def test_a_short_step_is_not_looked_at() -> None:
    with expecting(lambda stage, fraction=None: pytest.fail("not told"), "encode", 0.1):
        pass


def test_a_failure_of_the_step_is_passed_on() -> None:
    with pytest.raises(ValueError, match="bad"), expecting(lambda stage, fraction=None: None, "encode", 1.0):
        raise ValueError("bad")
    assert not [thread for thread in threading.enumerate() if thread.name == "expecting"]
