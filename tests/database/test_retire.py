"""Retiring a pg_cron job for good, with a real pg_cron: what works, and what is refused."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from django.contrib.auth.models import User
from django.db import connections

from executions.database.connections import connect as open_connection
from executions.models import Runner
from executions.models.retirement import Act, AuditEvent, Retirement, RetirementState
from executions.retirement import acts, by_hand, facts, protocol, wizard
from executions.retirement.acts import Order
from executions.retirement.audit import Who
from executions.retirement.facts import retire_fetch
from executions.retirement.gates.gate import Aim
from executions.retirement.protocol import LOCK, turn
from executions.retirement.refusals import Refused, SomebodyElse
from executions.retirement.report import RETIRABLE, report
from executions.retirement.rules import current
from executions.retirement.tick import retirement_tick
from tests.retiring import (
    ROLLUP,
    acting_as,
    audited,
    confirmed,
    jobs,
    lay_plans,
    now,
    operator,
    pg_cron,
    press,
    retire,
    role,
    schedule,
)
from tests.sizes import sized
from tests.waiting import HANG

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

SEES_JOBS = (
    "GRANT USAGE ON SCHEMA cron TO {role}",
    "CREATE POLICY sees_all ON cron.job FOR SELECT TO {role} USING (true)",
    "GRANT SELECT ON task_usage_hourly_rollup_state TO {role}",
)


EXACT = {"visible", "privileged", "success_streak", "watermark_advancing", "no_run_in_flight"}


def test_a_redundant_job_is_removed_and_everything_says_so(owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    kept = schedule(pg_cron, name="other work", command="VACUUM task_usage", owner="postgres")
    retirement = retire(operator(), jobid)
    assert set(jobs(pg_cron)) == {kept}
    assert retirement.state == RetirementState.WATCHING
    act = retirement.acts.get()
    assert (act.outcome, act.role, act.user_name) == (Act.Outcome.DONE, "postgres", "olga")
    assert act.statement == f"SELECT cron.unschedule({jobid});"
    assert audited(retirement) == [("remove", "intended"), ("remove", "done")]
    done = AuditEvent.objects.get(retirement_id=retirement.pk, outcome="done")
    assert done.statement == act.statement
    assert done.role == "postgres"
    assert done.evidence["seen_afterwards"] is None
    assert {gate["code"] for gate in done.evidence["confirmed"]["gates"]} >= {"success_streak"}
    assert all(gate["passed"] for gate in done.evidence["found"]["gates"] if gate["code"] in EXACT)
    assert {gate["code"] for gate in done.evidence["found"]["gates"]} >= EXACT
    intended = AuditEvent.objects.get(retirement_id=retirement.pk, outcome="intended")
    assert intended.evidence["job"] == done.evidence["job"] == retirement.job
    assert intended.evidence["undo"].startswith("SELECT cron.schedule_in_database(")
    assert pg_cron.execute("SELECT FROM pg_extension WHERE extname = 'pg_cron'").rowcount == 1


def test_a_role_retires_its_own_job_though_row_security_is_active_for_it(owner, pg_cron, acting_as):
    lay_plans(owner)
    jobid = schedule(pg_cron, owner="multica")
    theirs = schedule(pg_cron, owner="postgres")
    acting_as("multica")
    retire(operator(), jobid)
    assert set(jobs(pg_cron)) == {theirs}


def test_a_role_with_delete_and_sight_retires_another_owners_job(owner, pg_cron, role, acting_as):
    lay_plans(owner)
    role("retirer_one", *SEES_JOBS, "GRANT DELETE ON cron.job TO {role}")
    jobid = schedule(pg_cron, owner="multica")
    acting_as("retirer_one")
    retirement = retire(operator(), jobid, accepted=True)
    assert jobs(pg_cron) == {}
    assert retirement.acts.get().role == "retirer_one"


def test_the_same_name_under_three_owners_is_retired_one_by_one(owner, pg_cron, role):
    lay_plans(owner)
    role("third_owner")
    three = [schedule(pg_cron, owner=name) for name in ("multica", "postgres", "third_owner")]
    for done, jobid in enumerate(three, start=1):
        retire(operator(f"olga{done}"), jobid)
        assert set(jobs(pg_cron)) == set(three[done:])


@pytest.mark.parametrize(
    "command",
    [
        "select * from Public.ROLLUP_task_usage_hourly()",
        "SET statement_timeout = '5min';\n/* usage */ SELECT\t\"rollup_task_usage_hourly\" ( ) ;",
    ],
)
def test_an_unnamed_job_in_odd_spelling_is_retired(owner, pg_cron, command):
    lay_plans(owner)
    jobid = schedule(pg_cron, name=None, command=command)
    retirement = retire(operator(), jobid)
    assert press(retirement)["typed"] == f"job {jobid}"
    assert jobs(pg_cron) == {}


def test_a_legacy_job_is_retired_once_its_function_is_gone(owner, pg_cron):
    jobid = schedule(pg_cron, command="SELECT rollup_task_usage_daily()")
    retirement = retire(operator(), jobid)
    assert jobs(pg_cron) == {}
    assert retirement.state == RetirementState.VERIFIED


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (f"{ROLLUP}; VACUUM task_usage", "command_matches"),
        ("DO $$ BEGIN PERFORM rollup_task_usage_hourly(); END $$", "command_matches"),
        ("SELECT nightly_usage()", "command_matches"),
        ("SELECT rollup_task_usage_hourly_window(now(), now())", "command_matches"),
        ("SELECT rollup_task_usage_dashboard_daily()", "function_absent"),
    ],
)
def test_what_the_wizard_only_explains_it_does_not_touch(owner, pg_cron, command, code):
    lay_plans(owner)
    owner.execute(
        "CREATE FUNCTION nightly_usage() RETURNS bigint LANGUAGE sql"
        " AS 'SELECT rollup_task_usage_hourly()'"
    )
    owner.execute(
        "CREATE FUNCTION rollup_task_usage_dashboard_daily() RETURNS bigint LANGUAGE sql"
        " AS 'SELECT 1::bigint'"
    )
    try:
        refused_at_confirmation(pg_cron, schedule(pg_cron, command=command), code)
    finally:
        owner.execute("DROP FUNCTION nightly_usage(), rollup_task_usage_dashboard_daily()")


def refused_at_confirmation(pg_cron, jobid, code):
    before = jobs(pg_cron)
    who = operator()
    retirement = wizard.choose(who, jobid)
    with pytest.raises(Refused) as refusal:
        wizard.confirm(who, retirement, current())
    assert [gate.code for gate in refusal.value.gates] == [code]
    with pytest.raises(Refused):
        acts.remove(Order(who, retirement, current()), **press(retirement))
    assert jobs(pg_cron) == before
    assert audited(retirement) == [("confirm", "refused"), ("remove", "refused")]


def test_a_job_for_another_database_is_not_touched(owner, pg_cron):
    lay_plans(owner)
    refused_at_confirmation(pg_cron, schedule(pg_cron, database="postgres"), "same_database")


def test_a_job_for_another_node_is_not_touched(owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    pg_cron.execute("UPDATE cron.job SET nodename = 'elsewhere.example'")
    refused_at_confirmation(pg_cron, jobid, "same_database")


def test_a_job_that_leads_nowhere_near_the_rollup_cannot_be_chosen(owner, pg_cron):
    jobid = schedule(pg_cron, command="VACUUM task_usage")
    with pytest.raises(Refused, match=f"sees no job {jobid}"):
        wizard.choose(operator(), jobid)


# --- Between confirming and acting ----------------------------------------------------------------


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
    """What pg_cron's own connection looks like while a run goes on."""
    world.running = open_connection(
        world.cluster.conninfo("multica", "multica"), application_name="pg_cron"
    )
    world.running.execute(ROLLUP)


