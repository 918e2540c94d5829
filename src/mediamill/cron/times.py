"""The instants of an expression in a zone, ascending, each once, in UTC."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice

from cronsim import CronSim

from mediamill.cron.fields import Fields, parse
from mediamill.cron.zones import load

_KEPT_AT_ONCE = 24
_MOST_KEPT = 4096
_SPANS_S = tuple(7200 * 4**n for n in range(10))
"""How far back the latest instants are looked for, in turn; the last is 60 years."""


def instants(expression: str, zone: str, start: datetime) -> Iterator[datetime]:
    """Every instant after `start`, for as long as you ask. Raises Invalid for an expression or a zone that is none."""
    fields, tz = parse(expression), load(zone)
    if tz is UTC:
        return iter(CronSim(fields.plain, start.astimezone(UTC)))
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
    """Every real hour: times that a change leaves out are not there, and those that it repeats come twice.

    cronsim counts on a clock without a zone. Its own way with zones goes by whole hours from one hit to the next, and
    so passes over some where a clock is changed by half an hour (Lord Howe Island).
    """
    second_pass: list[datetime] = []
    for shown in CronSim(fields.plain, _begin(tz, start)):
        instant = shown.replace(tzinfo=tz).astimezone(UTC)
        again = shown.replace(tzinfo=tz, fold=1).astimezone(UTC)
        if again > instant:
            second_pass.append(again)
        else:
            yield from (one for one in second_pass if one > start)
            second_pass = []
        if again >= instant and instant > start:  # else it is left out
            yield instant


def _fixed(fields: Fields, tz: tzinfo, start: datetime) -> Iterator[datetime]:
    """What clocks show, once a local date.

    A zone's reading with fold=0 is the first pass of what a change repeats; and for what it leaves out, the time as if
    the clock had been put forward later.
    """
    put_off: list[datetime] = []
    begin = _begin(tz, start)
    until, last = begin, start
    for shown in CronSim(fields.plain, begin):
        if put_off and shown >= until:
            # They come among those that follow, and may meet them.
            for instant in sorted(set(put_off)):
                if instant > last:
                    last = instant
                    yield instant
            put_off = []
        instant = shown.replace(tzinfo=tz).astimezone(UTC)
        real = instant.astimezone(tz).replace(tzinfo=None, fold=0)
        if real != shown:
            until = max(until, real + timedelta(minutes=1))
        if put_off or real != shown:
            put_off.append(instant)
        elif instant > last:
            last = instant
            yield instant


def _begin(tz: tzinfo, start: datetime) -> datetime:
    """Where to begin on the wall's clock, so that nothing after `start` is missed: where a change is near, earlier by
    as much as the clock is changed."""
    near = [(start + timedelta(hours=hours)).astimezone(tz).utcoffset() or timedelta(0) for hours in (-25, 0, 25)]
    return start.astimezone(tz).replace(tzinfo=None, fold=0) - (max(near) - min(near))
