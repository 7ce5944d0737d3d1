"""A removal by hand is proved by a look and then watched like any other."""

from __future__ import annotations

import pytest

from executions.models.retirement import Retirement, RetirementState
from executions.pages.wizard.checked import read_checked
from executions.pages.wizard.watched import read_watched
from executions.retirement import acts, by_hand
from executions.retirement.acts import Order
from executions.retirement.refusals import Refused
from executions.retirement.rules import current
from tests.retiring import (
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
from tests.watching import begun_before, tick

__all__ = ["acting_as", "pg_cron", "role"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


def test_what_was_removed_by_hand_is_not_looked_for_elsewhere(pg_cron, by_hand_world):
    who, retirement, jobid, _newest = by_hand_world
    begin_by_hand(who, retirement)
    Retirement.objects.update(database="another")
    retirement.refresh_from_db()
    pg_cron.execute("SELECT cron.unschedule(%s)", [jobid])
    with pytest.raises(Refused, match="pg_cron is reached in"):
        by_hand.ran_it(who, retirement)
    assert retirement.state == RetirementState.BY_HAND


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
