"""The functions that a command calls or defines, and where they lead."""

from __future__ import annotations

import pytest

from executions.health.facts.pg_cron import Match
from executions.pgcron.match import FunctionSource, judge_command
from tests.matching import match, resolve


def sql_function(name, calls, parameters="", schema="public"):
    return FunctionSource(
        schema,
        name,
        "sql",
        f"CREATE FUNCTION {schema}.{name}({parameters}) RETURNS bigint LANGUAGE sql"
        f" AS $f$ SELECT {calls} $f$",
    )


def judged_with(command, *functions):
    def found(schema, name):
        return [one for one in functions if one.name == name and schema in {None, one.schema}]

    return judge_command(command, found, {"public"})


OVERLOADS = (
    sql_function("several", "1", "days int"),
    sql_function("several", "2", "name text"),
    sql_function("several", "rollup_task_usage_hourly()"),
)


@pytest.mark.parametrize("functions", [OVERLOADS, OVERLOADS[::-1]])
def test_every_function_of_a_name_is_followed(functions):
    found = judged_with("SELECT several()", *functions)
    assert found is not None
    assert (found.match, found.via) == (Match.WRAPPED, ("public.several",))


CHAIN = [
    sql_function(name, f"{called}()")
    for name, called in (
        ("a", "b"), ("b", "c"), ("c", "w"), ("w", "z"), ("z", "rollup_task_usage_hourly"),
    )
]  # fmt: skip


@pytest.mark.parametrize("command", ["SELECT a(), w()", "SELECT w(), a()", "SELECT w()"])
def test_a_function_that_was_first_met_at_the_depth_limit_is_followed_from_nearer(command):
    found = judged_with(command, *CHAIN)
    assert found is not None
    assert (found.match, found.functions) == (Match.WRAPPED, ("rollup_task_usage_hourly",))


def test_functions_that_call_each_other_many_times_are_entered_once_for_each_depth():
    entered = []
    maze = {
        name: sql_function(name, " + ".join(f"m{number}()" for number in range(8)))
        for name in (f"m{number}" for number in range(8))
    }

    def found(_schema, name):
        entered.append(name)
        return [maze[name]] if name in maze else []

    assert judge_command("SELECT m0()", found, {"public"}) is None
    assert len(entered) <= 8 * 8 * 4


BY_SQL = "RETURNS bigint LANGUAGE sql AS 'SELECT rollup_task_usage_hourly()'"


BY_PLPGSQL = "LANGUAGE plpgsql AS $$BEGIN n := 1; PERFORM nightly(); END$$"


PUTS_TOGETHER = "LANGUAGE plpgsql AS $$BEGIN EXECUTE 'SELECT rollup_' || n; END$$"


@pytest.mark.parametrize(
    "command",
    [
        f"CREATE FUNCTION pg_temp.f() {BY_SQL}; SELECT pg_temp.f()",
        f"SELECT 1; CREATE FUNCTION pg_temp.f() {BY_SQL}; SELECT pg_temp.f()",
        f"CREATE OR REPLACE PROCEDURE p(n int) {BY_PLPGSQL}; CALL p(1)",
        f"CREATE OR REPLACE PROCEDURE p(n int) {BY_PLPGSQL}; DO $$ BEGIN CALL p(1); END $$",
        "CREATE FUNCTION f() RETURNS bigint BEGIN ATOMIC SELECT nightly(); END; SELECT f()",
        (
            "CREATE FUNCTION f(n bigint DEFAULT rollup_task_usage_hourly()) RETURNS bigint"
            " LANGUAGE sql AS 'SELECT n'; SELECT f()"
        ),
        (
            "CREATE FUNCTION f() RETURNS int LANGUAGE plpython3u"
            " AS $$ plpy.execute('select rollup_task_usage_hourly()') $$; SELECT f()"
        ),
    ],
)
def test_a_command_that_defines_what_it_calls_does_more_than_the_rollup(command):
    found = judge_command(command, resolve, {"public"})
    assert found is not None
    assert (found.match, found.functions) == (Match.MULTIPLE, ("rollup_task_usage_hourly",))


def test_what_a_command_defines_may_be_anything_where_nobody_can_read_it():
    found = judge_command(
        f"CREATE PROCEDURE p(n text) {PUTS_TOGETHER}; CALL p('x')", resolve, {"public"}
    )
    assert found is not None
    assert (found.match, found.functions, found.readable) == (Match.WRAPPED, (), False)


@pytest.mark.parametrize(
    "command",
    [
        f"CREATE FUNCTION f() {BY_SQL}",
        f"BEGIN; CREATE FUNCTION f() {BY_SQL}; COMMENT ON FUNCTION f() IS 'x'; COMMIT",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; SELECT f()",
    ],
)
def test_what_only_defines_a_function_calls_nothing(command):
    """As Multica's own migrations do, which pg_stat_statements shows."""
    assert match(command) is None


@pytest.mark.parametrize(
    "body",
    [
        (
            "BEGIN EXECUTE 'CREATE FUNCTION pg_temp.g() RETURNS bigint LANGUAGE sql"
            " AS $x$SELECT rollup_task_usage_hourly()$x$'; PERFORM pg_temp.g(); END"
        ),
        "DECLARE a int[]; BEGIN a[rollup_task_usage_hourly()] := 1; END",
        "DECLARE a int[]; BEGIN a[nightly()] = 1; END",
        "DECLARE a int[]; BEGIN a[harmless(n => 1)] := rollup_task_usage_hourly(); END",
        "DECLARE a jsonb; BEGIN a['x:=1'] := rollup_task_usage_hourly(); END",
        "DECLARE a int[]; BEGIN a[rollup_task_usage_hourly()] := count(*) FROM task_usage; END",
    ],
)
def test_a_block_hides_no_call_in_what_it_defines_or_assigns_to(body):
    found = judge_command(f"DO $q$ {body} $q$", resolve, {"public"})
    assert found is not None
    assert (found.match, found.functions) == (Match.WRAPPED, ("rollup_task_usage_hourly",))
    assert found.readable


@pytest.mark.parametrize(
    ("language", "body"), [("sql", "SELECT n"), ("plpgsql", "BEGIN RETURN n; END")]
)
def test_what_a_parameter_is_by_default_is_followed_too(language, body):
    definition = (
        "CREATE FUNCTION public.by_default(n bigint DEFAULT rollup_task_usage_hourly())"
        f" RETURNS bigint LANGUAGE {language} AS $f$ {body} $f$"
    )
    function = FunctionSource("public", "by_default", language, definition)
    found = judged_with("SELECT by_default()", function)
    assert found is not None
    assert (found.match, found.via) == (Match.WRAPPED, ("public.by_default",))
