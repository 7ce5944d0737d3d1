"""The limits of a job's small verdict; what it looks like with real rows is tested elsewhere."""

from __future__ import annotations

from datetime import timedelta

import pytest

from executions.health.findings import FindingCode, Severity
from executions.health.tally import Examples, JobTally, judge_tally
from executions.health.verdict import Level
from tests.pictures import NOW, SECOND, execution

HOUR = timedelta(hours=1)


def found(**counts) -> list[tuple[FindingCode, Severity]]:
    verdict = judge_tally("pilot", NOW, JobTally(newest=NOW - HOUR, **counts))
    return [(one.code, one.severity) for one in verdict.findings]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"ended": 100, "scopes": 40}, []),
        (
            {"ended": 100, "failed": 3, "scopes": 40, "halted": 3},
            [(FindingCode.EXHAUSTED_FAILURE, Severity.INFO)],
        ),
        (
            {"ended": 100, "failed": 4, "scopes": 40, "halted": 4},
            [(FindingCode.EXHAUSTED_FAILURE, Severity.WARNING)],
        ),
        (
            {"ended": 100, "failed": 99, "scopes": 40, "halted": 40},
            [(FindingCode.EXHAUSTED_FAILURE, Severity.WARNING)],
        ),
        (
            {"ended": 1, "failed": 1, "scopes": 1, "halted": 1},
            [(FindingCode.EXHAUSTED_FAILURE, Severity.CRITICAL)],
        ),
        ({"ended": 100, "failed": 9, "scopes": 40}, []),
        (
            {"ended": 100, "failed": 10, "scopes": 40},
            [(FindingCode.PLAN_ABANDONED, Severity.WARNING)],
        ),
        ({"ended": 1, "failed": 1, "scopes": 1}, []),
        ({"ended": 2, "failed": 2, "scopes": 1}, [(FindingCode.PLAN_ABANDONED, Severity.WARNING)]),
    ],
)
def test_a_tenth_that_fails_is_a_warning_and_everything_that_fails_for_good_critical(
    counts, expected
):
    assert found(**counts) == expected


@pytest.mark.parametrize(
    ("age", "severity"), [(HOUR, Severity.CRITICAL), (HOUR + SECOND, Severity.INFO)]
)
def test_an_abandoned_run_is_critical_for_an_hour(age, severity):
    assert found(abandoned=1, abandoned_at=NOW - age) == [(FindingCode.RUNNING_STALE, severity)]


@pytest.mark.parametrize(("lately", "severity"), [(5, Severity.INFO), (6, Severity.WARNING)])
def test_six_of_the_last_twelve_retried_are_a_warning(lately, severity):
    counts = {"ended": 100, "retried": 9, "retried_lately": lately}
    assert found(**counts) == [(FindingCode.MASKED_RETRIES, severity)]


def test_the_worst_is_said_first_and_makes_the_level():
    tally = JobTally(ended=1, failed=1, scopes=1, halted=1, retried=1, newest=NOW)
    verdict = judge_tally("pilot", NOW, tally)
    assert verdict.level is Level.FAILING
    assert verdict.summary is verdict.findings[0].summary
    assert str(verdict.summary) == (
        "One scope of pilot ended with a failure that is not tried again."
        " 1 of the 1 that ended in 24 hours failed."
    )


def test_a_job_that_runs_says_when_it_last_did_and_how_much_failed():
    verdict = judge_tally("pilot", NOW, JobTally(ended=40, failed=1, scopes=3, newest=NOW - HOUR))
    assert verdict.level is Level.HEALTHY
    assert str(verdict.summary) == (
        "pilot runs. Its latest execution ended 1 h ago. 1 of the 40 that ended in 24 hours failed."
    )


def test_a_failure_of_before_is_told_with_its_error():
    failed = execution(900, status="FAILED", attempt=3, error_code="handler_error", error_msg="no.")
    verdict = judge_tally("pilot", NOW, JobTally(), Examples(exhausted=(failed,)))
    assert verdict.level is Level.HEALTHY
    assert str(verdict.summary).startswith("Nothing of pilot ended in 24 hours")
    (finding,) = verdict.findings
    assert finding.severity is Severity.INFO
    assert "The latest was handler_error: no (plan of 2026-03-25 21:55 UTC)." in str(
        finding.summary
    )
