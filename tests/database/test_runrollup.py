"""`manage.py runrollup`: its lines, its exit statuses, its refusals and its signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from django.test import override_settings

from executions.management.commands import runrollup
from executions.models import Runner as Row
from executions.models.retirement import Retirement, RetirementState
from executions.pages.history.filters import Filters
from executions.pages.history.runners import RunnerStanding, read_runners
from executions.retirement import acts
from executions.retirement.acts import Order
from executions.retirement.rules import current
from executions.scheduler import inprocess, leases, patience, preflight
from executions.scheduler.jobs import ROLLUP
from executions.scheduler.preflight import CannotRun
from executions.scheduler.spec import HandlerError, Needs, registry
from tests import environment
from tests.commands import run_command
from tests.factories import usage
from tests.retiring import confirmed, jobs, lay_plans, operator, pg_cron, press, schedule
from tests.scheduling import execution, executions, lock_holders
from tests.short_jobs import job
from tests.waiting import HANG, until

__all__ = ["pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

MINUTE = timedelta(minutes=1)
ROOT = Path(__file__).parents[2]
PLAN_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d[05]:00Z"


def once(*arguments, expect=0):
    """The lines of `runrollup --once`, and what it said on stderr."""
    status, said, refused = run_command("runrollup", "--once", *arguments)
    assert status == expect, refused
    return said.splitlines(), refused


@pytest.fixture
def other_jobs(monkeypatch):
    """Puts other jobs in the place of the product's own."""
    return lambda *specs: monkeypatch.setattr(runrollup, "JOBS", registry(specs))


@pytest.fixture
def role(superuser):
    """A role without any rights, and a URL for it."""
    superuser.execute("CREATE ROLE powerless LOGIN")
    yield {**environment_conninfo(), "user": "powerless"}
    superuser.execute("DROP OWNED BY powerless")
    superuser.execute("DROP ROLE powerless")


def environment_conninfo():
    return {"host": str(environment.SOCKET), "dbname": environment.DATABASE, "user": "multica"}


def test_once_runs_the_due_plan_and_prints_one_line_about_it(owner):
    lines, _said = once()
    row = execution(owner)
    assert re.fullmatch(
        rf"{PLAN_TIME} rollup_task_usage_hourly global/global WON SUCCESS 0 \d+", lines[0]
    )
    assert lines[1:] == ["This runner ran the plan."]
    assert lines[0].startswith(f"{row['plan_time']:%Y-%m-%dT%H:%M:%SZ}")
    assert (row["status"], row["runner_id"]) == ("SUCCESS", Row.objects.get().runner_id)
    assert Row.objects.get().kind == "command"


def test_once_is_content_when_another_runner_has_the_plan_and_says_so(owner):
    once("--runner-id", "first")
    lines, _said = once("--runner-id", "second")
    assert re.fullmatch(
        rf"{PLAN_TIME} rollup_task_usage_hourly global/global CONFLICT SUCCESS - -", lines[0]
    )
    assert lines[1] == "Another runner has this plan: first."


def test_once_is_content_when_a_failed_plan_waits_for_its_retry_and_says_so(owner, other_jobs):
    def fail(_context):
        raise HandlerError("no price list")

    other_jobs(job(handler=fail, cadence=timedelta(days=1), retry_backoff=(timedelta(hours=1),)))
    once("--runner-id", "first", expect=1)
    lines, _said = once("--runner-id", "second")
    assert " CONFLICT FAILED - -" in lines[0]
    assert lines[1] == "The plan failed and nothing is due for it now; its last runner was first."


def test_once_is_content_when_nothing_is_due_and_says_so(owner, other_jobs):
    other_jobs(job(planner=lambda spec, standing: []))
    assert once()[0] == ["- test_job global/global - - - -", "Nothing is due for test_job."]


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_once_exits_with_2_where_a_planner_crashes_and_says_why(owner, other_jobs, arguments):
    def crash(_spec, _standing):
        raise LookupError("no plan")

    other_jobs(job(name="a", planner=crash), job(name="b"))
    lines, said = once(*arguments, expect=2)
    assert said == ("Nobody can tell what is due for a. The planner failed: LookupError: no plan.")
    assert not [line for line in lines if "Nothing is due" in line]
    assert execution(owner)["status"] == "SUCCESS"
    if arguments:
        assert json.loads(lines[0])["error_msg"] == "The planner failed: LookupError: no plan"
    else:
        assert lines[2:] == ["This runner ran the plan."]


