"""Recent failures, grouped by error code and by message with numbers and ids masked.

It sees rows that are FAILED now. A retry that succeeds wipes its plan's error, so an error that was
recovered in the same plan is in no row (docs/contract.md section 6).
"""

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache, cached_property
from typing import Any
from uuid import UUID

from executions.database.kept import QUIET_SECONDS
from executions.database.reading import fetch_for_dashboard
from executions.models import Execution, Status
from executions.pages.history.filters import Filters
from executions.pages.history.messages import pattern_of
from executions.pages.history.samples import Window, beginning, windows
from executions.pages.history.table import SQL, attempt, attempt_jobs, read_clock
from executions.scheduler.jobs import JOBS
from executions.scheduler.plans import is_retried, oldest_open
from executions.scheduler.states import ExecutionState
from executions.text.digest import digest
from executions.text.problem import Problem

DEFAULT_WINDOW = "7d"
WINDOW_NAMES = ("24h", "7d", "30d")
# Each row costs a read of the two newest plans of its scope. Together they stay within 5,000.
MOST_ROWS = 1_600
MOST_GROUPS = 50
SHOWN_PLANS = 24
COMPARED = 300
_END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)


class AfterFailure(StrEnum):
    """The state of a failed plan: no attempt left, given up, or being retried."""

    EXHAUSTED = "exhausted"
    ABANDONED = "abandoned"
    RETRYING = "retrying"


@dataclass(frozen=True)
class FailedExecution:
    """A FAILED row, the newest plan of its scope, and the result of the newest that ended.

    ``oldest_open`` is that of ``scheduler.plans`` for its job.
    """

    id: UUID
    job_name: str
    scope_kind: str
    scope_id: str
    plan_time: datetime
    attempt: int
    max_attempts: int
    seen_at: datetime
    error_code: str | None
    error_line: str | None
    newest_plan: datetime
    ended_as: str | None
    matches: bool
    oldest_open: datetime | None

    @property
    def outcome(self) -> AfterFailure:
        if self.attempt >= self.max_attempts:
            return AfterFailure.EXHAUSTED
        retried = is_retried(self, self.newest_plan, self.oldest_open)
        return AfterFailure.RETRYING if retried else AfterFailure.ABANDONED

    @property
    def is_recovered(self) -> bool:
        """Whether its scope works again: its newest ended plan is a success."""
        return self.ended_as == Status.SUCCESS


@dataclass(frozen=True)
class Group:
    """Failures with one code and one message pattern, the newest first.

    ``sample`` is the newest failure's full message; None if it has gone meanwhile.
    """

    code: str
    pattern: str
    failures: list[FailedExecution]
    sample: str | None = None

    @property
    def key(self) -> str:
        """A key that stays the same for this code and pattern at every refresh."""
        return digest(self.code, self.pattern)

    @property
    def marks(self) -> list[tuple[object, ...]]:
        """The values of each failure that can change."""
        return [(one.id, one.seen_at, one.outcome, one.ended_as) for one in self.failures]

    @property
    def shown(self) -> list[FailedExecution]:
        return self.failures[:SHOWN_PLANS]

    @property
    def more(self) -> int:
        return max(0, len(self.failures) - SHOWN_PLANS)

    @property
    def newest(self) -> FailedExecution:
        return self.failures[0]

    @property
    def first_seen(self) -> datetime:
        return min(failure.seen_at for failure in self.failures)

    @property
    def last_seen(self) -> datetime:
        return max(failure.seen_at for failure in self.failures)

    @cached_property
    def outcomes(self) -> Counter[AfterFailure]:
        return Counter(failure.outcome for failure in self.failures)

    @property
    def exhausted(self) -> int:
        return self.outcomes[AfterFailure.EXHAUSTED]

    @property
    def abandoned(self) -> int:
        return self.outcomes[AfterFailure.ABANDONED]

    @property
    def retrying(self) -> int:
        return self.outcomes[AfterFailure.RETRYING]

    @property
    def recovered(self) -> int:
        return sum(failure.is_recovered for failure in self.failures)

    @property
    def jobs(self) -> list[str]:
        return sorted({failure.job_name for failure in self.failures})

    @property
    def scopes(self) -> int:
        return len({(one.job_name, one.scope_kind, one.scope_id) for one in self.failures})


