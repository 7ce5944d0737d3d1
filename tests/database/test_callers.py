"""Who calls the rollup, as PostgreSQL shows it: sessions now, statements since the last reset."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from executions.database.reading import fetch_for_dashboard, fetch_on
from executions.database.sql import load
from executions.retirement.callers import read_callers
from executions.rollup.watermark import roll_up
from tests.retiring import ROLLUP

BACKFILL, HEALTH = load("backfill"), load("health")
THE_ROLLUP = {
    "job": "rollup_task_usage_hourly",
    "scope_kind": "global",
    "scope_id": "global",
    "since": datetime(2000, 1, 1, tzinfo=UTC),
    "most": 1,
}


@pytest.fixture
def statements(superuser):
    superuser.execute("CREATE EXTENSION pg_stat_statements")
    superuser.execute("SELECT pg_stat_statements_reset()")
    yield
    superuser.execute("DROP EXTENSION pg_stat_statements")


def test_a_session_that_calls_the_rollup_is_named(superuser, connect):
    caller = connect("multica", options="-c statement_timeout=60s")
    caller.execute("SET application_name = 'nightly cron'")
    caller.execute(f"/* by cron */ {ROLLUP}")
    looking = connect("multica")
    looking.execute("SELECT 'rollup_task_usage_hourly'")  # names the rollup but does not call it
    found = read_callers(fetch_on(superuser))
    assert found.all_sessions
    [session] = [one for one in found.sessions if one.application_name == "nightly cron"]
    assert (session.pid, session.user, session.state) == (
        caller.info.backend_pid, "multica", "idle",
    )  # fmt: skip
    assert looking.info.backend_pid not in {one.pid for one in found.sessions}


def test_a_session_of_which_nobody_can_tell_what_it_runs_is_not_said_to_call_the_rollup(
    superuser, connect
):
    caller = connect("multica")
    caller.execute("DO $$ BEGIN EXECUTE 'SELECT ' || 1; END $$ -- no rollup_task_usage_hourly")
    found = read_callers(fetch_on(superuser))
    assert caller.info.backend_pid not in {one.pid for one in found.sessions}


@pytest.mark.django_db(databases=["default", "multica"], transaction=True)
def test_our_own_readers_are_no_callers(superuser):
    fetch_for_dashboard(HEALTH.executions_of_scope, THE_ROLLUP)
    read = superuser.execute(
        "SELECT pid, length(query) AS shown FROM pg_stat_activity"
        " WHERE application_name = 'multica-admin' AND query ILIKE '%rollup_task_usage%'"
    ).fetchall()
    assert 1023 in {row["shown"] for row in read}  # the server keeps no more of a statement
    pids = {one.pid for one in read_callers(fetch_on(superuser)).sessions}
    assert not pids & {row["pid"] for row in read}


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT to_regprocedure('rollup_task_usage_hourly()')",
        "SELECT 'rollup_task_usage_hourly()'::regprocedure",
        "SELECT 'SELECT rollup_task_usage_hourly()' AS what_to_schedule",
        f"{ROLLUP} AS rows, {', '.join(['1'] * 1000)}",  # cut before its end
    ],
)
def test_a_session_that_only_names_the_rollup_or_is_cut_short_is_no_caller(
    superuser, connect, statement
):
    looking = connect("multica")
    looking.execute(statement)
    assert looking.info.backend_pid not in {
        one.pid for one in read_callers(fetch_on(superuser)).sessions
    }


@pytest.mark.parametrize("name", ["multica-admin", "multica-admin runner"])
def test_a_caller_with_our_name_is_a_caller_and_our_runner_is_none(superuser, connect, name):
    caller, ours = connect("multica"), connect("multica")
    for session in (caller, ours):
        session.execute("SELECT set_config('application_name', %s, false)", [name])
    caller.execute(ROLLUP)
    roll_up(ours)
    pids = {one.pid for one in read_callers(fetch_on(superuser)).sessions}
    assert caller.info.backend_pid in pids
    assert ours.info.backend_pid not in pids


def test_our_backfill_is_no_caller(superuser, connect):
    ours = connect("multica")
    past = datetime(2000, 1, 1, tzinfo=UTC)
    ours.execute(BACKFILL.roll_up_slice, {"since": past, "until": past})
    pids = {one.pid for one in read_callers(fetch_on(superuser)).sessions}
    assert ours.info.backend_pid not in pids


def test_a_role_that_may_not_see_other_queries_is_told_that_it_does_not(connect, owner):
    owner.execute(ROLLUP)
    found = read_callers(fetch_on(connect("multica_view")))
    assert not found.all_sessions
    assert found.sessions == ()
    assert found.statements is None


def test_statements_are_counted_where_the_extension_is(statements, superuser, owner):
    for _ in range(3):
        owner.execute(ROLLUP)
    found = read_callers(fetch_on(superuser))
    assert found.statements is not None
    assert [(one.user, one.query, one.calls) for one in found.statements] == [
        ("multica", ROLLUP, 3)
    ]


def test_without_the_extension_statements_are_unknown_and_not_none(superuser):
    assert read_callers(fetch_on(superuser)).statements is None


def test_an_extension_that_the_server_does_not_load_is_unknown_too(statements, superuser):
    fetch = fetch_on(superuser)

    def not_loaded(statement, parameters):
        if "pg_stat_statements\n" in statement:
            superuser.execute("SELECT 1 / 0")
        return fetch(statement, parameters)

    assert read_callers(not_loaded).statements is None
