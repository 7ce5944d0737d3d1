"""Functions in memory that a command may call, and how a command is judged."""

from __future__ import annotations

from executions.pgcron.match import FunctionSource, judge_command

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
