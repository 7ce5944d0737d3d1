"""Every statement on a lease, one by one, against PostgreSQL."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import uuid4

import pytest

from executions.scheduler import leases
from executions.scheduler.clock import elapsed
from executions.scheduler.leases import ClaimOutcome, Finish, Plan, uuid7
from executions.scheduler.plans import floor
from executions.scheduler.spec import Scope
from tests.database.rollup_world import wait_until_blocked
from tests.leasing import BROKEN, DONE, HOUR, claim, database_now, take_over, won
from tests.scheduling import age, execution, executions
from tests.short_jobs import job, seconds
from tests.waiting import HANG


@pytest.fixture
def plan(owner):
    spec = job()
    return Plan(spec, Scope(), floor(database_now(owner), spec.cadence))


def test_a_won_plan_is_a_running_row_with_a_lease_from_the_databases_clock(owner, plan):
    answer = claim(owner, plan)
    row = execution(owner)
    assert answer.outcome is ClaimOutcome.WON
    assert answer.lease is not None
    assert (row["id"], row["lease_token"]) == (answer.lease.id, answer.lease.token)
    assert (row["job_name"], row["scope_kind"], row["scope_id"]) == ("test_job", "global", "global")
    assert row["plan_time"] == plan.plan_time
    assert (row["status"], row["attempt"], row["max_attempts"]) == ("RUNNING", 1, 3)
    assert row["runner_id"] == "first"
    assert row["started_at"] == row["heartbeat_at"] == row["created_at"]
    assert row["stale_after"] - row["started_at"] == plan.spec.stale_timeout
    assert timedelta() <= row["now"] - row["started_at"] < seconds(5)


def test_the_lease_never_expires_later_here_than_in_the_database(owner, plan):
    before = elapsed()
    lease = won(owner, plan)
    left = execution(owner)["stale_after"] - database_now(owner)
    after = elapsed()
    assert lease.expires <= after + left.total_seconds()
    assert lease.expires >= before + plan.spec.stale_timeout.total_seconds() - 0.1


def test_a_plan_that_another_runner_has_is_a_conflict_that_says_who(owner, plan):
    won(owner, plan)
    before = execution(owner)
    answer = claim(owner, plan, "second")
    assert answer.outcome is ClaimOutcome.CONFLICT
    assert (answer.lease, answer.status, answer.holder) == (None, "RUNNING", "first")
    after = execution(owner)
    assert {**after, "now": None} == {**before, "now": None}


def test_scopes_and_jobs_do_not_stand_in_each_others_way(owner, plan):
    won(owner, plan)
    elsewhere = Plan(plan.spec, Scope("trigger", "1"), plan.plan_time)
    other_job = Plan(job(name="other"), Scope(), plan.plan_time)
    assert claim(owner, elsewhere).outcome is ClaimOutcome.WON
    assert claim(owner, other_job).outcome is ClaimOutcome.WON


def test_a_finished_plan_is_over(owner, plan):
    leases.finish(owner, won(owner, plan), DONE, 5)
    answer = claim(owner, plan, "second")
    assert (answer.outcome, answer.status) == (ClaimOutcome.CONFLICT, "SUCCESS")


def test_a_failed_plan_is_tried_again_in_its_own_row_with_everything_cleared(owner, plan):
    first = won(owner, plan)
    leases.finish(owner, first, BROKEN, 5)
    answer = claim(owner, plan, "second")
    row = execution(owner)
    assert answer.outcome is ClaimOutcome.RETRIED
    assert answer.lease is not None
    assert row["id"] == first.id == answer.lease.id
    assert row["lease_token"] == answer.lease.token != first.token
    assert (row["status"], row["attempt"], row["runner_id"]) == ("RUNNING", 2, "second")
    assert row["stale_after"] - row["started_at"] == plan.spec.stale_timeout
    for cleared in ("finished_at", "duration_ms", "next_retry_at", "error_code", "error_msg"):
        assert row[cleared] is None


def test_a_failed_plan_waits_for_its_retry_time(owner):
    spec = job(retry_backoff=(HOUR,))
    plan = Plan(spec, Scope(), floor(database_now(owner), spec.cadence))
    leases.finish(owner, won(owner, plan), BROKEN, 5)
    row = execution(owner)
    assert row["next_retry_at"] == row["finished_at"] + HOUR
    assert claim(owner, plan).outcome is ClaimOutcome.CONFLICT
    age(owner, HOUR)
    assert claim(owner, plan).outcome is ClaimOutcome.RETRIED


def test_the_last_attempt_has_no_retry_time_and_is_the_last(owner, plan):
    for _ in range(plan.spec.max_attempts):
        leases.finish(owner, won(owner, plan), BROKEN, 5)
    row = execution(owner)
    assert (row["status"], row["attempt"], row["next_retry_at"]) == ("FAILED", 3, None)
    assert claim(owner, plan).outcome is ClaimOutcome.CONFLICT


def test_the_claim_goes_by_the_stored_maximum_and_the_finish_by_the_jobs_own(owner, plan):
    once = Plan(job(max_attempts=1), Scope(), plan.plan_time)
    leases.finish(owner, won(owner, plan), BROKEN, 5)  # stored: 3 attempts
    lease = won(owner, once)
    assert lease.attempt == 2
    leases.finish(owner, lease, BROKEN, 5)
    assert execution(owner)["next_retry_at"] is None
    assert won(owner, once).attempt == 3


def test_a_stale_lease_is_stolen(owner, plan):
    first = won(owner, plan)
    age(owner, HOUR)
    answer = claim(owner, plan, "second")
    row = execution(owner)
    assert answer.outcome is ClaimOutcome.STOLEN
    assert (row["id"], row["attempt"], row["runner_id"]) == (first.id, 2, "second")
    assert row["lease_token"] != first.token


def test_a_stale_lease_that_is_swept_while_it_is_being_stolen_is_left_for_the_next_tick(
    owner, connect, plan
):
    """Otherwise it would be claimed as something else than what was seen."""
    won(owner, plan)
    age(owner, HOUR)
    sweeper, thief = connect(), connect()
    with ThreadPoolExecutor(1) as pool:
        with sweeper.transaction():
            assert len(leases.sweep(sweeper, plan.spec)) == 1
            stealing = pool.submit(take_over, thief, plan)
            wait_until_blocked(owner, thief.info.backend_pid)
        answer = stealing.result(HANG)
    assert answer.outcome is ClaimOutcome.CONFLICT
    assert (execution(owner)["status"], execution(owner)["attempt"]) == ("FAILED", 1)
    assert claim(thief, plan, "thief").outcome is ClaimOutcome.RETRIED


def test_a_job_that_forbids_it_is_never_stolen_from(owner, plan):
    careful = Plan(job(allow_stale_reentry=False), Scope(), plan.plan_time)
    won(owner, careful)
    age(owner, HOUR)
    assert claim(owner, careful).outcome is ClaimOutcome.CONFLICT


def test_a_heartbeat_extends_a_running_lease_from_the_databases_now(owner, plan):
    lease = won(owner, plan)
    age(owner, seconds(10))
    assert leases.heartbeat(owner, lease)
    row = execution(owner)
    assert row["heartbeat_at"] - row["started_at"] >= seconds(10)
    assert row["stale_after"] - row["heartbeat_at"] == plan.spec.stale_timeout


def test_a_heartbeat_of_a_lost_or_finished_lease_says_so_and_writes_nothing(owner, plan):
    first = won(owner, plan)
    age(owner, HOUR)
    second = won(owner, plan, "second")
    before = execution(owner)["heartbeat_at"]
    assert not leases.heartbeat(owner, first)
    assert execution(owner)["heartbeat_at"] == before
    leases.finish(owner, second, DONE, 5)
    assert not leases.heartbeat(owner, second)


def test_a_success_stores_what_the_handler_returned(owner, plan):
    lease = won(owner, plan)
    assert leases.finish(owner, lease, DONE, 1234) is Finish.WRITTEN
    row = execution(owner)
    assert (row["status"], row["rows_affected"], row["duration_ms"]) == ("SUCCESS", 7, 1234)
    assert row["result"] == {"a": 1}
    assert row["finished_at"] >= row["started_at"]
    assert (row["error_code"], row["error_msg"], row["next_retry_at"]) == (None, None, None)


def test_a_finish_of_a_lost_lease_writes_nothing(owner, plan):
    first = won(owner, plan)
    age(owner, HOUR)
    won(owner, plan, "second")
    before = execution(owner)
    for outcome in (DONE, BROKEN):
        assert leases.finish(owner, first, outcome, 5) is Finish.LEASE_LOST
    assert {**execution(owner), "now": None} == {**before, "now": None}


@pytest.mark.parametrize("outcome", [DONE, BROKEN])
def test_a_finish_sent_again_after_its_answer_was_lost_counts_as_written(owner, plan, outcome):
    lease = won(owner, plan)
    leases.finish(owner, lease, outcome, 5)
    before = execution(owner)
    assert leases.finish(owner, lease, outcome, 5) is Finish.WRITTEN
    assert {**execution(owner), "now": None} == {**before, "now": None}


def test_a_finish_after_the_sweep_is_refused_although_the_token_is_the_same(owner, plan):
    lease = won(owner, plan)
    age(owner, HOUR)
    leases.sweep(owner, plan.spec)
    for outcome in (DONE, BROKEN):
        assert leases.finish(owner, lease, outcome, 5) is Finish.LEASE_LOST
    assert execution(owner)["error_code"] == "stale_timeout"


def test_a_finish_of_a_row_that_is_gone_is_a_lost_lease(owner, plan):
    lease = won(owner, plan)
    owner.execute("DELETE FROM sys_cron_executions")
    assert leases.finish(owner, lease, DONE, 5) is Finish.LEASE_LOST


def test_the_sweep_closes_what_is_stale_and_keeps_its_token_and_retry_time(owner, plan):
    lease = won(owner, plan)
    age(owner, HOUR)
    (swept,) = leases.sweep(owner, plan.spec)
    row = execution(owner)
    assert (swept["plan_time"], swept["attempt"], swept["runner_id"]) == (
        plan.plan_time,
        1,
        "first",
    )
    assert (row["status"], row["error_code"]) == ("FAILED", "stale_timeout")
    assert "heartbeat" in row["error_msg"]
    assert row["finished_at"] is not None
    assert (row["duration_ms"], row["next_retry_at"]) == (None, None)
    assert row["lease_token"] == lease.token


def test_the_sweep_leaves_live_leases_and_other_jobs_alone(owner, plan):
    won(owner, plan)
    assert leases.sweep(owner, plan.spec) == []
    age(owner, HOUR)
    assert leases.sweep(owner, job(name="other")) == []
    assert execution(owner)["status"] == "RUNNING"


def test_the_sweep_leaves_a_row_to_whoever_is_writing_it(owner, connect, plan):
    won(owner, plan)
    age(owner, HOUR)
    rival = connect()
    with rival.transaction():
        rival.execute("SELECT FROM sys_cron_executions FOR UPDATE")
        owner.execute("SET lock_timeout = '1s'")
        assert leases.sweep(owner, plan.spec) == []
    assert len(leases.sweep(owner, plan.spec)) == 1


def test_a_swept_plan_is_tried_again_at_once_where_the_job_allows_it(owner, plan):
    won(owner, plan)
    age(owner, HOUR)
    leases.sweep(owner, plan.spec)
    assert claim(owner, plan, "second").outcome is ClaimOutcome.RETRIED


def test_a_claim_whose_answer_was_lost_finds_its_own_row_again(owner, plan):
    new_id = uuid4()
    lost = claim(owner, plan, new_id=new_id)
    again = claim(owner, plan, new_id=new_id)
    assert again.outcome is ClaimOutcome.WON
    assert lost.lease is not None
    assert again.lease is not None
    assert (again.lease.id, again.lease.token) == (lost.lease.id, lost.lease.token)
    assert again.lease.expires == pytest.approx(lost.lease.expires, abs=HANG)
    assert len(executions(owner)) == 1


def test_a_row_that_a_lost_claim_began_and_another_runner_took_over_stays_theirs(owner, plan):
    new_id = uuid4()
    claim(owner, plan, new_id=new_id)
    age(owner, HOUR)
    won(owner, plan, "second")
    assert claim(owner, plan, new_id=new_id).outcome is ClaimOutcome.CONFLICT


def test_an_expired_lease_of_a_lost_claim_is_not_taken_up_where_reentry_is_forbidden(owner, plan):
    careful = Plan(job(allow_stale_reentry=False), Scope(), plan.plan_time)
    new_id = uuid4()
    claim(owner, careful, new_id=new_id)
    age(owner, HOUR)
    again = claim(owner, careful, new_id=new_id)
    assert (again.outcome, again.lease) == (ClaimOutcome.CONFLICT, None)


def test_a_row_deleted_between_the_two_statements_is_a_conflict(owner, plan):
    answer = take_over(owner, plan)
    assert (answer.outcome, answer.lease) == (ClaimOutcome.CONFLICT, None)


def test_an_id_is_a_uuid7_of_its_moment(owner):
    moment = database_now(owner)
    made = uuid7(moment)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == int(moment.timestamp() * 1000)
    assert uuid7(moment) != made
