"""Putting a removed job back: exactly as it was, under its old owner where rights allow."""

from __future__ import annotations

import pytest

from executions.models.retirement import Retirement, RetirementState
from executions.retirement import acts, by_hand, wizard
from executions.retirement.acts import Order
from executions.retirement.protocol import recover
from executions.retirement.refusals import Refused
from executions.retirement.rules import current
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
    retire,
    role,
    schedule,
)

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def apart_from_its_number(row):
    return {name: value for name, value in row.items() if name != "jobid"}


@pytest.fixture
def put_back_is_the_same(owner, pg_cron):
    """Retire a job, put it back, and compare the two rows."""

    def run(**definition):
        lay_plans(owner)
        jobid = schedule(pg_cron, **definition)
        [before] = jobs(pg_cron).values()
        who = operator()
        retirement = retire(who, jobid)
        assert jobs(pg_cron) == {}
        acts.put_back(Order(who, retirement, current()))
        [after] = jobs(pg_cron).values()
        assert apart_from_its_number(after) == apart_from_its_number(before)
        assert after["jobid"] != jobid
        assert retirement.put_back_jobid == after["jobid"]
        assert retirement.state == RetirementState.PUT_BACK
        assert audited(retirement)[-2:] == [("put_back", "intended"), ("put_back", "done")]

    return run


@pytest.mark.parametrize(
    "definition",
    [
        {"owner": "multica"},
        {"owner": "postgres", "at": "2-59/5 * * * *"},
        {"name": None, "owner": "multica"},
        {"name": None, "owner": "postgres", "active": False},
        {"active": False},
        {"name": "it's \\ odd — naïve"},
        {"command": "SELECT $x$a$x$ FROM rollup_task_usage_hourly()"},
        {"command": "SELECT rollup_task_usage_daily()"},
    ],
)
def test_a_superuser_puts_any_job_back_as_it_was(put_back_is_the_same, definition):
    put_back_is_the_same(**definition)


@pytest.mark.parametrize("name", ["rollup_task_usage_hourly", None])
def test_a_role_puts_its_own_job_back(put_back_is_the_same, acting_as, name):
    acting_as("multica")
    put_back_is_the_same(owner="multica", name=name)


def test_a_role_puts_its_own_inactive_job_back_where_it_may_call_what_that_takes(
    put_back_is_the_same, acting_as, pg_cron
):
    acting_as("multica")
    signature = "cron.schedule_in_database(text, text, text, text, text, boolean)"
    pg_cron.execute(f"GRANT EXECUTE ON FUNCTION {signature} TO multica")
    try:
        put_back_is_the_same(owner="multica", active=False)
    finally:
        pg_cron.execute(f"REVOKE EXECUTE ON FUNCTION {signature} FROM multica")


def test_where_the_role_may_not_the_statement_is_given_and_the_new_job_found(
    owner, pg_cron, role, acting_as
):
    role(
        "retirer_three",
        "GRANT USAGE ON SCHEMA cron TO {role}",
        "CREATE POLICY sees_all ON cron.job FOR SELECT TO {role} USING (true)",
        "GRANT DELETE ON cron.job TO {role}",
    )
    acting_as("retirer_three")
    lay_plans(owner)
    jobid = schedule(pg_cron)
    [before] = jobs(pg_cron).values()
    who = operator()
    retirement = retire(who, jobid, accepted=True)
    with pytest.raises(Refused, match="administrator run"):
        acts.put_back(Order(who, retirement, current()))
    with pytest.raises(Refused, match="There is no job"):
        by_hand.put_back_done(who, retirement)
    assert retirement.state == RetirementState.WATCHING
    pg_cron.execute(by_hand.put_back_statement(retirement).encode())
    by_hand.put_back_done(who, retirement)
    [after] = jobs(pg_cron).values()
    assert apart_from_its_number(after) == apart_from_its_number(before)
    assert (retirement.state, retirement.put_back_jobid) == (
        RetirementState.PUT_BACK,
        after["jobid"],
    )


def test_a_twin_that_was_there_all_along_is_not_the_job_put_back(owner, pg_cron):
    lay_plans(owner)
    twin = schedule(pg_cron, name=None)
    jobid = schedule(pg_cron, name=None)
    who = operator()
    retirement = retire(who, jobid)
    assert set(jobs(pg_cron)) == {twin}
    with pytest.raises(Refused, match="There is no job"):
        by_hand.put_back_done(who, retirement)


def removed_here(who, jobid, _pg_cron):
    return retire(who, jobid)


def removed_by_hand(who, jobid, pg_cron):
    retirement = confirmed(who, jobid)
    fingerprint = press(retirement)["fingerprint"]
    by_hand.begin(who, retirement, fingerprint=fingerprint, rules=current())
    pg_cron.execute(by_hand.statement(retirement).encode())
    by_hand.ran_it(who, retirement)
    return retirement


