"""One call of the rollup at an operator's command: who may have the turn, and what came of it.

It does exactly what a scheduled run does, on a connection of its own, and leaves no execution. The
function itself takes lock 4246. `pages/rollup/once.py` puts it on record and tells it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from math import ceil

from executions.database.connections import SILENT_SECONDS, Connection, let_wait
from executions.database.our_locks import OurLock
from executions.database.reading import Fetch, fetch_on
from executions.database.sql import load
from executions.database.times import TolerantLoader
from executions.health.facts.sessions import DatabaseSession
from executions.rollup.lock import read_lock
from executions.rollup.margin import MARGIN, is_in_future
from executions.rollup.watermark import read_watermark, roll_up
from executions.scheduler.jobs import ROLLUP
from executions.scheduler.preflight import check_needs, check_version

SQL = load("watermark")
LEASES = load("leases")

NAME = "multica-admin run once"
# The statement as a person would type it.
STATEMENT = "SELECT rollup_task_usage_hourly();"
# It may take as long as any run.
LONGEST = ROLLUP.run_timeout


class AtWork(Exception):
    """Another run that somebody asked for has not ended."""


class OnceResult(StrEnum):
    """What a run did. All but the first two moved nothing and returned 0."""

    SUMMED = "summed"
    IDLE = "idle"
    JUST_RUN = "just_run"
    FUTURE = "future"
    NO_STATE = "no_state"
    LOCK = "lock"


@dataclass(frozen=True)
class Ran:
    """A run that ended. ``began`` is the database's clock before it.

    ``holders`` are the sessions that held lock 4246 after a run that found it taken.
    """

    began: datetime
    rows: int
    before: datetime | None
    after: datetime | None
    holders: tuple[DatabaseSession, ...] = ()

    @property
    def result(self) -> OnceResult:
        if self.rows:
            return OnceResult.SUMMED
        if self.before is None or self.after is None:
            return OnceResult.NO_STATE
        if self.after != self.before:
            return OnceResult.IDLE
        if is_in_future(self.before, self.began):
            return OnceResult.FUTURE
        return OnceResult.JUST_RUN if self.before >= self.began - MARGIN else OnceResult.LOCK


def take_turn(open_connection: Callable[[str], Connection]) -> Connection:
    """A connection that may run the rollup, alone among those that operators ask for.

    Raises:
        AtWork: another such run has not ended.
        CannotRun: the function is missing, or the role lacks a right.
        psycopg.Error: the database is away, a standby or behind a pooler.
    """
    connection = open_connection(NAME)
    try:
        connection.adapters.register_loader("timestamptz", TolerantLoader)
        check_version(connection.info.server_version)
        (turn,) = connection.execute(SQL.take_turn, {"turn": OurLock.RUN_ONCE})
        if not turn["taken"]:
            raise AtWork
        check_needs(connection, ROLLUP)
        limit = ceil(LONGEST.total_seconds() * 1000)
        connection.execute(LEASES.bound_run, {"milliseconds": limit})
        let_wait(connection, LONGEST.total_seconds() + SILENT_SECONDS)
    except BaseException:
        connection.close()
        raise
    return connection


def turn_is_free(fetch: Fetch) -> bool:
    """Whether certainly no such run is at work. On a standby nobody can tell.

    Raises:
        django.db.Error, psycopg.Error: as ``fetch`` does.
    """
    (row,) = fetch(SQL.turn_is_free, {"turn": OurLock.RUN_ONCE})
    return row["free"] is True


def run(connection: Connection) -> Ran:
    """Call the rollup once, on a connection of `take_turn`. The caller closes it.

    Raises:
        psycopg.Error: it failed or reached its time limit, and changed nothing.
    """
    (clock,) = connection.execute(SQL.clock)
    before = read_watermark(connection)
    rows = roll_up(connection)
    ran = Ran(clock["now"], rows, before, read_watermark(connection))
    if ran.result is not OnceResult.LOCK:
        return ran
    return Ran(ran.began, rows, before, ran.after, read_lock(fetch_on(connection)).holders)
