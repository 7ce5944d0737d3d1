"""Before a job is removed, putting it back is tried, and an operator is told what was found."""

from __future__ import annotations

import threading

import psycopg
import pytest
from psycopg import sql

from executions.database.reading import fetch_on
from executions.models.retirement import Act, AuditEvent, Retirement, RetirementState
from executions.pgcron import commands
from executions.pgcron.inventory import read_job
from executions.retirement import acts, by_hand, protocol, wizard
from executions.retirement.acts import Order
from executions.retirement.refusals import Refused
from executions.retirement.rehearsal import RehearsalResult, rehearse
from executions.retirement.rules import current
from tests.retiring import (
    acting_as,
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
from tests.waiting import until

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture
def changed_below(pg_cron):
    """Changes what pg_cron's functions would not: a column of the job, past its own checks."""

    def change(jobid, column, value):
        statement = sql.SQL("UPDATE cron.job SET {} = %s WHERE jobid = %s")
        pg_cron.execute(statement.format(sql.Identifier(column)), [value, jobid])

    return change


def refused_without_a_word(who, retirement, said):
    """Removing is refused until the operator accepts; then their word is on record."""
    jobid = retirement.jobid
    with pytest.raises(Refused, match=said):
        acts.remove(Order(who, retirement, current()), **press(retirement))
    assert retirement.state == RetirementState.CONFIRMED
    act = acts.remove(Order(who, retirement, current()), **press(retirement), accepted=True)
    assert retirement.state == RetirementState.WATCHING
    done = AuditEvent.objects.get(act_id=act.pk, outcome=Act.Outcome.DONE)
    assert done.user_name == who.name
    assert done.evidence["accepted"].startswith("I know that")
    assert jobid == retirement.jobid


def test_a_way_back_that_was_tried_asks_for_no_word(owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    before = jobs(pg_cron)
    who = operator()
    retirement = confirmed(who, jobid)
    assert jobs(pg_cron) == before
    assert retirement.evidence["put_back"]["result"] == "same"
    acts.remove(Order(who, retirement, current()), **press(retirement))
    assert retirement.state == RetirementState.WATCHING


def test_a_schedule_that_pg_cron_rejects_has_no_way_back(owner, pg_cron, changed_below):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    changed_below(jobid, "schedule", "every now and then")
    before = jobs(pg_cron)
    who = operator()
    retirement = confirmed(who, jobid)
    assert jobs(pg_cron) == before
    refused_without_a_word(who, retirement, "refuses to schedule .* invalid schedule")


def test_an_owner_that_is_gone_has_no_way_back(owner, pg_cron, role):
    lay_plans(owner)
    role("short_lived")
    jobid = schedule(pg_cron, owner="short_lived")
    pg_cron.execute("ALTER ROLE short_lived RENAME TO gone_by_now")
    try:
        who = operator()
        retirement = confirmed(who, jobid)
        refused_without_a_word(who, retirement, "short_lived, does not exist any more")
    finally:
        pg_cron.execute("ALTER ROLE gone_by_now RENAME TO short_lived")


def test_an_empty_host_would_come_back_as_another(owner, pg_cron, changed_below):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    changed_below(jobid, "nodename", "")
    who = operator()
    retirement = confirmed(who, jobid)
    assert set(retirement.evidence["put_back"]["differences"]) == {"nodename"}
    refused_without_a_word(who, retirement, "Its host would be")


def test_an_owner_that_may_not_log_in_would_not_run_the_job(owner, pg_cron, role):
    lay_plans(owner)
    role("locked_out")
    jobid = schedule(pg_cron, owner="locked_out")
    pg_cron.execute("ALTER ROLE locked_out NOLOGIN")
    who = operator()
    refused_without_a_word(who, confirmed(who, jobid), "locked_out may not log in")


def test_a_role_that_may_only_remove_asks_for_a_word(owner, pg_cron, role, acting_as):
    role(
        "remover",
        "GRANT USAGE ON SCHEMA cron TO {role}",
        "CREATE POLICY sees_all ON cron.job FOR SELECT TO {role} USING (true)",
        "GRANT DELETE ON cron.job TO {role}",
    )
    acting_as("remover")
    lay_plans(owner)
    who = operator()
    retirement = confirmed(who, schedule(pg_cron))
    refused_without_a_word(who, retirement, "nobody has tried whether it can be put back")


def test_who_removes_it_by_hand_accepts_only_what_is_known_to_fail(owner, pg_cron, role, acting_as):
    role(
        "looker",
        "GRANT USAGE ON SCHEMA cron TO {role}",
        "CREATE POLICY sees_all ON cron.job FOR SELECT TO {role} USING (true)",
    )
    role("locked_out")
    acting_as("looker")
    lay_plans(owner)
    who = operator()
    plain = confirmed(who, schedule(pg_cron))
    by_hand.begin(who, plain, fingerprint=press(plain)["fingerprint"], rules=current())
    assert plain.state == RetirementState.BY_HAND

    jobid = schedule(pg_cron, owner="locked_out", name="other")
    pg_cron.execute("ALTER ROLE locked_out NOLOGIN")
    fails = confirmed(who, jobid)
    fingerprint = press(fails)["fingerprint"]
    with pytest.raises(Refused, match="may not log in"):
        by_hand.begin(who, fails, fingerprint=fingerprint, rules=current())
    by_hand.begin(who, fails, fingerprint=fingerprint, rules=current(), accepted=True)
    assert fails.state == RetirementState.BY_HAND


def test_a_confirmation_from_before_rehearsals_asks_for_a_word(owner, pg_cron):
    lay_plans(owner)
    who = operator()
    retirement = confirmed(who, schedule(pg_cron))
    evidence = {key: value for key, value in retirement.evidence.items() if key != "put_back"}
    Retirement.objects.update(evidence=evidence)
    retirement.refresh_from_db()
    refused_without_a_word(who, retirement, "checked by a version that did not try")


def test_a_rehearsal_leaves_nothing_behind_when_it_is_cut_off(owner, pg_cron, connect):
    """Somebody else has the job locked: the rehearsal gives up, and nothing is on record."""
    lay_plans(owner)
    jobid = schedule(pg_cron)
    before = jobs(pg_cron)
    who = operator()
    retirement = wizard.choose(who, jobid)
    other = connect("postgres")
    with other.transaction(force_rollback=True):
        other.execute("UPDATE cron.job SET schedule = '2 2 2 2 *'")
        with pytest.raises(Exception, match="lock timeout"):
            wizard.confirm(who, retirement, current())
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.CHOSEN
    assert jobs(pg_cron) == before


def test_a_rehearsal_whose_connection_breaks_leaves_nothing_behind(owner, pg_cron, connect):
    """Its backend is ended between its two halves, while it waits for the job's row."""
    lay_plans(owner)
    jobid = schedule(pg_cron)
    before = jobs(pg_cron)
    who = operator()
    retirement = wizard.choose(who, jobid)
    ended = """
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name LIKE 'multica-admin retire: %' AND wait_event_type = 'Lock'
    """
    other = connect("postgres")
    with other.transaction(force_rollback=True):
        other.execute("UPDATE cron.job SET schedule = '2 2 2 2 *'")
        ending = threading.Thread(target=lambda: until(lambda: pg_cron.execute(ended).fetchall()))
        ending.start()
        with pytest.raises(psycopg.OperationalError, match="terminating connection"):
            wizard.confirm(who, retirement, current())
        ending.join()
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.CHOSEN
    assert jobs(pg_cron) == before
    wizard.confirm(who, retirement, current())
    assert retirement.evidence["put_back"]["result"] == "same"


def test_a_removal_that_pg_cron_refuses_is_not_told_as_a_way_back_that_is_missing(
    owner, pg_cron, monkeypatch
):
    """The job goes in the moment between the look and the removal."""
    lay_plans(owner)
    jobid = schedule(pg_cron)
    who = operator()
    retirement = wizard.choose(who, jobid)

    def gone(acting, _jobid):
        acting.execute("SELECT cron.unschedule(0::bigint)")

    monkeypatch.setattr(commands, "unschedule", gone)
    with pytest.raises(Refused, match=r"refuses to remove this job: could not find valid entry"):
        wizard.confirm(who, retirement, current())
    assert retirement.state == RetirementState.CHOSEN


@pytest.fixture
def database(pg_cron):
    """Another database, which goes with the test."""
    pg_cron.execute("CREATE DATABASE beside TEMPLATE template0")
    yield "beside"
    pg_cron.execute("DROP DATABASE IF EXISTS beside")


def rehearsed(pg_cron, jobid):
    with protocol.turn(operator()) as acting:
        return rehearse(acting, read_job(fetch_on(pg_cron), jobid))


def test_a_database_that_lets_nobody_in_would_not_run_the_job(pg_cron, database):
    jobid = schedule(pg_cron, database=database)
    pg_cron.execute("ALTER DATABASE beside ALLOW_CONNECTIONS false")
    found = rehearsed(pg_cron, jobid)
    assert (found.result, found.proved, found.no_way_back) == (RehearsalResult.SAME, False, False)
    assert found.reasons == ["Its database beside accepts no connections: it would not run."]
    assert found.acceptance == "I know that this job would not run if it was put back."


def test_a_database_that_is_gone_leaves_no_way_back(pg_cron, database):
    jobid = schedule(pg_cron, database=database)
    pg_cron.execute("DROP DATABASE beside")
    found = rehearsed(pg_cron, jobid)
    assert (found.proved, found.no_way_back) == (False, True)
    assert "Its database beside does not exist any more." in found.reasons
    assert "no way back" in found.acceptance


# --- What is recorded is what ran -----------------------------------------------------------------


@pytest.mark.parametrize("name", ["rollup_task_usage_hourly", None])
def test_an_owner_who_is_no_superuser_names_no_user_in_what_is_recorded(
    owner, pg_cron, acting_as, name, connect
):
    lay_plans(owner)
    acting_as("multica")
    who = operator()
    retirement = retire(who, schedule(pg_cron, name=name))
    shown = by_hand.put_back_statement(retirement)
    act = acts.put_back(Order(who, retirement, current()))
    assert act.statement == shown
    assert act.statement.startswith("SELECT cron.schedule(")
    assert "'multica'" not in act.statement
    removal = AuditEvent.objects.get(action="remove", outcome="done")
    assert removal.evidence["undo"] == shown

    (put_back,) = jobs(pg_cron).values()
    pg_cron.execute("DELETE FROM cron.job")
    connect("multica").execute(act.statement.encode())
    (by_the_statement,) = jobs(pg_cron).values()
    assert {**by_the_statement, "jobid": 0} == {**put_back, "jobid": 0}


def test_a_superuser_names_the_owner_in_what_is_recorded(owner, pg_cron):
    lay_plans(owner)
    who = operator()
    retirement = retire(who, schedule(pg_cron))
    act = acts.put_back(Order(who, retirement, current()))
    assert act.statement == by_hand.put_back_statement(retirement)
    assert "cron.schedule_in_database(" in act.statement
    assert "'multica', true)" in act.statement
