"""Reading how the other jobs of the scheduler are."""

from __future__ import annotations

import psycopg
import pytest

from executions.database.reading import fetch_for_dashboard
from executions.health.assessment import as_json
from executions.health.findings import FindingCode, Severity
from executions.health.other_jobs import assess_job
from executions.health.verdict import Level
from executions.retirement.facts import retire_fetch
from tests.factories import ExecutionFactory
from tests.reading import AUTOPILOT, MINUTE
from tests.scenarios import database_now

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def autopilot(owner, minutes, scope="one", **columns):
    """An execution that ended this many minutes ago."""
    now = database_now(owner)
    started = now - minutes * MINUTE
    return ExecutionFactory(
        connection=owner,
        job_name=AUTOPILOT,
        scope_kind="autopilot_trigger",
        scope_id=scope,
        plan_time=started - MINUTE,
        started_at=started,
        result={},
        **columns,
    )


def test_a_job_that_runs_is_healthy_with_figures_of_its_own(owner):
    for minutes in (5, 50, 700):
        autopilot(owner, minutes)
    assessment = assess_job(AUTOPILOT)
    assert assessment.verdict.level is Level.HEALTHY
    assert assessment.verdict.findings == ()
    shown = as_json(assessment, database_now(owner))
    assert shown["job"] == AUTOPILOT
    assert shown["figures"]["success_streak"] == 3
    assert 290 < shown["figures"]["latest_success_age_seconds"] < 310
    assert shown["figures"]["plans_expected_24h"] == 0


def test_an_irregular_job_that_is_quiet_has_no_gap_and_is_not_stale(owner):
    autopilot(owner, 60 * 24 * 7)
    assessment = assess_job(AUTOPILOT)
    assert assessment.verdict.level is Level.HEALTHY
    assert "Nothing of autopilot_schedule_dispatch ended" in str(assessment.verdict.summary)


def test_a_scope_that_ended_for_good_is_a_warning_until_it_runs_again(owner):
    autopilot(owner, 40)
    autopilot(owner, 20, exhausted=True)
    assessment = assess_job(AUTOPILOT)
    assert assessment.verdict.level is Level.DEGRADED
    assert [one.code for one in assessment.verdict.findings] == [FindingCode.EXHAUSTED_FAILURE]
    autopilot(owner, 10)
    assert assess_job(AUTOPILOT).verdict.level is Level.HEALTHY


def test_a_job_of_which_nothing_succeeds_is_failing(owner):
    autopilot(owner, 20, exhausted=True)
    (finding,) = assess_job(AUTOPILOT).verdict.findings
    assert finding.severity is Severity.CRITICAL
    assert "handler_error: canceling statement" in str(finding.summary)
    assert len(finding.evidence["executions"]) == 1


def test_a_scope_that_ended_for_good_days_ago_is_still_told(owner):
    autopilot(owner, 60 * 24 * 3, exhausted=True)
    autopilot(owner, 5, "two")
    verdict = assess_job(AUTOPILOT).verdict
    assert verdict.level is Level.HEALTHY
    assert [(one.code, one.severity) for one in verdict.findings] == [
        (FindingCode.EXHAUSTED_FAILURE, Severity.INFO)
    ]


def test_a_scope_with_attempts_left_is_no_failure_yet(owner):
    autopilot(owner, 20, failed=True)
    assert assess_job(AUTOPILOT).verdict.findings == ()


def test_an_abandoned_run_of_any_scope_is_critical(owner):
    autopilot(owner, 40, "two", running=True)
    assessment = assess_job(AUTOPILOT)
    assert [one.code for one in assessment.verdict.findings] == [FindingCode.RUNNING_STALE]
    assert assessment.verdict.level is Level.FAILING


def test_retries_of_a_job_are_counted(owner):
    for minutes in range(1, 7):
        autopilot(owner, minutes, retried=True)
    assessment = assess_job(AUTOPILOT)
    assert [one.code for one in assessment.verdict.findings] == [FindingCode.MASKED_RETRIES]
    assert assessment.verdict.level is Level.DEGRADED


def test_a_job_that_never_ran_is_unknown(owner):
    assessment = assess_job("no such job")
    assert assessment.verdict.level is Level.UNKNOWN
    assert "no such job" in str(assessment.verdict.summary)


def test_a_job_that_cannot_be_looked_at_is_unknown():
    def fetch(_statement, _parameters):
        raise psycopg.OperationalError("connection refused")

    assessment = assess_job(AUTOPILOT, fetch)
    assert assessment.verdict.level is Level.UNKNOWN
    assert [one.code for one in assessment.verdict.findings] == [FindingCode.NOT_AVAILABLE]


def test_nothing_that_is_looked_at_is_compiled_first(owner):
    """PostgreSQL cannot estimate its cost, and compiled for 280 ms what then took one."""
    assert fetch_for_dashboard("SHOW jit", {}) == [{"jit": "off"}]
    with retire_fetch("look") as fetch:
        assert fetch("SHOW jit", {}) == [{"jit": "off"}]
