"""2,000 random cron rules in 20 zones, at both changes of each zone's clock, against croniter.

Where the two differ, one of the rules below must say why; a difference without a rule fails. What is expected by a rule
is worked out with croniter, too: whether a rule holds at a time on the wall is asked of `croniter.match`.
"""

from __future__ import annotations

import os
import random
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest
from croniter import croniter
from hypothesis import given, settings
from hypothesis import strategies as st

from mediamill import cron
from mediamill.core.errors import Invalid
from mediamill.cron.zones import load

ZONES = [
    "Africa/Cairo",
    "Africa/Casablanca",
    "America/Los_Angeles",
    "America/Miquelon",
    "America/New_York",
    "America/Nuuk",
    "America/Santiago",
    "America/St_Johns",
    "Antarctica/Troll",
    "Asia/Beirut",
    "Asia/Jerusalem",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Europe/Dublin",
    "Europe/London",
    "Europe/Madrid",
    "Pacific/Auckland",
    "Pacific/Chatham",
    "Pacific/Norfolk",
]
"""Changes by an hour, by two (Troll) and by half of one (Lord Howe); at midnight (Beirut, Cairo, Santiago, Nuuk,
Azores); offsets of half (St John's) and quarter hours (Chatham); winters that count as the change (Dublin, Casablanca).
"""
RULES = 2000
SHARE = 1 if os.environ.get("EVERY_RULE_IN_EVERY_ZONE") else 10
"""Of ten zones, a rule is tried in one: all in all of them take some minutes of work."""
AROUND = timedelta(hours=3)


def _field(dice: random.Random, low: int, high: int) -> str:
    a, b = sorted((dice.randint(low, high), dice.randint(low, high)))
    return dice.choice(
        [
            str(a),
            f"{a}-{b}",
            f"{a}-{b}/{dice.randint(1, 5)}",
            f"{a}/{dice.randint(1, 9)}",
            f"*/{dice.randint(2, max(2, (high - low) // 2))}",
            ",".join(str(n) for n in sorted({dice.randint(low, high) for _ in range(3)})),
        ]
    )


def _rule(dice: random.Random) -> str:
    """One in the hours in which clocks are changed, more often than not."""
    minute = dice.choice(["0", "30", str(dice.randint(0, 59)), _field(dice, 0, 59), "*/15"])
    if dice.random() < 0.03:
        minute = "*"
    early = f"{dice.randint(0, 2)}-{dice.randint(3, 6)}"
    hour = dice.choice(["*", str(dice.randint(0, 4)), early, _field(dice, 0, 23), "*/2"])
    day = dice.choice([*["*"] * 5, _field(dice, 1, 31), "L", "?"])
    month = dice.choice([*["*"] * 6, _field(dice, 1, 12), "MAR,OCT"])
    nth = f"{dice.randint(0, 7)}#{dice.randint(1, 5)}"
    weekday = dice.choice([*["*"] * 5, _field(dice, 0, 6), nth, f"{dice.randint(0, 6)}L", "SUN", "?"])
    return f"{minute} {hour} {day} {month} {weekday}"


@cache
def rules() -> Sequence[str]:
    """The same on each run; those that never come are left out, and others drawn."""
    dice, found = random.Random(20260329), []
    while len(found) < RULES:
        rule = _rule(dice)
        try:
            cron.check(rule)
        except Invalid:
            continue
        found.append(rule)
    return found


@cache
def changes(zone: str) -> Sequence[tuple[datetime, timedelta]]:
    """(the instant, by how much the clock is put forward) of each change in 2026."""
    tz, found = load(zone), []
    for day in range(365):
        before = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
        after = before + timedelta(days=1)
        by = _offset(after, tz) - _offset(before, tz)
        while by and after - before > timedelta(minutes=1):
            middle = (before + (after - before) / 2).replace(second=0, microsecond=0)
            if _offset(middle, tz) == _offset(before, tz):
                before = middle
            else:
                after = middle
        if by:
            found.append((after, by))
    return found


def _offset(instant: datetime, tz: object) -> timedelta:
    offset = instant.astimezone(tz).utcoffset()  # type: ignore[arg-type]
    assert offset is not None
    return offset


@cache
def in_their_words(rule: str) -> list[str]:
    """The rule as croniter writes it, as several of which any may hold.

    1. The last Friday is L5 there.
    2. A range of one value counts as from it to the end there, with a step or without: here it is that value.
    3. Beside a weekday of one week of the month it wants the day, too; here, as for other weekdays, either will do.
    4. Its a/n in days of the week ends on Saturday: here 7 is one of them, and Sunday.
    5. To list every day, or every weekday, restricts it there; here it says no more than a star.
    """
    minute, hour, day, month, weekday = (re.sub(r"\b(\d+)-\1\b(/\d+)?", r"\1", field) for field in rule.split(" "))
    weekday = re.sub(r"^(\d)L$", r"L\1", weekday)
    weekday = re.sub(r"^(\d)/(\d+)$", r"\1-7/\2", weekday)
    if re.fullmatch(r"(0-[67]|1-7)(/1)?", weekday):
        weekday = "*"
    if re.fullmatch(r"1(-31)?/1", day):
        day = "*"
    if day not in "*?" and ("#" in weekday or "L" in weekday):
        return [f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}"]
    return [f"{minute} {hour} {day} {month} {weekday}"]


def theirs(rule: str, start: datetime, end: datetime, tz: object) -> set[datetime]:
    found = set()
    for one in in_their_words(rule):
        instants = croniter(one, start.astimezone(tz))  # type: ignore[arg-type]
        while (instant := instants.get_next(datetime).astimezone(UTC)) <= end:
            found.add(instant)
    return found


