"""Reading pg_cron's jobs for the dashboard, as the role that is shown most."""

from __future__ import annotations

import psycopg
import pytest

from executions.database.reading import fetch_for_dashboard, fetch_on
from executions.health.facts.pg_cron import Match, Visibility
from executions.health.read import read_facts
from executions.pgcron.sight import visible_jobs
from executions.retirement.facts import retire_fetch
from tests import scenarios
from tests.reading import counting

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


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
