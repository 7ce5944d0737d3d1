"""What `manage.py runrollup` does for retirements beside its runner."""

from __future__ import annotations

import signal
import subprocess
from contextlib import contextmanager
from functools import partial

import pytest

from executions.models import Runner as Row
from executions.models.retirement import Retirement, RetirementState
from executions.retirement import acts
from executions.retirement.acts import Order
from executions.retirement.rules import current
from tests.retiring import confirmed, jobs, lay_plans, operator, pg_cron, press, schedule
from tests.runrollup import process
from tests.waiting import HANG, until

__all__ = ["pg_cron"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture
def overdue(owner, pg_cron):
    """A paused job whose trial should have ended a while ago."""
    lay_plans(owner)
    who = operator()
    retirement = confirmed(who, schedule(pg_cron))
    acts.pause(Order(who, retirement, current()), **press(retirement))
    retirement.refresh_from_db()
    Retirement.objects.update(deadline=retirement.paused_at)
    return retirement


def is_active(superuser, retirement):
    return jobs(superuser)[retirement.jobid]["active"]


def test_a_trial_past_its_deadline_is_ended_where_nothing_runs_but_the_command(overdue, pg_cron):
    assert not is_active(pg_cron, overdue)
    with process("--tick-interval", "30") as running:
        until(partial(is_active, pg_cron, overdue))
        until(lambda: Retirement.objects.get().state == RetirementState.TRIAL_ENDED)
        running.send_signal(signal.SIGTERM)
        _out, said = running.communicate(timeout=HANG)
    assert running.returncode == 0
    assert [line for line in said.splitlines() if " info " not in line] == []


def test_once_leaves_retirements_alone(overdue, pg_cron):
    with process("--once") as running:
        running.communicate(timeout=HANG)
    assert running.returncode == 0
    assert not is_active(pg_cron, overdue)
    assert Retirement.objects.get().looked_at is None


@contextmanager
def looks_held(connect):
    """Every look at the retirements waits."""
    holding = connect("postgres")
    with holding.transaction():
        holding.execute(
            "LOCK TABLE multica_admin.executions_retirement, multica_admin.executions_act"
        )
        yield


def a_look_waits(superuser):
    return superuser.execute(
        "SELECT FROM pg_locks JOIN pg_class ON pg_class.oid = relation"
        " WHERE NOT granted AND relname IN ('executions_retirement', 'executions_act')"
    ).fetchall()


def test_the_first_signal_waits_for_the_look_in_hand(superuser, connect):
    with process() as running:
        with looks_held(connect):
            until(lambda: a_look_waits(superuser))
            running.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                running.wait(1)
        assert running.wait(HANG) == 0


def test_the_second_signal_does_not_wait_for_a_look_that_does_not_end(superuser, connect):
    with looks_held(connect), process() as running:
        until(lambda: a_look_waits(superuser))
        running.send_signal(signal.SIGTERM)
        until(lambda: Row.objects.filter(stopped_at__isnull=False))
        running.send_signal(signal.SIGTERM)
        assert running.wait(HANG) == 0


def test_where_our_own_tables_are_away_the_command_goes_on_and_says_so_once(owner, tmp_path):
    with process(ADMIN_DATABASE_URL=f"host={tmp_path} dbname=nowhere") as running:
        for _tick in range(3):
            assert running.stdout.readline()
        running.send_signal(signal.SIGTERM)
        _out, said = running.communicate(timeout=HANG)
    assert running.returncode == 0
    told = [line for line in said.splitlines() if " info " not in line]
    assert len(told) == 1
    assert "goes on without" in told[0]
