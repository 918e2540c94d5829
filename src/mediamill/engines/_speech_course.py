"""How far a transcription is, in seconds of processor time: what is used is measured, what is to come is expected.

Processor time, because what else a machine does alters it little, and because steps of any kind add up in it. What is
expected was measured on one machine: how slow another is shows in a few milliseconds of work made for that, and then in
the steps that are over.
"""

from __future__ import annotations

from mediamill.core.speech import Listening
from mediamill.engines._processor import slowness, used_s

_TRIED_S = 0.05
"""Seconds of expected work as which the first look at the machine's speed counts."""


class Course:
    """The progress of one Listening. What it reports never goes back."""

    def __init__(self, work: Listening) -> None:
        self._work = work
        self._began_s = used_s()
        self._reached = 0.0
        self._waiting: tuple[float, float] | None = None
        self._expected_s, self._took_s = _TRIED_S, _TRIED_S * slowness()

    @property
    def slowness(self) -> float:
        """How many times as long as expected things take here, as far as is known by now."""
        return self._took_s / self._expected_s

    def took(self, expected_s: float, took_s: float) -> None:
        """A step is over that is the same work wherever and whatever is heard."""
        self._expected_s += expected_s
        self._took_s += took_s

    def at(self, stage: str, to_come_s: float, running_s: float = 0.0) -> None:
        """So much is to come; programs that still run have used `running_s`, which does not show in `used_s` yet."""
        done_s = self._work.done_s + used_s() - self._began_s + running_s
        whole_s = done_s + max(0.0, to_come_s) + self._work.rest_s
        if whole_s > 0:
            self._reached = max(self._reached, done_s / whole_s)
        self._work.report(stage, min(1.0, self._reached))

    def waited(self, share: float, cost_s: float) -> None:
        """A service works elsewhere, and has come so far; what it costs instead of processor time."""
        if self._waiting is None:
            done_s = self._work.done_s + used_s() - self._began_s
            self._waiting = self._reached, (done_s + cost_s) / (done_s + cost_s + self._work.rest_s)
        begin, end = self._waiting
        self._reached = max(self._reached, begin + (end - begin) * share)
        self._work.report("listen", self._reached)
