"""The words of a run's status."""

from __future__ import annotations

from mediamill.core.prompts import Status
from mediamill.dialects.recoup import words


def test_every_status_has_a_word_and_is_found_by_it() -> None:
    for status in Status:
        for versioned in (False, True):
            word = words.status_word(status, versioned=versioned)
            assert status in words.statuses_of([word], versioned=versioned)
    newer = {words.status_word(status, versioned=True) for status in Status}
    assert not newer & {"REATTEMPTING", "FROZEN", "INTERRUPTED"}
    assert {"DEQUEUED", "WAITING"} <= newer
