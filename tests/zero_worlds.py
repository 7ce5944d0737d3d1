"""The worlds of `executions/demo/zeros.py` with their causes, and those that only tests need."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from executions.database.connections import Connection
from executions.demo import worlds
from executions.demo.rows import usage
from executions.demo.worlds import DayOfPlans
from executions.demo.zeros import (
    DAY,
    HOUR,
    MINUTE,
    all_is_well,
    dated_past_the_calendar,
    failing,
    first_usage,
    never_had_runtimes,
    nothing_at_all,
    nothing_was_used,
    one_workspace_is_missing,
    passed_by,
    roll,
    runtime_deleted,
    waiting,
    with_buckets,
    without_tables,
)
from executions.health.diagnosis.look import CauseCode
from tests import scenarios


def all_is_well_and_more_comes(connection: Connection) -> DayOfPlans:
    """The newest usage has no bucket yet, because it is two minutes old."""
    world = all_is_well(connection)
    usage(connection, world.now - 2 * MINUTE)
    return world


def stopped_and_nothing_waits(connection: Connection) -> DayOfPlans:
    """The scheduler is silent, but all usage was rolled up before."""
    return with_buckets(connection, scenarios.stopped(connection))


def runtime_of_one_workspace_deleted(connection: Connection) -> DayOfPlans:
    world = runtime_deleted(connection)
    usage(connection, world.now - 2 * HOUR)
    roll(connection, world.now - DAY, world.now - HOUR)
    return world


def _ahead(connection: Connection) -> DayOfPlans:
    world = scenarios.ahead_of_time(connection)
    usage(connection, world.now - 30 * MINUTE)
    return world


stopped_and_waiting = waiting(worlds.stopped)


def stands_although_runs_work(connection: Connection) -> DayOfPlans:
    return scenarios.lagging(connection, behind=2 * HOUR)


def some_passed_by(connection: Connection) -> DayOfPlans:
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

    make: Callable[[Connection], DayOfPlans]
    cause: CauseCode
    missing: tuple[str, ...] = ()

    @contextmanager
    def made(self, connection: Connection) -> Iterator[DayOfPlans]:
        world = self.make(connection)
        with without_tables(connection, *self.missing):
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
    "dated_past_the_calendar": Zero(dated_past_the_calendar, CauseCode.USAGE_NEVER_DUE),
    "never_had_runtimes": Zero(never_had_runtimes, CauseCode.TASKS_WITHOUT_RUNTIME),
    "runtime_deleted": Zero(runtime_deleted, CauseCode.RUNTIME_DELETED),
    "runtime_of_one_workspace_deleted": Zero(
        runtime_of_one_workspace_deleted, CauseCode.RUNTIME_DELETED
    ),
    "watermark_future": Zero(_ahead, CauseCode.WATERMARK_FUTURE),
    "state_row_missing": Zero(waiting(scenarios.stateless), CauseCode.STATE_ROW_MISSING),
    "before_the_scheduler": Zero(
        stopped_and_waiting, CauseCode.SCHEDULER_NOT_INSTALLED, ("sys_cron_executions",)
    ),
    "before_the_rollup": Zero(
        stopped_and_waiting,
        CauseCode.ROLLUP_NOT_INSTALLED,
        ("sys_cron_executions", "task_usage_hourly", "task_usage_hourly_rollup_state",
         "task_usage_hourly_dirty"),
    ),
    "catching_up": Zero(waiting(scenarios.catching_up), CauseCode.CATCHING_UP),
    "failing": Zero(waiting(failing), CauseCode.RUNS_FAIL),
    "stopped": Zero(stopped_and_waiting, CauseCode.SCHEDULER_SILENT),
    "never_ran": Zero(scenarios.never_ran, CauseCode.SCHEDULER_SILENT),
    "locked_out": Zero(waiting(scenarios.locked_out_for_hours), CauseCode.LOCK_HELD),
    "stands": Zero(waiting(stands_although_runs_work), CauseCode.WATERMARK_STANDS),
    "one_workspace": Zero(one_workspace_is_missing, CauseCode.ONE_WORKSPACE),
    "passed_by": Zero(passed_by, CauseCode.BUCKETS_MISSING),
    "some_passed_by": Zero(some_passed_by, CauseCode.BUCKETS_MISSING),
}  # fmt: skip
