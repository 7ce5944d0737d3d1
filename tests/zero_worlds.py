"""Worlds in which usage pages show zero, one for each cause, and worlds in which they do not.

Each takes the owner's connection, writes to PostgreSQL and returns its `World`. They build on the
worlds of `scenarios.py`: executions and a state row there, raw usage and buckets here.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta

from executions.database.connections import Connection
from executions.health.diagnosis.look import CauseCode
from tests import scenarios
from tests.factories import usage
from tests.near_misses import renamed
from tests.scenarios import World, sound

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def roll(connection: Connection, since: datetime, until: datetime) -> None:
    connection.execute("SELECT rollup_task_usage_hourly_window(%s, %s)", [since, until])


def with_buckets(connection: Connection, world: World) -> World:
    """Usage of three hours ago, and its bucket."""
    usage(connection, world.now - 3 * HOUR)
    roll(connection, world.now - DAY, world.now - HOUR)
    return world


def all_is_well(connection: Connection) -> World:
    return with_buckets(connection, scenarios.healthy(connection))


def all_is_well_and_more_comes(connection: Connection) -> World:
    """The newest usage has no bucket yet, because it is two minutes old."""
    world = all_is_well(connection)
    usage(connection, world.now - 2 * MINUTE)
    return world


def stopped_and_nothing_waits(connection: Connection) -> World:
    """The scheduler is silent, but all usage was rolled up before."""
    return with_buckets(connection, scenarios.stopped(connection))


def first_usage(connection: Connection) -> World:
    world = scenarios.healthy(connection)
    usage(connection, world.now - 2 * MINUTE)
    return world


def nothing_at_all(connection: Connection) -> World:
    """Tables, and not a row in them."""
    return sound(connection, plans=0).write()


def nothing_was_used(connection: Connection) -> World:
    return scenarios.healthy(connection)


def never_had_runtimes(connection: Connection) -> World:
    world = scenarios.healthy(connection)
    for hours in range(3, 6):
        usage(connection, world.now - hours * HOUR, with_runtime=False)
    return world


def runtime_deleted(connection: Connection) -> World:
    """Multica since v0.4.17: the tasks stay, without their runtime. Its key is still queued."""
    world = all_is_well(connection)
    _delete_runtimes(connection)
    return world


def _delete_runtimes(connection: Connection) -> None:
    connection.execute("UPDATE agent_task_queue SET runtime_id = NULL")
    connection.execute("DELETE FROM agent_runtime")


def runtime_of_one_workspace_deleted(connection: Connection) -> World:
    world = all_is_well(connection)
    connection.execute("UPDATE agent_task_queue SET runtime_id = NULL")
    connection.execute("DELETE FROM agent_runtime")
    usage(connection, world.now - 2 * HOUR)
    roll(connection, world.now - DAY, world.now - HOUR)
    return world


def _ahead(connection: Connection) -> World:
    world = scenarios.ahead_of_time(connection)
    usage(connection, world.now - 30 * MINUTE)
    return world


def _waiting(made: Callable[[Connection], World]) -> Callable[[Connection], World]:
    """The world with usage of half an hour ago, and older usage that has its bucket."""

    def world_of(connection: Connection) -> World:
        world = with_buckets(connection, made(connection))
        usage(connection, world.now - 30 * MINUTE)
        return world

    return world_of


stopped_and_waiting = _waiting(scenarios.stopped)


def failing(connection: Connection) -> World:
    """Every run of the last two hours failed."""
    world = sound(connection)
    world.change(range(24), exhausted=True)
    world.state = {"watermark_at": world.started_at(24) - scenarios.DELAY}
    return world.write()


def stands_although_runs_work(connection: Connection) -> World:
    return scenarios.lagging(connection, behind=2 * HOUR)


def one_workspace_is_missing(connection: Connection) -> World:
    world = all_is_well(connection)
    usage(connection, world.now - 2 * HOUR)
    return world


def passed_by(connection: Connection) -> World:
    """The watermark is past usage that never got a bucket."""
    world = scenarios.healthy(connection)
    usage(connection, world.now - 3 * HOUR)
    return world


def some_passed_by(connection: Connection) -> World:
    """Another hour of a workspace that shows has no bucket."""
    world = all_is_well(connection)
    connection.execute(
        "INSERT INTO task_usage (task_id, provider, model, created_at, updated_at)"
        " SELECT task_id, 'other', model, created_at - interval '2 hours', updated_at"
        " FROM task_usage"
    )
    return world


@dataclass(frozen=True)
class Zero:
    """A world and the cause that its diagnosis names. ``missing`` are tables that it lacks."""

    make: Callable[[Connection], World]
    cause: CauseCode
    missing: tuple[str, ...] = ()

    @contextmanager
    def made(self, connection: Connection) -> Iterator[World]:
        with ExitStack() as until_judged:
            world = self.make(connection)
            for number, table in enumerate(self.missing):
                until_judged.enter_context(renamed(connection, table, f"set_aside_{number}"))
            yield world


# Every cause that a database with our own standalone tables can show. The others are in
# tests/database/test_diagnosis.py: they need a lock, another schema or Multica's own columns.
ZEROS: dict[str, Zero] = {
    "all_is_well": Zero(all_is_well, CauseCode.USAGE_IS_THERE),
    "more_comes": Zero(all_is_well_and_more_comes, CauseCode.USAGE_IS_THERE),
    "nothing_waits": Zero(stopped_and_nothing_waits, CauseCode.USAGE_IS_THERE),
    "first_usage": Zero(first_usage, CauseCode.TOO_RECENT),
    "fresh": Zero(scenarios.fresh, CauseCode.TOO_RECENT),
    "nothing_at_all": Zero(nothing_at_all, CauseCode.WRONG_DATABASE),
    "nothing_was_used": Zero(nothing_was_used, CauseCode.NO_RAW_USAGE),
    "never_had_runtimes": Zero(never_had_runtimes, CauseCode.TASKS_WITHOUT_RUNTIME),
    "runtime_deleted": Zero(runtime_deleted, CauseCode.RUNTIME_DELETED),
    "runtime_of_one_workspace_deleted": Zero(
        runtime_of_one_workspace_deleted, CauseCode.RUNTIME_DELETED
    ),
    "watermark_future": Zero(_ahead, CauseCode.WATERMARK_FUTURE),
    "state_row_missing": Zero(_waiting(scenarios.stateless), CauseCode.STATE_ROW_MISSING),
    "before_the_scheduler": Zero(
        stopped_and_waiting, CauseCode.SCHEDULER_NOT_INSTALLED, ("sys_cron_executions",)
    ),
    "before_the_rollup": Zero(
        stopped_and_waiting,
        CauseCode.ROLLUP_NOT_INSTALLED,
        ("sys_cron_executions", "task_usage_hourly", "task_usage_hourly_rollup_state",
         "task_usage_hourly_dirty"),
    ),
    "catching_up": Zero(_waiting(scenarios.catching_up), CauseCode.CATCHING_UP),
    "failing": Zero(_waiting(failing), CauseCode.RUNS_FAIL),
    "stopped": Zero(stopped_and_waiting, CauseCode.SCHEDULER_SILENT),
    "never_ran": Zero(scenarios.never_ran, CauseCode.SCHEDULER_SILENT),
    "locked_out": Zero(_waiting(scenarios.locked_out_for_hours), CauseCode.LOCK_HELD),
    "stands": Zero(_waiting(stands_although_runs_work), CauseCode.WATERMARK_STANDS),
    "one_workspace": Zero(one_workspace_is_missing, CauseCode.ONE_WORKSPACE),
    "passed_by": Zero(passed_by, CauseCode.BUCKETS_MISSING),
    "some_passed_by": Zero(some_passed_by, CauseCode.BUCKETS_MISSING),
}  # fmt: skip
