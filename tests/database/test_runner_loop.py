"""The loop around a runner's ticks: draining, cancelling, backing off, and what it logs."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest

from executions.scheduler import finishing, leases, runner
from tests.running import HANDLER, MAIN, one_tick, ours
from tests.scheduling import execution, executions
from tests.short_jobs import Held, job
from tests.waiting import HANG, until


def test_a_drained_runner_finishes_the_run_in_hand_and_claims_nothing_more(owner, reach):
    held = Held()
    runner = ours(reach, job(name="a", handler=held), job(name="b"))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(runner.run, 0.05)
        held.began.wait(HANG)
        runner.drain()
        held.release.set()
        running.result(HANG)
    assert (execution(owner)["job_name"], execution(owner)["status"]) == ("a", "SUCCESS")


def test_a_cancelled_runner_writes_canceled_and_closes_its_connections(owner, reach):
    held = Held()
    runner = ours(reach, job(handler=held))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(runner.run, 0.05)
        held.began.wait(HANG)
        runner.drain()
        runner.cancel()
        running.result(HANG)
    row = execution(owner)
    assert (row["status"], row["error_code"]) == ("FAILED", "canceled")
    assert row["next_retry_at"] is not None
    assert all(connection.closed for connection in reach.opened[MAIN] + reach.opened[HANDLER])


def test_a_cancelled_runner_writes_canceled_even_if_its_own_connection_had_died(owner, reach):
    held = Held()
    runner = ours(reach, job(handler=held))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(runner.run, 0.05)
        held.began.wait(HANG)
        reach.opened[MAIN][0].close()
        runner.cancel()
        running.result(HANG)
    assert execution(owner)["error_code"] == "canceled"


def test_a_database_that_does_not_answer_does_not_keep_a_cancelled_runner(
    owner, reach, connect, monkeypatch
):
    monkeypatch.setattr(runner, "GIVE_UP_SECONDS", 0.1)
    rival = connect()
    stuck = ours(reach, job())
    with ThreadPoolExecutor(1) as pool, rival.transaction():
        rival.execute("LOCK TABLE sys_cron_executions")
        running = pool.submit(stuck.run, 30)
        until(lambda: reach.opened.get(MAIN))
        stuck.cancel()
        running.result(HANG)
    assert executions(owner) == []


def test_a_finish_that_gets_no_answer_does_not_keep_a_cancelled_runner(
    owner, reach, connect, monkeypatch, caplog
):
    monkeypatch.setattr(runner, "GIVE_UP_SECONDS", 0.5)
    held, rival = Held(), connect()
    stuck = ours(reach, job(handler=held))
    with ThreadPoolExecutor(1) as pool, rival.transaction():
        running = pool.submit(stuck.run, 30)
        held.began.wait(HANG)
        rival.execute("LOCK TABLE sys_cron_executions")
        # The second try is under way when the runner gives up: that one is cut, too.
        reach.opened[MAIN][0].close()
        began = monotonic()
        stuck.cancel()
        running.result(HANG)
        assert monotonic() - began > 0.4
    assert "A finish was given up" in caplog.text


def test_a_connection_that_is_opened_after_a_runner_gave_up_is_cut_at_once(
    owner, reach, connect, monkeypatch
):
    monkeypatch.setattr(runner, "GIVE_UP_SECONDS", 0.1)
    held, rival, opening = Held(), connect(), threading.Event()

    def connect_late(application_name):
        connection = reach(application_name)
        if len(reach.opened.get(MAIN, ())) > 1:
            opening.wait(HANG)
        return connection

    late = ours(connect_late, job(handler=held))
    with ThreadPoolExecutor(1) as pool, rival.transaction():
        running = pool.submit(late.run, 30)
        held.began.wait(HANG)
        rival.execute("LOCK TABLE sys_cron_executions")
        reach.opened[MAIN][0].close()
        late.cancel()
        assert late._own.given_up.wait(HANG)
        opening.set()
        running.result(HANG)


def test_a_cancelled_runner_uses_its_time_to_write_canceled(owner, reach, monkeypatch, caplog):
    monkeypatch.setattr(finishing, "FINISH_PAUSE_SECONDS", 0.01)
    held = Held()
    patient = ours(reach, job(handler=held))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(patient.run, 30)
        held.began.wait(HANG)
        reach.lose()
        patient.cancel()
        until(lambda: not (caplog.text.count("A finish could not be written") < 5))
        reach.away.clear()
        running.result(HANG)
    assert execution(owner)["error_code"] == "canceled"


def test_the_loop_backs_off_while_the_database_is_away_and_comes_back(
    owner, reach, monkeypatch, caplog
):
    monkeypatch.setattr(runner, "FIRST_PAUSE_SECONDS", 0.01)
    caplog.set_level(logging.INFO)
    reported = threading.Event()
    away = ours(reach, job(), report=lambda _report: reported.set())
    reach.away.set()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(away.run, 0.05)
        until(lambda: not ("tries again by itself" not in caplog.text))
        reach.away.clear()
        assert reported.wait(HANG)
        away.drain()
        running.result(HANG)
    assert caplog.text.count("tries again by itself") == 1
    assert "The database answers again" in caplog.text
    assert execution(owner)["status"] == "SUCCESS"


def test_pauses_double_up_to_the_ticks_own_interval(reach, monkeypatch):
    pauses = []
    away = ours(reach, job())
    reach.away.set()

    class Wake(threading.Event):
        def wait(self, timeout=None):
            pauses.append(timeout)
            if len(pauses) == 8:
                self.set()

    monkeypatch.setattr(away, "_wake", Wake())
    away.run(30)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30, 30]


@pytest.mark.parametrize("error", [TypeError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_mistake_of_this_program_does_not_end_the_loop(owner, reach, monkeypatch, caplog, error):
    monkeypatch.setattr(runner, "FIRST_PAUSE_SECONDS", 0.01)
    sweep = leases.sweep

    def stumble(*arguments):
        monkeypatch.setattr(leases, "sweep", sweep)
        raise error("a mistake")

    monkeypatch.setattr(leases, "sweep", stumble)
    clumsy = ours(reach, job(), report=lambda _report: clumsy.drain())
    clumsy.run(0.05)
    assert execution(owner)["status"] == "SUCCESS"
    assert "A tick failed" in caplog.text


def test_a_report_that_fails_is_logged_once_and_harms_no_job(owner, reach, caplog):
    told = []

    def fail(report):
        told.append(report)
        raise OSError("the disk is full")

    with ours(reach, job(name="a"), job(name="b"), report=fail) as runner:
        runner.tick()
        runner.tick()
    assert {row["job_name"]: row["status"] for row in executions(owner)} == {
        "a": "SUCCESS",
        "b": "SUCCESS",
    }
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "Reporting failed" in record.message
    assert len(told) == 1


def test_what_a_runner_does_is_logged_with_runner_job_plan_time_and_attempt(owner, reach, caplog):
    caplog.set_level(logging.INFO)
    one_tick(reach, job())
    plan_time = f"{execution(owner)['plan_time']:%Y-%m-%dT%H:%M:%SZ}"
    claimed, finished = [record for record in caplog.records if hasattr(record, "job")]
    for record in (claimed, finished):
        assert (record.runner, record.job, record.plan_time, record.attempt) == (
            "ours",
            "test_job",
            plan_time,
            1,
        )
    assert claimed.outcome == "WON"
    assert (finished.status, finished.rows) == ("SUCCESS", 0)