@pytest.mark.parametrize("remove", [removed_here, removed_by_hand])
def test_a_later_twin_that_was_there_at_the_removal_is_not_the_job_put_back(owner, pg_cron, remove):
    """Two jobs without a name may be equal except for their numbers."""
    lay_plans(owner)
    jobid, twin = (schedule(pg_cron, name=None) for _ in range(2))
    who = operator()
    retirement = remove(who, jobid, pg_cron)
    with pytest.raises(Refused, match="There is no job"):
        by_hand.put_back_done(who, retirement)
    assert (retirement.state, retirement.put_back_jobid) == (RetirementState.WATCHING, None)
    pg_cron.execute(by_hand.put_back_statement(retirement).encode())
    by_hand.put_back_done(who, retirement)
    (back,) = set(jobs(pg_cron)) - {twin}
    assert (retirement.state, retirement.put_back_jobid) == (RetirementState.PUT_BACK, back)


def test_a_removal_that_a_crash_interrupted_remembers_the_twins_too(owner, pg_cron, acting_as):
    lay_plans(owner)
    acting_as("multica")
    jobid, _twin = (schedule(pg_cron, name=None) for _ in range(2))
    who = operator()
    retirement = confirmed(who, jobid)

    def reached(point):
        if point == "committed":
            raise SystemExit

    with pytest.raises(SystemExit):
        acts.remove(Order(who, retirement, current(), reached), **press(retirement))
    recover(current())
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.WATCHING
    with pytest.raises(Refused, match="There is no job"):
        by_hand.put_back_done(who, retirement)


@pytest.mark.parametrize("name", [None, "a 'name'"])
def test_the_statement_to_copy_restores_the_job_by_itself(owner, pg_cron, name):
    lay_plans(owner)
    jobid = schedule(pg_cron, name=name, command=f"SET a.b = 'x''y';\n{ROLLUP}", active=True)
    [before] = jobs(pg_cron).values()
    retirement = retire(operator(), jobid)
    pg_cron.execute(by_hand.put_back_statement(retirement).encode())
    [after] = jobs(pg_cron).values()
    assert apart_from_its_number(after) == apart_from_its_number(before)


def test_a_job_of_that_name_that_is_there_again_is_never_overwritten(owner, pg_cron):
    lay_plans(owner)
    who = operator()
    retirement = retire(who, schedule(pg_cron))
    theirs = schedule(pg_cron, command="SELECT 1")
    with pytest.raises(Refused, match=f"number {theirs}"):
        acts.put_back(Order(who, retirement, current()))
    assert [row["command"] for row in jobs(pg_cron).values()] == ["SELECT 1"]


@pytest.mark.parametrize("role", ["postgres", "multica"])
@pytest.mark.parametrize("point", ["signed", "verified"])
def test_a_job_of_that_name_that_comes_at_the_last_moment_is_not_overwritten_either(
    owner, pg_cron, acting_as, role, point
):
    """After the look at the names pg_cron itself would take the other's job and alter it."""
    lay_plans(owner)
    acting_as(role)
    who = operator()
    retirement = retire(who, schedule(pg_cron))
    theirs = {}

    def reached(at):
        if at == point:
            schedule(pg_cron, command="SELECT 'theirs'", at="2 2 2 2 *")
            theirs.update(jobs(pg_cron))

    with pytest.raises(Refused, match="There is a job of that name again"):
        acts.put_back(Order(who, retirement, current(), reached))
    assert jobs(pg_cron) == theirs
    assert (retirement.state, retirement.put_back_jobid) == (RetirementState.WATCHING, None)
    assert audited(retirement)[-1] == ("put_back", "refused")


def test_an_owner_that_is_gone_makes_it_fail_with_the_servers_own_words(owner, pg_cron, role):
    lay_plans(owner)
    role("short_lived")
    who = operator()
    retirement = retire(who, schedule(pg_cron, owner="short_lived"))
    pg_cron.execute("ALTER ROLE short_lived RENAME TO gone_by_now")
    try:
        with pytest.raises(Refused, match="short_lived"):
            acts.put_back(Order(who, retirement, current()))
    finally:
        pg_cron.execute("ALTER ROLE gone_by_now RENAME TO short_lived")
    assert jobs(pg_cron) == {}
    assert audited(retirement)[-1] == ("put_back", "failed")


def test_what_was_not_removed_cannot_be_put_back(owner, pg_cron):
    lay_plans(owner)
    jobid = schedule(pg_cron)
    who = operator()
    retirement = wizard.choose(who, jobid)
    with pytest.raises(Refused, match="is now: chosen"):
        acts.put_back(Order(who, retirement, current()))
    assert set(jobs(pg_cron)) == {jobid}


def test_a_job_is_put_back_only_where_it_was(owner, pg_cron):
    lay_plans(owner)
    who = operator()
    retirement = retire(who, schedule(pg_cron))
    Retirement.objects.update(server="1234")
    retirement.refresh_from_db()
    with pytest.raises(Refused, match="pg_cron is reached in"):
        acts.put_back(Order(who, retirement, current()))
    schedule(pg_cron)
    with pytest.raises(Refused, match="pg_cron is reached in"):
        by_hand.put_back_done(who, retirement)
    assert retirement.state == RetirementState.WATCHING
    assert audited(retirement)[-2:] == [("put_back", "refused"), ("put back by hand", "refused")]


def test_putting_back_twice_schedules_once(owner, pg_cron):
    lay_plans(owner)
    who = operator()
    retirement = retire(who, schedule(pg_cron))
    acts.put_back(Order(who, retirement, current()))
    with pytest.raises(Refused):
        acts.put_back(Order(who, retirement, current()))
    assert len(jobs(pg_cron)) == 1
