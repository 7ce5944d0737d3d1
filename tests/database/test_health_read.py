"""Reading the facts: each from real rows and by itself, and each failure told and contained."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from django.db import connection as own_connection
from django.db import connections

from executions.database.reading import fetch_for_dashboard, fetch_on
from executions.health import read
from executions.health.assessment import as_json, assess
from executions.health.facts.pg_cron import Match, Visibility
from executions.health.findings import FindingCode, Severity
from executions.health.other_jobs import assess_job
from executions.health.read import read_facts
from executions.health.verdict import Level
from executions.models import Runner
from executions.pgcron.sight import visible_jobs
from executions.retirement.facts import retire_fetch
from executions.rollup.lock import read_lock
from executions.rollup.queue import read_queue
from executions.text.beyond import FAR_FUTURE
from executions.text.problem import Problem
from tests import scenarios
from tests.factories import ExecutionFactory
from tests.scenarios import database_now, sound

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
AUTOPILOT = "autopilot_schedule_dispatch"


@contextmanager
def counting():
    """The statements sent, by alias."""
    sent: Counter[str] = Counter()

    def count(execute, sql, params, many, context):
        sent[context["connection"].alias] += 1
        return execute(sql, params, many, context)

    with connections["multica"].execute_wrapper(count), own_connection.execute_wrapper(count):
        yield sent


# --- Row security -------------------------------------------------------------------------------


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
    assert f"row security hides rows of {table} from the role multica_view" in known.reason
    assert "BYPASSRLS" in known.todo


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


# --- The whole ----------------------------------------------------------------------------------


def test_a_healthy_install_costs_nine_statements_and_then_one_less(owner):
    scenarios.healthy(owner)
    with counting() as sent:
        first = read_facts()
    assert sent == {"multica": 7, "default": 2}
    with counting() as sent:
        again = read_facts(earlier=first)
    assert sent == {"multica": 6, "default": 2}
    assert again.drift is first.drift


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
    assert "Somebody has locked task_usage_hourly_dirty" in assessment.facts.queue.reason
    assert not assessment.facts.basics
    assert assessment.verdict.level is Level.HEALTHY


def test_when_the_time_is_used_up_the_rest_is_not_asked_for(owner, monkeypatch):
    scenarios.healthy(owner)
    monkeypatch.setattr(read, "BUDGET_SECONDS", -1.0)
    with counting() as sent:
        facts = read_facts()
    assert not sent
    assert "took too long" in facts.basics[0].reason


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


# --- Executions and state -----------------------------------------------------------------------


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


# --- Lock, queue, guard -------------------------------------------------------------------------


def test_who_holds_the_lock_is_seen_without_any_right_to_look_at_sessions(owner, connect):
    idle, busy, writer = connect("multica"), connect("multica"), connect("postgres")
    idle.execute("SELECT pg_advisory_lock_shared(4246)")
    with busy.transaction(), writer.transaction():
        busy.execute("SELECT pg_advisory_xact_lock_shared(4246)")
        writer.execute("LOCK TABLE task_usage_hourly IN ROW EXCLUSIVE MODE")
        lock = read_lock(fetch_for_dashboard)
    seen = {(one.pid, one.application_name, one.user, one.idle) for one in lock.holders}
    assert seen == {
        (idle.info.backend_pid, "test multica", "multica", True),
        (busy.info.backend_pid, "test multica", "multica", False),
    }
    assert [one.pid for one in lock.writers] == [writer.info.backend_pid]
    assert lock.idle_holder is not None
    assert lock.idle_holder.state is None  # hidden from this role


def test_a_role_that_may_see_sessions_is_told_their_state(connect):
    holder = connect("multica")
    holder.execute("SELECT pg_advisory_lock(4246)")
    (seen,) = read_lock(fetch_on(connect("postgres"))).holders
    assert seen.state == "idle"
    assert seen.since is not None


def test_other_advisory_locks_are_not_this_one(connect):
    other = connect("multica")
    other.execute("SELECT pg_advisory_lock(4246, 0), pg_advisory_lock(4247)")
    other.execute("SELECT pg_advisory_lock((1::bigint << 32) | 4246)")
    assert read_lock(fetch_for_dashboard).holders == ()


def test_a_reader_of_the_lock_is_not_taken_for_a_writer(connect):
    reader = connect("postgres")
    other = connect("postgres")
    with reader.transaction():
        read_lock(fetch_on(reader))
        assert read_lock(fetch_on(other)).writers == ()


def test_the_queue_is_as_old_as_its_oldest_entry(owner):
    assert read_queue(fetch_for_dashboard).oldest is None
    owner.execute(
        "INSERT INTO task_usage_hourly_dirty"
        " SELECT now(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), NULL, 'p', 'm',"
        "        now() - n * interval '1 hour' FROM generate_series(0, 2) AS n"
    )
    waited = database_now(owner) - read_queue(fetch_for_dashboard).oldest
    assert 2 * HOUR <= waited < 3 * HOUR


# --- pg_cron ------------------------------------------------------------------------------------


@pytest.fixture
def jobs(superuser):
    """One job of the owner of Multica's tables, and one of the superuser."""
    ids = [
        superuser.execute(
            "SELECT cron.schedule(%s, '*/5 * * * *', %s) AS id", [name, command]
        ).fetchone()["id"]
        for name, command in (
            ("rollup", "SELECT rollup_task_usage_hourly()"),
            ("other", "SELECT 1"),
        )
    ]
    superuser.execute(
        "UPDATE cron.job SET username = 'multica', active = false WHERE jobid = %s", [ids[0]]
    )
    yield ids
    superuser.execute("DELETE FROM cron.job")


