"""The findings of a silence, of a young database and of a failed newest plan."""

from __future__ import annotations

from datetime import datetime

import pytest

from executions.health.facts import StateRow
from executions.health.findings import Case, FindingCode, Severity, find
from executions.health.findings.progress import NEVER
from executions.text.beyond import FAR_PAST
from executions.text.problem import Problem
from tests.judging import DAY, FAILED, HOUR, MINUTE, ground, judged, severity
from tests.pictures import CADENCE, NEWEST, NOW, SECOND, execution, executions, facts, plan_time


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (900 * SECOND, None),
        (901 * SECOND, Severity.WARNING),
        (3600 * SECOND, Severity.WARNING),
        (3601 * SECOND, Severity.CRITICAL),
    ],
)
def test_the_latest_success_may_be_900_seconds_old(age, expected):
    rows = executions({0: {"finished_at": NOW - age}}, count=1)
    assert severity(FindingCode.LATEST_STALE, executions=rows) is expected


def test_a_first_plan_at_the_end_of_the_calendar_is_not_late():
    ahead = datetime.fromisoformat("9999-12-31T23:55:00Z")
    rows = executions({0: FAILED | {"plan_time": ahead}}, count=1, first_plan=ahead)
    assert judged(FindingCode.LATEST_STALE, executions=rows) is None


def test_the_latest_success_is_the_one_that_finished_last_whatever_its_plan():
    rows = executions({0: FAILED, 1: FAILED, 2: {"finished_at": NOW - MINUTE}}, count=9)
    assert severity(FindingCode.LATEST_STALE, executions=rows) is None


@pytest.mark.parametrize("ahead", [6 * SECOND, 2 * DAY])
def test_a_success_that_ended_in_the_future_is_as_old_as_its_plan(ahead):
    future = {20: {"finished_at": NOW + ahead}}
    found = judged(
        FindingCode.LATEST_STALE, executions=executions(dict.fromkeys(range(20)) | future, count=21)
    )
    assert found is not None
    assert found.severity is Severity.CRITICAL
    assert "ended in the future, which proves nothing" in str(found.summary)
    assert judged(FindingCode.LATEST_STALE, executions=executions({0: future[20]})) is None


def test_a_success_whose_plan_lies_in_the_future_proves_nothing():
    ahead = {"plan_time": NOW + DAY, "finished_at": NOW + DAY}
    silent = dict.fromkeys(range(1, 20))
    found = judged(FindingCode.LATEST_STALE, executions=executions({0: ahead} | silent))
    assert found is not None
    assert found.evidence["latest_success_plan_time"] == plan_time(20)


def test_an_older_row_with_impossible_times_is_said_too():
    older = execution(300, finished_at=NOW + DAY)
    silent = executions(count=0, earlier=older, earlier_success=older)
    found = judged(FindingCode.CLOCK_OR_FOREIGN_WRITER, executions=silent)
    assert found is not None
    assert found.evidence["count"] == 1


def test_without_any_success_the_age_counts_from_the_first_plan():
    young = executions({0: FAILED}, count=1, first_plan=plan_time(0))
    assert judged(FindingCode.LATEST_STALE, executions=young) is None
    old = executions({0: FAILED}, count=1, first_plan=plan_time(5))
    found = judged(FindingCode.LATEST_STALE, executions=old)
    assert found is not None
    assert "No run has succeeded" in str(found.summary)
    assert "handler_error: boom" in str(found.advice)


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (StateRow(NEVER), "Usage pages show nothing yet."),
        (StateRow(NOW - HOUR), "Usage numbers stop at 00:02 UTC."),
        (StateRow(NOW - MINUTE, last_run_finished_at=NOW), "only because something else"),
        (StateRow(NOW - MINUTE), "Usage numbers stop at 01:01 UTC."),
    ],
)
def test_a_silence_says_what_it_means_for_the_numbers(state, said):
    silent = executions(dict.fromkeys(range(9)))
    for code, known in (
        (FindingCode.LATEST_STALE, {"executions": silent}),
        (FindingCode.NO_EXECUTIONS, {"executions": executions(count=0, first_plan=None)}),
    ):
        found = judged(code, state=state, **known)
        assert found is not None
        assert said in str(found.summary)


def test_a_silence_in_which_something_runs_asks_to_wait_for_it():
    running = {"status": "RUNNING", "stale_after": NOW + MINUTE}
    rows = executions({0: running, **dict.fromkeys(range(1, 9))}, count=20)
    found = judged(FindingCode.LATEST_STALE, executions=rows)
    assert found is not None
    assert "is running now" in str(found.advice)


