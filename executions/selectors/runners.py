"""Who ran the plans of a job lately: each runner with what it won and what came of it.

A runner that wins nothing writes nothing into Multica's table, so silence there proves nothing.
Only this installation's own runners are known beyond it, from our own table.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Left

from executions.health.ledger import percentile
from executions.models import Execution, Runner, Status
from executions.problems import Problem
from executions.scheduler.jobs import ROLLUP
from executions.selectors.filters import Filters
from executions.selectors.paging import Reader
from executions.selectors.plans import choose_walk
from executions.selectors.rows import ERROR_LINE, version_of
from executions.selectors.samples import Window, bounded, windows
from executions.selectors.table import attempt, read_clock, read_jobs

DEFAULT_WINDOW = "24h"
WINDOW_NAMES = ("24h", "7d")
MOST_RUNNERS = 100
SECONDS = 15


class Run(NamedTuple):
    """What is read of one execution, in this order."""

    id: UUID
    runner_id: str | None
    status: str
    attempt: int
    plan_time: datetime
    stale_after: datetime | None
    heartbeat_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: int | None
    error_code: str | None
    error_line: str | None


@dataclass
class Tally:
    """One runner. ``ours`` is what our own table remembers of it, None for Multica's."""

    runner_id: str
    ours: Runner | None = None
    runs: list[Run] = field(default_factory=list)
    share: float = 0.0

    @property
    def plans(self) -> int:
        return len(self.runs)

    @property
    def share_percent(self) -> int:
        return round(100 * self.share)

    @property
    def succeeded(self) -> int:
        return sum(run.status == Status.SUCCESS for run in self.runs)

    @property
    def failed(self) -> int:
        return sum(run.status == Status.FAILED for run in self.runs)

    @property
    def retried(self) -> int:
        return sum(run.status == Status.SUCCESS and run.attempt > 1 for run in self.runs)

    @property
    def first_seen(self) -> datetime | None:
        seen = [run.started_at or run.plan_time for run in self.runs]
        return min(seen, default=self.ours.started_at if self.ours else None)

    @property
    def last_seen(self) -> datetime | None:
        seen = [
            run.finished_at or run.heartbeat_at or run.started_at or run.plan_time
            for run in self.runs
        ]
        if self.ours and self.ours.last_tick_at:
            seen.append(self.ours.last_tick_at)
        return max(seen, default=None)

    @property
    def p50_ms(self) -> float | None:
        return percentile(self._durations, 0.5)

    @property
    def p95_ms(self) -> float | None:
        return percentile(self._durations, 0.95)

    @property
    def _durations(self) -> list[int]:
        return [run.duration_ms for run in self.runs if run.duration_ms is not None]

    @property
    def running(self) -> list[Run]:
        return [run for run in self.runs if run.status == Status.RUNNING]

    @property
    def last_error(self) -> Run | None:
        failed = [run for run in self.runs if run.status == Status.FAILED]
        return max(failed, key=lambda run: run.finished_at or run.plan_time, default=None)

    @property
    def log_command(self) -> str:
        """Finds the runner in the log of whoever runs it."""
        wanted = shlex.quote(_searchable(self.runner_id))
        if self.ours:
            return f"journalctl --since -1d | grep -F -e {wanted}"
        return f"docker compose logs --no-color backend | grep -F -e {wanted}"


@dataclass(frozen=True)
class Runners:
    """``reached`` is set where the newest 5,000 rows did not reach the window's start."""

    filters: Filters
    job: str
    jobs: list[str]
    now: datetime
    since: datetime
    reached: datetime | None
    windows: list[Window]
    tallies: list[Tally]
    hidden: int
    plans: int
    unnamed: int
    problem: Problem | None

    @property
    def live_seconds(self) -> int:
        return SECONDS

    @property
    def version(self) -> str:
        return version_of(
            self.reached,
            self.problem and self.problem.code,
            [(tally.runner_id, tally.runs, tally.last_seen) for tally in self.tallies],
        )


def read_runners(filters: Filters) -> Runners:
    """The runners of one job: the rollup, unless the filters name another.

    Raises:
        django.db.DatabaseError: Multica's table cannot be read; see ``problems.diagnose``.
    """
    clock = read_clock()
    wanted = bounded(replace(filters, job=filters.job or ROLLUP.name), DEFAULT_WINDOW, clock.now)
    assert wanted.since is not None  # noqa: S101  bounded() sees to it
    walk, _scopes = choose_walk(wanted, clock)
    sample = attempt(lambda: Reader(walk).sample(_runs()))
    found, reached = ([], None) if isinstance(sample, Problem) else sample
    runs = [Run(*row) for row in found]
    tallies = tally(runs, _ours(runs, wanted.since, filters))
    return Runners(
        filters=filters,
        job=wanted.job,
        jobs=read_jobs(),
        now=clock.now,
        since=wanted.since,
        reached=reached,
        windows=windows(filters, DEFAULT_WINDOW, WINDOW_NAMES),
        tallies=tallies[:MOST_RUNNERS],
        hidden=max(0, len(tallies) - MOST_RUNNERS),
        plans=len(runs),
        unnamed=sum(not run.runner_id for run in runs),
        problem=sample if isinstance(sample, Problem) else None,
    )


def _runs() -> QuerySet[Execution, Any]:
    columns = Run._fields
    return Execution.objects.annotate(error_line=Left("error_msg", ERROR_LINE)).values_list(
        *columns
    )


def _ours(runs: Iterable[Run], since: datetime, filters: Filters) -> list[Runner]:
    """Our own among the winners, and those that have ticked since and won nothing."""
    seen = {run.runner_id for run in runs if run.runner_id}
    winners = list(Runner.objects.filter(runner_id__in=seen))
    if filters.runner or filters.job not in ("", ROLLUP.name):
        return winners
    idle = Runner.objects.filter(last_tick_at__gte=since).exclude(runner_id__in=seen)
    return winners + list(idle.order_by("-last_tick_at")[:MOST_RUNNERS])


def tally(runs: Iterable[Run], ours: Iterable[Runner]) -> list[Tally]:
    """One tally for each runner, the one seen last first."""
    tallies = {one.runner_id: Tally(one.runner_id, one) for one in ours}
    total = 0
    for run in runs:
        total += 1
        if run.runner_id:
            tallies.setdefault(run.runner_id, Tally(run.runner_id)).runs.append(run)
    for one in tallies.values():
        one.share = one.plans / total if total else 0.0
    return sorted(
        tallies.values(),
        key=lambda one: (one.last_seen is not None, one.last_seen, one.plans),
        reverse=True,
    )


def _searchable(runner_id: str) -> str:
    """The longest part of an id that a terminal shows and a log line holds as it is."""
    parts = re.split(r"[^\x20-\x7e]+", runner_id)
    return max(parts, key=len) or runner_id
