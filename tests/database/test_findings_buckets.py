"""Findings on drift, growth and what cannot be read."""

from __future__ import annotations

import pytest

from executions.health.findings import FindingCode, Severity
from executions.health.verdict import Level
from tests import scenarios
from tests.factories import usage
from tests.near_misses import HOUR, MINUTE, hidden, look, now, only, roll_up_some, shown

__all__ = ["now"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture
def rolled_up(owner, now):
    """A healthy world with usage of three hours ago, rolled up; and that usage."""
    return roll_up_some(owner, now)


def test_a_bucket_that_does_not_add_up_is_drift(owner, now, rolled_up):
    world, _row = rolled_up
    assert shown(look(world)) == {}
    owner.execute("UPDATE task_usage_hourly SET input_tokens = input_tokens + 1")
    finding = only(look(world), FindingCode.ROLLUP_DRIFT)
    assert finding.severity is Severity.WARNING
    hour = (now - 3 * HOUR).replace(minute=0)
    assert finding.evidence["hours"] == [
        {
            "hour": hour,
            "usage_events": 1,
            "bucket_events": 1,
            "usage_tokens": 1200,
            "bucket_tokens": 1201,
            "keys": 1,
        }
    ]


def test_a_missing_bucket_and_a_bucket_of_nothing_are_drift(owner, now, rolled_up):
    world, _row = rolled_up
    owner.execute("UPDATE task_usage_hourly SET model = 'another'")
    finding = only(look(world), FindingCode.ROLLUP_DRIFT)
    assert finding.evidence["hours"][0]["keys"] == 2


def test_two_errors_that_cancel_out_in_an_hour_are_still_drift(owner, now, rolled_up):
    world, row = rolled_up
    usage(owner, now - 3 * HOUR)
    owner.execute(
        "SELECT rollup_task_usage_hourly_window(%s, %s)", [now - 24 * HOUR, now - 10 * MINUTE]
    )
    owner.execute(
        "UPDATE task_usage_hourly SET input_tokens = input_tokens"
        " + CASE WHEN agent_id = %s THEN 5 ELSE -5 END",
        [row["agent_id"]],
    )
    assert only(look(world), FindingCode.ROLLUP_DRIFT).evidence["hours"][0]["keys"] == 2


def test_usage_that_the_rollup_has_yet_to_see_is_no_drift(owner, now, rolled_up):
    world, _row = rolled_up
    owner.execute("UPDATE task_usage SET input_tokens = 9, updated_at = %s", [now])
    assert shown(look(world)) == {}


def test_a_queued_key_is_no_drift(owner, now, rolled_up):
    world, _row = rolled_up
    owner.execute("DELETE FROM task_usage")
    assert shown(look(world)) == {}


def test_usage_without_a_runtime_is_no_drift(owner, now, rolled_up):
    world, _row = rolled_up
    usage(owner, now - 3 * HOUR, with_runtime=False)
    assert shown(look(world)) == {}


def test_buckets_of_a_deleted_agent_are_no_drift(owner, now, rolled_up):
    world, _row = rolled_up
    owner.execute("DELETE FROM agent")
    assert owner.execute("SELECT count(*) AS n FROM task_usage_hourly").fetchone()["n"] == 1
    assert shown(look(world)) == {}


@pytest.mark.parametrize(("rows", "found"), [(1_500_000, True), (999_999, False)])
def test_a_table_past_a_million_rows_is_for_information(owner, superuser, now, rows, found):
    world = scenarios.healthy(owner, now)
    superuser.execute(
        "UPDATE pg_class SET reltuples = %s WHERE oid = 'sys_cron_executions'::regclass", [rows]
    )
    findings = shown(look(world))
    assert list(findings) == ([FindingCode.TABLE_GROWTH] if found else [])
    if found:
        assert findings[FindingCode.TABLE_GROWTH].evidence["rows_estimated"] == rows


def test_a_table_that_may_not_be_read_is_said_and_the_rest_stands(owner, now):
    world = scenarios.gap(owner, now)
    with hidden(owner, "task_usage_hourly_dirty"):
        assessment = look(world)
    found = shown(assessment)
    assert list(found) == [FindingCode.PLAN_GAP, FindingCode.NOT_AVAILABLE]
    evidence = found[FindingCode.NOT_AVAILABLE].evidence
    assert evidence["what"] == ["dirty_queue"] or evidence["what"] == ["dirty_queue", "drift"]
    assert "permission denied" in str(evidence["reason"])
    assert assessment.verdict.level is Level.DEGRADED


@pytest.mark.parametrize("table", ["sys_cron_executions", "task_usage_hourly_rollup_state"])
def test_without_a_basic_the_verdict_is_unknown_and_says_why(owner, now, table):
    world = scenarios.healthy(owner, now)
    with hidden(owner, table):
        assessment = look(world)
    assert assessment.verdict.level is Level.UNKNOWN
    assert "permission denied" in str(assessment.verdict.summary)
    assert list(shown(assessment)) == [FindingCode.NOT_AVAILABLE]


def test_a_role_that_may_not_look_at_pg_cron_says_so(owner, now, settings):
    settings.RETIRE_CONNINFO = settings.MULTICA_CONNINFO
    (finding,) = look(scenarios.healthy(owner, now)).verdict.findings
    assert finding.code is FindingCode.NOT_AVAILABLE
    assert finding.evidence["visibility"] == "no_access"
    assert "not the same as none" in str(finding.summary)