def withdraw_the_permission(world):
    User.objects.get(pk=world.who.id).groups.clear()


def delete_the_user(world):
    User.objects.get(pk=world.who.id).delete()


class World:
    """A confirmed retirement, and the ways to spoil it."""

    def __init__(self, owner, pg_cron, cluster):
        self.owner, self.pg_cron, self.cluster = owner, pg_cron, cluster
        self.running = None
        lay_plans(owner)
        self.jobid = schedule(pg_cron)
        self.who = operator()
        self.retirement = confirmed(self.who, self.jobid)


@pytest.fixture
def world(owner, pg_cron, cluster):
    made = World(owner, pg_cron, cluster)
    yield made
    if made.running is not None:
        made.running.close()


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


# --- An error that is no database's ---------------------------------------------------------------


def stop(*_arguments):
    raise ValueError("boom")


def remove_until(world, reached=protocol.nothing):
    order = Order(world.who, world.retirement, current(), reached)
    with pytest.raises(ValueError, match="boom"):
        acts.remove(order, **press(world.retirement))


def stopped(world):
    """The record of the removal that the error stopped, which is the same everywhere."""
    act = world.retirement.acts.get()
    last = AuditEvent.objects.filter(retirement_id=world.retirement.pk).latest("pk")
    assert (last.action, last.outcome, last.summary) == ("remove", act.outcome, act.detail)
    return act