def test_a_superuser_sees_every_job(jobs, connect):
    seen = visible_jobs(fetch_on(connect("postgres")))
    assert (seen.visibility, seen.database) == (Visibility.FULL, "multica")
    assert {(job.jobid, job.jobname, job.owner, job.active) for job in seen.jobs} == {
        (jobs[0], "rollup", "multica", False),
        (jobs[1], "other", "postgres", True),
    }


def test_an_owner_sees_its_own_jobs_and_knows_that_there_may_be_more(jobs, connect):
    seen = visible_jobs(fetch_on(connect("multica")))
    assert seen.visibility is Visibility.FILTERED
    assert [job.jobid for job in seen.jobs] == [jobs[0]]


def test_a_role_without_the_schema_is_told_so_and_nothing_raises(jobs):
    seen = visible_jobs(fetch_for_dashboard)
    assert (seen.visibility, seen.jobs, seen.database) == (Visibility.NO_ACCESS, (), "multica")


def test_pg_cron_in_another_database_is_found_by_its_launcher(connect):
    seen = visible_jobs(fetch_on(connect("multica_view", database="postgres")))
    assert (seen.visibility, seen.database) == (Visibility.ELSEWHERE, "multica")


def test_what_the_dashboard_is_not_shown_is_asked_as_whoever_may_retire(jobs):
    seen = read_facts().pg_cron
    assert (seen.visibility, seen.role) == (Visibility.FULL, "postgres")
    assert [job.jobid for job in seen.jobs] == jobs


def test_jobs_in_another_database_are_seen_by_whoever_may_retire(jobs, connect):
    fetch = fetch_on(connect("multica_view", database="postgres"))
    seen = read_facts(fetch=fetch).pg_cron
    assert (seen.visibility, seen.database) == (Visibility.FULL, "multica")


def test_one_role_for_everything_is_asked_once(jobs, settings):
    settings.RETIRE_CONNINFO = settings.MULTICA_CONNINFO
    seen = read_facts().pg_cron
    assert (seen.visibility, seen.role) == (Visibility.NO_ACCESS, "multica_view")


