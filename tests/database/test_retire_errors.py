"""An error of our own program, too, is recorded as the outcome of an act."""

from __future__ import annotations

import pytest

from executions.models.retirement import Act, AuditEvent, RetirementState
from executions.retirement import acts, protocol
from executions.retirement.acts import Order
from executions.retirement.rules import current
from tests.removing import world
from tests.retiring import acting_as, jobs, pg_cron, press, role

__all__ = ["acting_as", "pg_cron", "role", "world"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


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