BY_AN_ERROR = "Nothing was changed: an error in this program stopped it (ValueError('boom'))."


@pytest.mark.parametrize("point", ["signed", "verified", "changed", "proved"])
def test_an_unexpected_error_is_the_outcome_on_record_and_is_raised_again(world, point):
    remove_until(world, lambda at: at == point and stop())
    act = stopped(world)
    assert (act.outcome, act.detail) == (Act.Outcome.FAILED, BY_AN_ERROR)
    assert world.retirement.state == RetirementState.CONFIRMED
    assert set(jobs(world.pg_cron)) == {world.jobid}
    acts.remove(Order(world.who, world.retirement, current()), **press(world.retirement))
    assert jobs(world.pg_cron) == {}


def test_an_unexpected_error_before_the_transaction_is_the_outcome_too(world, monkeypatch):
    monkeypatch.setattr(protocol, "_sign", stop)
    remove_until(world)
    act = stopped(world)
    assert (act.outcome, act.detail, act.xid) == (Act.Outcome.FAILED, BY_AN_ERROR, "")


def test_an_unexpected_error_after_the_commit_does_not_deny_what_was_done(world, monkeypatch):
    act_on = protocol._act

    def then_stop(*arguments):
        act_on(*arguments)
        stop()

    monkeypatch.setattr(protocol, "_act", then_stop)
    remove_until(world)
    assert jobs(world.pg_cron) == {}
    assert stopped(world).outcome == Act.Outcome.DONE
    assert world.retirement.state == RetirementState.WATCHING


def test_an_unexpected_error_whose_outcome_nobody_can_tell_yet_stays_for_the_recovery(
    world, settings
):
    known = settings.RETIRE_CONNINFO

    def lose_everything(at):
        if at == "changed":
            settings.RETIRE_CONNINFO = {**known, "host": "/nowhere"}
            stop()

    remove_until(world, lose_everything)
    settings.RETIRE_CONNINFO = known
    assert world.retirement.open_act is not None
    protocol.recover(current())
    assert stopped(world).outcome == Act.Outcome.FAILED
    assert set(jobs(world.pg_cron)) == {world.jobid}


ELSEWHERE = [{"server": "1234"}, {"database": "another"}]


@pytest.mark.parametrize("place", ELSEWHERE)
def test_a_job_of_another_server_or_database_is_not_touched(world, place):
    """Its number is another job's here, even where that one looks the same."""
    Retirement.objects.update(**place)
    world.retirement.refresh_from_db()
    with pytest.raises(Refused, match="pg_cron is reached in database multica of server"):
        wizard.confirm(world.who, world.retirement, current())
    form = press(world.retirement)
    for act in (acts.remove, acts.pause):
        with pytest.raises(Refused, match="pg_cron is reached in database multica of server"):
            act(Order(world.who, world.retirement, current()), **form)
    with pytest.raises(Refused, match="pg_cron is reached in database multica of server"):
        by_hand.begin(world.who, world.retirement, fingerprint=form["fingerprint"], rules=current())
    assert jobs(world.pg_cron)[world.jobid]["active"]
    assert not world.retirement.acts.exists()
    assert audited(world.retirement) == [
        ("confirm", "refused"),
        ("remove", "refused"),
        ("pause", "refused"),
        ("remove by hand", "refused"),
    ]


def test_a_server_that_keeps_its_number_to_itself_is_told_by_its_database(world):
    Retirement.objects.update(server="")
    world.retirement.refresh_from_db()
    acts.remove(Order(world.who, world.retirement, current()), **press(world.retirement))
    assert jobs(world.pg_cron) == {}


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


@pytest.mark.parametrize(
    ("typed", "told"), [("rollup", "name typed"), ("", "name typed"), (None, "has changed since")]
)
def test_a_wrong_name_or_an_old_page_changes_nothing(world, typed, told):
    form = press(world.retirement)
    form |= {"fingerprint": "0" * 32} if typed is None else {"typed": typed}
    with pytest.raises(Refused, match=told):
        acts.remove(Order(world.who, world.retirement, current()), **form)
    assert set(jobs(world.pg_cron)) == {world.jobid}
    assert audited(world.retirement) == [("remove", "refused")]


