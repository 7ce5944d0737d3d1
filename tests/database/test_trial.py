"""Trials, driven by ticks as any process of ours makes them, with a real pg_cron."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections
from django.db.models import F

from executions.models.retirement import AuditEvent, Retirement, RetirementState
from executions.pages.wizard.watched import read_watched
from executions.retirement import acts, wizard
from executions.retirement.acts import Order
from executions.retirement.refusals import Refused
from executions.retirement.rules import current
from executions.retirement.tick import retirement_tick
from tests.retiring import (
    MINUTES,
    acting_as,
    audited,
    confirmed,
    jobs,
    lay_plans,
    operator,
    pg_cron,
    press,
    role,
    schedule,
)
from tests.waiting import HANG
from tests.watching import begun_before, tick

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

ALTER_JOB = (
    "{} EXECUTE ON FUNCTION cron.alter_job(bigint, text, text, text, text, boolean) {} multica"
)


@pytest.fixture
def paused(owner, pg_cron):
    """A trial of a moment ago, its job and the newest plan."""
    newest = lay_plans(owner)
    jobid = schedule(pg_cron)
    return (*pause(jobid), newest)


def pause(jobid, who=None):
    who = who or operator()
    retirement = confirmed(who, jobid)
    acts.pause(Order(who, retirement, current()), **press(retirement))
    return retirement, jobid


def test_a_trial_deactivates_the_job_and_nothing_else(owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    [before] = jobs(pg_cron).values()
    retirement, _ = pause(jobid)
    [after] = jobs(pg_cron).values()
    assert after == {**before, "active": False}
    assert retirement.state == RetirementState.TRIAL
    assert retirement.deadline - retirement.paused_at == timedelta(hours=1)


def test_a_trial_that_goes_well_waits_for_a_decision_and_then_the_job_can_be_removed(
    owner, pg_cron, paused
):
    retirement, jobid, newest = paused
    tick(begun_before(retirement, 3, newest))
    assert retirement.state == RetirementState.TRIAL_PASSED
    assert not jobs(pg_cron)[jobid]["active"]
    who = operator("paul")
    acts.remove(Order(who, retirement, current()), **press(retirement))
    assert jobs(pg_cron) == {}
    acts.put_back(Order(who, retirement, current()))
    [back] = jobs(pg_cron).values()
    assert back["active"] is True  # as it was before the trial


def test_a_job_that_takes_the_lock_at_every_plan_is_retired_by_way_of_a_trial(owner, pg_cron):
    """Its runs leave nothing to do for the in-process ones, until it is paused."""
    newest = lay_plans(owner, moved=lambda back: False)
    owner.execute(
        "UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - interval '6 min'"
    )
    jobid = schedule(pg_cron)
    who = operator()
    retirement = wizard.choose(who, jobid)
    judged = wizard.confirm(who, retirement, current())
    assert not judged.retirable
    assert [gate.code for gate in judged.refusals(judged.aim)] == ["watermark_advancing"]
    with pytest.raises(Refused, match="moved the watermark"):
        acts.remove(Order(who, retirement, current()), **press(retirement))
    acts.pause(Order(who, retirement, current()), **press(retirement))
    owner.execute("TRUNCATE sys_cron_executions")
    lay_plans(owner, newest=newest, moved=lambda back: back < 3)
    tick(begun_before(retirement, 3, newest))
    assert retirement.state == RetirementState.TRIAL_PASSED
    acts.remove(Order(who, retirement, current()), **press(retirement))
    assert jobs(pg_cron) == {}


def test_a_trial_that_goes_worse_activates_the_job_and_says_why(owner, pg_cron, paused):
    retirement, jobid, newest = paused
    owner.execute("TRUNCATE sys_cron_executions")
    lay_plans(owner, newest=newest, status=lambda back: None if back == 1 else "SUCCESS")
    tick(begun_before(retirement, 3, newest))
    assert jobs(pg_cron)[jobid]["active"]
    assert retirement.state == RetirementState.TRIAL_ENDED
    assert "It went worse" in retirement.reason
    last = AuditEvent.objects.latest("pk")
    assert (last.user_name, last.action, last.outcome) == ("Multica Admin", "activate", "done")
    assert "It went worse" in last.evidence["reason"]
    assert last.statement == f"SELECT cron.alter_job({jobid}, active := true);"


@pytest.mark.parametrize("passed", [False, True])
def test_a_trial_that_is_forgotten_activates_the_job(pg_cron, paused, passed):
    retirement, jobid, newest = paused
    if passed:
        tick(begun_before(retirement, 3, newest))
        assert retirement.state == RetirementState.TRIAL_PASSED
    Retirement.objects.update(deadline=F("deadline") - timedelta(minutes=59))
    assert tick(retirement).is_open
    Retirement.objects.update(deadline=F("deadline") - timedelta(minutes=2))
    tick(retirement)
    assert retirement.state == RetirementState.TRIAL_ENDED
    assert retirement.reason == "Nobody decided in time."
    assert jobs(pg_cron)[jobid]["active"]


def test_a_trial_that_goes_worse_after_it_had_passed_still_ends(owner, pg_cron, paused):
    retirement, jobid, newest = paused
    tick(begun_before(retirement, 3, newest))
    assert retirement.state == RetirementState.TRIAL_PASSED
    owner.execute("TRUNCATE sys_cron_executions")
    lay_plans(owner, newest=newest, status=lambda back: None if back == 1 else "SUCCESS")
    tick(retirement)
    assert jobs(pg_cron)[jobid]["active"]


@pytest.mark.parametrize(
    ("statement", "state", "told"),
    [
        ("SELECT cron.unschedule(%s)", RetirementState.CLOSED, "removed it"),
        (
            "SELECT cron.alter_job(%s, active := true)",
            RetirementState.TRIAL_ENDED,
            "activated the job",
        ),
    ],
)
def test_what_somebody_else_does_during_a_trial_ends_it(pg_cron, paused, statement, state, told):
    retirement, jobid, _newest = paused
    pg_cron.execute(statement, [jobid])
    after = jobs(pg_cron)
    tick(retirement)
    assert (retirement.state, jobs(pg_cron)) == (state, after)
    assert told in retirement.reason


def test_an_operator_ends_a_trial(pg_cron, paused):
    retirement, jobid, _newest = paused
    acts.activate(Order(operator("paul"), retirement, current()), reason="Asked for.")
    assert jobs(pg_cron)[jobid]["active"]
    assert (retirement.state, retirement.reason) == (RetirementState.TRIAL_ENDED, "Asked for.")
    assert audited(retirement)[-1] == ("activate", "done")


def test_a_trial_that_cannot_be_ended_is_tried_again_later_and_not_at_every_tick(
    owner, pg_cron, acting_as
):
    lay_plans(owner)
    retirement, jobid = pause(schedule(pg_cron))
    acting_as("multica_view")
    pg_cron.execute("GRANT USAGE ON SCHEMA cron TO multica_view")
    pg_cron.execute("CREATE POLICY sees_all ON cron.job FOR SELECT TO multica_view USING (true)")
    try:
        Retirement.objects.update(deadline=F("deadline") - timedelta(hours=2))
        tick(retirement)
        assert retirement.state == RetirementState.TRIAL
        assert not jobs(pg_cron)[jobid]["active"]
        assert audited(retirement)[-1] == ("activate", "failed")
        tries = retirement.acts.count()
        tick(retirement)
        assert retirement.acts.count() == tries
    finally:
        pg_cron.execute("DROP POLICY sees_all ON cron.job")
        pg_cron.execute("REVOKE USAGE ON SCHEMA cron FROM multica_view")
    acting_as("postgres")
    tick(retirement, try_again_every=timedelta(0))
    assert jobs(pg_cron)[jobid]["active"]


def test_what_cannot_be_ended_is_tried_more_and_more_rarely_and_looked_at_all_the_same(
    pg_cron, paused, acting_as
):
    """How long it has to wait is on record, so it survives every restart."""
    retirement, jobid, _newest = paused
    acting_as("multica_view")
    Retirement.objects.update(deadline=F("deadline") - timedelta(hours=2))
    tries = retirement.acts.filter(kind="activate")
    tick(retirement)
    for already, minutes in enumerate([1, 2, 4, 8, 16, 32, 60, 60], start=1):
        age_the_tries(pg_cron, retirement, minutes * MINUTES - timedelta(seconds=5))
        tick(retirement)
        assert tries.count() == already
        age_the_tries(pg_cron, retirement, minutes * MINUTES + timedelta(seconds=5))
        tick(retirement)
        assert tries.count() == already + 1
    acting_as("postgres")
    tick(retirement)
    assert retirement.state == RetirementState.TRIAL
    pg_cron.execute("SELECT cron.alter_job(%s, active := true)", [jobid])
    tick(retirement)
    assert retirement.state == RetirementState.TRIAL_ENDED


def age_the_tries(superuser, retirement, age):
    """Let the newest attempt have been so long ago, with the audit's triggers disabled for it."""
    table = "multica_admin.executions_auditevent"
    refusing = ("TRIGGER audit_refuses_change", "TRIGGER audit_refuses_change_of_row")
    with superuser.transaction():
        for refuses in refusing:
            superuser.execute(f"ALTER TABLE {table} DISABLE {refuses}")
        superuser.execute(
            f"UPDATE {table} SET at = now() - %s WHERE retirement_id = %s AND action = 'activate'",
            [age, retirement.pk],
        )
        for refuses in refusing:
            superuser.execute(f"ALTER TABLE {table} ENABLE ALWAYS {refuses}")


