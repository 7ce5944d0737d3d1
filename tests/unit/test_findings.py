"""The limits of findings, to the second; what they look like with real rows is tested elsewhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.utils.html import strip_tags

from executions.health.facts import Drift, DriftHour, StateRow
from executions.health.facts.sessions import Lock
from executions.health.findings import RULES, Case, FindingCode, Severity, find
from executions.health.findings.base import BRIEF, MOST_LISTED, brief
from executions.text.problem import Problem
from tests.judging import DAY, FAILED, HOUR, IDLE, LOST, MINUTE, ground, judged, severity
from tests.pictures import CADENCE, NEWEST, NOW, SECOND, execution, executions, facts, plan_time


def test_every_code_of_the_contract_has_a_rule_but_what_cannot_be_read():
    assert set(RULES) == set(FindingCode) - {FindingCode.NOT_AVAILABLE}


def test_a_healthy_case_has_no_finding():
    known = facts()
    assert find(known, Case.of(known)) == []


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
