"""The gates about plans that succeeded, and about whose runner ran them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from executions.health.facts import StateRow
from executions.retirement.gates import GateCode
from tests.gating import DELAY, alone, judged
from tests.pictures import CADENCE, NEWEST, NOW, SECOND, executions, facts, plan_time


@pytest.mark.parametrize(
    ("changed", "broken", "word", "succeeded"),
    [
        ({5: None}, 5, "was missed", 5),
        ({5: {"status": "FAILED"}}, 5, "failed", 5),
        ({11: {"status": "FAILED", "attempt": 3}}, 11, "failed", 11),
        ({3: {"status": "RUNNING"}}, 3, "is still running", 3),
        ({3: {"status": "RUNNING", "stale_after": NOW - SECOND}}, 3, "abandoned", 3),
        ({0: {"status": "FAILED", "attempt": 3}}, 0, "failed", 0),
    ],
)
def test_the_streak_says_which_plan_broke_it_and_when_it_can_pass(changed, broken, word, succeeded):
    checked = judged(executions=executions(changed))
    gate = checked.gate(GateCode.SUCCESS_STREAK)
    assert not gate.passed
    assert gate.evidence["succeeded"] == succeeded
    assert gate.evidence["broken_by"] == plan_time(broken)
    assert word in str(gate.summary)
    assert gate.earliest == plan_time(broken) + 12 * CADENCE + DELAY
    assert checked.earliest == gate.earliest


def test_a_gap_in_the_streak_refuses_alone():
    alone(judged(executions=executions({5: None})), GateCode.SUCCESS_STREAK)


def test_the_sentence_of_the_streak_is_the_one_of_the_example():
    gate = judged(executions=executions({7: None})).gate(GateCode.SUCCESS_STREAK)
    assert str(gate.summary) == (
        "Not yet: 7 of the 12 most recent plans succeeded without a gap (00:20 UTC was missed)."
        " At the earliest 01:25 UTC."
    )


def test_a_plan_before_the_streak_breaks_nothing():
    assert judged(executions=executions({12: {"status": "FAILED", "attempt": 3}})).retirable


def test_a_newest_plan_that_runs_under_a_live_lease_breaks_nothing():
    assert judged(executions=executions({0: {"status": "RUNNING"}})).retirable


def test_a_newest_plan_that_runs_past_its_lease_breaks_the_streak():
    rows = executions({0: {"status": "RUNNING", "stale_after": NOW - SECOND}})
    assert not judged(executions=rows).gate(GateCode.SUCCESS_STREAK).passed


def test_a_newest_plan_that_is_not_due_yet_breaks_nothing():
    """Due is plan_time + delay + tick + p95: here 5 min, 30 s and 1 s."""
    known = facts()
    due = NEWEST + DELAY + timedelta(seconds=31)
    rows = executions({0: None})

    def at(moment):
        return judged(
            executions=rows,
            ground=replace(known.ground, now=moment),
            state=StateRow(watermark_at=moment - DELAY),
        )

    assert at(due).retirable
    assert alone(at(due + SECOND), GateCode.SUCCESS_STREAK).evidence["broken_by"] == NEWEST


def test_a_newest_plan_that_failed_refuses_although_it_is_not_due_yet():
    known = facts()
    rows = executions({0: {"status": "FAILED", "next_retry_at": NEWEST + DELAY + 61 * SECOND}})
    gate = judged(
        executions=rows, ground=replace(known.ground, now=NEWEST + DELAY + 5 * SECOND)
    ).gate(GateCode.SUCCESS_STREAK)
    assert not gate.passed
    assert gate.earliest == NEWEST + DELAY + 61 * SECOND  # its retry may still succeed


def test_a_newest_plan_whose_retry_comes_after_the_next_plan_is_due_is_lost():
    next_due = NEWEST + CADENCE + DELAY
    rows = executions({0: {"status": "FAILED", "next_retry_at": next_due}})
    gate = judged(executions=rows, streak=1).gate(GateCode.SUCCESS_STREAK)
    assert gate.earliest == next_due


def test_a_newest_success_that_finished_long_ago_is_no_streak():
    late = NOW - 2 * CADENCE - SECOND
    rows = executions({0: {"finished_at": late}})
    gate = alone(judged(executions=rows), GateCode.SUCCESS_STREAK)
    assert "nobody runs plans now" in str(gate.summary)
    assert judged(executions=executions({0: {"finished_at": late + SECOND}})).retirable


def test_a_young_install_is_told_when_it_has_plans_enough():
    rows = executions(count=4, first_plan=plan_time(3), since=plan_time(300))
    gate = judged(executions=rows).gate(GateCode.SUCCESS_STREAK)
    assert not gate.passed
    assert gate.evidence["succeeded"] == 4
    assert gate.earliest == NEWEST + 8 * CADENCE + DELAY


def test_the_setting_says_how_long_the_streak_is():
    rows = executions({6: None})
    assert judged(executions=rows, streak=6).retirable
    assert not judged(executions=rows, streak=7).retirable


def test_only_our_own_runner_is_not_enough_unless_somebody_affirms_that_it_stays():
    own = {"own_runners": frozenset({"backend"})}
    gate = alone(judged(**own), GateCode.BACKEND_RUNNER)
    assert gate.earliest is None
    affirmed = judged(**own, affirmed_by="olga")
    assert affirmed.retirable
    assert "olga" in str(affirmed.gate(GateCode.BACKEND_RUNNER).summary)


def test_one_plan_won_by_another_runner_is_enough():
    rows = executions({11: {"runner_id": "theirs"}})
    own = frozenset({"backend"})
    assert judged(executions=rows, own_runners=own).retirable
    before_the_streak = executions({12: {"runner_id": "theirs"}})
    assert not judged(executions=before_the_streak, own_runners=own).retirable


def test_an_affirmation_does_not_stand_in_for_plans():
    checked = judged(executions=executions(count=0), affirmed_by="olga")
    assert not checked.gate(GateCode.BACKEND_RUNNER).passed
