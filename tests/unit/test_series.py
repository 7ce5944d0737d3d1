"""Sparklines, chart points and chart tables are the same numbers, with the same holes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import accumulate

from executions.health.ledger import lay
from executions.pages.overview.series import (
    HEIGHT,
    HourOfValues,
    between_successes,
    duration_of,
    kept_by_hour,
    lag_of,
    lag_over_time,
    over_plans,
    sparkline,
)
from executions.pages.overview.tags import hour_rows
from executions.scheduler.jobs import ROLLUP
from tests.pictures import CADENCE, NOW, SECOND, execution, executions, plan_time

MINUTE = timedelta(minutes=1)


def test_the_rows_of_a_charts_table_are_in_its_own_unit():
    hour = HourOfValues(NOW.replace(minute=0), 12, 90, 150, 7_200)
    assert cells(hour_rows([hour], "ms", "a job")) == ["12", "90 ms", "150 ms", "7.2 s"]
    assert cells(hour_rows([hour], "s", "a job")) == ["12", "1 min 30 s", "2 min 30 s", "2 h"]


def cells(html):
    return re.findall(r'<td class="number">([^<]*)</td>', html)


def test_a_sparkline_reaches_from_zero_to_its_greatest_value_and_over_its_whole_width():
    line = sparkline([0, 5, 10]).line
    assert line == f"M0.0 {HEIGHT}.0L50.0 12.0L100.0 0.0"


def test_a_sparkline_has_a_hole_where_a_number_is_missing():
    drawn = sparkline([1, None, 1, 1])
    assert drawn.line.count("M") == drawn.area.count("M") == 2


def test_a_line_of_zeros_lies_at_the_bottom():
    assert sparkline([0, 0]).line == f"M0.0 {HEIGHT}.0L100.0 {HEIGHT}.0"


def test_one_number_makes_no_line():
    assert not sparkline([None, 3])
    assert not sparkline([])


def test_a_chart_has_one_point_for_each_plan_and_null_for_those_without_a_number():
    known = executions({2: None, 3: {"status": "FAILED"}, 4: {"duration_ms": 750}})
    series = over_plans(lay(known, NOW, ROLLUP), duration_of)
    steps, values = json.loads(series.points)
    seconds = list(accumulate(steps))
    assert len(seconds) == len(values) == 288
    assert seconds[-5] == int(plan_time(4).timestamp())
    assert values[-5:-2] == [750, None, None]


def test_the_table_of_a_chart_sums_up_each_hour_newest_first():
    made = lay(executions({1: {"duration_ms": 9_000}}), NOW, ROLLUP)
    hours = over_plans(made, duration_of).hours
    assert sum(hour.count for hour in hours) == 288
    assert [hour.hour for hour in hours] == sorted((hour.hour for hour in hours), reverse=True)
    assert max(hour.greatest for hour in hours) == 9_000
    assert all(hour.median <= hour.p95 <= hour.greatest for hour in hours)


def test_the_lag_of_a_run_is_from_its_watermark_to_its_end():
    row = execution(0, finished_at=NOW, watermark_after=NOW - 5 * CADENCE)
    assert lag_of(row) == (5 * CADENCE).total_seconds()
    assert lag_of(execution(0, finished_at=None, watermark_after=NOW)) is None


def test_the_share_kept_of_an_hour_leaves_out_what_was_not_expected():
    made = lay(executions({0: {"status": "FAILED"}}), NOW, ROLLUP)
    shares = kept_by_hour(made)
    assert shares[0] == 1
    assert shares[-1] is not None
    assert shares[-1] < 1
    nothing = lay(executions(count=0, first_plan=None), NOW, ROLLUP)
    assert set(kept_by_hour(nothing)) == {None}


def test_the_times_between_successes_leave_failures_out():
    rows = [
        execution(0, finished_at=NOW),
        execution(0, finished_at=NOW - 10 * SECOND, status="FAILED"),
        execution(0, finished_at=NOW - 40 * SECOND),
    ]
    assert between_successes(rows) == [timedelta(seconds=40).total_seconds()]


def run(minutes_ago: float, lag_before: float, lag_after: float):
    """A success that ended so many minutes ago and took the lag from one to the other."""
    end = NOW - minutes_ago * MINUTE
    return execution(
        int(minutes_ago // 5),
        finished_at=end,
        watermark_before=end - lag_before * MINUTE,
        watermark_after=end - lag_after * MINUTE,
    )


def test_the_lag_climbs_between_runs_and_each_run_takes_it_back():
    course = lag_over_time([run(1, 10, 5), run(6, 10, 5)], NOW, None)
    ends = [NOW - 6 * MINUTE, NOW - 6 * MINUTE, NOW - MINUTE, NOW - MINUTE, NOW]
    assert list(course.times) == ends
    assert [value / 60 for value in course.values] == [10, 5, 10, 5, 6]
    assert course.plans == tuple(plan_time(age) for age in (1, 1, 0, 0, 0))


def test_in_an_outage_the_lag_climbs_on_to_now():
    course = lag_over_time([run(240, 10, 5)], NOW, NOW - 245 * MINUTE)
    assert course.times[-1] == NOW
    assert course.values[-1] == 245 * 60


def test_the_lag_ends_at_the_present_watermark_whoever_moved_it():
    assert lag_over_time([run(240, 10, 5)], NOW, NOW - 6 * MINUTE).values[-1] == 6 * 60


def test_a_lag_from_before_the_first_run_ever_is_not_drawn():
    first = replace(run(5, 10, 5), watermark_before=datetime(1970, 1, 1, tzinfo=UTC))
    course = lag_over_time([first], NOW, None)
    assert [value / 60 for value in course.values] == [5, 10]


def test_failures_and_runs_from_the_future_have_no_part_in_the_lag():
    assert not lag_over_time([replace(run(5, 10, 5), status="FAILED"), run(-5, 10, 5)], NOW, None)


def test_a_chart_says_the_plan_of_each_point():
    steps, values, plans = json.loads(lag_over_time([run(1, 10, 5)], NOW, None).points)
    assert len(steps) == len(values) == len(plans) == 3
    assert set(accumulate(plans)) == {int(plan_time(0).timestamp())}


def test_a_sparkline_knows_its_extremes_and_where_the_normal_values_lie():
    drawn = sparkline([300, 600, 1200], normal=(5 * MINUTE, 10 * MINUTE))
    assert (drawn.lowest, drawn.highest) == (300, 1200)
    top, height = map(float, drawn.band)
    assert (top, height) == (HEIGHT / 2, HEIGHT / 4)
    quiet = sparkline([10, 10], normal=(5 * MINUTE, 10 * MINUTE))
    assert float(quiet.band[0]) == 0
