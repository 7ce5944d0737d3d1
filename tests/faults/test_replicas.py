"""Contests: many replica processes on one database, in peace and while they are killed.

Four `runrollup` processes and two web processes share one every-plan job with a cadence of one
second. A contest takes a few seconds, and a minute in `bin/audit contests`.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from time import monotonic

import psutil
import pytest

from executions.scheduler.runner import JobRunner
from tests.faults.history import broken_rules, kept
from tests.faults.replicas import JOB, LEASE, LEDGER, STEPS, harm
from tests.scheduling import executions
from tests.sizes import sized
from tests.waiting import HANG

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[2]
CONTEST_SECONDS = sized(8, 60)
SECOND = timedelta(seconds=1)
PAST_THE_LEASE = (LEASE + 0.1, LEASE + 0.7)  # seconds on an idle machine


class Replicas:
    """Four `runrollup` processes and gunicorn with two web processes."""

    def __init__(self, folder: Path, contest: str, slowness: float) -> None:
        self._environment = os.environ | {
            "ROLLUP_SCHEDULER": "on",
            "WEB_CONCURRENCY": "2",
            "CONTEST": contest,
            "CONTEST_SLOWNESS": str(slowness),
        }
        self.slowness = slowness
        self._log = (folder / "replicas.log").open("w+")
        self.commands = [self._start_command() for _ in range(4)]
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.web = self._start(
            "-m", "gunicorn", "--config", "python:tests.faults.replicas",
            "--bind", f"127.0.0.1:{port}", "multica_admin.wsgi:application",
        )  # fmt: skip

    def _start(self, *arguments: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env=self._environment,
            stdout=self._log,
            stderr=self._log,
        )

    def _start_command(self) -> subprocess.Popen:
        return self._start("-m", "tests.faults.replicas")

    def processes(self) -> list[int]:
        """The pids of all processes that run a runner."""
        web = psutil.Process(self.web.pid).children()
        return [*(command.pid for command in self.commands), *(process.pid for process in web)]

    def replace_the_dead(self) -> None:
        """gunicorn replaces its own."""
        for number, command in enumerate(self.commands):
            if command.poll() is not None:
                self.commands[number] = self._start_command()

    def stop(self) -> list[int]:
        """End all with SIGTERM, like a deploy. Return their exit statuses."""
        everyone = [*self.commands, self.web]
        for process in everyone:
            process.send_signal(signal.SIGTERM)
        return [process.wait(HANG) for process in everyone]

    def kill(self) -> None:
        for process in [*self.commands, self.web]:
            if process.poll() is None:
                with contextlib.suppress(psutil.NoSuchProcess):
                    for child in psutil.Process(process.pid).children(recursive=True):
                        with contextlib.suppress(psutil.NoSuchProcess):
                            child.kill()
                process.kill()
                process.wait()
        self._log.close()

    def said(self) -> str:
        self._log.flush()
        self._log.seek(0)
        return self._log.read()


@pytest.fixture
def contest(owner):
    """The table that the job writes, and a history of every change."""
    owner.execute(LEDGER)
    with kept(owner):
        yield owner
    owner.execute("DROP TABLE ledger")


@pytest.fixture
def replicas(contest, tmp_path, request, slow):
    started = Replicas(tmp_path, request.param, slow)
    yield started
    started.kill()


def wait_for_everybody(connection, replicas):
    """Until each process has a runner that is connected and the first plan is begun."""
    deadline = monotonic() + HANG
    while True:
        runners = connection.execute(
            "SELECT DISTINCT application_name FROM pg_stat_activity"
            " WHERE application_name LIKE 'runner-%'"
        ).fetchall()
        if len(runners) >= 6 and executions(connection):
            return
        assert monotonic() < deadline, replicas.said()
        threading.Event().wait(0.1)


def assert_no_gap(rows):
    times = [row["plan_time"] for row in rows]
    assert times == [times[0] + number * SECOND for number in range(len(times))]


@pytest.mark.parametrize("replicas", ["peace"], indirect=True)
def test_every_due_plan_has_one_row_and_its_handler_ran_once(contest, replicas):
    wait_for_everybody(contest, replicas)
    threading.Event().wait(CONTEST_SECONDS)
    assert replicas.stop() == [0, 0, 0, 0, 0]
    rows = executions(contest)
    assert_no_gap(rows)
    assert len(rows) >= CONTEST_SECONDS
    assert {(row["status"], row["attempt"]) for row in rows} == {("SUCCESS", 1)}
    ran = contest.execute(
        "SELECT plan_time, count(*) AS steps, count(DISTINCT pid) AS pids FROM ledger"
        " GROUP BY plan_time ORDER BY plan_time"
    ).fetchall()
    assert [row["plan_time"] for row in ran] == [row["plan_time"] for row in rows]
    assert {(row["steps"], row["pids"]) for row in ran} == {(STEPS, 1)}
    winners = {row["runner_id"] for row in rows}
    assert len(winners) > 1
    assert broken_rules(contest) == []


@pytest.mark.parametrize("replicas", ["harm"], indirect=True)
def test_nothing_runs_twice_or_is_lost_while_processes_are_killed_stopped_and_started(
    contest, replicas, reach
):
    wait_for_everybody(contest, replicas)
    # pytest-randomly has seeded it, so --randomly-seed repeats the same harm.
    chance = random.Random(random.random())
    deadline = monotonic() + CONTEST_SECONDS * replicas.slowness
    done = {"killed": 0, "stopped": 0, "robbed": 0}
    while monotonic() < deadline:
        pid = somebody(contest, replicas, chance)
        with contextlib.suppress(ProcessLookupError):
            if chance.random() < 0.5:
                os.kill(pid, signal.SIGKILL)
                done["killed"] += 1
            else:
                os.kill(pid, signal.SIGSTOP)
                done["stopped"] += 1
                done["robbed"] += lose_the_lease(contest, pid, chance, replicas.slowness)
                os.kill(pid, signal.SIGCONT)
        replicas.replace_the_dead()
    replicas.stop()
    settle(contest, reach, replicas.slowness)
    rows = executions(contest)
    assert_no_gap(rows)
    for row in rows:
        exhausted = row["status"] == "FAILED" and row["attempt"] == row["max_attempts"]
        assert row["status"] == "SUCCESS" or exhausted
    assert min(done.values()) >= CONTEST_SECONDS / 15
    assert sum(row["attempt"] > 1 for row in rows) >= CONTEST_SECONDS / 15
    # Runners really tried what a lost lease must prevent, both with a success and with a failure. A
    # contest of seconds is too short to be sure of both.
    successes, failures = refused_finishes(replicas)
    assert min(successes, failures) >= CONTEST_SECONDS // 60
    assert broken_rules(contest) == []
    assert overlapping_attempts(contest) == []
    assert unfinished_successes(contest) == []


def somebody(connection, replicas, chance):
    """The pid of a runner, mostly of one with a current run."""
    deadline = monotonic() + 3
    while chance.random() < 0.98 and monotonic() < deadline:
        rows = connection.execute(
            "SELECT runner_id FROM sys_cron_executions WHERE status = 'RUNNING'"
            " AND started_at < now() - %s * interval '1 millisecond'",
            [chance.randrange(550)],
        ).fetchall()
        pids = {int(row["runner_id"].rsplit("-", 2)[1]) for row in rows}
        running = sorted(pids.intersection(replicas.processes()))
        if running:
            return chance.choice(running)
        threading.Event().wait(0.01)
    return chance.choice(replicas.processes())


def lose_the_lease(connection, pid, chance, slowness):
    """Wait past a stopped process's lease, mostly for the takeover; return whether it came."""
    held = connection.execute(
        "SELECT id, attempt FROM sys_cron_executions WHERE status = 'RUNNING'"
        " AND runner_id LIKE %s",
        [f"runner-{pid}-%"],
    ).fetchone()
    if held is None or chance.random() < 0.2:
        threading.Event().wait(slowness * chance.uniform(*PAST_THE_LEASE))
        return False
    deadline = monotonic() + 5 * slowness
    while not connection.execute(
        "SELECT FROM sys_cron_executions"
        " WHERE id = %(id)s AND attempt > %(attempt)s AND status = 'RUNNING'",
        held,
    ).fetchall():
        if monotonic() > deadline:  # it was the plan's last attempt, or its end came through
            return False
        threading.Event().wait(0.01)
    threading.Event().wait(chance.uniform(0, 0.2))
    return True


