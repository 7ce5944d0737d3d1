"""Findings on whether runs happen and succeed, with real rows and near misses."""

from __future__ import annotations

import pytest

from executions.health.findings import FindingCode, Severity
from executions.health.verdict import Level
from tests import scenarios
from tests.near_misses import (
    DAY,
    MINUTE,
    a_little_late,
    explained,
    just_past_its_lease,
    look,
    now,
    one_long_run,
    only,
    renamed,
    shown,
)
from tests.scenarios import sound

__all__ = ["now"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def test_a_healthy_install_has_no_finding(owner, now):
    assessment = look(scenarios.healthy(owner, now))
    assert shown(assessment) == {}
    assert assessment.verdict.level is Level.HEALTHY
    assert str(assessment.verdict.summary) == (
        f"Usage is up to date to {now - 7 * MINUTE:%H:%M} UTC."
        " Multica's backend does this by itself."
    )


def test_one_runner_that_wins_every_plan_is_no_finding(owner, now):
    world = sound(owner, now)
    world.change(range(300), runner_id="the only one")
    assert shown(look(world.write())) == {}


def test_without_the_executions_table_multica_is_too_old(owner, now):
    world = scenarios.healthy(owner, now)
    with renamed(owner, "sys_cron_executions"):
        assessment = look(world)
    finding = only(assessment, FindingCode.SCHEDULER_NOT_INSTALLED)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["missing_table"] == "sys_cron_executions"
    assert assessment.verdict.level is Level.FAILING


def test_before_the_hourly_rollup_multica_is_too_old_as_well(owner, now):
    world = scenarios.healthy(owner, now)
    with renamed(owner, "sys_cron_executions"):
        owner.execute("ALTER TABLE task_usage_hourly_rollup_state RENAME TO state_aside")
        try:
            assessment = look(world)
        finally:
            owner.execute("ALTER TABLE state_aside RENAME TO task_usage_hourly_rollup_state")
    assert next(iter(shown(assessment))) is FindingCode.SCHEDULER_NOT_INSTALLED
    assert assessment.verdict.level is Level.FAILING


def test_an_empty_executions_table_is_not_a_missing_one(owner, now):
    assert FindingCode.SCHEDULER_NOT_INSTALLED not in shown(look(scenarios.never_ran(owner, now)))


def test_a_database_of_something_else_is_not_called_an_old_multica(owner, now):
    world = scenarios.healthy(owner, now)
    with renamed(owner, "sys_cron_executions"):
        owner.execute("ALTER TABLE task_usage RENAME TO usage_aside")
        try:
            assessment = look(world)
        finally:
            owner.execute("ALTER TABLE usage_aside RENAME TO task_usage")
    assert assessment.verdict.level is Level.UNKNOWN
    assert FindingCode.SCHEDULER_NOT_INSTALLED not in shown(assessment)


def test_no_executions_at_all_is_critical_and_explains_the_silence(owner, now):
    assessment = look(scenarios.never_ran(owner, now))
    finding = only(assessment, FindingCode.NO_EXECUTIONS)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["executions"] == 0
    assert finding.evidence["database_known_since"] == now - DAY
    assert explained(finding) == [FindingCode.LATEST_STALE]
    assert assessment.verdict.level is Level.FAILING


def test_a_fresh_install_is_given_its_first_minutes(owner, now):
    assessment = look(scenarios.fresh(owner, now))
    assert only(assessment, FindingCode.NO_EXECUTIONS).severity is Severity.INFO
    assert assessment.verdict.level is Level.HEALTHY


def test_an_old_install_without_usage_is_known_by_its_migrations(owner, now):
    world = sound(owner, now, plans=0).write()
    owner.execute("CREATE TABLE schema_migrations (version text, applied_at timestamptz)")
    try:
        owner.execute("GRANT SELECT (applied_at) ON schema_migrations TO multica_view")
        owner.execute("INSERT INTO schema_migrations VALUES ('001', %s)", [now - 12 * MINUTE])
        owner.execute("UPDATE task_usage_hourly_rollup_state SET last_run_finished_at = NULL")
        finding = shown(look(world))[FindingCode.NO_EXECUTIONS]
    finally:
        owner.execute("DROP TABLE schema_migrations")
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["database_known_since"] == now - 12 * MINUTE


def test_a_server_that_was_started_just_now_makes_no_database_new(owner, now):
    """The tests' own server is young; nothing else here tells an age."""
    world = sound(owner, now, plans=0)
    world.state = {"watermark_at": now - 5 * MINUTE, "last_run_finished_at": None}
    finding = only(look(world.write()), FindingCode.NO_EXECUTIONS)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["database_known_since"] == now
    assert "cannot tell how old" in str(finding.summary)


def test_a_failed_row_dated_in_the_future_makes_nothing_fail(owner, now):
    world = scenarios.healthy(owner, now)
    world.add(plan_time=world.plan_time(0) + DAY, exhausted=True, finished_at=now)
    assessment = look(world.write())
    only(assessment, FindingCode.CLOCK_OR_FOREIGN_WRITER)
    assert assessment.verdict.level is Level.DEGRADED


def test_27_minutes_without_a_success_is_a_warning_that_explains_the_lag(owner, now):
    assessment = look(scenarios.stale(owner, now))
    finding = only(assessment, FindingCode.LATEST_STALE)
    assert finding.severity is Severity.WARNING
    assert finding.evidence["latest_success_plan_time"] == now - 32 * MINUTE
    assert explained(finding) == [FindingCode.WATERMARK_LAG]
    assert assessment.verdict.level is Level.DEGRADED


def test_more_than_an_hour_without_a_success_is_critical(owner, now):
    assessment = look(scenarios.stopped(owner, now))
    assert only(assessment, FindingCode.LATEST_STALE).severity is Severity.CRITICAL
    assert assessment.verdict.level is Level.FAILING


def test_the_latest_success_is_found_however_old_it_is(owner, now):
    world = sound(owner, now, plans=0)
    world.plans = {1000: {}, 1001: {}}
    world.state = {"watermark_at": world.started_at(1000)}
    finding = only(look(world.write()), FindingCode.LATEST_STALE)
    assert finding.evidence["latest_success_plan_time"] == world.plan_time(1000)


def test_a_plan_that_is_a_few_minutes_late_is_not_stale(owner, now):
    assert shown(look(a_little_late(owner, now))) == {}


def test_a_run_past_its_lease_that_nobody_closed_is_critical(owner, now):
    finding = only(look(scenarios.abandoned_run(owner, now)), FindingCode.RUNNING_STALE)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["count"] == 1
    assert finding.evidence["executions"][0]["stale_after"] == now - 20 * MINUTE


def test_a_run_that_was_abandoned_long_ago_is_for_information(owner, now):
    world = sound(owner, now)
    world.plans[2000] = {"stale": True}
    assert only(look(world.write()), FindingCode.RUNNING_STALE).severity is Severity.INFO


def test_a_run_under_a_live_lease_and_one_just_past_it_are_not_abandoned(owner, now):
    world = sound(owner, now)
    world.change(0, running=True, stale_after=now + 20 * MINUTE)
    assert shown(look(world.write())) == {}
    assert shown(look(just_past_its_lease(owner, now))) == {}


def test_an_abandoned_run_of_another_job_is_not_the_rollups(owner, now):
    world = sound(owner, now)
    world.add(plan_time=world.plan_time(9), job_name="autopilot_schedule_dispatch", stale=True)
    assert shown(look(world.write())) == {}


def test_plans_that_nobody_began_are_a_gap(owner, now):
    finding = only(look(scenarios.gap(owner, now)), FindingCode.PLAN_GAP)
    assert finding.severity is Severity.WARNING
    assert finding.evidence["missing_plans"] == 3
    assert finding.evidence["gaps"] == [
        {"first": now - 32 * MINUTE, "last": now - 22 * MINUTE, "plans": 3}
    ]
    assert "no numbers are missing" in str(finding.summary)


def test_a_gap_of_some_hours_ago_is_for_information(owner, now):
    finding = only(look(scenarios.gap(owner, now, ages=(50, 51))), FindingCode.PLAN_GAP)
    assert finding.severity is Severity.INFO


def test_a_long_run_is_no_gap(owner, now):
    assert shown(look(one_long_run(owner, now))) == {}
