"""Guards that no other test covers: each was removed once, and no other test failed."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from executions.scheduler import finishing, leases
from executions.scheduler.jobs import ROLLUP
from executions.scheduler.leases import ClaimOutcome, Failure, Plan, Success
from executions.scheduler.plans import floor
from executions.scheduler.run import Run
from executions.scheduler.runner import JobRunner
from executions.scheduler.spec import ErrorCode, HandlerError, Scope
from tests.scheduling import age, execution, executions
from tests.short_jobs import Held, job, seconds
from tests.waiting import HANG

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


def ours(reach, *specs):
    return JobRunner(specs, reach, runner_id="ours")


def claim(connection, plan, runner_id="first"):
    return leases.claim(connection, plan, runner_id=runner_id, new_id=uuid4())


@pytest.fixture
def today(owner):
    return floor(owner.execute("SELECT now() AS now").fetchone()["now"], DAY)


@pytest.fixture
def plan(today):
    return Plan(job(cadence=DAY), Scope(), today)


def fails(_context):
    raise HandlerError("no luck")


# --- Planning ------------------------------------------------------------------------------------


def test_what_is_due_goes_by_the_databases_clock_whatever_the_time_is_here(
    owner, reach, today, monkeypatch
):
    real = leases.read_standings
    monkeypatch.setattr(
        leases,
        "read_standings",
        lambda *asked: [replace(one, now=one.now + 3 * DAY) for one in real(*asked)],
    )
    with ours(reach, job(cadence=DAY)) as found:
        (report,) = found.tick()
    assert report.plan_time == today + 3 * DAY


def test_drained_between_two_plans_of_one_scope_it_claims_no_more(owner, reach, today):
    held = Held()
    planned = [today - DAY * number for number in range(5)]
    found = ours(reach, job(handler=held, planner=lambda *_: planned))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(found.run, 0.05)
        assert held.began.wait(HANG)
        found.drain()
        held.release.set()
        running.result(HANG)
    assert len(executions(owner)) == 1


# --- Retries -------------------------------------------------------------------------------------


def test_the_rollups_retries_come_after_1_5_and_15_minutes():
    assert ROLLUP.retry_backoff == (MINUTE, 5 * MINUTE, 15 * MINUTE)


def test_each_retry_waits_for_its_own_span_and_the_last_one_stays(owner, reach):
    spans = (MINUTE, 5 * MINUTE, 15 * MINUTE)
    spec = job(handler=fails, cadence=DAY, retry_backoff=spans, max_attempts=5)
    waited = []
    with ours(reach, spec) as found:
        for _attempt in range(4):
            found.tick()
            row = execution(owner)
            waited.append(row["next_retry_at"] - row["finished_at"])
            owner.execute("UPDATE sys_cron_executions SET next_retry_at = now()")
    assert waited == [*spans, spans[-1]]


@pytest.mark.parametrize("how", ["retried", "stolen"])
def test_who_takes_a_plan_over_begins_with_a_fresh_heartbeat(owner, plan, how):
    lease = claim(owner, plan).lease
    if how == "retried":
        leases.finish(owner, lease, Failure(ErrorCode.HANDLER_ERROR, "no luck"), 1)
    age(owner, HOUR)
    assert claim(owner, plan, "second").lease is not None
    row = execution(owner)
    assert row["heartbeat_at"] == row["started_at"]
    assert row["now"] - row["heartbeat_at"] < seconds(HANG)


# --- Leases --------------------------------------------------------------------------------------


def test_a_claim_whose_answer_was_lost_and_that_was_stolen_is_not_run_beside_its_thief(
    owner, reach, monkeypatch
):
    ran = []

    def run(context):
        ran.append(context.attempt)
        return 0, {}

    spec = job(handler=run, cadence=DAY)
    real = leases.claim

    def lose_the_answer(*asked, **named):
        real(*asked, **named)
        raise psycopg.OperationalError("the connection is lost")

    with ours(reach, spec) as found:
        with monkeypatch.context() as patched:
            patched.setattr(leases, "claim", lose_the_answer)
            with pytest.raises(psycopg.OperationalError):
                found.tick()
        age(owner, HOUR)
        stolen = Plan(spec, Scope(), execution(owner)["plan_time"])
        assert claim(owner, stolen, "thief").outcome is ClaimOutcome.STOLEN
        found.tick()
    row = execution(owner)
    assert (ran, row["status"], row["runner_id"]) == ([], "RUNNING", "thief")


def test_a_finish_is_tried_as_long_as_the_lease_lives_that_heartbeats_made_longer(
    owner, reach, monkeypatch, slow
):
    """The run takes nearly all of its first lease, and the database is away beyond its end."""
    monkeypatch.setattr(finishing, "FINISH_PAUSE_SECONDS", 0.05)

    def run(context):
        context.cancelled.wait(1.5 * slow)
        reach.lose()
        # Each pause is twice the one before, so the next try comes by 1.4 of the last lease's 2.
        threading.Timer(0.7 * slow, reach.away.clear).start()
        return 1, {}

    spec = job(
        handler=run,
        cadence=DAY,
        run_timeout=seconds(1.9 * slow),
        stale_timeout=seconds(2 * slow),
        heartbeat_interval=seconds(0.2 * slow),
    )
    with ours(reach, spec) as found:
        (report,) = found.tick()
    assert report.status == "SUCCESS"
    assert execution(owner)["status"] == "SUCCESS"


# --- Ends ----------------------------------------------------------------------------------------


def test_a_success_clears_what_error_the_row_had(owner, plan):
    lease = claim(owner, plan).lease
    owner.execute("UPDATE sys_cron_executions SET error_code = 'old', error_msg = 'of before'")
    leases.finish(owner, lease, Success(7, "{}"), 5)
    row = execution(owner)
    assert (row["status"], row["error_code"], row["error_msg"]) == ("SUCCESS", None, None)


def test_a_cancel_that_comes_while_a_plan_is_claimed_cancels_its_run(owner, reach, monkeypatch):
    real = leases.claim
    found = ours(reach, job(handler=Held()))

    def claim_and_cancel(*asked, **named):
        answer = real(*asked, **named)
        found.cancel()
        return answer

    monkeypatch.setattr(leases, "claim", claim_and_cancel)
    found.run(0.1)
    assert execution(owner)["error_code"] == "canceled"


def test_a_run_that_is_cancelled_before_it_begins_never_calls_its_handler(owner, reach, plan):
    ran = []
    spec = replace(plan.spec, handler=lambda _context: ran.append(1) or (0, {}))
    lease = claim(owner, replace(plan, spec=spec)).lease
    run = Run(lease, reach)
    run.cancel(ErrorCode.CANCELED)
    ended = run.execute()
    assert (ran, ended.outcome.error_code) == ([], ErrorCode.CANCELED)


def test_the_first_of_two_causes_is_the_one_that_is_stored(owner, reach, plan):
    held = Held()
    lease = claim(owner, replace(plan, spec=replace(plan.spec, handler=held))).lease
    run = Run(lease, reach)
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(run.execute)
        assert held.began.wait(HANG)
        run.cancel(ErrorCode.CANCELED)
        run.cancel(ErrorCode.RUN_TIMEOUT)
        assert ending.result(HANG).outcome.error_code == ErrorCode.CANCELED


# --- The rollup's result -------------------------------------------------------------------------


def roll_up(owner, reach):
    with ours(reach, ROLLUP) as found:
        (report,) = found.tick()
    assert report.status == "SUCCESS"
    return execution(owner)["result"]


def test_a_rollups_result_names_the_lock_and_both_watermarks_to_the_second(owner, reach):
    owner.execute(
        "UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - interval '1 hour'"
    )
    result = roll_up(owner, reach)
    assert set(result) == {"advisory_lock_id", "watermark_before", "watermark_after"}
    assert result["advisory_lock_id"] == 4246
    for name in ("watermark_before", "watermark_after"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", result[name])
    assert result["watermark_after"] > result["watermark_before"]


def test_without_a_state_row_it_names_no_watermark_and_not_an_empty_one(owner, reach):
    owner.execute("DELETE FROM task_usage_hourly_rollup_state")
    assert roll_up(owner, reach) == {"advisory_lock_id": 4246}
