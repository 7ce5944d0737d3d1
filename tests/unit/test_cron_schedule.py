"""A pg_cron schedule in words."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, timedelta

import pytest
from django.utils.translation import override
from hypothesis import given, settings
from hypothesis import strategies as st

from executions.pgcron.schedule import describe
from tests.punctuation import mixed


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
        ("0 0 1-31 * 5", "every day at 00:00 GMT"),
        ("0 0 28 * 0-6", "every day at 00:00 GMT"),
        ("* * 1-31 * 6", "every minute"),
        ("* * 1-31 2 6", "in February, every minute"),
        ("* * * * 0-6", "every minute"),
        ("* * */1 * 6", "on Saturday, every minute"),
        (
            "0 0 $,1-15,17-31 * *",
            "on days 1-15 and 17-31 of the month and on the last day of the month, at 00:00 GMT",
        ),
        ("0 */5 * * *", "every day at 00:00, 05:00, 10:00, 15:00 and 20:00 GMT"),
        ("0 */7 * * *", "every day at 00:00, 07:00, 14:00 and 21:00 GMT"),
        ("0 */7 * * 1", "on Monday, at 00:00, 07:00, 14:00 and 21:00 GMT"),
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


# --- The words against the fields, evaluated one moment at a time ---------------------------------

YEAR = [date(2023, 2, 1) + timedelta(days=count) for count in range(420)]  # with 29 February


def allows(field: str, value: int, low: int, high: int) -> bool:
    """Whether one field allows a value: a list of stars, numbers and ranges, each with a step."""
    for part in field.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        begin = low if first == "*" else int(first)
        end = high if first == "*" or (step and not last) else int(last or first)
        if begin <= value <= end and (value - begin) % int(step or 1) == 0:
            return True
    return False


def runs_on(schedule: str, day: date) -> bool:
    """As pg_cron decides it: either kind of day will do, unless one field begins with a star."""
    of_month, month, of_week = schedule.split(" ")[2:]
    if not allows(month, day.month, 1, 12):
        return False
    by_month = any(
        is_last(day) if part == "$" else allows(part, day.day, 1, 31)
        for part in of_month.split(",")
    )
    by_week = any(allows(of_week, number, 0, 7) for number in weekday(day))
    if of_month.startswith("*") or of_week.startswith("*"):
        return by_month and by_week
    return by_month or by_week


def weekday(day: date) -> set[int]:
    number = day.isoweekday()
    return {0, 7} if number == 7 else {number}


def claimed_on(words: str, day: date) -> bool:
    said = re.fullmatch(r"(.*), at 00:00 GMT", words)
    if said is None:
        return words == "every day at 00:00 GMT"
    days, _, months = f" {said[1]}".partition(" in ")
    return (not months or f"{day:%B}" in months) and claimed_days(days, day)


def claimed_days(days: str, day: date) -> bool:
    if " and only " in days:
        return all(claimed_days(one, day) for one in days.split(" and only "))
    if " and also " in days:
        return any(claimed_days(one, day) for one in days.split(" and also "))
    if not days:
        return True
    if "of the month" not in days:
        return f"{day:%A}" in days
    return day.day in numbers_of(days) or ("the last day" in days and is_last(day))


def is_last(day: date) -> bool:
    return day.day == monthrange(day.year, day.month)[1]


def spans(low: int, high: int):
    number = st.integers(low, high)
    between = st.tuples(number, number).map(lambda pair: "-".join(map(str, sorted(pair))))
    whole = st.just(f"{low}-{high}")
    stepped = st.tuples(between | whole | st.just("*") | number.map(str), st.integers(1, high + 1))
    return st.one_of(
        st.just("*"),
        number.map(str),
        between,
        whole,
        stepped.map(lambda pair: f"{pair[0]}/{pair[1]}"),
    )


def fields(low: int, high: int, *others: str):
    one = spans(low, high) | st.sampled_from(others) if others else spans(low, high)
    return st.lists(one, min_size=1, max_size=3).map(",".join)


@settings(deadline=None)  # a year is looked at day by day, and CI is slow
@given(fields(1, 31, "$"), st.just("*") | fields(1, 12), fields(0, 7))
def test_the_words_name_the_days_on_which_it_runs(of_month, month, of_week):
    schedule = f"0 0 {of_month} {month} {of_week}"
    words = describe(schedule)
    wrong = [day for day in YEAR if runs_on(schedule, day) != claimed_on(words, day)]
    assert not wrong, words


def times(schedule: str) -> list[int]:
    """The minutes of a day at which it runs."""
    minute, hour = schedule.split(" ")[:2]
    return [
        at for at in range(24 * 60)
        if allows(minute, at % 60, 0, 59) and allows(hour, at // 60, 0, 23)
    ]  # fmt: skip


@settings(deadline=None)  # a day is looked at minute by minute
@given(fields(0, 59), st.just("*") | fields(0, 23))
def test_the_words_name_the_times_at_which_it_runs(minute, hour):
    schedule = f"{minute} {hour} * * *"
    words, ran = describe(schedule), times(schedule)
    evenly = re.fullmatch(r"every (?:(\d+) )?(minute|hour)s?(?: from minute (\d+))?", words)
    listed = re.fullmatch(r"every day at (.*) GMT", words)
    if evenly:
        step = int(evenly[1] or 1) * (60 if evenly[2] == "hour" else 1)
        assert ran == list(range(int(evenly[3] or 0), 24 * 60, step))
    elif listed:
        told = re.findall(r"(\d\d):(\d\d)", listed[1])
        assert ran == [60 * int(at_hour) + int(at_minute) for at_hour, at_minute in told]
    else:
        assert ran == within_hours(words)


def within_hours(words: str) -> list[int]:
    """What "…, in the hours 8-17 GMT" and "at minutes 1 and 7 of every hour" say."""
    minutes, _, hours = words.partition(", in the hours ")
    evenly = re.fullmatch(r"every (?:(\d+) )?minutes?(?: from minute (\d+))?", minutes)
    if evenly:
        told = set(range(int(evenly[2] or 0), 60, int(evenly[1] or 1)))
    else:
        told = {0} if minutes == "every hour" else numbers_of(minutes)
    among = numbers_of(hours) if hours else set(range(24))
    return [at for at in range(24 * 60) if at % 60 in told and at // 60 in among]


def numbers_of(words: str) -> set[int]:
    spans_of = re.findall(r"(\d+)(?:-(\d+))?", words)
    return {n for first, last in spans_of for n in range(int(first), int(last or first) + 1)}


@pytest.mark.parametrize(
    ("schedule", "both_days", "words"),
    [
        ("0 12 1 * 1", False, "on day 1 of the month and also on Monday, at 12:00 GMT"),
        ("0 12 1 * 1", True, "on day 1 of the month and only on Monday, at 12:00 GMT"),
        ("0 12 1-31 * 1", True, "on Monday, at 12:00 GMT"),
        ("0 12 1-31 * 1", False, "every day at 12:00 GMT"),
        ("0 12 * * 1", None, "on Monday, at 12:00 GMT"),
        ("*/5 * * * *", None, "every 5 minutes"),
    ],
)
def test_a_setting_says_whether_both_kinds_of_day_must_hold(schedule, both_days, words):
    assert describe(schedule, both_days=both_days) == words


def test_where_the_setting_is_not_known_neither_meaning_is_claimed():
    words = describe("0 12 1 * 1", both_days=None)
    assert "and also (or only, by cron.dom_dow_and_logic, which is not shown) on Monday" in words
    with override("zh-hans"):
        assert mixed(describe("0 12 1 * 1", both_days=None)) == []
