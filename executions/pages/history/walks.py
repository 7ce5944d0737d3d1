"""Which index serves which filters: the order of a list, and how far one look may reach.

Multica's table has five indexes and gets no more (docs/contract.md section 2). So a list is a walk
along one of them, newest first: a few *segments*, each one index with the rows that it holds.
Conditions that the index does not cover filter at most ``WINDOW`` rows of it at a time.

This module builds conditions and runs no query. A row that ended without ``finished_at``, which no
scheduler writes, is in no index outside its job and scope, where it is found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import F, OuterRef, Q, Subquery

from executions.models import Execution, Status
from executions.pages.history.filters import Filters
from executions.scheduler.jobs import JOBS
from executions.scheduler.plans import oldest_open
from executions.scheduler.spec import Scope
from executions.scheduler.states import ExecutionState

# The most rows of an index that one page reads.
WINDOW = 5_000
ENDED = (Status.SUCCESS.value, Status.FAILED.value)
# The states that one look at a list without a status counts. Whether a row is being retried would
# cost a read of a second row.
COUNTED = (
    ExecutionState.RUNNING,
    ExecutionState.STALE,
    ExecutionState.FAILED,
    ExecutionState.SUCCESS,
)


@dataclass(frozen=True)
class Segment:
    """The rows that one index holds in the order of ``column``, and the filter on them.

    ``unique`` says that no two of them share a time. ``looks`` is how many rows may be read.
    A table that ``is_ours`` is small, so it is read without looks, and its ids are numbers.
    """

    name: str
    column: str
    rows: Q
    sift: Q
    looks: int
    unique: bool = False
    is_ours: bool = False


@dataclass(frozen=True)
class Walk:
    """The segments of a list, newest first, one after the other; none if no row can match.

    ``states`` are the conditions of the states that its looks count. It is empty if the list
    already has one state.
    """

    segments: tuple[Segment, ...]
    states: Mapping[ExecutionState, Q] = field(default_factory=dict)

    @property
    def by_plan_time(self) -> bool:
        return any(segment.column == "plan_time" for segment in self.segments)

    @property
    def looks(self) -> int:
        """How many rows of one index a page reads."""
        return max((segment.looks for segment in self.segments), default=0)


NOWHERE = Walk(())


def newest_plan_time() -> Subquery:
    """The newest plan_time of a row's own job and scope: one row of the unique index.

    It is a scalar subquery, which PostgreSQL runs for each row. An EXISTS might become a join with
    the whole table.
    """
    return Subquery(
        Execution.objects.filter(
            job_name=OuterRef("job_name"),
            scope_kind=OuterRef("scope_kind"),
            scope_id=OuterRef("scope_id"),
        )
        .order_by("-plan_time")
        .values("plan_time")[:1]
    )


def choose(filters: Filters, scopes: Sequence[Scope], now: datetime) -> Walk:
    """The walk for these filters. ``scopes`` are the first scopes of the job that they name."""
    if filters.job and not scopes:
        return NOWHERE
    only_scope = scopes[0] if len(scopes) == 1 else None
    scope = filters.scope or only_scope
    failed = filters.status in (ExecutionState.FAILED, ExecutionState.RETRYING)
    if filters.job and failed and scope == only_scope:
        return Walk((_failed(filters, now),))
    states = {} if filters.status else {state: _status(state, now) for state in COUNTED}
    if filters.job and scope is not None:
        return Walk((_one_scope(filters, scope, now),), states)
    running = _running(filters, now)
    if filters.status in (ExecutionState.RUNNING, ExecutionState.STALE):
        return Walk((running,))
    if filters.status is not None:
        return Walk((_ended(filters, now),))
    return Walk((running, _ended(filters, now)), states)


def _one_scope(filters: Filters, scope: Scope, now: datetime) -> Segment:
    return Segment(
        name="scope",
        column="plan_time",
        rows=Q(job_name=filters.job, scope_kind=scope.kind, scope_id=scope.id)
        & _between("plan_time", filters),
        sift=_status(filters.status, now) & _texts(filters),
        unique=True,
        looks=_looks(filters),
    )


def _failed(filters: Filters, now: datetime) -> Segment:
    return Segment(
        name="failed",
        column="plan_time",
        rows=Q(status=Status.FAILED, job_name=filters.job) & _between("plan_time", filters),
        sift=(_retrying(filters.status, now) if filters.status == ExecutionState.RETRYING else Q())
        & _texts(filters),
        looks=_looks(filters),
    )


def _running(filters: Filters, now: datetime) -> Segment:
    """Ordered by the end of the lease, which heartbeats move. The times bound the start."""
    rows = Q(status=Status.RUNNING, stale_after__isnull=False)
    if filters.status == ExecutionState.STALE:
        rows &= Q(stale_after__lt=now)
    elif filters.status == ExecutionState.RUNNING:
        rows &= Q(stale_after__gte=now)
    elsewhere = _job(filters.job) & _scope(filters.scope) & _between("started_at", filters)
    return Segment("running", "stale_after", rows, elsewhere & _texts(filters), WINDOW)


def _ended(filters: Filters, now: datetime) -> Segment:
    return Segment(
        name="ended",
        column="finished_at",
        rows=Q(status__in=ENDED, finished_at__isnull=False) & _between("finished_at", filters),
        sift=_job(filters.job)
        & _scope(filters.scope)
        & (
            _retrying(filters.status, now)
            if filters.status != ExecutionState.SUCCESS
            else Q(status="SUCCESS")
        )
        & _texts(filters),
        looks=_looks(filters),
    )


def _looks(filters: Filters) -> int:
    """Finding out whether a row is being retried costs a read of a second row."""
    return WINDOW // 2 if filters.status == ExecutionState.RETRYING else WINDOW


def _between(column: str, filters: Filters) -> Q:
    bounds = Q()
    if filters.since:
        bounds &= Q(**{f"{column}__gte": filters.since})
    if filters.until:
        bounds &= Q(**{f"{column}__lt": filters.until})
    return bounds


def _job(job: str) -> Q:
    return Q(job_name=job) if job else Q()


def _scope(scope: Scope | None) -> Q:
    return Q(scope_kind=scope.kind, scope_id=scope.id) if scope else Q()


def _status(status: ExecutionState | None, now: datetime) -> Q:
    if status is None:
        return Q()
    if status == ExecutionState.STALE:
        return Q(status=Status.RUNNING, stale_after__lt=now)
    if status == ExecutionState.RUNNING:
        return Q(status=Status.RUNNING) & (Q(stale_after__gte=now) | Q(stale_after=None))
    if status == ExecutionState.SUCCESS:
        return Q(status=Status.SUCCESS)
    return _retrying(status, now)


def _retrying(status: ExecutionState | None, now: datetime) -> Q:
    """FAILED, or FAILED and still to be retried: ``scheduler.plans.is_retried`` as SQL."""
    if status is None:
        return Q()
    failed = Q(status=Status.FAILED)
    if status == ExecutionState.FAILED:
        return failed
    left = Q(attempt__lt=F("max_attempts"), plan_time=newest_plan_time())
    return failed & _open(now) & left


def _open(now: datetime) -> Q:
    """For each job whose plans are known to be over with the next one, those that are not over."""
    rows = Q()
    for spec in JOBS.values():
        oldest = oldest_open(spec, now)
        if oldest is not None:
            rows &= ~Q(job_name=spec.name) | Q(plan_time__gte=oldest)
    return rows


def _texts(filters: Filters) -> Q:
    texts = Q()
    if filters.runner:
        texts &= Q(runner_id=filters.runner)
    if filters.error:
        texts &= Q(error_code=filters.error)
    if filters.q:
        found = Q()
        for column in ("error_msg", "error_code", "runner_id", "scope_id", "job_name"):
            found |= Q(**{f"{column}__icontains": filters.q})
        texts &= found
    return texts
