"""The instants of an expression in a zone, ascending, each once, in UTC."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice

from cronsim import CronSim

from mediamill.cron.fields import Fields, parse
from mediamill.cron.zones import load

_LONGEST_CHANGE = timedelta(hours=25)
"""The longest that a zone's clock was ever put forward is a day: Samoa skipped 30 December 2011."""
_KEPT_AT_ONCE = 24
_MOST_KEPT = 4096
_SPANS_S = tuple(7200 * 4**n for n in range(10))
"""How far back the latest instants are looked for, in turn; the last is 60 years."""


def instants(expression: str, zone: str, start: datetime) -> Iterator[datetime]:
    """Every instant after `start`, for as long as you ask. Raises Invalid for an expression or a zone that is none."""
    fields, tz = parse(expression), load(zone)
    return _hourly(fields, tz, start) if fields.hourly else _fixed(fields, tz, start)


def after(expression: str, zone: str, start: datetime) -> datetime | None:
    """The next instant after `start`; None where there is none."""
    found = upcoming(expression, zone, 1, start)
    return found[0] if found else None


def latest(expression: str, zone: str, start: datetime, end: datetime, most: int) -> list[datetime]:
    """The last `most` instants after `start` up to and including `end`, ascending.

    Looks back in growing spans, so that it costs what it finds and not what has passed.
    """
    found: list[datetime] = []
    for span_s in _SPANS_S:
        since = max(start, end - timedelta(seconds=span_s))
        found = []
        for instant in instants(expression, zone, since):
            if instant > end:
                break
            found.append(instant)
        if len(found) >= most or since == start:
            break
    return found[-most:]


_kept: dict[tuple[str, str], tuple[datetime, list[datetime], bool]] = {}


def upcoming(expression: str, zone: str, count: int, now: datetime) -> list[datetime]:
    """The next `count` instants after `now`; fewer only where there are no more.

    Kept from one call to the next: a page of a thousand schedules shows ten of each, again and again.
    """
    kept = _kept.get((expression, zone))
    if kept is not None:
        start, found, whole = kept
        if start <= now:
            place = bisect_right(found, now)
            if whole or place + count <= len(found):
                return found[place : place + count]
    wanted = max(_KEPT_AT_ONCE, 2 * count)
    found = list(islice(instants(expression, zone, now), wanted))
    if len(_kept) >= _MOST_KEPT:
        for oldest in list(islice(_kept, _MOST_KEPT // 4)):
            _kept.pop(oldest, None)
    _kept[expression, zone] = now, found, len(found) < wanted
    return found[:count]


def _hourly(fields: Fields, tz: tzinfo, start: datetime) -> Iterator[datetime]:
    """Every real hour: cronsim goes by the time that passes where the hour is a star."""
    last = start
    for shown in CronSim(fields.plain, start.astimezone(tz)):
        instant = shown.astimezone(UTC)
        if instant > last:
            last = instant
            yield instant


def _fixed(fields: Fields, tz: tzinfo, start: datetime) -> Iterator[datetime]:
    """What clocks show, once a local date.

    cronsim counts on a clock without a zone; a zone's reading with fold=0 is then the first pass of a repeated hour,
    and for an hour left out the same time as if the clock had been put forward later.
    """
    if tz is UTC:
        yield from CronSim(fields.plain, start.astimezone(UTC))
        return
    local = start.astimezone(tz)
    # Times that a change has just left out are yet to come.
    forward = _offset(local) - _offset((start - _LONGEST_CHANGE).astimezone(tz))
    begin = local.replace(tzinfo=None, fold=0) - max(timedelta(0), forward)
    shifted: list[datetime] = []
    until, last = begin, start
    for shown in CronSim(fields.plain, begin):
        if shifted and shown >= until:
            # Those put off by the change come among those that follow it, and may meet them.
            for instant in sorted(set(shifted)):
                if instant > last:
                    last = instant
                    yield instant
            shifted = []
        instant = shown.replace(tzinfo=tz).astimezone(UTC)
        real = instant.astimezone(tz).replace(tzinfo=None, fold=0)
        if real != shown:
            until = max(until, real + timedelta(minutes=1)) if shifted else real + timedelta(minutes=1)
        if shifted or real != shown:
            shifted.append(instant)
        elif instant > last:
            last = instant
            yield instant


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta(0)
