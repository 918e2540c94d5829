"""Cron: five fields read as the wall-clock time of a zone of the tz database.

    check("30 8 * * MON-FRI")                                   # raises Invalid with the reason
    upcoming("30 8 * * MON-FRI", "Europe/Madrid", 10, now)      # the next instants, UTC
    describe("30 8 * * MON-FRI")                                # "At 08:30, Monday to Friday"

When a clock is changed, times of named hours come once a local date: those that the change leaves out come that much
later, those that it repeats come the first time. What runs in every hour runs in every real hour. See docs/why/cron.md.
"""

from mediamill.cron.fields import check
from mediamill.cron.times import after, instants, latest, upcoming
from mediamill.cron.words import describe
from mediamill.cron.zones import check_zone, zones

__all__ = ["after", "check", "check_zone", "describe", "instants", "latest", "upcoming", "zones"]