def test_once_exits_with_2_where_a_tick_fails_and_says_why(owner, other_jobs, monkeypatch):
    def stumble(*_arguments):
        raise OverflowError("too far")

    monkeypatch.setattr(leases, "read_standings", stumble)
    other_jobs(job())
    _lines, said = once(expect=2)
    assert said == "The tick failed: OverflowError: too far."


def test_json_is_one_object_a_line_with_the_agreed_names(owner):
    (line,), _said = once("--json")
    report = json.loads(line)
    assert re.fullmatch(PLAN_TIME, report["plan_time"])
    assert (report["job"], report["scope"]) == ("rollup_task_usage_hourly", "global/global")
    assert (report["outcome"], report["status"], report["rows"]) == ("WON", "SUCCESS", 0)
    assert report["duration_ms"] == execution(owner)["duration_ms"]


def test_once_exits_with_1_when_the_handler_failed_and_says_why(owner, other_jobs):
    def fail(_context):
        raise HandlerError("no price list")

    other_jobs(job(handler=fail))
    lines, _said = once(expect=1)
    assert " WON FAILED - " in lines[0]
    assert lines[1] == "This runner ran the plan and it failed: no price list"


def test_only_the_job_that_is_named_is_run(owner, other_jobs):
    other_jobs(job(name="a"), job(name="b"))
    once("--job", "b")
    assert execution(owner)["job_name"] == "b"


@pytest.mark.parametrize("interval", ["0", "-1", "nan", "soon", "3601"])
def test_an_impossible_tick_interval_is_refused_in_a_sentence(owner, interval):
    lines, said = once("--tick-interval", interval, expect=2)
    assert lines == []
    assert said.startswith(f"--tick-interval is {interval}; give a number")
    assert executions(owner) == []


def test_an_unknown_job_is_refused_by_name_with_the_known_ones(owner):
    _lines, said = once("--job", "nonsense", expect=2)
    assert "no job named 'nonsense'; the jobs are rollup_task_usage_hourly" in said


def test_an_empty_runner_id_is_refused(owner):
    _lines, said = once("--runner-id", " ", expect=2)
    assert "--runner-id is ' '" in said


def test_a_database_that_is_away_is_a_sentence(owner, tmp_path):
    with override_settings(RUNNER_CONNINFO={"host": str(tmp_path), "dbname": "x"}):
        _lines, said = once(expect=2)
    assert "cannot" in said or "connection" in said
    assert len(said.strip().splitlines()) == 1


def test_a_database_without_the_table_is_a_sentence_that_names_it(owner):
    with override_settings(RUNNER_CONNINFO=environment_conninfo() | {"dbname": "postgres"}):
        _lines, said = once(expect=2)
    assert "no table sys_cron_executions" in said
    assert "v0.3.17" in said


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
        ([], "lacks SELECT on task_usage_hourly_rollup_state, UPDATE on task_usage_hourly_rollup"),
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


# --- As a process -------------------------------------------------------------------------------


@contextmanager
def process(*arguments, **variables):
    """`manage.py runrollup` in a process of its own, killed if it still runs at the end."""
    command = [sys.executable, "manage.py", "runrollup", "--tick-interval", "0.2", *arguments]
    running = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"LOG_FORMAT": "text"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_signal_ends_the_process_well(owner, number):
    with process() as running:
        assert " WON SUCCESS " in running.stdout.readline()
        assert " CONFLICT SUCCESS " in running.stdout.readline()
        running.send_signal(number)
        assert running.wait(HANG) == 0
    assert Row.objects.get().stopped_at is not None


def a_minute_later():
    """As if the last ticks, and all before them, had been a minute earlier."""
    for row in Row.objects.all():
        Row.objects.filter(pk=row.pk).update(
            started_at=row.started_at - MINUTE, last_tick_at=row.last_tick_at - MINUTE
        )


@pytest.mark.parametrize("interval", ["1", "30"])
def test_a_runner_that_was_killed_does_not_tick_a_minute_later(owner, interval):
    with process("--tick-interval", interval) as running:
        assert " SUCCESS " in running.stdout.readline()
        assert Row.objects.get().tick_seconds == float(interval)
        assert read_runners(Filters()).tallies[0].standing is not RunnerStanding.SILENT
        running.kill()
        running.wait(HANG)
    assert Row.objects.get().stopped_at is None
    a_minute_later()
    assert read_runners(Filters()).tallies[0].standing is RunnerStanding.SILENT


