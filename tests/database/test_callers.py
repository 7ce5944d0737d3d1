"""Who calls the rollup, as PostgreSQL shows it: sessions now, statements since the last reset."""

from __future__ import annotations

import pytest

from executions.reading import fetch_on
from executions.retirement.callers import read_callers
from tests.retiring import ROLLUP


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
    looking.execute("SELECT 'rollup_task_usage_hourly'")  # names it and does not call it
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
