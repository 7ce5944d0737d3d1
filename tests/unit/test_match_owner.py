"""The function that a name without a schema means to the owner of a job."""

from __future__ import annotations

import pytest

from executions.health.facts.pg_cron import Match
from executions.pgcron.match import FunctionSource, judge_command
from tests.matching import match

NAMESAKE = FunctionSource(
    "reporting",
    "rollup_task_usage_hourly",
    "sql",
    "CREATE FUNCTION reporting.rollup_task_usage_hourly() RETURNS int LANGUAGE sql AS 'SELECT 1'",
)


LEADING_ON = FunctionSource(
    "reporting",
    "rollup_task_usage_hourly",
    "sql",
    "CREATE FUNCTION reporting.rollup_task_usage_hourly() RETURNS bigint LANGUAGE sql"
    " AS 'SELECT public.rollup_task_usage_hourly()'",
)


def for_owner(command, meaning, function=NAMESAKE):
    def found(schema, name):
        return [function] if (schema, name) == (function.schema, function.name) else []

    return judge_command(command, found, {"public"}, meaning)


@pytest.mark.parametrize(
    ("meaning", "namesake"), [("reporting", "reporting.rollup_task_usage_hourly"), ("", "")]
)
@pytest.mark.parametrize(
    "command",
    [
        "SELECT rollup_task_usage_hourly()",
        "SELECT * FROM Rollup_Task_Usage_Hourly() AS r",
        "SET work_mem = '64MB'; SELECT rollup_task_usage_hourly()",
        "SET search_path = public; RESET search_path; SELECT rollup_task_usage_hourly()",
        "SET search_path = public; RESET ALL; SELECT rollup_task_usage_hourly()",
        "SELECT rollup_task_usage_hourly(); SET search_path = public",
    ],
)
def test_a_bare_name_is_what_it_means_to_the_jobs_owner(command, meaning, namesake):
    found = for_owner(command, meaning)
    assert found is not None
    assert (found.match, found.functions, found.namesake) == (Match.MULTIPLE, (), namesake)
    assert (found.leads_there, found.misses_it) == (False, True)


@pytest.mark.parametrize(
    ("command", "meaning"),
    [
        ("SELECT rollup_task_usage_hourly()", "public"),
        ("SELECT rollup_task_usage_hourly()", None),
        ("SELECT public.rollup_task_usage_hourly()", "reporting"),
        ("SET search_path = public; SELECT rollup_task_usage_hourly()", "reporting"),
    ],
)
def test_what_means_multicas_function_to_its_owner_is_exact(command, meaning):
    found = for_owner(command, meaning)
    assert found is not None
    assert (found.match, found.namesake) == (Match.EXACT, None)


def test_a_namesake_that_leads_to_the_rollup_is_a_wrapper():
    found = for_owner("SELECT rollup_task_usage_hourly()", "reporting", LEADING_ON)
    assert found is not None
    assert (found.match, found.functions) == (Match.WRAPPED, ("rollup_task_usage_hourly",))
    assert found.misses_it is False


@pytest.mark.parametrize(
    "change", ["SET ROLE other", "SET LOCAL ROLE other", "SET SESSION AUTHORIZATION other"]
)
def test_to_another_role_a_bare_name_may_be_something_else(change):
    assert match(f"{change}; SELECT rollup_task_usage_hourly()") is Match.MULTIPLE
    assert match(f"{change}; SELECT public.rollup_task_usage_hourly()") is Match.EXACT
