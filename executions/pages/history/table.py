"""The first reads of every history page: the database's clock, the jobs, a job's scopes.

Each is bounded: names are found by skipping through the unique index, never by scanning the table.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from django.db import DatabaseError
from psycopg import errors

from executions.database.problems import database_error, diagnose
from executions.database.reading import Row, fetch_for_dashboard
from executions.database.sql import load
from executions.health.facts import Ground
from executions.health.read import refuse_hidden
from executions.scheduler.jobs import JOBS
from executions.scheduler.spec import Scope
from executions.text.problem import Problem

logger = logging.getLogger(__name__)

SQL = load("history")
HEALTH = load("health")

MOST_JOBS = 100
# Enough to offer for choosing. For a job with more, people type the scope.
MOST_SCOPES = 25

Value = TypeVar("Value")


@dataclass(frozen=True)
class Clock:
    """The database's ``now()``, and its own estimate of the table's rows (None: never counted)."""

    now: datetime
    estimate: int | None


def attempt(read: Callable[[], Value]) -> Value | Problem:
    """The value, or the problem if the statement timeout struck. The page still shows the rest.

    Raises:
        django.db.DatabaseError: any other failure, for which no part of the page can be shown.
    """
    try:
        return read()
    except DatabaseError as error:
        if not isinstance(database_error(error), errors.QueryCanceled):
            raise
        problem = diagnose(error)
        logger.warning(
            "a part of a page: %s",
            problem.what,
            extra={"reference": problem.reference, "code": problem.code},
        )
        return problem


def read_clock() -> Clock:
    """The clock; without the estimate if the statistics could not be read in time.

    Raises:
        django.db.DatabaseError: Multica's table cannot be read; see ``problems.diagnose``.
        RowsHidden: row security hides rows.
    """
    read = attempt(lambda: fetch_for_dashboard(SQL.clock, {}))
    if isinstance(read, Problem):
        return Clock(read_bare_clock(), None)
    row = read[0]
    _refuse_hidden(row)
    return Clock(row["now"], row["estimate"] if row["estimate"] >= 0 else None)


def read_bare_clock() -> datetime:
    """The clock alone, which reads no table.

    Raises:
        django.db.DatabaseError: Multica's database cannot be asked.
        RowsHidden: row security hides rows of its table.
    """
    (row,) = fetch_for_dashboard(SQL.bare_clock, {})
    _refuse_hidden(row)
    now: datetime = row["now"]
    return now


def _refuse_hidden(row: Row) -> None:
    """If row security is active, find out whether it hides rows: an empty answer may be wrong.

    Raises:
        django.db.DatabaseError: nobody can tell, or not in time. Then nothing is shown either.
        RowsHidden: it hides rows.
    """
    if row["row_security"]:
        (ground,) = fetch_for_dashboard(HEALTH.ground, {})
        refuse_hidden(Ground(**ground), "sys_cron_executions")


@dataclass(frozen=True)
class JobNames:
    """The jobs that a page shows, by name. ``more`` says that the table may have others.

    If the statement timeout struck, ``problem`` is set, there are no names and ``now`` is None.
    """

    names: list[str]
    more: bool = False
    now: datetime | None = None
    problem: Problem | None = None


def attempt_jobs(named: str = "") -> JobNames:
    """The first ``MOST_JOBS`` names, those that this project knows, and the ``named`` one.

    The last two are included only if the table has them. So the rollup is included even if many
    other jobs run.

    Raises:
        django.db.DatabaseError: Multica's table cannot be read; see ``problems.diagnose``.
        RowsHidden: row security hides rows.
    """
    parameters = {"most": MOST_JOBS, "named": [*JOBS, named]}
    rows = attempt(lambda: fetch_for_dashboard(SQL.jobs, parameters))
    if isinstance(rows, Problem):
        return JobNames([], problem=rows)
    _refuse_hidden(rows[0])
    names = [row["job_name"] for row in rows if row["job_name"] is not None]
    return JobNames(names, more=rows[0]["more"], now=rows[0]["now"])


def read_scopes(job: str, most: int = MOST_SCOPES) -> list[Scope]:
    """The first scopes of a job, one more than ``most`` if there are more."""
    return [
        Scope(**row)
        for row in fetch_for_dashboard(SQL.scopes_of_job, {"job": job, "most": most + 1})
    ]
