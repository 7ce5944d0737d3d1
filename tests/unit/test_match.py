"""How a command leads to the rollup: every spelling, and every way to hide."""

from __future__ import annotations

import pytest

from executions.health.facts.pg_cron import Match
from executions.pgcron.match import FunctionSource, judge_command, resolve_nothing

FUNCTIONS = {
    name: FunctionSource("public", name, language, f"CREATE FUNCTION public.{name}() {rest}")
    for name, language, rest in (
        (
            "nightly",
            "plpgsql",
            """RETURNS bigint LANGUAGE plpgsql AS $f$
               BEGIN RETURN rollup_task_usage_hourly(); END $f$""",
        ),
        ("outer_one", "sql", "RETURNS bigint LANGUAGE sql AS $f$ SELECT nightly() $f$"),
        (
            "atomic_one",
            "sql",
            "RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT rollup_task_usage_hourly(); END",
        ),
        ("ping", "sql", "RETURNS bigint LANGUAGE sql AS $f$ SELECT pong() $f$"),
        ("pong", "sql", "RETURNS bigint LANGUAGE sql AS $f$ SELECT ping() $f$"),
        (
            "in_python",
            "plpython3u",
            """RETURNS int LANGUAGE plpython3u AS $f$
               plpy.execute('select rollup_task_usage_hourly()') $f$""",
        ),
        (
            "odd_dialect",
            "plpgsql",
            "RETURNS int LANGUAGE plpgsql AS $f$ BEGIN !! rollup_task_usage_hourly(); END $f$",
        ),
        ("evil", "sql", "RETURNS int LANGUAGE sql AS $f$ SELECT 1 $f$"),
        (
            "composing",
            "plpgsql",
            """RETURNS void LANGUAGE plpgsql AS $f$ DECLARE job text := 'task_usage_hourly()';
               BEGIN EXECUTE 'SELECT rollup_' || job; END $f$""",
        ),
        ("harmless", "sql", "RETURNS int LANGUAGE sql AS $f$ SELECT 1 $f$"),
    )
} | {
    f"deep{depth}": FunctionSource(
        "public",
        f"deep{depth}",
        "sql",
        f"CREATE FUNCTION public.deep{depth}() RETURNS bigint LANGUAGE sql"
        f" AS $f$ SELECT {'rollup_task_usage_hourly' if depth == 1 else f'deep{depth - 1}'}() $f$",
    )
    for depth in range(1, 30)
}


def resolve(schema, name):
    return [FUNCTIONS[name]] if name in FUNCTIONS and schema in {None, "public"} else []


def match(command):
    found = judge_command(command, resolve, {"public"})
    return found and found.match


@pytest.mark.parametrize(
    "command",
    [
        "SELECT rollup_task_usage_hourly()",
        "select rollup_task_usage_hourly();",
        "SELECT * FROM rollup_task_usage_hourly()",
        "SELECT r FROM rollup_task_usage_hourly() AS r",
        "SELECT 1 FROM public.rollup_task_usage_hourly()",
        "  sElEcT\n\tPUBLIC . Rollup_Task_Usage_Hourly ( ) ; ",
        'SELECT "public"."rollup_task_usage_hourly"() AS rows',
        'SELECT multica.public."rollup_task_usage_hourly"()::text',
        "/* the rollup */ SELECT -- really\n rollup_task_usage_hourly()",
        "SET statement_timeout = '10min'; SELECT rollup_task_usage_hourly()",
        "SET a.b = 1; SET LOCAL work_mem TO '64MB'; RESET a.b; SELECT rollup_task_usage_hourly();",
        'SELECT U&"rollup\\005ftask_usage_hourly"()',
        "SELECT a.* FROM rollup_task_usage_hourly() a",
        "SELECT rollup_task_usage_hourly()::bigint::varchar(20)",
        "SET search_path = pg_catalog, public, decoy; SELECT rollup_task_usage_hourly()",
        "SET search_path = decoy; SELECT public.rollup_task_usage_hourly()",
        "RESET search_path; SELECT rollup_task_usage_hourly()",
        "SET search_path TO DEFAULT; SELECT rollup_task_usage_hourly()",
    ],
)
def test_one_call_however_spelled_is_exact(command):
    assert match(command) is Match.EXACT


