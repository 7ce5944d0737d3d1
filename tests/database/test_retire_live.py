"""The whole way with a real runner that rolls up for real, every two seconds instead of minutes."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import OperationalError, connections

from executions.models.retirement import Retirement, RetirementState
from executions.retirement import acts, background, wizard
from executions.retirement.acts import Order
from executions.retirement.refusals import Refused
from executions.retirement.report import report
from executions.retirement.rules import Rules
from executions.scheduler.connecting import connect_runner
from executions.scheduler.jobs import ROLLUP
from executions.scheduler.runner import JobRunner
from tests.retiring import audited, jobs, operator, pg_cron, press, schedule
from tests.waiting import HANG, until

__all__ = ["pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)

SECONDS = timedelta(seconds=1)


@pytest.fixture
def rules(slow):
    """Plans every two seconds, or as rarely as this machine needs to run each in time."""
    spec = replace(ROLLUP, cadence=2 * slow * SECONDS, schedule_delay=0 * SECONDS)
    return Rules(spec, streak=3, look_every=SECONDS)


@pytest.fixture
def backend(owner, rules):
    """A runner that is not this installation's own, and runs every plan."""
    owner.execute(
        "UPDATE task_usage_hourly_rollup_state SET watermark_at = now() - interval '6 min'"
    )
    runner = JobRunner([rules.spec], connect_runner, runner_id="go-backend")
    thread = threading.Thread(target=runner.run, args=[0.2])
    thread.start()
    yield runner
    runner.cancel()
    thread.join(HANG)


@pytest.fixture
def ticking(monkeypatch, rules):
    """The thread of a web process, with these rules."""
    monkeypatch.setattr("executions.retirement.tick.current", lambda: rules)
    thread = background.ticking(seconds=0.2)
    thread.start()
    yield thread
    thread.stop()


def when_it_passes(who, retirement, act, rules):
    """Confirm and act as soon as the gates allow it: with plans this short one may be missed."""

    def done():
        try:
            wizard.confirm(who, retirement, rules)
            act(Order(who, retirement, rules), **press(retirement))
        except Refused:
            return False
        return True

    until(done)


def state_of(retirement):
    return Retirement.objects.get(pk=retirement.pk).state


def test_from_choosing_to_verified_and_back_again(pg_cron, backend, ticking, rules):
    jobid = schedule(pg_cron)
    [before] = jobs(pg_cron).values()
    assert not report(rules).retirable
    who = operator()
    retirement = wizard.choose(who, jobid)
    when_it_passes(who, retirement, acts.remove, rules)
    assert jobs(pg_cron) == {}
    until(lambda: state_of(retirement) != RetirementState.WATCHING)
    retirement.refresh_from_db()
    assert retirement.state == RetirementState.VERIFIED, retirement.reason
    acts.put_back(Order(who, retirement, rules))
    [after] = jobs(pg_cron).values()
    assert {**after, "jobid": jobid} == before
    # A removal that was refused meanwhile was intended each time.
    assert [line for line in dict.fromkeys(audited(retirement)) if line[1] != "refused"] == [
        ("remove", "intended"),
        ("remove", "done"),
        ("watch", "done"),
        ("put_back", "intended"),
        ("put_back", "done"),
    ]


def test_a_trial_passes_by_itself_and_ends_by_itself_when_the_backend_stops(
    pg_cron, backend, ticking, rules, monkeypatch
):
    jobid = schedule(pg_cron)
    who = operator()
    retirement = wizard.choose(who, jobid)
    when_it_passes(who, retirement, acts.pause, rules)
    until(lambda: state_of(retirement) != RetirementState.TRIAL)
    assert state_of(retirement) == RetirementState.TRIAL_PASSED
    backend.cancel()
    # A plan counts as missed once a tick has passed: no need to wait for the real 30 s.
    monkeypatch.setattr("executions.health.ledger.TICK", SECONDS)
    until(lambda: state_of(retirement) == RetirementState.TRIAL_ENDED)
    assert jobs(pg_cron)[jobid]["active"]


def test_a_tick_that_fails_does_not_end_the_thread(monkeypatch, caplog):
    ticks = []

    def failing():
        ticks.append(len(ticks))
        if len(ticks) < 3:
            raise OperationalError("away")
        if len(ticks) == 3:
            raise RuntimeError("a mistake")

    monkeypatch.setattr(background, "retirement_tick", failing)
    thread = background.ticking(seconds=0.01)
    thread.start()
    until(lambda: len(ticks) > 4)
    thread.stop()
    assert caplog.text.count("Retirements are not watched:") == 1
    assert "tried again" in caplog.text
    connections.close_all()


def test_beside_a_runner_that_tells_it_nothing_is_said_of_tables_that_are_away(monkeypatch, caplog):
    ticks = []

    def failing():
        ticks.append(len(ticks))
        raise OperationalError("away")

    monkeypatch.setattr(background, "retirement_tick", failing)
    thread = background.ticking(seconds=0.01, says_when_away=False)
    thread.start()
    until(lambda: len(ticks) > 2)
    thread.stop()
    assert caplog.records == []
    connections.close_all()
