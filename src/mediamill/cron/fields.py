"""The five fields of an expression, checked and spelled out.

minute 0-59, hour 0-23, day of month 1-31 or L, month 1-12 or JAN-DEC, weekday 0-7 (0 and 7: Sunday) or SUN-SAT; each
`*`, values, lists, ranges, steps. Of weekdays also `5L` (the last Friday of the month) and `1#2` (the second Monday).
A day field may be `?`, which says nothing of it. Where both day fields say something, either will do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cronsim import CronSim, CronSimError

from mediamill.core.errors import Invalid

_LONGEST = 500
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_DAY, _WEEKDAY = 2, 4


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    low: int
    high: int
    words: dict[str, int]

    def number(self, text: str) -> int:
        """A value or a name, within the range. Raises ValueError with the reason."""
        if text in self.words:
            return self.words[text]
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise ValueError(f"{text[:40]!r} is no {self.name}" if text else f"the {self.name} has an empty part")
        value = int(text)
        if not self.low <= value <= self.high:
            raise ValueError(f"{self.name} {value} is not within {self.low}-{self.high}")
        return value

    def span(self, text: str) -> range:
        """`*`, `a`, `a-b`, each also with `/n`."""
        body, slash, step_text = text.partition("/")
        step = 1
        if slash and (not re.fullmatch(r"[0-9]{1,9}", step_text) or (step := int(step_text)) == 0):
            raise ValueError(f"{step_text[:40]!r} is no step of a {self.name}")
        if body == "*":
            return range(self.low, self.high + 1, step)
        first, dash, last = body.partition("-")
        start = self.number(first)
        if not dash:
            return range(start, (self.high if slash else start) + 1, step)
        end = self.number(last)
        if end < start:
            raise ValueError(f"the range {body[:40]} runs backwards")
        return range(start, end + 1, step)


_FIELDS = (
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day of month", 1, 31, {}),
    _Field("month", 1, 12, {name: n for n, name in enumerate(_MONTHS, 1)}),
    _Field("weekday", 0, 7, {name: n for n, name in enumerate(_DAYS)}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """An expression spelled out; values ascend. Of days and weekdays, None is any. 0 is Sunday.

    nth: (weekday, which one of the month, 0 being the last).
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...] | None
    last_day: bool
    months: tuple[int, ...]
    weekdays: tuple[int, ...] | None
    nth: tuple[tuple[int, int], ...]

    @property
    def hourly(self) -> bool:
        """Whether it runs in every hour, so that what counts is time passing and not what clocks show."""
        return len(self.hours) == 24

    @property
    def plain(self) -> str:
        """The same as cronsim reads it: lists, no names, and a star only for what is not restricted at all."""
        days = "*" if self.days is None else ",".join([*map(str, self.days), *(["L"] if self.last_day else [])])
        if self.weekdays is None:
            weekdays = "*"
        else:
            nth = [f"{day}L" if n == 0 else f"{day}#{n}" for day, n in self.nth]
            weekdays = ",".join([*map(str, self.weekdays), *nth])
        hours = "*" if self.hourly else ",".join(map(str, self.hours))
        return f"{','.join(map(str, self.minutes))} {hours} {days} {','.join(map(str, self.months))} {weekdays}"


def check(expression: str, field: str = "cron") -> None:
    """Raises Invalid with the reason unless `expression` is a cron rule that is due some day."""
    try:
        parse(expression)
    except Invalid as error:
        raise Invalid(field, error.reason) from None


@lru_cache(maxsize=4096)
def parse(expression: str) -> Fields:
    """The fields of an expression. Raises Invalid."""
    try:
        return _parse(expression)
    except ValueError as error:
        raise Invalid("cron", f"{str(error)[:200]}.") from None


def _parse(expression: str) -> Fields:
    if len(expression) > _LONGEST:
        raise ValueError(f"it is longer than {_LONGEST} signs")
    if not expression.isascii():
        raise ValueError("it has signs that no field knows")
    if expression.lstrip(" ").startswith("@"):
        raise ValueError("names such as @daily are not taken: write five fields, such as 0 0 * * *")
    # Not split(): of white space, only blanks separate fields.
    parts = [part for part in expression.upper().split(" ") if part]
    if len(parts) != 5:
        raise ValueError(f"it has {len(parts)} fields and needs five: minute hour day-of-month month weekday")
    minutes, hours, months = (_plain(n, parts[n]) for n in (0, 1, 3))
    days, last_day = _days(parts[_DAY])
    weekdays, nth = _weekdays(parts[_WEEKDAY])
    found = Fields(
        minutes=minutes, hours=hours, days=days, last_day=last_day, months=months, weekdays=weekdays, nth=nth
    )
    try:
        next(CronSim(found.plain, datetime(2000, 1, 1)))  # noqa: DTZ001 - any date will do
    except (CronSimError, StopIteration):
        raise ValueError("it names dates that never come, such as 30 February") from None
    return found


def _plain(which: int, text: str) -> tuple[int, ...]:
    return tuple(sorted({value for part in text.split(",") for value in _FIELDS[which].span(part)}))


def _days(text: str) -> tuple[tuple[int, ...] | None, bool]:
    """(days of the month, or None for any; whether the last is one of them)."""
    if text == "?":
        return None, False
    parts = text.split(",")
    values = {value for part in parts if part != "L" for value in _FIELDS[_DAY].span(part)}
    if len(values) == 31:
        return None, False
    return tuple(sorted(values)), "L" in parts


def _weekdays(text: str) -> tuple[tuple[int, ...] | None, tuple[tuple[int, int], ...]]:
    """(weekdays, or None for any; those of which only one of the month is meant)."""
    if text == "?":
        return None, ()
    field = _FIELDS[_WEEKDAY]
    values: set[int] = set()
    nth: set[tuple[int, int]] = set()
    for part in text.split(","):
        day, sharp, which = part.partition("#")
        if sharp:
            if which not in ("1", "2", "3", "4", "5"):
                raise ValueError(f"{part[:40]} is no weekday: # is followed by 1 to 5")
            nth.add((field.number(day) % 7, int(which)))
        elif len(part) > 1 and part.endswith("L") and part not in field.words:
            nth.add((field.number(part[:-1]) % 7, 0))
        else:
            values |= {value % 7 for value in field.span(part)}
    if len(values) == 7:
        return None, ()
    return tuple(sorted(values)), tuple(sorted(nth))
