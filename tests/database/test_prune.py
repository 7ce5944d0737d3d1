"""Old executions are removed, and nothing else: not RUNNING, not the newest of a scope."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from executions.scheduler import retention
from tests.commands import run_command
from tests.factories import ExecutionFactory
from tests.scenarios import database_now

pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

DAY = timedelta(days=1)


def ended(owner, days, **columns):
    """An execution of the rollup that ended this many days ago."""
    at = database_now(owner) - days * DAY
    times = {"plan_time": at - timedelta(minutes=5), "started_at": at, "finished_at": at}
    return ExecutionFactory(connection=owner, **times, **columns)["id"]


def left(owner):
    return {row["id"] for row in owner.execute("SELECT id FROM sys_cron_executions")}


def run(*arguments):
    """The exit status, the output, and the refusal."""
    return run_command("pruneexecutions", *arguments)


def test_success_goes_after_30_days_and_failed_after_90(owner):
    kept = {
        ended(owner, 0),
        ended(owner, 29.9),
        ended(owner, 31, failed=True),
        ended(owner, 89.9, failed=True),
    }
    ended(owner, 30.1)
    ended(owner, 400)
    ended(owner, 90.1, failed=True)
    status, said, _refused = run()
    assert status == 0
    assert left(owner) == kept
    assert "SUCCESS older than 30 days: 2 removed" in said
    assert "FAILED older than 90 days: 1 removed" in said


def test_the_newest_of_each_scope_stays_however_old_it_is(owner):
    kept = {
        ended(owner, 700, job_name="another"),
        ended(owner, 500, failed=True, scope_id="quiet"),
        ended(owner, 400, scope_kind="other"),
        ended(owner, 300),
    }
    ended(owner, 301)
    ended(owner, 600, failed=True, scope_id="quiet")
    run()
    assert left(owner) == kept


def test_what_runs_is_never_removed(owner):
    ended(owner, 0)
    at = database_now(owner) - 400 * DAY
    running = ExecutionFactory(
        connection=owner, status="RUNNING", plan_time=at, started_at=at, finished_at=None,
        stale_after=at,
    )["id"]  # fmt: skip
    run()
    assert running in left(owner)


def test_looking_removes_nothing_and_counts_the_same(owner):
    for days in (0, 31, 32, 33):
        ended(owner, days)
    before = left(owner)
    _status, said, _refused = run("--dry-run")
    assert "SUCCESS older than 30 days: 3 could be removed" in said
    assert left(owner) == before


def test_it_goes_on_past_what_stays_batch_by_batch(owner, monkeypatch):
    """Rows that stay do not stop a batch, and no row that shares a moment is missed."""
    monkeypatch.setattr(retention, "BATCH", 2)
    kept = {ended(owner, 100 + number, scope_id=f"quiet {number}") for number in range(5)}
    kept.add(ended(owner, 0))
    at = database_now(owner) - 50 * DAY
    for number in range(7):
        ExecutionFactory(
            connection=owner, plan_time=at - number * timedelta(minutes=5), started_at=at,
            finished_at=at,
        )  # fmt: skip
    _status, said, _refused = run()
    assert "SUCCESS older than 30 days: 7 removed" in said
    assert left(owner) == kept


def test_a_row_that_somebody_is_writing_is_left_to_them(owner, connect):
    ended(owner, 0)
    ended(owner, 41)
    written = ended(owner, 40)
    other = connect("multica")
    with other.transaction():
        other.execute("SELECT FROM sys_cron_executions WHERE id = %s FOR UPDATE", [written])
        _status, said, _refused = run()
    assert "SUCCESS older than 30 days: 1 removed" in said
    assert written in left(owner)


def test_a_role_without_the_right_is_told_so(owner, settings):
    ended(owner, 0)
    old = ended(owner, 40)
    settings.RUNNER_CONNINFO = settings.MULTICA_CONNINFO
    status, _said, refused = run()
    assert status == 1
    assert "permission denied" in refused
    assert old in left(owner)
    assert run("--dry-run")[0] == 0


@pytest.mark.parametrize("wrong", ["0", "-1", "x", "99999", "1.5"])
@pytest.mark.parametrize("option", ["--success-days", "--failed-days"])
def test_a_bad_number_of_days_is_named(option, wrong):
    with pytest.raises(CommandError, match=option):
        call_command("pruneexecutions", option, wrong)


def test_a_table_that_is_missing_is_said(upstream, settings):
    upstream.execute("DROP TABLE sys_cron_executions")
    settings.RUNNER_CONNINFO = settings.RUNNER_CONNINFO | {
        "dbname": "upstream", "user": "upstream_owner",
    }  # fmt: skip
    status, _said, refused = run()
    assert status == 1
    assert "sys_cron_executions" in refused
