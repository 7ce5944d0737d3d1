"""The watch after a removal, driven by ticks as any process of ours makes them."""

from __future__ import annotations

import pytest

from executions.models.retirement import AuditEvent, Retirement, RetirementState
from executions.retirement import acts
from executions.retirement.acts import Order
from executions.retirement.facts import retire_fetch
from executions.retirement.rules import current
from executions.retirement.tick import alive, look_at, retirement_tick
from tests.retiring import (
    ROLLUP,
    acting_as,
    add_plan,
    audited,
    jobs,
    lay_plans,
    operator,
    pg_cron,
    retire,
    role,
    schedule,
)
from tests.waiting import until
from tests.watching import begun_before, interfere, tick

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture
def removed(owner, pg_cron):
    """A retirement of a moment ago, and the newest plan."""
    newest = lay_plans(owner)
    return retire(operator(), schedule(pg_cron)), newest


@pytest.mark.parametrize("plans", [0, 1, 2])
def test_fewer_than_three_plans_prove_nothing_yet(removed, plans):
    retirement, newest = removed
    tick(begun_before(retirement, plans, newest))
    assert retirement.state == RetirementState.WATCHING
    assert [plan["kind"] for plan in retirement.watch["plans"]][:plans] == ["kept"] * plans


def test_three_plans_that_succeed_and_move_the_watermark_verify_it(removed):
    retirement, newest = removed
    tick(begun_before(retirement, 3, newest))
    assert retirement.state == RetirementState.VERIFIED
    assert "nobody else wrote" in retirement.reason
    event = AuditEvent.objects.latest("pk")
    assert (event.user_name, event.action, event.outcome) == ("Multica Admin", "watch", "done")
    assert event.evidence["state"] == "verified"


@pytest.mark.parametrize(("status", "told"), [({1: None}, "missed"), ({1: "FAILED"}, "failed")])
def test_a_plan_that_was_missed_or_failed_for_good_is_worse_and_the_job_can_be_put_back(
    owner, pg_cron, status, told
):
    newest = lay_plans(owner)
    who = operator()
    retirement = retire(who, schedule(pg_cron))
    owner.execute("TRUNCATE sys_cron_executions")
    lay_plans(owner, newest=newest, status=lambda back: status.get(back, "SUCCESS"))
    tick(begun_before(retirement, 3, newest))
    assert retirement.state == RetirementState.WORSE
    assert told in retirement.reason
    assert jobs(pg_cron) == {}
    acts.put_back(Order(who, retirement, current()))
    assert len(jobs(pg_cron)) == 1


def test_a_watermark_that_stands_still_is_worse(owner, pg_cron):
    newest = lay_plans(owner)
    retirement = retire(operator(), schedule(pg_cron))
    owner.execute("TRUNCATE sys_cron_executions")
    lay_plans(owner, newest=newest, moved=lambda back: back > 2)
    tick(begun_before(retirement, 3, newest))
    assert retirement.state == RetirementState.WORSE
    assert "stands still" in retirement.reason


def test_while_somebody_else_still_writes_it_is_watched_longer_and_then_said(owner, pg_cron):
    newest = lay_plans(owner, count=20)
    retirement = retire(operator(), schedule(pg_cron))
    interfere(owner, 13)
    tick(begun_before(retirement, 5, newest))
    assert retirement.state == RetirementState.WATCHING
    assert retirement.watch["other_writers"] == 4
    tick(begun_before(retirement, 12, newest))
    assert retirement.state == RetirementState.OTHER_CALLER
    assert "something else still calls" in retirement.reason


def test_the_visible_job_that_still_writes_after_a_removal_is_named(owner, pg_cron):
    newest = lay_plans(owner, count=20)
    retirement = retire(operator(), schedule(pg_cron))
    twin = schedule(pg_cron, name="its twin")
    pg_cron.execute(
        """
        INSERT INTO cron.job_run_details
            (jobid, runid, job_pid, database, username, command, status, start_time, end_time)
        SELECT %s, row_number() OVER (ORDER BY plan_time), 1, 'multica', 'multica', %s, 'succeeded',
               started_at - interval '30 seconds', started_at - interval '29 seconds'
          FROM sys_cron_executions
        """,
        [twin, ROLLUP],
    )
    interfere(owner, 13)
    tick(begun_before(retirement, 12, newest))
    assert retirement.state == RetirementState.OTHER_CALLER
    assert f"but pg_cron job {twin} still calls the rollup too" in retirement.reason