def test_a_job_with_a_blank_name_is_called_by_its_number(owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron, name="  ")
    who = operator()
    retirement = confirmed(who, jobid)
    form = press(retirement)
    with pytest.raises(Refused, match="name typed"):
        acts.remove(Order(who, retirement, current()), **(form | {"typed": " "}))
    acts.remove(Order(who, retirement, current()), **(form | {"typed": f"job {jobid}"}))
    assert jobs(pg_cron) == {}


def test_who_may_only_look_can_do_nothing(owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    looking = Who.user(User.objects.create_user("vera"))
    with pytest.raises(Refused, match="vera may not"):
        wizard.choose(looking, jobid)
    assert not Retirement.objects.exists()
    assert not AuditEvent.objects.exists()


# --- Two at once ----------------------------------------------------------------------------------


def test_of_two_operators_at_the_same_moment_one_retires(owner, pg_cron):
    lay_plans(owner)
    people = [operator("olga"), operator("paul")]
    for _round in range(sized(5, 20)):
        jobid = schedule(pg_cron)
        pages = [confirmed(people[0], jobid), confirmed(people[1], jobid)]
        assert pages[0] == pages[1]
        told = at_once([click(who, page) for who, page in zip(people, pages, strict=True)])
        assert jobs(pg_cron) == {}
        retirement = Retirement.objects.get(jobid=jobid)
        winner = retirement.acts.get(outcome="done").user_name
        assert audited(retirement).count(("remove", "done")) == 1
        [refusal] = [one for one in told if one is not None]
        assert isinstance(refusal, SomebodyElse)
        assert refusal.who == winner


def click(who, retirement):
    page = Retirement.objects.get(pk=retirement.pk)

    def act():
        acts.remove(Order(who, page, current()), **press(page))

    return act


def at_once(clicks):
    """Run both as nearly at the same moment as threads can; what each was told."""
    told = [None] * len(clicks)
    start = threading.Barrier(len(clicks))

    def run(index):
        start.wait()
        try:
            clicks[index]()
        except Refused as refusal:
            told[index] = refusal
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[index]) for index in range(len(clicks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    return told


def test_an_operator_of_another_installation_is_named(world, connect):
    other = connect("postgres")
    other.execute("SET application_name = 'multica-admin retire: paul'")
    with other.transaction():
        other.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        with pytest.raises(SomebodyElse) as told:
            acts.remove(Order(world.who, world.retirement, current()), **press(world.retirement))
    assert told.value.who == "paul"
    assert set(jobs(world.pg_cron)) == {world.jobid}


def test_an_operator_of_this_installation_is_named_in_full(world):
    """A session's name would be cut, and holds only ASCII."""
    name = "Зоя Петрова, " + "x" * 80
    Act.objects.create(
        retirement=Retirement.objects.create(jobid=1, started_by=name),
        kind=Act.Kind.REMOVE,
        user_name=name,
        statement="",
        job={},
    )
    with turn(Who(name)), pytest.raises(SomebodyElse) as told:
        acts.remove(Order(world.who, world.retirement, current()), **press(world.retirement))
    assert told.value.who == name


def test_the_lock_of_the_rollup_is_never_taken(world, connect):
    """Somebody holds 4246 all the while; a retirement neither waits for it nor minds."""
    assert LOCK != 4246
    holder = connect("multica")
    with holder.transaction():
        holder.execute("SELECT pg_advisory_xact_lock(4246)")
        acts.remove(Order(world.who, world.retirement, current()), **press(world.retirement))
    assert jobs(world.pg_cron) == {}


def test_choosing_a_job_that_is_being_retired_goes_on_with_the_same_record(world):
    assert wizard.choose(operator("paul"), world.jobid) == world.retirement


def test_a_server_that_keeps_its_number_to_itself_by_now_goes_on_with_the_same_record(world):
    """A role that may act may be another than the one that began, and be told more or less."""
    Retirement.objects.update(server="")
    assert report(current()).judged[0].retirement == world.retirement
    assert wizard.choose(operator("paul"), world.jobid) == world.retirement


@pytest.mark.parametrize("place", [{"server": "1"}, {"database": "another"}])
def test_a_job_of_the_same_number_elsewhere_is_begun_by_itself(world, place):
    Retirement.objects.update(**place)
    assert report(current()).judged[0].retirement is None
    assert wizard.choose(operator("paul"), world.jobid) != world.retirement


def test_a_retirement_that_changed_nothing_can_be_dropped_and_begun_again(world):
    wizard.close(world.who, world.retirement)
    assert world.retirement.state == RetirementState.CLOSED
    assert wizard.choose(world.who, world.jobid) != world.retirement
    assert set(jobs(world.pg_cron)) == {world.jobid}


@pytest.mark.parametrize("step", [wizard.close, wizard.affirm])
def test_while_somebody_acts_nobody_drops_the_retirement_or_decides_about_it(world, step):
    paul, told = operator("paul"), []

    def reached(at):
        if at == "verified":
            with pytest.raises(SomebodyElse) as refusal:
                step(paul, Retirement.objects.get(pk=world.retirement.pk))
            told.append(refusal.value.who)

    acts.remove(Order(world.who, world.retirement, current(), reached), **press(world.retirement))
    assert told == ["olga"]
    assert world.retirement.state == RetirementState.WATCHING
    assert world.retirement.affirmed_by == ""
    assert audited(world.retirement) == [
        ("remove", "intended"),
        (step.__name__, "refused"),
        ("remove", "done"),
    ]


def test_what_was_removed_cannot_be_removed_or_dropped_again(world):
    form = press(world.retirement)
    acts.remove(Order(world.who, world.retirement, current()), **form)
    with pytest.raises(SomebodyElse, match="olga"):
        acts.remove(Order(world.who, world.retirement, current()), **form)
    with pytest.raises(Refused):
        wizard.close(world.who, world.retirement)
    assert audited(world.retirement).count(("remove", "done")) == 1


def test_our_own_runner_is_enough_once_somebody_affirms_that_it_stays(owner, pg_cron):
    lay_plans(owner, runner="ours")
    Runner.objects.create(runner_id="ours", kind="web", host="h", pid=1, version="0")
    jobid = schedule(pg_cron)
    who = operator()
    retirement = wizard.choose(who, jobid)
    with pytest.raises(Refused) as refusal:
        wizard.confirm(who, retirement, current())
    assert [gate.code for gate in refusal.value.gates] == ["backend_runner"]
    wizard.affirm(who, retirement)
    wizard.confirm(who, retirement, current())
    acts.remove(Order(who, retirement, current()), **press(retirement))
    assert jobs(pg_cron) == {}
    assert ("affirm", "done") in audited(retirement)


def test_no_code_path_drops_the_extension():
    root = Path(__file__).parents[2]
    folders = ("bin", "executions", "multica_admin", "static", "templates")
    files = [path for folder in folders for path in (root / folder).rglob("*") if path.is_file()]
    texts = {path: path.read_bytes() for path in (*files, root / "manage.py")}
    assert len(texts) > 200
    drops = re.compile(rb"drop\s+extension", re.IGNORECASE)
    assert not [path for path, text in texts.items() if drops.search(text)]


def test_the_streak_of_the_settings_is_what_is_asked_for(owner, pg_cron, settings):
    settings.RETIREMENT_STREAK = 3
    lay_plans(owner, count=4)
    retire(operator(), schedule(pg_cron))
    assert jobs(pg_cron) == {}


def test_the_longest_streak_that_can_be_set_can_be_reached(owner, pg_cron, settings):
    settings.RETIREMENT_STREAK = 288
    lay_plans(owner, count=291)
    retire(operator(), schedule(pg_cron))
    assert jobs(pg_cron) == {}


@pytest.mark.parametrize("streak", [1, 2])
def test_after_a_trial_the_shortest_streaks_lead_to_a_removal_too(owner, pg_cron, settings, streak):
    settings.RETIREMENT_STREAK = streak
    lay_plans(owner)
    jobid, who = schedule(pg_cron), operator()
    retirement = confirmed(who, jobid)
    acts.pause(Order(who, retirement, current()), **press(retirement))
    long_ago = now(owner) - timedelta(minutes=40)
    Retirement.objects.update(paused_at=long_ago, watched_since=long_ago)
    retirement_tick()
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.TRIAL_PASSED
    assert report(current()).exit_status == RETIRABLE
    acts.remove(Order(who, retirement, current()), **press(retirement))
    assert jobs(pg_cron) == {}