def test_an_operator_ends_a_trial_whatever_has_failed_before(pg_cron, paused, acting_as):
    retirement, jobid, _newest = paused
    acting_as("multica_view")
    Retirement.objects.update(deadline=F("deadline") - timedelta(hours=2))
    tick(retirement)
    assert audited(retirement)[-1] == ("activate", "failed")
    acting_as("postgres")
    acts.activate(Order(operator("paul"), retirement, current()), reason="Asked for.")
    assert jobs(pg_cron)[jobid]["active"]


@pytest.mark.parametrize("plans", [0, 3])
def test_a_trial_on_another_server_is_left_alone_until_that_is_reached_again(
    pg_cron, paused, caplog, plans
):
    retirement, jobid, newest = paused
    begun_before(retirement, plans, newest)
    known = retirement.server
    Retirement.objects.update(server="1234", deadline=F("deadline") - timedelta(hours=2))
    pg_cron.execute("SELECT cron.unschedule(%s)", [jobid])
    before = audited(retirement)
    tick(retirement)
    assert (retirement.state, audited(retirement)) == (RetirementState.TRIAL, before)
    assert "pg_cron is reached in database multica of server" in caplog.text
    Retirement.objects.update(server=known)
    tick(retirement)
    assert retirement.state == RetirementState.CLOSED


