"""The worlds of `executions/demo/worlds.py`, and those that only tests need."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from executions.database.connections import Connection
from executions.database.reading import Fetch, fetch_for_dashboard
from executions.demo.rows import usage
from executions.demo.worlds import (
    CADENCE,
    DELAY,
    DayOfPlans,
    abandoned_plans,
    abandoned_run,
    ahead_of_time,
    blocked,
    catching_up,
    database_now,
    exhausted,
    gap,
    healthy,
    lagging,
    locked_out,
    losing_the_lock,
    never_ran,
    other_writer,
    retried_often,
    sound,
    stateless,
    stopped,
    wrong_clock,
)
from executions.demo.zeros import locked_out_for_hours
from executions.scheduler.plans import floor

__all__ = ["CADENCE", "DELAY", "WORLDS", "DayOfPlans", "database_now", "sound"]


def fetch_in(world: DayOfPlans) -> Fetch:
    """The dashboard's reads, with the world's own time in place of the database's clock."""

    def fetch(statement: str, parameters: Any) -> list[dict[str, Any]]:
        rows = fetch_for_dashboard(statement, parameters)
        return [row | {"now": world.now} if "now" in row else row for row in rows]

    return fetch


def still_moment(connection: Connection) -> datetime:
    """A moment close to now, always two minutes into a bucket: 7 minutes after its newest plan."""
    return floor(database_now(connection), CADENCE) + timedelta(minutes=2)


def fresh(connection: Connection, now: datetime | None = None) -> DayOfPlans:
    """An install in its first minutes: nothing ran, and its only usage is three minutes old."""
    world = sound(connection, now, plans=0)
    usage(connection, world.now - timedelta(minutes=3))
    world.state = {"watermark_at": world.now - timedelta(minutes=5)}
    return world.write()


def stale(connection: Connection, now: datetime | None = None) -> DayOfPlans:
    """No run for 27 minutes."""
    return stopped(connection, now, plans=5)


def lagging_after_a_failure(connection: Connection, now: datetime | None = None) -> DayOfPlans:
    """One plan failed 20 hours ago; all since succeed, and the watermark stands for three hours."""
    world = sound(connection, now)
    world.change(240, failed=True)
    mark = world.started_at(35) - DELAY
    for age in range(35):
        world.marks[age] = (mark - timedelta(minutes=1), mark)
    world.state = {"watermark_at": mark}
    return world.write()


def retrying(connection: Connection, now: datetime | None = None) -> DayOfPlans:
    """The newest plan failed once and will be tried again: nothing is wrong yet."""
    world = sound(connection, now)
    world.change(0, failed=True, next_retry_at=world.now + timedelta(seconds=40))
    return world.write()


def rival_wins(connection: Connection, now: datetime | None = None) -> DayOfPlans:
    """A pg_cron job takes the lock at every plan: runs find it taken, yet the watermark moves."""
    world = sound(connection, now)
    for age in range(8):
        mark = world.started_at(age + 1) - DELAY
        world.change(age, rows_affected=0)
        world.marks[age] = (mark, mark)
    return world.write()


WORLDS: dict[str, Callable[[Connection], DayOfPlans]] = {
    made.__name__: made
    for made in (
        healthy,
        fresh,
        never_ran,
        stale,
        stopped,
        stateless,
        ahead_of_time,
        lagging,
        lagging_after_a_failure,
        locked_out_for_hours,
        catching_up,
        losing_the_lock,
        locked_out,
        abandoned_run,
        gap,
        abandoned_plans,
        exhausted,
        retrying,
        retried_often,
        other_writer,
        rival_wins,
        blocked,
        wrong_clock,
    )
}
