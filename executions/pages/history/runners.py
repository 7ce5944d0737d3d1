"""Who ran the plans of a job lately: each runner with what it won and the results.

A runner that wins nothing writes nothing into Multica's table, so its silence there proves nothing.
Only this installation's own runners are known better, from our own table.
"""

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from django.db.models import (
    Aggregate,
    BooleanField,
    Count,
    ExpressionWrapper,
    FloatField,
    Max,
    Min,
    Q,
)
from django.db.models.functions import Coalesce, Left, Now

from executions.database.kept import QUIET_SECONDS
from executions.health.ledger import TICK
from executions.health.remedies import Commands, Place, backend_log
from executions.models import Execution, Runner, Status
from executions.pages.history.filters import Filters
from executions.pages.history.paging import PageReader
from executions.pages.history.plans import choose_walk
from executions.pages.history.rows import ERROR_LINE
from executions.pages.history.samples import Window, beginning, windows
from executions.pages.history.table import attempt, attempt_jobs, read_clock
from executions.pages.history.walks import Walk
from executions.scheduler.jobs import JOBS, ROLLUP
from executions.scheduler.plans import newest_due
from executions.text.digest import digest
from executions.text.problem import Problem

DEFAULT_WINDOW = "24h"
WINDOW_NAMES = ("24h", "7d")
# As far back as the longest window, in the unit that every command takes.
LOG_SINCE = "168h"
BACKEND_LOG = backend_log(LOG_SINCE)
MOST_RUNNERS = 100
# Beyond its interval, a tick on a busy machine may take this long before the next one begins.
SLOW_TICK = timedelta(seconds=30)


class RunnerStanding(StrEnum):
    """What our own table says about one of our runners, apart from the plans that it won.

    ``beaten`` and ``ticks`` are for runners that still tick. Another runner has begun a plan since
    a ``beaten`` runner started. No other runner has since a runner that ``ticks`` started.
    """

    STOPPED = "stopped"
    SILENT = "silent"
    BEATEN = "beaten"
    TICKS = "ticks"


class Percentile(Aggregate):
    """PostgreSQL's ``percentile_cont`` of one column."""

    template = "percentile_cont(%(share)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = FloatField()


@dataclass(frozen=True)
class RunnerExecution:
    """The parts of one execution that a runner's line needs. ``is_stale`` means past its lease."""

    id: UUID
    plan_time: datetime
    is_stale: bool | None
    finished_at: datetime | None
    error_code: str | None
    error_line: str | None


@dataclass(frozen=True)
class RunnerTally:
    """One runner. ``ours`` is its row in our own table; None for Multica's.

    ``last_begun`` is when it last began a plan.
    """

    runner_id: str
    plans: int = 0
    succeeded: int = 0
    failed: int = 0
    retried: int = 0
    running: int = 0
    first_seen: datetime | None = None
    last_seen: datetime | None = None
    last_begun: datetime | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    share: float = 0.0
    ours: Runner | None = None
    standing: RunnerStanding | None = None
    run: RunnerExecution | None = None
    last_error: RunnerExecution | None = None

    @property
    def share_percent(self) -> int:
        return round(100 * self.share)

    @property
    def log_commands(self) -> Commands:
        """For each place, a command that finds the runner in the log of its process."""
        wanted = shlex.quote(_searchable(self.runner_id))
        logs = {Place.HERE: f"journalctl --since -{LOG_SINCE}"} if self.ours else BACKEND_LOG
        return {place: f"{log} | grep -F -e {wanted}" for place, log in logs.items()}


@dataclass(frozen=True)
class Runners:
    """``reached`` is set if the newest 5,000 rows did not reach the window's start.

    With a ``jobs_problem`` the jobs took too long to list. ``last_begun`` is when any runner last
    began a plan.
    """

    filters: Filters
    job: str
    jobs: list[str]
    jobs_problem: Problem | None
    now: datetime
    since: datetime
    reached: datetime | None
    windows: list[Window]
    tallies: list[RunnerTally]
    hidden: int
    plans: int
    unnamed: int
    last_begun: datetime | None
    problem: Problem | None
    live_seconds: int = QUIET_SECONDS

    @property
    def version(self) -> str:
        return digest(
            self.reached,
            self.problem and self.problem.code,
            self.jobs_problem and self.jobs_problem.code,
            self.tallies,
        )