def ours(rule: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    found: list[datetime] = []
    for instant in cron.instants(rule, zone, start):
        if instant > end:
            break
        found.append(instant)
    return found


def holds(rule: str, wall: datetime) -> bool:
    """Whether the rule names this time on the wall, says croniter."""
    return any(croniter.match(one, wall.replace(tzinfo=UTC)) for one in in_their_words(rule))


@cache
def comes_on(rule: str, day: date) -> bool:
    """Whether the rule has anything on that date, says croniter."""
    dates = {" ".join(["*", "*", *one.split(" ")[2:]]) for one in in_their_words(rule)}
    return any(_dated(one, day) for one in dates)


@cache
def _dated(rule: str, day: date) -> bool:
    return bool(croniter.match(rule, datetime(day.year, day.month, day.day, tzinfo=UTC)))


@pytest.mark.parametrize("zone", ZONES)
def test_each_difference_from_croniter_where_clocks_change_has_its_rule(zone: str) -> None:
    tz = load(zone)
    unexplained = []
    compared = 0
    for change, by in changes(zone):
        start, end = change - AROUND, change + AROUND
        for rule in rules()[ZONES.index(zone) % SHARE :: SHARE]:
            mine = ours(rule, zone, start, end)
            # Asking croniter for the next takes long where there is none for months.
            near = any(comes_on(rule, (change + timedelta(days=n)).date()) for n in (-1, 0, 1))
            others = theirs(rule, start, end, tz) if near else set()
            compared += 1
            assert all(a < b for a, b in pairwise(mine)), (rule, mine)
            for instant in set(mine) ^ others:
                if why(rule, instant, change, by, tz, mine=instant in set(mine)) is None:
                    unexplained.append((rule, str(change), str(instant), instant in set(mine)))

    assert compared >= 2 * RULES // SHARE
    assert unexplained == []


def why(rule: str, instant: datetime, change: datetime, by: timedelta, tz: object, *, mine: bool) -> str | None:
    """The rule that explains why one of the two fires at an instant and the other does not."""
    wall = instant.astimezone(tz)  # type: ignore[arg-type]
    bare = wall.replace(tzinfo=None, fold=0)
    again = by < timedelta(0) and change <= instant < change - by and wall.fold == 1 and holds(rule, bare)
    if all(_named(rule.split(" ")[1], hour) for hour in range(24)):
        if mine and again and by % timedelta(hours=1):
            return "a repeat of half an hour: croniter passes over some of what comes a second time"
        return None  # in every hour, both go by the time that passes
    if by > timedelta(0) and mine and change <= instant < change + by and holds(rule, bare - by):
        return "left out by the change: it comes by as much later as the clock was put forward; there, at its end"
    if by > timedelta(0) and not mine and instant == change and _left_out(rule, change, by, tz):
        return "what croniter fires at the end of the hour that is left out, whatever time it was for"
    if again and not mine:
        return "the second pass of a repeated time: named hours come once a local date, the first time"
    return None


@cache
def _named(field: str, hour: int) -> bool:
    return bool(croniter.match(f"0 {field} * * *", datetime(2026, 1, 1, hour, tzinfo=UTC)))


def _left_out(rule: str, change: datetime, by: timedelta, tz: object) -> bool:
    first = (change - timedelta(minutes=1)).astimezone(tz).replace(tzinfo=None) + timedelta(minutes=1)  # type: ignore[arg-type]
    return any(holds(rule, first + timedelta(minutes=n)) for n in range(int(by.total_seconds()) // 60))


def test_away_from_changes_there_is_no_difference_at_all() -> None:
    dice = random.Random(7)
    for rule in rules():
        start = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=dice.randint(0, 525_600))
        mine = list(islice(cron.instants(rule, "UTC", start), 6))
        last = mine[-1]

        assert set(mine) == {one for one in theirs_first(rule, start, 6) if one <= last}, rule


def theirs_first(rule: str, start: datetime, count: int) -> Iterator[datetime]:
    for one in in_their_words(rule):
        instants = croniter(one, start, max_years_between_matches=60)
        yield from (instants.get_next(datetime).astimezone(UTC) for _ in range(count))


@settings(max_examples=150, deadline=None)
@given(
    rule=st.deferred(lambda: st.sampled_from(rules())),
    zone=st.sampled_from(ZONES),
    start=st.integers(0, 730 * 86_400).map(lambda s: datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=s)),
    count=st.integers(1, 15),
)
def test_instants_ascend_and_are_the_same_wherever_one_begins(
    rule: str, zone: str, start: datetime, count: int
) -> None:
    found = list(islice(cron.instants(rule, zone, start), count))

    assert all(start < a for a in found)
    assert all(a < b for a, b in pairwise(found))
    assert cron.upcoming(rule, zone, count, start) == found
    assert list(islice(cron.instants(rule, zone, found[0]), count - 1)) == found[1:]
    assert cron.latest(rule, zone, start, found[-1], count) == found


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet="0123456789*/,-LW#?@ JANMON\t\n½", max_size=30))
def test_whatever_is_written_is_a_rule_or_refused_with_a_reason(text: str) -> None:
    try:
        cron.check(text)
    except Invalid as error:
        refused: str | None = error.reason
    else:
        refused = None

    if refused is None:
        assert cron.describe(text)
        assert cron.after(text, "UTC", datetime(2026, 1, 1, tzinfo=UTC)) is not None
    else:
        assert refused.endswith(".")


def test_zones_are_those_of_the_tz_database() -> None:
    now = datetime(2026, 7, 1, tzinfo=UTC)
    for name in sorted(cron.zones()):
        assert now.astimezone(load(name)).utcoffset() is not None
    assert isinstance(load("Europe/Madrid"), ZoneInfo)
