"""Progress by processor time: what is used, beside what is expected to come. Steps that say nothing while they work, as
encoders of pictures, are told by what they have used of what was expected of them. A thread looks, for the libraries
let others run meanwhile."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator

from mediamill.core.ports import Report
from mediamill.engines._processor import used_s

SHORT_S = 0.25
"""Shorter steps are over before anybody could read of them."""
_LOOK_S = 0.05
_KNEE = 0.8
"""Up to this share of what was expected, the step is as far as it has used of it. Then it is told ever slower: it may
take longer than expected, and must not be told as over."""


class Course:
    """How far a task is that has used `done_s` seconds before this begins, in reports that never go back. The first
    step begins at once and is expected to take `now_s`, all that comes after it `later_s`."""

    def __init__(
        self, report: Report, stage: str, *, done_s: float = 0.0, now_s: float = 0.0, later_s: float = 0.0
    ) -> None:
        self._report, self._stage = report, stage
        begun_s = used_s()
        self._began_s = begun_s - done_s
        self._reached = 0.0
        self._step = begun_s, now_s, later_s

    @property
    def done_s(self) -> float:
        """Seconds that the task has used."""
        return used_s() - self._began_s

    def at(self, now_s: float, later_s: float = 0.0) -> None:
        """A step begins that is expected to take so long, and so much to come after it."""
        self._step = used_s(), max(0.0, now_s), max(0.0, later_s)

    def say(self) -> None:
        """Report how far the task is by now, where anything is expected."""
        begun_s, now_s, later_s = self._step
        if not now_s + later_s:
            return
        used = used_s()
        left_s = now_s * (1 - told((used - begun_s) / now_s)) if now_s else 0.0
        done_s = used - self._began_s
        self._reached = max(self._reached, done_s / (done_s + left_s + later_s))
        self._report(self._stage, self._reached)

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """It is reported again and again while the block runs, in which nothing else may report."""
        over = threading.Event()

        def look() -> None:
            with contextlib.suppress(OSError):  # nobody listens any more: the step goes on to its end, or is killed
                while not over.wait(_LOOK_S):
                    self.say()

        thread = threading.Thread(target=look, name="expecting", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@contextlib.contextmanager
def expecting(report: Report, stage: str, expected_s: float, *, done_s: float = 0.0) -> Iterator[None]:
    """A step is done in the block, the last of a task that has used `done_s` before, that takes `expected_s` seconds of
    processor time here. Nothing else may report meanwhile."""
    if expected_s < SHORT_S:
        yield
        return
    with Course(report, stage, done_s=done_s, now_s=expected_s).looking():
        yield


def told(share: float) -> float:
    """What is said of a step that has used so much of what was expected: never all of it."""
    if share <= _KNEE:
        return share
    rest = 1 - _KNEE
    return 1 - rest * math.exp((_KNEE - share) / rest)
