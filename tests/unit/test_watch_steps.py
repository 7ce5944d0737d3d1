"""The plans after an act decide the watch, and a trial's next step: no database, no clock."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils.translation import override

from executions.health.assessment import plain
from executions.health.facts.pg_cron import JobRun, PgCron, Visibility
from executions.health.findings import Case
from executions.pgcron.job import Job
from executions.retirement.rules import Rules
from executions.retirement.trial import TrialFacts, Turn, turn
from executions.retirement.watch import (
    Watched,
    WatchOutlook,
    WatchVerdict,
    Word,
    due_after,
    outlook,
    step,
    summary_of,
)
from executions.scheduler.jobs import ROLLUP
from executions.scheduler.plans import newest_due
from tests.pictures import CADENCE, NOW, SECOND, executions, facts, plan_time

MINUTE = timedelta(minutes=1)
DELAY = 5 * MINUTE
JOB = Job(17, "rollup", "*/5 * * * *", "SELECT 1", "multica", "postgres", active=False)


def since(plans: int):
    """A moment after which this many plans have come due."""
    return plan_time(plans) + DELAY + MINUTE


def look(changed=None, plans=3, **how) -> WatchVerdict:
    case = Case.of(facts(executions=executions(changed)))
    assert case is not None
    return step(case, Watched(since(plans), **how))


def written_between(*ages):
    """Another writer came before the plans of those ages."""
    return {age: {"watermark_before": plan_time(age) - CADENCE + 30 * SECOND} for age in ages}


@pytest.mark.parametrize(("plans", "word"), [(0, "wait"), (2, "wait"), (3, "verified")])
def test_three_plans_verify(plans, word):
    found = look(plans=plans)
    assert (found.word, len(found.cells)) == (word, plans)


@pytest.mark.parametrize("writers", [1, 2])
def test_what_is_stored_is_told_in_the_language_of_its_reader(writers):
    found = look(written_between(*range(writers)), plans=5, by_behaviour=True)
    told = summary_of(json.loads(json.dumps(plain(found.as_json()))))
    assert str(told) == str(found.summary)
    with override("zh-hans"):
        assert str(told) == str(found.summary)
        assert re.search("[一-鿿]", str(told))


def test_what_an_older_version_stored_is_told_as_it_was_written():
    assert str(summary_of({"summary": "Usage goes on, 100%."})) == "Usage goes on, 100%."
    assert summary_of({}) is None


def test_only_plans_that_became_due_after_the_act_count():
    assert look({3: None, 4: {"status": "FAILED", "attempt": 3}}).word is Word.VERIFIED


@pytest.mark.parametrize(
    ("age", "columns", "word"),
    [
        (1, None, Word.WORSE),
        (1, {"status": "FAILED"}, Word.WORSE),
        (0, {"status": "FAILED"}, Word.WAIT),
        (0, {"status": "FAILED", "attempt": 3}, Word.WORSE),
        (0, None, Word.WAIT),
        (0, {"status": "RUNNING"}, Word.WAIT),
        (1, {"status": "RUNNING"}, Word.WAIT),
        (1, {"status": "RUNNING", "stale_after": NOW - SECOND}, Word.WORSE),
        (0, {"status": "RUNNING", "stale_after": NOW - SECOND}, Word.WAIT),
    ],
)
def test_a_plan_that_nothing_can_make_succeed_any_more_is_worse(age, columns, word):
    assert look({age: columns}).word is word


def test_a_watermark_that_stands_still_is_worse():
    still = {"watermark_before": NOW, "watermark_after": NOW}
    assert look({0: still, 1: still, 2: still}).word is Word.WORSE


def test_a_watermark_that_no_longer_moves_is_worse_whatever_it_did_before():
    still = {"watermark_before": NOW, "watermark_after": NOW}
    assert look({0: still, 1: still, 2: still}, plans=6).word is Word.WORSE


def test_a_plan_that_does_not_say_what_it_moved_proves_nothing():
    assert look({0: {"watermark_after": None}}).word is Word.WORSE


def test_a_cancelled_run_that_goes_on_is_waited_for():
    found = look(alive=(4711,))
    assert found.word is Word.WAIT
    assert "4711" in str(found.summary)


@pytest.mark.parametrize(("plans", "word"), [(3, Word.WAIT), (11, Word.WAIT), (12, "other_caller")])
def test_another_writer_is_watched_for_twelve_plans_and_then_said(plans, word):
    found = look(written_between(0), plans=plans)
    assert (found.word, found.writers) == (word, 1)


@pytest.mark.parametrize(("plans", "word"), [(19, Word.WAIT), (20, Word.OTHER_CALLER)])
def test_another_writer_is_watched_for_twice_the_plans_that_would_prove_it_gone(plans, word):
    case = Case.of(facts(executions=executions(written_between(0))))
    assert case is not None
    assert step(case, Watched(since(plans), plans=10)).word is word


def seen_to_run(*jobids, still_there):
    """pg_cron as a role sees it that is shown some of the jobs which ran before the newest plan."""
    at = plan_time(0) + DELAY - 30 * SECOND
    shown = tuple(replace(JOB, jobid=jobid, active=True) for jobid in still_there)
    runs = tuple(JobRun(jobid, at, at + SECOND, calls=True) for jobid in jobids)
    return PgCron(Visibility.FULL, "1.4", "multica", shown, runs=runs)


@pytest.mark.parametrize(("plans", "word"), [(3, Word.WAIT), (12, Word.OTHER_CALLER)])
@pytest.mark.parametrize(
    ("jobids", "still_there", "said"),
    [
        ((18,), (18, 19), "pg_cron job 18 still"),
        ((18, 20), (18, 20), "pg_cron jobs 18, 20 still"),
        ((17,), (18,), "omething else still"),
        ((), (18,), "omething else still"),
    ],
)
def test_the_watch_names_the_visible_jobs_that_ran_when_something_wrote(
    plans, word, jobids, still_there, said
):
    pg_cron = seen_to_run(*jobids, still_there=still_there)
    known = facts(executions=executions(written_between(0)), pg_cron=pg_cron)
    case = Case.of(known)
    assert case is not None
    found = step(case, Watched(since(plans)))
    assert found.word == word
    assert said in str(found.summary)


@pytest.mark.parametrize(("by_behaviour", "word"), [(True, Word.WAIT), (False, Word.VERIFIED)])
def test_a_plan_that_does_not_tell_who_wrote_before_it_matters_where_nothing_else_proves_it(
    by_behaviour, word
):
    assert look({0: {"attempt": 2}}, by_behaviour=by_behaviour).word is word


def test_only_the_plans_that_were_quiet_are_said_to_be_quiet():
    found = look(written_between(4), plans=7)
    assert found.word is Word.VERIFIED
    assert "The latest 3 plans succeeded" in str(found.summary)


def test_no_watch_ends_before_the_last_plan_that_it_needs_is_due():
    act = NOW - timedelta(minutes=2)
    due = due_after(act, 3, ROLLUP)
    newest = {moment: newest_due(ROLLUP, moment) for moment in (due - SECOND, due)}
    first = newest_due(ROLLUP, act) + CADENCE
    assert newest[due] == first + 2 * CADENCE
    assert newest[due - SECOND] == first + CADENCE


def test_the_watch_names_the_times_that_it_waits_for():
    act = NOW - timedelta(minutes=2)
    first = due_after(act, 1, ROLLUP)
    times = (first, first + CADENCE, first + 2 * CADENCE)
    watched = Watched(act)
    assert outlook(watched, 0, NOW, ROLLUP) == WatchOutlook(times, times[-1] + MINUTE)
    assert outlook(watched, 1, times[0], ROLLUP) == WatchOutlook(times[1:], times[-1] + MINUTE)
    assert outlook(watched, 3, times[-1] + SECOND, ROLLUP) == WatchOutlook((), times[-1] + MINUTE)


def test_a_watch_that_lasts_longer_names_the_next_plan_only():
    act = NOW - timedelta(minutes=2)
    later = due_after(act, 3, ROLLUP) + 2 * MINUTE
    next_due = due_after(act, 4, ROLLUP)
    assert outlook(Watched(act), 3, later, ROLLUP) == WatchOutlook((next_due,), None)


def test_three_quiet_plans_after_another_writer_verify():
    assert look(written_between(3), plans=6).word is Word.VERIFIED


def test_more_plans_can_be_asked_for():
    case = Case.of(facts())
    assert case is not None
    assert step(case, Watched(since(4), plans=5)).word is Word.WAIT
    assert step(case, Watched(since(5), plans=5)).word is Word.VERIFIED


@pytest.mark.parametrize(("failures", "minutes"), [(0, 1), (1, 1), (2, 2), (6, 32), (7, 60)])
def test_an_attempt_in_vain_is_repeated_ever_more_rarely(failures, minutes):
    assert Rules(ROLLUP, 12).try_again_after(failures) == minutes * MINUTE


def test_however_often_it_was_in_vain_it_is_tried_once_an_hour():
    assert Rules(ROLLUP, 12).try_again_after(10**9) == 60 * MINUTE


# --- Trials ---------------------------------------------------------------------------------------


def trial(word: Word | None = Word.WAIT, **how) -> Turn:
    made = None if word is None else replace(look(), word=word)
    known = {
        "now": NOW, "deadline": NOW + MINUTE, "step": made, "job": JOB, "sees": True,
        "passed": False,
    }  # fmt: skip
    return turn(TrialFacts(**known | how))[0]


HIDDEN = {"job": None, "sees": False}


@pytest.mark.parametrize(
    ("word", "how", "expected"),
    [
        (Word.WAIT, {}, Turn.GO_ON),
        (Word.VERIFIED, {}, Turn.PASS),
        (Word.OTHER_CALLER, {}, Turn.PASS),
        (Word.VERIFIED, {"passed": True}, Turn.GO_ON),
        (Word.WORSE, {}, Turn.ACTIVATE),
        (Word.WORSE, {"passed": True}, Turn.ACTIVATE),
        (Word.WAIT, {"deadline": NOW}, Turn.ACTIVATE),
        (Word.VERIFIED, {"deadline": NOW}, Turn.ACTIVATE),
        (Word.VERIFIED, {"deadline": NOW, "passed": True}, Turn.ACTIVATE),
        (None, {}, Turn.GO_ON),
        (None, {"deadline": NOW}, Turn.ACTIVATE),
        (Word.WORSE, {"job": None}, Turn.OVER),
        (Word.WAIT, HIDDEN, Turn.GO_ON),
        (Word.VERIFIED, HIDDEN, Turn.GO_ON),
        (None, HIDDEN, Turn.GO_ON),
        (Word.WORSE, HIDDEN, Turn.ACTIVATE),
        (Word.VERIFIED, HIDDEN | {"deadline": NOW}, Turn.ACTIVATE),
        (None, HIDDEN | {"deadline": NOW}, Turn.ACTIVATE),
        (Word.WORSE, {"job": replace(JOB, active=True)}, Turn.OVER),
    ],
)
def test_a_trial_passes_goes_on_or_ends_but_never_stays(word, how, expected):
    assert trial(word, **how) is expected
