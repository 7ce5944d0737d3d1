"""The lease during a run: its heartbeat, its loss and the end of trust in it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
import pytest

from executions.scheduler import clock, heartbeat, leases, run, runner
from executions.scheduler.cutting import cancel_and_cut
from executions.scheduler.leases import Lease, Plan
from executions.scheduler.spec import HandlerError, Scope
from tests.running import (
    DAY,
    HANDLER,
    HOUR,
    MAIN,
    begin,
    bucket,
    no_thread_beats,
    one_tick,
    ours,
    ticking,
)
from tests.scheduling import age, execution
from tests.short_jobs import Held, job, seconds
from tests.waiting import HANG, until

HEARTBEAT = "multica-admin heartbeat"


def test_the_heartbeat_beats_during_a_run_on_a_connection_of_its_own(owner, reach):
    held = Held()
    spec = job(handler=held, heartbeat_interval=seconds(0.05))
    with ticking(ours(reach, spec)) as done:
        held.began.wait(HANG)
        wait_for(owner, "heartbeat_at > started_at + interval '100 milliseconds'")
        row = execution(owner)
        held.release.set()
        done.result(HANG)
    assert row["stale_after"] - row["heartbeat_at"] == spec.stale_timeout
    assert len(reach.opened[HEARTBEAT]) == 1
    assert execution(owner)["status"] == "SUCCESS"


def test_a_short_run_opens_no_connection_for_its_heartbeat(owner, reach):
    one_tick(reach, job())
    assert set(reach.opened) == {MAIN, HANDLER}


def test_a_heartbeat_that_failed_is_tried_again_on_a_new_connection(owner, reach, superuser):
    held = Held()
    with ticking(ours(reach, job(handler=held, heartbeat_interval=seconds(0.05)))) as done:
        held.began.wait(HANG)
        wait_for(owner, "heartbeat_at > started_at")
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            [HEARTBEAT],
        )
        since = owner.execute("SELECT clock_timestamp() AS now").fetchone()["now"]
        wait_for(owner, "heartbeat_at > %s", since)
        held.release.set()
        done.result(HANG)
    # Under load a beat may be tried again more than once.
    assert len(reach.opened[HEARTBEAT]) >= 2
    assert execution(owner)["status"] == "SUCCESS"


def test_a_lost_lease_cancels_the_handler_and_leaves_the_row_to_its_new_owner(owner, reach):
    held = Held()
    spec = job(handler=held, heartbeat_interval=seconds(0.05))
    with ticking(ours(reach, spec)) as done:
        held.began.wait(HANG)
        with owner.transaction():  # no heartbeat may come in between
            age(owner, HOUR)
            stolen = begin(owner, spec, execution(owner)["plan_time"], "thief")
        (report,) = done.result(HANG)
    row = execution(owner)
    assert held.contexts[0].cancelled.is_set()
    assert (report.status, report.error_code) == (None, "lease_lost")
    assert (row["status"], row["attempt"], row["runner_id"]) == ("RUNNING", 2, "thief")
    assert row["lease_token"] == stolen.token


def test_a_lost_lease_stops_the_statement_under_way_on_the_server(owner, reach):
    def sleep(context):
        context.connection.execute("SELECT pg_sleep(600)")

    spec = job(handler=sleep, heartbeat_interval=seconds(0.05))
    with ticking(ours(reach, spec)) as done:
        wait_for(owner, "heartbeat_at > started_at")
        owner.execute("UPDATE sys_cron_executions SET lease_token = gen_random_uuid()")
        done.result(HANG)
    until(lambda: not (backends(owner, HANDLER)))
    assert execution(owner)["status"] == "RUNNING"


def test_a_connection_that_is_cut_has_its_statement_stopped_on_the_server_first(owner, reach):
    """Where the backend itself does not look whether its client is still there."""
    connection = reach("cut")
    pid = connection.info.backend_pid
    connection.execute("SET client_connection_check_interval = 0")

    def is_busy():
        query = "SELECT FROM pg_stat_activity WHERE pid = %s AND query LIKE %s AND state = 'active'"
        return owner.execute(query, [pid, "SELECT pg_sleep%"]).fetchall()

    with ThreadPoolExecutor(1) as pool:
        sleeping = pool.submit(connection.execute, "SELECT pg_sleep(600)")
        until(is_busy)
        cancel_and_cut(connection)
        with pytest.raises(psycopg.OperationalError):
            sleeping.result(HANG)
    until(lambda: not is_busy())


def test_a_runner_that_cannot_heartbeat_gives_its_lease_up_before_anybody_may_steal_it(
    owner, reach, slow
):
    def connect(application_name):
        if application_name == HEARTBEAT:
            raise psycopg.OperationalError("no heartbeat today")
        return reach(application_name)

    left = []

    def watch(context):
        context.cancelled.wait(HANG)
        row = owner.execute("SELECT stale_after - now() AS left FROM sys_cron_executions")
        left.append(row.fetchone()["left"])
        raise HandlerError("cancelled")

    spec = job(
        handler=watch,
        run_timeout=seconds(1.98 * slow),
        stale_timeout=seconds(2 * slow),
        heartbeat_interval=seconds(0.4 * slow),
    )
    one_tick(connect, spec)
    assert left[0] > timedelta()
    assert execution(owner)["error_code"] == "lease_lost"


def test_a_job_may_beat_rarely_and_still_succeed(owner, reach, slow):
    def outlast_a_beat(context):
        beaten = "heartbeat_at > started_at"
        while not owner.execute(f"SELECT FROM sys_cron_executions WHERE {beaten}").fetchall():
            if context.cancelled.wait(0.01):
                raise HandlerError("cancelled")
        return 1, {}

    spec = job(
        handler=outlast_a_beat,
        run_timeout=seconds(3.9 * slow),
        stale_timeout=seconds(4 * slow),
        heartbeat_interval=seconds(3.7 * slow),
    )
    one_tick(reach, spec)
    assert execution(owner)["status"] == "SUCCESS"


@pytest.mark.parametrize("interval", [0.001, 30, 1200, 1700, 1799])
def test_trust_ends_after_the_next_beat_is_due_and_before_the_lease_does(interval):
    stale = 1800
    spec = job(
        run_timeout=seconds(1500),
        stale_timeout=seconds(stale),
        heartbeat_interval=seconds(interval),
    )
    lease = Lease(
        Plan(spec, Scope(), datetime(2026, 1, 1, tzinfo=UTC)),
        "ours",
        UUID(int=1),
        UUID(int=2),
        1,
        expires=5000.0,
    )
    beat = heartbeat.Heartbeat(lease, None, lambda: None)
    begun = lease.expires - stale
    assert begun + interval < beat.trusted_until < beat.expires


def test_a_lease_that_is_taken_up_late_is_extended_when_its_beat_was_due(owner, reach):
    spec = job(cadence=DAY, heartbeat_interval=seconds(15))
    lease = begin(owner, spec, bucket(owner))
    age(owner, seconds(20))
    late = replace(lease, expires=lease.expires - 20)
    beat = heartbeat.Heartbeat(late, reach, lambda: None)
    beat.start()
    try:
        wait_for(owner, "heartbeat_at > started_at")
    finally:
        beat.stop()
    assert no_thread_beats()


@pytest.fixture
def suspend(monkeypatch):
    """Moves the scheduler's clock forward by this much, as a suspended machine does."""
    slept = 0.0

    def sleep(duration):
        nonlocal slept
        slept += duration.total_seconds()

    for module in (leases, heartbeat, run, runner):
        monkeypatch.setattr(module, "elapsed", lambda: clock.elapsed() + slept)
    return sleep


