"""The start names what Multica's database lacks and what our role may not read."""

from __future__ import annotations

import io
from datetime import timedelta

import psycopg
import pytest
from django.core.management import call_command
from django.db import connections
from psycopg import sql

from executions.database.checks import find_gaps
from executions.database.permissions import READ
from executions.database.reading import fetch_on
from executions.database.sql import load
from executions.models import Execution
from tests.rights import let_read


@pytest.fixture
def gaps(upstream, connect):
    """Breaks the database by statements of its owner's, and asks as the reading role."""

    def after(*statements):
        for statement in statements:
            upstream.execute(statement)
        found = find_gaps(fetch_on(connect("multica_view", database="upstream")))
        return [str(gap) for gap in found]

    return after


def read_tables():
    return set(READ)


# The dashboard's own. What first_migration reads, first_usage has looked at before.
ASKED = [
    (source, name)
    for source, names in {
        "health": set(load("health")) - {"first_migration"},
        "history": load("history"),
        "rollup": load("rollup"),
        "watermark": {"read"},
        # What tasks and workspaces have only in a Multica, the dashboard can do without.
        "usage": set(load("usage")) - {"tasks", "workspace_names"},
    }.items()
    for name in names
]


def may_ask_everything(reader):
    """Whether the role may send every named query of the dashboard's, by PostgreSQL's own word."""
    asking = psycopg.ClientCursor(reader)
    for source, name in ASKED:
        try:
            asking.execute(f"EXPLAIN {getattr(load(source), name)}", ANYTHING)
        except psycopg.errors.InsufficientPrivilege:
            return False
    return True


class Nulls(dict):
    """NULL for every other parameter: what may be read does not depend on them."""

    def __missing__(self, _name):
        return None


# Subtracted from a time, which a bare NULL might be too.
ANYTHING = Nulls(allowance=timedelta(), lately=timedelta())


def test_what_is_looked_for_is_what_the_named_queries_read_and_nothing_else(upstream, connect):
    right = sql.SQL("{} SELECT ({}) ON {} {} multica_view")

    def change(verb, preposition, table, column):
        upstream.execute(
            right.format(
                sql.SQL(verb), sql.Identifier(column), sql.Identifier(table), sql.SQL(preposition)
            )
        )

    reader = connect("multica_view", database="upstream")
    assert may_ask_everything(reader)
    for table, columns in READ.items():
        if table == Execution._meta.db_table:
            continue
        for column in columns:
            change("REVOKE", "FROM", table, column)
            assert not may_ask_everything(reader), f"nothing reads {table}.{column}"
            change("GRANT", "TO", table, column)


def test_of_an_execution_everything_is_read():
    columns = {field.column for field in Execution._meta.concrete_fields}
    assert set(READ[Execution._meta.db_table]) == columns


@pytest.mark.parametrize("table", READ)
def test_each_table_that_is_read_is_looked_for(gaps, table):
    (gap,) = gaps(f"REVOKE SELECT ON {table} FROM multica_view")
    assert f" of {table}: let an administrator" in gap


def test_a_database_of_multicas_has_no_gaps(gaps):
    assert gaps() == []


def test_a_column_without_a_right_is_named(gaps):
    (gap,) = gaps("REVOKE SELECT (id) ON task_usage_hourly_rollup_state FROM multica_view")
    assert gap == (
        "The role multica_view may not read id of task_usage_hourly_rollup_state:"
        " let an administrator run the statements that"
        " “manage.py permissions --role multica_view --as viewer” prints."
    )


@pytest.mark.django_db(databases=["default", "multica"], transaction=True)
def test_a_database_that_is_away_is_told_by_check_too(monkeypatch, tmp_path):
    connections["multica"].close_pool()
    elsewhere = connections["multica"].settings_dict | {"HOST": str(tmp_path)}
    elsewhere["OPTIONS"] = elsewhere["OPTIONS"] | {"pool": {"min_size": 1, "timeout": 0.2}}
    monkeypatch.setattr(connections["multica"], "settings_dict", elsewhere)
    said = io.StringIO()
    call_command("check", databases=["multica"], stdout=said, stderr=said)
    connections["multica"].close()
    connections["multica"].close_pool()
    assert "executions.W001" in said.getvalue()


