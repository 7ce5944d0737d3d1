"""The statements of `manage.py permissions`: run as printed, they give exactly what is needed."""

from __future__ import annotations

import psycopg
import pytest
from django.core.management import CommandError, call_command

from executions.database.checks import find_gaps
from executions.database.permissions import PURPOSES, statements
from executions.database.reading import fetch_on
from executions.health.facts.pg_cron import Visibility
from executions.pgcron.sight import visible_jobs
from executions.retirement.facts import read_schedules
from executions.rollup.watermark import roll_up
from tests.retiring import acting_as, jobs, lay_plans, operator, pg_cron, retire, role, schedule

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def printed(capsys, name, purpose):
    call_command("permissions", "--role", name, "--as", purpose)
    return capsys.readouterr().out


@pytest.fixture
def granted(capsys, role, superuser):
    """Make a role and run what the command prints for it."""

    def grant(name, purpose):
        role(name)
        superuser.execute(printed(capsys, name, purpose).encode())
        return name

    return grant


@pytest.mark.parametrize("purpose", PURPOSES)
def test_printing_runs_nothing(capsys, superuser, purpose):
    text = printed(capsys, "nobody_yet", purpose)
    assert '"nobody_yet"' in text
    assert superuser.execute("SELECT FROM pg_roles WHERE rolname = 'nobody_yet'").rowcount == 0


def test_an_unknown_purpose_is_refused():
    with pytest.raises(CommandError, match="invalid choice"):
        call_command("permissions", "--role", "x", "--as", "owner")
    with pytest.raises(ValueError, match="owner is none of"):
        statements("x", "owner", database="a", cron_database="b")


def test_a_name_that_needs_quotes_is_quoted(granted, connect):
    name = granted('odd "name"', "viewer")
    assert connect(name).execute("SELECT FROM task_usage_hourly").rowcount == 0


def test_a_viewer_reads_everything_that_is_shown_and_writes_nothing(granted, connect, pg_cron):
    viewer = connect(granted("new_viewer", "viewer"))
    for table in ("sys_cron_executions", "task_usage", "task_usage_hourly_rollup_state"):
        viewer.execute(f"SELECT FROM {table}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            viewer.execute(f"DELETE FROM {table}")
    schedule(pg_cron, owner="postgres")
    assert visible_jobs(fetch_on(viewer)).visibility is Visibility.FULL
    with pytest.raises(psycopg.Error):
        viewer.execute("SELECT cron.unschedule(jobid) FROM cron.job")
    assert len(jobs(pg_cron)) == 1


@pytest.mark.parametrize("purpose", ["viewer", "retirer"])
def test_without_pg_cron_what_is_printed_runs_to_the_letter_and_tells_the_rest(
    capsys, role, connect, cluster, settings, upstream, purpose
):
    role("new_role")
    settings.MULTICA_CONNINFO = settings.RETIRE_CONNINFO = cluster.conninfo("upstream", "postgres")
    text = printed(capsys, "new_role", purpose)
    connect("postgres", database="upstream").execute(text.encode())
    assert "-- There is no pg_cron in the database upstream." in text
    assert '-- GRANT USAGE ON SCHEMA cron TO "new_role";' in text.splitlines()


def test_where_pg_cron_cannot_be_asked_for_its_statements_are_printed(capsys, cluster, settings):
    settings.RETIRE_CONNINFO = cluster.conninfo("no_such_database", "postgres")
    assert '\nGRANT USAGE ON SCHEMA cron TO "r";' in printed(capsys, "r", "viewer")


def test_what_a_viewer_needs_under_row_security_is_printed_and_lets_it_see(
    capsys, granted, connect, superuser, owner
):
    viewer = connect(granted("new_viewer", "viewer"))
    lay_plans(owner, count=2)
    printed_again = printed(capsys, "new_viewer", "viewer").splitlines()
    (policy,) = [line[3:] for line in printed_again if line.startswith("-- CREATE POLICY")]
    assert '-- ALTER ROLE "new_viewer" BYPASSRLS;' in printed_again
    owner.execute("ALTER TABLE sys_cron_executions ENABLE ROW LEVEL SECURITY")
    try:
        assert "hides rows of sys_cron_executions" in str(find_gaps(fetch_on(viewer))[0])
        owner.execute(policy.encode())
        assert find_gaps(fetch_on(viewer)) == []
        assert viewer.execute("SELECT FROM sys_cron_executions").rowcount == 2
    finally:
        owner.execute("ALTER TABLE sys_cron_executions DISABLE ROW LEVEL SECURITY")
        owner.execute('DROP POLICY IF EXISTS "multica_admin_new_viewer" ON sys_cron_executions')


def test_a_runner_rolls_up_and_writes_executions(granted, connect, owner):
    runner = connect(granted("new_runner", "runner"))
    owner.execute("UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - interval '1 h'")
    assert roll_up(runner) == 0
    (state,) = runner.execute("SELECT watermark_at FROM task_usage_hourly_rollup_state")
    (clock,) = runner.execute("SELECT now() AS now")
    assert (clock["now"] - state["watermark_at"]).total_seconds() < 600
    lay_plans(runner, count=2)
    assert runner.execute("DELETE FROM sys_cron_executions").rowcount == 2
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        runner.execute("DELETE FROM task_usage")


def test_a_retirer_sees_and_removes_jobs_of_every_owner(granted, pg_cron, owner, acting_as):
    lay_plans(owner)
    jobid = schedule(pg_cron, owner="multica")
    acting_as(granted("new_retirer", "retirer"))
    found = read_schedules()
    assert found.visibility is Visibility.FULL
    rights = found.candidates[0].rights
    assert (rights.retire, rights.deactivate, rights.put_back) == (True, False, False)
    retire(operator(), jobid, accepted=True)
    assert jobs(pg_cron) == {}
