"""`manage.py runrollup` as a process: signals, and output that is cut or badly encoded."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from executions.models import Runner as Row
from executions.pages.history.filters import Filters
from executions.pages.history.runners import RunnerStanding, read_runners
from tests.retiring import pg_cron
from tests.runrollup import process
from tests.scheduling import execution, executions, lock_holders
from tests.waiting import HANG, until

__all__ = ["pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

MINUTE = timedelta(minutes=1)


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