def test_a_runner_that_ticks_once_an_hour_is_not_silent_between_its_ticks(owner):
    with process("--tick-interval", "3600") as running:
        assert " SUCCESS " in running.stdout.readline()
        for _minute in range(30):
            a_minute_later()
        assert read_runners(Filters()).tallies[0].standing is not RunnerStanding.SILENT
        for _minute in range(31):
            a_minute_later()
        assert read_runners(Filters()).tallies[0].standing is RunnerStanding.SILENT


def test_the_first_signal_lets_the_run_in_hand_end_and_the_second_cancels_it(owner, connect):
    rival = connect()
    with process() as running, rival.transaction():
        # The run waits for the state row with lock 4246 in its hand.
        rival.execute("SELECT FROM task_usage_hourly_rollup_state FOR UPDATE")
        lock_holders(owner, at_least=1)
        running.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(0.5)
        assert execution(owner)["status"] == "RUNNING"
        running.send_signal(signal.SIGTERM)
        assert running.wait(HANG) == 0
        assert lock_holders(owner, at_most=0) == 0
    row = execution(owner)
    assert (row["status"], row["error_code"]) == ("FAILED", "canceled")


def test_a_run_in_hand_that_ends_after_the_first_signal_is_a_success(owner, connect):
    rival = connect()
    with process() as running:
        with rival.transaction():
            rival.execute("SELECT FROM task_usage_hourly_rollup_state FOR UPDATE")
            lock_holders(owner, at_least=1)
            running.send_signal(signal.SIGTERM)
        assert running.wait(HANG) == 0
    assert execution(owner)["status"] == "SUCCESS"


def test_a_reader_that_goes_away_does_not_end_the_runner(owner):
    with process() as running:
        assert " WON SUCCESS " in running.stdout.readline()
        running.stdout.close()
        before = Row.objects.get().last_tick_at
        until(lambda: Row.objects.get().last_tick_at not in (before, None))
        owner.execute("TRUNCATE sys_cron_executions")
        until(lambda: "SUCCESS" in [row["status"] for row in executions(owner)])
        running.send_signal(signal.SIGTERM)
        assert running.wait(HANG) == 0
        said = running.stderr.read()
    assert said.count("goes on without its lines of output") == 1
    assert "Traceback" not in said
    assert "BrokenPipeError" not in said


def test_once_keeps_its_exit_status_where_nobody_reads_its_lines(owner):
    with process("--once") as running:
        running.stdout.close()
        assert running.wait(HANG) == 0
    assert execution(owner)["status"] == "SUCCESS"


def test_once_says_that_it_was_told_to_stop_before_it_had_tried(owner, connect, superuser):
    rival = connect()
    with process("--once") as running:
        with rival.transaction():
            rival.execute("LOCK TABLE sys_cron_executions")
            until(lambda: runners_that_wait(superuser))
            running.send_signal(signal.SIGTERM)
            until(lambda: signals_taken(running.pid))
        out, said = running.communicate(timeout=HANG)
    assert (running.returncode, out) == (2, "")
    assert said.splitlines()[-1] == (
        "multica-admin: The runner was told to stop before it had tried rollup_task_usage_hourly."
    )


def runners_that_wait(superuser):
    return superuser.execute(
        "SELECT FROM pg_stat_activity"
        " WHERE application_name = 'multica-admin runner' AND wait_event_type = 'Lock'"
    ).fetchall()


def signals_taken(pid):
    """Whether no signal is left that the process has not taken yet."""
    status = Path(f"/proc/{pid}/status").read_text()
    (pending,) = re.findall(r"^ShdPnd:\s*([0-9a-f]+)$", status, re.MULTILINE)
    return int(pending, 16) == 0


@pytest.fixture
def failing_in_german(owner):
    """Has the rollup fail with a text that not every encoding has."""
    owner.execute("ALTER FUNCTION rollup_task_usage_hourly() RENAME TO rollup_away")
    owner.execute(
        "CREATE FUNCTION rollup_task_usage_hourly() RETURNS bigint LANGUAGE plpgsql"
        " AS $$ BEGIN RAISE 'Preis – für 😀 fehlt'; END $$"
    )
    yield
    owner.execute("DROP FUNCTION rollup_task_usage_hourly()")
    owner.execute("ALTER FUNCTION rollup_away() RENAME TO rollup_task_usage_hourly")


