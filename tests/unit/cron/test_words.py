"""Rules in words."""

from __future__ import annotations

import pytest

from mediamill import cron


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("30 8 * * MON-FRI", "At 08:30, Monday to Friday"),
        ("0 9 * * *", "At 09:00, every day"),
        ("0 9,21 * * *", "At 09:00 and 21:00, every day"),
        ("* * * * *", "Every minute"),
        ("*/5 * * * *", "Every 5 minutes"),
        ("0 * * * *", "Every hour"),
        ("30 * * * *", "At minute 30 of every hour"),
        ("10/15 * * * *", "At minutes 10, 25, 40 and 55 of every hour"),
        ("0 */2 * * *", "Every 2 hours, every day"),
        ("*/15 8-18 * * 1-5", "Every 15 minutes, in the hours 08 to 18, Monday to Friday"),
        ("0 0 L * *", "At 00:00, on the last day of the month"),
        ("0 0 1,15 * *", "At 00:00, on days 1 and 15 of the month"),
        ("0 0 1-7 * 1", "At 00:00, on days 1 to 7 of the month or Monday"),
        ("0 0 * * 5L", "At 00:00, on the last Friday of the month"),
        ("0 0 * * 1#2", "At 00:00, on the second Monday of the month"),
        ("0 0 29 2 *", "At 00:00, on day 29 of the month, in February"),
        ("0 9 * JAN,JUN-AUG SAT,SUN", "At 09:00, Saturday and Sunday, in January and June to August"),
        ("0 0 */2 * *", "At 00:00, every 2nd day of the month from the 1st"),
    ],
)
def test_a_rule_in_words(expression: str, words: str) -> None:
    assert cron.describe(expression) == words
