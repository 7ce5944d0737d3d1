"""The plan history: one page of executions for the filters, and the texts around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from executions.accounts.requests import LiveRequest
from executions.database.kept import BUSY_SECONDS, QUIET_SECONDS
from executions.pages.history.filters import Filters
from executions.pages.history.paging import Page, Reader, Total
from executions.pages.history.rows import ExecutionRow, as_rows, rows_for_lists
from executions.pages.history.table import Clock, attempt, attempt_jobs, read_clock, read_scopes
from executions.pages.history.walks import NOWHERE, Walk, choose
from executions.scheduler.spec import ErrorCode, Scope
from executions.scheduler.states import ExecutionState
from executions.text.digest import digest
from executions.text.problem import Problem


@dataclass(frozen=True)
class PlansPage:
    """``page`` and ``total`` are a Problem if the statement timeout cut off the read.

    ``estimate`` is the table's size by the database's statistics, set if nothing is filtered and
    not all rows were counted. ``table_is_empty`` is None if that took too long to find out. With a
    ``states_problem`` the same holds for which failed plans are being retried.
    """

    filters: Filters
    now: datetime
    page: Page | Problem
    total: Total | Problem
    walk: Walk = NOWHERE
    rows: Sequence[ExecutionRow] = ()
    estimate: int | None = None
    table_is_empty: bool | None = False
    scopes: Sequence[Scope] = ()
    states_problem: Problem | None = None

    @property
    def problem(self) -> Problem | None:
        return self.page if isinstance(self.page, Problem) else None

    @property
    def window(self) -> int:
        return self.walk.looks

    @property
    def total_kind(self) -> Literal["exact", "estimate", "at_least", "unknown"]:
        if isinstance(self.total, Problem):
            return "unknown"
        if self.total.exact:
            return "exact"
        return "at_least" if self.estimate is None else "estimate"

    @property
    def is_one_scope(self) -> bool:
        """Whether every row is of the same job and scope, so that the page need not show them."""
        return self.walk.is_one_scope or len(self.scopes) == 1

    @property
    def is_still(self) -> bool:
        """Whether the list never changes by itself, because it does not begin with the newest."""
        return bool(self.filters.cursor or self.filters.until)

    @property
    def live_seconds(self) -> int:
        busy = any(row.state == ExecutionState.RUNNING for row in self.rows)
        return BUSY_SECONDS if busy else QUIET_SECONDS

    @property
    def version(self) -> str:
        return digest(
            [(row.execution.id, row.execution.updated_at, row.state) for row in self.rows],
            self.page.code if isinstance(self.page, Problem) else self.page.reached,
            self.states_problem and self.states_problem.code,
            self.total_kind,
            self.estimate,
            self.total.code if isinstance(self.total, Problem) else self.total.count,
        )


def choose_walk(filters: Filters, clock: Clock) -> tuple[Walk, list[Scope]]:
    """The walk for the filters, and the first scopes of the job they name.

    Raises:
        django.db.DatabaseError: the scopes cannot be read, or not in time.
    """
    scopes = read_scopes(filters.job) if filters.job else []
    return choose(filters, scopes, clock.now), scopes


def read_plans(filters: Filters) -> PlansPage:
    """One page of the history.

    Raises:
        BadFilter: the cursor is of another list.
        django.db.DatabaseError: Multica's table cannot be read; see ``problems.diagnose``.
        RowsHidden: row security hides rows.
    """
    clock = read_clock()
    chosen = attempt(lambda: choose_walk(filters, clock))
    if isinstance(chosen, Problem):
        # The scopes decide the order of the list, and every cursor depends on the order.
        return PlansPage(filters, clock.now, page=chosen, total=chosen)
    walk, scopes = chosen
    reader = Reader(walk)
    page = attempt(lambda: reader.page(rows_for_lists(), filters.cursor))
    total = attempt(reader.total)
    rows, unsure = as_rows([] if isinstance(page, Problem) else page.rows, clock.now)
    return PlansPage(
        filters=filters,
        now=clock.now,
        walk=walk,
        rows=rows,
        page=page,
        total=total,
        estimate=None if filters.is_narrow else clock.estimate,
        table_is_empty=False if rows or isinstance(page, Problem) else _is_empty(),
        scopes=scopes,
        states_problem=unsure,
    )


def _is_empty() -> bool | None:
    jobs = attempt_jobs()
    return None if jobs.problem else not jobs.names


def form(request: LiveRequest, _filters: Filters, shown: PlansPage) -> dict[str, object]:
    """The choices of the filter form. A refresh reads the list alone."""
    if request.htmx:
        return {}
    return {
        "jobs": attempt_jobs(shown.filters.job),
        "scopes": shown.scopes,
        "states": list(ExecutionState),
        "error_codes": list(ErrorCode),
    }
