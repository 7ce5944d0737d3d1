"""Every statement of an explanation runs, with the rights of the role that it names."""

from __future__ import annotations

import psycopg
import pytest

from executions.health.explain import EXPLANATIONS
from executions.health.explain.explanation import LeastRole

ROLES = {
    LeastRole.VIEWER: "multica_view",
    LeastRole.OWNER: "multica",
    LeastRole.ADMINISTRATOR: "postgres",
}
STATEMENTS = sorted(
    {
        (statement.sql, statement.reader)
        for one in EXPLANATIONS.values()
        for statement in (*one.statements, *(step.statement for step in one.steps))
        if statement is not None
    }
)


def run(connection, sql):
    """Run a statement and take it back."""
    try:
        with connection.transaction(force_rollback=True):
            if sql.startswith("INSERT INTO task_usage_hourly_rollup_state"):
                connection.execute("DELETE FROM task_usage_hourly_rollup_state")
            connection.execute(sql)
    except psycopg.Error as error:
        return error
    return None


@pytest.mark.parametrize(("sql", "reader"), STATEMENTS, ids=lambda value: str(value)[:30])
def test_a_statement_runs_as_the_role_that_it_names(owner, connect, sql, reader):
    assert run(connect(ROLES[reader]), sql) is None


# Anybody may name a process that there is not.
BEYOND = [sql for sql, reader in STATEMENTS if reader is not LeastRole.VIEWER and "(0)" not in sql]


@pytest.mark.parametrize("sql", BEYOND, ids=lambda value: str(value)[:30])
def test_a_statement_that_names_a_higher_role_needs_it(owner, connect, sql):
    refused = run(connect("multica_view"), sql)
    assert isinstance(refused, psycopg.errors.InsufficientPrivilege)
