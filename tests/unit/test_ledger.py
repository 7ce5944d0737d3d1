"""The plan ledger: which plans are expected, and the outcome of each."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executions.health.facts.unwatched import Unwatched
from executions.health.ledger import Ledger, PlanOutcome, lay, percentile
from executions.scheduler.jobs import ROLLUP
from executions.scheduler.plans import newest_due
from tests.pictures import CADENCE, NEWEST, NOW, SECOND, execution, executions, plan_time

MINUTE = timedelta(minutes=1)


def ledger(changed=None, now=NOW, **others) -> Ledger:
    return lay(executions(changed, **others), now, ROLLUP)


def kind_of(made: Ledger, age: int) -> PlanOutcome:
    return next(cell.kind for cell in made.cells if cell.plan_time == plan_time(age))


def test_a_day_is_24_rows_of_12_cells_oldest_first():
    made = ledger()
    rows = made.rows()
    assert [len(row) for row in rows] == [12] * 24
    assert rows[0][0].plan_time == NEWEST - 287 * CADENCE
    assert rows[-1][-1].plan_time == NEWEST
    assert (made.expected, made.missing, made.kept) == (288, 0, 288)


def test_a_job_with_a_shorter_cadence_is_shown_for_as_many_plans():
    quick = replace(ROLLUP, cadence=SECOND)
    assert len(lay(executions(count=0), NOW, quick).cells) == 288
    assert len(lay(executions(), NOW, ROLLUP, timedelta(days=7)).cells) == 7 * 288


def test_a_cadence_that_does_not_divide_the_day_has_its_plans_on_its_own_grid():
    sevenths = replace(ROLLUP, cadence=7 * MINUTE)
    newest = newest_due(sevenths, NOW)
    rows = tuple(execution(age, plan_time=newest - age * 7 * MINUTE) for age in range(300))
    made = lay(replace(executions(count=0), rows=rows), NOW, sevenths)
    assert len(made.cells) == 24 * 60 // 7
    assert made.kept == len(made.cells)
    assert made.off_grid == ()


@pytest.mark.parametrize(
    ("columns", "kind"),
    [
        ({}, PlanOutcome.KEPT),
        ({"finished_at": plan_time(4) + 2 * CADENCE}, PlanOutcome.KEPT),
        ({"finished_at": plan_time(4) + 2 * CADENCE + SECOND}, PlanOutcome.KEPT_LATE),
        ({"attempt": 2}, PlanOutcome.RETRIED),
        ({"status": "FAILED"}, PlanOutcome.FAILED),
        ({"status": "RUNNING", "stale_after": NOW}, PlanOutcome.RUNNING),
        ({"status": "RUNNING", "stale_after": NOW - SECOND}, PlanOutcome.STALE),
        (None, PlanOutcome.MISSING),
    ],
)
def test_each_cell_says_what_became_of_its_plan(columns, kind):
    assert kind_of(ledger({4: columns}), 4) is kind


def test_a_newest_plan_is_missing_only_once_delay_tick_and_the_usual_duration_have_passed():
    due = NEWEST + ROLLUP.schedule_delay + 30 * SECOND + SECOND  # every run takes one second
    assert kind_of(ledger({0: None}, now=due), 0) is PlanOutcome.WAITING
    made = ledger({0: None}, now=due + SECOND)
    assert kind_of(made, 0) is PlanOutcome.MISSING
    assert made.missing == 1


def test_a_waiting_plan_is_not_expected_yet():
    made = ledger({0: None}, now=NEWEST + ROLLUP.schedule_delay + SECOND)
    assert (made.expected, made.missing) == (287, 0)


def test_a_plan_that_a_later_one_overtook_is_missing_however_long_runs_take():
    slow = {age: {"duration_ms": 600_000} for age in range(289)} | {1: None}
    assert kind_of(ledger(slow), 1) is PlanOutcome.MISSING


def test_nothing_is_expected_before_the_first_execution_ever():
    made = ledger(dict.fromkeys(range(3, 289)), first_plan=plan_time(2))
    assert (made.expected, made.missing) == (3, 0)
    assert kind_of(made, 3) is PlanOutcome.NONE
    assert len(made.streak) == 3
    assert made.streak.broken_by is None


def test_nothing_is_expected_where_nothing_ever_ran():
    made = ledger(count=0, first_plan=None)
    assert (made.expected, made.missing, len(made.cells)) == (0, 0, 288)


def test_nothing_is_expected_before_what_was_read():
    made = ledger(count=100, since=plan_time(99))
    assert (made.expected, made.missing) == (100, 0)


def test_a_clock_that_was_set_back_before_the_first_execution_expects_nothing():
    ahead = timedelta(days=1)
    made = ledger(count=1, first_plan=plan_time(0), now=NOW - ahead)
    assert (made.expected, made.missing) == (0, 0)
    assert [row.plan_time for row in made.ahead] == [NEWEST]


def test_a_row_in_the_future_makes_no_plan_missing():
    ahead = execution(0, plan_time=NEWEST + timedelta(days=1))
    made = lay(
        replace(executions({0: None}), rows=(ahead, *executions({0: None}).rows)),
        NEWEST + ROLLUP.schedule_delay + SECOND,
        ROLLUP,
    )
    assert kind_of(made, 0) is PlanOutcome.WAITING
    assert made.ahead == (ahead,)


def test_rows_off_the_grid_lie_in_the_cell_of_their_bucket():
    odd = [execution(5, plan_time=plan_time(5) + n * MINUTE) for n in (1, 2)]
    known = executions({5: None})
    made = lay(replace(known, rows=(*odd, *known.rows)), NOW, ROLLUP)
    cell = next(cell for cell in made.cells if cell.plan_time == plan_time(5))
    assert (cell.kind, cell.extras) == (PlanOutcome.MISSING, tuple(odd))
    assert made.off_grid == tuple(odd)


def test_a_gap_lies_between_two_plans_that_somebody_began():
    (gap,) = ledger({3: None, 4: None}).gaps
    assert (gap.first, gap.last, gap.count) == (plan_time(4), plan_time(3), 2)
    assert gap.before is not None
    assert (gap.before.plan_time, gap.after.plan_time) == (plan_time(5), plan_time(2))


def test_the_silence_up_to_now_is_no_gap():
    made = ledger(dict.fromkeys(range(6)))
    assert made.missing == 6
    assert made.gaps == ()


def test_a_gap_that_began_before_the_window_counts_from_the_window_on():
    (gap,) = ledger(dict.fromkeys(range(280, 289))).gaps
    assert (gap.first, gap.before) == (NEWEST - 287 * CADENCE, None)


def test_the_streak_ends_at_the_newest_plan_that_did_not_succeed():
    streak = ledger({7: None, 9: {"status": "FAILED"}}).streak
    assert len(streak) == 7
    assert streak.broken_by is not None
    assert (streak.broken_by.plan_time, streak.broken_by.kind) == (
        plan_time(7),
        PlanOutcome.MISSING,
    )


def test_a_newest_plan_that_runs_or_waits_breaks_no_streak():
    running = {"status": "RUNNING", "stale_after": NOW + MINUTE}
    assert len(ledger({0: running, 4: None}).streak) == 3
    soon = NEWEST + ROLLUP.schedule_delay + SECOND
    assert len(ledger({0: None, 4: None}, now=soon).streak) == 3


def test_an_older_plan_that_still_runs_breaks_the_streak():
    running = {"status": "RUNNING", "stale_after": NOW + MINUTE}
    assert len(ledger({2: running}).streak) == 2


def test_percentiles_are_those_of_postgresql():
    assert percentile([], 0.5) is None
    assert percentile([7], 0.95) == 7
    assert percentile([40, 10, 30, 20], 0.5) == 25
    assert percentile([1, 2, 3, 4, 5], 0.95) == pytest.approx(4.8)


@given(
    began=st.sets(st.integers(0, 288)),
    first=st.integers(0, 288),
    late=st.integers(0, 299),
)
def test_every_cell_is_expected_waiting_or_before_the_beginning(began, first, late):
    changed = {age: None for age in range(289) if age not in began}
    known = executions(changed, first_plan=plan_time(first))
    made = lay(known, NEWEST + ROLLUP.schedule_delay + late * SECOND, ROLLUP)
    assert len(made.cells) == 288
    assert made.expected == made.kept + made.missing
    assert sum(gap.count for gap in made.gaps) <= made.missing
    assert made.counts[PlanOutcome.WAITING] <= 1
    assert made.counts.total() == 288


@given(began=st.sets(st.integers(0, 287)))
def test_a_row_before_the_window_changes_no_cell(began):
    """Without one, all rows lie on the grid, and are sorted in a quicker way."""
    missing = dict.fromkeys(set(range(288)) - began)
    assert ledger(missing | {288: None}).cells == ledger(missing).cells


def test_a_plan_without_a_row_is_not_missing_where_nobody_could_look():
    stretch = Unwatched(plan_time(4) + CADENCE + SECOND, plan_time(3) + CADENCE + SECOND)
    gap = executions({2: None, 3: None, 4: None, 5: {"status": "FAILED"}})
    made = lay(gap, NOW, ROLLUP, unwatched=[stretch])
    assert [kind_of(made, age) for age in (5, 4, 3, 2)] == [
        PlanOutcome.FAILED, PlanOutcome.BLIND, PlanOutcome.BLIND, PlanOutcome.MISSING,
    ]  # fmt: skip
    assert (made.expected, made.missing, made.kept) == (286, 1, 284)
    assert [(gap.first, gap.count) for gap in made.gaps] == [(plan_time(2), 1)]


def test_a_stretch_that_lasts_hides_no_row_and_breaks_the_streak():
    stretch = Unwatched(NOW - timedelta(hours=1), None)
    assert lay(executions(), NOW, ROLLUP, unwatched=[stretch]).kept == 288
    made = lay(executions({2: None}), NOW, ROLLUP, unwatched=[stretch])
    assert made.streak.broken_by is not None
    assert (len(made.streak), made.streak.broken_by.kind) == (2, PlanOutcome.BLIND)
