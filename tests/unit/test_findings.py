"""The limits of findings, to the second; what they look like with real rows is tested elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.utils.html import strip_tags

from executions.health.facts import Drift, DriftHour, Ground, StateRow
from executions.health.facts.sessions import DatabaseSession, Lock
from executions.health.findings import RULES, Case, Finding, FindingCode, Severity, find
from executions.health.findings.base import BRIEF, MOST_LISTED, brief
from executions.health.findings.progress import NEVER
from executions.text.beyond import FAR_PAST
from executions.text.problem import Problem
from tests.pictures import CADENCE, NEWEST, NOW, SECOND, execution, executions, facts, plan_time

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FAILED = {"status": "FAILED", "error_code": "handler_error", "error_msg": "boom"}
LOST = {"rows_affected": 0, "watermark_before": NOW, "watermark_after": NOW}


def ground(**columns) -> Ground:
    known = facts().ground
    assert isinstance(known, Ground)
    return replace(known, **columns)


def judged(code: FindingCode, **known) -> Finding | None:
    case = Case.of(facts(**known))
    assert case is not None
    return RULES[code](case)


def severity(code: FindingCode, **known) -> Severity | None:
    found = judged(code, **known)
    return found.severity if found else None


def test_every_code_of_the_contract_has_a_rule_but_what_cannot_be_read():
    assert set(RULES) == set(FindingCode) - {FindingCode.NOT_AVAILABLE}


def test_a_healthy_case_has_no_finding():
    known = facts()
    assert find(known, Case.of(known)) == []


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
    """Neither is it the newest plan, nor has it given up the plan that is retried now."""
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


@pytest.mark.parametrize(
    ("lag", "expected"),
    [
        (20 * MINUTE, None),
        (20 * MINUTE + SECOND, Severity.WARNING),
        (65 * MINUTE, Severity.WARNING),
        (65 * MINUTE + SECOND, Severity.CRITICAL),
    ],
)
def test_the_watermark_may_be_twenty_minutes_old(lag, expected):
    assert severity(FindingCode.WATERMARK_LAG, state=StateRow(NOW - lag)) is expected


def test_a_lag_needs_runs_that_succeed():
    assert (
        judged(FindingCode.WATERMARK_LAG, state=StateRow(NOW - DAY), executions=executions(count=0))
        is None
    )


@pytest.mark.parametrize(
    ("ahead", "found"), [(60 * SECOND, False), (61 * SECOND, True)], ids=["a minute", "more"]
)
def test_the_watermark_may_be_a_minute_beyond_the_newest_possible(ahead, found):
    state = StateRow(NOW - 5 * MINUTE + ahead)
    assert (judged(FindingCode.WATERMARK_FUTURE, state=state) is not None) is found


def test_from_1970_it_takes_some_72_days_to_catch_up():
    first = datetime.fromisoformat("1970-01-02T00:00:00Z")
    stepped = {0: {"watermark_before": first - DAY, "watermark_after": first}}
    found = judged(
        FindingCode.WATERMARK_CATCHING_UP, state=StateRow(first), executions=executions(stepped)
    )
    assert found is not None
    assert found.evidence["plans_left"] == 20_541
    assert "71 d" in str(found.summary)


def test_lost_runs_whose_watermark_stands_still_had_nobody_in_their_place():
    stood = LOST | {"watermark_before": plan_time(3), "watermark_after": plan_time(3)}
    rows = executions({0: stood, 1: stood})
    found = judged(
        FindingCode.LOCK_LOST, executions=rows, state=StateRow(plan_time(3) + SECOND / 2)
    )
    assert found is not None
    assert "nothing else has done the work" in str(found.summary)
    moved = judged(FindingCode.LOCK_LOST, executions=rows, state=StateRow(plan_time(1)))
    assert moved is not None
    assert "something else did the work in their place" in str(moved.summary)


def test_a_watermark_that_was_set_back_is_caught_up_with_from_the_next_run_on():
    known = facts(state=StateRow(NEVER))
    found = {finding.code: finding for finding in find(known, Case.of(known))}
    assert "recent usage appears in about 71 d" in str(
        found[FindingCode.WATERMARK_CATCHING_UP].summary
    )
    assert "4246" not in str(found[FindingCode.WATERMARK_LAG].advice)


def test_a_watermark_that_runs_leave_where_it_was_set_back_is_not_caught_up_with():
    stands = {"watermark_before": NEVER, "watermark_after": NEVER}
    known = {"state": StateRow(NEVER), "executions": executions({0: stands})}
    assert judged(FindingCode.WATERMARK_CATCHING_UP, **known) is None


def test_less_than_a_day_with_a_run_is_no_catching_up():
    stepped = {0: {"watermark_before": NOW - DAY, "watermark_after": NOW - MINUTE}}
    known = {"state": StateRow(NOW - DAY), "executions": executions(stepped)}
    assert judged(FindingCode.WATERMARK_CATCHING_UP, **known) is None


@pytest.mark.parametrize(
    ("past", "expected"),
    [
        (60 * SECOND, None),
        (61 * SECOND, Severity.CRITICAL),
        (60 * MINUTE, Severity.CRITICAL),
        (60 * MINUTE + SECOND, Severity.INFO),
    ],
)
def test_a_lease_may_be_over_for_a_minute(past, expected):
    stale = execution(0, status="RUNNING", stale_after=NOW - past)
    assert severity(FindingCode.RUNNING_STALE, executions=executions(stale=(stale,))) is expected


@pytest.mark.parametrize(
    ("age", "expected"), [(10, Severity.WARNING), (12, Severity.INFO)], ids=["50 min", "60 min"]
)
def test_a_gap_is_a_warning_for_an_hour(age, expected):
    gap = executions({age: None})
    assert severity(FindingCode.PLAN_GAP, executions=gap) is expected


def test_a_gap_that_the_watermark_has_not_passed_promises_nothing():
    found = judged(
        FindingCode.PLAN_GAP, executions=executions({3: None}), state=StateRow(plan_time(9))
    )
    assert found is not None
    assert "no numbers are missing" not in str(found.summary)


def test_a_failure_is_given_up_when_the_next_bucket_begins():
    failed = executions({0: FAILED})
    assert judged(FindingCode.PLAN_ABANDONED, executions=failed) is None
    over = ground(now=NEWEST + 2 * CADENCE)
    assert judged(FindingCode.PLAN_ABANDONED, executions=failed, ground=over) is not None


@pytest.mark.parametrize(("age", "expected"), [(11, Severity.WARNING), (12, Severity.INFO)])
def test_the_last_twelve_plans_decide_about_abandoned_ones(age, expected):
    failed = executions({2: FAILED, age: FAILED})
    assert severity(FindingCode.PLAN_ABANDONED, executions=failed) is expected


def test_abandoned_and_exhausted_plans_count_together():
    both = {"executions": executions({2: FAILED, 4: FAILED | {"attempt": 3}})}
    assert severity(FindingCode.PLAN_ABANDONED, **both) is Severity.WARNING
    assert severity(FindingCode.EXHAUSTED_FAILURE, **both) is Severity.WARNING


@pytest.mark.parametrize(
    ("waited", "expected"),
    [
        (30 * SECOND, None),
        (31 * SECOND, Severity.INFO),
        (5 * MINUTE, Severity.INFO),
        (5 * MINUTE + SECOND, Severity.WARNING),
    ],
)
def test_a_run_may_be_held_for_a_tick(waited, expected):
    row = execution(3)
    assert row.started_at is not None
    held = {3: {"finished_at": row.started_at + SECOND + waited}}
    assert severity(FindingCode.BLOCKED_TICK, executions=executions(held)) is expected


@pytest.mark.parametrize(
    "columns",
    [
        {"started_at": datetime(1, 1, 1, tzinfo=UTC)},
        {"started_at": NOW - timedelta(days=2)},
        {"finished_at": datetime(9999, 12, 31, tzinfo=UTC)},
    ],
)
def test_times_that_nobody_would_write_are_no_wait_but_what_they_are(columns):
    found = executions({3: columns})
    assert severity(FindingCode.BLOCKED_TICK, executions=found) is None
    assert severity(FindingCode.CLOCK_OR_FOREIGN_WRITER, executions=found) is Severity.WARNING


def test_a_run_held_for_ten_minutes_is_a_warning_for_as_long_as_it_is_looked_at():
    row = execution(200)
    assert row.started_at is not None
    held = {200: {"finished_at": row.started_at + 10 * MINUTE}}
    assert severity(FindingCode.BLOCKED_TICK, executions=executions(held)) is Severity.WARNING


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"finished_at": NOW + 5 * SECOND}, False),
        ({"finished_at": NOW + 6 * SECOND}, True),
        ({"status": "RUNNING", "started_at": NOW + 5 * SECOND}, False),
        ({"status": "RUNNING", "started_at": NOW + 6 * SECOND}, True),
        ({"status": "RUNNING", "plan_time": NEWEST + CADENCE}, False),
        ({"status": "RUNNING", "plan_time": NEWEST + 2 * CADENCE}, True),
    ],
)
def test_a_time_in_the_databases_future_is_impossible(columns, found):
    rows = executions({0: columns})
    assert (judged(FindingCode.CLOCK_OR_FOREIGN_WRITER, executions=rows) is not None) is found


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, None), (1, Severity.INFO), (2, Severity.INFO), (3, Severity.WARNING)],
)
def test_the_third_lost_lock_in_an_hour_is_a_warning(count, expected):
    lost = executions(dict.fromkeys(range(count), LOST))
    assert severity(FindingCode.LOCK_LOST, executions=lost) is expected


def test_locks_that_were_lost_an_hour_ago_are_forgotten():
    assert judged(FindingCode.LOCK_LOST, executions=executions({14: LOST})) is None


IDLE = DatabaseSession(99, None, "multica", "idle", NOW - HOUR, idle=True)
BUSY = replace(IDLE, pid=100, idle=False)
BETWEEN = replace(IDLE, since=plan_time(1) + CADENCE + 2 * SECOND)
UNSEEN = replace(IDLE, state=None, since=None)


@pytest.mark.parametrize(
    ("lock", "lost", "found"),
    [
        (Lock((IDLE,)), (0, 1), True),
        (Lock((IDLE,)), (0,), False),
        (Lock((IDLE,)), (1, 2), False),
        (Lock((IDLE,), (BUSY,)), (0, 1), False),
        (Lock((BUSY,)), (0, 1), False),
        (Lock(), (0, 1), False),
        (Problem("why", "what"), (0, 1), False),
        (Lock((BETWEEN,)), (0, 1, 2), False),
        (Lock((replace(BETWEEN, since=plan_time(1) + CADENCE),)), (0, 1), True),
        (Lock((UNSEEN,)), (0, 1), False),
    ],
    ids=[
        *("leak", "once", "over", "backfill", "busy", "free", "unread"),
        *("between two slices", "idle since just before", "unseen"),
    ],
)
def test_a_leak_needs_an_idle_holder_nobody_at_work_and_runs_that_lose_again(lock, lost, found):
    rows = executions(dict.fromkeys(lost, LOST))
    assert (judged(FindingCode.LOCK_LEAKED, lock=lock, executions=rows) is not None) is found


@pytest.mark.parametrize(
    ("holder", "said"),
    [
        (BETWEEN, "A session (pid 99, without a name) holds it now."),
        (UNSEEN, "holds it now and is idle at this moment; this role may not see for how"),
        (BUSY, "A session (pid 100, without a name) holds it now."),
    ],
)
def test_a_lost_lock_says_who_holds_it(holder, said):
    lost = executions({0: LOST, 1: LOST})
    found = judged(FindingCode.LOCK_LOST, executions=lost, lock=Lock((holder,)))
    assert found is not None
    assert said in str(found.summary)
    assert [one["pid"] for one in found.evidence["holders"]] == [holder.pid]


def test_runs_that_a_future_watermark_kept_from_work_did_not_lose_the_lock():
    ahead = NOW + HOUR
    idle = {"rows_affected": 0, "watermark_before": ahead, "watermark_after": ahead}
    known = {"executions": executions(dict.fromkeys(range(12), idle)), "state": StateRow(ahead)}
    found = judged(FindingCode.LOCK_LOST, **known, lock=Lock((IDLE,)))
    assert found is not None
    assert str(found.summary) == (
        "12 runs of the last hour did nothing, because the watermark is ahead of all usage."
    )
    assert "lock" not in str(found.advice)


def test_what_cannot_be_read_is_named_in_words():
    unread = Problem("It may not be read.", "Grant it.")
    known = facts(queue=unread, drift=unread)
    (found,) = find(known, Case.of(known))
    assert "dirty" not in str(found.summary)
    assert "drift" not in str(found.summary)
    assert "whether the usage pages add up to the raw usage" in str(found.summary)


def test_the_rollup_from_1970_is_told_in_days_and_by_what_does_it_in_one_go():
    first = datetime.fromisoformat("1970-02-01T00:00:00Z")
    stepped = {0: {"watermark_before": first - DAY, "watermark_after": first}}
    known = {"state": StateRow(first), "executions": executions(stepped)}
    found = judged(FindingCode.WATERMARK_CATCHING_UP, **known)
    assert found is not None
    assert "began at 1970" in str(found.summary)
    assert "does one day with each run, so recent usage appears in about 71 d." in str(
        found.summary
    )
    assert "in one go" in str(found.advice)


def test_the_watermark_of_another_writer_moved_between_our_runs():
    found = judged(FindingCode.OTHER_WRITER, **CASES[FindingCode.OTHER_WRITER])
    assert found is not None
    assert "by itself" not in str(found.summary)
    assert "moved between" in str(found.summary)


def test_watermarks_may_be_rounded_differently_by_two_writers():
    rounded = {
        age: {"watermark_before": execution(age + 1).watermark_after + SECOND}  # type: ignore[operator]
        for age in range(12)
    }
    assert judged(FindingCode.OTHER_WRITER, executions=executions(rounded)) is None


def test_a_long_error_is_quoted_briefly_and_on_one_line():
    assert brief("one\n two.") == "one two"
    assert len(brief("x" * 4000)) == BRIEF


def test_evidence_lists_the_newest_and_counts_all():
    found = judged(
        FindingCode.MASKED_RETRIES, executions=executions({n: {"attempt": 2} for n in range(40)})
    )
    assert found is not None
    assert found.evidence["count"] == 40
    assert len(found.evidence["executions"]) == MOST_LISTED  # type: ignore[arg-type]


CASES = {
    FindingCode.SCHEDULER_NOT_INSTALLED: {"ground": ground(has_executions=False)},
    FindingCode.NO_EXECUTIONS: {"executions": executions(count=0, first_plan=None)},
    FindingCode.LATEST_STALE: {"executions": executions(dict.fromkeys(range(9)))},
    FindingCode.STATE_ROW_MISSING: {"state": None},
    FindingCode.WATERMARK_FUTURE: {"state": StateRow(NOW)},
    FindingCode.WATERMARK_LAG: {"state": StateRow(NOW - DAY)},
    FindingCode.WATERMARK_CATCHING_UP: {
        "executions": executions({0: {"watermark_before": NOW - 2 * DAY}}),
        "state": StateRow(NOW - DAY - HOUR),
    },
    FindingCode.LOCK_LOST: {"executions": executions({0: LOST})},
    FindingCode.LOCK_LEAKED: {"executions": executions({0: LOST, 1: LOST}), "lock": Lock((IDLE,))},
    FindingCode.RUNNING_STALE: {
        "executions": executions(
            stale=(execution(0, status="RUNNING", stale_after=NOW - 2 * MINUTE),)
        )
    },
    FindingCode.PLAN_GAP: {"executions": executions({2: None, 5: None})},
    FindingCode.PLAN_ABANDONED: {"executions": executions({3: FAILED})},
    FindingCode.EXHAUSTED_FAILURE: {"executions": executions({3: FAILED | {"attempt": 3}})},
    FindingCode.MASKED_RETRIES: {"executions": executions({3: {"attempt": 2}})},
    FindingCode.OTHER_WRITER: {
        "executions": executions(
            {n: {"watermark_before": execution(n).watermark_after} for n in (1, 3, 5)}
        )
    },
    FindingCode.BLOCKED_TICK: {"executions": executions({0: {"finished_at": NOW}})},
    FindingCode.CLOCK_OR_FOREIGN_WRITER: {
        "executions": executions({0: {"finished_at": NOW + DAY}})
    },
    FindingCode.ROLLUP_DRIFT: {
        "drift": Drift(NOW - DAY, NOW, (DriftHour(NOW - HOUR, 1, 0, 9, 0, 1),))
    },
    FindingCode.TABLE_GROWTH: {"ground": ground(executions_estimate=1_000_001)},
    FindingCode.STANDBY: {"ground": ground(is_standby=True)},
}


def test_on_a_standby_advice_is_for_the_primary():
    known = facts(ground=ground(is_standby=True, executions_estimate=1_000_001))
    found = {finding.code: finding for finding in find(known, Case.of(known))}
    assert str(found[FindingCode.TABLE_GROWTH].advice).startswith("This is for the primary")
    assert "for the primary" not in str(found[FindingCode.STANDBY].advice)


def test_every_rule_has_a_case_here():
    assert set(CASES) == set(RULES)


@pytest.mark.parametrize("code", list(CASES))
def test_evidence_does_not_change_with_time_alone(code):
    known = CASES[code]
    there = known.get("ground", ground())
    found = judged(code, **known)
    later = judged(code, **known | {"ground": replace(there, now=NOW + 10 * SECOND)})
    assert found is not None
    assert later is not None
    assert later.evidence == found.evidence


@pytest.mark.parametrize("code", list(CASES))
def test_texts_are_whole_sentences_and_say_what_to_do(code):
    found = judged(code, **CASES[code])
    assert found is not None
    assert found.code is code
    for text in (found.summary, found.advice):
        assert str(text).endswith(".")
        assert "%(" not in str(text)
        assert len(str(text)) < 400
        assert str(text) == strip_tags(text.html()).replace("&#x27;", "'")


def test_a_code_of_any_length_is_cut_as_a_message_is_and_ends_in_one_stop():
    columns = {"status": "FAILED", "attempt": 3, "error_code": "c" * 300, "error_msg": "m" * 300}
    for age in (0, 3):
        finding = judged(FindingCode.EXHAUSTED_FAILURE, executions=executions({age: columns}))
        assert finding is not None
        for shown in (str(finding.summary), finding.summary.html()):
            assert "c" * (BRIEF - 1) + "…: " + "m" * (BRIEF - 1) + "…" in shown
            assert "c" * BRIEF not in shown
            assert "…." not in shown


def test_an_abandoned_run_names_the_error_that_multica_cannot_write():
    found = judged(FindingCode.RUNNING_STALE, **CASES[FindingCode.RUNNING_STALE])
    assert found is not None
    assert "UTF-8" in str(found.advice)