@pytest.mark.parametrize(
    ("age", "expected"),
    [(11 * MINUTE - SECOND, Severity.INFO), (11 * MINUTE, Severity.CRITICAL)],
)
def test_a_database_is_fresh_for_eleven_minutes(age, expected):
    none = executions(count=0, first_plan=None)
    known = {"executions": none, "first_trace": NOW - age}
    assert severity(FindingCode.NO_EXECUTIONS, **known) is expected


@pytest.mark.parametrize("trace", [None, Problem("why", "what")], ids=["none", "unreadable"])
@pytest.mark.parametrize(
    "state",
    [
        StateRow(NEVER),
        StateRow(NOW - 5 * MINUTE),
        StateRow(NOW - 6 * MINUTE, last_run_finished_at=NOW),
    ],
    ids=["never moved", "stamped by the first migration", "moved by a schedule"],
)
def test_a_database_of_an_age_that_nobody_can_tell_is_not_taken_for_fresh(trace, state):
    none = executions(count=0, first_plan=None)
    found = judged(FindingCode.NO_EXECUTIONS, executions=none, first_trace=trace, state=state)
    assert found is not None
    assert found.severity is Severity.CRITICAL
    assert "cannot tell how old" in str(found.summary)
    assert "schema_migrations" in str(found.advice)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (StateRow(NOW - 16 * MINUTE), Severity.CRITICAL),
        (StateRow(NOW - 16 * MINUTE + SECOND), Severity.INFO),
        (StateRow(NOW, last_run_finished_at=NOW - 11 * MINUTE), Severity.CRITICAL),
        (StateRow(NEVER), Severity.INFO),
    ],
)
def test_a_database_is_as_old_as_its_watermark_and_the_five_minutes_before_now(state, expected):
    none = executions(count=0, first_plan=None)
    known = {"executions": none, "first_trace": NOW - MINUTE, "state": state}
    found = judged(FindingCode.NO_EXECUTIONS, **known)
    assert found is not None
    assert found.severity is expected
    assert "cannot tell" not in str(found.summary)


def test_an_old_watermark_tells_the_age_without_any_other_trace():
    none = executions(count=0, first_plan=None)
    found = judged(FindingCode.NO_EXECUTIONS, executions=none, state=StateRow(NOW - HOUR))
    assert found is not None
    assert found.severity is Severity.CRITICAL
    assert "cannot tell" not in str(found.summary)


@pytest.mark.parametrize("columns", [{"plan_time": NOW + DAY}, {"finished_at": NOW + DAY}])
@pytest.mark.parametrize("attempt", [1, 3])
def test_a_failed_row_from_the_future_is_foreign_and_fails_nothing(columns, attempt):
    """It is not the newest plan, and it does not end the retries of the current plan."""
    future = {**FAILED, "attempt": attempt, **columns}
    known = facts(executions=executions({0: future}))
    codes = {one.code: one.severity for one in find(known, Case.of(known))}
    assert codes == {FindingCode.CLOCK_OR_FOREIGN_WRITER: Severity.WARNING}
    retried = executions({0: future, 1: FAILED})
    over = ground(now=NEWEST + CADENCE - SECOND)
    assert judged(FindingCode.PLAN_ABANDONED, executions=retried, ground=over) is None


@pytest.mark.parametrize(
    ("watermark", "said"),
    [(NOW - MINUTE, "Usage numbers stop at 01:01 UTC"), (NOW - HOUR, "stop at 00:02 UTC")],
)
def test_a_failed_newest_plan_says_how_far_usage_stands(watermark, said):
    """A schedule from outside may have moved it a minute ago."""
    known = {"executions": executions({0: FAILED | {"attempt": 3}}), "state": StateRow(watermark)}
    found = judged(FindingCode.EXHAUSTED_FAILURE, **known)
    assert found is not None
    assert "not moving" not in str(found.summary)
    assert said in str(found.summary)


MEND = "Mend the cause that the error names."


@pytest.mark.parametrize(
    ("state", "then"),
    [
        (StateRow(NOW - DAY), "The next plan then catches up."),
        (StateRow(NOW - DAY - 6 * MINUTE), "Each run then does one day at most"),
        (StateRow(NEVER), "Each run then does one day at most"),
        (StateRow(NOW + DAY), ""),
        (StateRow(FAR_PAST), ""),
        (None, ""),
    ],
)
def test_a_failed_newest_plan_promises_no_more_than_the_next_one_does(state, then):
    exhausted = executions({0: FAILED | {"attempt": 3}})
    found = judged(FindingCode.EXHAUSTED_FAILURE, executions=exhausted, state=state)
    assert found is not None
    assert str(found.advice).startswith(f"{MEND} {then}".strip())
    assert (str(found.advice) == MEND) is (then == "")
    assert ("backfill_task_usage_hourly" in str(found.advice)) is then.startswith("Each")