def refused_finishes(replicas):
    """How many successes and how many failures found their lease lost."""
    lines = [line for line in replicas.said().splitlines() if "A finish was refused" in line]
    successes = sum(json.loads(line)["error_code"] is None for line in lines)
    return successes, len(lines) - successes


def settle(connection, reach, slowness):
    """One last runner completes what is left, within the limits of the job."""
    deadline = monotonic() + HANG
    with JobRunner([harm(slowness)], reach, runner_id="last") as last:
        while True:
            last.tick()
            left = connection.execute(
                "SELECT FROM sys_cron_executions WHERE job_name = %s AND"
                " (status = 'RUNNING' OR status = 'FAILED' AND attempt < max_attempts)",
                [JOB],
            ).fetchall()
            if not left:
                return
            assert monotonic() < deadline
            threading.Event().wait(0.1)


def overlapping_attempts(connection):
    """Plans where an attempt still wrote although the next one had begun."""
    return connection.execute(
        "SELECT older.plan_time, older.attempt, older.at, newer.at AS next"
        "  FROM ledger AS older JOIN ledger AS newer USING (plan_time)"
        " WHERE older.attempt < newer.attempt AND older.at >= newer.at"
    ).fetchall()


def unfinished_successes(connection):
    """Plans that are a SUCCESS although their last attempt did not take every step."""
    return connection.execute(
        "SELECT plan_time, attempt FROM sys_cron_executions AS execution"
        " WHERE status = 'SUCCESS' AND %s <> (SELECT count(*) FROM ledger"
        " WHERE ledger.plan_time = execution.plan_time AND ledger.attempt = execution.attempt)",
        [STEPS],
    ).fetchall()