def read_runners(filters: Filters) -> Runners:
    """The runners of one job: the rollup, unless the filters name another.

    Raises:
        django.db.DatabaseError: Multica's table cannot be read; see ``problems.diagnose``.
        RowsHidden: row security hides rows.
    """
    clock = read_clock()
    job = filters.job or ROLLUP.name
    since = beginning(filters, DEFAULT_WINDOW, _end_of_plans(job, clock.now))
    wanted = replace(filters, job=job, since=since)
    sample = attempt(lambda: _sample(choose_walk(wanted, clock)[0]))
    found, reached = ([], None) if isinstance(sample, Problem) else sample
    ours = _ours([one.runner_id for one in found], since, filters)
    jobs = attempt_jobs(job)
    last_begun = max(filter(None, (one.last_begun for one in found)), default=None)
    tallies = _in_order([one for one in found if one.runner_id], ours, last_begun)
    return Runners(
        filters=filters,
        job=job,
        jobs=jobs.names,
        jobs_problem=jobs.problem,
        now=clock.now,
        since=since,
        reached=reached,
        windows=windows(filters, DEFAULT_WINDOW, WINDOW_NAMES),
        tallies=tallies[:MOST_RUNNERS],
        hidden=max(0, len(tallies) - MOST_RUNNERS),
        plans=sum(one.plans for one in found),
        unnamed=sum(one.plans for one in found if not one.runner_id),
        last_begun=last_begun,
        problem=sample if isinstance(sample, Problem) else None,
    )


def _end_of_plans(job: str, now: datetime) -> datetime:
    """The end of the newest due bucket. The day before it has the plans of the ledger's day.

    For a job whose plans nobody can foresee it is now.
    """
    spec = JOBS.get(job)
    if spec is None or spec.planner is not None:
        return now
    return newest_due(spec, now) + spec.cadence


def _sample(walk: Walk) -> tuple[list[RunnerTally], datetime | None]:
    """Every runner that one look at each segment sees. Rows without a runner's id count as one."""
    looks, reached = PageReader(walk).samples()
    tallies: dict[str, RunnerTally] = {}
    for look in looks:
        for one in _tallies(look):
            known = tallies.get(one.runner_id)
            tallies[one.runner_id] = _merged(known, one) if known else one
    newest = sorted(tallies.values(), key=_age_key, reverse=True)
    marks = [mark for look in looks for mark in _marks(look, newest[:MOST_RUNNERS])]
    for runner_id, status, run in marks:
        one = tallies[runner_id]
        runs = status == Status.RUNNING
        tallies[runner_id] = replace(one, run=run) if runs else replace(one, last_error=run)
    return list(tallies.values()), reached


def _tallies(look: Q) -> list[RunnerTally]:
    success = Q(status=Status.SUCCESS)
    rows = (
        Execution.objects.filter(look)
        .values("runner_id")
        .annotate(
            plans=Count("id"),
            succeeded=Count("id", filter=success),
            failed=Count("id", filter=Q(status=Status.FAILED)),
            retried=Count("id", filter=success & Q(attempt__gt=1)),
            running=Count("id", filter=Q(status=Status.RUNNING)),
            first_seen=Min(Coalesce("started_at", "plan_time")),
            last_seen=Max(Coalesce("finished_at", "heartbeat_at", "started_at", "plan_time")),
            last_begun=Max("started_at"),
            p50_ms=Percentile("duration_ms", share=0.5, filter=success),
            p95_ms=Percentile("duration_ms", share=0.95, filter=success),
        )
    )
    found: Iterable[Any] = rows
    return [RunnerTally(**{**row, "runner_id": row["runner_id"] or ""}) for row in found]


