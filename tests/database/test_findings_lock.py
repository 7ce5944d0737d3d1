"""Findings on lock 4246 and the sessions that hold it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from executions.health.findings import FindingCode, Severity
from executions.rollup.lock import read_lock
from tests import scenarios
from tests.near_misses import MINUTE, explained, hold_lock, look, now, only, sessions_shown, shown
from tests.scenarios import fetch_in

__all__ = ["now"]
pytestmark = pytest.mark.django_db(databases=["default", "multica"], transaction=True)


@pytest.fixture
def sees_sessions(superuser):
    with sessions_shown(superuser):
        yield


@pytest.mark.usefixtures("sees_sessions")
def test_an_idle_session_that_keeps_the_lock_is_a_leak(owner, connect, now):
    world = scenarios.locked_out(owner, now + 20 * MINUTE)  # two plans after it was taken
    holder = connect("multica")
    hold_lock(holder)
    finding = only(look(world), FindingCode.LOCK_LEAKED)
    assert finding.severity is Severity.CRITICAL
    assert finding.evidence["pid"] == holder.info.backend_pid
    assert finding.evidence["application_name"] == "test multica"
    assert explained(finding) == [FindingCode.LOCK_LOST]


def test_a_backfill_that_holds_the_lock_on_an_idle_session_is_no_leak(owner, connect, now):
    world = scenarios.locked_out(owner, now)
    hold_lock(connect("multica"))
    with connect("multica").transaction() as slice_of_backfill:
        slice_of_backfill.connection.execute(
            "SELECT rollup_task_usage_hourly_window(now() - interval '1 hour', now())"
        )
        assert list(shown(look(world))) == [FindingCode.LOCK_LOST]


@pytest.mark.usefixtures("sees_sessions")
def test_a_backfill_between_two_slices_is_no_leak(owner, connect, now):
    world = scenarios.locked_out(owner, now)
    backfill = connect("multica")
    hold_lock(backfill)
    backfill.execute("SELECT rollup_task_usage_hourly_window(now() - interval '1 hour', now())")
    finding = only(look(world), FindingCode.LOCK_LOST)
    assert [one["pid"] for one in finding.evidence["holders"]] == [backfill.info.backend_pid]


@pytest.mark.usefixtures("sees_sessions")
def test_a_backfill_on_two_connections_between_two_slices_is_no_leak(owner, connect, now):
    world = scenarios.locked_out(owner, now + 20 * MINUTE)
    holder, slicing = connect("multica"), connect("multica")
    hold_lock(holder)
    slicing.execute("SELECT rollup_task_usage_hourly_window(now() - interval '1 hour', now())")
    only(look(world), FindingCode.LOCK_LOST)
    assert read_lock(fetch_in(world), lately=timedelta()).writers == ()


def test_our_own_backfill_between_two_slices_is_no_leak_though_its_state_is_hidden(
    owner, connect, now
):
    """On one session or two: its name suffices, which every role is shown."""
    world = scenarios.locked_out(owner, now + 20 * MINUTE)
    hold_lock(connect("multica_view"))  # the dashboard's own role: since when is shown
    only(look(world), FindingCode.LOCK_LEAKED)
    backfill = connect("multica")
    backfill.execute("SET application_name = 'multica-admin backfill'")
    finding = only(look(world), FindingCode.LOCK_LOST)
    assert len(finding.evidence["holders"]) == 1


@pytest.mark.usefixtures("sees_sessions")
@pytest.mark.parametrize(
    ("name", "statement", "said"),
    [
        ("multica-admin backfill", None, "probably a backfill that was started from here"),
        ("multica-admin runner", None, "probably this installation's own runner"),
        ("pg_cron", None, "probably a run of a pg_cron job"),
        ("x", "SELECT rollup_task_usage_hourly()", "probably another run of the rollup"),
        (
            "x",
            "SELECT rollup_task_usage_hourly_window(now(), now())",
            "probably a backfill of Multica's",
        ),
        (
            "x",
            "DELETE FROM workspace WHERE id = gen_random_uuid()",
            "probably Multica, which deletes a workspace",
        ),
        (
            "x",
            "SELECT set_config('multica.workspace_teardown', 'on', true)",
            "probably Multica, which deletes a workspace",
        ),
        ("x", "SELECT 'codex'", "probably Multica's codex-usage backfill"),
        ("x", "SELECT 1", "Its statements do not tell what it is for"),
    ],
)
def test_a_lost_lock_names_who_holds_it_and_what_that_probably_is(
    owner, connect, now, name, statement, said
):
    world = scenarios.locked_out(owner, now)
    holder = connect("multica")
    holder.execute("SELECT set_config('application_name', %s, false)", [name])
    with holder.transaction():
        hold_lock(holder)
        if statement:
            holder.execute(statement)
        finding = only(look(world), FindingCode.LOCK_LOST)
    assert f"pid {holder.info.backend_pid}, {name}" in str(finding.summary)
    assert said in str(finding.summary)
    for legitimate in ("a workspace", "codex-usage backfill"):
        assert legitimate in str(finding.advice)


def test_an_idle_session_whose_state_is_hidden_is_not_called_a_leak(owner, connect, now):
    world = scenarios.locked_out(owner, now + 20 * MINUTE)
    hold_lock(connect("multica"))
    assert "this role may not see" in str(only(look(world), FindingCode.LOCK_LOST).summary)


def test_a_lock_that_is_held_at_work_or_made_nobody_wait_is_no_leak(owner, connect, now):
    world = scenarios.locked_out(owner, now)
    busy = connect("multica")
    with busy.transaction():
        hold_lock(busy)
        assert list(shown(look(world))) == [FindingCode.LOCK_LOST]
    world = scenarios.healthy(owner, now)
    assert shown(look(world)) == {}


def test_a_lock_of_another_database_is_not_ours(owner, connect, now):
    world = scenarios.locked_out(owner, now)
    hold_lock(connect("postgres", database="postgres"))
    assert list(shown(look(world))) == [FindingCode.LOCK_LOST]
