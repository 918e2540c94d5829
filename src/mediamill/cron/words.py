"""An expression in words: "At 08:30, Monday to Friday"."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

from mediamill.cron.fields import Fields, parse

_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    "",
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_WHICH = ("last", "first", "second", "third", "fourth", "fifth")
_MOST_TIMES = 6
"""Times of day that are still listed one by one."""


@lru_cache(maxsize=4096)
def describe(expression: str) -> str:
    """The rule as a sentence without its end. Raises Invalid for an expression that is none."""
    fields = parse(expression)
    said = [_times(fields), *(word for word in (_dates(fields), _months(fields)) if word)]
    if len(said) == 1 and not fields.hourly:
        said.append("every day")
    return ", ".join(said)


def _times(fields: Fields) -> str:
    minutes, hours = fields.minutes, fields.hours
    if not fields.hourly and len(minutes) * len(hours) <= _MOST_TIMES:
        return f"At {_listed([f'{hour:02}:{minute:02}' for hour in hours for minute in minutes])}"
    step = _step(minutes, 60)
    if minutes == (0,):
        often = "Every hour"
    elif step is not None:
        often = "Every minute" if step == 1 else f"Every {step} minutes"
    else:
        often = f"At minute{'s' * (len(minutes) > 1)} {_spans(minutes, str)} of every hour"
    if fields.hourly:
        return often
    every = _step(hours, 24)
    if every is not None and minutes == (0,):
        return f"Every {every} hours"
    if every is not None:
        return f"{often.removesuffix(' of every hour')}, of every {_ordinal(every)} hour from 00"
    return (
        f"{often.removesuffix(' of every hour')}, in the hour{'s' * (len(hours) > 1)} {_spans(hours, '{:02}'.format)}"
    )


def _dates(fields: Fields) -> str:
    either = []
    if fields.days is not None:
        step = _step(tuple(day - 1 for day in fields.days), 31)
        if step is not None and not fields.last_day:
            either.append(f"every {_ordinal(step)} day of the month from the 1st")
        else:
            if fields.days:
                either.append(f"on day{'s' * (len(fields.days) > 1)} {_spans(fields.days, str)} of the month")
            if fields.last_day:
                either.append("on the last day of the month")
    if fields.weekdays is not None:
        if fields.weekdays:
            # From Monday on, as weeks are spoken of.
            spoken = sorted((day or 7) for day in fields.weekdays)
            either.append(_spans(spoken, lambda day: _DAYS[day % 7]))
        either += [f"on the {_WHICH[n]} {_DAYS[day]} of the month" for day, n in fields.nth]
    return " or ".join(either)


def _months(fields: Fields) -> str:
    if len(fields.months) == 12:
        return ""
    return f"in {_spans(fields.months, lambda month: _MONTHS[month])}"


def _step(values: Sequence[int], count: int) -> int | None:
    """n where the values are every n-th from 0 on, at least three of them."""
    if len(values) < 3 or values[0] != 0:
        return None
    step = values[1]
    return step if tuple(values) == tuple(range(0, count, step)) else None


def _spans(values: Sequence[int], word: Callable[[int], str]) -> str:
    """Three and more in a row as "a to b"."""
    parts: list[str] = []
    row: list[int] = []
    for value in [*values, None]:
        if row and (value is None or value != row[-1] + 1):
            parts += [f"{word(row[0])} to {word(row[-1])}"] if len(row) > 2 else [word(one) for one in row]
            row = []
        if value is not None:
            row.append(value)
    return _listed(parts)


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _ordinal(number: int) -> str:
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th") if number % 100 not in (11, 12, 13) else "th"
    return f"{number}{ending}"
