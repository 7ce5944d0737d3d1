"""How a runner copes with database restarts, dying connections and lost answers.

Afterwards lock 4246 is free, the next tick works, and nothing stays RUNNING for longer than its
stale timeout.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import psycopg
import pytest

from executions.database import connections
from executions.database.connections import connect as connect_to
from executions.scheduler import finishing, leases
from executions.scheduler import runner as runner_module
from executions.scheduler.jobs import roll_up_task_usage
from executions.scheduler.leases import ClaimOutcome
from executions.scheduler.plans import floor
from executions.scheduler.runner import JobRunner
from executions.scheduler.spec import CatchUp, HandlerError
from tests.scheduling import Reach, age, execution, executions, lock_holders, usage
from tests.short_jobs import Held, job
from tests.waiting import HANG

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NAME = "rollup_task_usage_hourly"
HANDLER = f"multica-admin {NAME}"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(runner_module, "FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(finishing, "FINISH_PAUSE_SECONDS", 0.02)


def rollup(**settings):
    """The rollup with a bucket that lasts as long as the test, and retried at once."""
    return job(**{"name": NAME, "handler": roll_up_task_usage, "cadence": DAY} | settings)


@contextmanager
def ticking(runner):
    with ThreadPoolExecutor(1) as pool, runner:
        yield pool.submit(runner.tick)


@contextmanager
def rollup_in_hand(owner, connect, runner):
    """The rollup waits for its state row while it holds lock 4246; gives the tick's future."""
    rival = connect()
    with ticking(runner) as done, rival.transaction():
        rival.execute("SELECT FROM task_usage_hourly_rollup_state FOR UPDATE")
        lock_holders(owner, at_least=1)
        yield done


def next_tick_works(owner, reach, spec):
    """A runner that starts afterwards completes the plan in any case."""
    assert lock_holders(owner, at_most=0) == 0
    age(owner, HOUR)
    with JobRunner([spec], reach, runner_id="next") as following:
        (report,) = following.tick()
    assert "RUNNING" not in {row["status"] for row in executions(owner)}
    assert report.status == "SUCCESS"


def test_a_terminated_backend_of_the_handler_fails_the_attempt_and_frees_the_lock(
    owner, connect, superuser, reach
):
    spec = rollup()
    with rollup_in_hand(owner, connect, JobRunner([spec], reach, runner_id="ours")) as done:
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            [HANDLER],
        )
        (report,) = done.result(HANG)
    assert (report.status, report.error_code) == ("FAILED", "handler_error")
    next_tick_works(owner, reach, spec)
    assert execution(owner)["attempt"] == 2


def test_a_cancelled_statement_of_the_handler_fails_the_attempt_and_frees_the_lock(
    owner, connect, superuser, reach
):
    spec = rollup()
    with rollup_in_hand(owner, connect, JobRunner([spec], reach, runner_id="ours")) as done:
        superuser.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            [HANDLER],
        )
        (report,) = done.result(HANG)
    assert report.error_code == "handler_error"
    next_tick_works(owner, reach, spec)


def test_every_connection_cut_in_the_middle_of_a_run_fails_the_attempt_and_frees_the_lock(
    owner, connect, proxy, proxied
):
    spec = rollup()
    with rollup_in_hand(owner, connect, JobRunner([spec], proxied, runner_id="ours")) as done:
        proxy.cut()
        (report,) = done.result(HANG)
        # The current statement ends with its client, not with the rival.
        assert lock_holders(owner, at_most=0) == 0
    assert (report.status, report.error_code) == ("FAILED", "handler_error")
    next_tick_works(owner, proxied, spec)


def test_a_finish_whose_answer_was_lost_is_known_as_written(owner, proxy, proxied):
    usage(owner, hours=2)
    proxy.lose_the_answer_to("SET status = 'SUCCESS'")
    spec = rollup()
    with JobRunner([spec], proxied, runner_id="ours") as ours:
        (report,) = ours.tick()
    assert proxy.lost_an_answer.is_set()
    assert report.status == "SUCCESS"
    assert (execution(owner)["status"], execution(owner)["attempt"]) == ("SUCCESS", 1)
    assert lock_holders(owner, at_most=0) == 0


