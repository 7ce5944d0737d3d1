"""Plan arithmetic: buckets, and which of them are due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.scheduler.jobs import ROLLUP
from executions.scheduler.plans import due_plans, floor, is_retried, newest_due, oldest_open
from executions.scheduler.spec import Standing
from tests.short_jobs import every_plan, job, seconds

FIVE = timedelta(minutes=5)
NOON = datetime(2026, 3, 29, 12, 0, tzinfo=UTC)

moments = st.datetimes(
    datetime(1950, 1, 1),
    datetime(2150, 1, 1),
    timezones=st.builds(
        lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-840, 840)
    ),
)
cadences = st.integers(1, 10**10).map(lambda number: timedelta(milliseconds=number))


def test_a_moment_on_a_boundary_is_its_own_bucket():
    assert floor(NOON, FIVE) == NOON


def test_a_moment_inside_a_bucket_belongs_to_its_beginning():
    assert floor(NOON + timedelta(minutes=4, seconds=59, microseconds=999_999), FIVE) == NOON


def test_a_moment_of_another_time_zone_is_floored_in_utc():
    kathmandu = timezone(timedelta(hours=5, minutes=45))
    moment = datetime(2026, 3, 29, 17, 47, 12, tzinfo=kathmandu)
    bucket = floor(moment, timedelta(hours=1))
    assert bucket == NOON
    assert bucket.tzinfo is UTC


def test_buckets_are_counted_from_year_one_as_go_counts_them():
    # Counted from the Unix epoch it would be 12:00 itself, and the Thursday before.
    assert floor(NOON, timedelta(minutes=7)) == datetime(2026, 3, 29, 11, 59, tzinfo=UTC)
    assert floor(NOON, timedelta(days=7)) == datetime(2026, 3, 23, tzinfo=UTC)


@given(moments, cadences)
def test_a_bucket_holds_its_moment_and_nothing_is_between_buckets(moment, cadence):
    bucket = floor(moment, cadence)
    assert bucket <= moment < bucket + cadence
    assert floor(bucket, cadence) == bucket
    assert floor(bucket + cadence, cadence) == bucket + cadence


def test_the_rollup_is_due_five_minutes_after_its_bucket_begins():
    assert newest_due(ROLLUP, NOON - timedelta(microseconds=1)) == NOON - 2 * FIVE
    assert newest_due(ROLLUP, NOON) == NOON - FIVE


def test_latest_only_plans_the_newest_bucket_whatever_was_missed():
    standing = Standing(NOON, newest=NOON - timedelta(days=3), retryable=[NOON - FIVE])
    assert due_plans(ROLLUP, standing) == [NOON - FIVE]


def test_every_plan_begins_at_the_latest_bucket_when_nothing_is_stored():
    assert due_plans(every_plan(), Standing(NOON)) == [NOON]


def test_every_plan_replays_what_was_missed_oldest_first():
    standing = Standing(NOON, newest=NOON - seconds(3))
    assert due_plans(every_plan(), standing) == [NOON - seconds(2), NOON - seconds(1), NOON]


def test_every_plan_has_nothing_to_do_once_the_latest_bucket_is_stored():
    assert due_plans(every_plan(), Standing(NOON, newest=NOON)) == []


def test_every_plan_stops_at_its_maximum_per_tick():
    standing = Standing(NOON, newest=NOON - seconds(9))
    planned = due_plans(every_plan(max_plans_per_tick=2), standing)
    assert planned == [NOON - seconds(8), NOON - seconds(7)]


def test_every_plan_replays_nothing_older_than_its_window():
    standing = Standing(NOON, newest=NOON - seconds(300))
    planned = due_plans(every_plan(catch_up_window=seconds(2.5)), standing)
    assert planned == [NOON - seconds(2), NOON - seconds(1), NOON]


def test_the_bucket_on_the_edge_of_the_window_is_inside():
    standing = Standing(NOON, newest=NOON - seconds(300))
    planned = due_plans(every_plan(catch_up_window=seconds(2)), standing)
    assert planned[0] == NOON - seconds(2)


def test_a_failed_bucket_is_not_stranded_behind_newer_ones():
    standing = Standing(NOON, newest=NOON - seconds(1), retryable=[NOON - seconds(40)])
    assert due_plans(every_plan(), standing) == [NOON - seconds(40), NOON]


def test_the_newest_bucket_is_tried_again_when_it_failed():
    standing = Standing(NOON, newest=NOON, retryable=[NOON])
    assert due_plans(every_plan(), standing) == [NOON]


def test_a_stored_plan_off_the_grid_moves_no_bucket():
    standing = Standing(NOON, newest=NOON - seconds(1.5))
    assert due_plans(every_plan(), standing) == [NOON - seconds(1), NOON]


def test_a_stored_plan_in_the_future_leaves_nothing_to_do():
    assert due_plans(every_plan(), Standing(NOON, newest=NOON + timedelta(days=1))) == []


@given(
    behind=st.integers(0, 200),
    failed=st.lists(st.integers(0, 59), unique=True),
    most=st.integers(1, 300),
)
def test_every_plan_is_in_order_without_repeats_and_within_its_bounds(behind, failed, most):
    newest = NOON - seconds(behind)
    retryable = sorted(NOON - seconds(age) for age in failed if age >= behind)
    planned = due_plans(
        every_plan(max_plans_per_tick=most), Standing(NOON, newest=newest, retryable=retryable)
    )
    assert planned == sorted(set(planned))
    assert len(planned) <= most
    assert all(NOON - seconds(60) <= plan_time <= NOON for plan_time in planned)


@pytest.mark.parametrize(("most", "expected"), [(0, 3), (2, 2)])
def test_a_planner_of_the_jobs_own_is_followed_in_order_and_cut(most, expected):
    times = [NOON, NOON - FIVE, NOON + FIVE]
    spec = job(planner=lambda spec, standing: times, max_plans_per_tick=most)
    assert due_plans(spec, Standing(NOON)) == times[:expected]


@pytest.mark.parametrize(
    ("attempt", "newest", "age", "spec", "retried"),
    [
        (1, 0, 0, ROLLUP, True),
        (3, 0, 0, ROLLUP, False),
        (1, 0, 1, ROLLUP, False),
        (1, 1, 1, ROLLUP, False),
        (1, 1, 1, None, True),
        (1, 0, 1, None, False),
        (1, 1, 1, every_plan(), True),
    ],
)
def test_a_failed_plan_is_retried_while_it_is_the_newest_stored_and_due(
    attempt, newest, age, spec, retried
):
    """``newest`` and ``age`` count buckets back from the bucket that is due at noon."""
    due = NOON - FIVE
    row = SimpleNamespace(plan_time=due - age * FIVE, attempt=attempt, max_attempts=3)
    assert is_retried(row, due - newest * FIVE, oldest_open(spec, NOON)) == retried


def test_a_plan_at_the_end_of_the_calendar_leaves_nothing_to_plan_after_it():
    last = datetime.max.replace(tzinfo=UTC)
    assert due_plans(every_plan(), Standing(NOON, newest=last)) == []