def _merged(one: RunnerTally, other: RunnerTally) -> RunnerTally:
    """The sum of two segments' tallies. They share no row, and only one of them has durations."""
    counts = ("plans", "succeeded", "failed", "retried", "running")
    return replace(
        one,
        **{name: getattr(one, name) + getattr(other, name) for name in counts},
        first_seen=min(filter(None, (one.first_seen, other.first_seen)), default=None),
        last_seen=max(filter(None, (one.last_seen, other.last_seen)), default=None),
        last_begun=max(filter(None, (one.last_begun, other.last_begun)), default=None),
        p50_ms=one.p50_ms if other.p50_ms is None else other.p50_ms,
        p95_ms=one.p95_ms if other.p95_ms is None else other.p95_ms,
    )


def _marks(look: Q, tallies: Iterable[RunnerTally]) -> Iterator[tuple[str, str, RunnerExecution]]:
    """For each runner, its newest running execution and its newest failed one, if any."""
    named = [one.runner_id for one in tallies if one.failed or one.running]
    columns = ("id", "plan_time", "is_stale", "finished_at", "error_code", "error_line")
    rows = (
        Execution.objects.filter(look, runner_id__in=named)
        .exclude(status=Status.SUCCESS)
        .annotate(
            error_line=Left("error_msg", ERROR_LINE),
            is_stale=ExpressionWrapper(Q(stale_after__lt=Now()), BooleanField(null=True)),
        )
        .order_by("runner_id", "status", "-finished_at", "-plan_time")
        .distinct("runner_id", "status")
        .values("runner_id", "status", *columns)
    )
    for row in rows if named else ():
        yield (
            row["runner_id"],
            row["status"],
            RunnerExecution(**{name: row[name] for name in columns}),
        )


def _ours(runner_ids: Iterable[str], since: datetime, filters: Filters) -> list[Any]:
    """Our own runners among the winners, and those that have ticked since and won nothing.

    Times are from our own table's clock, which may differ from Multica's database's.
    """
    known = Runner.objects.annotate(read_at=Now())
    seen = {runner_id for runner_id in runner_ids if runner_id}
    winners = list(known.filter(runner_id__in=seen))
    if filters.runner or filters.job not in ("", ROLLUP.name):
        return winners
    idle = known.filter(last_tick_at__gte=since).exclude(runner_id__in=seen)
    idle = idle.exclude(stopped_at__lt=since)
    return winners + list(idle.order_by("-last_tick_at")[:MOST_RUNNERS])


def _in_order(
    tallies: list[RunnerTally], ours: Iterable[Any], last_begun: datetime | None
) -> list[RunnerTally]:
    """The runners with their shares and our own rows, the latest first."""
    total = sum(one.plans for one in tallies)
    known = {one.runner_id: replace(one, share=one.plans / total) for one in tallies}
    for runner in ours:
        one = known.get(runner.runner_id) or RunnerTally(
            runner.runner_id, first_seen=runner.started_at
        )
        seen = max(filter(None, (one.last_seen, runner.last_tick_at)), default=None)
        standing = _standing(runner, one, last_begun)
        known[runner.runner_id] = replace(one, ours=runner, standing=standing, last_seen=seen)
    return sorted(known.values(), key=_age_key, reverse=True)


def _standing(runner: Any, one: RunnerTally, last_begun: datetime | None) -> RunnerStanding:
    """What a runner's last tick and its interval tell. It does not tick while it runs a plan."""
    if runner.stopped_at is not None:
        return RunnerStanding.STOPPED
    interval = TICK if runner.tick_seconds is None else timedelta(seconds=runner.tick_seconds)
    age = runner.read_at - (runner.last_tick_at or runner.started_at)
    is_busy = one.run is not None and not one.run.is_stale
    if age > interval + SLOW_TICK and not is_busy:
        return RunnerStanding.SILENT
    beaten = last_begun is not None and last_begun >= runner.started_at
    return RunnerStanding.BEATEN if beaten else RunnerStanding.TICKS


def _age_key(one: RunnerTally) -> tuple[object, ...]:
    return (one.last_seen is not None, one.last_seen, one.plans, one.runner_id)


def _searchable(runner_id: str) -> str:
    """The longest part of an id that a terminal shows and a log line contains unchanged."""
    parts = re.split(r"[^\x20-\x7e]+", runner_id)
    return max(parts, key=len) or runner_id