@dataclass(frozen=True)
class Errors:
    """``reached`` is set if the newest rows did not reach the window's start.

    ``looked_at`` is the number of jobs asked for; with ``more_jobs`` the table may have others.
    ``problem`` says that the failures took too long to read, ``samples_problem`` the same of their
    messages.
    """

    filters: Filters
    now: datetime
    since: datetime
    reached: datetime | None
    windows: list[Window]
    groups: list[Group]
    hidden: int
    failures: int
    looked_at: int
    more_jobs: bool
    table_is_empty: bool
    problem: Problem | None
    samples_problem: Problem | None
    live_seconds: int = QUIET_SECONDS

    @property
    def window(self) -> int:
        return MOST_ROWS

    @property
    def version(self) -> str:
        return digest(
            self.reached,
            self.more_jobs,
            self.problem and self.problem.code,
            self.samples_problem and self.samples_problem.code,
            [(group.key, group.sample, group.marks) for group in self.groups],
            self.hidden,
            self.failures,
            self.looked_at,
            self.table_is_empty,
        )


def read_errors(filters: Filters) -> Errors:
    """The errors of the chosen window, of one job or of all.

    Raises:
        django.db.DatabaseError: Multica's table cannot be read; see ``problems.diagnose``.
        RowsHidden: row security hides rows.
    """
    clock = read_clock()
    since = beginning(filters, DEFAULT_WINDOW, clock.now)
    wanted = replace(filters, since=since)
    jobs = attempt_jobs(filters.job)
    asked = [filters.job] if filters.job else jobs.names
    most = max(1, MOST_ROWS // max(1, len(asked)))
    if jobs.problem and not filters.job:
        found: list[FailedExecution] | Problem = jobs.problem
    else:
        found = attempt(lambda: _failures(wanted, asked, most, clock.now))
    failures = [] if isinstance(found, Problem) else found
    groups = group_up(_of_state([one for one in failures if one.matches], filters.status))
    newest = groups[:MOST_GROUPS]
    samples = attempt(lambda: _samples(newest))
    return Errors(
        filters=filters,
        now=clock.now,
        since=since,
        reached=_reached(failures, most),
        windows=windows(filters, DEFAULT_WINDOW, WINDOW_NAMES),
        groups=newest if isinstance(samples, Problem) else _with_samples(newest, samples),
        hidden=max(0, len(groups) - MOST_GROUPS),
        failures=sum(len(group.failures) for group in groups),
        looked_at=len(asked),
        more_jobs=jobs.more and not filters.job,
        table_is_empty=not jobs.names and not jobs.problem,
        problem=found if isinstance(found, Problem) else None,
        samples_problem=samples if isinstance(samples, Problem) else None,
    )


def _failures(filters: Filters, jobs: list[str], most: int, now: datetime) -> list[FailedExecution]:
    scope = filters.scope
    parameters: dict[str, Any] = {
        "jobs": jobs,
        "since": filters.since,
        "until": filters.until or _END_OF_TIME,
        "most": most,
        "length": COMPARED,
        "kind": scope.kind if scope else None,
        "id": scope.id if scope else None,
        "runner": filters.runner or None,
        "error": filters.error or None,
        "q": filters.q or None,
    }
    oldest = {job: oldest_open(JOBS.get(job), now) for job in jobs}
    return [
        FailedExecution(**row, oldest_open=oldest[row["job_name"]])
        for row in fetch_for_dashboard(SQL.failures, parameters)
    ]


def _of_state(
    failures: list[FailedExecution], status: ExecutionState | None
) -> list[FailedExecution]:
    """Only FAILED rows have an error: another status matches none of them."""
    if status in (None, ExecutionState.FAILED):
        return failures
    if status == ExecutionState.RETRYING:
        return [failure for failure in failures if failure.outcome == AfterFailure.RETRYING]
    return []


def _reached(failures: list[FailedExecution], most: int) -> datetime | None:
    """How far back every job was read, if the newest rows of a job filled its share."""
    oldest: dict[str, datetime] = {}
    for failure in failures:
        oldest[failure.job_name] = min(
            failure.plan_time, oldest.get(failure.job_name, failure.plan_time)
        )
    counted = Counter(failure.job_name for failure in failures)
    return max((oldest[job] for job, rows in counted.items() if rows >= most), default=None)


def group_up(failures: list[FailedExecution]) -> list[Group]:
    """The groups, the latest first."""
    groups: dict[tuple[str, str], list[FailedExecution]] = {}
    pattern = cache(pattern_of)  # most failures repeat another's message
    for failure in sorted(failures, key=lambda one: one.seen_at, reverse=True):
        key = failure.error_code or "", pattern(failure.error_line or "")
        groups.setdefault(key, []).append(failure)
    return [Group(code, pattern, members) for (code, pattern), members in groups.items()]


def _samples(groups: list[Group]) -> dict[UUID, str | None]:
    """The whole message of the newest failure of each group."""
    ids = [group.newest.id for group in groups]
    return dict(Execution.objects.filter(id__in=ids).values_list("id", "error_msg"))


def _with_samples(groups: list[Group], samples: dict[UUID, str | None]) -> list[Group]:
    return [replace(group, sample=samples.get(group.newest.id)) for group in groups]