def test_a_failed_finish_whose_answer_was_lost_is_known_as_written(owner, proxy, proxied):
    def fail(_context):
        raise HandlerError("no luck")

    proxy.lose_the_answer_to("SET status = 'FAILED', finished_at")
    with JobRunner([rollup(handler=fail)], proxied, runner_id="ours") as ours:
        (report,) = ours.tick()
    assert proxy.lost_an_answer.is_set()
    assert report.status == "FAILED"
    assert execution(owner)["error_code"] == "handler_error"


def test_a_claim_whose_answer_was_lost_is_taken_up_by_the_next_tick(owner, proxy, proxied):
    proxy.lose_the_answer_to("INSERT INTO sys_cron_executions")
    with JobRunner([rollup()], proxied, runner_id="ours") as ours:
        with pytest.raises(psycopg.OperationalError):
            ours.tick()
        assert proxy.lost_an_answer.is_set()
        assert execution(owner)["status"] == "RUNNING"
        (report,) = ours.tick()
    assert report.status == "SUCCESS"
    assert execution(owner)["attempt"] == 1


def plans_once():
    """A planner that names this hour's plan the first time only."""
    planned = []

    def plan(_spec, standing):
        if planned:
            return []
        planned.append(floor(standing.now, HOUR))
        return planned

    return plan


@pytest.mark.parametrize(
    "settings",
    [
        {"catch_up": CatchUp.EVERY_PLAN, "max_plans_per_tick": 1},
        {"planner": plans_once()},
        {"cadence": timedelta(milliseconds=1)},  # latest-only, and its bucket is over at once
    ],
    ids=["every-plan", "planner", "latest-only"],
)
def test_a_claim_whose_answer_was_lost_is_taken_up_though_nobody_plans_it_again(
    owner, proxy, proxied, settings
):
    spec = rollup(allow_stale_reentry=False, **settings)
    proxy.lose_the_answer_to("INSERT INTO sys_cron_executions")
    with JobRunner([spec], proxied, runner_id="ours") as ours:
        with pytest.raises(psycopg.OperationalError):
            ours.tick()
        lost = execution(owner)["id"]
        report = ours.tick()[0]
        ours.tick()
    row = executions(owner)[0]
    assert (report.outcome, report.status) == (ClaimOutcome.WON, "SUCCESS")
    assert (row["id"], row["status"], row["attempt"]) == (lost, "SUCCESS", 1)


def test_a_lost_answer_is_not_forgotten_over_the_claims_of_other_jobs(owner, proxy, proxied):
    first, second = (
        job(name=name, cadence=DAY, catch_up=CatchUp.EVERY_PLAN, max_plans_per_tick=1)
        for name in ("a", "b")
    )
    with JobRunner([second], proxied, runner_id="ours") as ours:
        proxy.lose_the_answer_to("INSERT INTO sys_cron_executions")
        with pytest.raises(psycopg.OperationalError):
            ours.tick()
        ours.specs = (first, second)
        reports = ours.tick()
    assert [(report.job, report.status) for report in reports] == [
        ("a", "SUCCESS"),
        ("b", "SUCCESS"),
    ]


def test_a_claim_that_never_arrived_is_not_made_up_for_once_its_plan_is_over(
    owner, reach, monkeypatch
):
    def lose(*_arguments, **_options):
        raise psycopg.OperationalError("the statement never arrived")

    with JobRunner([rollup(planner=plans_once())], reach, runner_id="ours") as ours:
        with monkeypatch.context() as patch:
            patch.setattr(leases, "claim", lose)
            with pytest.raises(psycopg.OperationalError):
                ours.tick()
        (report,) = ours.tick()
    assert report.outcome is None
    assert executions(owner) == []


