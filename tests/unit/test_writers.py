"""The rule that tells whether something besides the recorded runs moved the watermark."""

from __future__ import annotations

from datetime import timedelta

import pytest

from executions.health.facts.pg_cron import JobRun
from executions.health.writers import ROUNDING, jumps, pairs, ran_between
from tests.pictures import CADENCE, SECOND, execution, executions

TICK = timedelta(microseconds=1)
LEFT_AT = execution(1).watermark_after


@pytest.mark.parametrize(("further", "jumped"), [(ROUNDING, 0), (ROUNDING + TICK, 1)])
def test_what_two_runners_round_differently_is_no_jump(further, jumped):
    rows = executions({0: {"watermark_before": LEFT_AT + further}}).rows
    assert len(jumps(pairs(rows))) == jumped


def test_a_run_that_outlived_its_successor_is_compared_by_how_far_it_reached():
    far = LEFT_AT + CADENCE
    rows = executions({2: {"watermark_after": far}, 0: {"watermark_before": far}}).rows
    assert not jumps(pairs(rows)[:1])


def test_only_a_first_attempt_after_a_success_can_be_compared():
    for changed in (
        {0: {"attempt": 2}},
        {1: {"status": "FAILED"}},
        {0: {"watermark_before": None}},
    ):
        newest = pairs(executions(changed).rows)[0]
        assert newest.later.plan_time != execution(0).plan_time


@pytest.mark.parametrize(
    ("begun", "ended", "ran"),
    [
        (timedelta(), timedelta(), True),
        (-SECOND, timedelta(), True),
        (-SECOND, -TICK, False),
        (-SECOND, None, True),
        (CADENCE, 2 * CADENCE, True),
        (CADENCE + TICK, 2 * CADENCE, False),
    ],
)
def test_a_job_ran_between_two_runs_if_it_was_at_work_at_any_moment_from_one_start_to_the_next(
    begun, ended, ran
):
    start = execution(1).started_at
    run = JobRun(17, start + begun, None if ended is None else start + ended)
    (newest, *_older) = pairs(executions().rows)
    assert ran_between(newest, [run]) == ({17} if ran else set())
