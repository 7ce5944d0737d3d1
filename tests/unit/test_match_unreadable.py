"""Commands that nobody can read whole: text put together, nesting, too much of it."""

from __future__ import annotations

import pytest

from executions.health.facts.pg_cron import Match
from executions.pgcron.match import FunctionSource, judge_command
from tests.matching import match, resolve

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