def out_of_sight(pg_cron, jobid, role):
    """Three ways in which a job gets out of a role's sight, each with its way back."""
    role("retirer_four", options="LOGIN SUPERUSER")
    return {
        "the role is no superuser any more": (
            "retirer_four",
            "ALTER ROLE retirer_four NOSUPERUSER",
            "ALTER ROLE retirer_four SUPERUSER",
        ),
        "the job has another owner": (
            "multica",
            f"SELECT cron.alter_job({jobid}, username := 'postgres')",
            f"SELECT cron.alter_job({jobid}, username := 'multica')",
        ),
        "the schema is closed": (
            "multica",
            "REVOKE USAGE ON SCHEMA cron FROM multica",
            "GRANT USAGE ON SCHEMA cron TO multica",
        ),
    }


@pytest.mark.parametrize(
    "how",
    ["the role is no superuser any more", "the job has another owner", "the schema is closed"],
)
def test_a_paused_job_that_gets_out_of_sight_is_not_gone_and_is_activated_in_the_end(
    owner, pg_cron, role, acting_as, how
):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    name, hide, show = out_of_sight(pg_cron, jobid, role)[how]
    pg_cron.execute(ALTER_JOB.format("GRANT", "TO"))
    acting_as(name)
    try:
        retirement, _ = pause(jobid)
        pg_cron.execute(hide.encode())
        tick(retirement)
        assert retirement.state == RetirementState.TRIAL
        assert not read_watched(retirement).seen.known
        Retirement.objects.update(deadline=F("deadline") - timedelta(hours=2))
        tick(retirement)
        assert (retirement.state, jobs(pg_cron)[jobid]["active"]) == (RetirementState.TRIAL, False)
        assert audited(retirement)[-1] == ("activate", "failed")
    finally:
        pg_cron.execute(show.encode())
    try:
        tick(retirement, try_again_every=timedelta(0))
    finally:
        pg_cron.execute(ALTER_JOB.format("REVOKE", "FROM"))
    retirement.refresh_from_db()
    assert (retirement.state, jobs(pg_cron)[jobid]["active"]) == (RetirementState.TRIAL_ENDED, True)
    assert retirement.reason == "Nobody decided in time."


def test_a_job_that_may_be_activated_but_not_be_looked_at_is_activated(owner, pg_cron, acting_as):
    lay_plans(owner)
    pg_cron.execute(ALTER_JOB.format("GRANT", "TO"))
    acting_as("multica")
    try:
        retirement, jobid = pause(schedule(pg_cron))
        pg_cron.execute("REVOKE SELECT ON cron.job FROM PUBLIC")
        Retirement.objects.update(deadline=F("deadline") - timedelta(hours=2))
        tick(retirement)
    finally:
        pg_cron.execute("GRANT SELECT ON cron.job TO PUBLIC")
        pg_cron.execute(ALTER_JOB.format("REVOKE", "FROM"))
    assert (retirement.state, jobs(pg_cron)[jobid]["active"]) == (RetirementState.TRIAL_ENDED, True)
    done = AuditEvent.objects.filter(retirement_id=retirement.pk).latest("pk")
    assert done.outcome == "done"
    assert "may not look" in done.evidence["seen_afterwards"]


def test_of_many_processes_that_tick_one_ends_the_trial(pg_cron, paused):
    retirement, jobid, _newest = paused
    Retirement.objects.update(deadline=F("deadline") - timedelta(hours=2), looked_at=None)
    start = threading.Barrier(4)

    def run():
        start.wait()
        try:
            retirement_tick(current())
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    assert jobs(pg_cron)[jobid]["active"]
    assert audited(retirement).count(("activate", "done")) == 1
    assert retirement.acts.filter(kind="activate").count() == 1


def test_a_database_that_is_away_ends_nothing(pg_cron, paused, settings, caplog):
    retirement, jobid, _newest = paused
    Retirement.objects.update(deadline=F("deadline") - timedelta(hours=2))
    known = settings.RETIRE_CONNINFO
    settings.RETIRE_CONNINFO = {**known, "host": "/nowhere"}
    tick(retirement)
    assert retirement.state == RetirementState.TRIAL
    assert "Cannot look at" in caplog.text
    settings.RETIRE_CONNINFO = known
    tick(retirement)
    assert retirement.state == RetirementState.TRIAL_ENDED
    assert jobs(pg_cron)[jobid]["active"]