def test_a_missing_table_is_one_sentence(gaps):
    (gap,) = gaps("DROP TABLE sys_cron_executions")
    assert gap.startswith("There is no table sys_cron_executions: check that DATABASE_URL")


def test_missing_columns_of_a_table_are_one_sentence(gaps):
    (gap,) = gaps(
        "ALTER TABLE sys_cron_executions DROP COLUMN error_code, DROP COLUMN runner_id CASCADE"
    )
    assert gap.startswith("The table sys_cron_executions lacks runner_id, error_code:")


def test_each_table_has_a_sentence_of_its_own(gaps):
    found = gaps(
        "DROP TABLE task_usage_hourly_rollup_state",
        "REVOKE SELECT ON sys_cron_executions FROM multica_view",
    )
    assert [gap.split(" ")[0] for gap in found] == ["The", "There"]
    assert "may not read id, job_name, " in found[0]


def test_a_schema_that_is_closed_to_the_role_is_told_from_a_missing_table(gaps, connect):
    connect("postgres", database="upstream").execute("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    (gap,) = gaps()
    for table in read_tables():
        assert f" {table}" in gap
    assert gap.count("GRANT USAGE ON SCHEMA public TO multica_view") == 1


def test_a_schema_that_is_not_searched_is_one_sentence_for_all_its_tables(gaps):
    (gap,) = gaps(
        "CREATE SCHEMA multica",
        "GRANT USAGE ON SCHEMA multica TO multica_view",
        "ALTER TABLE sys_cron_executions SET SCHEMA multica",
        "ALTER TABLE task_usage SET SCHEMA multica",
    )
    assert gap.startswith("The schema multica, which has sys_cron_executions, task_usage, is not")


def test_a_table_in_a_closed_schema_is_told_by_itself(gaps):
    (gap,) = gaps("CREATE SCHEMA multica", "ALTER TABLE sys_cron_executions SET SCHEMA multica")
    assert gap.startswith(
        "The role multica_view may not use the schema multica, which has sys_cron"
    )


def test_a_schema_that_is_not_searched_is_told_from_a_missing_table(gaps, upstream):
    (gap,) = gaps(
        "CREATE SCHEMA multica",
        "GRANT USAGE ON SCHEMA multica TO multica_view",
        "ALTER TABLE sys_cron_executions SET SCHEMA multica",
    )
    assert "multica, which has sys_cron_executions, is not on the search_path" in gap


HIDE = "ALTER TABLE sys_cron_executions ENABLE ROW LEVEL SECURITY"
SHOW = "CREATE POLICY p ON sys_cron_executions FOR SELECT TO {} USING ({})"


@pytest.mark.parametrize("table", sorted(read_tables()))
def test_rows_that_row_security_hides_are_one_sentence_for_each_table(gaps, table):
    (gap,) = gaps(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    assert gap.startswith(f"Row security hides rows of {table} from the role multica_view,")
    assert "BYPASSRLS" in gap


def test_row_security_is_no_gap_for_a_role_with_a_policy_to_see_every_row(gaps):
    assert gaps(HIDE, SHOW.format("multica_view", "true")) == []


@pytest.mark.parametrize(
    "policy",
    [
        SHOW.format("multica_view", "attempt = 1"),
        SHOW.format("upstream_owner", "true"),
        SHOW.format("multica_view", "true")
        + "; CREATE POLICY q ON sys_cron_executions AS RESTRICTIVE USING (attempt = 1)",
    ],
)
def test_a_policy_that_may_hide_rows_is_a_gap(gaps, policy):
    (gap,) = gaps(HIDE, policy)
    assert gap.startswith("Row security hides rows of sys_cron_executions")


@pytest.mark.django_db(databases=["default", "multica"], transaction=True)
def test_the_same_is_told_by_check(owner):
    def check():
        said = io.StringIO()
        call_command("check", databases=["multica"], stdout=said, stderr=said)
        return said.getvalue()

    assert "executions." not in check()
    owner.execute("REVOKE SELECT ON sys_cron_executions FROM multica_view")
    try:
        assert "executions.W002" in check()
        assert "multica_view may not read" in check()
    finally:
        let_read(owner)