@pytest.mark.parametrize(
    "command",
    [
        "SELECT rollup_task_usage_hourly(); VACUUM task_usage",
        "SELECT rollup_task_usage_hourly(); SELECT rollup_task_usage_hourly()",
        "BEGIN; SELECT rollup_task_usage_hourly(); COMMIT",
        "SELECT rollup_task_usage_hourly(), purge_everything()",
        "SELECT rollup_task_usage_hourly() WHERE false",
        "SELECT rollup_task_usage_hourly() FROM generate_series(1, 3)",
        "SELECT * FROM rollup_task_usage_hourly(), task_usage",
        "SELECT log_it(r) FROM rollup_task_usage_hourly() AS r",
        "SELECT rollup_task_usage_hourly() LIMIT 0",
        "SELECT rollup_task_usage_hourly() UNION SELECT 1",
        "WITH done AS (SELECT rollup_task_usage_hourly()) SELECT 1",
        "INSERT INTO log SELECT rollup_task_usage_hourly()",
        "SELECT rollup_task_usage_hourly() INTO kept",
        "SELECT rollup_task_usage_hourly(1)",
        "SELECT keep(rollup_task_usage_hourly())",
        "CALL rollup_task_usage_hourly()",
        "EXPLAIN ANALYZE SELECT rollup_task_usage_hourly()",
        "SELECT nightly(); SELECT 1",
        "SELECT rollup_task_usage_daily(); SELECT rollup_task_usage_hourly()",
        "SELECT * FROM ROWS FROM (rollup_task_usage_hourly(), nightly())",
        "SELECT a.evil FROM rollup_task_usage_hourly() a",
        "SELECT rollup_task_usage_hourly()::evil",
        "SELECT rollup_task_usage_hourly()::decoy.text",
        "SELECT * FROM rollup_task_usage_hourly(), LATERAL (SELECT 1) AS beside",
    ],
)
def test_a_command_that_does_other_things_as_well_is_multiple(command):
    assert match(command) is Match.MULTIPLE


@pytest.mark.parametrize(
    "command",
    [
        "DO $$ BEGIN PERFORM rollup_task_usage_hourly(); END $$",
        "DO LANGUAGE plpgsql 'BEGIN PERFORM public.rollup_task_usage_hourly(); END'",
        "DO $$ DECLARE n bigint; BEGIN n := rollup_task_usage_hourly(); END $$",
        "DO $$ DECLARE n bigint := rollup_task_usage_hourly(); BEGIN NULL; END $$",
        "DO $$ BEGIN IF true THEN LOOP PERFORM nightly(); EXIT; END LOOP; END IF; END $$",
        "DO $$ BEGIN EXECUTE 'SELECT rollup_task_usage_hourly()'; END $$",
        "DO $$ BEGIN EXECUTE format('SELECT %I()', 'rollup_task_usage_hourly'); END $$",
        "DO $$ BEGIN EXECUTE 'SELECT nightly()'; END $$",
        "DO $$ DECLARE n bigint; BEGIN FOR n IN EXECUTE 'SELECT nightly()' LOOP END LOOP; END $$",
        "DO $$ BEGIN PERFORM rollup_task_usage_hourly_window(now(), now()); END $$",
        "SELECT nightly()",
        "SELECT * FROM public.nightly()",
        "SELECT outer_one()",
        "SELECT atomic_one()",
        "SELECT in_python()",
        "SELECT odd_dialect()",
        "SELECT dblink_exec('dbname=multica', 'SELECT rollup_task_usage_hourly()')",
        "SELECT cron.schedule('x', '* * * * *', 'SELECT rollup_task_usage_hourly()')",
    ],
)
def test_what_reaches_the_rollup_some_other_way_is_wrapped(command):
    assert match(command) is Match.WRAPPED


@pytest.mark.parametrize(
    "command",
    [
        "SELECT rollup_task_usage_hourly_window(now() - interval '1 hour', now())",
        "SET a.b = 1; SELECT * FROM public.ROLLUP_task_usage_hourly_window(now(), now())",
    ],
)
def test_a_call_of_the_window_function_is_window(command):
    assert match(command) is Match.WINDOW


@pytest.mark.parametrize("name", ["rollup_task_usage_daily", "rollup_task_usage_dashboard_daily"])
def test_a_call_of_a_removed_daily_function_is_legacy_and_says_which(name):
    found = judge_command(f"select {name.upper()}()", resolve)
    assert found is not None
    assert (found.match, found.legacy_function) == (Match.LEGACY, name)


