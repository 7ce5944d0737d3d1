"""Watch and trial, driven by ticks as any process of ours makes them, with a real pg_cron."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connections
from django.db.models import F

from executions.models.retirement import AuditEvent, Retirement, RetirementState
from executions.pages.wizard.checked import read_checked
from executions.pages.wizard.watched import read_watched
from executions.retirement import acts, audit, by_hand, external, wizard
from executions.retirement.acts import Order
from executions.retirement.external import Outside
from executions.retirement.facts import retire_fetch
from executions.retirement.refusals import Refused
from executions.retirement.rules import current
from executions.retirement.tick import alive, look_at, retirement_tick
from tests.retiring import (
    MINUTES,
    ROLLUP,
    acting_as,
    add_plan,
    audited,
    confirmed,
    jobs,
    lay_plans,
    operator,
    pg_cron,
    press,
    retire,
    role,
    schedule,
)
from tests.waiting import HANG, until

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

CADENCE = 5 * MINUTES
ALTER_JOB = (
    "{} EXECUTE ON FUNCTION cron.alter_job(bigint, text, text, text, text, boolean) {} multica"
)


def tick(retirement: Retirement, **rules) -> Retirement:
    """One tick that looks at once, whenever the last one was."""
    Retirement.objects.update(looked_at=None)
    retirement_tick(replace(current(), **rules))
    retirement.refresh_from_db()
    return retirement


def begun_before(retirement: Retirement, plans: int, newest) -> Retirement:
    """Let the act have happened so long ago that this many plans have come since."""
    at = newest - plans * CADENCE + CADENCE + MINUTES
    Retirement.objects.filter(pk=retirement.pk).update(watched_since=at)
    if retirement.paused_at is not None:
        Retirement.objects.filter(pk=retirement.pk).update(paused_at=at)
    retirement.refresh_from_db()
    return retirement


@pytest.fixture
def removed(owner, pg_cron):
    """A retirement of a moment ago, and the newest plan."""
    newest = lay_plans(owner)
    return retire(operator(), schedule(pg_cron)), newest


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


# --- After a removal ------------------------------------------------------------------------------


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
    lay_plans(owner, status=lambda back: status.get(back, "SUCCESS"))
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
    lay_plans(owner, moved=lambda back: back > 2)
    tick(begun_before(retirement, 3, newest))
    assert retirement.state == RetirementState.WORSE
    assert "stands still" in retirement.reason


def interfere(owner, count):
    """Between the newest plans somebody else has advanced usage."""
    owner.execute(
        """
        UPDATE sys_cron_executions SET result = result || jsonb_build_object('watermark_before',
            (result->>'watermark_before')::timestamptz + interval '4 seconds')
         WHERE plan_time > (SELECT max(plan_time) FROM sys_cron_executions) - %s
        """,
        [count * CADENCE],
    )


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
    """Its number in the run details says that it is a run of this job: later none can begin."""
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


# --- Trials ---------------------------------------------------------------------------------------


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
    lay_plans(owner, moved=lambda back: back < 3)
    tick(begun_before(retirement, 3, newest))
    assert retirement.state == RetirementState.TRIAL_PASSED
    acts.remove(Order(who, retirement, current()), **press(retirement))
    assert jobs(pg_cron) == {}


def test_a_trial_that_goes_worse_activates_the_job_and_says_why(owner, pg_cron, paused):
    retirement, jobid, newest = paused
    owner.execute("TRUNCATE sys_cron_executions")
    lay_plans(owner, status=lambda back: None if back == 1 else "SUCCESS")
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
    lay_plans(owner, status=lambda back: None if back == 1 else "SUCCESS")
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
    """Let the newest attempt have been so long ago. The audit refuses that, so it is taken off."""
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


def test_a_removal_on_another_server_is_not_verified_here(removed):
    retirement, newest = removed
    begun_before(retirement, 3, newest)
    Retirement.objects.update(database="another")
    tick(retirement)
    assert retirement.state == RetirementState.WATCHING


def test_what_was_removed_by_hand_is_not_looked_for_elsewhere(pg_cron, by_hand_world):
    who, retirement, jobid, _newest = by_hand_world
    begin_by_hand(who, retirement)
    Retirement.objects.update(database="another")
    retirement.refresh_from_db()
    pg_cron.execute("SELECT cron.unschedule(%s)", [jobid])
    with pytest.raises(Refused, match="pg_cron is reached in"):
        by_hand.ran_it(who, retirement)
    assert retirement.state == RetirementState.BY_HAND


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


def test_a_tick_within_the_interval_leaves_the_look_to_the_next(removed):
    assert retirement_tick(current()) == 1
    assert retirement_tick(current()) == 0


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


def test_without_anything_open_a_tick_asks_pg_crons_database_nothing(settings):
    settings.RETIRE_CONNINFO = {"host": "/nowhere"}
    assert retirement_tick(current()) == 0


# --- By hand, and outside the database ------------------------------------------------------------


@pytest.fixture
def by_hand_world(owner, pg_cron, role, acting_as):
    """A role that sees the job and may not remove it."""
    newest = lay_plans(owner)
    role(
        "looker_on",
        "GRANT USAGE ON SCHEMA cron TO {role}",
        "CREATE POLICY sees_all ON cron.job FOR SELECT TO {role} USING (true)",
    )
    acting_as("looker_on")
    jobid = schedule(pg_cron)
    who = operator()
    return who, confirmed(who, jobid), jobid, newest


def begin_by_hand(who, retirement):
    by_hand.begin(who, retirement, fingerprint=press(retirement)["fingerprint"], rules=current())


def test_what_an_operator_runs_by_hand_is_proved_and_watched_the_same(pg_cron, by_hand_world):
    who, retirement, jobid, newest = by_hand_world
    begin_by_hand(who, retirement)
    assert retirement.state == RetirementState.BY_HAND
    assert by_hand.statement(retirement) == f"SELECT cron.unschedule({jobid});"
    with pytest.raises(Refused, match="still there"):
        by_hand.ran_it(who, retirement)
    assert set(jobs(pg_cron)) == {jobid}
    pg_cron.execute(by_hand.statement(retirement).encode())
    by_hand.ran_it(who, retirement)
    assert retirement.state == RetirementState.WATCHING
    tick(begun_before(retirement, 3, newest))
    assert retirement.state == RetirementState.VERIFIED
    assert audited(retirement) == [
        ("remove by hand", "intended"),
        ("remove by hand", "refused"),
        ("remove by hand", "done"),
        ("watch", "done"),
    ]


def test_by_hand_too_a_job_that_was_altered_is_refused_and_says_what_changed(
    pg_cron, by_hand_world
):
    who, retirement, jobid, _newest = by_hand_world
    pg_cron.execute("UPDATE cron.job SET schedule = '7 7 7 7 *' WHERE jobid = %s", [jobid])
    with pytest.raises(Refused, match="schedule") as refusal:
        begin_by_hand(who, retirement)
    assert set(refusal.value.differences) == {"schedule"}
    assert retirement.state == RetirementState.CONFIRMED
    assert audited(retirement)[-1] == ("remove by hand", "refused")


def test_what_can_no_longer_be_seen_is_not_taken_for_gone(pg_cron, by_hand_world):
    who, retirement, _jobid, _newest = by_hand_world
    begin_by_hand(who, retirement)
    pg_cron.execute("REVOKE USAGE ON SCHEMA cron FROM looker_on")
    with pytest.raises(Refused, match="nobody can tell"):
        by_hand.ran_it(who, retirement)
    pg_cron.execute("GRANT USAGE ON SCHEMA cron TO looker_on")
    pg_cron.execute("DROP POLICY sees_all ON cron.job")
    with pytest.raises(Refused, match="nobody can tell"):
        by_hand.ran_it(who, retirement)
    assert retirement.state == RetirementState.BY_HAND


@pytest.mark.parametrize(
    "statement",
    ["SELECT cron.alter_job(%s, username := 'postgres')", "SELECT cron.unschedule(%s)"],
)
def test_its_old_owner_is_not_asked_whether_a_job_is_gone(owner, pg_cron, acting_as, statement):
    """It is not shown the job either way, so both look the same to it."""
    lay_plans(owner)
    acting_as("multica")
    jobid = schedule(pg_cron)
    who = operator()
    retirement = confirmed(who, jobid)
    begin_by_hand(who, retirement)
    pg_cron.execute(statement, [jobid])
    with pytest.raises(Refused, match="not shown every job, so nobody can tell"):
        by_hand.ran_it(who, retirement)
    assert retirement.state == RetirementState.BY_HAND
    assert audited(retirement)[-1] == ("remove by hand", "refused")
    checked = read_checked(retirement)
    assert (checked.is_gone, checked.is_hidden) == (False, True)
    acting_as("postgres")
    gone = jobid not in jobs(pg_cron)
    checked = read_checked(retirement)
    assert (checked.is_gone, checked.is_hidden) == (gone, False)
    if gone:
        by_hand.ran_it(who, retirement)
    else:
        with pytest.raises(Refused, match="still there"):
            by_hand.ran_it(who, retirement)
    assert retirement.state == (RetirementState.WATCHING if gone else RetirementState.BY_HAND)


def test_what_its_owner_removed_here_is_gone_by_that_very_act(owner, pg_cron, acting_as):
    """No look proves it to a role that is shown its own jobs only, and none is needed."""
    newest = lay_plans(owner)
    acting_as("multica")
    who = operator()
    retirement = retire(who, schedule(pg_cron))
    seen = read_watched(retirement).seen
    assert (seen.known, seen.job) == (True, None)
    tick(begun_before(retirement, 3, newest))
    assert retirement.state == RetirementState.VERIFIED
    acts.put_back(Order(who, retirement, current()))
    assert read_watched(retirement).seen.job.active
    pg_cron.execute(
        "SELECT cron.alter_job(%s, username := 'postgres')", [retirement.put_back_jobid]
    )
    assert not read_watched(retirement).seen.known


def test_by_hand_too_every_other_gate_must_pass(owner, by_hand_world):
    who, retirement, _jobid, _newest = by_hand_world
    owner.execute("DELETE FROM sys_cron_executions")
    with pytest.raises(Refused, match="Not yet"):
        begin_by_hand(who, retirement)
    assert retirement.state == RetirementState.CONFIRMED


@pytest.mark.parametrize(
    ("outside", "remove", "undo"),
    [
        (
            Outside("cron", "deploy"),
            (
                "crontab -u deploy -l | sed '/^[^#].*rollup_task_usage_hourly/s/^/#retired /'"
                " | crontab -u deploy -"
            ),
            (
                "crontab -u deploy -l | sed '/rollup_task_usage_hourly/s/^#retired //'"
                " | crontab -u deploy -"
            ),
        ),
        (
            Outside("systemd", "multica-rollup"),
            "systemctl disable --now multica-rollup.timer",
            "systemctl enable --now multica-rollup.timer",
        ),
        (
            Outside("cronjob", "rollup", "multica"),
            (
                "kubectl --namespace multica get cronjob rollup -o yaml > rollup.yaml"
                " && kubectl --namespace multica delete cronjob rollup"
            ),
            "kubectl --namespace multica apply -f rollup.yaml",
        ),
    ],
)
def test_each_kind_of_outside_schedule_has_its_exact_commands(outside, remove, undo):
    assert (outside.remove, outside.undo) == (remove, undo)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("cron", "a; rm -rf /"), ("systemd", "x y"), ("cronjob", "-n"), ("systemd", ""), ("at", "x")],
)
def test_a_name_that_cannot_be_one_never_gets_into_a_command(kind, name):
    with pytest.raises(ValueError, match="cannot be the name"):
        Outside(kind, name)


@pytest.mark.parametrize(
    "named",
    [
        ("systemd", "-Hroot@elsewhere"),
        ("systemd", "--no-block"),
        ("cron", "-r"),
        ("cronjob", "-A"),
        ("cronjob", "rollup", "--all"),
    ],
)
def test_what_a_command_would_take_for_an_option_is_no_name(named):
    with pytest.raises(ValueError, match=f"“{named[-1]}” is not a valid name: it begins"):
        Outside(*named)


def write_before(owner, newest, *ages):
    """Something outside moved the watermark before the plans of these ages."""
    plans = [newest - age * CADENCE for age in ages]
    owner.execute(
        """
        UPDATE sys_cron_executions SET result = result || jsonb_build_object('watermark_before',
            (result->>'watermark_before')::timestamptz + interval '4 seconds')
         WHERE plan_time = ANY (%(plans)s)
        """,
        {"plans": plans},
    )


def run_outside(owner, *ages, plans=288):
    """A day of plans with a caller outside that wrote at these ages, which somebody has removed."""
    newest = lay_plans(owner, count=plans)
    write_before(owner, newest, *ages)
    who = operator()
    retirement = external.choose(who, Outside("systemd", "rollup"))
    external.ran_it(who, retirement, current())
    assert retirement.state == RetirementState.WATCHING
    return who, retirement, newest


def test_an_outside_schedule_is_verified_by_the_silence_that_follows(owner):
    who, retirement, newest = run_outside(owner, *range(0, 288, 3))
    tick(begun_before(retirement, 3, newest))
    assert retirement.state == RetirementState.WATCHING
    owner.execute("TRUNCATE sys_cron_executions")
    lay_plans(owner, count=288)
    tick(begun_before(retirement, 4, newest))
    assert retirement.state == RetirementState.VERIFIED
    external.put_back_done(who, retirement)
    assert retirement.state == RetirementState.PUT_BACK
    assert audited(retirement)[-1] == ("put back outside", "done")


def test_an_hourly_caller_is_not_declared_gone_before_its_hour_is_over(owner):
    _who, retirement, newest = run_outside(owner, *range(6, 288, 12))
    assert retirement.watch["needed"] == 13
    tick(begun_before(retirement, 6, newest))
    assert retirement.state == RetirementState.WATCHING
    owner.execute("TRUNCATE sys_cron_executions")
    lay_plans(owner, count=288)
    tick(begun_before(retirement, 12, newest))
    assert retirement.state == RetirementState.WATCHING
    tick(begun_before(retirement, 13, newest))
    assert retirement.state == RetirementState.VERIFIED


def test_where_behaviour_proves_nothing_the_operator_confirms_with_their_name(owner):
    who, retirement, newest = run_outside(owner, 100, 200)
    with pytest.raises(Refused, match="The plans still decide it"):
        external.confirm_gone(who, retirement)
    tick(begun_before(retirement, 50, newest))
    assert (retirement.state, retirement.watch["word"]) == (RetirementState.WATCHING, "unproven")
    paul = operator("paul")
    with pytest.raises(Refused, match="may not"):
        external.confirm_gone(audit.Who("nobody", None), retirement)
    external.confirm_gone(paul, retirement)
    assert retirement.state == RetirementState.CONFIRMED_GONE
    assert retirement.affirmed_by == "paul"
    event = AuditEvent.objects.latest("pk")
    assert (event.user_name, event.outcome) == ("paul", "done")
    assert "Behaviour could not prove it" in event.summary
    assert event.evidence["quiet"]["writes"] == 2
    external.put_back_done(who, retirement)
    assert retirement.state == RetirementState.PUT_BACK


def test_an_outside_schedule_that_goes_on_calling_is_not_verified(owner):
    newest = lay_plans(owner, count=20)
    interfere(owner, 14)
    who = operator()
    retirement = external.choose(who, Outside("cron"))
    external.ran_it(who, retirement, current())
    tick(begun_before(retirement, 14, newest))
    assert retirement.state == RetirementState.OTHER_CALLER


def test_nobody_without_the_permission_begins_or_ends_anything_outside(owner):
    lay_plans(owner)
    with pytest.raises(Refused, match="may not"):
        external.choose(audit.Who("nobody", None), Outside("cron"))
    assert not Retirement.objects.exists()
    assert not AuditEvent.objects.exists()


def test_a_plan_that_is_still_being_retried_is_waited_for(owner, pg_cron):
    newest = lay_plans(owner)
    retirement = retire(operator(), schedule(pg_cron))
    owner.execute("DELETE FROM sys_cron_executions WHERE plan_time = %s", [newest])
    add_plan(owner, newest, "FAILED")
    tick(begun_before(retirement, 3, newest))
    assert retirement.state == RetirementState.WATCHING
