"""The twelve behaviours of a second implementation: docs/contract.md section 3."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from uuid import uuid4

import psycopg
import pytest

from executions.rollup.watermark import read_watermark, roll_up
from executions.scheduler import leases
from executions.scheduler.jobs import ROLLUP
from executions.scheduler.leases import ClaimOutcome, Finish, Plan, Success
from executions.scheduler.plans import floor, newest_due
from executions.scheduler.runner import JobRunner
from executions.scheduler.spec import CatchUp, InvalidJob, Scope
from tests.scheduling import age, execution, executions, lock_holders, usage
from tests.short_jobs import Held, every_plan, job, seconds
from tests.waiting import HANG

HOUR = timedelta(hours=1)
DONE = Success(0, "{}")


def runner(reach, *specs, runner_id="ours"):
    return JobRunner(specs, reach, runner_id=runner_id)


def claim(connection, plan, runner_id):
    return leases.claim(connection, plan, runner_id=runner_id, new_id=uuid4())


@pytest.fixture
def now(owner):
    return owner.execute("SELECT now() AS now").fetchone()["now"]


def test_01_a_plan_is_the_utc_bucket_of_any_moment():
    five = timedelta(minutes=5)
    bucket = datetime(2026, 7, 1, 3, 40, tzinfo=UTC)
    newfoundland = timezone(timedelta(hours=-2, minutes=-30))
    assert floor(bucket, five) == bucket
    assert floor(bucket + timedelta(minutes=3), five) == bucket
    elsewhere = floor((bucket + timedelta(minutes=3)).astimezone(newfoundland), five)
    assert (elsewhere, elsewhere.utcoffset()) == (bucket, timedelta())


@pytest.mark.parametrize("time_zone", ["America/St_Johns", "Asia/Kathmandu", "UTC"])
def test_01_a_tick_stores_the_utc_bucket_whatever_the_time_zone_of_its_session(
    owner, reach, time_zone
):
    seen = []

    def connect(application_name):
        connection = reach(application_name)
        connection.execute("SELECT set_config('timezone', %s, false)", [time_zone])
        return connection

    def planner(spec, standing):
        seen.append(standing.now)
        return [newest_due(spec, standing.now)]

    # The buckets of an hour differ where an offset is no whole number of hours.
    with runner(connect, job(cadence=HOUR, planner=planner)) as ours:
        (report,) = ours.tick()
    (now,) = seen
    (row,) = owner.execute(
        "SELECT plan_time, date_trunc('hour', %s, 'UTC') AS bucket FROM sys_cron_executions", [now]
    ).fetchall()
    assert str(now.tzinfo) == time_zone
    assert row["plan_time"] == row["bucket"] == report.plan_time


def test_02_the_stored_id_is_the_claimed_uuid7_and_the_token_a_random_uuid4(owner, reach):
    held = Held()
    with ThreadPoolExecutor() as pool, runner(reach, job(handler=held)) as ours:
        ticking = pool.submit(ours.tick)
        held.began.wait(HANG)
        row = execution(owner)
        held.release.set()
        ticking.result()
    assert row["id"].version == 7
    milliseconds = row["id"].int >> 80
    assert abs(milliseconds / 1000 - row["started_at"].timestamp()) < HANG
    assert row["lease_token"].version == 4


def test_03_of_eight_claimants_of_one_plan_one_wins_and_seven_meet_a_conflict(owner, connect, now):
    plan = Plan(job(), Scope(), floor(now, seconds(1)))
    connections = [connect() for _ in range(8)]
    together = threading.Barrier(8)

    def contend(number):
        together.wait()
        return claim(connections[number], plan, f"runner {number}")

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(contend, range(8)))
    outcomes = [answer.outcome for answer in answers]
    assert outcomes.count(ClaimOutcome.WON) == 1
    assert outcomes.count(ClaimOutcome.CONFLICT) == 7
    assert execution(owner)["runner_id"] == f"runner {outcomes.index(ClaimOutcome.WON)}"


def test_04_after_a_steal_only_the_new_runner_can_finish(owner, connect, now):
    plan = Plan(job(), Scope(), floor(now, seconds(1)))
    of_old, of_new = connect(), connect()
    old = claim(of_old, plan, "old").lease
    age(owner, HOUR)
    stolen = claim(of_new, plan, "new")
    new = stolen.lease
    assert stolen.outcome is ClaimOutcome.STOLEN
    assert (new.id, new.attempt) == (old.id, 2)
    assert new.token != old.token
    assert not leases.heartbeat(of_old, old)
    assert leases.finish(of_old, old, DONE, 1) is Finish.LEASE_LOST
    assert execution(owner)["status"] == "RUNNING"
    assert leases.finish(of_new, new, DONE, 1) is Finish.WRITTEN
    assert leases.finish(of_old, old, DONE, 1) is Finish.LEASE_LOST
    assert (execution(owner)["status"], execution(owner)["runner_id"]) == ("SUCCESS", "new")


@pytest.mark.parametrize("reentrant", [True, False])
def test_05_a_tick_closes_abandoned_executions_and_still_runs_the_current_plan(
    owner, reach, now, reentrant
):
    spec = job(allow_stale_reentry=reentrant)
    claim(owner, Plan(spec, Scope(), floor(now, seconds(1)) - HOUR), "dead")
    age(owner, HOUR)
    with runner(reach, spec) as ours:
        (report,) = ours.tick()
    abandoned, current = executions(owner)
    assert (abandoned["status"], abandoned["error_code"]) == ("FAILED", "stale_timeout")
    assert abandoned["finished_at"] is not None
    assert (current["status"], current["runner_id"]) == ("SUCCESS", "ours")
    assert (report.outcome, report.plan_time) == (ClaimOutcome.WON, current["plan_time"])


def test_06_a_handler_that_crashes_is_written_as_a_panic_with_its_text(owner, reach):
    def crash(_context):
        raise ZeroDivisionError("by nothing at all")

    with runner(reach, job(handler=crash)) as ours:
        ours.tick()
    row = execution(owner)
    assert (row["status"], row["error_code"]) == ("FAILED", "handler_panic")
    assert row["error_msg"] == "ZeroDivisionError: by nothing at all"


def test_07_an_every_plan_job_retries_a_due_failed_plan_in_the_same_row(owner, reach):
    attempts = []

    def fail_once(context):
        attempts.append((context.plan_time, context.attempt))
        if len(attempts) == 1:
            raise RuntimeError("not yet")
        return 0, {}

    # A cadence of a day, so that no new bucket comes between the two ticks.
    spec = every_plan(
        handler=fail_once, cadence=timedelta(days=1), catch_up_window=timedelta(days=2)
    )
    with runner(reach, spec) as ours:
        ours.tick()
        first = execution(owner)
        (report,) = ours.tick()
    row = execution(owner)
    assert report.outcome is ClaimOutcome.RETRIED
    assert (row["id"], row["plan_time"]) == (first["id"], first["plan_time"])
    assert (row["status"], row["attempt"]) == ("SUCCESS", 2)
    assert attempts == [(row["plan_time"], 1), (row["plan_time"], 2)]


def test_08_a_jobs_rules_are_checked_and_relaxed_only_for_a_planner_of_its_own(owner, reach, now):
    with pytest.raises(InvalidJob):
        job(cadence=timedelta())
    with pytest.raises(InvalidJob):
        job(catch_up=CatchUp.EVERY_PLAN)
    with pytest.raises(InvalidJob):
        job(stale_timeout=seconds(60), planner=lambda spec, standing: ())
    relaxed = job(
        cadence=timedelta(), catch_up=CatchUp.EVERY_PLAN, planner=lambda spec, standing: [now]
    )
    with runner(reach, relaxed) as ours:
        ours.tick()
    assert (execution(owner)["plan_time"], execution(owner)["status"]) == (now, "SUCCESS")


def test_09_a_planner_of_the_jobs_own_is_followed_cut_and_shown_the_latest_stored_plan(
    owner, reach, now
):
    base = floor(now, HOUR)
    seen = []

    def planner(_spec, standing):
        seen.append(standing.newest)
        start = standing.newest or base
        return [start + seconds(7), start + seconds(19), start + seconds(23)]

    with runner(reach, job(planner=planner, max_plans_per_tick=2)) as ours:
        planned = [[report.plan_time for report in ours.tick()] for _ in range(2)]
    second = base + seconds(19)
    assert planned[0] == [base + seconds(7), second]
    assert planned[1] == [second + seconds(7), second + seconds(19)]
    assert seen == [None, second]
    assert [row["plan_time"] for row in executions(owner)] == planned[0] + planned[1]


def test_10_a_planner_that_returns_nothing_writes_nothing(owner, reach):
    with runner(reach, job(planner=lambda spec, standing: [])) as ours:
        (report,) = ours.tick()
    assert report.outcome is None
    assert executions(owner) == []


def test_11_of_six_concurrent_callers_of_the_rollup_one_does_the_work(owner, connect):
    usage(owner, hours=3)
    owner.execute(
        "UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - interval '10 hours'"
    )
    before = read_watermark(owner)
    connections = [connect() for _ in range(6)]
    together = threading.Barrier(6)

    def call(connection):
        together.wait()
        # Holds the lock until all six have asked for it.
        with connection.transaction():
            rows = roll_up(connection)
            together.wait()
        return rows

    with ThreadPoolExecutor(6) as pool:
        rows = sorted(pool.map(call, connections))
    assert rows == [0, 0, 0, 0, 0, 3]
    after = read_watermark(owner)
    assert before < after
    sums = owner.execute("SELECT sum(input_tokens) AS sum FROM task_usage_hourly").fetchone()
    raw = owner.execute("SELECT sum(input_tokens) AS sum FROM task_usage").fetchone()
    assert sums == raw
    buckets = owner.execute("SELECT * FROM task_usage_hourly ORDER BY bucket_hour").fetchall()
    assert roll_up(owner) == 0
    assert owner.execute("SELECT * FROM task_usage_hourly ORDER BY bucket_hour").fetchall() == (
        buckets
    )


def test_12_a_cancelled_rollup_leaves_lock_4246_free(owner, connect, reach):
    # The rollup waits for its state row, which somebody holds, with lock 4246 in its hand.
    rival = connect()
    with ThreadPoolExecutor() as pool, runner(reach, ROLLUP) as ours, rival.transaction():
        rival.execute("SELECT FROM task_usage_hourly_rollup_state FOR UPDATE")
        ticking = pool.submit(ours.tick)
        lock_holders(owner, at_least=1)
        ours.cancel()
        ticking.result(HANG)
        assert lock_holders(owner, at_most=0) == 0
    row = execution(owner)
    assert (row["status"], row["error_code"]) == ("FAILED", "canceled")
    assert row["plan_time"] == newest_due(ROLLUP, row["started_at"])
    assert owner.execute("SELECT pg_try_advisory_lock(4246) AS free").fetchone()["free"]
    owner.execute("SELECT pg_advisory_unlock(4246)")
    with pytest.raises(psycopg.OperationalError):
        reach.opened["multica-admin rollup_task_usage_hourly"][0].execute("SELECT 1")