def test_a_writer_that_has_fallen_silent_is_no_writer(owner, pg_cron):
    newest = lay_plans(owner, count=20)
    retirement = retire(operator(), schedule(pg_cron))
    interfere(owner, 6)
    owner.execute(
        """
        UPDATE sys_cron_executions AS late SET result = late.result ||
               jsonb_build_object('watermark_before', before.result->>'watermark_after')
          FROM sys_cron_executions AS before
         WHERE before.plan_time = late.plan_time - interval '5 min'
           AND late.plan_time > (SELECT max(plan_time) FROM sys_cron_executions) - interval '14 min'
        """
    )
    tick(begun_before(retirement, 6, newest))
    assert retirement.state == RetirementState.VERIFIED


def test_a_run_from_before_the_removal_is_alive_until_its_process_is_gone(owner, pg_cron, connect):
    lay_plans(owner)
    early = connect("multica")
    retirement = retire(operator(), schedule(pg_cron))
    late = connect("multica")
    for backend in (early, late):
        backend.execute("SET application_name = 'pg_cron'")
        backend.execute(ROLLUP)
    with retire_fetch("test") as fetch:
        assert alive(retirement, fetch) == (early.info.backend_pid,)
        early.close()
        until(lambda: alive(retirement, fetch) == ())


def test_a_run_that_began_between_the_last_look_and_the_commit_is_alive_too(
    owner, pg_cron, connect
):
    """Its number in the run details says that it is a run of this job: none begins later."""
    lay_plans(owner)
    retirement = retire(operator(), schedule(pg_cron))
    late = connect("multica")
    late.execute("SET application_name = 'pg_cron'")
    pg_cron.execute(
        "INSERT INTO cron.job_run_details (jobid, runid, job_pid, status, start_time)"
        " VALUES (%s, 1, %s, 'running', clock_timestamp())",
        [retirement.jobid, late.info.backend_pid],
    )
    with retire_fetch("test") as fetch:
        assert alive(retirement, fetch) == (late.info.backend_pid,)


def test_a_look_that_began_before_somebody_put_the_job_back_ends_nothing(owner, pg_cron):
    newest = lay_plans(owner)
    who = operator()
    retirement = begun_before(retire(who, schedule(pg_cron)), 3, newest)
    seen_before = Retirement.objects.get(pk=retirement.pk)
    acts.put_back(Order(who, retirement, current()))
    look_at(seen_before, current())
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.PUT_BACK
    assert ("watch", "done") not in audited(retirement)


def test_one_retirement_that_cannot_be_looked_at_keeps_no_other_one_waiting(owner, pg_cron, caplog):
    newest = lay_plans(owner)
    broken = retire(operator("olga"), schedule(pg_cron))
    other = begun_before(retire(operator("paul"), schedule(pg_cron)), 3, newest)
    Retirement.objects.filter(pk=broken.pk).update(job={})
    tick(other)
    assert other.state == RetirementState.VERIFIED
    assert f"The look at retirement {broken.pk} of pg_cron job" in caplog.text


def test_a_removal_on_another_server_is_not_verified_here(removed):
    retirement, newest = removed
    begun_before(retirement, 3, newest)
    Retirement.objects.update(database="another")
    tick(retirement)
    assert retirement.state == RetirementState.WATCHING


def test_a_tick_within_the_interval_leaves_the_look_to_the_next(removed):
    assert retirement_tick(current()) == 1
    assert retirement_tick(current()) == 0


def test_without_anything_open_a_tick_asks_pg_crons_database_nothing(settings):
    settings.RETIRE_CONNINFO = {"host": "/nowhere"}
    assert retirement_tick(current()) == 0


def test_a_plan_that_is_still_being_retried_is_waited_for(owner, pg_cron):
    newest = lay_plans(owner)
    retirement = retire(operator(), schedule(pg_cron))
    owner.execute("DELETE FROM sys_cron_executions WHERE plan_time = %s", [newest])
    add_plan(owner, newest, "FAILED")
    tick(begun_before(retirement, 3, newest))
    assert retirement.state == RetirementState.WATCHING