@pytest.mark.parametrize(
    "command",
    [
        "SELECT 1",
        "VACUUM task_usage_hourly",
        "-- SELECT rollup_task_usage_hourly()\nSELECT 1",
        "SELECT 'rollup_task_usage_hourly'",
        'SELECT "Rollup_Task_Usage_Hourly"()',
        "SELECT rollup_task_usage_hourly FROM figures",
        "SELECT my_rollup_task_usage_hourly()",
        "SELECT rollup_task_usage_hourly_lag()",
        "SELECT harmless()",
        "SELECT ping()",
        "SELECT count(*) FROM task_usage_hourly",
        "this is no SQL",
        "",
        ";",
    ],
)
def test_what_does_not_lead_to_the_rollup_is_none_of_it(command):
    assert match(command) is None


def test_a_command_that_cannot_be_parsed_but_names_the_rollup_is_not_lost():
    found = judge_command("SELEC rollup_task_usage_hourly(", resolve)
    assert found is not None
    assert (found.match, found.readable) == (Match.WRAPPED, False)
    assert found.functions == ("rollup_task_usage_hourly",)


def test_the_way_through_functions_is_told():
    found = judge_command("SELECT outer_one()", resolve)
    assert found is not None
    assert found.via == ("public.outer_one", "public.nightly")


def test_functions_are_followed_to_a_bounded_depth_only():
    asked = []

    def counting(schema, name):
        asked.append(name)
        return resolve(schema, name)

    assert match("SELECT deep4()") is Match.WRAPPED
    assert judge_command("SELECT deep29()", counting) is None
    assert len(asked) <= 5


def test_a_namesake_in_another_schema_is_followed_and_not_taken_for_the_rollup():
    assert match("SELECT other.rollup_task_usage_hourly()") is None
    assert (
        judge_command("SELECT multica.rollup_task_usage_hourly()", resolve, {"multica"}) is not None
    )
    unknown_home = judge_command("SELECT anywhere.rollup_task_usage_hourly()", resolve_nothing)
    assert unknown_home is not None
    assert unknown_home.match is Match.EXACT


@pytest.mark.parametrize(
    ("match_value", "retired"),
    [("exact", True), ("legacy", True), ("wrapped", False), ("window", False), ("multiple", False)],
)
def test_only_exact_and_legacy_jobs_are_retired_by_the_wizard(match_value, retired):
    assert Match(match_value).retired_by_the_wizard is retired


def test_a_block_that_holds_dollar_quotes_of_its_own_is_read():
    body = "BEGIN EXECUTE $block$SELECT rollup_task_usage_hourly()$block$; END"
    assert match(f"DO $outer${body}$outer$") is Match.WRAPPED


@pytest.mark.parametrize(
    "path",
    [
        "SET search_path = decoy",
        "SET search_path = decoy, public",
        "SET LOCAL search_path TO pg_catalog, decoy",
        "SET SCHEMA 'decoy'",
        "SET \"SEARCH_PATH\" = 'decoy'",
        "SET search_path = ''",
        "SET search_path = decoy; RESET search_path",
    ],
)
@pytest.mark.parametrize("name", ["rollup_task_usage_hourly", "rollup_task_usage_daily"])
def test_a_bare_name_is_nobody_knows_whose_once_the_search_path_was_moved(path, name):
    found = judge_command(f"{path}; SELECT {name}()", resolve, {"public"})
    assert found is not None
    assert (found.match, found.functions) == (Match.MULTIPLE, (name,))


def test_a_moved_search_path_makes_a_bare_type_doubtful_too():
    moved = "SET search_path = decoy, pg_catalog; SELECT public.rollup_task_usage_hourly()"
    assert match(f"{moved}::text") is Match.MULTIPLE
    assert match(f"{moved}::pg_catalog.text") is Match.EXACT


