"""Which expressions are cron rules, and why others are not."""

from __future__ import annotations

import pytest

from mediamill import cron
from mediamill.core.errors import Invalid
from mediamill.cron.fields import parse

TAKEN = """
* * * * *
15,45 8-18/2 * * 1-5
10/15 * * * *
0 9 * JAN MON-FRI
0 9 * jan-mar,Dec mon,WED,7
0 0 L * *
0 0 1,L * *
0 0 * * 5L
0 0 * * FRIL
0 0 * * 1#2
0 0 * * MON#5
0 0 * * 1#1,3#3,5L
0 0 1-7 * 1
0 0 29 2 *
0 0 30 2 1
0 0 31 4 MON
0 0 ? * 1
0 0 1 * ?
0 0 ? * ?
0 0 * * 7
0 0 * * 5-7
59 23 31 12 6
*/59 * * * *
*/100 * * * *
0 0 * 2 1#5
""".strip().splitlines()
REFUSED = {
    "0 0 9 * * *": "has 6 fields",
    "0 0 9 * * * 2026": "has 7 fields",
    "9 * * *": "has 4 fields",
    "* *": "has 2 fields",
    "every day": "has 2 fields",
    "": "has 0 fields",
    "   ": "has 0 fields",
    "0\t0 * * * *": "is no minute",
    "0 0\n* * *": "has 4 fields",
    "60 * * * *": "minute 60 is not within 0-59",
    "* 24 * * *": "hour 24 is not within 0-23",
    "* * 0 * *": "day of month 0 is not within 1-31",
    "* * 32 * *": "day of month 32 is not within 1-31",
    "* * * 13 *": "month 13 is not within 1-12",
    "* * * 0 *": "month 0 is not within 1-12",
    "* * * * 8": "weekday 8 is not within 0-7",
    "*/0 * * * *": "'0' is no step of a minute",
    "*/ * * * *": "'' is no step of a minute",
    "*/-1 * * * *": "is no step",
    "1/2/3 * * * *": "is no step",
    "-1 * * * *": "the minute has an empty part",
    "1- * * * *": "the minute has an empty part",
    "1,2, * * * *": "the minute has an empty part",
    ",1 * * * *": "the minute has an empty part",
    "1.5 * * * *": "'1.5' is no minute",
    "+5 * * * *": "'+5' is no minute",
    "0x5 * * * *": "is no minute",
    "1-2-3 * * * *": "'2-3' is no minute",
    "5-1 * * * *": "the range 5-1 runs backwards",
    "0 9 * * FRI-MON": "the range FRI-MON runs backwards",
    "0 9 * * FRI-SUN": "the range FRI-SUN runs backwards",
    "0 9 * NOV-FEB *": "the range NOV-FEB runs backwards",
    "0 9 MON * *": "'MON' is no day of month",
    "0 MON * * *": "'MON' is no hour",
    "0 9 * MON *": "'MON' is no month",
    "0 9 * * JAN": "'JAN' is no weekday",
    "0 9 * * MONDAY": "'MONDAY' is no weekday",
    "0 0 30 2 *": "dates that never come",
    "0 0 31 4 *": "dates that never come",
    "0 0 31 2,4,6,9,11 ?": "dates that never come",
    "0 9 15W * *": "'15W' is no day of month",
    "0 9 W * *": "'W' is no day of month",
    "0 9 LW * *": "'LW' is no day of month",
    "0 9 L-3 * *": "'L' is no day of month",
    "0 9 L/2 * *": "'L' is no day of month",
    "H 9 * * *": "'H' is no minute",
    "0 9 H * *": "'H' is no day of month",
    "0 9 * * L": "'L' is no weekday",
    "0 9 * * 1#0": "is followed by 1 to 5",
    "0 9 * * 1#6": "is followed by 1 to 5",
    "0 9 * * 1#": "is followed by 1 to 5",
    "0 9 * * 1-3#2": "'1-3' is no weekday",
    "0 9 * * 8L": "weekday 8 is not within 0-7",
    "? 9 * * *": "'?' is no minute",
    "0 9 * ? *": "'?' is no month",
    "0 0 ?/2 * *": "'?' is no day of month",
    "@daily": "names such as @daily",
    "@every 5m": "names such as @daily",
    "５ * * * *": "has signs that no field knows",
    "0 9 * * ſun": "has signs that no field knows",
    "0," * 300 + "0 * * * *": "longer than 500 signs",
    "9" * 400 + " * * * *": "is no minute",
}


@pytest.mark.parametrize("expression", TAKEN)
def test_a_rule_is_taken(expression: str) -> None:
    cron.check(expression)


@pytest.mark.parametrize(("expression", "reason"), REFUSED.items())
def test_what_is_no_rule_is_refused_with_the_reason(expression: str, reason: str) -> None:
    with pytest.raises(Invalid) as refused:
        cron.check(expression, "schedule")

    assert refused.value.field == "schedule"
    assert reason in refused.value.reason
    assert len(refused.value.reason) < 300


@pytest.mark.parametrize(
    ("one", "same"),
    [
        ("0 9 * JAN MON-FRI", "0 9 ? 1 1-5"),
        ("0 9 * * 0", "0 9 * * 7"),
        ("0 9 * * 5-7", "0 9 * * 0,5,6"),
        ("10/15 * * * *", "10,25,40,55 * * * *"),
        ("0-59 0-23 1-31 1-12 0-6", "* * * * *"),
        ("  0   9 * * *  ", "0 9 * * *"),
        ("0 0 * * 7L", "0 0 * * SUNL"),
        ("*/15 * * * *", "0,15,30,45 * * * *"),
    ],
)
def test_two_ways_to_say_the_same(one: str, same: str) -> None:
    assert parse(one) == parse(same)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Madrid", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "GB"])
def test_a_name_of_the_tz_database_is_a_zone(zone: str) -> None:
    cron.check_zone(zone)


@pytest.mark.parametrize(
    "zone",
    ["+05:30", "UTC+2", "", "utc", "Europe", "Europe/madrid", "../UTC", "/etc/localtime", "localtime", "é", "\0"],
)
def test_other_names_are_none(zone: str) -> None:
    with pytest.raises(Invalid) as refused:
        cron.check_zone(zone)

    assert refused.value.field == "timezone"
