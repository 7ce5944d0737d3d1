"""How a command leads to the rollup: every spelling, and every way to hide."""

from __future__ import annotations

import pytest

from executions.health.facts.pg_cron import Match
from executions.pgcron.match import judge_command, resolve_nothing
from tests.matching import match, resolve


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