PUT_TOGETHER = [
    "DO $$ BEGIN EXECUTE 'SELECT rollup_' || 'task_usage_hourly()'; END $$",
    "DO $$ DECLARE s text := 'SELECT rollup_'; BEGIN s := s || 'x()'; EXECUTE s; END $$",
    "DO $$ DECLARE n int; BEGIN FOR n IN EXECUTE reverse(')(x') LOOP END LOOP; END $$",
    "DO $$ DECLARE c refcursor; BEGIN OPEN c FOR EXECUTE format('SELECT %s()', 'x'); END $$",
    "DO $$ BEGIN EXECUTE (SELECT command FROM commands); END $$",
    "DO $$ BEGIN EXECUTE 'DROP TABLE old'; EXECUTE 'SELECT ' || 'x()'; END $$",
    "SELECT composing()",
    "SELECT composing(); SELECT 1",
]


@pytest.mark.parametrize("command", PUT_TOGETHER)
def test_text_that_is_put_together_as_it_runs_may_be_anything_and_nobody_says_that_it_is_not(
    command,
):
    found = judge_command(command, resolve, {"public"})
    assert found is not None
    assert (found.match, found.readable) == (Match.WRAPPED, False)
    assert (found.functions, found.leads_there) == ((), False)
    assert found.via[-1] == "text that is put together as it runs"


def test_what_is_read_beside_such_text_is_told_with_it():
    found = judge_command(
        "DO $$ BEGIN PERFORM nightly(); EXECUTE 'SELECT ' || 'x()'; END $$", resolve
    )
    assert found is not None
    assert (found.match, found.readable) == (Match.WRAPPED, False)
    assert found.functions == ("rollup_task_usage_hourly",)


@pytest.mark.parametrize(
    "text",
    [
        "'VACUUM task_usage'",
        "'SELECT harmless()'",
        "'DROP TABLE ' || quote_ident('part_' || day)",
        "format('ALTER TABLE %I DETACH PARTITION %I', parent, child)",
        "pg_catalog.format('analyze %I', name)",
    ],
)
def test_maintenance_that_is_put_together_is_not_taken_for_a_call(text):
    assert match(f"DO $$ BEGIN EXECUTE {text}; END $$") is None


def nested(depth, inner):
    return f"DO $$ BEGIN {'IF true THEN ' * depth}{inner}{' END IF;' * depth} END $$"


def test_a_deeply_nested_block_is_read_like_any_other():
    found = judge_command(nested(240, "PERFORM rollup_task_usage_hourly();"), resolve)
    assert found is not None
    assert (found.match, found.readable) == (Match.WRAPPED, True)
    assert match(nested(240, "PERFORM harmless();")) is None


def test_blocks_within_blocks_are_followed_to_a_bounded_depth_and_not_lost_below_it():
    command = "SELECT rollup_task_usage_hourly();"
    for depth in range(40):
        command = f"DO $b{depth}$ BEGIN {command.replace('SELECT', 'PERFORM')} END $b{depth}$;"
    found = judge_command(command, resolve)
    assert found is not None
    assert (found.match, found.functions) == (Match.WRAPPED, ("rollup_task_usage_hourly",))


# Given to the parser the first two of these end the process that asks.
TOO_MUCH = {
    "sum": "SELECT 1" + "+1" * 200_000,
    "union": "SELECT 1 UNION " * 20_000 + "SELECT 1",
    "blocks": nested(700, "PERFORM nightly();"),
}


@pytest.mark.parametrize("command", TOO_MUCH.values(), ids=TOO_MUCH)
def test_what_is_too_much_to_read_raises_nothing_and_may_be_anything(command):
    found = judge_command(command, resolve)
    assert found is not None
    assert (found.match, found.functions, found.readable) == (Match.WRAPPED, (), False)


@pytest.mark.parametrize("command", TOO_MUCH.values(), ids=TOO_MUCH)
def test_a_name_in_what_is_too_much_to_read_is_told(command):
    found = judge_command(f"{command}; SELECT rollup_task_usage_hourly()", resolve)
    assert found is not None
    assert not found.match.retired_by_the_wizard
    assert (found.functions, found.readable) == (("rollup_task_usage_hourly",), False)


def test_a_function_that_would_overflow_the_parser_is_not_given_to_it_either():
    def overflowing(_schema, name):
        body = f"BEGIN RETURN {TOO_MUCH['sum']}; PERFORM rollup_task_usage_hourly(); END"
        definition = f"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $f$ {body} $f$"
        return [FunctionSource("public", name, "plpgsql", definition)]

    found = judge_command("SELECT f()", overflowing)
    assert found is not None
    assert (found.match, found.readable) == (Match.WRAPPED, False)


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
