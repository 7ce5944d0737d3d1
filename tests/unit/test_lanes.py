"""The runner lanes: where a run is on its line, and which lines there are."""

from __future__ import annotations

from datetime import timedelta

from executions.health.ledger import WINDOW
from executions.pages.overview.lanes import MOST_LANES, NARROWEST, WIDTH, Lanes, draw_lanes
from tests.pictures import NOW, SECOND, execution

HOUR = timedelta(hours=1)


def draw(*rows, ours=frozenset()) -> Lanes:
    return draw_lanes(rows, ours, NOW, WINDOW)


def run(hours_ago: float, lasting: timedelta = SECOND, **columns):
    started_at = NOW - hours_ago * HOUR
    known = {
        "plan_time": started_at,
        "started_at": started_at,
        "finished_at": started_at + lasting,
        "runner_id": "a",
    }
    return execution(0, **(known | columns))


def test_a_run_lies_where_it_began_and_is_as_wide_as_it_lasted():
    (bar,) = draw(run(12, lasting=2 * HOUR)).lanes[0].bars
    assert float(bar.x) == WIDTH / 2
    assert float(bar.width) == WIDTH / 12


def test_a_short_run_is_wide_enough_to_be_seen_and_stays_on_the_line():
    (bar,) = draw(run(0, lasting=SECOND)).lanes[0].bars
    assert float(bar.width) == NARROWEST
    assert float(bar.x) + float(bar.width) <= WIDTH


def test_a_run_that_goes_on_reaches_to_now():
    (bar,) = draw(run(6, status="RUNNING", finished_at=None)).lanes[0].bars
    assert float(bar.x) + float(bar.width) == WIDTH
    assert bar.css == "run run-running"


def test_a_run_that_ended_before_it_began_is_a_short_one():
    (bar,) = draw(run(6, lasting=-HOUR)).lanes[0].bars
    assert float(bar.width) == NARROWEST


def test_shapes_tell_successes_retries_failures_and_runs_apart():
    lanes = draw(
        run(1),
        run(2, attempt=2),
        run(3, status="FAILED"),
        run(4, status="RUNNING", finished_at=None),
    )
    shapes = {(bar.css, bar.y, bar.height) for bar in lanes.lanes[0].bars}
    assert len(shapes) == 4
    assert lanes.lanes[0].failed == 1
    assert "4 runs" in lanes.lanes[0].summary


def test_the_picture_in_words_says_one_run_as_one():
    at = f"{NOW - HOUR:%H:%M} UTC"
    assert draw(run(1)).lanes[0].summary == f"1 run at {at}"
    assert draw(run(1, status="FAILED")).lanes[0].summary == f"1 run at {at}, which failed"


def test_each_runner_has_a_line_and_the_one_seen_last_is_on_top():
    lanes = draw(
        run(5, runner_id="old"), run(1, runner_id="new"), run(9, runner_id="old"),
        ours=frozenset({"new"}),
    )  # fmt: skip
    assert [(lane.runner_id, lane.plans, lane.is_ours) for lane in lanes.lanes] == [
        ("new", 1, True),
        ("old", 2, False),
    ]


def test_what_began_before_the_day_or_never_is_left_out():
    lanes = draw(run(25), run(1, started_at=None), run(2))
    assert [lane.plans for lane in lanes.lanes] == [1]


def test_more_runners_than_fit_are_counted():
    lanes = draw(*(run(1 + number / 100, runner_id=f"{number}") for number in range(15)))
    assert (len(lanes.lanes), lanes.hidden) == (MOST_LANES, 3)
    assert lanes.lanes[0].runner_id == "0"
