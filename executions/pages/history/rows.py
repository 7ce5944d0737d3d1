"""One execution in a list: with its state at this moment and whose runner ran it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast, Left

from executions.database.reading import fetch_for_dashboard
from executions.health.facts.executions import ExecutionFact, runners_of
from executions.models import Execution, Runner, Status
from executions.pages.history.filters import GLOBAL
from executions.pages.history.table import SQL, attempt
from executions.scheduler.jobs import JOBS
from executions.scheduler.plans import oldest_open
from executions.scheduler.spec import Scope
from executions.scheduler.states import ExecutionState, state_of
from executions.text.problem import Problem

ERROR_LINE = 200


def in_full() -> QuerySet[Any]:
    """The result as text, because a hostile one may nest deeper than Python's parser allows."""
    return Execution.objects.annotate(result_text=Cast("result", TextField())).defer("result")


@dataclass(frozen=True)
class ExecutionRow:
    """``is_ours`` tells this installation's runners from Multica's own."""

    execution: Any
    state: ExecutionState
    is_ours: bool

    @property
    def scope(self) -> Scope:
        return Scope(self.execution.scope_kind, self.execution.scope_id)

    @property
    def is_global(self) -> bool:
        return self.scope == GLOBAL

    @property
    def error_line(self) -> str:
        """The beginning of the error, in whichever form the execution was read."""
        read = self.execution
        return (read.error_msg if isinstance(read, ExecutionFact) else read.error_line) or ""


def filled(rows: Iterable[ExecutionRow]) -> frozenset[str]:
    """The columns in which at least one row of a list has something; a list shows no others."""
    cells = {
        "runner": lambda row: row.execution.runner_id,
        "rows": lambda row: row.execution.rows_affected is not None,
        "duration": lambda row: row.execution.duration_ms is not None,
        "error": lambda row: row.execution.error_code or row.error_line,
    }
    listed = list(rows)
    return frozenset(name for name, cell in cells.items() if any(map(cell, listed)))


def rows_for_lists() -> QuerySet[Execution]:
    """Executions without their long columns, with the beginning of their error."""
    return Execution.objects.annotate(error_line=Left("error_msg", ERROR_LINE)).defer(
        "result", "error_msg", "lease_token"
    )


def newest_plans(executions: Iterable[Execution]) -> dict[UUID, datetime]:
    """The newest plan_time of the scopes of plans that might be retried, by the execution's id.

    One query, separate from the page's, because each costs a read of one more row.
    """
    asked = [one for one in executions if one.status == Status.FAILED and _attempts_left(one)]
    if not asked:
        return {}
    parameters = {
        "jobs": [one.job_name for one in asked],
        "kinds": [one.scope_kind for one in asked],
        "ids": [one.scope_id for one in asked],
        "most": 1,
    }
    newest = {
        (row["job_name"], row["scope_kind"], row["scope_id"]): row["plan_time"]
        for row in fetch_for_dashboard(SQL.newest_plans, parameters)
    }
    found = {one.id: newest.get((one.job_name, one.scope_kind, one.scope_id)) for one in asked}
    return {key: plan_time for key, plan_time in found.items() if plan_time is not None}


def state_now(execution: Execution, now: datetime, newest_plan: datetime | None) -> ExecutionState:
    """The state of an execution of whichever job."""
    return state_of(execution, now, newest_plan, oldest_open(JOBS.get(execution.job_name), now))


def _attempts_left(execution: Execution) -> bool:
    return execution.attempt < execution.max_attempts


def as_rows(
    executions: list[Execution], now: datetime
) -> tuple[list[ExecutionRow], Problem | None]:
    """The rows of a list that was read with :func:`rows_for_lists`.

    A problem means that it took too long to tell which FAILED ones are being retried. They are then
    shown as FAILED, which is what is stored.
    """
    ours = Runner.ours_among(runners_of(executions))
    found = attempt(lambda: newest_plans(executions))
    newest, problem = ({}, found) if isinstance(found, Problem) else (found, None)
    rows = [
        ExecutionRow(
            execution,
            state_now(execution, now, newest.get(execution.id)),
            execution.runner_id in ours,
        )
        for execution in executions
    ]
    return rows, problem
