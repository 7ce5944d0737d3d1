"""The outcome of an act that was interrupted. In the end the job itself tells it."""

from __future__ import annotations

import pytest

from executions.database.our_locks import OurLock
from executions.models.retirement import Act, Retirement, RetirementState
from executions.pgcron.job import Job
from executions.retirement import wizard
from executions.retirement.audit import Who
from executions.retirement.protocol import Wish, intend, recover, turn
from executions.retirement.refusals import SomebodyElse
from executions.retirement.rules import current
from tests.retiring import acting_as, audited, jobs, operator, pg_cron, schedule

__all__ = ["acting_as", "pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

LONG_AGO, OF_THE_FUTURE = "3", "9999999999"
WHO = Who("olga", 1)


@pytest.fixture
def interrupted(pg_cron):
    """An act that somebody began and whose process is gone. ``columns`` say how far it got."""

    def make(kind=Act.Kind.REMOVE, state=RetirementState.CONFIRMED, *, active=True, **columns):
        jobid = schedule(pg_cron, active=active)
        row = jobs(pg_cron)[jobid]
        row["owner"] = row.pop("username")
        job = Job.from_json(row)
        retirement = Retirement.objects.create(
            jobid=jobid, state=state, started_by="olga", job=job.as_json()
        )
        act = intend(retirement, Wish(WHO, kind, "SELECT 1;", job, {state}))
        (here,) = pg_cron.execute(
            "SELECT system_identifier::text AS server FROM pg_control_system()"
        )
        known = {"server": here["server"], "database": "multica", "xid": LONG_AGO}
        Act.objects.filter(pk=act.pk).update(**known | columns)
        act.refresh_from_db()
        return act

    return make


def outcome(act):
    recover(current())
    act.refresh_from_db()
    act.retirement.refresh_from_db()
    return act.outcome


@pytest.mark.parametrize("xid", [LONG_AGO, OF_THE_FUTURE])
def test_a_job_that_is_there_was_not_removed_and_one_that_is_gone_was(interrupted, pg_cron, xid):
    there = interrupted(xid=xid)
    assert outcome(there) == Act.Outcome.FAILED
    assert there.retirement.state == RetirementState.CONFIRMED
    pg_cron.execute("DELETE FROM cron.job")
    gone = interrupted(xid=xid)
    pg_cron.execute("DELETE FROM cron.job")
    assert outcome(gone) == Act.Outcome.DONE
    assert gone.retirement.state == RetirementState.WATCHING
    assert audited(gone.retirement) == [("remove", "intended"), ("remove", "done")]


@pytest.mark.parametrize(
    ("kind", "active", "expected"),
    [
        (Act.Kind.PAUSE, True, "failed"),
        (Act.Kind.PAUSE, False, "done"),
        (Act.Kind.ACTIVATE, True, "done"),
        (Act.Kind.ACTIVATE, False, "failed"),
    ],
)
def test_whether_the_job_is_active_says_what_became_of_a_pause(interrupted, kind, active, expected):
    assert outcome(interrupted(kind, active=active)) == expected


def test_a_new_job_on_record_says_that_it_was_put_back(interrupted, pg_cron):
    again = interrupted(Act.Kind.PUT_BACK, RetirementState.VERIFIED)
    Act.objects.filter(pk=again.pk).update(new_jobid=again.job["jobid"])
    assert outcome(again) == Act.Outcome.DONE
    assert again.retirement.put_back_jobid == again.job["jobid"]
    pg_cron.execute("DELETE FROM cron.job")
    assert outcome(interrupted(Act.Kind.PUT_BACK, RetirementState.VERIFIED)) == Act.Outcome.FAILED


def test_an_intent_without_a_transaction_has_changed_nothing(interrupted, pg_cron):
    act = interrupted(xid="")
    pg_cron.execute("DELETE FROM cron.job")  # somebody else did that
    assert outcome(act) == Act.Outcome.FAILED


def chosen_anew(act, state=RetirementState.CHOSEN, server=""):
    """The retirement was closed while its act was open, and somebody began with the job again."""
    old = act.retirement
    Retirement.objects.filter(pk=old.pk).update(state=RetirementState.CLOSED)
    return Retirement.objects.create(
        jobid=old.jobid, job=old.job, state=state, started_by="paul",
        server=server, database=old.database,
    )  # fmt: skip


@pytest.mark.parametrize("server", ["", "7"])
def test_what_was_done_is_written_although_the_job_was_chosen_anew(interrupted, pg_cron, server):
    """Nothing that an operator can still undo is lost: the newer record makes way."""
    act = interrupted()
    newer = chosen_anew(act, server=server)
    pg_cron.execute("DELETE FROM cron.job")
    assert outcome(act) == Act.Outcome.DONE
    assert act.retirement.state == RetirementState.WATCHING
    newer.refresh_from_db()
    assert newer.state == RetirementState.CLOSED
    assert str(act.retirement.pk) in newer.reason
    assert audited(act.retirement) == [("remove", "intended"), ("remove", "done")]
    assert audited(newer) == [("close", "done")]


def test_a_newer_record_that_knows_of_the_removal_goes_on_with_it(interrupted, pg_cron):
    act = interrupted()
    newer = chosen_anew(act, RetirementState.WATCHING)
    pg_cron.execute("DELETE FROM cron.job")
    assert outcome(act) == Act.Outcome.DONE
    assert act.retirement.state == RetirementState.CLOSED
    assert str(newer.pk) in act.retirement.reason
    newer.refresh_from_db()
    assert newer.state == RetirementState.WATCHING
    assert audited(act.retirement) == [("remove", "intended"), ("remove", "done")]


def test_one_act_that_cannot_be_settled_keeps_no_other_one_waiting(interrupted, pg_cron, caplog):
    broken = interrupted()
    pg_cron.execute("DELETE FROM cron.job")
    Act.objects.filter(pk=broken.pk).update(job={})
    other = interrupted()
    assert outcome(other) == Act.Outcome.FAILED
    assert outcome(broken) is None
    assert "Cannot settle remove pg_cron job" in caplog.text


def test_an_interrupted_act_is_not_dropped_before_it_is_settled(interrupted, pg_cron):
    act = interrupted()
    pg_cron.execute("DELETE FROM cron.job")
    with pytest.raises(SomebodyElse, match="olga"):
        wizard.close(operator("paul"), act.retirement)
    assert outcome(act) == Act.Outcome.DONE
    assert act.retirement.state == RetirementState.WATCHING


def test_another_server_is_not_asked_about_a_transaction_of_this_one(interrupted):
    assert outcome(interrupted(server="1234")) is None
    assert outcome(Act.objects.get()) is None


@pytest.mark.parametrize(
    ("database", "expected"), [("multica", Act.Outcome.FAILED), ("another", None)]
)
def test_a_server_that_kept_its_number_to_itself_then_is_told_by_its_database(
    interrupted, database, expected
):
    """Nothing else could ever settle the act, and it would keep everybody away for good."""
    assert outcome(interrupted(server="", database=database)) == expected


def test_a_role_that_would_not_see_the_job_does_not_decide_that_it_is_gone(
    interrupted, pg_cron, acting_as
):
    act = interrupted()
    pg_cron.execute("UPDATE cron.job SET username = 'postgres'")
    Act.objects.update(job=act.job | {"owner": "postgres"})
    acting_as("multica")
    assert outcome(act) is None
    acting_as("postgres")
    assert outcome(act) == Act.Outcome.FAILED


@pytest.mark.parametrize(
    ("kind", "state"),
    [(Act.Kind.REMOVE, RetirementState.CONFIRMED), (Act.Kind.PUT_BACK, RetirementState.VERIFIED)],
)
def test_a_job_that_got_another_owner_meanwhile_is_not_gone(
    interrupted, pg_cron, acting_as, kind, state
):
    """Its old owner does not see it any more. Only a role that sees every job can tell."""
    act = interrupted(kind, state)
    Act.objects.filter(kind=Act.Kind.PUT_BACK).update(new_jobid=act.job["jobid"])
    acting_as("multica")
    pg_cron.execute("SELECT cron.alter_job(%s, username := 'postgres')", [act.job["jobid"]])
    assert outcome(act) is None
    assert act.retirement.state == state
    acting_as("postgres")
    done = kind == Act.Kind.PUT_BACK
    assert outcome(act) == (Act.Outcome.DONE if done else Act.Outcome.FAILED)


@pytest.mark.parametrize(
    ("kind", "active", "expected"),
    [(Act.Kind.REMOVE, True, "failed"), (Act.Kind.PAUSE, False, "done")],
)
def test_its_owner_tells_of_a_job_that_it_is_shown(interrupted, acting_as, kind, active, expected):
    acting_as("multica")
    assert outcome(interrupted(kind, active=active)) == expected


def test_what_was_never_proved_was_never_committed_whoever_looks(interrupted, pg_cron, acting_as):
    """A put back keeps its new number before it commits."""
    act = interrupted(Act.Kind.PUT_BACK, RetirementState.VERIFIED)
    acting_as("multica")
    pg_cron.execute("DELETE FROM cron.job")
    assert outcome(act) == Act.Outcome.FAILED


def test_while_a_database_is_away_nothing_is_decided(interrupted, settings, caplog):
    act = interrupted()
    known = settings.RETIRE_CONNINFO
    settings.RETIRE_CONNINFO = {**known, "host": "/nowhere"}
    assert outcome(act) is None
    assert "Cannot tell yet" in caplog.text


def test_while_somebody_acts_nothing_is_decided(interrupted):
    act = interrupted()
    with turn(Who("paul")):
        assert outcome(act) is None
        with pytest.raises(SomebodyElse, match="paul"), turn(WHO):
            pass
    assert OurLock.ACT != 4246


def holders(pg_cron):
    (row,) = pg_cron.execute(
        "SELECT count(*) AS held FROM pg_locks WHERE locktype = 'advisory'"
        " AND (classid::bigint << 32) + objid::bigint = %s",
        [OurLock.ACT],
    )
    return row["held"]


def test_the_next_act_may_begin_as_soon_as_a_turn_is_over(pg_cron):
    """PostgreSQL ends a session some time after its client has closed it."""
    for _ in range(100):
        with turn(WHO):
            assert holders(pg_cron) == 1
        assert holders(pg_cron) == 0


def test_an_act_that_fails_hands_the_turn_on_as_well(pg_cron):
    for _ in range(100):
        with pytest.raises(ValueError, match="boom"), turn(WHO):
            raise ValueError("boom")
        assert holders(pg_cron) == 0


@pytest.mark.parametrize("begun", [[], ["BEGIN"]])
def test_a_connection_that_is_lost_after_the_act_makes_no_error_of_it(pg_cron, begun):
    with turn(WHO) as acting:
        for statement in begun:
            acting.execute(statement)
        (row,) = pg_cron.execute(
            "SELECT pg_terminate_backend(%s, 60000) AS ended", [acting.info.backend_pid]
        )
        assert row["ended"]
    assert acting.closed


def test_an_open_act_keeps_everybody_else_away_until_it_is_settled(interrupted):
    act = interrupted()
    wish = Wish(
        Who("paul"),
        Act.Kind.REMOVE,
        "SELECT 1;",
        Job.from_json(act.job),
        {RetirementState.CONFIRMED},
    )
    with pytest.raises(SomebodyElse) as told:
        intend(act.retirement, wish)
    assert told.value.who == "olga"
    outcome(act)
    assert intend(act.retirement, wish).user_name == "paul"
