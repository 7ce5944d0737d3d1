"""A pg_cron schedule in words."""

from __future__ import annotations

import pytest

from executions.pgcron.schedule import describe


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ("*/5 * * * *", "every 5 minutes"),
        ("0-59/5 * * * *", "every 5 minutes"),
        ("2-59/5 * * * *", "every 5 minutes from minute 2"),
        ("* * * * *", "every minute"),
        (" *\t*  * * * ", "every minute"),
        ("0,30 * * * *", "every 30 minutes"),
        ("0 * * * *", "every hour"),
        ("7 * * * *", "at minute 7 of every hour"),
        ("0,10,17 * * * *", "at minutes 0, 10 and 17 of every hour"),
        ("*/25 * * * *", "at minutes 0, 25 and 50 of every hour"),
        ("30 3 * * *", "every day at 03:30 GMT"),
        ("15 2,14 * * *", "every day at 02:15 and 14:15 GMT"),
        ("0 */2 * * *", "every 2 hours"),
        ("*/10 8-17 * * *", "every 10 minutes, in the hours 8-17 GMT"),
        ("0 3 * * 1", "on Monday, at 03:00 GMT"),
        ("0 3 * * MON,wed", "on Monday and Wednesday, at 03:00 GMT"),
        ("0 3 * * 7", "on Sunday, at 03:00 GMT"),
        ("0 0 1-3,15 * *", "on days 1-3 and 15 of the month, at 00:00 GMT"),
        ("0 0 $ * *", "on the last day of the month, at 00:00 GMT"),
        ("0 0 1,$ * *", "on day 1 of the month and on the last day of the month, at 00:00 GMT"),
        ("0 0 1 jan *", "on day 1 of the month in January, at 00:00 GMT"),
        ("0 0 1 * 5", "on day 1 of the month and also on Friday, at 00:00 GMT"),
        ("0 0 */15 * 5", "on days 1, 16 and 31 of the month and only on Friday, at 00:00 GMT"),
        ("30 seconds", "every 30 seconds"),
        ("1 second", "every second"),
        ("@hourly", "every hour"),
        ("@Daily", "every day at 00:00 GMT"),
        ("@reboot", "once, whenever the server starts"),
    ],
)
def test_a_schedule_is_said_in_words(schedule, words):
    assert describe(schedule) == words


def test_the_zone_is_the_one_that_pg_cron_uses():
    assert describe("30 3 * * *", "Europe/Berlin") == "every day at 03:30 Europe/Berlin"


@pytest.mark.parametrize(
    "schedule",
    ["", "nonsense", "* * * *", "61 * * * *", "* * 0 * *", "*/0 * * * *", "$ * * * *",
     "5-1 * * * *", "* * * Mon *", "* * * * * *", "* * -1 * *"],
)  # fmt: skip
def test_a_schedule_that_nobody_can_read_is_shown_as_it_is(schedule):
    assert f"“{schedule}”" in describe(schedule)