def test_a_retry_whose_answer_was_lost_is_swept_and_tried_again(owner, proxy, proxied):
    fails = [HandlerError("no luck")]

    def fail_once(_context):
        if fails:
            raise fails.pop()
        return 0, {}

    spec = rollup(handler=fail_once)
    with JobRunner([spec], proxied, runner_id="ours") as ours:
        ours.tick()
        proxy.lose_the_answer_to("WITH standing AS")
        with pytest.raises(psycopg.OperationalError):
            ours.tick()
        row = execution(owner)
        assert (row["status"], row["attempt"]) == ("RUNNING", 2)
        age(owner, HOUR)
        (report,) = ours.tick()
    assert (report.status, report.attempt) == ("SUCCESS", 3)


def test_a_rollup_whose_answer_was_lost_after_its_commit_changes_nothing_when_repeated(
    owner, proxy, proxied
):
    usage(owner, hours=3)
    owner.execute(
        "UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - interval '10 hours'"
    )
    proxy.lose_the_answer_to("SELECT rollup_task_usage_hourly()")
    spec = rollup()
    with JobRunner([spec], proxied, runner_id="ours") as ours:
        (report,) = ours.tick()
        assert proxy.lost_an_answer.is_set()
        assert report.error_code == "handler_error"
        buckets = owner.execute("SELECT * FROM task_usage_hourly ORDER BY bucket_hour").fetchall()
        assert len(buckets) == 3
    next_tick_works(owner, proxied, spec)
    after = owner.execute("SELECT * FROM task_usage_hourly ORDER BY bucket_hour").fetchall()
    assert after == buckets


def test_a_network_that_swallows_everything_cancels_the_handler_before_its_lease_ends(
    owner, proxy, proxied, slow
):
    held = Held()
    spec = job(
        handler=held,
        run_timeout=timedelta(seconds=1.8 * slow),
        stale_timeout=timedelta(seconds=2 * slow),
        heartbeat_interval=timedelta(seconds=0.2 * slow),
    )
    with ticking(JobRunner([spec], proxied, runner_id="ours")) as done:
        assert held.began.wait(HANG)
        proxy.passing.clear()
        assert held.contexts[0].cancelled.wait(HANG)
        left = owner.execute("SELECT stale_after - now() AS left FROM sys_cron_executions")
        assert left.fetchone()["left"] > timedelta()
        proxy.cut()
        proxy.passing.set()
        done.result(HANG)
    next_tick_works(owner, proxied, job())


def test_a_database_that_falls_silent_while_a_connection_opens_is_given_up(
    proxy, proxied, monkeypatch
):
    monkeypatch.setattr(connections, "CONNECT_SECONDS", 0.5)
    proxy.swallow_from("pg_backend_pid()")
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(proxied, "multica-admin runner")
        try:
            with pytest.raises(psycopg.OperationalError):
                opening.result(HANG)
        finally:
            proxy.cut()
    proxy.passing.set()
    assert proxied("multica-admin runner").execute("SELECT 1 AS one").fetchone() == {"one": 1}


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_runner_outlives_a_restart_of_the_database_with_a_run_in_hand(restartable, mode):
    reach = Reach(restartable.conninfo("postgres"))
    busy = threading.Event()

    def hang_first(context):
        if context.attempt == 1:
            context.connection.execute("SELECT pg_advisory_lock(4246)")
            busy.set()
            context.connection.execute("SELECT pg_sleep(600)")
        return 1, {}

    def drain_after_success(report):
        if report.status == "SUCCESS":
            ours.drain()

    spec = rollup(handler=hang_first, heartbeat_interval=timedelta(seconds=0.2))
    ours = JobRunner([spec], reach, runner_id="ours", report=drain_after_success)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(ours.run, 0.1)
        assert busy.wait(HANG)
        restartable.stop(mode=mode)
        restartable.start()
        running.result(HANG)
    with connect_to(reach.conninfo, application_name="look") as look:
        row = execution(look)
        assert (row["status"], row["attempt"]) == ("SUCCESS", 2)
        assert lock_holders(look, at_most=0) == 0
    reach.close()
