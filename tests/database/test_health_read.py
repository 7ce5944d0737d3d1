"""Reading the facts of a verdict: all of them, and those that cannot be read."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.db import OperationalError

from executions.database.reading import fetch_for_dashboard, fetch_on
from executions.health import read
from executions.health.assessment import as_json, assess
from executions.health.findings import FindingCode
from executions.health.other_jobs import assess_job
from executions.health.read import read_facts
from executions.health.verdict import Level
from executions.models import Runner
from executions.text.beyond import FAR_FUTURE
from executions.text.problem import Problem
from tests import scenarios
from tests.factories import ExecutionFactory
from tests.reading import AUTOPILOT, MINUTE, counting
from tests.scenarios import database_now, sound

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def under_row_security(table, upstream, connect):
    upstream.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    return fetch_on(connect("multica_view", database="upstream"))


@pytest.mark.parametrize(
    ("table", "fact"),
    [
        ("sys_cron_executions", "executions"),
        ("task_usage_hourly_rollup_state", "state"),
        ("task_usage_hourly_dirty", "queue"),
        ("task_usage_hourly_dirty", "drift"),
        ("task_usage_hourly", "drift"),
        ("task_usage", "drift"),
        ("agent", "drift"),
        ("agent_task_queue", "drift"),
        ("issue", "drift"),
    ],
)
def test_rows_that_row_security_hides_are_not_taken_for_none(upstream, connect, table, fact):
    fetch = under_row_security(table, upstream, connect)
    known = getattr(read_facts(fetch=fetch), fact)
    assert isinstance(known, Problem)
    assert f"row security hides rows of {table} from the role multica_view" in str(known.reason)
    assert "BYPASSRLS" in str(known.todo)


@pytest.mark.parametrize("table", ["sys_cron_executions", "task_usage_hourly_rollup_state"])
def test_a_verdict_without_its_basics_for_row_security_is_unknown(upstream, connect, table):
    assessment = assess(read_facts(fetch=under_row_security(table, upstream, connect)))
    assert assessment.verdict.level is Level.UNKNOWN
    assert "row security hides rows" in str(as_json(assessment, assessment.checked_at))


def test_a_database_is_not_called_new_for_usage_that_row_security_hides(upstream, connect):
    upstream.execute("DELETE FROM sys_cron_executions")
    facts = read_facts(fetch=under_row_security("task_usage", upstream, connect))
    assert isinstance(facts.first_trace, Problem)


def test_a_role_with_a_policy_to_see_every_row_is_told_all(upstream, connect):
    upstream.execute(
        "CREATE POLICY p ON sys_cron_executions FOR SELECT TO multica_view USING (true)"
    )
    facts = read_facts(fetch=under_row_security("sys_cron_executions", upstream, connect))
    assert facts.executions.newest is not None


def test_another_job_whose_rows_are_hidden_is_unknown_and_says_why(upstream, connect):
    fetch = under_row_security("sys_cron_executions", upstream, connect)
    assessment = assess_job(AUTOPILOT, fetch)
    assert assessment.verdict.level is Level.UNKNOWN
    assert "row security hides rows" in str(as_json(assessment, assessment.checked_at))


def test_a_healthy_install_costs_eight_statements_and_then_one_less(owner):
    scenarios.healthy(owner)
    with counting() as sent:
        first = read_facts()
    assert sent == {"multica": 7, "default": 1}
    with counting() as sent:
        again = read_facts(earlier=first)
    assert sent == {"multica": 6, "default": 1}
    assert again.drift is first.drift


def test_a_lock_on_our_own_tables_takes_no_time_from_multicas(owner, monkeypatch):
    scenarios.healthy(owner)
    late = []

    def wait_in_vain(*_arguments):
        late.append(read.BUDGET_SECONDS)
        raise OperationalError("canceling statement due to statement timeout")

    clock = SimpleNamespace(monotonic=lambda: time.monotonic() + sum(late))
    monkeypatch.setattr(read, "time", clock)
    monkeypatch.setattr(read, "read_ours", wait_in_vain)
    found = read_facts()
    assert isinstance(found.own_runners, Problem)
    others = (found.queue, found.lock, found.pg_cron, found.drift)
    assert [one for one in others if isinstance(one, Problem)] == []


def test_drift_is_looked_at_again_when_the_watermark_has_moved(owner):
    scenarios.healthy(owner)
    first = read_facts()
    owner.execute(
        "UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - '3 h'::interval"
    )
    assert read_facts(earlier=first).drift != first.drift


def test_a_fact_that_takes_too_long_is_left_out_and_the_rest_stands(owner, connect):
    scenarios.healthy(owner)
    blocker = connect("multica")
    with blocker.transaction():
        blocker.execute("LOCK TABLE task_usage_hourly_dirty IN ACCESS EXCLUSIVE MODE")
        assessment = assess(read_facts())
    assert isinstance(assessment.facts.queue, Problem)
    assert "Somebody has locked task_usage_hourly_dirty" in str(assessment.facts.queue.reason)
    assert not assessment.facts.basics
    assert assessment.verdict.level is Level.HEALTHY


def test_when_the_time_is_used_up_the_rest_is_not_asked_for(owner, monkeypatch):
    scenarios.healthy(owner)
    monkeypatch.setattr(read, "BUDGET_SECONDS", -1.0)
    with counting() as sent:
        facts = read_facts()
    assert not sent
    assert "took too long" in str(facts.basics[0].reason)


def test_a_database_that_is_away_is_asked_once(connect):
    gone = connect("multica_view")
    gone.close()
    asked = []

    def fetch(statement, parameters):
        asked.append(statement)
        return fetch_on(gone)(statement, parameters)

    assessment = assess(read_facts(fetch=fetch))
    assert len(asked) == 1
    assert assessment.verdict.level is Level.UNKNOWN
    assert "The connection to the database broke" in str(assessment.verdict.summary)


def test_after_a_broken_connection_the_next_reading_opens_another(owner, superuser):
    scenarios.healthy(owner)
    fetch_for_dashboard("SELECT 1 AS one", {})
    superuser.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'multica_view'"
    )
    broken = read_facts()
    assert broken.basics
    assert not read_facts().basics


def test_the_newest_success_is_found_behind_a_day_of_failures(owner):
    world = sound(owner)
    world.change(range(300), exhausted=True)
    world.plans[400] = {}
    world.plans[401] = {}
    world.write()
    executions = read_facts().executions
    assert not isinstance(executions, Problem)
    success = executions.latest_success(world.now)
    assert success is not None
    assert success.plan_time == world.plan_time(400)
    assert executions.newest is executions.rows[0]
    assert executions.first_plan == world.plan_time(401)


def test_of_an_install_that_stopped_long_ago_the_newest_row_is_found(owner):
    world = sound(owner, plans=0)
    world.plans = {900: {"failed": True}, 901: {}, 902: {}}
    world.write()
    executions = read_facts().executions
    assert not isinstance(executions, Problem)
    assert executions.rows == ()
    assert executions.newest is not None
    success = executions.latest_success(world.now)
    assert success is not None
    assert executions.newest.plan_time == world.plan_time(900)
    assert success.plan_time == world.plan_time(901)


def test_more_rows_than_a_day_can_have_shorten_the_window(owner, monkeypatch):
    monkeypatch.setattr(read, "MOST_ROWS", 50)
    world = scenarios.healthy(owner)
    assessment = assess(read_facts())
    executions = assessment.facts.executions
    assert not isinstance(executions, Problem)
    assert len(executions.rows) == 50
    assert executions.since == world.plan_time(49)
    assert assessment.figures.plans_expected_24h == 50
    assert assessment.ledger is not None
    assert assessment.ledger.looked_from == executions.since


def with_a_foreign_row_each_minute(owner):
    world = sound(owner)
    first = world.plan_time(299) + timedelta(seconds=30)
    for minute in range(299 * 5):
        world.add(plan_time=first + minute * MINUTE, runner_id="foreign")
    return world.write()


def test_a_foreign_row_in_each_minute_leaves_the_day_whole(owner):
    with_a_foreign_row_each_minute(owner)
    assessment = assess(read_facts())
    assert (assessment.figures.plans_expected_24h, assessment.figures.plans_missing_24h) == (288, 0)
    (found,) = assessment.verdict.findings[:1]
    assert found.code is FindingCode.CLOCK_OR_FOREIGN_WRITER
    assert found.evidence["count"] >= 24 * 60
    assert "looked at" not in str(found.summary)


def test_of_more_rows_than_are_read_it_is_said_how_far_back_was_looked(owner, monkeypatch):
    monkeypatch.setattr(read, "MOST_ROWS", 600)
    with_a_foreign_row_each_minute(owner)
    assessment = assess(read_facts())
    found = assessment.verdict.findings[0]
    assert found.code is FindingCode.CLOCK_OR_FOREIGN_WRITER
    assert "only those since" in str(found.summary)
    assert found.evidence["looked_from"] == assessment.facts.executions.since


def test_other_jobs_and_scopes_are_not_the_rollups(owner):
    world = sound(owner)
    world.add(plan_time=world.plan_time(-1), job_name=AUTOPILOT)
    world.add(plan_time=world.plan_time(-1), scope_id="another")
    world.write()
    executions = read_facts().executions
    assert not isinstance(executions, Problem)
    assert executions.newest is not None
    assert executions.newest.plan_time == world.plan_time(0)


@pytest.mark.parametrize(
    "result",
    [
        {"watermark_before": "tomorrow", "watermark_after": "2026-01-01"},
        {"watermark_before": 7, "watermark_after": None},
        ["watermark_before"],
        {
            "watermark_before": "0001-01-01T00:00:00+23:59",
            "watermark_after": "9999-12-31T23:59:59-23:59",
        },
    ],
)
def test_a_result_may_hold_anything(owner, result):
    now = database_now(owner)
    ExecutionFactory(connection=owner, plan_time=now, result=result)
    executions = read_facts().executions
    assert not isinstance(executions, Problem)
    assert executions.rows[0].moved is None


def test_a_watermark_that_python_cannot_hold_costs_no_other_fact(owner):
    """The verdict is not unknown: what such a watermark means for usage is known."""
    scenarios.healthy(owner)
    owner.execute("UPDATE task_usage_hourly_rollup_state SET watermark_at = 'infinity'")
    facts = read_facts()
    assert facts.basics == ()
    assert facts.state == replace(facts.state, watermark_at=FAR_FUTURE)
    assert assess(facts).verdict.level is Level.FAILING


def test_our_own_runners_are_known_by_our_own_table(owner):
    world = sound(owner)
    world.change(3, runner_id="host-1-abc")
    world.write()
    for name in ("host-1-abc", "host-2-def"):
        Runner.objects.create(runner_id=name, kind=Runner.Kind.WEB, host="host", pid=1, version="0")
    assert read_facts().own_runners == {"host-1-abc"}
