"""Where a job stands in its scopes, and the conflicts that a standing foresees."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import psycopg
import pytest

from executions.scheduler import leases
from executions.scheduler.leases import Plan
from executions.scheduler.plans import floor
from executions.scheduler.spec import Scope, Taken
from tests.leasing import BROKEN, HOUR, claim, database_now, won
from tests.short_jobs import every_plan, job, seconds
from tests.waiting import HANG


@pytest.fixture
def plan(owner):
    spec = job()
    return Plan(spec, Scope(), floor(database_now(owner), spec.cadence))


def test_standing_is_the_databases_time_the_newest_plan_and_what_may_be_retried(owner):
    spec = every_plan(max_plans_per_tick=2, catch_up_window=seconds(600))
    now = floor(database_now(owner), spec.cadence)
    times = [now - seconds(number) for number in (900, 400, 40, 30, 20, 10)]
    for plan_time in times[:-1]:
        leases.finish(owner, won(owner, Plan(spec, Scope(), plan_time)), BROKEN, 5)
    won(owner, Plan(spec, Scope(), times[-1]))
    won(owner, Plan(spec, Scope("other", "scope"), now))
    (standing,) = leases.read_standings(owner, spec, [Scope()])
    assert timedelta() <= standing.now - now < seconds(HANG)
    assert standing.newest == times[-1]
    # Not the one outside the window of 600 s, and no more than a tick's maximum.
    assert standing.retryable == times[1:3]


def test_the_window_of_what_may_be_retried_begins_before_the_newest_due_plan(owner):
    """A plan is due only after the schedule delay, so the window reaches that much further."""
    spec = every_plan(schedule_delay=HOUR, catch_up_window=HOUR)
    now = floor(database_now(owner), spec.cadence)
    inside, outside = now - 2 * HOUR + seconds(60), now - 2 * HOUR - seconds(1)
    for plan_time in (outside, inside):
        leases.finish(owner, won(owner, Plan(spec, Scope(), plan_time)), BROKEN, 5)
    (standing,) = leases.read_standings(owner, spec, [Scope()])
    assert standing.retryable == [inside]


def test_standing_leaves_out_what_waits_is_over_or_must_not_be_entered_again(owner):
    patient = every_plan(retry_backoff=(HOUR,))
    once = every_plan(max_attempts=1)
    careful = every_plan(allow_stale_reentry=False)
    now = floor(database_now(owner), patient.cadence)
    leases.finish(owner, won(owner, Plan(patient, Scope(), now)), BROKEN, 5)
    leases.finish(owner, won(owner, Plan(once, Scope(), now - seconds(1))), BROKEN, 5)
    won(owner, Plan(careful, Scope(), now - seconds(2)))
    owner.execute("UPDATE sys_cron_executions SET stale_after = now() - interval '1 second'")
    leases.sweep(owner, careful)
    (of_careful,) = leases.read_standings(owner, careful, [Scope()])
    (of_patient,) = leases.read_standings(owner, patient, [Scope()])
    assert of_careful.retryable == []
    assert of_patient.retryable == [now - seconds(2)]


def test_the_standings_of_many_scopes_are_read_together_in_their_order(owner, plan):
    scopes = [Scope("team", "b"), Scope("team", "a"), Scope("squad", "a")]
    won(owner, Plan(plan.spec, scopes[1], plan.plan_time))
    leases.finish(owner, won(owner, Plan(plan.spec, scopes[2], plan.plan_time)), BROKEN, 5)
    standings = leases.read_standings(owner, plan.spec, scopes)
    assert [standing.newest for standing in standings] == [None, plan.plan_time, plan.plan_time]
    assert [standing.taken for standing in standings] == [None, Taken("RUNNING", "first"), None]
    assert len({standing.now for standing in standings}) == 1


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_conflict_is_foreseen_exactly_where_a_claim_meets_one(owner, plan, reentrant):
    """In every state of a row, inside a transaction, so that now() is the same for both."""
    plan = Plan(job(allow_stale_reentry=reentrant), plan.scope, plan.plan_time)
    won(owner, plan)
    states = product(
        ["RUNNING", "SUCCESS", "FAILED"],
        [1, 2, 3],
        [None, -HOUR, timedelta(), HOUR],  # of next_retry_at, from now on
        [-HOUR, timedelta(), HOUR],  # of stale_after
        [None, "handler_error", "stale_timeout"],
    )
    foreseen = set()
    for state in states:
        with owner.transaction() as undone:
            owner.execute(
                "UPDATE sys_cron_executions SET status = %s, attempt = %s,"
                " next_retry_at = now() + %s, stale_after = now() + %s, error_code = %s",
                state,
            )
            (standing,) = leases.read_standings(owner, plan.spec, [plan.scope])
            conflict = leases.foreseen_conflict(plan, standing)
            answer = claim(owner, plan, "second")
            assert conflict == (None if answer.lease else answer), state
            foreseen.add(conflict is not None)
            raise psycopg.Rollback(undone)
    assert foreseen == {True, False}


def test_no_conflict_is_foreseen_for_another_plan_than_the_newest(owner, plan):
    won(owner, plan)
    (standing,) = leases.read_standings(owner, plan.spec, [plan.scope])
    for other in (plan.plan_time - seconds(1), plan.plan_time + seconds(1)):
        assert leases.foreseen_conflict(Plan(plan.spec, plan.scope, other), standing) is None
