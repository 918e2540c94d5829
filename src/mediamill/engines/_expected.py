"""Progress of a step that says nothing of itself while it works, as an encoder of pictures: by the processor time it
is expected to take, beside what it has used. A thread looks, for the library lets others run meanwhile."""

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


@contextlib.contextmanager
def expecting(report: Report, stage: str, expected_s: float, *, done_s: float = 0.0) -> Iterator[None]:
    """A step is done in the block, the last of a task that has used `done_s` before, that takes `expected_s` seconds of
    processor time here. Nothing else may report meanwhile."""
    if expected_s < SHORT_S:
        yield
        return
    began_s, over = used_s(), threading.Event()

    def look() -> None:
        with contextlib.suppress(OSError):  # nobody listens any more: the step goes on to its end, or is killed
            while not over.wait(_LOOK_S):
                share = told((used_s() - began_s) / expected_s)
                report(stage, (done_s + share * expected_s) / (done_s + expected_s))

    looking = threading.Thread(target=look, name="expecting", daemon=True)
    looking.start()
    try:
        yield
    finally:
        over.set()
        looking.join()


def told(share: float) -> float:
    """What is said of a step that has used so much of what was expected: never all of it."""
    if share <= _KNEE:
        return share
    rest = 1 - _KNEE
    return 1 - rest * math.exp((_KNEE - share) / rest)