@pytest.mark.parametrize("changed", [{"user": "multica_admin"}, {"host": "/nowhere"}])
def test_a_retirer_who_sees_no_more_or_cannot_be_asked_changes_nothing(jobs, settings, changed):
    settings.RETIRE_CONNINFO = settings.RETIRE_CONNINFO | changed
    seen = read_facts().pg_cron
    assert (seen.visibility, seen.role) == (Visibility.NO_ACCESS, "multica_view")


@pytest.fixture
def functions(owner):
    """Functions of somebody's own: some reach the rollup, some only look as if they did."""
    owner.execute(
        """
        CREATE FUNCTION nightly() RETURNS bigint LANGUAGE plpgsql
            AS 'BEGIN RETURN rollup_task_usage_hourly(); END';
        CREATE FUNCTION nightly_billing() RETURNS bigint LANGUAGE sql AS 'SELECT nightly()';
        CREATE FUNCTION prune_my_rollup_task_usage_log() RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION only_talks() RETURNS text LANGUAGE sql
            AS $$ SELECT 'about rollup_task_usage_hourly, and more' $$;
        """
    )
    yield
    owner.execute(
        "DROP FUNCTION nightly_billing, nightly, prune_my_rollup_task_usage_log, only_talks"
    )


@pytest.mark.parametrize(
    ("command", "match"),
    [
        ("SELECT rollup_task_usage_hourly()", Match.EXACT),
        ("set statement_timeout = 0; select public.ROLLUP_task_usage_hourly ( )", Match.EXACT),
        ("SELECT rollup_task_usage_daily()", Match.LEGACY),
        ("SELECT 1; SELECT rollup_task_usage_hourly()", Match.MULTIPLE),
        ("SELECT nightly()", Match.WRAPPED),
        ("SELECT nightly_billing()", Match.WRAPPED),
        ("SELECT rollup_task_usage_hourly_window(now() - interval '1 h', now())", Match.WINDOW),
        ("VACUUM sys_cron_executions", None),
        ("SELECT prune_my_rollup_task_usage_log()", None),
        ("SELECT 1 -- replaced rollup_task_usage_hourly", None),
        ("SELECT only_talks()", None),
        ("DO $$ BEGIN EXECUTE format('SELECT %s()', 'a') ; END $$", None),
        ("SELECT elsewhere.rollup_task_usage_hourly()", None),
    ],
)
def test_a_job_leads_to_the_rollup_as_the_parser_says_and_not_by_its_text(
    jobs, functions, superuser, command, match
):
    superuser.execute("UPDATE cron.job SET command = %s WHERE jobid = %s", [command, jobs[1]])
    calls = read_facts().pg_cron.calls
    assert [(call.job.jobid, call.match) for call in calls] == ([(jobs[1], match)] if match else [])
    assert [call.gone for call in calls] == ([match is Match.LEGACY] if match else [])


def test_a_job_of_another_database_or_one_that_is_paused_calls_nothing_here(jobs, superuser):
    plain = "SELECT rollup_task_usage_hourly()"
    superuser.execute("UPDATE cron.job SET command = %s, database = 'postgres'", [plain])
    assert read_facts().pg_cron.calls == ()
    superuser.execute("UPDATE cron.job SET database = 'multica', active = false")
    assert read_facts().pg_cron.calls == ()


def test_however_many_jobs_there_are_their_functions_are_read_once(
    jobs, functions, owner, superuser
):
    scenarios.healthy(owner)
    for number in range(20):
        superuser.execute(
            "SELECT cron.schedule(%s, '1 1 1 1 *', %s)", [f"n{number}", "SELECT nightly_billing()"]
        )
    with counting() as sent:
        facts = read_facts()
    assert len(facts.pg_cron.calls) == 20
    assert sent["multica"] == 9


def test_looking_as_whoever_may_retire_can_change_nothing(jobs):
    with (
        retire_fetch("look") as fetch,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        fetch("DELETE FROM cron.job RETURNING jobid", {})


# --- Other jobs ---------------------------------------------------------------------------------


def autopilot(owner, minutes, scope="one", **columns):
    """An execution that ended so many minutes ago."""
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
