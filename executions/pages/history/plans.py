"""The plan history: one page of executions for the filters, and the texts around it."""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from executions.accounts.requests import LiveRequest
from executions.database.kept import BUSY_SECONDS, QUIET_SECONDS
from executions.health import snapshots
from executions.pages.history.filters import Filters
from executions.pages.history.paging import Page, PageReader, Total
from executions.pages.history.rows import ExecutionRow, as_rows, filled, rows_for_lists
from executions.pages.history.samples import ANY_TIME, WINDOW, Window, bounded, windows
from executions.pages.history.table import Clock, attempt, attempt_jobs, read_clock, read_scopes
from executions.pages.history.walks import NOWHERE, Walk, choose
from executions.scheduler.spec import ErrorCode, Scope
from executions.scheduler.states import ExecutionState
from executions.text.digest import digest
from executions.text.problem import Problem, known

WINDOW_NAMES = ("1h", "24h", "7d")
CHOICES = {WINDOW: WINDOW_NAMES}


@dataclass(frozen=True)
class StateTab:
    """One state to choose; None for all. ``count`` is None if the page's looks do not tell it."""

    state: ExecutionState | None
    count: int | None
    chosen: bool


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
    def windows(self) -> list[Window]:
        return windows(self.filters, ANY_TIME, (ANY_TIME, *WINDOW_NAMES))

    @property
    def is_narrow(self) -> bool:
        return _is_narrow(self.filters)

    @property
    def tabs(self) -> list[StateTab]:
        """The states to choose. Nothing is read to count them: see `Total`."""
        chosen = self.filters.status
        return [
            StateTab(state, self._count(state), state is chosen)
            for state in (None, *ExecutionState)
        ]

    def _count(self, state: ExecutionState | None) -> int | None:
        total = self.total
        if isinstance(total, Problem) or not total.exact:
            return None
        if state is self.filters.status:
            return total.count
        if state == ExecutionState.RETRYING and total.states.get(ExecutionState.FAILED) == 0:
            return 0
        return total.states.get(state) if state else None

    @cached_property
    def columns(self) -> frozenset[str]:
        """The columns that are not empty; ``scope`` is the one of jobs and scopes."""
        scopes = {(row.execution.job_name, row.scope) for row in self.rows}
        return filled(self.rows) | ({"scope"} if len(scopes) > 1 else set())

    @property
    def width(self) -> int:
        """How many columns the table has, with plan time, status and attempt."""
        return 3 + len(self.columns)

    @property
    def common(self) -> ExecutionRow | None:
        """A row whose job and scope are those of all, if no filter has already said the job."""
        said = self.filters.job or "scope" in self.columns
        return None if said or not self.rows else self.rows[0]

    @property
    def total_kind(self) -> Literal["exact", "estimate", "at_least", "unknown"]:
        if isinstance(self.total, Problem):
            return "unknown"
        if self.total.exact:
            return "exact"
        return "at_least" if self.estimate is None else "estimate"

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
            self.total.code if isinstance(self.total, Problem) else astuple(self.total),
        )


def choose_walk(filters: Filters, clock: Clock) -> tuple[Walk, list[Scope]]:
    """The walk for the filters, and the first scopes of the job they name.

    A window that is chosen in the address ends now.

    Raises:
        django.db.DatabaseError: the scopes cannot be read, or not in time.
    """
    scopes = read_scopes(filters.job) if filters.job else []
    return choose(bounded(filters, clock.now), scopes, clock.now), scopes


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
    reader = PageReader(walk)
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
        estimate=None if _is_narrow(filters) else clock.estimate,
        table_is_empty=False if rows or isinstance(page, Problem) else _is_empty(),
        scopes=scopes,
        states_problem=unsure,
    )


def _is_narrow(filters: Filters) -> bool:
    return filters.is_narrow or bool(filters.choice(WINDOW, ANY_TIME))


def _is_empty() -> bool | None:
    jobs = attempt_jobs()
    return None if jobs.problem else not jobs.names


def form(request: LiveRequest, _filters: Filters, shown: PlansPage) -> dict[str, object]:
    """The choices of the filter form. A refresh reads the list alone.

    The runners and errors are those that are known without a read: of this page, and of the day
    that the overview's snapshot has.
    """
    if request.htmx:
        return {}
    kept = snapshots.kept()
    day = known(kept.facts.executions) if kept else None
    seen = [*(row.execution for row in shown.rows), *(day.rows if day else ())]
    chosen = shown.filters
    return {
        "jobs": attempt_jobs(chosen.job),
        "scopes": shown.scopes,
        "runners": _choices(chosen.runner, (one.runner_id for one in seen)),
        "errors": _choices(chosen.error, (*ErrorCode, *(one.error_code for one in seen))),
    }


def _choices(chosen: str, known_ones: Iterable[str | None]) -> list[str]:
    """Each once, in their order, with the chosen one."""
    return list(dict.fromkeys(filter(None, (chosen, *known_ones))))
