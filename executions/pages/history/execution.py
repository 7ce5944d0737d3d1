"""One execution in full: the row, its neighbouring plans, and what it did to the watermark."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.http import Http404

from executions.database.kept import BUSY_SECONDS, QUIET_SECONDS
from executions.database.reading import fetch_for_dashboard
from executions.health.facts.executions import runners_of
from executions.health.read import MOST_ROWS, SQL, execution_of
from executions.health.writers import pairs
from executions.models import Execution, Runner, Status
from executions.pages.history.life import (
    Moment,
    WatermarkStep,
    life,
    parsed,
    pretty,
    skipped_reason,
    watermark_step,
)
from executions.pages.history.rows import ExecutionRow, in_full, state_now
from executions.pages.history.table import attempt, read_bare_clock, read_clock
from executions.pages.history.walks import newest_plan_time
from executions.rollup.margin import is_in_future
from executions.scheduler.jobs import JOBS
from executions.scheduler.spec import JobSpec
from executions.scheduler.states import ExecutionState
from executions.text.digest import digest
from executions.text.problem import Problem

_STILL = timedelta()


@dataclass(frozen=True)
class Detail:
    """``older`` and ``newer`` are the neighbouring plans of the same job and scope.

    ``skipped_reason`` says why an occurrence of Multica's autopilot succeeded but dispatched
    nothing. ``foreign_advance`` is how far something else moved the watermark between the preceding
    plan and this one (`executions/health/writers.py`). With a ``problem``, it and the neighbours
    took too long to read.
    """

    row: ExecutionRow
    now: datetime
    spec: JobSpec | None
    moments: list[Moment]
    result: str
    watermark: WatermarkStep | None
    skipped_reason: str | None
    foreign_advance: timedelta | None
    older: ExecutionRow | None
    newer: ExecutionRow | None
    problem: Problem | None

    @property
    def is_over(self) -> bool:
        return self.row.state not in (ExecutionState.RUNNING, ExecutionState.STALE)

    @property
    def moved_on(self) -> bool:
        return bool(self.watermark and self.watermark.moved and self.watermark.moved > _STILL)

    @property
    def moved_back(self) -> bool:
        return bool(self.watermark and self.watermark.moved and self.watermark.moved < _STILL)

    @property
    def had_nothing_to_do(self) -> bool:
        """Whether the watermark was ahead of everything that the run may process."""
        before = self.watermark.before if self.watermark else None
        started_at = self.row.execution.started_at
        if before is None or started_at is None:
            return False
        return is_in_future(before, started_at)

    @property
    def live_seconds(self) -> int:
        return BUSY_SECONDS if self.row.state == ExecutionState.RUNNING else QUIET_SECONDS

    @property
    def version(self) -> str:
        neighbours = [(row.execution.id, row.state) for row in (self.older, self.newer) if row]
        problem = self.problem and self.problem.code
        return digest(self.row.execution.updated_at, self.row.state, neighbours, problem)


def execution_of_plan(spec: JobSpec, plan_time: datetime) -> UUID | None:
    """The execution of a plan of the job's first scope; None if nobody began it.

    Raises:
        django.db.DatabaseError: Multica's table cannot be read; see ``problems.diagnose``.
        RowsHidden: row security hides rows.
    """
    read_bare_clock()
    scope = spec.scopes[0]
    found = Execution.objects.filter(
        job_name=spec.name, scope_kind=scope.kind, scope_id=scope.id, plan_time=plan_time
    )
    return found.values_list("id", flat=True).first()


def read_execution(execution_id: UUID) -> Detail:
    """The execution. Its page has no filters.

    Raises:
        Http404: there is none with that id, or no longer.
        django.db.DatabaseError: Multica's table cannot be read; see ``problems.diagnose``.
        RowsHidden: row security hides rows.
    """
    now = read_clock().now
    execution = in_full().annotate(newest_plan=newest_plan_time()).filter(id=execution_id).first()
    if execution is None:
        raise Http404
    result = parsed(execution.result_text)
    step = watermark_step(result)
    found = attempt(lambda: (*_neighbours(execution), _foreign_advance(execution, step)))
    older, newer, advance = (None, None, None) if isinstance(found, Problem) else found
    ours = Runner.ours_among(runners_of(one for one in (older, execution, newer) if one))

    def as_row(one: Execution) -> ExecutionRow:
        return ExecutionRow(one, state_now(one, now, execution.newest_plan), one.runner_id in ours)

    row = as_row(execution)
    spec = JOBS.get(execution.job_name)
    return Detail(
        row=row,
        now=now,
        spec=spec,
        moments=life(execution, row.state, spec, now),
        result=pretty(execution.result_text),
        watermark=step,
        skipped_reason=skipped_reason(result) if execution.status == Status.SUCCESS else None,
        foreign_advance=advance,
        older=as_row(older) if older else None,
        newer=as_row(newer) if newer else None,
        problem=found if isinstance(found, Problem) else None,
    )


def _neighbours(execution: Execution) -> tuple[Any, Any]:
    """The plans before and after this one, of the same job and scope."""
    plans = in_full().filter(
        job_name=execution.job_name,
        scope_kind=execution.scope_kind,
        scope_id=execution.scope_id,
    )
    return (
        plans.filter(plan_time__lt=execution.plan_time).order_by("-plan_time").first(),
        plans.filter(plan_time__gt=execution.plan_time).order_by("plan_time").first(),
    )


def _foreign_advance(execution: Execution, step: WatermarkStep | None) -> timedelta | None:
    """How far something else moved the watermark just before this run, by the common rule."""
    if step is None:
        return None
    rows = fetch_for_dashboard(
        SQL.marks_up_to,
        {
            "job": execution.job_name,
            "scope_kind": execution.scope_kind,
            "scope_id": execution.scope_id,
            "plan_time": execution.plan_time,
            "most": MOST_ROWS,
        },
    )
    pair = next(iter(pairs([execution_of(row) for row in rows])), None)
    if pair is None or pair.later.id != execution.id:
        return None
    return pair.advance or None
