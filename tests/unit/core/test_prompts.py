"""Delays of prompts, as words and as dates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mediamill.core.errors import Invalid
from mediamill.core.prompts import read_delay

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("said", ["0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "2026-05-01T12:00:00Z"])
def test_a_date_that_is_over_is_no_delay_however_long_ago(said: str) -> None:
    assert read_delay(said, NOW) <= NOW


@pytest.mark.parametrize("said", ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "400d"])
def test_a_date_beyond_a_year_is_refused_however_far(said: str) -> None:
    with pytest.raises(Invalid, match="within a year"):
        read_delay(said, NOW)


def test_a_date_of_another_zone_is_the_same_instant() -> None:
    assert read_delay("2026-05-01T16:00:00+02:00", NOW) == NOW + timedelta(hours=2)