def test_a_text_that_stdout_cannot_encode_costs_no_line(failing_in_german):
    with process("--once", PYTHONIOENCODING="ascii") as running:
        out, _said = running.communicate(timeout=HANG)
    assert running.returncode == 1
    assert r"it failed: Preis \u2013 f\xfcr \U0001f600 fehlt" in out.splitlines()[1]


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_json_is_json_whatever_stdout_can_encode(failing_in_german, encoding):
    with process("--json", PYTHONIOENCODING=encoding) as running:
        first, second = (json.loads(running.stdout.readline()) for _tick in range(2))
    assert first["error_msg"].startswith("Preis – für 😀 fehlt")
    assert second["outcome"] == "CONFLICT"


def test_a_refusal_that_stderr_cannot_encode_is_told_all_the_same(owner):
    with process("--job", "Müll", PYTHONIOENCODING="ascii:strict") as running:
        _out, said = running.communicate(timeout=HANG)
    assert running.returncode == 2
    assert r"no job named 'M\xfcll'" in said


def test_refusals_of_the_process_are_one_line_on_stderr_and_status_2(owner):
    with process("--job", "nonsense") as running:
        out, said = running.communicate(timeout=HANG)
    assert (running.returncode, out) == (2, "")
    assert said.strip().splitlines() == [
        "multica-admin: There is no job named 'nonsense'; the jobs are rollup_task_usage_hourly."
    ]


# --- What is watched of retirements -------------------------------------------------------------


@pytest.fixture
def overdue(owner, pg_cron):
    """A paused job whose trial should have ended a while ago."""
    lay_plans(owner)
    who = operator()
    retirement = confirmed(who, schedule(pg_cron))
    acts.pause(Order(who, retirement, current()), **press(retirement))
    retirement.refresh_from_db()
    Retirement.objects.update(deadline=retirement.paused_at)
    return retirement


def is_active(superuser, retirement):
    return jobs(superuser)[retirement.jobid]["active"]


def test_a_trial_past_its_deadline_is_ended_where_nothing_runs_but_the_command(overdue, pg_cron):
    assert not is_active(pg_cron, overdue)
    with process("--tick-interval", "30") as running:
        until(partial(is_active, pg_cron, overdue))
        until(lambda: Retirement.objects.get().state == RetirementState.TRIAL_ENDED)
        running.send_signal(signal.SIGTERM)
        _out, said = running.communicate(timeout=HANG)
    assert running.returncode == 0
    assert [line for line in said.splitlines() if " info " not in line] == []


def test_once_leaves_retirements_alone(overdue, pg_cron):
    with process("--once") as running:
        running.communicate(timeout=HANG)
    assert running.returncode == 0
    assert not is_active(pg_cron, overdue)
    assert Retirement.objects.get().looked_at is None


@contextmanager
def looks_held(connect):
    """Every look at the retirements waits."""
    holding = connect("postgres")
    with holding.transaction():
        holding.execute(
            "LOCK TABLE multica_admin.executions_retirement, multica_admin.executions_act"
        )
        yield


def a_look_waits(superuser):
    return superuser.execute(
        "SELECT FROM pg_locks JOIN pg_class ON pg_class.oid = relation"
        " WHERE NOT granted AND relname IN ('executions_retirement', 'executions_act')"
    ).fetchall()


def test_the_first_signal_waits_for_the_look_in_hand(superuser, connect):
    with process() as running:
        with looks_held(connect):
            until(lambda: a_look_waits(superuser))
            running.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                running.wait(1)
        assert running.wait(HANG) == 0


def test_the_second_signal_does_not_wait_for_a_look_that_does_not_end(superuser, connect):
    with looks_held(connect), process() as running:
        until(lambda: a_look_waits(superuser))
        running.send_signal(signal.SIGTERM)
        until(lambda: Row.objects.filter(stopped_at__isnull=False))
        running.send_signal(signal.SIGTERM)
        assert running.wait(HANG) == 0


def test_where_our_own_tables_are_away_the_command_goes_on_and_says_so_once(owner, tmp_path):
    with process(ADMIN_DATABASE_URL=f"host={tmp_path} dbname=nowhere") as running:
        for _tick in range(3):
            assert running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        _out, said = running.communicate(timeout=HANG)
    assert running.returncode == 0
    told = [line for line in said.splitlines() if " info " not in line]
    assert len(told) == 1
    assert "goes on without" in told[0]
