"""The wizard refuses an act if the job has changed since it was confirmed, and records that."""

from __future__ import annotations

import psycopg
import pytest
from django.contrib.auth.models import User

from executions.database.connections import connect as open_connection
from executions.models.retirement import AuditEvent, RetirementState
from executions.retirement import acts, by_hand, facts, wizard
from executions.retirement.acts import Order
from executions.retirement.facts import retire_fetch
from executions.retirement.gates.gate import Aim
from executions.retirement.refusals import Refused
from executions.retirement.rules import current
from tests.removing import SEES_JOBS, world
from tests.retiring import (
    ROLLUP,
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

__all__ = ["acting_as", "pg_cron", "role", "world"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def alter(statement):
    return lambda world: world.pg_cron.execute(statement, [world.jobid])


def replace_by_namesake(world):
    world.pg_cron.execute("SELECT cron.unschedule(%s)", [world.jobid])
    schedule(world.pg_cron)


def fail_the_newest_plan(world):
    world.owner.execute(
        "UPDATE sys_cron_executions SET status = 'FAILED', error_code = 'handler_error'"
        " WHERE plan_time = (SELECT max(plan_time) FROM sys_cron_executions)"
    )


def stop_the_watermark(world):
    world.owner.execute(
        "UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - interval '20 min'"
    )


def start_a_run(world):
    """A session like pg_cron's own while it runs a job."""
    world.running = open_connection(
        world.cluster.conninfo("multica", "multica"), application_name="pg_cron"
    )
    world.running.execute(ROLLUP)


def withdraw_the_permission(world):
    User.objects.get(pk=world.who.id).groups.clear()


def delete_the_user(world):
    User.objects.get(pk=world.who.id).delete()


SPOILERS = {
    "altered": (alter("UPDATE cron.job SET schedule = '7 7 7 7 *' WHERE jobid = %s"), "schedule"),
    "another command": (
        alter("UPDATE cron.job SET command = 'SELECT 1' WHERE jobid = %s"),
        "command",
    ),
    "renamed": (alter("UPDATE cron.job SET jobname = 'kept' WHERE jobid = %s"), "name: "),
    "deactivated": (alter("UPDATE cron.job SET active = false WHERE jobid = %s"), "active"),
    "another owner": (alter("UPDATE cron.job SET username = 'postgres' WHERE jobid = %s"), "owner"),
    "removed": (alter("SELECT cron.unschedule(%s)"), "gone"),
    "replaced": (replace_by_namesake, "gone"),
    "newest plan failed": (fail_the_newest_plan, "failed"),
    "watermark stopped": (stop_the_watermark, "behind"),
    "run started": (start_a_run, "in flight"),
    "permission withdrawn": (withdraw_the_permission, "may not retire"),
    "user deleted": (delete_the_user, "may not retire"),
}


@pytest.mark.parametrize("point", ["before", "signed"])
@pytest.mark.parametrize("spoiler", SPOILERS)
def test_what_changed_between_confirming_and_acting_is_refused_and_recorded(world, spoiler, point):
    spoil, told = SPOILERS[spoiler]
    changed = {}

    def reached(at):
        if at == point:
            spoil(world)
            changed.update(jobs(world.pg_cron))

    reached("before")
    order = Order(world.who, world.retirement, current(), reached)
    with pytest.raises(Refused, match=told) as refusal:
        acts.remove(order, **press(world.retirement))
    assert jobs(world.pg_cron) == changed
    assert world.retirement.state == RetirementState.CONFIRMED
    lines = AuditEvent.objects.filter(retirement_id=world.retirement.pk)
    if point == "before" and told == "may not retire":
        assert not lines.filter(action="remove").exists()
        return
    last = lines.latest("pk")
    assert (last.action, last.outcome, last.summary) == ("remove", "refused", str(refusal.value))
    assert last.evidence["differences"] or last.evidence["gates"] or "may not" in last.summary


@pytest.mark.parametrize("spoiler", ["altered", "another command", "renamed", "removed"])
def test_a_change_in_the_very_last_moment_is_noticed_too(world, spoiler):
    """After every check and before the statement: the row that is deleted is not the confirmed."""
    changed = {}

    def reached(at):
        if at == "verified":
            SPOILERS[spoiler][0](world)
            changed.update(jobs(world.pg_cron))

    with pytest.raises(Refused):
        acts.remove(
            Order(world.who, world.retirement, current(), reached), **press(world.retirement)
        )
    assert jobs(world.pg_cron) == changed
    assert world.retirement.acts.get().outcome in {"refused", "failed"}


@pytest.mark.parametrize("point", ["before", "signed", "verified"])
def test_rights_that_are_revoked_are_noticed(owner, pg_cron, role, acting_as, point):
    lay_plans(owner)
    role("retirer_two", *SEES_JOBS, "GRANT DELETE ON cron.job TO {role}")
    acting_as("retirer_two")
    jobid = schedule(pg_cron)
    before = jobs(pg_cron)
    who = operator()
    retirement = confirmed(who, jobid)

    def reached(at):
        if at == point:
            pg_cron.execute("REVOKE DELETE ON cron.job FROM retirer_two")

    reached("before")
    with pytest.raises(Refused, match=r"may not unschedule|permission denied"):
        acts.remove(Order(who, retirement, current(), reached), **press(retirement), accepted=True)
    assert jobs(pg_cron) == before
    assert audited(retirement)[-1][1] in {"refused", "failed"}


@pytest.mark.parametrize("act", [acts.remove, acts.pause])
def test_a_run_that_begins_after_every_check_is_noticed_too(world, act):
    def reached(at):
        if at == "verified":
            start_a_run(world)

    with pytest.raises(Refused, match="in flight") as refusal:
        act(Order(world.who, world.retirement, current(), reached), **press(world.retirement))
    assert jobs(world.pg_cron)[world.jobid]["active"]
    assert [gate.code for gate in refusal.value.gates] == ["no_run_in_flight"]
    assert audited(world.retirement)[-1] == (act.__name__, "refused")


def test_a_run_that_begins_while_the_plans_are_read_is_seen_by_the_gates(world, monkeypatch):
    read = facts.read_plans

    def slowly(rules):
        plans = read(rules)
        start_a_run(world)
        return plans

    monkeypatch.setattr(facts, "read_plans", slowly)
    with retire_fetch("test") as fetch:
        judged = facts.check_on(
            fetch, facts.servers(fetch), world.jobid, current(), world.retirement
        )
    assert [gate.code for gate in judged.refusals(Aim.EXACT)] == ["no_run_in_flight"]


@pytest.mark.parametrize("step", ["choose", "confirm", "remove", "remove by hand"])
def test_an_attempt_while_pg_crons_database_is_away_is_on_record(world, settings, step):
    known, form = settings.RETIRE_CONNINFO, press(world.retirement)
    rules = current()
    attempts = {
        "choose": lambda: wizard.choose(world.who, world.jobid),
        "confirm": lambda: wizard.confirm(world.who, world.retirement, rules),
        "remove": lambda: acts.remove(Order(world.who, world.retirement, rules), **form),
        "remove by hand": lambda: by_hand.begin(
            world.who, world.retirement, fingerprint=form["fingerprint"], rules=rules
        ),
    }
    settings.RETIRE_CONNINFO = {**known, "host": "/nowhere"}
    with pytest.raises(psycopg.OperationalError):
        attempts[step]()
    settings.RETIRE_CONNINFO = known
    line = AuditEvent.objects.latest("pk")
    assert (line.user_name, line.action, line.outcome) == ("olga", step, "failed")
    assert "/nowhere" in line.summary
    assert str(world.jobid) in line.subject
    assert world.retirement.open_act is None


def test_a_role_that_may_no_longer_look_is_told_so(owner, pg_cron, acting_as):
    lay_plans(owner)
    acting_as("multica")
    jobid = schedule(pg_cron)
    who = operator()
    retirement = confirmed(who, jobid)
    pg_cron.execute("REVOKE USAGE ON SCHEMA cron FROM multica")
    try:
        with pytest.raises(Refused, match="may no longer look"):
            acts.remove(Order(who, retirement, current()), **press(retirement))
    finally:
        pg_cron.execute("GRANT USAGE ON SCHEMA cron TO multica")
    assert set(jobs(pg_cron)) == {jobid}