def test_a_machine_that_was_suspended_past_its_lease_cancels_the_run(owner, reach, suspend):
    held = Held()
    with ticking(ours(reach, job(handler=held, heartbeat_interval=seconds(29)))) as done:
        held.began.wait(HANG)
        age(owner, HOUR)
        suspend(HOUR)
        (report,) = done.result(HANG)
    assert held.contexts[0].cancelled.is_set()
    assert report.duration_ms < HANG * 1000


def test_a_claim_without_an_answer_is_forgotten_once_its_lease_has_ended(
    owner, reach, monkeypatch, suspend
):
    def lose(*_arguments, **_options):
        raise psycopg.OperationalError("the statement never arrived")

    asked = []
    begun = leases.begun
    with ours(reach, job(planner=lambda _spec, _standing: planned)) as runner:
        planned = [bucket(owner)]
        with monkeypatch.context() as patch:
            patch.setattr(leases, "claim", lose)
            with pytest.raises(psycopg.OperationalError):
                runner.tick()
        planned = []
        monkeypatch.setattr(
            leases, "begun", lambda *given, **named: asked.append(1) or begun(*given, **named)
        )
        runner.tick()
        suspend(HOUR)
        runner.tick()
        runner.tick()
    assert len(asked) == 2


def test_a_heartbeat_that_gets_no_answer_is_cut_off(owner, reach, connect, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SECONDS", 0.1)
    held = Held()
    rival = connect()
    with ticking(ours(reach, job(handler=held, heartbeat_interval=seconds(0.05)))) as done:
        held.began.wait(HANG)
        with rival.transaction():
            rival.execute("SELECT FROM sys_cron_executions FOR UPDATE")
            until(lambda: not (len(reach.opened.get(HEARTBEAT, ())) < 2))
        held.release.set()
        done.result(HANG)
    assert execution(owner)["status"] == "SUCCESS"


def backends(connection, application_name):
    return connection.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = %s", [application_name]
    ).fetchall()


def wait_for(connection, condition, *parameters):
    """Wait until the one execution is as the SQL condition says."""
    query = f"SELECT FROM sys_cron_executions WHERE {condition}"
    until(lambda: connection.execute(query, parameters).fetchall())
