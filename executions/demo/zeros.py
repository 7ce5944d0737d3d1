"""Worlds in which usage pages show zero, one for each cause, and one in which they do not.

They build on `worlds.py`: executions and a state row there, raw usage and buckets here. Each takes
the connection of the tables' owner, expects no usage there, writes its own and returns its
`DayOfPlans`. `alone` lets a world of the demo expect that too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta

from psycopg import sql

from executions.database.connections import Connection
from executions.database.permissions import statements
from executions.database.sql import load
from executions.demo import worlds
from executions.demo.rows import usage
from executions.demo.stage import Stage, let_read, renamed
from executions.demo.worlds import DayOfPlans, on_a_sound_day, sound
from multica_admin.embedded import DATABASE, VIEWER

Made = Callable[[Connection], DayOfPlans]

SQL = load("demo")
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

# What belongs to usage. The workspaces stay: the demo is known by one of them.
_OF_USAGE = (
    "task_usage", "agent_task_queue", "issue", "agent", "agent_runtime", "task_usage_hourly",
    "task_usage_hourly_dirty",
)  # fmt: skip


def alone(made: Made) -> Made:
    """The world with its own usage and no other, also when it is written again."""

    def world_of(owner: Connection) -> DayOfPlans:
        with owner.transaction():
            for table in _OF_USAGE:
                owner.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(table)))
            return made(owner)

    return world_of


def roll(owner: Connection, since: datetime, until: datetime) -> None:
    owner.execute(SQL.build_buckets, {"since": since, "until": until})


def with_buckets(owner: Connection, world: DayOfPlans) -> DayOfPlans:
    """Usage of three hours ago, and its bucket."""
    usage(owner, world.now - 3 * HOUR)
    roll(owner, world.now - DAY, world.now - HOUR)
    return world


def waiting(made: Made) -> Made:
    """The world with usage of half an hour ago, and older usage that has its bucket."""

    def world_of(owner: Connection) -> DayOfPlans:
        world = with_buckets(owner, made(owner))
        usage(owner, world.now - 30 * MINUTE)
        return world

    return world_of


def all_is_well(owner: Connection) -> DayOfPlans:
    return with_buckets(owner, worlds.healthy(owner))


def first_usage(owner: Connection) -> DayOfPlans:
    """The only usage is two minutes old."""
    world = worlds.healthy(owner)
    usage(owner, world.now - 2 * MINUTE)
    return world


def nothing_at_all(owner: Connection) -> DayOfPlans:
    """Tables, and nothing in them that anybody used."""
    return sound(owner, plans=0).write()


def nothing_was_used(owner: Connection) -> DayOfPlans:
    return worlds.healthy(owner)


def dated_past_the_calendar(owner: Connection) -> DayOfPlans:
    """The only usage has times that never come."""
    world = worlds.healthy(owner)
    for created_at in ("infinity", "12026-01-01 UTC"):
        row = usage(owner, world.now - 3 * HOUR)
        owner.execute(
            "UPDATE task_usage SET created_at = %s::timestamptz WHERE id = %s",
            [created_at, row["id"]],
        )
    return world


def never_had_runtimes(owner: Connection) -> DayOfPlans:
    world = worlds.healthy(owner)
    for hours in range(3, 6):
        usage(owner, world.now - hours * HOUR, with_runtime=False)
    return world


def runtime_deleted(owner: Connection) -> DayOfPlans:
    """Multica since v0.4.17: the tasks stay, without their runtime. Its key is still queued."""
    world = all_is_well(owner)
    owner.execute("UPDATE agent_task_queue SET runtime_id = NULL")
    owner.execute("DELETE FROM agent_runtime")
    return world


@on_a_sound_day
def failing(world: DayOfPlans) -> None:
    """Every run of the last two hours failed."""
    world.change(range(24), exhausted=True)
    world.state = {"watermark_at": world.started_at(24) - worlds.DELAY}


@on_a_sound_day
def locked_out_for_hours(world: DayOfPlans) -> None:
    """38 runs in a row found the lock taken, and one plan failed the day before."""
    world.change(240, failed=True)
    world.lose_the_lock(*range(37, -1, -1))
    world.state = {"watermark_at": world.reached_before(0)}


def one_workspace_is_missing(owner: Connection) -> DayOfPlans:
    world = all_is_well(owner)
    usage(owner, world.now - 2 * HOUR)
    return world


def passed_by(owner: Connection) -> DayOfPlans:
    """The watermark is past usage that never got a bucket."""
    world = worlds.healthy(owner)
    usage(owner, world.now - 3 * HOUR)
    return world


def tasks_without_reports(owner: Connection) -> DayOfPlans:
    """Three tasks ran to their end and reported nothing; `multicas_columns` is around it."""
    world = worlds.healthy(owner)
    for minutes in range(3):
        task_ended(owner, world.now - HOUR - minutes * MINUTE)
    return world


def task_ended(owner: Connection, at: datetime) -> None:
    """A task that ran to its end at a time, without usage."""
    row = usage(owner, at)
    owner.execute("DELETE FROM task_usage WHERE id = %s", [row["id"]])
    owner.execute(
        "UPDATE agent_task_queue SET started_at = %s, completed_at = %s WHERE id = %s",
        [at - MINUTE, at, row["task_id"]],
    )


@contextmanager
def multicas_columns(owner: Connection) -> Iterator[None]:
    """Columns that only a Multica has, with what a viewer may read of them."""
    owner.execute("ALTER TABLE workspace ADD COLUMN name text DEFAULT 'Acme'")
    owner.execute(
        "ALTER TABLE agent_task_queue ADD COLUMN started_at timestamptz,"
        " ADD COLUMN completed_at timestamptz"
    )
    printed = statements(VIEWER, "viewer", database=DATABASE, cron_database=DATABASE)
    for statement in printed:
        if statement.startswith("GRANT SELECT") and any(
            table in statement for table in ('public."workspace"', 'public."agent_task_queue"')
        ):
            owner.execute(statement.encode())
    try:
        yield
    finally:
        owner.execute("ALTER TABLE workspace DROP COLUMN name")
        owner.execute(
            "ALTER TABLE agent_task_queue DROP COLUMN started_at, DROP COLUMN completed_at"
        )
        let_read(owner)


# What a Multica before v0.3.5 lacks.
_OF_ROLLUP = (
    "sys_cron_executions", "task_usage_hourly", "task_usage_hourly_rollup_state",
    "task_usage_hourly_dirty",
)  # fmt: skip


@contextmanager
def without_tables(owner: Connection, *tables: str) -> Iterator[None]:
    with ExitStack() as until_judged:
        for number, table in enumerate(tables):
            until_judged.enter_context(renamed(owner, table, f"set_aside_{number}"))
        yield


@contextmanager
def before_the_rollup(stage: Stage) -> Iterator[None]:
    """Raw usage, and no table of the rollup's. The world of it is `unwritten`."""
    alone(passed_by)(stage.owner)
    with without_tables(stage.owner, *_OF_ROLLUP):
        yield


def unwritten(owner: Connection) -> DayOfPlans:
    """A world that is never written, for scenarios without the tables."""
    return sound(owner, plans=0)


@contextmanager
def schema_out_of_reach(stage: Stage) -> Iterator[None]:
    """The dashboard's role may not use the schema of Multica's tables."""
    role = sql.Identifier(VIEWER)
    enter = sql.SQL("USAGE ON SCHEMA public")
    stage.superuser.execute(sql.SQL("REVOKE {} FROM PUBLIC, {}").format(enter, role))
    try:
        yield
    finally:
        stage.superuser.execute(sql.SQL("GRANT {} TO PUBLIC").format(enter))
