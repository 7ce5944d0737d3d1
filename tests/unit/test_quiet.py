"""How long a caller outside the database must be silent before it counts as gone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from executions.health.findings import Case
from executions.retirement.quiet import PATIENCE, Quiet, quiet_period
from executions.retirement.watch import Watched, Word, step
from tests.pictures import CADENCE, NOW, SECOND, executions, facts, plan_time

MINUTE = timedelta(minutes=1)
HOURLY = range(6, 288, 12)


def written_before(*ages):
    """Something else moved the watermark before the plans of those ages."""
    return {age: {"watermark_before": plan_time(age) - CADENCE + 30 * SECOND} for age in ages}


def case_of(changed=None, **how) -> Case:
    case = Case.of(facts(executions=executions(changed, **how)))
    assert case is not None
    return case


def period(*ages, **how) -> Quiet:
    return quiet_period(case_of(written_before(*ages), **how))


@pytest.mark.parametrize(
    ("ages", "plans"),
    [
        (range(288), 3),
        (range(0, 288, 2), 3),
        (range(1, 288, 4), 5),
        (HOURLY, 13),
        (range(11, 288, 12), 13),
        ((*range(1, 100, 4), *range(130, 288, 4)), 34),  # one long silence in the midst of the day
        (range(30, 288, 4), 31),  # silent since
        (range(1, 240, 4), 52),  # silent at the beginning of the day
    ],
)
def test_the_longest_silence_of_the_whole_day_and_its_edges_decides(ages, plans):
    found = period(*ages)
    assert found.plans == plans
    assert found.longest == (plans - 1) * CADENCE or plans == 3


@pytest.mark.parametrize("ages", [(), (4,), (4, 8), (100, 200), range(0, 288, PATIENCE)])
def test_behaviour_cannot_prove_a_caller_gone_that_is_silent_for_longer_than_we_watch(ages):
    found = period(*ages)
    assert found.plans is None
    assert "cannot prove" in str(found.summary(NOW))


def test_a_caller_that_never_showed_is_said_to_have_left_no_trace():
    summary = str(period().summary(NOW))
    assert "nothing besides the runners moved the watermark" in summary
    assert "0 times" not in summary


def test_a_caller_of_the_night_is_not_judged_by_a_record_that_is_shorter_than_a_day():
    hours = 40  # the record begins with the hours in which the caller runs
    since = plan_time(hours)
    found = period(*range(hours), count=hours + 1, first_plan=since, since=since)
    assert found.plans is None
    assert "reach back to" in str(found.summary(NOW))
    assert Quiet.from_json(found.as_json()) == found


def test_plans_that_nobody_ran_belong_to_a_silence():
    assert period(*range(250), count=251).plans == 39


def test_the_patience_is_the_longest_wait():
    assert period(*range(0, 288, PATIENCE - 1)).plans == PATIENCE


def test_it_says_how_long_it_takes_and_why():
    told = str(period(*HOURLY).summary(NOW))
    assert "13 plans, about 1 h 5 min" in told
    assert "for 1 h" in told


def test_it_is_kept_on_record_and_read_again():
    for found in (period(*HOURLY), period()):
        assert Quiet.from_json(found.as_json()) == found


def watched(changed, since, plans) -> Word:
    how = Watched(plan_time(since) + 6 * MINUTE, plans, by_behaviour=True)
    return step(case_of(changed), how).word


def test_an_hourly_caller_is_not_gone_before_its_hour_is_over():
    before = written_before(*range(20, 288, 12))
    needed = quiet_period(case_of(before)).plans
    assert needed is not None
    assert watched(before, needed - 1, needed) is Word.WAIT
    assert watched(before, needed, needed) is Word.VERIFIED
    assert watched(before | written_before(0), needed, needed) is Word.WAIT


def test_without_proof_by_behaviour_the_operator_is_asked_once_three_plans_went_well():
    assert watched({}, 2, None) is Word.WAIT
    assert watched({}, 3, None) is Word.UNPROVEN
    assert watched(written_before(1), 3, None) is Word.WAIT
    assert watched(written_before(1), 12, None) is Word.OTHER_CALLER
    assert watched({1: {"status": "FAILED", "attempt": 3}}, 3, None) is Word.WORSE


def test_what_was_heard_after_the_removal_is_said_where_silence_proves_nothing():
    how = Watched(plan_time(7) + 6 * MINUTE, None, by_behaviour=True)
    found = step(case_of(written_before(4)), how)
    assert found.word is Word.UNPROVEN
    assert "nobody else wrote" not in str(found.summary)
    assert "something else wrote once, before the plan of" in str(found.summary)
    quiet = step(case_of(), how)
    assert "nobody else wrote" in str(quiet.summary)


def test_plans_that_tell_nothing_of_other_writers_prove_no_silence():
    retried = {age: {"attempt": 2} for age in range(288)}
    assert watched({1: {"attempt": 2}}, 3, 3) is Word.WAIT
    assert watched({3: {"attempt": 2}}, 6, 3) is Word.VERIFIED
    assert watched(retried, 12, 3) is Word.UNPROVEN
