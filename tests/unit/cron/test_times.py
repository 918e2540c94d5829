"""Instants of rules, where clocks are changed above all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from time import process_time

import pytest

from mediamill import cron
from mediamill.cron import times


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def between(expression: str, zone: str, start: str, end: str) -> list[str]:
    """Hours and minutes, UTC, of the instants after start and before end."""
    found = []
    for instant in cron.instants(expression, zone, at(start)):
        if instant >= at(end):
            return [f"{one:%H:%M}" for one in found]
        found.append(instant)
    return []


# Madrid's clock goes from 02:00 to 03:00 on 29 March 2026 at 01:00 UTC, and from 03:00 to 02:00 on 25 October at 01:00.


def test_a_time_left_out_comes_as_much_later_as_the_clock_was_put_forward() -> None:
    assert between("30 2 * * *", "Europe/Madrid", "2026-03-28T12:00", "2026-03-29T12:00") == ["01:30"]


def test_times_left_out_that_meet_others_come_once_and_in_order() -> None:
    found = between("0,30 2,3 * * *", "Europe/Madrid", "2026-03-28T12:00", "2026-03-29T12:00")

    assert found == ["01:00", "01:30"]


def test_a_repeated_time_comes_the_first_time_only() -> None:
    assert between("30 2 * * *", "Europe/Madrid", "2026-10-24T12:00", "2026-10-25T12:00") == ["00:30"]


def test_after_the_first_pass_the_second_brings_nothing() -> None:
    assert cron.after("30 2 * * *", "Europe/Madrid", at("2026-10-25T00:40")) == at("2026-10-26T01:30")


def test_what_runs_hourly_runs_in_every_real_hour() -> None:
    spring = between("30 * * * *", "Europe/Madrid", "2026-03-28T23:00", "2026-03-29T03:00")
    autumn = between("30 * * * *", "Europe/Madrid", "2026-10-24T22:00", "2026-10-25T03:00")

    assert spring == ["23:30", "00:30", "01:30", "02:30"]
    assert autumn == ["22:30", "23:30", "00:30", "01:30", "02:30"]


@pytest.mark.parametrize("zone", ["Europe/Madrid", "America/Santiago", "Asia/Beirut", "Antarctica/Troll"])
@pytest.mark.parametrize("month", [3, 4, 9, 10])
def test_every_five_minutes_is_every_five_real_minutes(zone: str, month: int) -> None:
    found = list(islice(cron.instants("*/5 * * * *", zone, datetime(2026, month, 1, tzinfo=UTC)), 12 * 24 * 31))

    assert {b - a for a, b in pairwise(found)} == {timedelta(minutes=5)}


def test_half_an_hour_of_change_repeats_half_an_hour() -> None:
    # Lord Howe Island's clock went from 02:00 to 01:30 on 5 April 2026 at 15:00 UTC.
    assert between("30 * * * *", "Australia/Lord_Howe", "2026-04-04T13:00", "2026-04-04T17:00") == [
        "13:30",
        "14:30",
        "15:00",
        "16:00",
    ]
    assert between("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T13:00", "2026-04-04T17:00") == ["14:45"]


def test_a_day_left_out_is_made_up_for_once() -> None:
    # Samoa skipped 30 December 2011.
    assert between("0 9 30 12 *", "Pacific/Apia", "2011-12-01T00:00", "2012-01-31T00:00") == ["19:00"]
    assert len(between("0 9 * * *", "Pacific/Apia", "2011-12-28T00:00", "2012-01-03T00:00")) == 6


def test_a_change_at_midnight_leaves_the_day_its_firing() -> None:
    # Beirut's clock goes from 00:00 to 01:00 on 29 March 2026.
    assert between("0 0 * * *", "Asia/Beirut", "2026-03-27T23:00", "2026-03-30T12:00") == ["22:00", "21:00"]
    assert between("0 0 29 3 *", "Asia/Beirut", "2026-03-01T00:00", "2026-04-30T00:00") == ["22:00"]


def test_both_day_fields_mean_either() -> None:
    found = [one.day for one in islice(cron.instants("0 0 1-3 * 1", "UTC", at("2026-05-31T12:00")), 7)]

    assert found == [1, 2, 3, 8, 15, 22, 29]


def test_a_stepped_day_is_restricted_as_well() -> None:
    found = [one.day for one in islice(cron.instants("0 0 */10 * MON", "UTC", at("2026-05-31T12:00")), 8)]

    assert found == [1, 8, 11, 15, 21, 22, 29, 1]


@pytest.mark.parametrize(
    ("expression", "days"),
    [("0 0 L * *", [30, 31, 31]), ("0 0 * * 5L", [26, 31, 28]), ("0 0 * * 1#2", [8, 13, 10])],
)
def test_days_counted_from_an_end_of_the_month(expression: str, days: list[int]) -> None:
    assert [one.day for one in islice(cron.instants(expression, "UTC", at("2026-06-01T00:00")), 3)] == days


def test_a_leap_day_comes_every_four_years() -> None:
    found = [one.year for one in islice(cron.instants("0 0 29 2 *", "UTC", at("2026-01-01T00:00")), 2)]

    assert found == [2028, 2032]


def test_an_instant_is_not_after_itself() -> None:
    assert cron.after("0 9 * * *", "UTC", at("2026-05-01T09:00")) == at("2026-05-02T09:00")
    assert cron.after("0 9 * * *", "UTC", at("2026-05-01T08:59:59.999999")) == at("2026-05-01T09:00")


def test_the_latest_are_found_without_walking_all_that_passed() -> None:
    end = at("2026-05-01T12:00")
    started = process_time()

    found = cron.latest("* * * * *", "Europe/Madrid", at("1990-01-01T00:00"), end, 3)

    assert found == [end - timedelta(minutes=2), end - timedelta(minutes=1), end]
    assert process_time() - started < 1.0


def test_the_latest_are_those_after_the_start() -> None:
    start, end = at("2026-05-01T11:58"), at("2026-05-01T12:00:30")

    assert cron.latest("* * * * *", "UTC", start, end, 9) == [at("2026-05-01T11:59"), at("2026-05-01T12:00")]
    assert cron.latest("0 0 1 1 *", "UTC", at("2020-06-01T00:00"), end, 3) == [
        at("2024-01-01T00:00"),
        at("2025-01-01T00:00"),
        at("2026-01-01T00:00"),
    ]


def test_what_is_kept_answers_as_what_is_worked_out() -> None:
    now = at("2026-10-24T20:00")
    for step in range(0, 600, 7):
        moment = now + timedelta(minutes=step)
        fresh = list(islice(cron.instants("*/7 * * * *", "Europe/Madrid", moment), 10))
        assert cron.upcoming("*/7 * * * *", "Europe/Madrid", 10, moment) == fresh
    assert cron.upcoming("*/7 * * * *", "Europe/Madrid", 3, now) == list(
        islice(cron.instants("*/7 * * * *", "Europe/Madrid", now), 3)
    )


def test_what_is_kept_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(times, "_MOST_KEPT", 20)
    for minute in range(60):
        cron.upcoming(f"{minute} 3 * * *", "UTC", 1, at("2026-01-01T00:00"))

    assert len(times._kept) <= 4096
    assert len([key for key in times._kept if key[0].endswith(" 3 * * *") and key[1] == "UTC"]) <= 20
