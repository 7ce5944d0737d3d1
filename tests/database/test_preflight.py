"""What a runner needs before it claims anything: the server's version, tables and rights."""

from __future__ import annotations

import signal
import threading
from datetime import UTC, datetime

import pytest
from django.test import override_settings

from executions.management.commands import runrollup
from executions.scheduler import inprocess, patience, preflight
from executions.scheduler.jobs import ROLLUP
from executions.scheduler.preflight import CannotRun
from executions.scheduler.spec import Needs
from tests.factories import usage
from tests.retiring import pg_cron
from tests.runrollup import environment_conninfo, once, other_jobs
from tests.scheduling import execution, executions
from tests.short_jobs import job
from tests.waiting import HANG, until

__all__ = ["other_jobs", "pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture
def role(superuser):
    """A role without any rights, and a URL for it."""
    superuser.execute("CREATE ROLE powerless LOGIN")
    yield {**environment_conninfo(), "user": "powerless"}
    superuser.execute("DROP OWNED BY powerless")
    superuser.execute("DROP ROLE powerless")


def test_a_role_without_the_rights_is_a_sentence_that_names_them(owner, superuser, role):
    superuser.execute("GRANT SELECT, UPDATE ON sys_cron_executions TO powerless")
    with override_settings(RUNNER_CONNINFO=role):
        _lines, said = once(expect=2)
    assert "lacks INSERT on sys_cron_executions" in said
    assert "--as runner" in said


EXECUTIONS = "GRANT SELECT, INSERT, UPDATE ON sys_cron_executions TO powerless"
NEEDED = (
    "GRANT SELECT ON agent, agent_task_queue, issue, task_usage TO powerless",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON task_usage_hourly TO powerless",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON task_usage_hourly_dirty TO powerless",
    "GRANT SELECT, UPDATE ON task_usage_hourly_rollup_state TO powerless",
)
STATE = "GRANT SELECT, UPDATE ON task_usage_hourly_rollup_state TO powerless"


@pytest.mark.parametrize(
    ("granted", "told"),
    [
        ([], "lacks SELECT ON task_usage_hourly_rollup_state, UPDATE ON task_usage_hourly_rollup"),
        ([STATE], "PostgreSQL says “permission denied for table "),
    ],
)
def test_a_role_without_the_jobs_own_rights_claims_nothing(owner, superuser, role, granted, told):
    for statement in (EXECUTIONS, *granted):
        superuser.execute(statement)
    with override_settings(RUNNER_CONNINFO=role):
        _lines, said = once(expect=2)
    assert told in said
    assert "permissions --role powerless --as runner" in said
    assert len(said.splitlines()) == 1
    assert executions(owner) == []


def test_looking_whether_the_rights_are_enough_leaves_nothing_behind(owner):
    usage(owner, datetime(1969, 12, 30, 12, tzinfo=UTC))
    preflight.check_connection(owner, [ROLLUP])
    assert owner.execute("SELECT FROM task_usage_hourly").rowcount == 0


def test_looking_whether_the_rights_are_enough_waits_for_no_rollup(owner, connect):
    """A rollup or a backfill that is at work holds lock 4246, for hours perhaps."""
    connect("multica").execute("SELECT pg_advisory_lock(4246)")
    preflight.check_connection(owner, [ROLLUP])


def test_a_table_that_somebody_has_locked_is_no_want_of_rights(owner, connect):
    """A migration locks tables so, for minutes perhaps; a run of its own waits for them."""
    holder = connect("multica")
    with holder.transaction():
        holder.execute("LOCK TABLE task_usage IN ACCESS EXCLUSIVE MODE")
        preflight.check_connection(owner, [ROLLUP])


def test_what_multicas_own_function_needs_is_enough(role, upstream, connect):
    """Ours also adds to the queue; Multica's reads and empties it."""
    administrator = connect("postgres", database="upstream")
    for statement in (EXECUTIONS, STATE, *NEEDED):
        administrator.execute(statement)
    administrator.execute("REVOKE INSERT, UPDATE ON task_usage_hourly_dirty FROM powerless")
    with override_settings(RUNNER_CONNINFO={**role, "dbname": "upstream"}):
        lines, _said = once()
    assert " SUCCESS " in lines[0]


def test_a_window_function_that_is_missing_is_named(role, upstream, connect):
    administrator = connect("postgres", database="upstream")
    for statement in (EXECUTIONS, STATE, *NEEDED):
        administrator.execute(statement)
    administrator.execute("ALTER FUNCTION rollup_task_usage_hourly_window RENAME TO another")
    with override_settings(RUNNER_CONNINFO={**role, "dbname": "upstream"}):
        _lines, said = once(expect=2)
    assert "function rollup_task_usage_hourly_window(" in said
    assert "its migrations ran" in said


def test_a_role_with_just_what_the_job_needs_rolls_up(owner, superuser, role):
    for statement in (EXECUTIONS, *NEEDED):
        superuser.execute(statement)
    with override_settings(RUNNER_CONNINFO=role):
        once()
    assert execution(owner)["status"] == "SUCCESS"


@pytest.mark.parametrize("statement", [EXECUTIONS, *NEEDED])
def test_each_of_those_rights_is_asked_for(owner, superuser, role, statement):
    for other in (EXECUTIONS, *NEEDED):
        if other != statement:
            superuser.execute(other)
    with override_settings(RUNNER_CONNINFO=role):
        once(expect=2)
    assert executions(owner) == []


def test_a_function_with_its_owners_rights_is_all_that_its_caller_needs(owner, superuser, role):
    superuser.execute(EXECUTIONS)
    superuser.execute("GRANT SELECT ON task_usage_hourly_rollup_state TO powerless")
    owner.execute("ALTER FUNCTION rollup_task_usage_hourly() SECURITY DEFINER")
    try:
        with override_settings(RUNNER_CONNINFO=role):
            once()
    finally:
        owner.execute("ALTER FUNCTION rollup_task_usage_hourly() SECURITY INVOKER")
    assert execution(owner)["status"] == "SUCCESS"


def test_a_function_that_is_missing_or_closed_is_named(owner, superuser, role, other_jobs):
    needs = Needs(functions=("no_such_function(integer)",))
    other_jobs(job(needs=needs))
    _lines, said = once(expect=2)
    assert "no function no_such_function(integer)" in said
    superuser.execute(EXECUTIONS)
    superuser.execute("CREATE FUNCTION closed() RETURNS void LANGUAGE sql AS ''")
    superuser.execute("REVOKE EXECUTE ON FUNCTION closed() FROM PUBLIC")
    try:
        other_jobs(job(needs=Needs(functions=("closed()",))))
        with override_settings(RUNNER_CONNINFO=role):
            _lines, said = once(expect=2)
    finally:
        superuser.execute("DROP FUNCTION closed()")
    assert "run GRANT EXECUTE ON FUNCTION closed() TO powerless." in said
    assert executions(owner) == []


@pytest.fixture
def checked(monkeypatch):
    """Released each time that a runner in a web process has looked at what it needs."""
    looks = threading.Semaphore(0)

    def check(*arguments):
        try:
            preflight.check_connection(*arguments)
        finally:
            looks.release()

    monkeypatch.setattr(patience, "check_connection", check)
    return looks


def test_a_web_process_waits_for_the_rights_and_says_so_once(
    owner, superuser, role, settings, caplog, checked
):
    superuser.execute(EXECUTIONS)
    settings.RUNNER_CONNINFO = role
    settings.ROLLUP_SCHEDULER = True
    before = signal.getsignal(signal.SIGTERM)
    try:
        inprocess.start(grace_seconds=30, tick_seconds=0.02)
        for _look in range(3):
            assert checked.acquire(timeout=HANG)
        (line,) = [record for record in caplog.records if "powerless" in record.getMessage()]
        assert line.getMessage().endswith("prints. The runner tries again by itself.")
        assert executions(owner) == []
        for statement in NEEDED:
            superuser.execute(statement)
        until(lambda: [row for row in executions(owner) if row["status"] == "SUCCESS"])
    finally:
        inprocess.stop()
        signal.signal(signal.SIGTERM, before)
    assert execution(owner)["status"] == "SUCCESS"


def test_a_right_that_goes_away_after_the_start_is_a_sentence(owner, monkeypatch, role):
    monkeypatch.setattr(runrollup, "check_database", lambda *_arguments: None)
    with override_settings(RUNNER_CONNINFO=role):
        _lines, said = once(expect=2)
    assert "permission denied" in said


@pytest.mark.parametrize(("version", "major"), [(140_012, 14), (90_624, 9)])
def test_a_server_that_is_too_old_is_refused(version, major):
    with pytest.raises(CannotRun, match=f"PostgreSQL {major}, which is too old"):
        preflight.check_version(version)


def test_the_oldest_server_and_newer_ones_are_accepted():
    preflight.check_version(150_000)
    preflight.check_version(180_001)
